#!/usr/bin/env python3
"""Compares benchmark commands in one run, interleaved, so that all see the same machine in the same minutes.

  python3 compare.py --ours build/benchmarks/bench_train --peer "python3 benchmarks/peers/torch_bench.py"
                     [--peer "./libtorch_bench"] [--threads N] [--only NAME,...] [--rounds N] [--json FILE]
  python3 compare.py --ours build/benchmarks/bench_train --baseline ../before/build/benchmarks/bench_train [...]

Every round runs ours and then each other command, one workload at a time; a command takes --threads and --only and prints the JSON
lines of measure.h. For every workload and phase the ratio other / ours is taken within a round (above 1: ours is faster). Printed are
the medians of both times, the median ratio and its smallest and largest value over the rounds. With several peers the fastest of them
in that round counts. "floor" is the time that the step's multiply-adds alone would take at the rate that bench_machine measured here.
Differences under 15 % mean nothing on a shared machine.

A baseline is another build of ours. Ours then runs twice a round: how far the two differ is the noise. The exit status is 3 if some
phase became slower by more than the largest such difference and more than 5 %.
"""
import argparse
import json
import math
import os
import shlex
import statistics
import subprocess
import sys

PHASES = ["step", "forward_eval", "forward+loss", "backward", "optimizer", "op"]
LEAST_REGRESSION = 0.05


def output(words):
    return subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout


def run(command, workload, threads):
    """{phase: line} of one workload; without a figure the phase is missing."""
    words = shlex.split(command) + ["--threads", str(threads), "--only", workload]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True)
    lines = [json.loads(text) for text in done.stdout.splitlines() if text.startswith("{")]
    found = {line["phase"]: line for line in lines if line["workload"] == workload}
    if done.returncode or not any("median_s" in line for line in found.values()):
        print(f"no figures for {workload} from: {command}", file=sys.stderr)
    return found


def machine(ours, threads):
    """What bench_machine, which stands beside our program, says."""
    program = os.path.join(os.path.dirname(shlex.split(ours)[0]), "bench_machine")
    return json.loads(output([program, "--threads", str(threads)])) if os.path.exists(program) else None


def noise_of(rounds, phase):
    """The largest |ln(ratio)| of two runs of ours in one round."""
    pairs = [(r["ours"][phase], r["again"][phase]) for r in rounds if r["again"] and phase in r["again"]]
    return max((abs(math.log(a["median_s"] / b["median_s"])) for a, b in pairs), default=0.0)


def summary(workload, rounds, limits):
    """One row per phase from a list of rounds {"ours", "again", "others": [...]} of {phase: line}."""
    rows = []
    work = rounds[0]["ours"].get("work", {})
    for phase in PHASES:
        complete = [r for r in rounds if phase in r["ours"] and any(phase in other for other in r["others"])]
        if not complete:
            continue
        ours = [r["ours"][phase] for r in complete]
        best = [min((other[phase] for other in r["others"] if phase in other), key=lambda line: line["median_s"]) for r in complete]
        ratios = [b["median_s"] / o["median_s"] for o, b in zip(ours, best)]
        row = {
            "workload": workload, "phase": phase, "threads": ours[0]["threads"], "rounds": len(complete), "device": ours[0]["variant"],
            "ours_s": statistics.median(line["median_s"] for line in ours), "other_s": statistics.median(line["median_s"] for line in best),
            "other": statistics.mode(line["framework"] + " " + line["variant"] for line in best),
            "ratio": statistics.median(ratios), "ratio_min": min(ratios), "ratio_max": max(ratios), "noise": noise_of(complete, phase),
            "ours_rss_mb": max(line["peak_rss_mb"] for line in ours), "other_rss_mb": min(line["peak_rss_mb"] for line in best),
        }
        if limits and phase == "step" and work.get("flops") and limits["fma_gflops"]:
            row["floor_s"] = work["flops"] / (limits["fma_gflops"] * 1e9)
        rows.append(row)
    return rows


def incomplete(rounds):
    """Did a program fail to give figures in some round?"""
    missing = [r["ours"] for r in rounds if not r["ours"]] + [other for r in rounds for other in r["others"] if not other]
    return bool(missing) or any(r["again"] == {} for r in rounds)


def regressions(rows):
    return [row for row in rows if -math.log(row["ratio"]) > max(row["noise"], LEAST_REGRESSION)]


def micros(seconds):
    return f"{seconds * 1e6:.4g}" if seconds else ""


def print_rows(rows):
    print(f"{'workload':26} {'phase':13} {'floor us':>9} {'ours us':>9} {'other us':>9}  {'other / ours (spread)':24} {'RSS MiB':>13}  other")
    for row in rows:
        ratio = f"{row['ratio']:.2f} ({row['ratio_min']:.2f} to {row['ratio_max']:.2f})"
        rss = f"{row['ours_rss_mb']:.0f} / {row['other_rss_mb']:.0f}"
        print(f"{row['workload']:26} {row['phase']:13} {micros(row.get('floor_s')):>9} {micros(row['ours_s']):>9} {micros(row['other_s']):>9}  "
              f"{ratio:24} {rss:>13}  {row['other']}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", required=True, help="command of bench_train or bench_ops")
    others = parser.add_mutually_exclusive_group(required=True)
    others.add_argument("--peer", action="append", help="command of a peer script; may be given more than once")
    others.add_argument("--baseline", help="command of another build of ours")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default="", help="workloads whose names start with one of these")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", default="", help="write the rows to this file, one JSON line each, the machine first")
    options = parser.parse_args()
    commands = options.peer or [options.baseline]
    prefixes = [prefix for prefix in options.only.split(",") if prefix]
    workloads = [name for name in output(shlex.split(options.ours) + ["--list"]).split() if not prefixes or name.startswith(tuple(prefixes))]
    limits = machine(options.ours, options.threads)
    collected = {name: [] for name in workloads}
    for number in range(options.rounds):
        for name in workloads:
            print(f"round {number + 1} of {options.rounds}: {name}", file=sys.stderr)
            collected[name].append({"ours": run(options.ours, name, options.threads),
                                    "others": [run(command, name, options.threads) for command in commands],
                                    "again": run(options.ours, name, options.threads) if options.baseline else None})
    rows = [row for name in workloads for row in summary(name, collected[name], limits)]
    if limits:
        print(f"{limits['processor']}, machine class {limits['class']}: {limits['fma_gflops']:.0f} GF/s of f32 multiply-adds and "
              f"{limits['add_gigabytes_per_second']:.1f} GB/s of c = a + b with {options.threads} thread(s)")
    print_rows(rows)
    if options.json:
        with open(options.json, "w") as file:
            file.writelines(json.dumps(row) + "\n" for row in ([{"machine": limits}] if limits else []) + rows)
    slower = regressions(rows) if options.baseline else []
    for row in slower:
        print(f"REGRESSION {row['workload']} {row['phase']}: {1 / row['ratio']:.2f} times the baseline's time; "
              f"two runs of the same build differed by up to {math.expm1(row['noise']):.0%}")
    failed = [name for name in workloads if incomplete(collected[name])]
    if failed:
        print("incomplete, a program gave no figures: " + ", ".join(failed))
    return 3 if slower else 1 if failed or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
