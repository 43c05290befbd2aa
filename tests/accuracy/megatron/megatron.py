#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Memory of every rank of measured Megatron runs, predicted against measured.

    megatron.py PROGRAM TRUTH.csv [--case WORD] [--ranks] [--gate]

PROGRAM is accuracy_megatron. Prints one line a run and the errors of each group of runs; --gate
exits 1 where a group's errors are beyond what this project holds them to. Runs that differ in the
number of micro-batches alone share their measured memory and are taken once.
"""
import argparse
import csv
import pathlib
import re
import subprocess
import sys

MIB = 1 << 20
HERE = pathlib.Path(__file__).resolve().parent

# group -> figure -> (mean, worst) in percent, and the least share of ranks that are exact
GATES = {
    "dense": {"allocated": (0.001, 0.001, 0.8), "reserved": (0.05, 0.6, 0.85)},
    "context": {"allocated": (0.001, 0.001, 0.7), "reserved": (0.6, 1.6, 0.45)},
    "experts": {"allocated": (0.01, 0.02, 0.0), "reserved": (0.12, 0.4, 0.0)},
}


def group_of(row):
    if row["model"].startswith("deepseek"):
        return "experts"
    return "context" if int(row["cp"]) > 1 else "dense"


def degrees(row):
    found = dict((name, int(size)) for name, size in re.findall(r"(tp|ep|pp)(\d+)", row["parallel"]))
    tensor, expert, pipeline = found["tp"], found.get("ep", 1), found["pp"]
    context = int(row["cp"])
    data = int(row["gpus"]) // (tensor * context * pipeline)
    return [tensor, context, expert, data, pipeline]


def predict(program, row):
    words = [program, str(HERE / (row["model"] + ".json")), row["layers"]]
    words += [str(degree) for degree in degrees(row)] + [row["seq"], row["micro_batches"]]
    out = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    ranks = [line.split() for line in out.splitlines()]
    return [int(r[1]) / MIB for r in ranks], [int(r[2]) / MIB for r in ranks]


def measured(row, column):
    return [float(value) for value in row[column].split(";")]


def compare(predicted, truth, is_exact):
    errors = [(p / m - 1) * 100 for p, m in zip(predicted, truth)]
    exact = sum(is_exact(p, m) for p, m in zip(predicted, truth))
    return errors, exact


def summary(errors, exact):
    mean = sum(abs(e) for e in errors) / len(errors)
    return mean, max(abs(e) for e in errors), exact / len(errors)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("truth")
    parser.add_argument("--case", default="")
    parser.add_argument("--ranks", action="store_true")
    parser.add_argument("--gate", action="store_true")
    given = parser.parse_args()
    if not pathlib.Path(given.truth).exists():
        print(f"{given.truth} is not there")
        return 77
    groups = {}
    with open(given.truth, encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["micro_batches"] == "4"]
    for row in rows:
        if given.case not in row["case"] or (given.gate and group_of(row) not in GATES):
            continue
        allocated, reserved = predict(given.program, row)
        figures = {
            "allocated": (allocated, measured(row, "per_rank_max_allocated_mib"),
                          lambda p, m: abs(p - m) <= 0.051),
            "reserved": (reserved, measured(row, "per_rank_max_reserved_mib"),
                         lambda p, m: p == m),
        }
        print(row["case"])
        for name, (predicted, truth, is_exact) in figures.items():
            errors, exact = compare(predicted, truth, is_exact)
            mean, worst, share = summary(errors, exact)
            print(f"  {name:9} mean {mean:.4f} % worst {worst:.4f} % exact {share:.0%}")
            if given.ranks and (name == "reserved" or exact < len(truth)):
                for p, m in zip(predicted, truth):
                    print(f"    {p:10.1f} {m:10.1f} {p - m:+9.1f} {(p / m - 1) * 100:+8.4f} %")
            all_errors, all_exact = groups.setdefault((group_of(row), name), ([], [0]))
            all_errors.extend(errors)
            all_exact[0] += exact
    failed = False
    for (group, name), (errors, exact) in groups.items():
        mean, worst, share = summary(errors, exact[0])
        print(f"{group} {name}: {len(errors)} ranks, mean {mean:.4f} % worst {worst:.4f} % "
              f"exact {share:.0%}")
        limit = GATES.get(group, {}).get(name)
        if given.gate and (mean > limit[0] or worst > limit[1] or share < limit[2]):
            print(f"beyond mean {limit[0]} % worst {limit[1]} % exact {limit[2]:.0%}")
            failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
