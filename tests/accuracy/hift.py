#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Largest batches under HiFT beside the published ones, as Markdown:

    hift.py PEAKSTEP [--check | --update]

Rows are those of hift.csv that were said to fit. For each, the largest batch of the same length and the
longest single sequence (to 8 tokens) whose training fits, as the library chooses its attention and with
eager attention. Nothing is fitted. --check: exit status 1 when the table's own columns say otherwise;
--update writes them.
"""
import csv
import io
import pathlib
import shlex
import subprocess
import sys

TABLE = pathlib.Path(__file__).with_suffix(".csv")
TOKENS = 8
COLUMNS = ("largest_batch", "longest", "eager_batch", "eager_longest")


def fits(peakstep, model, words):
    run = subprocess.run([peakstep, "simulate", "-q", "--json", model, *words],
                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if run.returncode > 1:
        sys.exit(run.stderr)
    return run.returncode == 0


def last(holds, step, limit):
    """The largest multiple of `step` that holds, 0 when none does; what is larger holds no more."""
    low, high = 0, 1
    while high * step <= limit and holds(high * step):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle * step) else (low, middle)
    return low * step


def look(peakstep, row, attention):
    words = shlex.split(row["options"]) + ["--attention", attention]
    batch, seq = words.index("--batch") + 1, words.index("--seq") + 1

    def with_value(at, value):
        return words[:at] + [str(value)] + words[at + 1:]

    largest = last(lambda n: fits(peakstep, row["input"], with_value(batch, n)), 1, 64)
    single = with_value(batch, 1)
    longest = last(lambda n: fits(peakstep, row["input"],
                                  single[:seq] + [str(n)] + single[seq + 1:]), TOKENS, 4096)
    return str(largest), str(longest)


def main():
    peakstep, mode = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""
    text = TABLE.read_text()
    notes = "".join(line for line in text.splitlines(True) if line.startswith("#"))
    rows = list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
    differ = False
    print("| published | largest batch | longest single sequence | eager: batch | eager: sequence |\n"
          "| --- | ---: | ---: | ---: | ---: |")
    for row in rows:
        if row["metric"] != "fits" or row["measured"] != "yes":
            continue
        found = look(peakstep, row, "auto") + look(peakstep, row, "eager")
        print("|", row["case"], "|", " | ".join(found), "|", flush=True)
        differ = differ or found != tuple(row[column] for column in COLUMNS)
        row.update(zip(COLUMNS, found))
    if mode == "--update":
        out = io.StringIO()
        writer = csv.DictWriter(out, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        TABLE.write_text(notes + out.getvalue())
    return 1 if mode == "--check" and differ else 0


if __name__ == "__main__":
    sys.exit(main())
