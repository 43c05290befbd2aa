#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Calibrates what training leaves of benchmarks on a machine: three figures of its GPU.

calibrate_training.py PEAKSTEP TRUTH

  sustained-share    rate of arithmetic over minutes
  collective-delay   [us] what a collective takes longer while a job trains
  overlap-cost       what a collective costs the computation beside it

The figures are those of least mean error over the rows that
tests/accuracy/megatron/times.py calls calibrated on; it prints rows for
simulator/cluster/kernels.csv. Nothing else is fitted, and no other row is looked at.
"""
import os
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "accuracy", "megatron"))
import times  # noqa: E402

GPU = "B200-SXM"
# figure -> least, most, first trial, smallest step, unit
FIGURES = {"sustained-share": (0.7, 1.0, 0.95, 0.01, ""),
           "collective-delay": (0.0, 500.0, 100.0, 10.0, "us"),
           "overlap-cost": (0.0, 1.0, 0.5, 0.05, "")}
STEPS = (4, 2, 1)  # times the smallest one


def score(program, rows, values):
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
        file.write("device,quantity,value,unit,origin\n")
        for key, value in values.items():
            file.write(f"{GPU},{key},{value:.3f},{FIGURES[key][4]},given: trial\n")
        file.flush()
        results = [(row, times.predict_ms(program, row, file.name)) for row in rows]
    errors = times.errors_of(results)
    # squares: a worst row counts more than several good ones
    return sum(error * error for error in errors) / len(errors)


def search(program, rows):
    values = {key: first for key, (_, _, first, _, _) in FIGURES.items()}
    best = score(program, rows, values)
    for step in STEPS:
        moved = True
        while moved:
            moved = False
            for key, (least, most, _, smallest, _) in FIGURES.items():
                for sign in (-1, 1):
                    trial = dict(values)
                    trial[key] = min(most, max(least, trial[key] + sign * step * smallest))
                    found = score(program, rows, trial)
                    if found < best - 1e-9:
                        best, values, moved = found, trial, True
    return values, best


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: calibrate_training.py PEAKSTEP TRUTH")
    rows = [row for row in times.read_rows(sys.argv[2]) if times.is_calibrated_on(row)]
    values, best = search(sys.argv[1], rows)
    print(f"# root of the mean square error over {len(rows)} rows: {best ** 0.5:.2f} %")
    for key, value in values.items():
        print(f"{GPU},{key},{value:.3f},{FIGURES[key][4]},\"derived: least square error of step times over "
              f"{len(rows)} of 26 Megatron runs, by tools/dev/calibrate_training.py\"")


if __name__ == "__main__":
    main()
