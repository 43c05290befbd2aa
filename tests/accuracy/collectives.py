#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measured all-reduces against predicted ones: collectives.py PROGRAM [--rows]

Prints the mean and worst error a machine: of all rows, of those below 16 MiB, of those that
figures were calibrated on, of the others, and a group, and every published point of other
machines; with --rows, of every row. Fails when a mean is above LIMITS, and skips (77) without the
measurements.
"""
import collections
import os
import subprocess
import sys

SMALL_BYTES = 16 << 20
LIMITS = {"all": 5.0, "below 16 MiB": 12.0, "not calibrated on": 6.0,
          "not calibrated on, below 16 MiB": 12.0}  # [%]


HERE = os.path.dirname(os.path.abspath(__file__))


def predictions(program, table):
    text = subprocess.run([program, table], check=True, capture_output=True, text=True).stdout
    for line in text.splitlines():
        half, gpu, ranks, size, measured, predicted, algorithm, protocol = line.split(",")
        error = 100 * (int(predicted) / int(measured) - 1)
        yield half, gpu, int(ranks), int(size), error, f"{algorithm} {protocol}"


def measurements():
    shared = os.environ.get("PS_SHARED", os.path.join(HERE, "..", "..", "..", "shared"))
    truth = os.path.join(shared, "truth", "allreduce-nccl-tests.csv")
    if not os.path.exists(truth):
        print(f"skipped: no measurements in {shared}", file=sys.stderr)
        sys.exit(77)
    return truth


def show_rows(rows):
    for gpu in dict.fromkeys(row[1] for row in rows):
        cells = {(row[3], row[2]): row for row in rows if row[1] == gpu}
        for size in sorted({size for size, _ in cells}):
            print(f"{gpu} {size / 2**20:6.0f} MiB", *(
                f"{cells[size, n][4]:+6.1f} {cells[size, n][5].split()[1]:6s}"
                for n in range(2, 9)))


def main():
    rows = list(predictions(sys.argv[1], measurements()))
    if "--rows" in sys.argv:
        show_rows(rows)
    for _, gpu, ranks, size, error, way in predictions(
            sys.argv[1], os.path.join(HERE, "collectives-published.csv")):
        print(f"published, {ranks} {gpu}, {size} bytes: {error:+.0f} % ({way})")
    groups = collections.defaultdict(list)
    for half, gpu, ranks, size, error, _ in rows:
        names = ["all", "calibrated on" if half == "fit" else "not calibrated on", f"{ranks} ranks"]
        if size < SMALL_BYTES:
            names.append("below 16 MiB")
            if half != "fit":
                names.append("not calibrated on, below 16 MiB")
        for machine in (gpu, "both"):
            for name in names:
                groups[machine, name].append(abs(error))
    for (gpu, what), errors in sorted(groups.items()):
        mean = sum(errors) / len(errors)
        print(f"{gpu} {what}: {len(errors)} rows, mean {mean:.1f} %, worst {max(errors):.0f} %")
    status = 0
    for gpu in ("A100", "V100"):
        for what, most in LIMITS.items():
            errors = groups[gpu, what]
            if not errors or sum(errors) / len(errors) > most:
                print(f"{gpu} {what}: mean error above {most} % or no row", file=sys.stderr)
                status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
