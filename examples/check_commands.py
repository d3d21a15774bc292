#!/usr/bin/env python3
"""Runs the installed programs as a user would and checks what they promise: exit status, messages, the JSON of validate.

  check_commands.py FOLDER [--device NAME]     FOLDER holds validate and doctor; NAME is the device for validate (default cpu)
"""
import json
import os
import subprocess
import sys
import tempfile

PART_KEYS = ["id", "name", "passed", "initial_loss", "final_loss", "accuracy", "held_out_accuracy", "peak_bytes", "stable_bytes", "floor_bytes",
             "seconds", "seeds_passed", "seeds"]
PARTS = ["1", "2", "3", "3_digits", "4", "5", "6", "7", "8", "9", "10"]
failures = []


def expect(condition, what):
    if not condition:
        failures.append(what)


def run(*words, **environment):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ, **environment))
    return done.returncode, done.stdout, done.stderr


def check_arguments(validate):
    for words, said in [(["--nonsense"], "--nonsense"), (["--seeds"], "--seeds"), (["--seeds", "0"], "--seeds"), (["--seeds", "2x"], "2x"),
                        (["--device", "abacus"], "abacus"), (["--data", "/nowhere"], "/nowhere"), (["--json", "/nowhere/f"], "/nowhere/f"),
                        (["--report", "/proc/nowhere"], "/proc/nowhere")]:
        status, _, error = run(validate, *words)
        expect(status == 2 and said in error, f"validate {words}: status {status}, {error!r}")
    status, output, _ = run(validate, "--help")
    expect(status == 0 and "--seeds" in output, "validate --help")


def check_doctor(doctor):
    status, output, _ = run(doctor)
    expect(status == 0, f"doctor: status {status}")
    for word in ["cpu: usable", "instruction set", "threads"]:
        expect(word in output, f"doctor does not say {word!r}")
    for line in output.splitlines():
        if "not usable" in line:
            expect(any(word in line for word in ["driver", "plugin", "device"]), f"doctor does not say what is missing: {line}")
    expect(output.count("not usable") <= output.count("fix:"), "doctor: every unusable backend needs a fix")


def check_part(part):
    name = f"part {part['id']}"
    expect(list(part) == PART_KEYS, f"{name}: keys {list(part)}")
    for key in ["accuracy", "held_out_accuracy"]:
        expect(part[key] is None or 0 <= part[key] <= 1, f"{name}: {key} {part[key]}")
    for key in ["peak_bytes", "stable_bytes", "floor_bytes"]:
        expect(part[key] is None or isinstance(part[key], int) and part[key] > 0, f"{name}: {key} {part[key]}")
    if part["floor_bytes"]:
        expect(part["floor_bytes"] <= part["stable_bytes"] <= part["peak_bytes"], f"{name}: floor, stable and peak are not in order")
    if part["id"] in ("1", "2", "3"):
        expect(part["final_loss"] < part["initial_loss"] and part["seeds"] == 2, f"{name}: {part}")


def check_report(folder):
    with open(os.path.join(folder, "report.html")) as file:
        page = file.read()
    with open(os.path.join(folder, "report.md")) as file:
        text = file.read()
    for part in PARTS:
        expect(f"<td>{part}</td>" in page and f"| {part} |" in text, f"report of part {part}")
    for word in ["floor", "published", "0.2499"]:
        expect(word in page.lower() and word in text.lower(), f"report without {word}")
    expect(page.count("<svg") == page.count("</svg>") >= 3, "charts of the report")


def check_validate(validate, device):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "report.json")
        status, output, error = run(validate, "--device", device, "--seeds", "2", "--json", path, "--report", folder)
        print(output, error)
        with open(path) as file:
            report = json.load(file)
        check_report(folder)
    expect(list(report) == ["version", "passed", "devices"], f"keys {list(report)}")
    expect([d["device"] for d in report["devices"]] == [device], "devices")
    expect(report["passed"] is (status == 0) and report["devices"][0]["passed"] is report["passed"], "passed and status differ")
    expect(report["passed"], "validate failed")
    expect([p["id"] for p in report["devices"][0]["parts"]] == PARTS, "ids of the parts")
    for part in report["devices"][0]["parts"]:
        check_part(part)


def main():
    folder = sys.argv[1]
    device = sys.argv[3] if sys.argv[2:3] == ["--device"] else "cpu"
    validate, doctor = os.path.join(folder, "validate"), os.path.join(folder, "doctor")
    check_arguments(validate)
    check_doctor(doctor)
    check_validate(validate, device)
    for failure in failures:
        print("FAILED:", failure)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
