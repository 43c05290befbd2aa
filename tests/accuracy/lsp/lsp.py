#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""LSP-Offload: published times, slow-downs and memory against predicted ones.

    lsp.py PEAKSTEP [--check]

Four tables and their errors; with --check, exit status 1 where an error is above its limit.
Figures of the two machines that were found from one published time each (calibrate.py) are marked
in the rows of those times. GPT-2 and Llama are trained by published commands: what is trained and
which data come from there. What no command says is assumed and said in the row's note. Skips (77) without the tables.
"""
import csv
import math
import os
import statistics
import sys
from pathlib import Path

from machine import (DRAWN_NATIVE, DRAWN_ZERO, HERE, LAPTOP, NATIVE, PROFILED, WORKSTATION, ZERO,
                     Peakstep, lsp)

GB = 1e9
MICRO_BATCHES_1B, MICRO_BATCHES_7B = 128, 160  # of the times that are published for several

COMMAND_1B = ("compress_size=1280 nnz=4 fcfs_point=40 fcfs_process_delay=2 fcfs_h2d_delay=3 "
              "fcfs_upd_delay=4 lcfs_d2h_delay=1000")
COMMAND_7B = ("compress_size=2048 nnz=8 fcfs_point=10 fcfs_process_delay=1 fcfs_h2d_delay=2 "
              "fcfs_upd_delay=2")
GALORE = PROFILED + ["--optimizer", "galore", "--optimizer-rank", "256"]


# What the training scripts name: attn.qkv attn.o mlp.up mlp.down, so of Llama not the gate. Their
# adapters are of the weights' type.
OF_GPT2 = ["c_attn", "c_fc", "c_proj"]
OF_LLAMA = ["q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "down_proj"]

# Their ZeRO-Offload leaves compression out and does not ask for that baseline's order (no
# --scheduler-zero), unlike the commands of the other models: each gradient goes, is stepped over and
# comes back before the next one's.
WHOLE = "compress=false"

# Alpaca as answered by GPT-4: 28 tokens of prompt and 162 of answer in the mean (recalled: table 1 of
# "How far can camels go?", 2023) and 12 that the scripts put around them.
ALPACA_MEAN, ALPACA_CAP, ALPACA_MULTIPLE = 202, 512, 8


def longest(batch):
    """Tokens to which a batch of Alpaca is padded: the longest of so many, cut at the cap.

    How lengths are spread is not published: the spread that a mean alone says least about is taken,
    the exponential one.
    """
    tokens = sum(1 - (1 - math.exp(-n / ALPACA_MEAN)) ** batch for n in range(ALPACA_CAP))
    return ALPACA_MULTIPLE * math.ceil(tokens / ALPACA_MULTIPLE)


def on(modules, settings):
    return lsp(settings + " modules=" + ",".join(modules))


def targets(modules):
    return [word for module in modules for word in ("--lora-target", module)]


def own_lora(rank, modules):
    """The repository's own adapters."""
    return PROFILED + ["--lora", str(rank), "--lora-dtype", "weights"] + targets(modules)


def lora(rank):
    """Those of train_lora.sh: peft's on seven modules, after a dropout."""
    return (PROFILED + ["--lora", str(rank), "--lora-dropout", "0.1"]
            + targets(OF_LLAMA + ["gate_proj"]))


def of_gpt2(method, given):
    return ("GPT2-774M", method, 1, LAPTOP, 4, longest(4), given, f"batches of {longest(4)} tokens")


def of_llama(method, given, note=""):
    return ("Llama-3B", method, 1, WORKSTATION, 16, longest(16), given,
            f"batches of {longest(16)} tokens{note}")


def of_1b(method, published_over, seq, given, note=""):
    return ("DeepSeek-Coder-1.3B", method, published_over, LAPTOP, 1, seq, given, note)


# model, method as the table has it, what its time is divided by, machine, batch, tokens, options,
# note. Lists of the same method are matched in the table's order.
TIMES = [
    of_gpt2("LSP d=512 r=8/16/32", on(OF_GPT2, "compress_size=512 nnz=16")),
    of_gpt2("Zero-Offload", on(OF_GPT2, WHOLE)),
    of_gpt2("LoRA rank 16", own_lora(16, OF_GPT2)),
    of_llama("LSP d=256 r=16", on(OF_LLAMA, "compress_size=256 nnz=16")),
    of_llama("LSP d=512 r=16", on(OF_LLAMA, "compress_size=512 nnz=16")),
    of_llama("LSP d=1024 r=16", on(OF_LLAMA, "compress_size=1024 nnz=16")),
    of_llama("LoRA rank 8/16", own_lora(16, OF_LLAMA), "; recomputed, or it would not fit"),
    of_llama("Zero-Offload", on(OF_LLAMA, WHOLE)),
    of_1b("LSP d=1280 r=4", MICRO_BATCHES_1B, 1024, lsp(COMMAND_1B),
          "1024 tokens assumed, as of its neighbours; the README's command has 384"),
    of_1b("LoRA rank 8", MICRO_BATCHES_1B, 1024, lora(8),
          "1024 tokens assumed; published as a third of Zero-Offload's to the last digit"),
    of_1b("GaLore rank 256", MICRO_BATCHES_1B, 1024, GALORE, "likewise"),
    of_1b("Zero-Offload", MICRO_BATCHES_1B, 1024, ZERO, "calibrated on"),
    of_1b("Native (commented out)", MICRO_BATCHES_1B, 384, NATIVE, "commented out, 384 tokens assumed"),
    of_1b("LSP d=1024 r=4 (commented out)", MICRO_BATCHES_1B, 384,
          lsp(COMMAND_1B.replace("1280", "1024")), "commented out"),
    of_1b("LoRA rank 128 (commented out)", MICRO_BATCHES_1B, 384, lora(128), "commented out, 384 tokens assumed"),
    ("DeepSeek-Coder-6.7B", "LSP d=2048 r=8", MICRO_BATCHES_7B, WORKSTATION, 4, 1024,
     lsp(COMMAND_7B), ""),
    ("DeepSeek-Coder-6.7B", "Zero-Offload", MICRO_BATCHES_7B, WORKSTATION, 4, 1024, ZERO, ""),
    ("DeepSeek-Coder-6.7B", "unlabelled 3rd figure, probably GPU compute only", 1, WORKSTATION, 4,
     1024, NATIVE, "taken as the GPU alone"),
]

SLOW_DOWNS = [
    ("GPT2-1.3B", LAPTOP, 1, 512, "512 tokens assumed"),
    ("llama-7B", WORKSTATION, 8, 512, "512 tokens assumed; the GPU calibrated on its layers"),
]

# what the paper says of four models together
FOUR = [("GPT2-774M", LAPTOP, 4), ("GPT2-1.3B", LAPTOP, 1), ("Llama-3B", WORKSTATION, 16),
        ("llama-7B", WORKSTATION, 8)]
LAYER_WISE = lsp("compress=false ideal=true fcfs_point=40")

MEMORY = [
    ("DeepSeek-Coder-1.3B", "Zero-Offload", LAPTOP, 1, 1024, ZERO),
    ("DeepSeek-Coder-1.3B", "LoRA rank 8", LAPTOP, 1, 1024, lora(8)),
    ("DeepSeek-Coder-1.3B", "GaLore rank 256", LAPTOP, 1, 1024, GALORE),
    ("DeepSeek-Coder-1.3B", "LSP d=1280 r=4", LAPTOP, 1, 1024, lsp(COMMAND_1B)),
    ("DeepSeek-Coder-6.7B", "Zero-Offload", WORKSTATION, 4, 1024, ZERO),
    ("DeepSeek-Coder-6.7B", "LSP d=2048 r=8", WORKSTATION, 4, 1024, lsp(COMMAND_7B)),
]

# [%]; a time that the script has commented out is what is worst predicted
LIMIT_OF_EACH = {"times": 27.0, "slow-downs": 15.0, "means": 20.0, "memory": 10.0}
LIMITS_OF_MEAN = {"times": 15.0, "slow-downs": 15.0, "means": 15.0, "memory": 10.0}


def read(name):
    shared = os.environ.get("PS_SHARED", HERE.parents[2].parent / "shared")
    path = Path(shared) / "truth" / name
    if not path.exists():
        print(f"skipped: no table {path}", file=sys.stderr)
        sys.exit(77)
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def published_value(rows, model, method):
    for row in rows:
        if row["model"] == model and row["method"] == method:
            return float(row["value"])
    raise SystemExit(f"the table has no row of {model}, {method}")


def show(name, unit, rows):
    """Rows (model, method, published, predicted, note); returns the errors in percent."""
    print(f"{name} [{unit}]")
    errors = []
    for model, method, published, predicted, note in rows:
        errors.append(100 * (predicted / published - 1))
        line = f"  {model:20s} {method[:30]:31s}{published:7.3f} {predicted:7.3f} {errors[-1]:+6.1f} %"
        print(line + (f"  {note}" if note else ""))
    sizes = [abs(error) for error in errors]
    print(f"  {len(sizes)} rows: mean error {statistics.mean(sizes):.1f} %, median "
          f"{statistics.median(sizes):.1f} %, worst {max(sizes):.1f} %, within 20 %: "
          f"{sum(size <= 20 for size in sizes)}\n")
    return sizes


def times(program):
    table = read("lsp-iteration-times.csv")
    return [(model, method, published_value(table, model, method) / over,
             program.seconds(model, machine, batch, seq, given), note)
            for model, method, over, machine, batch, seq, given, note in TIMES]


def slow_downs(program):
    table = read("lsp-slowdowns.csv")
    return [(model, "Zero-Offload over GPU compute", published_value(table, model, "Zero-Offload"),
             program.seconds(model, machine, batch, seq, DRAWN_ZERO)
             / program.seconds(model, machine, batch, seq, DRAWN_NATIVE), note)
            for model, machine, batch, seq, note in SLOW_DOWNS]


def of_four(program, given, over):
    """Mean over the four models of one time over another, at 512 tokens."""
    return statistics.mean(program.seconds(model, machine, batch, 512, given)
                           / program.seconds(model, machine, batch, 512, over)
                           for model, machine, batch in FOUR)


def means(program):
    label = "four models"
    return [(label, "LSP d=256 r=16 over native", 1.106,
             of_four(program, lsp("compress_size=256 nnz=16"), NATIVE), ""),
            (label, "LSP d=512 r=16 over native", 1.167,
             of_four(program, lsp("compress_size=512 nnz=16"), NATIVE), ""),
            (label, "Zero over layer-wise schedule", 1.18,
             of_four(program, ZERO, LAYER_WISE), "the ideal, in 32 bits")]


def memory(program):
    table = read("lsp-memory.csv")
    return [(model, method, published_value(table, model, method),
             program.simulate(model, machine, batch, seq, given + ["--memory", "80GiB"])
             ["devices"][0]["peak_allocated_bytes"] / GB, "")
            for model, method, machine, batch, seq, given in MEMORY]


def main():
    program = Peakstep(sys.argv[1])
    errors = {
        "times": show("Time of a micro-batch: published, predicted, error", "s",
                      times(program)),
        "slow-downs": show("ZeRO-Offload over GPU compute (paper, figure 2)", "x",
                           slow_downs(program)),
        "means": show("Means of four models (paper, sections 4 and 5), 512 tokens assumed", "x",
                      means(program)),
        "memory": show("Peak of allocated memory (paper, table 4)", "GB",
                       memory(program)),
    }
    if "--check" not in sys.argv:
        return 0
    bad = [name for name, sizes in errors.items()
           if max(sizes) > LIMIT_OF_EACH[name] or statistics.mean(sizes) > LIMITS_OF_MEAN[name]]
    for name in bad:
        print(f"{name}: above the limit", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
