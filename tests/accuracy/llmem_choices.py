#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""LLMem's published fits and choices against `peakstep plan --chooser llmem`:

    llmem_choices.py PEAKSTEP              prints every cell and choice, fails below the gates
    llmem_choices.py PEAKSTEP --calibrate  finds the base memory that simulator/search/llmem.csv has

One figure is free: what lies on a GPU beside tensors. It is calibrated on the models of
CALIBRATED_ON alone, as the middle of the range in which all their cells and choices come out, and
the rest is predicted. Skips (77) without the table.
"""
import csv
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
CALIBRATED_ON = ("facebook/opt-1.3b", "facebook/opt-2.7b")
METHODS = ("4DP", "2DP+2TP", "4TP")
OOM = {"4DP": "oom_4dp", "2DP+2TP": "oom_2dp2tp", "4TP": "oom_4tp"}
LEAST_CELLS, LEAST_CHOICES = 27, 8
STEP_MIB, MOST_MIB = 32, 6144


def table():
    shared = os.environ.get("PS_SHARED", os.path.join(HERE, "..", "..", "..", "shared"))
    path = os.path.join(shared, "truth", "llmem-table3-multi-gpu-time.csv")
    if not os.path.exists(path):
        print(f"skipped: no table in {shared}", file=sys.stderr)
        sys.exit(77)
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def ask(peakstep, row, base_mib):
    command = [peakstep, "plan", row["model"], "--gpus", row["gpus"], "--gpu", "V100-SXM2-16",
               "--memory", row["gpu_mem_total_mib"] + "MiB", "--seq", row["seq_max"],
               "--chooser", "llmem", "--json", "--quiet"]
    if base_mib is not None:
        command += ["--base", f"{base_mib}MiB"]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode not in (0, 1):
        sys.exit(f"{row['model']}: {run.stderr.strip()}")
    return json.loads(run.stdout)


def judge(answer, row):
    """Cells that came out (method: predicted fits, published fits), and whether the choice did."""
    batch = {method["method"]: method["largest_batch"] for method in answer["methods"]}
    cells = {method: (batch[method] > 0, row[OOM[method]] == "0") for method in METHODS}
    return cells, answer["choice"] == row["llmem_selection"]


def is_right(peakstep, row, base_mib):
    cells, choice = judge(ask(peakstep, row, base_mib), row)
    return choice and all(predicted == published for predicted, published in cells.values())


def calibrate(peakstep, rows):
    rows = [row for row in rows if row["model"] in CALIBRATED_ON]
    good = [base for base in range(0, MOST_MIB, STEP_MIB)
            if all(is_right(peakstep, row, base) for row in rows)]
    if not good:
        sys.exit("no base gives the published cells and choices")
    runs = [[good[0]]]
    for base in good[1:]:
        if base == runs[-1][-1] + STEP_MIB:
            runs[-1].append(base)
        else:
            runs.append([base])
    for run in runs:
        print(f"{run[0]} .. {run[-1]} MiB give what is published of {', '.join(CALIBRATED_ON)}")
    longest = max(runs, key=len)
    print(f"base {longest[len(longest) // 2]} MiB")


def check(peakstep, rows):
    right_cells = cell_count = right_choices = 0
    for row in rows:
        answer = ask(peakstep, row, None)
        cells, choice = judge(answer, row)
        mark = "calibrated on" if row["model"] in CALIBRATED_ON else ""
        shown = "  ".join(f"{method} {'fits' if predicted else 'no':4}"
                          f"{'' if predicted == published else ' WRONG'}"
                          for method, (predicted, published) in cells.items())
        print(f"{row['model']:32} {shown}  chooses {answer['choice']:12}"
              f" published {row['llmem_selection']:12} {'' if choice else 'DIFFERS '}{mark}")
        cell_count += len(cells)
        right_cells += sum(predicted == published for predicted, published in cells.values())
        right_choices += choice
    print(f"{right_cells} of {cell_count} cells, {right_choices} of {len(rows)} choices, "
          f"base {answer['base_bytes'] >> 20} MiB")
    if right_cells < LEAST_CELLS or right_choices < LEAST_CHOICES:
        sys.exit(f"fewer than {LEAST_CELLS} cells or {LEAST_CHOICES} choices")


def main():
    if len(sys.argv) < 2 or sys.argv[2:] not in ([], ["--calibrate"]):
        sys.exit(__doc__)
    rows = table()
    (calibrate if sys.argv[2:] else check)(sys.argv[1], rows)


main()
