#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Line coverage by folder and file, from a build of the coverage preset whose tests have run.

    cmake --workflow --preset coverage
    tools/dev/coverage.py build/coverage [--files]
"""
import collections
import gzip
import json
import os
import pathlib
import subprocess
import sys
import tempfile

FOLDERS = ("formats/", "simulator/", "replay/", "tracer/", "tools/")


def read_counts(root, build):
    """Executions by source path and line; a line of several programs counts the sum."""
    counts = collections.defaultdict(lambda: collections.defaultdict(int))
    notes = sorted(str(path.resolve()) for path in build.rglob("*.gcno"))
    with tempfile.TemporaryDirectory() as scratch:
        for begin in range(0, len(notes), 100):
            subprocess.run(["gcov", "--json-format", "--preserve-paths"] + notes[begin:begin + 100],
                           cwd=scratch, check=True, capture_output=True)
            for name in os.listdir(scratch):
                path = pathlib.Path(scratch, name)
                with gzip.open(path, "rt", encoding="utf-8") as file:
                    report = json.load(file)
                path.unlink()
                for source in report["files"]:
                    full = pathlib.Path(report["current_working_directory"], source["file"])
                    if not full.resolve().is_relative_to(root):
                        continue
                    short = full.resolve().relative_to(root).as_posix()
                    if short.startswith(FOLDERS):
                        for line in source["lines"]:
                            counts[short][line["line_number"]] += line["count"]
    return counts


def row(label, lines):
    hit = sum(count > 0 for count in lines)
    return f"{100 * hit / len(lines):6.1f} %  {hit:6d} of {len(lines):6d}  {label}"


def main():
    arguments = [text for text in sys.argv[1:] if text != "--files"]
    if len(arguments) != 1:
        raise SystemExit(__doc__)
    root = pathlib.Path(__file__).resolve().parents[2]
    counts = read_counts(root, pathlib.Path(arguments[0]))
    groups = collections.defaultdict(list)
    for path, lines in sorted(counts.items()):
        groups["/".join(path.split("/")[:-1])] += lines.values()
        if "--files" in sys.argv:
            print(row(path, list(lines.values())))
    if not groups:
        raise SystemExit("no counts: build the preset coverage")
    for folder in sorted(groups):
        print(row(folder, groups[folder]))
    print(row("all", [count for lines in groups.values() for count in lines]))


if __name__ == "__main__":
    main()
