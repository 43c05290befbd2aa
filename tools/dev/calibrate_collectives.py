#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fits the calibrated figures of collectives to measured all-reduces.

    calibrate_collectives.py PROGRAM TRUTH.csv [GROUPS] > rows.csv

PROGRAM is tests/accuracy/accuracy_collectives. A random search with shrinking steps, from several
seeds, makes the mean of |log(predicted / measured)| least over the rows that PROGRAM calls "fit":
every second size of groups 2, 4 and 8 (or of GROUPS: "357"); forwarded-share alone rests on the
largest size of five V100. No other measurement counts. Prints rows for
simulator/cluster/collectives.csv, and as comments the mean error of all rows and of the others.
"""
import math
import random
import subprocess
import sys
import tempfile

# unit and where the search begins
START = {
    "a100-nvswitch": {"base-latency": ("ns", 30000), "simple-hop": ("ns", 2500),
                      "ll128-hop": ("ns", 2000), "link-share": ("", 0.8),
                      "ll128-share": ("", 0.9), "copy-rate": ("GB/s", 500)},
    "v100-nvlink": {"base-latency": ("ns", 20000), "simple-hop": ("ns", 2500),
                    "ll128-hop": ("ns", 2000), "link-share": ("", 0.9), "ll128-share": ("", 0.9)},
}
GPU = {"a100-nvswitch": "A100", "v100-nvlink": "V100"}
ORIGIN = "derived: least error over measured all-reduces, by tools/dev/calibrate_collectives.py"
GROUPS = sys.argv[3] if len(sys.argv) > 3 else "248"
SEEDS, TRIES, FIRST_STEP, LAST_STEP, SHRINK = 4, 60, 0.3, 0.002, 0.6


def text_of(unit, value):
    return str(round(value)) if unit == "ns" else f"{value:.4g}"


def rows_of(machine, values, origin="derived: trial"):
    return [f'{machine},{name},{text_of(unit, values[name])},{unit},"{origin}"'
            for name, (unit, _) in START[machine].items()]


def predictions(program, truth, lines):
    """Rows of PROGRAM with these figures."""
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
        file.write("machine,quantity,value,unit,origin\n" + "\n".join(lines) + "\n")
        file.flush()
        text = subprocess.run([program, truth, file.name, GROUPS], check=True, capture_output=True,
                              text=True).stdout
    return [line.split(",") for line in text.splitlines()]


def is_forwarded(row):
    return row[1] == "V100" and row[2] == "5"


def error_of(rows, gpu):
    errors = [abs(math.log(int(row[5]) / int(row[4]))) for row in rows
              if row[0] == "fit" and row[1] == gpu and not is_forwarded(row)]
    return sum(errors) / len(errors)


def search(program, truth, machine, seed):
    pick = random.Random(seed)
    best = {name: value for name, (_, value) in START[machine].items()}
    least = error_of(predictions(program, truth, rows_of(machine, best)), GPU[machine])
    step = FIRST_STEP
    while step > LAST_STEP:
        is_better = False
        for _ in range(TRIES):
            values = {name: value * math.exp(pick.gauss(0, step)) if pick.random() < 0.5 else value
                      for name, value in best.items()}
            values = {name: min(value, 1.0) if name.endswith("-share") else value
                      for name, value in values.items()}
            error = error_of(predictions(program, truth, rows_of(machine, values)), GPU[machine])
            if error < least:
                least, best, is_better = error, values, True
        if not is_better:
            step *= SHRINK
    return least, best


def forwarded(program, truth, lines):
    """Share that makes the one row of five GPUs right, its latency being negligible."""
    lines = lines + ['v100-nvlink,forwarded-share,1,,"derived: trial"']
    row = [row for row in predictions(program, truth, lines) if is_forwarded(row)][-1]
    return int(row[5]) / int(row[4])


def show_errors(rows):
    for gpu in GPU.values():
        for what, halves in (("all", ("fit", "check")), ("not calibrated on", ("check",))):
            errors = [abs(int(row[5]) / int(row[4]) - 1) for row in rows
                      if row[1] == gpu and row[0] in halves]
            print(f"# {gpu}, {what}: {100 * sum(errors) / len(errors):.1f} %")


def main():
    program, truth = sys.argv[1:3]
    out = []
    for machine in START:
        least, values = min((search(program, truth, machine, seed) for seed in range(SEEDS)),
                            key=lambda found: found[0])
        print(f"# {machine}: {100 * least:.2f} %")
        out += rows_of(machine, values, ORIGIN)
    share = forwarded(program, truth, out)
    out.append(f'v100-nvlink,forwarded-share,{share:.4g},,"derived: measured all-reduce of five, '
               '1 GiB, by tools/dev/calibrate_collectives.py"')
    print("\n".join(out))
    show_errors(predictions(program, truth, out))


if __name__ == "__main__":
    main()
