#!/usr/bin/env python3
"""Compares two benchmark commands in one run, interleaved, so that both see the same machine in the same minutes.

  python3 compare.py --ours build/benchmarks/bench_train --peer "python3 benchmarks/peers/torch_bench.py"
                     [--peer "./libtorch_bench"] [--threads N] [--only NAME,...] [--rounds N] [--json FILE]

Every round runs ours and then each peer, one workload at a time; each command takes --threads and --only and prints the JSON lines of
measure.h. For every workload and phase the ratio peer / ours is taken within a round (above 1: ours is faster). Printed are the
medians of both times, the median ratio and its smallest and largest value over the rounds. With several peers "best" is the
fastest of them in that round. Differences under 15 % mean nothing on a shared machine.
"""
import argparse
import json
import shlex
import statistics
import subprocess
import sys

PHASES = ["step", "forward_eval", "forward+loss", "backward", "optimizer", "op"]


def names_of(command):
    return subprocess.run(shlex.split(command) + ["--list"], stdout=subprocess.PIPE, text=True, check=True).stdout.split()


def run(command, workload, threads):
    """{phase: line} of one workload."""
    words = shlex.split(command) + ["--threads", str(threads), "--only", workload]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True)
    lines = [json.loads(text) for text in done.stdout.splitlines() if text.startswith("{")]
    found = {line["phase"]: line for line in lines if line["workload"] == workload and "median_s" in line}
    if done.returncode or not found:
        print(f"no figures for {workload} from: {command}", file=sys.stderr)
    return found


def micros(seconds):
    return f"{seconds * 1e6:.4g}"


def summary(workload, rounds):
    """One row per phase from a list of rounds, each [ours, peer, peer, ...] of {phase: line}."""
    rows = []
    for phase in PHASES:
        complete = [r for r in rounds if r[0].get(phase) and any(p.get(phase) for p in r[1:])]
        if not complete:
            continue
        ours = [r[0][phase] for r in complete]
        best = [min((p[phase] for p in r[1:] if p.get(phase)), key=lambda line: line["median_s"]) for r in complete]
        ratios = [b["median_s"] / o["median_s"] for o, b in zip(ours, best)]
        rows.append({
            "workload": workload, "phase": phase, "threads": ours[0]["threads"], "rounds": len(complete), "device": ours[0]["variant"],
            "ours_s": statistics.median(line["median_s"] for line in ours), "best_peer_s": statistics.median(line["median_s"] for line in best),
            "best_peer": statistics.mode(line["framework"] + " " + line["variant"] for line in best),
            "ratio": statistics.median(ratios), "ratio_min": min(ratios), "ratio_max": max(ratios),
            "ours_rss_mb": max(line["peak_rss_mb"] for line in ours), "peer_rss_mb": min(line["peak_rss_mb"] for line in best),
        })
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", required=True, help="command of bench_train or bench_ops")
    parser.add_argument("--peer", required=True, action="append", help="command of a peer script; may be given more than once")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default="", help="workloads whose names start with one of these")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", default="", help="write the rows to this file, one JSON line each")
    options = parser.parse_args()
    prefixes = [prefix for prefix in options.only.split(",") if prefix]
    workloads = [name for name in names_of(options.ours) if not prefixes or name.startswith(tuple(prefixes))]
    collected = {name: [] for name in workloads}
    for number in range(options.rounds):
        for name in workloads:
            print(f"round {number + 1} of {options.rounds}: {name}", file=sys.stderr)
            collected[name].append([run(command, name, options.threads) for command in [options.ours] + options.peer])
    rows = [row for name in workloads for row in summary(name, collected[name])]
    print(f"{'workload':24} {'phase':13} {'ours us':>9} {'peer us':>9}  {'peer / ours (spread)':24} {'RSS MiB':>13}  best peer")
    for row in rows:
        ratio = f"{row['ratio']:.2f} ({row['ratio_min']:.2f} to {row['ratio_max']:.2f})"
        rss = f"{row['ours_rss_mb']:.0f} / {row['peer_rss_mb']:.0f}"
        print(f"{row['workload']:24} {row['phase']:13} {micros(row['ours_s']):>9} {micros(row['best_peer_s']):>9}  {ratio:24} {rss:>13}  {row['best_peer']}")
    if options.json:
        with open(options.json, "w") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    return 0 if rows else 1


if __name__ == "__main__":
    sys.exit(main())
