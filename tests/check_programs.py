#!/usr/bin/env python3
"""Runs the benchmark programs shortly, as a user would, and checks what they promise: exit status, files, the keys and sums of their JSON.

  check_programs.py FOLDER [--devices D,...] [--budgets FILE]     FOLDER holds the programs; the default is cpu,reference
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

DEVICE_KEYS = ["device", "peak_bytes", "expected_peak_bytes", "by_category", "unknown_bytes", "reserved_bytes", "allocs_per_step", "step_seconds"]
ROW_KEYS = ["device", "batch", "width", "depth", "threads", "step_seconds", "samples_per_second", "efficiency", "peak_bytes", "predicted_peak_bytes"]
LOAD_KEYS = ["requests_per_second", "p50_s", "p95_s", "p99_s", "efficiency", "live_bytes", "resident_bytes"]
TIME_KEYS = ["workload", "phase", "median_s", "p10", "p90", "peak_rss_mb", "threads", "variant", "framework"]
WORKLOAD = "seed_cnn_b8_adam"
failures = []


def expect(condition, what):
    if not condition:
        failures.append(what)


def run(*words):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return done.returncode, done.stdout, done.stderr


def succeed(*words):
    status, output, error = run(*words)
    expect(status == 0, f"{' '.join(words)}: status {status}, {error}")
    return output


def lines(text):
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def check_page(path):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    expect("<svg" in text and "</html>" in text, f"{path} is no page")
    expect("http://" not in text.replace("http://www.w3.org", "") and "src=" not in text, f"{path} asks for something from outside")


def check_arguments(folder):
    for program in ["memory_profile", "bench_scaling", "bench_load", "bench_train", "bench_ops"]:
        path = os.path.join(folder, program)
        output = succeed(path, "--help")
        expect("usage: " + program in output and "Exit status" in output, f"{program} --help")
        wrong = [["--nonsense"], ["--threads"], ["--threads", "0"]]
        if program in ("bench_train", "bench_ops"):
            wrong.append(["--only", "abacus"])
        else:
            wrong += [["--devices" if "load" not in program else "--device", "abacus"], ["--workload", "abacus"]]
        for words in wrong:
            status, _, error = run(path, *words)
            expect(status == 2 and error.startswith(program), f"{program} {words}: status {status}, {error!r}")


def check_memory_profile(folder, devices, out):
    succeed(os.path.join(folder, "memory_profile"), "--devices", ",".join(devices), "--workload", WORKLOAD, "--steps", "3", "--out", out)
    check_page(os.path.join(out, "report.html"))
    with open(os.path.join(out, "profile.json"), encoding="utf-8") as file:
        profile = json.load(file)
    expect(list(profile) == ["workload", "devices", "differences"] and profile["workload"] == WORKLOAD, f"profile.json has {list(profile)}")
    expect([row["device"] for row in profile["devices"]] == devices, "devices of profile.json")
    for row in profile["devices"]:
        name = row["device"]
        expect(list(row) == DEVICE_KEYS, f"{name}: keys {list(row)}")
        expect(row["unknown_bytes"] == 0, f"{name}: {row['unknown_bytes']} unknown bytes")
        expect(sum(row["by_category"].values()) == row["peak_bytes"], f"{name}: categories do not sum to the peak")
        expect(abs(row["expected_peak_bytes"] - row["peak_bytes"]) <= 0.05 * row["peak_bytes"], f"{name}: expected {row}")
        expect(row["reserved_bytes"] >= row["peak_bytes"] > 0 and row["step_seconds"] > 0, f"{name}: {row}")
        with open(os.path.join(out, f"trace_{name}.json"), encoding="utf-8") as file:
            trace = json.load(file)
        expect(len(trace["traceEvents"] if isinstance(trace, dict) else trace) > 30, f"{name}: an empty trace")
        check_timeline(os.path.join(out, f"timeline_{name}.svg"))
    for row in profile["differences"]:
        named = row["cause"] or row["category"] in ("rounding", "cache")  # these may be made of the same parts
        expect(row["bytes"] != 0 and named, f"a difference without cause: {row}")


def check_baseline(folder, out):
    program = os.path.join(folder, "memory_profile")
    first, second = os.path.join(out, "before"), os.path.join(out, "after")
    succeed(program, "--workload", "xor_sgd", "--steps", "2", "--out", first)
    baseline = os.path.join(first, "profile_cpu.json")
    succeed(program, "--workload", "xor_adam", "--steps", "2", "--baseline", baseline, "--out", second)
    with open(os.path.join(second, "profile.json"), encoding="utf-8") as file:
        differences = {row["category"]: row for row in json.load(file)["differences"]}
    expect(differences["optimizer_state"]["bytes"] > 0 and differences["optimizer_state"]["cause"], f"SGD against Adam: {differences}")
    for words in [["--baseline", os.path.join(first, "profile.json")], ["--baseline", out + "/nothing"], ["--budget", out + "/nothing"]]:
        status, output, error = run(program, "--workload", "xor_sgd", *words)
        expect(status in (1, 2) and error.startswith("memory_profile") and not output, f"{words}: status {status}, {output!r}, {error!r}")
    status, _, error = run(os.path.join(folder, "bench_scaling"), "--json", out + "/nowhere/rows.jsonl")
    expect(status in (1, 2) and "nowhere" in error, f"bench_scaling --json into no folder: status {status}, {error!r}")
    status, _, error = run(os.path.join(folder, "bench_ops"), "--device", "abacus", "--only", "relu")
    expect(status == 2 and "abacus" in error, f"bench_ops on no device: status {status}, {error!r}")


def check_timeline(path):
    with open(path, encoding="utf-8") as file:
        expect(file.read().lstrip().startswith(("<svg", "<?xml")), f"{path} is no picture")


def check_budgets(folder, budgets, out):
    program = os.path.join(folder, "memory_profile")
    with open(budgets, encoding="utf-8") as file:
        limits = json.load(file)
    for name in limits:
        workload, backend = name.split("/")
        status, output, error = run(program, "--devices", backend, "--workload", workload, "--steps", "4", "--budget", budgets)
        expect(status == 0, f"{name} is not within its budget: {output} {error}")
    tight = os.path.join(out, "tight.json")
    with open(tight, "w", encoding="utf-8") as file:
        json.dump({f"{WORKLOAD}/cpu": {"peak_bytes": 1000, "allocs_per_step": 1e9}}, file)
    status, output, error = run(program, "--workload", WORKLOAD, "--steps", "2", "--budget", tight)
    expect(status == 3 and "exceeded" in output and "peak_bytes" in error, f"a limit that is exceeded: status {status}, {output} {error}")
    status, _, error = run(program, "--workload", "xor_sgd", "--steps", "2", "--budget", tight)
    expect(status == 2 and "xor_sgd/cpu" in error, f"a workload without limits: status {status}, {error}")


def check_scaling(folder, workload, devices, out):
    rows = os.path.join(out, "rows.jsonl")
    batches, widths, depths, limit = {"mlp": ("128,256,512", "8,16", "2", "0"), "cnn": ("2,4,9", "8", "1,2", "3")}[workload]
    found = lines(succeed(os.path.join(folder, "bench_scaling"), "--devices", ",".join(devices), "--workload", workload, "--batches", batches,
                          "--widths", widths, "--depths", depths, "--threads", "1,2", "--seconds", "0.02", "--limit", limit,
                          "--json", rows, "--out", out))
    check_page(os.path.join(out, "report.html"))
    with open(rows, encoding="utf-8") as file:
        table = lines(file.read())
    nets = len(widths.split(",")) * len(depths.split(",")) * (len(devices) + devices.count("cpu"))
    expect(len(table) == 3 * nets, f"bench_scaling wrote {len(table)} rows")
    for row in table:
        expect(set(ROW_KEYS) <= set(row), f"keys {list(row)}")
        expect(row["threads"] > 1 or row["efficiency"] == 1, f"efficiency of one thread: {row}")
        expect(abs(row["predicted_peak_bytes"] - row["peak_bytes"]) <= 0.05 * row["peak_bytes"], f"predicted peak: {row}")
    expect([row["device"] for row in found] == devices, f"largest batches: {found}")
    for row in found:
        expect(row["predicted_ran"] and not row["too_large_ran"], f"a batch that was predicted otherwise: {row}")
        expect(0 < row["predicted_batch"] <= row["largest_batch"] < row["too_large_batch"], f"largest batch: {row}")
        expect(abs(row["predicted_peak_bytes"] - row["peak_bytes"]) <= 0.05 * row["peak_bytes"], f"peak of the largest batch: {row}")
        expect(row["peak_bytes"] <= row["limit_bytes"] and "activation" in row["fit"], f"the limit and the fit: {row}")


def check_load(folder, device):
    found = lines(succeed(os.path.join(folder, "bench_load"), "--device", device, "--workload", WORKLOAD, "--threads", "2", "--requests", "20",
                          "--seconds", "5"))
    figures = [row for row in found if row["phase"] != "memory"]
    expect([(row["phase"], row["threads"]) for row in figures] == [("train", 1), ("train", 2), ("infer", 1), ("infer", 2)], f"{device}: {figures}")
    for row in figures:
        expect(set(LOAD_KEYS) <= set(row), f"{device}: keys {list(row)}")
        expect(row["requests"] == 20 and row["live_growth_bytes"] == 0, f"{device}: {row}")
        expect(0 < row["p50_s"] <= row["p95_s"] <= row["p99_s"], f"{device}: latencies {row}")
    samples = [row for row in found if row["phase"] == "memory"]
    expect(len(samples) >= 8 and all(row["live_bytes"] > 0 for row in samples), f"{device}: {len(samples)} samples of memory")


def check_times(folder, device):
    for program, workload in [("bench_train", "xor_sgd"), ("bench_ops", "add_4")]:
        found = lines(succeed(os.path.join(folder, program), "--device", device, "--only", workload))
        timed = [row for row in found if "median_s" in row]
        expect(timed and all(set(TIME_KEYS) <= set(row) and row["variant"].startswith(device) for row in timed), f"{program} on {device}: {found}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--devices", default="cpu,reference")
    parser.add_argument("--budgets")
    arguments = parser.parse_args()
    devices = arguments.devices.split(",")
    check_arguments(arguments.folder)
    with tempfile.TemporaryDirectory() as out:
        check_memory_profile(arguments.folder, devices, os.path.join(out, "profile"))
        check_baseline(arguments.folder, out)
        for workload in ["mlp", "cnn"]:
            check_scaling(arguments.folder, workload, devices, os.path.join(out, workload))
        if arguments.budgets:
            check_budgets(arguments.folder, arguments.budgets, out)
    for device in devices:
        check_load(arguments.folder, device)
        check_times(arguments.folder, device)
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
