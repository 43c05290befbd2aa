#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""LLMem's published times of its methods against `peakstep simulate --policy gemini --tp T`:

    llmem_times.py PEAKSTEP              prints every ratio between methods, fails below the gate
    llmem_times.py PEAKSTEP --calibrate  finds LENGTH, and subclass-dispatch and late-ranks of
                                         simulator/cluster/software.csv; a minute or two

What was run is not told: neither batches nor lengths nor the machine. Assumed here: an epoch of the
52,002 examples that the released script trains on, with the largest batch that LLMem's own estimator
gives each method; batches padded to one length. The testbed was CloudLab's with four V100 of 16 GB:
its nodes of four are boards of four on which all six links of each GPU go to the other three, two to
each, and no half of a DGX-1, which is told beside it. Batches padded to 512 tokens would need more
arithmetic than a V100 can do in the seconds told, so the length is found, with the host's time for a
call on Colossal-AI's tensors and what a collective waits for the last rank, on the times of
CALIBRATED_ON alone. Skips (77) without the table.
"""
import concurrent.futures
import csv
import functools
import json
import math
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
CALIBRATED_ON = ("facebook/opt-1.3b", "facebook/opt-2.7b")
EXAMPLES = 52002
LENGTH = 288
GPU, HOST = "V100-SXM2-16", "host-server-2019"
MACHINE, OTHER_MACHINE = "v100-sxm2-16-4", "dgx-1-v100-16"
# method: (tensor ranks, column)
METHODS = {"4DP": (1, "time_4dp_s"), "2DP+2TP": (2, "time_2dp2tp_s"), "4TP": (4, "time_4tp_s")}
# its library of the time had no other
OPTIONS = {"bigcode/gpt_bigcode-santacoder": ["--attention", "eager"]}
MOST_ERROR, LEAST_RATIOS = 0.25, 12


def table():
    shared = os.environ.get("PS_SHARED", os.path.join(HERE, "..", "..", "..", "shared"))
    path = os.path.join(shared, "truth", "llmem-table3-multi-gpu-time.csv")
    if not os.path.exists(path):
        print(f"skipped: no table in {shared}", file=sys.stderr)
        sys.exit(77)
    with open(path, newline="") as file:
        return [row for row in csv.DictReader(file) if any(row[c] for _, c in METHODS.values())]


def ask(command):
    run = subprocess.run(command + ["--json", "--quiet"], capture_output=True, text=True)
    if run.returncode not in (0, 1) or not run.stdout:
        sys.exit(f"{' '.join(command)}: {run.stderr.strip()}")
    return json.loads(run.stdout)


def largest_batches(peakstep, row):
    answer = ask([peakstep, "plan", row["model"], "--gpus", row["gpus"], "--gpu", GPU, "--memory",
                  row["gpu_mem_total_mib"] + "MiB", "--seq", row["seq_max"], "--chooser", "llmem"])
    return {method["method"]: method["largest_batch"] for method in answer["methods"]}


class Epoch:
    """Seconds of an epoch by row and method."""

    def __init__(self, peakstep, rows):
        self.peakstep = peakstep
        self.batches = {row["model"]: largest_batches(peakstep, row) for row in rows}

    def steps(self, row, method):
        replicas = int(row["gpus"]) // METHODS[method][0]
        return EXAMPLES // (replicas * self.batches[row["model"]][method])

    def seconds(self, row, method, length=LENGTH, machine=MACHINE, catalogue=None):
        command = [self.peakstep, "simulate", row["model"], "--gpu", GPU, "--cluster", machine,
                   "--host", HOST, "--gpus", row["gpus"], "--policy", "gemini",
                   "--tp", str(METHODS[method][0]), "--dtype", "fp16", "--checkpoint", "full",
                   "--batch", str(self.batches[row["model"]][method]), "--seq", str(length)]
        command += OPTIONS.get(row["model"], [])
        if catalogue is not None:
            command += ["--catalogue", catalogue]
        return self.steps(row, method) * ask(command)["step_time_ns"] / 1e9


def told(row):
    """Published seconds of the methods that ran."""
    return {method: float(row[column]) for method, (_, column) in METHODS.items() if row[column]}


# ---- calibration ----

LENGTHS, LATENESS_US, DISPATCHES_US = range(128, 513, 16), range(0, 1201, 100), range(0, 61, 2)


def trial_file(dispatch_us, late_us):
    file = tempfile.NamedTemporaryFile("w", suffix=".csv", delete=False)
    with file:
        file.write("device,quantity,value,unit,origin\n"
                   f"{HOST},subclass-dispatch,{dispatch_us},us,given: a trial\n"
                   f"{HOST},late-ranks,{late_us},us,given: a trial\n")
    return file.name


def calibrate(peakstep, rows):
    """Steps that wait for the device tell length and lateness, the others the host's figure: in turn."""
    rows = [row for row in rows if row["model"] in CALIBRATED_ON]
    epoch = Epoch(peakstep, rows)

    @functools.lru_cache(maxsize=None)
    def miss(trial):
        length, late_us, dispatch_us = trial
        catalogue = trial_file(dispatch_us, late_us)
        out = sum(abs(math.log(epoch.seconds(row, method, length, catalogue=catalogue) / seconds))
                  for row in rows for method, seconds in told(row).items())
        os.unlink(catalogue)
        return out

    def least(trials):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            return min(zip(pool.map(miss, trials), trials))[1]

    best, before = (LENGTHS[-1], 0, 0), None
    while best != before:
        before = best
        best = least([best[:2] + (us,) for us in DISPATCHES_US])
        best = least([(length, us) + best[2:] for length in LENGTHS for us in LATENESS_US])
        print(f"length {best[0]} tokens, late-ranks {best[1]} us, subclass-dispatch {best[2]} us: "
              f"misses {miss(best):.3f}", flush=True)


# ---- ratios ----

def ratios(rows, epoch, machine):
    """(row, method, other method, predicted, published): each ratio to the first method that ran."""
    for row in rows:
        published = told(row)
        predicted = {method: epoch.seconds(row, method, machine=machine) for method in published}
        base, *others = published
        for method in others:
            yield (row, method, base, predicted[method] / predicted[base],
                   published[method] / published[base])


def is_near(predicted, published):
    return abs(predicted / published - 1) <= MOST_ERROR


def check(peakstep, rows):
    epoch = Epoch(peakstep, rows)
    print(f"{'model':31} {'ratio of times':16} predicted published  error")
    found = list(ratios(rows, epoch, MACHINE))
    for row, method, base, predicted, published in found:
        print(f"{row['model']:31} {method:>7} : {base:7} {predicted:8.2f} {published:9.2f} "
              f"{100 * (predicted / published - 1):+6.1f} %"
              f"{'' if is_near(predicted, published) else '  MISS'}"
              f"{'  calibrated on' if row['model'] in CALIBRATED_ON else ''}")
    near = sum(is_near(predicted, published) for *_, predicted, published in found)
    held = [one for one in found if one[0]["model"] not in CALIBRATED_ON]
    kept = sum(is_near(predicted, published) for *_, predicted, published in held)
    other = sum(is_near(predicted, published)
                for *_, predicted, published in ratios(rows, epoch, OTHER_MACHINE))
    mean = sum(abs(predicted / published - 1) for *_, predicted, published in held) / len(held)
    print(f"{near} of {len(found)} ratios within {100 * MOST_ERROR:.0f} %, {kept} of {len(held)} of "
          f"models not calibrated on, which are {100 * mean:.0f} % off in the mean; {other} on half "
          "a DGX-1")
    if near < LEAST_RATIOS:
        sys.exit(f"fewer than {LEAST_RATIOS} ratios within {100 * MOST_ERROR:.0f} %")


def main():
    if len(sys.argv) < 2 or sys.argv[2:] not in ([], ["--calibrate"]):
        sys.exit(__doc__)
    (calibrate if sys.argv[2:] else check)(sys.argv[1], table())


main()
