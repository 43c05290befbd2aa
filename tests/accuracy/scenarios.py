#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the tables of measured runs beside this script, for `peakstep validate`.

    scenarios.py SHARED [NAME...]

SHARED holds what others published (truth/) and recorded (traces/real/). The tables are
committed, so this need be run again only when a mapping below changes. Nothing here looks
at a prediction; what a source does not say is chosen from what it says elsewhere and
stated below, never from how near a row comes.

Where a source prints a rounded figure the row is the range that rounds to it.
"""
import csv
import json
import pathlib
import re
import statistics
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
MIB = 1 << 20
BASIC = ["case", "input", "options", "metric", "measured", "measured_high", "unit", "source"]


def read(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write(name, comment, rows, further):
    """A table with its mapping in comment lines; columns nobody uses are left out."""
    used = [column for column in BASIC if column != "measured_high" or
            any(row.get(column) for row in rows)]
    with open(HERE / name, "w", encoding="utf-8", newline="") as file:
        for line in comment.strip().splitlines():
            file.write(f"# {line}".rstrip() + "\n")
        writer = csv.DictWriter(file, used + further, restval="", extrasaction="raise",
                                lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"{name}: {len(rows)} rows")


def rounded(text, factor=1, decimals=None):
    """The range of values that round to `text`, each end times `factor`, as plain decimals."""
    if decimals is None:
        decimals = len(text.partition(".")[2])
    half = 0.5 * 10 ** -decimals
    return [f"{(float(text) + end) * factor:.10g}" for end in (-half, half)]


# ---- recordings as they were made ----

TRACES = """
Recordings of public projects as they were made: what is predicted for a recording without
any change, beside what it says itself (traces/real/MANIFEST.csv; figures read by other means
than this project's importers). Times are medians of the steps after the first. A recording that
ends where memory ran out tells no peak, only that it did not fit.
"""


def steady_step_ms(text):
    steps = [float(value) for value in text.split()]
    return statistics.median(steps[1:] or steps)


def trace_figures(row):
    """(metric, low, high, unit) of a row of the manifest, whose zeros at the end are cut."""
    if re.fullmatch(r"[\d. ]+", row["step_ms"]):
        step = steady_step_ms(row["step_ms"])
        yield "step_time_ms", f"{step - 0.005:.4f}", f"{step + 0.005:.4f}", "ms"
    profile = re.search(r"dev\((?!0,)\d+, \d+\): alloc ([\d.]+) resv ([\d.]+) GiB", row["peak"])
    snapshot = re.search(r"dev0: (?:active|final alloc) [\d.]+ resv ([\d.]+) GiB", row["peak"])
    if "oom event" in row["note"]:
        yield "fits", "no", "", ""
    elif profile:
        yield ("peak_allocated_bytes", *rounded(profile[1], decimals=4), "GiB")
        yield ("peak_reserved_bytes", *rounded(profile[2], decimals=4), "GiB")
    elif snapshot:
        yield ("peak_reserved_bytes", *rounded(snapshot[1], decimals=3), "GiB")


def make_traces(shared):
    rows = []
    for entry in read(shared / "traces/real/MANIFEST.csv"):
        if not entry["format"].startswith(("Kineto", "CUDA memory snapshot")):
            continue
        for metric, low, high, unit in trace_figures(entry):
            rows.append(dict(
                case="/".join(entry["file"].split("/")[-2:]), input="traces/real/" + entry["file"],
                options="", metric=metric, measured=low, measured_high=high, unit=unit,
                source=entry["source repo"],
                group="profile" if entry["format"].startswith("Kineto") else "snapshot"))
    write("traces.csv", TRACES, rows, ["group"])


# ---- allocator settings ----

PAIRS = """
One program recorded under four settings of PyTorch's allocator (traces/allocator-pairs): each
recording simulated cold under every setting, its own among them, beside what the allocator's own
statistics said of the run that was made under it.
"""


def make_allocator_pairs(_):
    runs = read(ROOT / "traces/allocator-pairs/peaks.csv")
    program = {run["file"]: re.match(r"gpt2|llama-lora|llama-mixed", run["file"])[0]
               for run in runs}
    rows = []
    for recorded in runs:
        for asked in runs:
            if program[recorded["file"]] != program[asked["file"]]:
                continue
            for metric in ("peak_allocated_bytes", "peak_reserved_bytes"):
                rows.append(dict(
                    case=f"{program[asked['file']]} under {asked['conf'] or 'defaults'}",
                    input="../../traces/allocator-pairs/" + recorded["file"],
                    options=f"--allocator-conf '{asked['conf']}' --cache empty",
                    metric=metric, measured=asked[metric], unit="B",
                    source="PyTorch 2.11.0 on a stand-in driver",
                    recorded=recorded["conf"] or "defaults", program=program[asked["file"]]))
    write("allocator-pairs.csv", PAIRS, rows, ["recorded", "program"])


# ---- xMem ----

XMEM = """
Fine-tunings of language models measured by the xMem study (truth/xmem-runs.csv, docs/ORACLE.md):
weights at random in 32 bits, 4 steps, lines of at most 128 tokens. NVML's figure counts from the
first sample, so its base is what is loaded once outside the allocator. The allocator had the
card's total less 155 MiB (RTX 3060), 119 MiB (RTX 4060); --memory is that and the base. The
A100's is not known and no run comes near it: total less 500 MiB stands in.
Sets 001 and data_new ran without cuBLAS workspaces, the others with the default ones.
Where no position of zero_grad is given, the loop's first one: start. Adafactor is transformers'.
Batches above 10 hold a line of 128 tokens all but surely; smaller ones are drawn, with one seed
for all rows, unless the study pads every line. Peaks of runs that failed are left out: they are
where the run broke off.
"""
# name in the catalogue, total less what the allocator could have [MiB], loaded once [MiB]
XMEM_CARDS = {
    "NVIDIA GeForce RTX 3060": ("RTX 3060", 155, 18),
    "NVIDIA GeForce RTX 4060": ("RTX 4060", 119, 14),
    "NVIDIA A100-SXM4-40GB": ("A100-SXM4-40GB", 500, 354),
}
XMEM_OPTIMIZERS = {"AdamW": "adamw", "Adam": "adam", "SGD": "sgd", "Adafactor": "hf-adafactor"}
XMEM_ZERO_GRAD = {"null": "start", "0": "start", "1": "before-backward", "2": "end"}
XMEM_PADDED = ("pythia", "DeepSeek-R1", "Qwen3")
XMEM_SEED = 1


def xmem_options(run):
    card, less_mib, base_mib = XMEM_CARDS[run["gpu"]]
    memory = int(run["gpu_total_bytes"]) - (less_mib - base_mib) * MIB
    words = [f'--gpu "{card}" --memory {memory} --base {base_mib}MiB',
             f"--optimizer {XMEM_OPTIMIZERS[run['optimizer']]} --batch {run['batch']}",
             "--seq 128 --dtype fp32 --steps 4",
             f"--zero-grad {XMEM_ZERO_GRAD[run['zero_grad_position']]}"]
    if run["set"].endswith("/001") or run["set"].startswith("data_new"):
        words.append("--cublas-workspace :0:0")
    if int(run["batch"]) <= 10 and not any(name in run["model"] for name in XMEM_PADDED):
        words.append(f"--lengths draw --seed {XMEM_SEED}")
    return " ".join(words)


def xmem_group(run):
    batch = "batch 1" if run["batch"] == "1" else \
        "batch up to 10" if int(run["batch"]) <= 10 else "batch above 10"
    return f"{XMEM_CARDS[run['gpu']][0]}, {batch}"


def make_xmem(shared):
    rows = []
    for run in read(shared / "truth/xmem-runs.csv"):
        if run["family"] != "LM":
            continue
        base = dict(
            case=f"{run['model'].split('/')[-1]} {run['optimizer']} {run['batch']}",
            input=run["model"], options=xmem_options(run),
            source="xMem, " + run["set"], group=xmem_group(run), model=run["model"],
            optimizer=run["optimizer"])
        rows.append(dict(base, metric="fits", measured="no" if run["oom"] == "1" else "yes"))
        if run["oom"] == "0":
            rows.append(dict(base, metric="peak_device_bytes", unit="B",
                             measured=run["measured_nvml_peak_bytes"]))
    write("xmem.csv", XMEM, rows, ["group", "model", "optimizer"])


# ---- ZO2 ----

ZO2 = """
Peaks and step times of ZO2 (truth/zo2-memory.csv, zo2-throughput-thirdparty.csv): OPT with
embeddings that are not tied (models/, from the project's own test configurations), batch 1, 2048
tokens, eager attention. "GB" there are MiB / 1000. NVML's figure, of its first interface, is all that
is used of the card: the allocator's segments, the context, page tables of pinned host memory and what
the driver keeps. The GPU of the project's own tables is not stated: an A100-SXM-80 stands for its
context and its driver's share. Left out: tables without a dtype or a batch, host memory.
"""


def make_zo2_models(shared):
    """Configurations of the test models; returns the file of each by its name in the tables."""
    files = {}
    (HERE / "models").mkdir(exist_ok=True)
    for model in read(shared / "truth/zo2-opt-test-configs.csv"):
        size = model["model"].removeprefix("opt_").replace("_", ".")
        config = dict(
            architectures=["OPTForCausalLM"], model_type="opt", activation_function="relu",
            attention_dropout=0.0, do_layer_norm_before=True, dropout=0.1, enable_bias=True,
            ffn_dim=int(model["ffn"]), hidden_size=int(model["hidden"]),
            layer_norm_elementwise_affine=True,
            max_position_embeddings=int(model["max_positions"]),
            num_attention_heads=int(model["heads"]), num_hidden_layers=int(model["layers"]),
            tie_word_embeddings=False, torch_dtype="float16", vocab_size=int(model["vocab"]),
            word_embed_proj_dim=int(model["hidden"]))
        path = f"models/zo2-opt-{size}.json"
        (HERE / path).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        files["OPT-" + size.upper()] = path
    return files


def zo2_figure(run):
    """(metric, low, high, unit), or None for what no metric stands for."""
    if run["quantity"] == "steps per second":
        slow, fast = rounded(run["value"])
        return "step_time_ms", f"{1000 / float(fast):.4f}", f"{1000 / float(slow):.4f}", "ms"
    metric = {"torch max_memory_allocated": "peak_allocated_bytes",
              "peak device memory, NVML used": "peak_nvml_bytes"}.get(run["quantity"])
    if metric is None:
        return None
    if run["unit"] == "MiB":
        return metric, run["value"], "", "MiB"
    return (metric, *rounded(run["value"], 1000), "MiB")


def make_zo2(shared):
    files = make_zo2_models(shared)
    rows = []
    for run in read(shared / "truth/zo2-memory.csv") + \
            read(shared / "truth/zo2-throughput-thirdparty.csv"):
        figure = zo2_figure(run)
        dtype = run["dtype"].split()[0]
        if figure is None or dtype not in ("fp16", "fp32") or run["batch"] != "1":
            continue
        model = run["model"].split()[0]
        gpu = "RTX 3090" if "3090" in run["gpu"] else "A100-SXM-80"
        policy = "--policy zo2" if run["method"].startswith("ZO2") else ""
        rows.append(dict(
            case=f"{model} {run['method'].split()[0]} {dtype}", input=files[model],
            options=f'--gpu "{gpu}" --batch 1 --seq 2048 --dtype {dtype} --optimizer mezo '
                    f"--attention eager {policy}".strip(),
            metric=figure[0], measured=figure[1], measured_high=figure[2], unit=figure[3],
            source=run["source"].replace("(file", "").strip(),
            group="third party" if "3090" in run["gpu"] else f"published, {dtype}"))
    write("zo2.csv", ZO2, rows, ["group"])


# ---- MeZO ----

MEZO = """
Memory, times and fits of MeZO and of full fine-tuning on one A100-80GB (truth/mezo-*.csv):
MultiRC, 400 tokens on average, taken as the length of every line, so peaks of longer lines are
not in the prediction. Memory is a whole number of "GB", 10^9 or GiB is not said: the range covers
both. MeZO in 16 bits; full fine-tuning mixed, with Adam. The Trainer keeps no output but the loss.
Left out: several GPUs, prefix tuning, in-context learning.
"""
MEZO_ONE = {"1x A100-80GB", "1x A100-80GB NVLink+InfiniBand", "1xA100 80GB"}


def mezo_options(method, batch, accumulate=1):
    how = "--dtype amp-fp16 --optimizer adam" if "FT" in method else "--dtype fp16 --optimizer mezo"
    more = f" --accumulate {accumulate}" if accumulate > 1 else ""
    return f"--gpu A100-SXM-80 --batch {batch} --seq 400 {how} --drop-output{more}"


def mezo_model(name):
    return "facebook/opt-" + name.removeprefix("OPT-").lower()


def mezo_method(method):
    """"MeZO", "full FT", or None for what is left out."""
    if "prefix" in method or "ICL" in method:
        return None
    return "MeZO" if "MeZO" in method else "full FT"


def mezo_rows(shared):
    for run in read(shared / "truth/mezo-memory.csv"):
        low, high = float(run["value"] or 0) - 0.5, float(run["value"] or 0) + 0.5
        yield run, mezo_options(run["method"], 1), "peak_device_bytes", f"{low:g}", \
            f"{high * 2**30 / 1e9:.6g}", "GB", "memory"
    for run in read(shared / "truth/mezo-walltime.csv"):
        split = re.match(r"bspd=(\d+) ga=(\d+)", run["note"])
        batch, accumulate = (int(split[1]), int(split[2])) if split else (run["batch"], 1)
        yield run, mezo_options(run["method"], batch, accumulate), "step_time_ms", run["value"], \
            "", "s", "time"


def mezo_fits(shared):
    """The largest size that fits, and the next one, which does not."""
    sizes = ["1.3B", "2.7B", "6.7B", "13B", "30B", "66B"]
    for run in read(shared / "truth/mezo-fit.csv"):
        if run["quantity"] == "largest model that fits" and run["value"] in sizes:
            at = sizes.index(run["value"])
            for size, fits in zip(sizes[at:at + 2], ("yes", "no")):
                yield dict(run, model="OPT-" + size), mezo_options(run["method"], 1), "fits", \
                    fits, "", "", "fits"


def make_mezo(shared):
    rows = []
    for run, options, metric, low, high, unit, group in [*mezo_rows(shared), *mezo_fits(shared)]:
        method = mezo_method(run["method"])
        if run["gpu"] not in MEZO_ONE or method is None or run["method"] == "FT-prefix":
            continue
        rows.append(dict(
            case=f"{run['model']} {method}", input=mezo_model(run["model"]), options=options,
            metric=metric, measured=low, measured_high=high, unit=unit, source=run["source"],
            group=f"{method}, {group}"))
    write("mezo.csv", MEZO, rows, ["group"])


# ---- LLMem ----

LLMEM = """
Single-GPU peaks of LLMem's second table (truth/llmem-table2-single-gpu.csv). The batches are in no
source that could be read, so each peak stands beside a curve over batches, and no row counts:
used_for_calibration is 1 throughout. What can be judged is whether the curve passes the measured
peak within what a batch more costs. 512 tokens, 16-bit weights with 32-bit copies in Gemini's
chunks, one fused Adam, every layer recomputed, three steps.
"""
LLMEM_BATCHES = {
    "facebook/opt-125m": (20, 40, 60, 70, 80, 90, 100),
    "facebook/opt-350m": (20, 30, 40, 50, 60, 70),
    "bigscience/bloom-560m": (2, 4, 6, 8, 10, 12),
    "Salesforce/codegen-350M": (10, 20, 25, 30, 35, 40),
}


def make_llmem(shared):
    rows = []
    for run in read(shared / "truth/llmem-table2-single-gpu.csv"):
        name = "Salesforce/codegen-350M-nl" if "codegen" in run["model"] else run["model"]
        for batch in LLMEM_BATCHES[run["model"]]:
            rows.append(dict(
                case=f"{run['model'].split('/')[-1]} batch {batch}", input=name,
                options=f"--gpu V100-SXM2-16 --batch {batch} --seq 512 --dtype fp16 "
                        "--optimizer adam --optimizer-kind fused --checkpoint full --steps 3 "
                        "--policy gemini",
                metric="peak_device_bytes", measured=run["measured_mib"], unit="MiB",
                source="LLMem, table 2 as transcribed by a third party",
                used_for_calibration=1, group=run["model"]))
    write("llmem-table2.csv", LLMEM, rows, ["used_for_calibration", "group"])


# ---- CoLM ----

COLM = """
Phi-2 tuned by LoRA of rank 128 as CoLM does it, measured by a third party on an RTX PRO 6000
(truth/colm-thirdparty-*.csv): 32-bit weights under fp16 autocast, AdamW. Only the training part of
a step is here; the selection before it is left out, and so are reserved peaks, which depend on a
history of packs that is not published. "GB" there may be GiB: ranges cover both.
Budgets below 2048 tokens peak at the longest example, 2048 tokens; packs of several examples are
that many lines of equal length with the same tokens. The Trainer keeps no output but the loss.
"""
COLM_LORA = "--lora 128 --lora-dropout 0.05 " + \
    " ".join(f"--lora-target {name}" for name in ("q_proj", "k_proj", "v_proj", "fc1", "fc2"))
# (table, variant): lines in a forward, tokens a line, forwards a step
COLM_MEMORY = {
    ("memory", "legacy upstream (micro-batch 2; cut at 512)"): (2, 512, 8),
    ("pack budget", "train_max_tokens=1024"): (1, 2048, 4),
    ("pack budget", "train_max_tokens=1536"): (1, 2048, 3),
    ("pack budget", "train_max_tokens=2048"): (1, 2048, 2),
    ("pack budget", "train_max_tokens=4096"): (2, 2048, 1),
    ("budget sweep", "8599-token budget"): (5, 1720, 1),
    ("budget sweep", "3746-token budget"): (2, 1873, 1),
    ("budget sweep", "1322-token budget"): (1, 2048, 3),
    ("worst case", "2 x 2048 tokens in one pack"): (2, 2048, 1),
    ("worst case", "2 packs of 2048 tokens"): (1, 2048, 2),
}
COLM_TIME = {
    ("measured baseline", "train_ms"): (2, 406, 8),
    ("phase 2", "step_ms"): (1, 1259, 3),
}


def colm_options(lines, tokens, forwards, optimizer="adamw"):
    return f'--gpu "RTX PRO 6000" --batch {lines} --seq {tokens} --accumulate {forwards} ' \
           f"--dtype amp-fp16 --optimizer {optimizer} --drop-output {COLM_LORA}"


def make_colm(shared):
    rows = []
    for run in read(shared / "truth/colm-thirdparty-memory.csv"):
        shape = COLM_MEMORY.get((run["table"], run["variant"]))
        if shape is not None and run["phase"] == "train":
            low, high = rounded(run["peak_allocated_gb"])
            optimizer = "none" if "no optimizer step" in run["note"] else "adamw"
            rows.append(dict(
                case=run["variant"], input="microsoft/phi-2",
                options=colm_options(*shape, optimizer=optimizer),
                metric="peak_allocated_bytes", measured=low,
                measured_high=f"{float(high) * 2**30 / 1e9:.6g}", unit="GB", source=run["source"],
                group="memory"))
    for run in read(shared / "truth/colm-thirdparty-step-timing.csv"):
        for (table, column), shape in COLM_TIME.items():
            if run["table"] == table and (column == "train_ms" or "no selection" in run["variant"]):
                rows.append(dict(
                    case=run["variant"], input="microsoft/phi-2",
                    options=colm_options(*shape),
                    metric="step_time_ms", measured=run[column], unit="ms", source=run["source"],
                    group="time of training"))
    write("colm.csv", COLM, rows, ["group"])


TABLES = {"traces": make_traces, "allocator-pairs": make_allocator_pairs, "xmem": make_xmem,
          "zo2": make_zo2, "mezo": make_mezo, "llmem-table2": make_llmem, "colm": make_colm}


def main():
    if len(sys.argv) < 2 or any(name not in TABLES for name in sys.argv[2:]):
        print(f"usage: scenarios.py SHARED [{'|'.join(TABLES)}]...", file=sys.stderr)
        return 2
    for name in sys.argv[2:] or TABLES:
        TABLES[name](pathlib.Path(sys.argv[1]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
