#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fits the calibrated figures of collectives to measured all-reduces.

    calibrate_collectives.py PROGRAM TRUTH.csv FIGURES.csv > rows.csv

PROGRAM is tests/accuracy/accuracy_collectives, FIGURES.csv is
simulator/cluster/collectives.csv. Rows whose origin begins with "calibrated"
move one at a time, by less and less, as long as the mean of
|log(predicted / measured)| falls over every second size of groups 2, 5 and 8;
no other measurement counts. Prints FIGURES.csv with what they came to.
"""
import csv
import math
import os
import subprocess
import sys
import tempfile

FIRST_STEP, LAST_STEP, SHRINK = 0.2, 0.002, 0.5


def error_of(program, truth, lines):
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
        file.write("\n".join(lines) + "\n")
        file.flush()
        text = subprocess.run([program, truth, file.name, "fit"], check=True,
                              capture_output=True, text=True).stdout
    rows = [line.split(",") for line in text.splitlines()]
    return sum(abs(math.log(int(row[5]) / int(row[4]))) for row in rows) / len(rows)


def moved(line, factor):
    gpu, topology, quantity, value, unit, origin = next(csv.reader([line]))
    value = float(value) * factor
    if quantity.endswith("-share"):
        value = min(value, 1.0)
    text = str(round(value)) if unit == "ns" else f"{value:.4g}"
    return f'{gpu},{topology},{quantity},{text},{unit},"{origin}"'


def main():
    program, truth, path = sys.argv[1:]
    program = os.path.abspath(program)
    with open(path, encoding="utf-8") as file:
        lines = file.read().splitlines()
    free = [i for i, line in enumerate(lines)
            if line[:1] != "#" and next(csv.reader([line]))[5].startswith("calibrated")]
    least = error_of(program, truth, lines)
    step = FIRST_STEP
    while step > LAST_STEP:
        has_moved = False
        for i in free:
            for factor in (1 + step, 1 / (1 + step)):
                tried = lines[:i] + [moved(lines[i], factor)] + lines[i + 1:]
                error = error_of(program, truth, tried)
                if error < least - 1e-6:
                    least, lines, has_moved = error, tried, True
        step = step if has_moved else step * SHRINK
    print(f"mean error {100 * least:.2f} % of the rows it was fitted to", file=sys.stderr)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
