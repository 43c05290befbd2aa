#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Calibrates the hosts of published ZeRO-3 runs: rates of memory, cores, slots and pageable copies.

calibrate_offload.py PEAKSTEP TRUTH [KIND]

TRUTH is dos-runs.csv. The figures are those of least mean square error of forward, backward and
step over the rows that tests/accuracy/dos/dos.py calls calibrated on; it prints rows for
simulator/cluster/clusters.csv and software.csv. No other row is looked at.
"""
import concurrent.futures
import csv
import os
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "accuracy", "dos"))
import dos  # noqa: E402

# kind of node -> figure -> first trial; GB/s, of the host's module-hook us, shares of 1
FIGURES = {
    "a100-40-numa-4": {"host-stream": 42, "slot": 20.3, "slot-echo": 16.4, "staged-up": 4.7,
                       "staged-down": 7.4, "module-hook": 570, "unbound-share": 0.96,
                       "unbound-crowding": 0.8, "scatter-share": 0.72, "rail-change": 1.65},
    "h100-80-smt-4": {"host-stream": 256, "core-stream": 4.79, "slot-echo": 15, "staged-up": 2.5,
                      "staged-down": 10, "module-hook": 430},
}
SHARES = ("unbound-share", "unbound-crowding", "scatter-share")
# figures that only some rows can tell
TOLD_BY = {
    "unbound-share": lambda row: not dos.is_bound(row),
    "unbound-crowding": lambda row: not dos.is_bound(row),
    "scatter-share": lambda row: int(row["gpus_total"]) > 4,
    "rail-change": lambda row: int(row["gpus_total"]) > 4 and row["tp"] != "1",
}
STEPS = (1.15, 1.07, 1.03, 1.015)


def rows_of(kind, values):
    clusters, hosts = [], []
    for key, value in values.items():
        if key == "module-hook":
            hosts.append((dos.HOST_OF[kind], key, value, "us"))
        elif key in SHARES:
            clusters.append((kind, key, min(value, 1), ""))
        elif key == "slot":
            clusters += [(kind, "slot-up", value, "GB/s"), (kind, "slot-down", value, "GB/s")]
        else:
            clusters.append((kind, key, value, "GB/s"))
    return clusters, hosts


def write(folder, name, head, rows):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="ascii") as file:
        file.write(head + "\n")
        for thing, key, value, unit in rows:
            file.write(f"{thing},{key},{value:.4g},{unit},derived: trial\n")
    return path


def squares(row, out):
    return sum((out[key] / float(row[dos.COLUMNS[key]]) - 1) ** 2 for key in dos.PHASES)


def point_of(row, values):
    return row["run_dir"], row["method"], row["tp"], row["dp"], row["global_batch"], tuple(
        value for key, value in values.items() if TOLD_BY.get(key, lambda _: True)(row))


def score(program, kind, rows, values, known):
    """Mean square error; `known` keeps what rows have come to with the figures that they tell."""
    missing = [row for row in rows if point_of(row, values) not in known]
    with tempfile.TemporaryDirectory() as folder:
        clusters, hosts = rows_of(kind, values)
        extra = ["--cluster-file", write(folder, "clusters.csv", "node,quantity,value,unit,origin",
                                         clusters)]
        if hosts:
            extra += ["--catalogue", write(folder, "hosts.csv",
                                           "device,quantity,value,unit,origin", hosts)]
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            found = list(pool.map(lambda row: dos.predict(program, row, extra), missing))
    known.update((point_of(row, values), squares(row, out)) for row, out in zip(missing, found))
    return sum(known[point_of(row, values)] for row in rows) / len(rows) / len(dos.PHASES)


def search(program, kind, rows):
    values, known = dict(FIGURES[kind]), {}
    best = score(program, kind, rows, values, known)
    for step in STEPS:
        moved = True
        while moved:
            moved = False
            for key in values:
                for factor in (step, 1 / step):
                    trial = {**values, key: float(f"{values[key] * factor:.4g}")}
                    found = score(program, kind, rows, trial, known)
                    if found < best - 1e-9:
                        best, values, moved = found, trial, True
    return values, best


def main():
    program, truth = sys.argv[1:3]
    with open(truth, newline="", encoding="ascii") as file:
        every = list(csv.DictReader(file))
    for kind in sys.argv[3:] or FIGURES:
        rows = [row for row in every if dos.is_calibrated(row) and dos.cluster_of(row) == kind]
        values, best = search(program, kind, rows)
        print(f"# {kind}: {len(rows)} rows, root mean square error {best ** 0.5 * 100:.1f} %")
        for part in rows_of(kind, values):
            for thing, key, value, unit in part:
                print(f'{thing},{key},{value:.4g},{unit},"derived: by tools/dev/calibrate_offload.py"')


if __name__ == "__main__":
    main()
