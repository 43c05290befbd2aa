#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Where ZO2 hides its transfers: its step time over that of MeZO, which keeps all on the device.

    tests/accuracy/zo2_region.py PEAKSTEP            the tables of docs/OFFLOAD.md, as Markdown
    tests/accuracy/zo2_region.py PEAKSTEP --check    exit status 1 where the shape is another

Both run on the same GPU without a limit of memory; the host link's bandwidth in each direction, the
batch and the sequence are varied.
"""
import json
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
GPU = "A100-SXM-80"
LINKS = (8, 16, 26, 32, 64, 128)  # GB/s each way; 26 is that GPU's own
SHAPES = [(batch, length) for length in (512, 1024, 2048) for batch in (1, 2, 4, 8)]
HIDDEN = 1.05
MODELS = ("6.7b", "30b")


def step_ns(program, model, batch, length, *options):
    command = [program, "simulate", "-q", "--json", str(HERE / f"models/zo2-opt-{model}.json"),
               "--gpu", GPU, "--batch", str(batch), "--seq", str(length), "--dtype", "fp16",
               "--optimizer", "mezo", *options]
    # status 1: it does not fit, which the time does not depend on
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode not in (0, 1):
        sys.exit(run.stderr)
    return json.loads(run.stdout)["step_time_ns"]


def ratios(program, model, batch, length, links):
    alone = step_ns(program, model, batch, length)
    return alone, [step_ns(program, model, batch, length, "--policy", "zo2", "--pcie",
                           f"{link}GB/s") / alone for link in links]


def cell(ratio):
    return f"**{ratio:.2f}**" if ratio <= HIDDEN else f"{ratio:.2f}"


def print_table(program, model):
    print(f"OPT-{model.upper()}, fp16, {GPU}: time of a ZO2 step over that of a MeZO step; bold: "
          f"within {HIDDEN - 1:.0%}.\n")
    print("| sequence | batch | MeZO ms |" + "".join(f" {link} GB/s |" for link in LINKS))
    print("| ---: | ---: | ---: |" + " ---: |" * len(LINKS))
    for batch, length in SHAPES:
        alone, row = ratios(program, model, batch, length, LINKS)
        print(f"| {length} | {batch} | {alone / 1e6:.0f} |" +
              "".join(f" {cell(ratio)} |" for ratio in row))
    print()


def check(program):
    """Transfers hide behind many tokens and fast links, bound the step behind few and slow ones."""
    wrong = []
    _, many = ratios(program, "6.7b", 4, 2048, LINKS)
    _, few = ratios(program, "6.7b", 1, 512, LINKS)
    if not all(ratio <= HIDDEN for ratio in many[2:]):
        wrong.append(f"8192 tokens: {many}")
    if few[0] < 2 or sorted(few, reverse=True) != few:
        wrong.append(f"512 tokens: {few}")
    # twice as slow a link: twice the time, where the link is all there is
    if not 1.9 <= few[0] / few[1] <= 2.0:
        wrong.append(f"512 tokens, 8 and 16 GB/s: {few[0] / few[1]}")
    for line in wrong:
        print(line)
    return 1 if wrong else 0


def main():
    if len(sys.argv) < 2 or sys.argv[2:] not in ([], ["--check"]):
        print("usage: zo2_region.py PEAKSTEP [--check]", file=sys.stderr)
        return 2
    if sys.argv[2:]:
        return check(sys.argv[1])
    for model in MODELS:
        print_table(sys.argv[1], model)
    return 0


if __name__ == "__main__":
    sys.exit(main())
