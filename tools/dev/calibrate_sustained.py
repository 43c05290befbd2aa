#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Calibrates two figures that only long runs on many nodes show, of the A100 and of its cluster.

calibrate_sustained.py PEAKSTEP TRUTH

  sustained-share  what heat and power leave of a GPU's arithmetic over hours: median error 0 of
                   the runs of 175 billion parameters
  rail-change      [GB/s] what a port passes on of rings that leave a node by another port than
                   they came in: median error 0 of the runs of 3.6 billion with such rings

Step time goes with the inverse of each, so that two trials of a figure give all others; both are
sought in turn until neither moves. Other runs are not looked at. TRUTH is the table of
tests/accuracy/vtrain/vtrain.py. Prints rows for simulator/cluster/kernels.csv and clusters.csv.
"""
import os
import statistics
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "accuracy", "vtrain"))
import vtrain  # noqa: E402

GPU, CLUSTER = "A100-SXM-80", "a100-4xhdr"
SHARES = (1.0, 0.95)
RATES = (16.0, 8.0)  # [GB/s]
MOST_TURNS = 100


def trial(program, rows, share, rate):
    """Step times over measured ones."""
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as figures, \
            tempfile.NamedTemporaryFile("w", suffix=".csv") as clusters:
        figures.write("device,quantity,value,unit,origin\n"
                      f"{GPU},sustained-share,{share},,given: trial\n")
        clusters.write("node,quantity,value,unit,origin\n"
                       f"{CLUSTER},rail-change,{rate},GB/s,given: trial\n")
        figures.flush()
        clusters.flush()
        times = [vtrain.predict_ms(program, row, figures.name, clusters.name) for row in rows]
    refused = [ms for ms in times if isinstance(ms, str)]
    if refused:
        sys.exit(refused[0])
    return [ms / float(row["measured_iteration_ms"]) for ms, row in zip(times, rows)]


class Line:
    """Times as a function of the inverses of both figures."""

    def __init__(self, program, rows):
        self.base = trial(program, rows, SHARES[0], RATES[0])
        by_share = trial(program, rows, SHARES[1], RATES[0])
        by_rate = trial(program, rows, SHARES[0], RATES[1])
        self.of_share = [(b - a) / (1 / SHARES[1] - 1 / SHARES[0])
                         for a, b in zip(self.base, by_share)]
        self.of_rate = [(b - a) / (1 / RATES[1] - 1 / RATES[0])
                        for a, b in zip(self.base, by_rate)]

    def median_error(self, inverse_share, inverse_rate):
        return statistics.median(
            a + s * (inverse_share - 1 / SHARES[0]) + r * (inverse_rate - 1 / RATES[0])
            for a, s, r in zip(self.base, self.of_share, self.of_rate)) - 1


def root(error, low, high):
    """Where a rising function is 0; the nearer end if it is not between."""
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if error(middle) < 0 else (low, middle)
    return (low + high) / 2


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: calibrate_sustained.py PEAKSTEP TRUTH")
    rows = vtrain.read_rows(sys.argv[2])
    large = [row for row in rows if vtrain.is_for_sustained_share(row)]
    small = [row for row in rows if vtrain.is_for_rail_change(row)]
    of_large, of_small = Line(sys.argv[1], large), Line(sys.argv[1], small)
    share, rate = 1 / SHARES[0], 1 / RATES[0]
    for _ in range(MOST_TURNS):
        last = (share, rate)
        share = root(lambda x: of_large.median_error(x, rate), 1 / 1.2, 1 / 0.5)
        rate = root(lambda x: of_small.median_error(share, x), 1 / 50, 1)
        if max(abs(share - last[0]), abs(rate - last[1])) < 1e-6:
            break
    by = "by tools/dev/calibrate_sustained.py"
    print(f"{GPU},sustained-share,{1 / share:.3f},,\"derived: median error 0 of iteration times of "
          f"{len(large)} Megatron runs of 175 billion parameters, {by}\"")
    print(f"{CLUSTER},rail-change,{1 / rate:.2f},GB/s,\"derived: median error 0 of iteration times "
          f"of {len(small)} Megatron runs of 3.6 billion parameters, {by}\"")


if __name__ == "__main__":
    main()
