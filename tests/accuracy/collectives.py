#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measured all-reduces that no figure was calibrated on: collectives.py PROGRAM

Prints the mean and worst error a GPU, and a GPU and group. Fails when a mean is
above LIMITS, and skips (77) without the measurements.
"""
import collections
import os
import subprocess
import sys

SMALL_BYTES = 16 << 20
LIMITS = {"A100": (5.0, 12.0), "V100": (5.0, 12.0)}  # [%] all sizes, below 16 MiB


def main():
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    shared = os.environ.get("PS_SHARED", os.path.join(root, "..", "shared"))
    truth = os.path.join(shared, "truth", "allreduce-nccl-tests.csv")
    if not os.path.exists(truth):
        print(f"skipped: no measurements in {shared}", file=sys.stderr)
        return 77
    text = subprocess.run([sys.argv[1], truth], check=True, capture_output=True, text=True).stdout
    groups = collections.defaultdict(list)
    for line in text.splitlines():
        half, gpu, ranks, size, measured, predicted, *_ = line.split(",")
        if half != "check":
            continue
        error = 100 * abs(int(predicted) / int(measured) - 1)
        for key in ((gpu, "all"), (gpu, f"{ranks} ranks")):
            groups[key].append(error)
        if int(size) < SMALL_BYTES:
            groups[gpu, "below 16 MiB"].append(error)
    for (gpu, what), errors in sorted(groups.items()):
        mean = sum(errors) / len(errors)
        print(f"{gpu} {what}: {len(errors)} rows, mean {mean:.1f} %, worst {max(errors):.0f} %")
    status = 0
    for gpu, limits in LIMITS.items():
        for what, most in zip(("all", "below 16 MiB"), limits):
            errors = groups[gpu, what]
            if not errors or sum(errors) / len(errors) > most:
                print(f"{gpu} {what}: mean error above {most} % or no row", file=sys.stderr)
                status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
