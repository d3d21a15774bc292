#!/usr/bin/env python3
"""Writes tests/data/random_hashes.csv: what every backend's random numbers must be, from an implementation that shares no code with ours.

    python tests/golden/make_random.py            (needs NumPy; run it in the root of the source tree)

Philox4x32-10 after Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011), checked here against the
known answers of its authors (Random123, kat_vectors). Normals are Box-Muller in double precision: their bits cannot be foreseen (the
library computes them in f32 with formulas of its own), so the file holds the first values, and the test compares with a tolerance.
"""
import pathlib

import numpy as np

MASK = 0xFFFFFFFF


def philox(counter, key):
    c, k = list(counter), list(key)
    for _ in range(10):
        left, right = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(right >> 32) ^ c[1] ^ k[0], right & MASK, (left >> 32) ^ c[3] ^ k[1], left & MASK]
        k = [(k[0] + 0x9E3779B9) & MASK, (k[1] + 0xBB67AE85) & MASK]
    return c


def check_known_answers():
    assert philox([0] * 4, [0] * 2) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    assert philox([MASK] * 4, [MASK] * 2) == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]
    counter = [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344]
    assert philox(counter, [0xA4093822, 0x299F31D0]) == [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]


class Stream:
    """Words of a seed from a block on; a call takes whole blocks."""

    def __init__(self, seed, block):
        self.key, self.block = [seed & MASK, seed >> 32], block

    def take(self, count):
        blocks = -(-count // 4)
        words = []
        for b in range(self.block, self.block + blocks):
            words += philox([b & MASK, b >> 32, 0, 0], self.key)
        self.block += blocks
        return np.array(words[:count], dtype=np.uint64)


def wide(words):  # two words make 64 bits, the first is the low half
    return words[0::2] | (words[1::2] << np.uint64(32))


def uniform(stream, n, dtype, low=0.0, high=1.0):
    if dtype == np.float32:
        unit = (stream.take(n) >> np.uint64(8)).astype(np.float32) * np.float32(2.0**-24)
    else:
        unit = (wide(stream.take(2 * n)) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return dtype(low) + dtype(high - low) * unit


def bernoulli(stream, n, p, dtype):
    return (stream.take(n) < np.uint64(int(p * 2.0**32))).astype(dtype)


def randint(stream, n, low, high, dtype):
    span = high - low
    if span > 2**32:
        return np.array([low + ((int(w) * span) >> 64) for w in wide(stream.take(2 * n))], dtype=dtype)
    return np.array([low + ((int(w) * span) >> 32) for w in stream.take(n)], dtype=dtype)


def randperm(stream, n):
    return np.argsort(wide(stream.take(2 * n)), kind="stable").astype(np.int64)


def normal(stream, n, dtype):
    if dtype == np.float32:
        w = stream.take(2 * n)
        u, turn = ((w[0::2] >> np.uint64(1)).astype(np.float64) + 0.5) / 2.0**31, w[1::2].astype(np.float64) / 2.0**32
    else:
        w = stream.take(4 * n)
        a, b = w[0::4] | (w[1::4] << np.uint64(32)), w[2::4] | (w[3::4] << np.uint64(32))
        u, turn = ((a >> np.uint64(1)).astype(np.float64) + 0.5) / 2.0**63, b.astype(np.float64) / 2.0**64
    return np.sqrt(-2 * np.log(u)) * np.cos(2 * np.pi * turn)


def fnv1a(data):
    h = 0xCBF29CE484222325
    for byte in data:
        h = ((h ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return h


def main():
    check_known_answers()
    f32, f64, i64, n = np.float32, np.float64, np.int64, 1003
    drawn = {
        "rand_f32": lambda s: uniform(s, n, f32),
        "rand_f64": lambda s: uniform(s, n, f64),
        "uniform_f32": lambda s: uniform(s, n, f32, -0.75, 2.5),
        "uniform_f64": lambda s: uniform(s, n, f64, -0.75, 2.5),
        "bernoulli_f32": lambda s: bernoulli(s, n, 0.3, f32),
        "bernoulli_bool": lambda s: bernoulli(s, n, 0.5, np.uint8),
        "randint_i64": lambda s: randint(s, n, -5, 17, i64),
        "randint_i32": lambda s: randint(s, n, 0, 1000, np.int32),
        "randint_word": lambda s: randint(s, n, 0, 2**32, i64),
        "randint_wide": lambda s: randint(s, n, -(2**40), 2**40, i64),
        "randperm": lambda s: randperm(s, n),
    }
    rows = ["name,seed,offset,hash_or_values"]
    for name, draw in drawn.items():
        for seed, offset in ((0, 0), (42, 0), (0x123456789ABCDEF0, 2**32 - 100)):
            rows.append(f"{name},{seed},{offset},{fnv1a(draw(Stream(seed, offset)).tobytes()):016x}")
    for name, dtype in (("randn_f32", f32), ("randn_f64", f64)):
        values = normal(Stream(42, 0), 64, dtype)
        rows.append(f"{name},42,0," + " ".join("%.17g" % v for v in values))
    pathlib.Path("tests/data/random_hashes.csv").write_text("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
