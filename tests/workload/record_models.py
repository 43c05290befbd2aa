#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Records whole trainings of small models with the project's own tracer: traces/models.

    PYTHON record_models.py BUILD_FOLDER OUT_FOLDER [--only TEXT]

PYTHON is an interpreter with torch (CUDA build), transformers and peft. Every
configuration of record_sequences.py that CONFIGURATIONS names runs under
`peakstep record` on the stand-ins for CUDA and CUPTI: allocations, kernel names
and launches are PyTorch's own, nothing is computed, and times say only in which
order things happened. OUT_FOLDER/NAME.pstrace is the trace, OUT_FOLDER/MODEL.json
the config.json of its model, OUT_FOLDER/models.csv tells the recipe of each, and,
which is kept, by how many launches a model's step may differ (docs/ACCURACY.md).
"""
import argparse
import contextlib
import csv
import os
import pathlib
import subprocess
import sys

import export_sequences
import published_configs
import record_sequences

CONFIGURATIONS = [
    "gpt2-fp32-sdpa-adamw", "gpt2-amp-sdpa-adamw", "llama-bf16-sdpa-adamw",
    "llama-bf16-sdpa-adamw-lora", "llama-fp32-sdpa-adamw-checkpoint", "opt-fp32-sdpa-adamw",
    "gpt_neo-fp32-eager-adamw", "gpt_neox-fp32-sdpa-adamw", "t5-fp32-eager-adamw",
    "bert-fp32-sdpa-adamw", "qwen3-bf16-sdpa-adamw", "mixtral-bf16-sdpa-adamw",
    "llama-fp32-eager-sgd", "gpt2-fp32-sdpa-adamw-long", "gemma2-bf16-sdpa-adamw",
]


def train(name):
    """The job that is recorded: a configuration's training, as record_sequences.py runs it."""
    import torch
    from torch.nn import attention as kernels
    model_name, kind, attention, optimizer_name, extras = record_sequences.parts_of(name)
    model = record_sequences.make_model(model_name, kind, attention, extras)
    chosen = contextlib.nullcontext()
    if attention in record_sequences.KERNELS:
        chosen = kernels.sdpa_kernel(
            getattr(kernels.SDPBackend, record_sequences.KERNELS[attention]))
    with record_sequences.even_routing(model), chosen:
        model.cuda()
        trained = [p for p in model.parameters() if p.requires_grad]
        optimizer = record_sequences.make_optimizer(optimizer_name, trained)
        record_sequences.train(model, optimizer, kind, extras, record_sequences.Phases())
    torch.cuda.synchronize()


def config_file(name):
    model_name, _, _, _, extras = record_sequences.parts_of(name)
    return model_name + ("-long" if "long" in extras else "") + ".json"


def write_config(name, folder):
    """A config.json as the library writes it."""
    model_name, _, _, _, extras = record_sequences.parts_of(name)
    model = published_configs.build(record_sequences.config_of(model_name, extras), "float32", None)
    (folder / config_file(name)).write_text(model.config.to_json_string(), encoding="utf-8")


def write_index(folder):
    path, known = folder / "models.csv", {}
    if path.exists():
        with open(path, encoding="utf-8", newline="") as file:
            known = {row["name"]: row["kernels"] for row in csv.DictReader(file)}
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["name", "config", "recipe", "kernels"])
        for name in CONFIGURATIONS:
            if (folder / f"{name}.pstrace").exists():
                recipe = export_sequences.recipe_of(name)
                words = " ".join(f"{key}={value}" for key, value in recipe.items() if value != 0)
                writer.writerow([name, config_file(name), words,
                                 known.get(name, 0)])


def record(name, build, folder):
    standin = build / "tests" / "standin"
    preload = f"{standin / 'libstandin_cuda.so'}:{standin / 'cupti' / 'libcupti.so.13'}"
    environment = dict(os.environ, LD_PRELOAD=preload, OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1",
                       PYTHONHASHSEED="0", TRANSFORMERS_VERBOSITY="error", KINETO_LOG_LEVEL="5")
    subprocess.run([build / "tools" / "peakstep", "record", "--modules", "none", "-o",
                    folder / f"{name}.pstrace", "--", sys.executable, __file__, "--job", name],
                   env=environment, check=True)


def main():
    if sys.argv[1:2] == ["--job"]:
        train(sys.argv[2])
        return
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("build", type=lambda text: pathlib.Path(text).resolve())
    parser.add_argument("folder", type=lambda text: pathlib.Path(text).resolve())
    parser.add_argument("--only", default="", help="configurations whose name contains this")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for name in CONFIGURATIONS:
        if options.only in name:
            record(name, options.build, options.folder)
            write_config(name, options.folder)
    write_index(options.folder)


if __name__ == "__main__":
    main()
