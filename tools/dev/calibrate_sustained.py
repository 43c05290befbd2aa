#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Calibrates what heat and power leave of a GPU's arithmetic over hours: sustained-share of the A100.

calibrate_sustained.py PEAKSTEP TRUTH

The figure is the one that makes the median error of the runs of 175 billion parameters zero, by two
trials and the line between them; runs of other models are not looked at. TRUTH is the table of
tests/accuracy/vtrain/vtrain.py. Prints a row for simulator/cluster/kernels.csv.
"""
import os
import statistics
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "accuracy", "vtrain"))
import vtrain  # noqa: E402

GPU = "A100-SXM-80"
TRIALS = (1.0, 0.95)


def median_error(program, rows, share):
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
        file.write(f"device,quantity,value,unit,origin\n{GPU},sustained-share,{share},,given: trial\n")
        file.flush()
        return statistics.median(
            vtrain.predict_ms(program, row, file.name) / float(row["measured_iteration_ms"]) - 1
            for row in rows)


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: calibrate_sustained.py PEAKSTEP TRUTH")
    rows = [row for row in vtrain.read_rows(sys.argv[2]) if vtrain.is_calibrated_on(row)]
    high, low = (median_error(sys.argv[1], rows, share) for share in TRIALS)
    share = TRIALS[0] + (TRIALS[1] - TRIALS[0]) * high / (high - low)
    print(f"{GPU},sustained-share,{share:.3f},,\"derived: median error 0 of iteration times of "
          f"{len(rows)} Megatron runs of 175 billion parameters, by "
          "tools/dev/calibrate_sustained.py\"")


if __name__ == "__main__":
    main()
