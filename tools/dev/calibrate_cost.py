#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fits figures of the cost model to recorded kernels.

    calibrate_cost.py BUILD KERNELS.csv... > rows.csv

BUILD holds tests/accuracy/accuracy_kernels; KERNELS.csv comes from
tests/accuracy/kernels.py. Only rows whose `half` is "fit" count. The figures
of FIGURES start from the catalogue's and move one at a time, by less and less,
as long as the error falls:

    error = mean over recordings and kinds, weighted by the root of their shapes
            (at most 30), of 0.6 mean + 0.4 median of |log(predicted / recorded)|

by formulas alone. Prints catalogue rows for
simulator/cluster; what they come to on the other half is for
tests/accuracy/kernels.sh to say.
"""
import collections
import math
import os
import statistics
import subprocess
import sys
import tempfile

# device, quantity, unit, start, least, most
FIGURES = [
    ("family-gpu", "kernel-floor", "ns", 1900, 500, 4000),
    ("family-gpu", "vector-share", "", 0.83, 0.6, 0.95),
    ("family-gpu", "overlap-loss", "", 0.48, 0.001, 0.6),
    ("family-gpu", "tile-half", "", 6, 2, 60),
    ("family-gpu", "tile-fixed", "ns", 1200, 50, 4000),
    ("family-gpu", "vector-tile-fixed", "ns", 1500, 300, 9000),
    ("family-gpu", "step-latency", "ns", 75, 10, 600),
    ("family-gpu", "vector-step-latency", "ns", 116, 10, 800),
    ("family-gpu", "split-fixed", "ns", 5900, 300, 8000),
    ("family-gpu", "stream-share", "", 0.915, 0.7, 0.97),
    ("family-gpu", "l2-share", "", 0.4, 0.2, 1.5),
    ("family-gpu", "l2-fade", "", 2.5, 1.2, 8),
    ("family-gpu", "l2-speed", "", 2.4, 1.1, 5),
    ("family-gpu", "contiguous-rate", "", 10000, 3000, 60000),
    ("family-gpu", "strided-rate", "", 3400, 500, 10000),
    ("family-gpu", "rows-rate", "", 2000, 500, 20000),
    ("family-gpu", "strided-fixed", "ns", 920, 100, 4000),
    ("family-gpu", "rows-fixed", "ns", 1150, 100, 6000),
    ("family-gpu", "reduction-fixed", "ns", 5100, 100, 8000),
    ("family-gpu", "attention-forward-share", "", 0.55, 0.2, 0.9),
    ("family-gpu", "attention-backward-share", "", 0.45, 0.2, 0.9),
    ("family-gpu", "attention-half", "", 44, 8, 64),
    ("family-gpu", "attention-fixed", "ns", 8800, 1000, 15000),
    ("T4", "clock-share", "", 0.47, 0.25, 1),
    ("A100-PCIe-40", "clock-share", "", 0.34, 0.25, 1),
    ("A100-PCIe-80", "matmul-share", "", 0.79, 0.7, 0.9),
    ("B200-SXM", "matmul-share", "", 0.526, 0.3, 0.78),
    ("H100-SXM-80", "overlap-loss", "", 0.1, 0.001, 0.6),
    ("MI300X", "kernel-floor", "ns", 4600, 500, 8000),
    ("MI300X", "attention-fixed", "ns", 27700, 1000, 40000),
]
WHOLE = {"tile-half", "attention-half", "contiguous-rate", "strided-rate", "rows-rate"}
# columns of accuracy_kernels --rows
HALF, RECORDING, KIND, RATIO = 0, 1, 3, 14


def text_of(figure, value):
    _, quantity, unit, *_ = figure
    return "%d" % round(value) if unit == "ns" or quantity in WHOLE else "%.4f" % value


def write_rows(file, values):
    file.write("device,quantity,value,unit,origin\n")
    for figure, value in zip(FIGURES, values):
        device, quantity, unit, *_ = figure
        file.write("%s,%s,%s,%s,derived: calibrate_cost.py\n" % (device, quantity, text_of(figure, value), unit))


def error_of(program, kernels, values):
    errors = collections.defaultdict(list)
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as machine:
        write_rows(machine, values)
        machine.flush()
        for file in kernels:
            done = subprocess.run([program, "--formulas", "--rows", "--machine", machine.name, file],
                                  capture_output=True, text=True, check=True)
            for line in done.stdout.splitlines():
                field = line.split(",")
                if field[HALF] == "fit":
                    key = field[RECORDING], field[KIND]
                    errors[key].append(abs(math.log(float(field[RATIO]))))
    total = weights = 0.0
    for key in sorted(errors):
        rows = errors[key]
        weight = math.sqrt(min(len(rows), 30))
        total += weight * (0.6 * statistics.mean(rows) + 0.4 * statistics.median(rows))
        weights += weight
    return total / weights


def main():
    if len(sys.argv) < 3:
        sys.exit("calibrate_cost.py BUILD KERNELS.csv...")
    program = os.path.join(sys.argv[1], "tests/accuracy/accuracy_kernels")
    kernels = sys.argv[2:]
    values = [figure[3] for figure in FIGURES]
    best = error_of(program, kernels, values)
    steps = [0.2] * len(FIGURES)
    while max(steps) > 0.02:
        for i, (*_, least, most) in enumerate(FIGURES):
            for sign in (1, -1):
                moved = list(values)
                moved[i] = min(max(values[i] * math.exp(sign * steps[i]), least), most)
                error = error_of(program, kernels, moved)
                if error < best - 1e-5:
                    best, values = error, moved
                    break
            else:
                steps[i] *= 0.6
        print("error %.4f" % best, file=sys.stderr)
    write_rows(sys.stdout, values)


if __name__ == "__main__":
    main()
