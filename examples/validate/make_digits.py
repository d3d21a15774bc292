#!/usr/bin/env python3
"""Writes digits_data.inc: the UCI 8x8 handwritten digits as C++ string literals.

  python3 make_digits.py        (needs scikit-learn, whose wheel carries the original table)

An image is 65 characters: its class '0'..'9', then 64 pixels row by row, 'a' for 0 up to 'q' for 16. A line holds five images.
"""
import pathlib

from sklearn.datasets import load_digits

IMAGES_PER_LINE = 5
NOTICE = """\
// Optical Recognition of Handwritten Digits, 1,797 images of 8x8 pixels with 17 grey levels.
// E. Alpaydin and C. Kaynak (1998), UCI Machine Learning Repository, https://doi.org/10.24432/C50P49, licensed CC BY 4.0
// (https://creativecommons.org/licenses/by/4.0/). Changes: the test table alone, written as text by make_digits.py.
// An image is its class '0'..'9' and 64 pixels 'a' (0) to 'q' (16), row by row.
"""


def main():
    table = load_digits()
    images = []
    for pixels, label in zip(table.data.astype(int), table.target):
        assert len(pixels) == 64 and min(pixels) >= 0 and max(pixels) <= 16
        images.append(str(label) + "".join(chr(ord("a") + p) for p in pixels))
    lines = ["".join(images[i:i + IMAGES_PER_LINE]) for i in range(0, len(images), IMAGES_PER_LINE)]
    path = pathlib.Path(__file__).with_name("digits_data.inc")
    path.write_text(NOTICE + "".join(f'"{line}",\n' for line in lines))
    print(f"{path.name}: {len(images)} images, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
