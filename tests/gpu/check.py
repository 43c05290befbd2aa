#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the lines of a matrix on a machine with a GPU until all are done or the time is over.

Everything goes below --out:

    results.csv       one row a figure
    summary.txt       the table a person reads
    recordings/       small recordings, below --max-bytes together
    state/done.jsonl  finished lines; with it a later run goes on where this one stopped
    log.txt           what the jobs said

All recordings are first in the folder --work.
"""
import argparse
import csv
import dataclasses
import datetime
import importlib.util
import json
import pathlib
import runpy
import subprocess
import sys
import time

import parts
import summary
from jobs import Failed, HERE, Runner, Skipped, TimeUp

COLUMNS = ("date", "device", "driver", "torch", "peakstep_commit", "part", "case", "metric",
           "value", "unit", "command")


@dataclasses.dataclass
class Case:
    """One line of the matrix."""
    part: str
    case: str
    model: str
    method: str
    batch: str
    seq: str
    dtype: str
    steps: int
    warmup: int
    conf: str
    options: str
    is_kept: bool

    @property
    def name(self):
        if self.part == "questions":
            return self.case
        words = [self.model, self.method, f"b{self.batch}", f"s{self.seq}", self.dtype]
        options = self.options.replace("--", "").replace(" ", "=")
        return "/".join([*words, *filter(None, (self.conf, options))])

    @property
    def key(self):
        return f"{self.part}:{self.name}"

    def under(self, conf):
        return dataclasses.replace(self, conf=conf)

    def finetune_arguments(self):
        return ["--model", self.model, "--method", self.method, "--batch", self.batch,
                "--seq", self.seq, "--dtype", self.dtype, "--steps", str(self.steps),
                "--warmup", str(self.warmup), *self.options.split()]


def read_matrix(path, wanted):
    with open(path, encoding="utf-8", newline="") as file:
        lines = (line for line in file if not line.startswith("#"))
        rows = list(csv.DictReader(lines))
    found = []
    for row in rows:
        if row["part"] not in parts.PARTS:
            sys.exit(f"{path}: no part is called {row['part']}")
        if row["part"] in wanted:
            found.append(Case(
                row["part"], row["case"], row["model"], row["method"], row["batch"], row["seq"],
                row["dtype"], int(row["steps"] or 0), int(row["warmup"] or 0), row["conf"] or "",
                row["options"] or "", row["keep"] == "1"))
    return found


class State:
    """What is done, a line of JSON each."""

    def __init__(self, folder, is_fresh, retries):
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "done.jsonl"
        if is_fresh:
            self.path.unlink(missing_ok=True)
        self.done = {}
        if self.path.exists():
            for line in self.path.read_text(encoding="utf-8").splitlines():
                entry = json.loads(line)
                if not (retries and has(entry["rows"], "failed")):
                    self.done[entry["key"]] = entry

    def add(self, key, rows, seconds):
        entry = {"key": key, "seconds": round(seconds, 2), "rows": rows}
        self.done[key] = entry
        # what was skipped for want of something is tried again the next time
        if not has(rows, "skipped"):
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")

    def rows(self):
        return [row for entry in self.done.values() for row in entry["rows"]]


def has(rows, metric):
    return any(row["metric"] == metric for row in rows)


@dataclasses.dataclass
class Settings:
    out: pathlib.Path
    work: pathlib.Path
    python: str
    peakstep: pathlib.Path
    probe: pathlib.Path
    stand_in: pathlib.Path
    rounds: int
    max_bytes: int
    deadline: float
    patience: float  # of what a line is thought to take, the part that must be left to begin it

    def keep(self, path, case):
        """Keeps a recording that the matrix wants and that fits below the limit."""
        folder = self.out / "recordings"
        files = [*folder.glob("*"), *self.out.glob("recordings.tar")]
        taken = sum(file.stat().st_size for file in files)
        if case.is_kept and not parts.copy_within(path, folder, self.max_bytes - taken):
            print(f"          {path.name} is too large to be kept", flush=True)


def device_and_driver(runner):
    """By NVML, which is quick; else by PyTorch in a process of its own."""
    if runner.settings.stand_in:
        return "stand-in", "-"
    try:
        import pynvml
        pynvml.nvmlInit()
        words = (pynvml.nvmlDeviceGetName(pynvml.nvmlDeviceGetHandleByIndex(0)),
                 pynvml.nvmlSystemGetDriverVersion())
        return tuple(word.decode() if isinstance(word, bytes) else word for word in words)
    except Exception:
        code = "import torch; print(torch.cuda.get_device_name())"
        done = subprocess.run([runner.settings.python, "-c", code], env=runner.job_environment,
                              capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            sys.exit("PyTorch sees no GPU; --stand-in runs without one")
        return done.stdout.strip(), "-"


def torch_version():
    """With its build, from the file that says so; importing PyTorch takes seconds."""
    folder = pathlib.Path(importlib.util.find_spec("torch").origin).parent
    return runpy.run_path(str(folder / "version.py"))["__version__"]


def commit_of(peakstep):
    """The commit that the program was built from: beside it, or of the checkout."""
    path = peakstep.parent.parent / "COMMIT"
    if path.exists():
        return path.read_text(encoding="utf-8").strip()
    done = subprocess.run(["git", "-C", str(HERE), "rev-parse", "--short=12", "HEAD"],
                          capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def write_results(path, rows):
    with open(path.with_suffix(".part"), "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow(row)
    path.with_suffix(".part").replace(path)


def run_case(runner, case, common):
    """Rows of one line; raises TimeUp when it did not end in time."""
    rows = []

    def put(metric, value, unit, command):
        if isinstance(value, float):
            value = round(value, 6)
        rows.append({**common, "part": case.part, "case": case.name, "metric": metric,
                     "value": value, "unit": unit, "command": command})
    try:
        parts.PARTS[case.part](runner, case, put)
    except Failed as error:
        put("failed", str(error), "text", "")
    except Skipped as error:
        put("skipped", str(error), "text", "")
    return rows


def run_matrix(matrix, runner, state, common):
    """Runs what is not done and fits into the time; returns the keys that remain."""
    remaining = []
    for case in matrix:
        if case.key in state.done:
            continue
        if runner.left() < parts.GUESS_SECONDS[case.part] * runner.settings.patience:
            remaining.append(case.key)
            continue
        begun = time.monotonic()
        print(f"{runner.left():6.0f} s  {case.part} {case.name}", flush=True)
        try:
            rows = run_case(runner, case, common)
        except TimeUp:
            remaining.append(case.key)
            continue
        state.add(case.key, rows, time.monotonic() - begun)
        for row in rows:
            if row["metric"] in ("failed", "skipped"):
                print(f"          {row['metric']}: {row['value']}", flush=True)
        write_results(runner.settings.out / "results.csv", state.rows())
    return remaining


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--state", type=pathlib.Path, help="default: OUT/state")
    parser.add_argument("--work", type=pathlib.Path, help="default: OUT/work")
    parser.add_argument("--matrix", type=pathlib.Path, default=HERE / "matrix.csv")
    parser.add_argument("--part", action="append", default=[], metavar="NAME[,NAME...]",
                        help="only these parts: " + ", ".join(parts.PARTS))
    parser.add_argument("--minutes", type=float, default=8, help="the time box (default: 8)")
    parser.add_argument("--rounds", type=int, default=5, help="of the overhead (default: 5)")
    parser.add_argument("--max-bytes", type=int, default=14 << 20,
                        help="of all recordings kept (default: 14 MiB)")
    parser.add_argument("--peakstep", type=pathlib.Path, required=True)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--probe", type=pathlib.Path, help="libcupti_probe.so")
    parser.add_argument("--stand-in", type=pathlib.Path, help="library in place of a GPU")
    parser.add_argument("--fresh", action="store_true", help="forget what is done")
    parser.add_argument("--retry", action="store_true", help="run again what failed")
    args = parser.parse_args()
    args.part = [name for text in args.part for name in text.split(",")] or list(parts.PARTS)
    for name in args.part:
        if name not in parts.PARTS:
            parser.error(f"no part is called {name}; there are {', '.join(parts.PARTS)}")
    return args


def main():
    args = parse()
    deadline = time.monotonic() + args.minutes * 60
    args.out = args.out.resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    settings = Settings(
        out=args.out, work=(args.work or args.out / "work").resolve(), python=args.python,
        peakstep=args.peakstep.resolve(), probe=args.probe and args.probe.resolve(),
        stand_in=args.stand_in and args.stand_in.resolve(), rounds=args.rounds,
        max_bytes=args.max_bytes, deadline=deadline, patience=0.2 if args.stand_in else 1.0)
    runner = Runner(settings)
    device, driver = device_and_driver(runner)
    common = {"date": datetime.date.today().isoformat(), "device": device, "driver": driver,
              "torch": torch_version(),
              "peakstep_commit": commit_of(settings.peakstep)}
    state = State(args.state or args.out / "state", args.fresh, args.retry)
    try:
        remaining = run_matrix(read_matrix(args.matrix, args.part), runner, state, common)
    finally:
        runner.close()
    rows = state.rows()
    write_results(args.out / "results.csv", rows)
    head = ", ".join(f"{key} {value}" for key, value in common.items() if key != "date")
    text, good = summary.write(rows, head, remaining, not args.stand_in)
    (args.out / "summary.txt").write_text(text, encoding="utf-8")
    print(text, end="")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
