#!/usr/bin/env python3
"""Checks the arithmetic of benchmarks/compare.py on made-up measurements: ratios, noise, floors and what counts as a regression."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "benchmarks"))
import compare  # noqa: E402


def line(seconds, **more):
    return {"median_s": seconds, "threads": 1, "variant": "cpu:0", "framework": "x", "peak_rss_mb": 5, **more}


def a_round(ours, others, again=None):
    return {"ours": {"step": line(ours), "work": {"flops": 3e9}}, "others": [{"step": line(t)} if t else {} for t in others],
            "again": {"step": line(again)} if again else None}


def only_row(rounds, limits=None):
    rows = compare.summary("w", rounds, limits)
    assert len(rows) == 1, rows
    return rows[0]


def main():
    row = only_row([a_round(1.0, [3.0, 2.0]), a_round(1.0, [5.0, None]), a_round(2.0, [6.0, 8.0])], {"fma_gflops": 100})
    assert row["ratio"] == 3.0 and row["ratio_min"] == 2.0 and row["ratio_max"] == 5.0, row
    assert abs(row["floor_s"] - 0.03) < 1e-12, row
    assert "floor_s" not in only_row([a_round(1.0, [3.0])])
    assert compare.summary("w", [a_round(1.0, [None])], None) == []

    assert not compare.incomplete([a_round(1.0, [3.0])]) and not compare.incomplete([a_round(1.0, [3.0], again=1.0)])
    assert compare.incomplete([a_round(1.0, [3.0, None])]) and compare.incomplete([dict(a_round(1.0, [3.0]), again={})])

    def slower_by(factor, noise):
        return compare.regressions([only_row([a_round(factor, [1.0], again=factor * noise)])])

    assert slower_by(1.2, 1.01), "a fifth slower, in a quiet run"
    assert not slower_by(1.2, 1.3), "less than two runs of one build differ"
    assert not slower_by(1.04, 1.0), "less than is ever reported"
    assert not slower_by(0.5, 1.0), "faster"


if __name__ == "__main__":
    main()
    print("compare.py: ratios, floors, noise and regressions are right")
