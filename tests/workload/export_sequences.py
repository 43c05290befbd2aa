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

import record_sequences


def recipe_of(name):
    _, kind, attention, optimizer, extras = record_sequences.parts_of(name)
    optimizer, _, style = optimizer.partition("_")
    long = "long" in extras
    recipe = {
        "batch": 1 if "single" in extras else record_sequences.BATCH * (5 if long else 1),
        "length": record_sequences.LENGTH * (6 if long else 1),
        "steps": record_sequences.STEPS,
        "dtype": {"fp32": "fp32", "bf16": "bf16", "amp": "amp-bf16", "fp16amp": "amp-fp16"}[kind],
        "attention": "auto" if attention == "sdpa" else attention,
        "optimizer": optimizer,
        "style": style or "foreach",
    }
    for word in ("masked", "checkpoint", "lora", "accumulate", "clip"):
        recipe[word] = int(word in extras)
    if "unpadded" in extras:
        recipe["unpadded"] = 1
    return recipe


def lines_of(name, path):
    values = dict(record_sequences.MODELS[name_of_model(name)])
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


def name_of_model(name):
    return record_sequences.parts_of(name)[0]


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
