#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Step times of offload policies over the bandwidth of PCIe (offload_sweep.sh calls it).

offload_sweep.py PEAKSTEP: Markdown on standard output, exit 1 when a run fails. Every figure is one
of `peakstep simulate --json`; nothing is fitted and nothing measured.
offload_sweep.py PEAKSTEP --check: no table; exit 1 when a policy takes longer with more bandwidth, or
its critical path is not as long as its step.
"""
import csv
import json
import pathlib
import shlex
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
RATES = [8, 12, 16, 24, 32, 48, 64, 96, 128]  # GB/s in each direction
BAR = 40  # columns of the longest bar
BREAK_EVENS = [("pcie", "PCIe"), ("host-memory", "memory of a socket"), ("cores", "threads of a rank")]
LIMITS = {"compute": "GPU", "upload": "upload", "offload": "offload", "cpu": "host computation",
          "launch": "launches", "collective": "exchanges"}

HEAD = """# Offloading and the bandwidth of PCIe

Written by `tests/accuracy/offload_sweep.sh` from the policies of `tests/accuracy/offload-policies.csv`:
predictions for published models, each a run of the command that stands above its table. Nothing here
is measured. What the links of a host are in the model stands in MODEL.md, section 20.

*Enough* is the least bandwidth, in GB/s, beyond which more shortens the step by no more than 1 %, with
everything else as the machine has it (`--break-even`). A step is held up most by the largest part of
its critical path; the share of it stands behind.
"""


def run(peakstep, model, options):
    """The result of a simulation, whether it fits or not."""
    path = HERE / model
    command = [peakstep, "simulate", "-q", str(path) if path.exists() else model, "--steps", "3",
               "--json", *shlex.split(options)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        sys.exit(f"{shlex.join(command)}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def ms(ns):
    """A time as the tables have it."""
    return f"{ns / 1e9:.3f} s" if ns >= 1e9 else f"{ns / 1e6:.1f} ms"


def gb_per_s(rate):
    """A bandwidth, rounded up: so much is enough."""
    tenths = -(-rate // 10**8)
    return f"{tenths / 10:.1f}" if tenths < 10000 else f"{tenths // 10}"


def fits(result):
    """True when GPUs and nodes have room."""
    return all(d["fits"] for d in result["devices"]) and all(n["fits"] for n in result.get("nodes", []))


def uses(result, link):
    """True when something of the step loads a link of that name."""
    return any(link in row["name"] for row in result["steady_step"]["links"])


def break_evens(peakstep, row, base):
    """Results of --break-even by name, of what the policy uses."""
    wanted = ["pcie", "host-memory"] + (["cores"] if uses(base, ".threads") else [])
    options = " ".join(f"--break-even {name}" for name in wanted)
    return run(peakstep, row["model"], f"{row['options']} {options}")["break_even"]


def limit_of(result):
    """What the step is held up by most, with its share."""
    steady = result["steady_step"]
    share = steady["critical_path_ns"][steady["limit"]] / (steady["end_ns"] - steady["begin_ns"])
    return f"{LIMITS[steady['limit']]} ({share:.0%})"


def exposed_of(result):
    """Copies that nothing hides, of the device that has most of them."""
    return max(device["steady_time"]["copy_exposed_ns"] for device in result["devices"])


def tell_policy(peakstep, row):
    """One section as lines, and its line of the summary."""
    base = run(peakstep, row["model"], row["options"])
    even = break_evens(peakstep, row, base)
    runs = [(rate, run(peakstep, row["model"], f"{row['options']} --pcie {rate}GB/s"))
            for rate in RATES]
    longest = max(result["step_time_ns"] for _, result in runs)
    out = [f"\n## {row['policy']}\n", f"`peakstep simulate {row['model']} {row['options']}`\n",
           "| PCIe each way | step | copies not hidden | held up most by | |",
           "| ---: | ---: | ---: | --- | --- |"]
    for rate, result in runs:
        step = result["step_time_ns"]
        bar = "█" * max(1, step * BAR // longest)
        out.append(f"| {rate} GB/s | {ms(step)} | {ms(exposed_of(result))} | {limit_of(result)} | "
                   f"`{bar}` |")
    pcie = even["pcie"]
    out.append(f"\nWith endless PCIe {ms(pcie['endless_step_time_ns'])}; "
               f"{gb_per_s(pcie['least_bytes_per_s'])} GB/s are enough, the machine has "
               f"{gb_per_s(pcie['bytes_per_s'])}.")
    if row["plain"]:
        plain = run(peakstep, row["model"], row["plain"])
        out.append(f"With nothing on the host {ms(plain['step_time_ns'])}"
                   + ("." if fits(plain) else ", were there room: it does not fit."))
    if not fits(base):
        out.append("It does not fit this machine.")
    enough = [gb_per_s(even[name]["least_bytes_per_s"]) if name in even else ""
              for name, _ in BREAK_EVENS]
    line = (f"| {row['policy']} | {ms(base['step_time_ns'])} | {limit_of(base)} | "
            + " | ".join(enough) + " |")
    return out, line


def check_policy(peakstep, row):
    """Sentences about what is wrong."""
    wrong = []
    steps = []
    for rate in (8, 32, 128):
        result = run(peakstep, row["model"], f"{row['options']} --pcie {rate}GB/s")
        steady = result["steady_step"]
        if sum(steady["critical_path_ns"].values()) != steady["end_ns"] - steady["begin_ns"]:
            wrong.append(f"{row['policy']}: the critical path is not as long as the step")
        steps.append(result["step_time_ns"])
    if sorted(steps, reverse=True) != steps:
        wrong.append(f"{row['policy']}: more bandwidth, longer steps: {steps}")
    return wrong


def tell_all(peakstep, rows):
    """The page: the summary, then the sections."""
    told = [tell_policy(peakstep, row) for row in rows]
    print(HEAD)
    print("| policy | step | held up most by | " +
          " | ".join(f"enough {words}" for _, words in BREAK_EVENS) + " |")
    print("| --- | ---: | --- | " + " | ".join(["---:"] * len(BREAK_EVENS)) + " |")
    for _, line in told:
        print(line)
    for section, _ in told:
        print("\n".join(section))


def main():
    """Reads the rows; see above."""
    peakstep = sys.argv[1]
    with open(HERE / "offload-policies.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    if "--check" in sys.argv[2:]:
        wrong = [sentence for row in rows for sentence in check_policy(peakstep, row)]
        sys.exit("\n".join(wrong) or 0)
    tell_all(peakstep, rows)


if __name__ == "__main__":
    main()
