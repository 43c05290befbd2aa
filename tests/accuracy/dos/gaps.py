#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What published runs of ZeRO-3 took longer than predicted, by model and by how it was divided.

gaps.py PEAKSTEP TRUTH

Prints a table: rows that are alike but for method and stride are one line, their means in seconds.
"""
import concurrent.futures
import csv
import os
import statistics
import sys

import dos

HEAD = ("machine", "model", "tensor ranks", "data ranks", "micro-batches", "flush", "runs")
PHASES = ("forward", "backward", "optimizer", "iteration")


def flush_of(row):
    return "beside" if dos.is_stride(row) or "async" in row["method"] else "waits"


def line_of(row):
    machine = dos.group_of(row).split(",")[0] + (", bound" if dos.group_of(row) == "A100, bound" else "")
    micro = f"{dos.accumulation(row)} of {row['micro_batch']}"
    return (machine, row["model"].split("-")[0], int(row["tp"]), int(row["dp"]), micro, flush_of(row))


def main():
    program, truth = sys.argv[1:3]
    with open(truth, newline="", encoding="ascii") as file:
        rows = list(csv.DictReader(file))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(lambda row: dos.predict(program, row), rows))
    lines = {}
    for row, out in zip(rows, found):
        gaps = [(float(row[dos.COLUMNS[key]]) - out[key]) / 1e3 for key in PHASES]
        beside = gaps[3] - sum(gaps[:3])
        lines.setdefault(line_of(row), []).append(gaps[:3] + [beside])
    print("| " + " | ".join(HEAD + PHASES[:3] + ("outside",)) + " |")
    print("| --- | --- " + "| ---: " * 3 + "| --- | --- " + "| ---: " * 4 + "|")
    for line, gaps in sorted(lines.items()):
        means = [f"{statistics.mean(column):+.2f}" for column in zip(*gaps)]
        print("| " + " | ".join([*map(str, line), str(len(gaps)), *means]) + " |")


if __name__ == "__main__":
    sys.exit(main())
