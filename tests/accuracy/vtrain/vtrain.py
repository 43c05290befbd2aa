#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Iteration times of Megatron runs on 64 to 512 A100: predicted against measured.

vtrain.py PEAKSTEP TRUTH [--catalogue FILE] [--stride N] [--gate]

Every row is simulated as the command would do it: the model's shape from a config.json, the cluster
a100-4xhdr, nothing that depends on the model or the row. --stride takes each N-th row alone.
"""
import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile

GATES = {"mean": 6.5, "median": 3.3, "best 80 %": 3.0}
MOST_OVER = 10.0  # [%] no row is predicted to take longer by more


def config_of(row):
    # Megatron-DeepSpeed's GPT; the vocabulary is GPT-2's
    return {"model_type": "gpt2", "n_embd": int(row["hidden"]), "n_head": int(row["heads"]),
            "n_layer": int(row["layers"]), "n_positions": int(row["seq"]), "vocab_size": 50257}


def options_of(row):
    micro_batches = int(row["global_batch"]) // (int(row["dp"]) * int(row["micro_batch"]))
    return ["--gpus", row["gpus"], "--cluster", "a100-4xhdr", "--dtype", "fp16",
            "--seq", row["seq"], "--batch", row["micro_batch"], "--accumulate", str(micro_batches),
            "--tp", row["tp"], "--pp", row["pp"], "--checkpoint", "full", "--steps", "1"]


def predict_ms(program, row, catalogue=None, clusters=None):
    """[ms] of an iteration, or the sentence that says why there is none."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(config_of(row), file)
        file.flush()
        command = [program, "simulate", file.name, "--json"] + options_of(row)
        command += ["--catalogue", catalogue] if catalogue else []
        command += ["--cluster-file", clusters] if clusters else []
        run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode not in (0, 1):
        return run.stderr.strip().split("\n")[0]
    return json.loads(run.stdout)["step_time_ns"] / 1e6


def read_rows(truth):
    with open(truth, newline="") as file:
        return list(csv.DictReader(file))


def is_for_sustained_share(row):
    return row["params_billion"] == "175"


def is_for_rail_change(row):
    # rings leave a node by another port than they came in, and the step is short beside them
    return row["params_billion"] == "3.6" and row["tp"] in ("2", "4")


def is_calibrated_on(row):
    return is_for_sustained_share(row) or is_for_rail_change(row)


def score(errors):
    sizes = sorted(abs(error) for error in errors)
    best = sizes[: max(1, len(sizes) * 8 // 10)]
    return {"mean": sum(sizes) / len(sizes), "median": sizes[len(sizes) // 2],
            "best 80 %": sum(best) / len(best)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("truth")
    parser.add_argument("--catalogue")
    parser.add_argument("--stride", type=int, default=1)
    parser.add_argument("--gate", action="store_true")
    args = parser.parse_args()
    if not os.path.exists(args.truth):
        print("skipped: no table of measured runs")
        return 77
    errors, unused = [], []
    for row in read_rows(args.truth)[:: args.stride]:
        ms = predict_ms(args.program, row, args.catalogue)
        name = (f"{row['params_billion']}B b {row['micro_batch']} of {row['global_batch']} "
                f"tp {row['tp']} dp {row['dp']} pp {row['pp']}")
        if isinstance(ms, str):
            print(f"{name}: {ms}")
            return 1
        measured = float(row["measured_iteration_ms"])
        errors.append((ms / measured - 1) * 100)
        if not is_calibrated_on(row):
            unused.append(errors[-1])
        print(f"{name:38} {ms:9.1f} ms, measured {measured:9.1f} ms {errors[-1]:+6.1f} %",
              flush=True)
    found = score(errors)
    for what, of in (("rows", errors), ("rows not calibrated on", unused)):
        print(f"{len(of)} {what}: " + ", ".join(f"{k} {v:.2f} %" for k, v in score(of).items()) +
              f", most over {max(of):+.1f} %")
    failed = max(errors) > MOST_OVER or any(found[key] > limit for key, limit in GATES.items())
    return 1 if failed and args.gate else 0


if __name__ == "__main__":
    sys.exit(main())
