#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What PyTorch reserves in the runs of the xMem study, beside what was measured there.

    PYTHON oracle_xmem.py LIBSTANDIN_CUDA RUNS.csv OUT.csv [--seeds N] [--jobs N] [--only TEXT]
                          [--zero-grad N] [--attention NAME] [--adafactor torch|transformers]
                          [--workspace TEXT] [--dtype NAME] [--memory BYTES] [--history FILE]

PYTHON is an interpreter with torch (CUDA build) and transformers; 2.6.0 and 4.51.3
are what the study used. Every run is a process of its own on the stand-in for CUDA:
kernels do nothing, PyTorch's allocator decides as on the card, whose memory,
compute capability and multiprocessors the stand-in takes on. So what is left of the
error is what the run's description does not tell.

A run, as the study's loop has it: weights at random in 32 bits, model.train(), lines of
wikitext truncated to 128 tokens and padded to the longest of their batch, 4 steps of
zero_grad, forward, backward, optimizer. `outputs`, `loss` and the batch stay referenced
until the next step assigns them. Lengths of lines are drawn, a seed each: a third of the
lines is empty, a sixth are headings, the rest paragraphs.

Without a workspace of cuBLAS in the allocator (the default here, --workspace :0:0) the
runs of the study's first sets come out to the byte; PyTorch's default (--workspace "")
is 8.125 MiB a thread that multiplies matrices on these cards.

OUT.csv has a line a run: the median, least and largest peak of reserved bytes over the
seeds, with what the driver loads added, and the error against the measured peak.
"""
import argparse
import csv
import multiprocessing
import os
import pathlib
import random
import statistics
import subprocess
import sys

import published_configs

MIB = 1 << 20
STEPS = 4
LONGEST = 128
# Of a card: capability, multiprocessors, bytes that contexts leave of its memory, and
# what is loaded after the first sample of the measurement.
CARDS = {
    "NVIDIA GeForce RTX 3060": ("8.6", 28, 12622168064 - 155 * MIB, 18 * MIB),
    "NVIDIA GeForce RTX 4060": ("8.9", 24, 8318222336 - 119 * MIB, 14 * MIB),
    "NVIDIA A100-SXM4-40GB": ("8.0", 108, 42474471424 - 500 * MIB, 354 * MIB),
}
PADDED_TO_LONGEST = ("pythia", "DeepSeek-R1", "Qwen3")
EMPTY_SHARE, HEADING_SHARE = 0.353, 0.16
PARAGRAPH_TOKENS, PARAGRAPH_SHAPE = 145.0, 2.2


def line_tokens(draw):
    """Tokens of a line of the text, cut."""
    kind = draw.random()
    if kind < EMPTY_SHARE:
        return 1
    if kind < EMPTY_SHARE + HEADING_SHARE:
        return draw.randint(5, 14)
    tokens = draw.gammavariate(PARAGRAPH_SHAPE, PARAGRAPH_TOKENS / PARAGRAPH_SHAPE)
    return min(LONGEST, max(8, round(tokens)))


def batch_lengths(model, batch, seed):
    """Length of each step's batch."""
    if any(text in model for text in PADDED_TO_LONGEST):
        return [LONGEST] * STEPS
    draw = random.Random(seed * 1000003 + batch)
    return [max(line_tokens(draw) for _ in range(batch)) for _ in range(STEPS)]


def make_optimizer(name, parameters, adafactor):
    import torch
    import transformers
    if name == "Adafactor":
        if adafactor == "transformers":
            return transformers.Adafactor(parameters, lr=0.001, relative_step=False)
        return torch.optim.Adafactor(parameters, lr=0.001)
    return getattr(torch.optim, name)(parameters, lr=0.001)


def masks_are_full():
    """A batch of one line has no padding, which a read from this device cannot tell."""
    from transformers import modeling_attn_mask_utils
    converter = modeling_attn_mask_utils.AttentionMaskConverter
    converter._ignore_causal_mask_sdpa = staticmethod(lambda *_, **__: True)


def train(task, lengths):
    import torch
    model = published_configs.build(published_configs.MODELS[task["model"]], task["dtype"],
                                    task["attention"])
    optimizer = make_optimizer(task["optimizer"], model.parameters(), task["adafactor"])
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=7, gamma=0.1)
    if task["batch"] == 1 and len(set(lengths)) > 1:
        masks_are_full()
    device = torch.device("cuda")
    model.to(device)
    for length in lengths:
        if task["zero_grad"] == 0:
            optimizer.zero_grad()
        tokens = torch.zeros(task["batch"], length, dtype=torch.long)
        batch = {"input_ids": tokens, "attention_mask": tokens.clone(), "labels": tokens.clone()}
        batch = {key: value.to(device) for key, value in batch.items()}
        outputs = model(**batch)
        if task["zero_grad"] == 1:
            optimizer.zero_grad()
        loss = outputs.loss
        loss.backward()
        optimizer.step()
        if task["zero_grad"] == 2:
            optimizer.zero_grad()
        scheduler.step()


def run(task):
    """In a process of its own: peak of reserved and allocated bytes, or out of memory."""
    capability, multiprocessors, memory, _ = CARDS[task["gpu"]]
    os.environ["STANDIN_CAPABILITY"] = capability
    os.environ["STANDIN_MULTIPROCESSORS"] = str(multiprocessors)
    os.environ["STANDIN_MEMORY_BYTES"] = str(task["memory"] or memory)
    import torch
    lengths = batch_lengths(task["model"], task["batch"], task["seed"])
    is_oom = False
    if task["history"]:
        torch.cuda.memory._record_memory_history(enabled="all", context="all", stacks="python",
                                                 max_entries=10_000_000)
    try:
        train(task, lengths)
    except torch.OutOfMemoryError:
        is_oom = True
    if task["history"]:
        torch.cuda.memory._dump_snapshot(task["history"])
    return dict(task, lengths=lengths, oom=is_oom, reserved=torch.cuda.max_memory_reserved(),
                allocated=torch.cuda.max_memory_allocated())


def tasks_of(row, options):
    position = row["zero_grad_position"]
    mode = options.zero_grad
    if mode is None or position != "null":
        mode = 0 if position == "null" else int(position)
    batch = int(row["batch"])
    fixed = any(text in row["model"] for text in PADDED_TO_LONGEST)
    for seed in range(1 if fixed or batch > 40 else options.seeds):
        yield dict(gpu=row["gpu"], model=row["model"], optimizer=row["optimizer"], batch=batch,
                   zero_grad=mode, seed=seed, dtype=options.dtype, attention=options.attention,
                   adafactor=options.adafactor, memory=options.memory, history=options.history)


def summary(row, results):
    loaded = CARDS[row["gpu"]][3]
    peaks = sorted(result["reserved"] + loaded for result in results)
    measured = int(row["measured_nvml_peak_bytes"])
    middle = int(statistics.median(peaks))
    return dict(
        gpu=row["gpu"], model=row["model"], optimizer=row["optimizer"], batch=row["batch"],
        zero_grad=results[0]["zero_grad"], set=row["set"], measured_bytes=measured,
        oracle_bytes=middle, least_bytes=peaks[0], largest_bytes=peaks[-1],
        allocated_bytes=int(statistics.median(r["allocated"] for r in results)),
        error_percent=f"{100 * (middle - measured) / measured:.2f}",
        oom=row["oom"], oracle_oom=int(2 * sum(r["oom"] for r in results) > len(results)),
        xmem_percent="" if not row["xmem_bytes"] else
        f"{100 * (int(float(row['xmem_bytes'])) - measured) / measured:.2f}",
        lengths=" ".join(map(str, results[0]["lengths"])))


def median_error(rows):
    errors = [abs(float(row["error_percent"])) for row in rows]
    return f"{statistics.median(errors):6.2f} % of {len(errors)}" if errors else "   -"


def report(rows):
    fits = [row for row in rows if row["oom"] == "0" and not row["oracle_oom"]]
    print("median error, all:", median_error(fits))
    for name, chosen in (("batch <= 10", [r for r in fits if int(r["batch"]) <= 10]),
                         ("batch > 10", [r for r in fits if int(r["batch"]) > 10])):
        print(f"  {name:34}", median_error(chosen))
    for key in ("gpu", "model", "optimizer"):
        for value in sorted({row[key] for row in fits}):
            print(f"  {value:34}", median_error([row for row in fits if row[key] == value]))
    right = sum(int(row["oom"]) == row["oracle_oom"] for row in rows)
    print(f"out of memory as measured: {right} of {len(rows)}")


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("library")
    parser.add_argument("runs")
    parser.add_argument("out")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="", help="runs whose line contains this")
    parser.add_argument("--zero-grad", type=int, help="position where the study names none")
    parser.add_argument("--attention", help="of transformers: eager, sdpa")
    parser.add_argument("--adafactor", choices=["torch", "transformers"], default="transformers")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--workspace", default=":0:0", help="CUBLAS_WORKSPACE_CONFIG")
    parser.add_argument("--memory", type=int, help="instead of the card's")
    parser.add_argument("--history", help="file for the memory history of the last run")
    return parser.parse_args()


def main():
    options = parse()
    if "libstandin_cuda" not in os.environ.get("LD_PRELOAD", ""):
        environment = dict(os.environ, LD_PRELOAD=str(pathlib.Path(options.library).resolve()),
                           OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1",
                           TRANSFORMERS_VERBOSITY="error")
        if options.workspace:
            environment["CUBLAS_WORKSPACE_CONFIG"] = options.workspace
        return subprocess.run([sys.executable, *sys.argv], env=environment, check=False).returncode
    with open(options.runs, encoding="utf-8", newline="") as file:
        chosen = [row for row in csv.DictReader(file)
                  if row["model"] in published_configs.MODELS
                  and options.only in ",".join(row.values())]
    import torch  # noqa: F401  before the processes fork, without a device
    import transformers
    transformers.AutoModelForCausalLM, transformers.AutoModelForSeq2SeqLM
    tasks = [(index, task) for index, row in enumerate(chosen) for task in tasks_of(row, options)]
    results = {}
    with multiprocessing.get_context("fork").Pool(options.jobs, maxtasksperchild=1) as pool:
        for (index, _), result in zip(tasks, pool.imap(run, [task for _, task in tasks])):
            results.setdefault(index, []).append(result)
    rows = [summary(row, results[index]) for index, row in enumerate(chosen)]
    with open(options.out, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    report(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
