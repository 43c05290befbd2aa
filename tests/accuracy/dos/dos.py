#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Published runs of ZeRO-3 with the optimizer on the host, against what is simulated of them.

dos.py PEAKSTEP TRUTH [--rows] [--check]

TRUTH is dos-runs.csv. Prints errors by group of rows and by quantity; --rows prints every row too; with
--check, exit status 1 where an error is above its limit, and 77 without the table.
"""
import concurrent.futures
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile

GIB = 1 << 30
# parameters of one tensor rank -> layers, hidden, heads, key heads, inner, tensor ranks
MODELS = {
    5898506240: (32, 4096, 32, 4, 10880, 1), 2949910528: (32, 4096, 32, 4, 10880, 2),
    1475612672: (32, 4096, 32, 4, 10880, 4), 5948837888: (32, 4096, 32, 4, 11008, 1),
    9142717440: (72, 3072, 32, 4, 11008, 1), 9918500864: (50, 4096, 32, 4, 12400, 1),
    11197895680: (40, 5120, 40, 4, 13632, 1), 11315860480: (40, 5120, 40, 4, 13824, 1),
    15326663680: (40, 5120, 64, 4, 20480, 1), 15579222016: (64, 4096, 256, 16, 16384, 1),
    27635239424: (60, 6656, 52, 4, 17728, 1), 13818874368: (60, 6656, 52, 4, 17728, 2),
    6910691840: (60, 6656, 52, 4, 17728, 4), 27865270784: (60, 6656, 52, 4, 17920, 1),
    55141736448: (80, 8192, 64, 4, 21824, 1),
}
WORDS = 50257
ACCUMULATED = 3  # micro-batches simulated of a step with more: the rest are like the second
# from one report of memory to the next where nothing lies between them: medians of what nine of the
# runs' logs have, by ranks of the node
REPORT_MS = {"A100-40GB": {1: 62, 2: 68, 4: 69}, "H100-80GB": {4: 46}}
HOST_OF = {"a100-40-numa-4": "host-a100-40-numa", "h100-80-smt-4": "host-h100-80-smt"}
# rows that figures of the machines were found on: folder, method, micro-batches (None: any), ranks,
# and tensor ranks where there are several
CALIBRATED = (
    ("13B-scale-gaps-a100", "flush only", None, 4), ("20B-scale-gaps-a100", "offload", None, 4),
    ("20B-scale-gaps-a100", "k=2)", None, 4), ("7B-scale-gaps-a100", "k=3)", None, 4),
    ("8B-scale-gaps-a100", "k=4)", None, 4),
    ("7B-scale-DP", "offload", 1, 1), ("7B-scale-DP", "offload", 1, 2),
    ("7B-scale-DP", "offload", 1, 4), ("13B-scale-GA-single-GPU", "flush only", 1, 1),
    ("13B-scale-gaps-scale-DP", "k=6)", None, 2), ("13B-scale-gaps-scale-DP", "flush only", None, 4),
    ("13B-scale-gaps-scale-DP", "k=2)", None, 4), ("7B-scale-DP", "k=5)", 1, 1),
    ("7B-scale-GA-single-GPU", "offload", 16, 1),
    ("act-output-10B", "k=2)", None, 4), ("act-output-30B", "TwinFlow (ZeRO-Offload++)", None, 4),
    ("20B-scale-twinflow", "offload", None, 4),
    ("30B-scale-gaps-scale-DP", "k=4)", 1, 8), ("7B-scale-DP", "k=5)", 1, 8),
    ("30B-scale-gaps-scale-DP", "k=5)", 1, 8, "2"), ("30B-scale-gaps-scale-DP", "k=5)", 1, 8, "4"),
)
PHASES = ("forward", "backward", "optimizer")


def padded(words, parts):
    unit = 128 * parts
    return -(-words // unit) * unit


def config_of(parameters):
    layers, hidden, heads, keys, inner, parts = MODELS[parameters]
    return {"model_type": "megatron_deepspeed", "num_hidden_layers": layers, "hidden_size": hidden,
            "num_attention_heads": heads, "num_key_value_heads": keys, "intermediate_size": inner,
            "vocab_size": padded(WORDS, parts), "tensor_parallel": parts}


def is_stride(row):
    return row["method"].startswith("DeepOptimizerStates")


def is_bound(row):
    return row["bind_threads_per_rank"] != ""


def is_first_release(row):
    return is_stride(row) and not is_bound(row)


def accumulation(row):
    return int(row["global_batch"]) // (int(row["micro_batch"]) * int(row["dp"]))


def cluster_of(row):
    if row["gpu"].startswith("H100"):
        return "h100-80-smt-4"
    return "a100-40-numa-4"


def options_of(row, stride=None):
    ranks = int(row["gpus_total"])
    micro = accumulation(row)
    settings = {"offload_optimizer": "true", "sub_group_size": row["subgroup_size_params"],
                "offload_ratio": row["optimizer_offload_ratio"],
                "stage3_gather_in_line": "true", "stage3_reset_in_backward": "true"}
    stride = stride or row["update_stride_k"]
    if is_stride(row):
        settings["update_stride"] = stride
    if is_stride(row) or "async" in row["method"]:
        settings["async_gradient_flush"] = "true"
    if is_first_release(row):
        settings["one_copy_stream"] = "true"
    options = ["--cluster", cluster_of(row), "--gpus", str(ranks), "--policy", "zero3", "--dtype",
               "bf16", "--checkpoint", "full", "--batch", row["micro_batch"], "--seq", row["seq"],
               "--accumulate", str(min(micro, ACCUMULATED)), "--steps", "3", "--optimizer", "adamw",
               "--empty-cache", "--report-time", f"{REPORT_MS[row['gpu']][min(ranks, 4)]}ms", "--drop-output",
               "--mask", "none", "--host", HOST_OF[cluster_of(row)],
               "--binding", "socket" if is_bound(row) else "none"]
    if row["gpu"].startswith("A100"):
        options += ["--software", "deepspeed-0.13-cuda-11.8"]
    for key, value in settings.items():
        options += ["--scheme-option", f"{key}={value}"]
    return options


def simulate(program, row, extra=(), stride=None):
    """The result's last step: phases' times and memory, and the step's own time."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(config_of(int(row["params_on_tp_rank"])), file)
        file.flush()
        command = [program, "simulate", "-q", "--json", file.name, *options_of(row, stride), *extra]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1) or not done.stdout:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    return json.loads(done.stdout)


def told(result):
    """The rank whose phases are told: steps are its host's."""
    return next(device for device in result["devices"] if "phases" in device)


def predict(program, row, extra=(), stride=None):
    result = simulate(program, row, extra, stride)
    device = told(result)
    step = len(result["steps"]) - 1
    phases = {p["phase"]: p for p in device["phases"] if p["step"] == step}
    out = {name: phases[name]["time_ns"] / 1e6 for name in PHASES}
    out["iteration"] = result["steps"][step]["time_ns"] / 1e6
    micro, simulated = accumulation(row), min(accumulation(row), ACCUMULATED)
    if micro > simulated:  # micro-batches between the first and the last are alike
        shorter = simulate(program, {**row, "global_batch": str(
            int(row["micro_batch"]) * int(row["dp"]) * (simulated - 1))}, extra, stride)
        before = {p["phase"]: p["time_ns"] / 1e6 for p in told(shorter)["phases"]
                  if p["step"] == step}
        before["iteration"] = shorter["steps"][step]["time_ns"] / 1e6
        for name in ("forward", "backward", "iteration"):
            out[name] += (micro - simulated) * (out[name] - before[name])
    # of the last forward pass that there was memory for
    out["resident"] = [p["begin_allocated_bytes"] for p in device["phases"]
                       if p["phase"] == "forward" and p["begin_allocated_bytes"] > 0][-1] / GIB
    out["fits"] = device["fits"]
    for name in PHASES:
        # published are the most of all iterations, the first one's included
        out[f"{name} peak"] = max(p["peak_allocated_bytes"] for p in device["phases"]
                                  if p["phase"] == name) / GIB
    out["reserved"] = device["peak_reserved_bytes"] / GIB
    return out


COLUMNS = {"forward": "fwd_ms", "backward": "bwd_ms", "optimizer": "update_ms",
           "iteration": "iter_ms", "resident": "gpu_resident_before_fwd_GiB",
           "forward peak": "gpu_max_alloc_fwd_GiB", "backward peak": "gpu_max_alloc_bwd_GiB",
           "optimizer peak": "gpu_max_alloc_update_GiB", "reserved": "gpu_max_reserved_GiB"}


def is_calibrated(row):
    return any(row["run_dir"].endswith(folder) and row["method"].endswith(method) and
               micro in (None, accumulation(row)) and int(row["gpus_total"]) == ranks and
               row["tp"] == (parts[0] if parts else "1")
               for folder, method, micro, ranks, *parts in CALIBRATED)


def group_of(row):
    if row["gpu"].startswith("H100"):
        return "H100"
    if is_bound(row):
        return "A100, bound"
    if int(row["tp"]) > 1:
        return "A100, tensor parallel"
    if int(row["gpus_total"]) > 4:
        return "A100, 2 and 4 nodes"
    return "A100, unbound" + (", accumulated" if accumulation(row) > 1 else "")


def is_clean(row):
    """One node, no tensor parallelism, as many iterations as most, all alike."""
    return (int(row["gpus_total"]) <= 4 and row["tp"] == "1" and
            int(row["iterations_averaged"]) >= 8 and
            float(row["iter_ms_sd"] or 0) < 0.02 * float(row["iter_ms"]))


def errors(pairs):
    values = sorted(abs(predicted / measured - 1) * 100 for predicted, measured in pairs)
    if not values:
        return None
    return (statistics.mean(values), statistics.median(values),
            values[min(len(values) - 1, int(0.9 * len(values)))], values[-1])


GROUPS = ("H100", "A100, bound", "A100, unbound", "A100, unbound, accumulated",
          "A100, 2 and 4 nodes", "A100, tensor parallel", "calibrated on", "not calibrated on",
          "clean", "all")


# (rows, quantity) -> most of the mean and of the 90th percentile [%], of reserved memory [GiB]; aims of
# the project
LIMITS = {("clean", "iteration"): (5, 10), ("all", "iteration"): (6, 12),
          ("clean", "optimizer"): (5, None), ("H100", "optimizer"): (3, None),
          ("clean", "backward"): (8, None), ("clean", "forward"): (7, None),
          ("clean", "resident"): (0.3, None), ("clean", "optimizer peak"): (1, None),
          ("clean", "forward peak"): (3, None), ("clean", "backward peak"): (3, None),
          ("all", "forward peak"): (3, None), ("all", "backward peak"): (3, None),
          ("clean", "reserved"): (1.5, None)}


def above(name, key, mean, p90):
    most_mean, most_p90 = LIMITS.get((name, key), (None, None))
    is_bad = (most_mean is not None and mean > most_mean) or (most_p90 is not None and p90 > most_p90)
    if is_bad:
        print(f"{name}, {key}: above the limit", file=sys.stderr)
    return is_bad


def report(rows, found):
    """Prints the table; how many of its figures are above their limits."""
    groups, bad = {}, 0
    print(f"{sum(not out['fits'] for out in found)} of {len(rows)} rows, all of which ran, are "
          "predicted not to fit\n")
    for row, out in zip(rows, found):
        names = [group_of(row), "calibrated on" if is_calibrated(row) else "not calibrated on"]
        for name in names + (["clean"] if is_clean(row) else []) + ["all"]:
            groups.setdefault(name, []).append((row, out))
    print(f"{'':28}{'':18}{'rows':>5} {'mean %':>8} {'median %':>8} {'p90 %':>8} {'max %':>8}")
    for name, members in sorted(groups.items(), key=lambda item: GROUPS.index(item[0])):
        for key, column in COLUMNS.items():
            if key == "reserved":
                gaps = sorted(abs(out[key] - float(row[column])) for row, out in members)
                most = gaps[min(len(gaps) - 1, int(0.9 * len(gaps)))]
                print(f"{name:28}{key:18}{len(gaps):5} mean {statistics.mean(gaps):.2f} GiB, p90 "
                      f"{most:.2f} GiB")
                bad += above(name, key, statistics.mean(gaps), most)
                continue
            mean, median, p90, most = errors([(out[key], float(row[column]))
                                              for row, out in members])
            print(f"{name:28}{key:18}{len(members):5} {mean:8.2f} {median:8.2f} {p90:8.2f} "
                  f"{most:8.2f}")
            bad += above(name, key, mean, p90)
    return bad


# published update throughput by stride, 10^9 nominal parameters/s of a node of four, dos-figures.csv
SWEPT = {("7B", "4xH100-80GB"): 5898506240, ("13B", "4xH100-80GB"): 11197895680,
         ("20B", "4xH100-80GB"): 15326663680, ("7B", "4xA100-40GB"): 5948837888,
         ("13B", "4xA100-40GB"): 11315860480, ("20B", "4xA100-40GB"): 15579222016}


def swept_row(parameters, gpu, stride):
    is_h100 = "H100" in gpu
    return {"gpu": "H100-80GB" if is_h100 else "A100-40GB", "params_on_tp_rank": str(parameters),
            "bind_threads_per_rank": "46" if is_h100 else "14", "gpus_total": "4", "tp": "1",
            "dp": "4", "micro_batch": "1", "global_batch": "4", "seq": "2048",
            "method": "DeepOptimizerStates" if stride else "DeepSpeed ZeRO-3 CPU-offload",
            "update_stride_k": stride, "optimizer_offload_ratio": "1",
            "subgroup_size_params": "100000000"}


def sweep(program, path):
    """Update throughput by stride; the best stride of each model."""
    with open(path, newline="", encoding="utf-8") as file:
        bars = [row for row in csv.DictReader(file) if row["quantity"] == "update throughput" and
                (row["model"], row["gpu"]) in SWEPT and "every k-th" in row["note"]]
    pairs, best = [], {}
    for bar in bars:
        key = (bar["model"], bar["gpu"])
        stride = bar["method"].partition("k=")[2]
        out = predict(program, swept_row(SWEPT[key], bar["gpu"], stride))
        predicted = float(bar["model"][:-1]) / out["optimizer"] * 1e3
        measured = float(bar["value"])
        pairs.append((predicted, measured))
        best.setdefault(key, []).append((stride or "none", predicted, measured))
    print(f"\n{'update, 10^9 nominal parameters/s':36}predicted / published by stride")
    for (model, gpu), found in best.items():
        ours, theirs = (max(found, key=lambda item, i=i: item[i])[0] for i in (1, 2))
        print(f"{model + ' on ' + gpu:22}" +
              "  ".join(f"{stride}: {a:.1f} / {b:.1f}" for stride, a, b in found) +
              f"   best: {ours} / {theirs}")
    mean, median, p90, most = errors(pairs)
    print(f"{len(pairs)} bars: mean {mean:.1f} %, median {median:.1f} %, p90 {p90:.1f} %, "
          f"max {most:.1f} %")


def print_rows(rows, found):
    for row, out in zip(rows, found):
        print(f"{group_of(row)} | {row['model'].split()[0]} dp{row['dp']} tp{row['tp']} mb"
              f"{row['micro_batch']} acc{accumulation(row)} {row['method'][:36]} ratio"
              f"{row['optimizer_offload_ratio']} sg{float(row['subgroup_size_params']):.0e}")
        for key, column in COLUMNS.items():
            measured = float(row[column])
            print(f"    {key:16} {out[key]:10.2f} measured {measured:10.2f} "
                  f"{(out[key] / measured - 1) * 100:+6.1f} %")


def main():
    program, truth = sys.argv[1:3]
    if not os.path.exists(truth):
        print(f"skipped: no table {truth}", file=sys.stderr)
        return 77
    with open(truth, newline="") as file:
        rows = list(csv.DictReader(file))
    only = [a[7:] for a in sys.argv if a.startswith("--only=")]
    rows = [r for r in rows if not only or group_of(r) in only]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(lambda row: predict(program, row), rows))
    if "--rows" in sys.argv:
        print_rows(rows, found)
    bad = report(rows, found)
    figures = os.path.join(os.path.dirname(truth), "dos-figures.csv")
    if os.path.exists(figures) and not only:
        sweep(program, figures)
    return 1 if bad and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
