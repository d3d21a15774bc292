#!/usr/bin/env python3
"""Makes reports with the programs of a build and opens them in headless Chromium, dark and light.

  check_html.py FOLDER PROGRAM...   FOLDER takes pages and screenshots; PROGRAM: validate, memory_profile or bench_scaling
Without a browser only the markup is checked, and the exit status is 77 (skipped).
"""
import os
import re
import shutil
import struct
import subprocess
import sys
import xml.etree.ElementTree as xml
import zlib

ARGUMENTS = {
    "validate": ["--device", "cpu", "--report", "{out}"],
    "memory_profile": ["--devices", "cpu,reference", "--workload", "xor_sgd", "--steps", "4", "--out", "{out}"],
    "bench_scaling": ["--devices", "cpu", "--workload", "mlp", "--batches", "16,32,64", "--widths", "32", "--depths", "1,2", "--threads", "1,2",
                      "--seconds", "0.01", "--json", "{out}/rows.json", "--out", "{out}"],
}
SKIPPED = 77
failures = []


def check_markup(path):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    for word in ["<script", "src=", "href=", "@import", "url("]:
        if word in text:
            failures.append(f"{path}: {word} in a page that must need nothing else")
    if path.endswith(".html"):
        pictures = re.findall(r"<svg.*?</svg>", text, re.S)
        if not pictures:
            failures.append(f"{path}: no picture")
    else:
        pictures = [text]
    for picture in pictures:
        try:
            xml.fromstring(picture)
        except xml.ParseError as error:
            failures.append(f"{path}: {error}: {picture[:200]}")


def first_pixel(png):
    """Of a PNG with 8 bits per sample; no filter changes the first pixel."""
    with open(png, "rb") as file:
        data = file.read()
    at, packed = 8, b""
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        if kind == b"IDAT":
            packed += data[at + 8:at + 8 + length]
        at += 12 + length
    return zlib.decompressobj().decompress(packed, 4)[1:4]


def check_in_browser(browser, path):
    for scheme, number in [("dark", 0), ("light", 1)]:
        picture = f"{os.path.splitext(path)[0]}_{scheme}.png"
        subprocess.run([browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--screenshot={picture}",
                        f"--blink-settings=preferredColorScheme={number}", "--window-size=1140,3000", "file://" + os.path.abspath(path)],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120, check=False)
        if not os.path.exists(picture):
            failures.append(f"{path}: no screenshot")
            continue
        bright = sum(first_pixel(picture)) / 3
        if (bright < 64) != (scheme == "dark") or (bright > 192) != (scheme == "light"):
            failures.append(f"{path}: the page is {bright:.0f} of 255 bright where {scheme} is wanted")


def main():
    folder, programs = sys.argv[1], sys.argv[2:]
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    for program in programs:
        name = os.path.basename(program)
        out = os.path.join(folder, name)
        os.makedirs(out, exist_ok=True)
        done = subprocess.run([program] + [a.format(out=out) for a in ARGUMENTS[name]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, check=False)
        if done.returncode:
            failures.append(f"{name}: status {done.returncode}\n{done.stdout}")
        pages = sorted(os.path.join(out, f) for f in os.listdir(out) if f.endswith((".html", ".svg")))
        if not any(p.endswith("report.html") for p in pages):
            failures.append(f"{name}: wrote no report.html but {pages}")
        for page in pages:
            check_markup(page)
            if browser and page.endswith(".html"):
                check_in_browser(browser, page)
    for failure in failures:
        print("FAILED:", failure)
    if failures:
        return 1
    print(f"pages and screenshots in {folder}" if browser else "no browser: only the markup was checked")
    return 0 if browser else SKIPPED


if __name__ == "__main__":
    sys.exit(main())
