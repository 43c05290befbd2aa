#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Step times of measured Megatron runs on 8 B200: predicted against measured.

times.py PEAKSTEP TRUTH [--catalogue FILE] [--gate]

Every row of the table is simulated as the command would do it for a user. Six rows are those that
tools/dev/calibrate_training.py sees; the others are not used anywhere and are scored apart.
"""
import argparse
import csv
import json
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
# mean and worst error [%] that hold
GATES = {"dense": (4.0, 7.0), "context parallel": (4.0, 7.0), "experts": (6.0, 12.0)}


def degrees(text):
    return {key: int(value) for key, value in re.findall(r"(tp|ep|pp)(\d+)", text)}


def kind_of(row):
    if row["model"].startswith("deepseek"):
        return "experts"
    return "context parallel" if int(row["cp"]) > 1 else "dense"


def is_calibrated_on(row):
    """Short steps and long ones, without tensor parallelism and, of two models, with most of it."""
    chosen = {"llama3-70b": ("tp1pp2", "tp8pp1"), "llama3-405b": ("tp8pp1",)}
    return row["parallel"] in chosen.get(row["model"], ()) and int(row["cp"]) == 1


def options_of(row):
    found = degrees(row["parallel"])
    options = ["--gpus", row["gpus"], "--gpu", "B200-SXM", "--pytorch", "2.11",
               "--steps", "2", "--seq", row["seq"], "--layers", row["layers"], "--accumulate", row["micro_batches"],
               "--tp", str(found.get("tp", 1)), "--pp", str(found.get("pp", 1))]
    if int(row["cp"]) > 1:
        options += ["--cp", row["cp"]]
    if "ep" in found:
        options += ["--ep", str(found["ep"])]
    return options


def predict_ms(program, row, catalogue=None):
    """[ms] of a step, or the sentence that says why there is none."""
    command = [program, "simulate", os.path.join(HERE, row["model"] + ".json"), "--json"]
    command += options_of(row) + (["--catalogue", catalogue] if catalogue else [])
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode not in (0, 1):
        return run.stderr.strip().split("\n")[0]
    return json.loads(run.stdout)["step_time_ns"] / 1e6


def read_rows(truth):
    with open(truth, newline="") as file:
        return list(csv.DictReader(file))


def errors_of(results):
    return [abs(ms / float(row["measured_iteration_ms"]) - 1) * 100 for row, ms in results]


def summarize(name, results):
    errors = errors_of(results)
    if errors:
        print(f"{name}: {len(errors)} rows, mean {sum(errors) / len(errors):.2f} % "
              f"worst {max(errors):.2f} %")
    return errors


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("truth")
    parser.add_argument("--catalogue")
    parser.add_argument("--gate", action="store_true")
    args = parser.parse_args()
    if not os.path.exists(args.truth):
        print("skipped: no table of measured runs")
        return 77
    results = []
    for row in read_rows(args.truth):
        ms = predict_ms(args.program, row, args.catalogue)
        measured = float(row["measured_iteration_ms"])
        if isinstance(ms, str):
            print(f"{row['case']}: {ms}")
            continue
        mark = "calibrated on" if is_calibrated_on(row) else ""
        print(f"{row['case']:52} {ms:9.1f} ms, measured {measured:9.1f} ms "
              f"{(ms / measured - 1) * 100:+6.1f} %  {mark}".rstrip())
        results.append((row, ms))
    summarize("calibrated on", [r for r in results if is_calibrated_on(r[0])])
    summarize("not used", [r for r in results if not is_calibrated_on(r[0])])
    failed = False
    for kind, (mean, worst) in GATES.items():
        errors = summarize(kind, [r for r in results if kind_of(r[0]) == kind])
        if errors and (sum(errors) / len(errors) > mean or max(errors) > worst):
            print(f"{kind}: more than {mean} % mean or {worst} % worst")
            failed = True
    return 1 if failed and args.gate else 0


if __name__ == "__main__":
    sys.exit(main())
