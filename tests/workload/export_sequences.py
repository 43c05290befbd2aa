#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Turns what record_sequences.py recorded into the tests' form.

    export_sequences.py RECORDED_FOLDER OUT_FOLDER [NAME...]

One NAME.txt.gz each: a line "# config JSON", a line "# recipe KEY=VALUE...", then "A BYTES" for an
allocation and "F NUMBER" for the end of the NUMBERth one, with "# STEP PHASE" between. The same
recording gives the same bytes.
"""
import csv
import gzip
import json
import pathlib
import sys

import adapters
import hift
import record_sequences
import schemes


def recipe_of(name):
    _, kind, attention, optimizer, extras = record_sequences.parts_of(name)
    optimizer, _, style = optimizer.partition("_")
    long = "long" in extras
    recipe = {
        "batch": 1 if "single" in extras else record_sequences.BATCH * (5 if long else 1),
        "length": 1 if "short" in extras else record_sequences.LENGTH * (6 if long else 1),
        "steps": record_sequences.STEPS,
        "dtype": {"amp": "amp-bf16", "fp16amp": "amp-fp16"}.get(kind, kind),
        "attention": "auto" if attention == "sdpa" else attention,
        "optimizer": optimizer,
        "style": style or "foreach",
    }
    for word in ("masked", "checkpoint", "lora", "accumulate", "clip"):
        recipe[word] = int(word in extras)
    if "all" in extras:
        recipe["targets"] = ",".join(adapters.lora_targets(name, extras))
    if extras & record_sequences.NF4:
        recipe["quantize"] = "nf4" if "nf4" in extras else "nf4-single"
    if "masters" in extras:
        recipe["masters"] = 1
    if hift.layers_a_step(extras):
        recipe["hift"] = hift.layers_a_step(extras)
        recipe["steps"] = hift.STEPS
    if "reattend" in extras:
        recipe["checkpoint_attention"] = 1
    if "unpadded" in extras:
        recipe["unpadded"] = 1
    scheme = schemes.scheme_of(extras)
    if scheme:
        recipe["ranks"] = schemes.RANKS
        recipe["scheme"] = scheme.removesuffix("view").removesuffix("keep")
        recipe["view"] = int(scheme.endswith("view"))
        recipe["mixed"] = int("mixed" in extras)
        recipe["keep"] = int(scheme.endswith("keep"))
    return recipe


def lines_of(name, path):
    model, *_, extras = record_sequences.parts_of(name)
    values = record_sequences.config_of(model, extras)
    config = {"model_type": values.pop("kind"), **values}
    yield "# config " + json.dumps(config, separators=(",", ":"))
    yield "# recipe " + " ".join(f"{key}={value}" for key, value in recipe_of(name).items())
    number_of, count, place = {}, 0, None
    with open(path, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if (row["step"], row["phase"]) != place:
                place = (row["step"], row["phase"])
                yield f"# {row['step']} {row['phase']}"
            if row["action"] == "alloc":
                number_of[row["index"]] = count
                count += 1
                yield f"A {row['bytes']}"
            else:
                yield f"F {number_of[row['of']]}"


def main():
    source, target = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    target.mkdir(parents=True, exist_ok=True)
    names = sys.argv[3:] or sorted(p.stem for p in source.glob("*.csv") if p.stem != "index")
    for name in names:
        text = "\n".join(lines_of(name, source / f"{name}.csv")) + "\n"
        with gzip.GzipFile(target / f"{name}.txt.gz", "wb", 9, mtime=0) as file:
            file.write(text.encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
