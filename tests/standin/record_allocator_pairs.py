#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Records one fine-tuning under several settings of PyTorch's allocator, without a GPU.

    PYTHON record_allocator_pairs.py LIBSTANDIN_CUDA OUT_FOLDER [MODEL...]

PYTHON is an interpreter with torch (CUDA build), transformers and peft. Every
pair of a model and a setting runs in a process of its own on the stand-in for
CUDA (this folder), so the requests and every decision are PyTorch's own and
only the driver below the allocator is not real. Nothing is computed: losses and
weights are zeros. empty_cache() is never called.

Written to OUT_FOLDER:

    MODEL-SETTING.pickle.gz  torch.cuda.memory._snapshot() from before the first
                             allocation, without stacks. Time means nothing here:
                             `time_us` is the number of entries before, so that the
                             same program gives the same bytes.
    peaks.csv                the allocator's own peaks, by torch.cuda.memory_stats()

Fails when the settings of a model did not see the same requests: the order and
sizes of all allocations and frees.
"""
import bisect
import csv
import gzip
import hashlib
import os
import pathlib
import pickle
import subprocess
import sys

SETTINGS = {
    "default": "",
    "expandable": "expandable_segments:True",
    "roundup-4": "roundup_power2_divisions:4",
    "max-split-21": "max_split_size_mb:21",
}
PEAKS = ["requested_bytes.all.peak", "allocated_bytes.all.peak", "active_bytes.all.peak",
         "reserved_bytes.all.peak"]
SEED = 20261121
MAX_ENTRIES = 10_000_000


def gpt2():
    """124 million parameters in 32 bits; batches of 4."""
    import transformers
    config = transformers.GPT2Config(vocab_size=50257, n_positions=512)
    return transformers.GPT2LMHeadModel(config), 4, [256, 192, 256, 320]


def llama_lora():
    """A Llama of 10 layers in 16 bits, trained by LoRA with gradient checkpointing."""
    import peft
    import torch
    import transformers
    config = transformers.LlamaConfig(
        vocab_size=32000, hidden_size=1024, intermediate_size=2816, num_hidden_layers=10,
        num_attention_heads=16, num_key_value_heads=4)
    model = transformers.LlamaForCausalLM(config).to(torch.bfloat16)
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.enable_input_require_grads()
    model.config.use_cache = False
    lora = peft.LoraConfig(r=16, lora_alpha=32, lora_dropout=0.05, task_type="CAUSAL_LM",
                           target_modules=["q_proj", "k_proj", "v_proj", "o_proj"])
    return peft.get_peft_model(model, lora), 2, [700, 1024, 331, 900]


def llama_mixed():
    """A Llama of 6 layers in 32 bits under autocast; lengths differ from step to step."""
    import transformers
    config = transformers.LlamaConfig(
        vocab_size=8000, hidden_size=512, intermediate_size=1376, num_hidden_layers=6,
        num_attention_heads=8, num_key_value_heads=8)
    return transformers.LlamaForCausalLM(config), 8, [128, 512, 96, 384, 640, 200]


MODELS = {"gpt2": gpt2, "llama-lora": llama_lora, "llama-mixed": llama_mixed}
AUTOCAST = {"llama-mixed"}


def train(name):
    """The recorded program: forward, loss, backward, clipping and AdamW on every length."""
    import torch
    model, batch, lengths = MODELS[name]()
    model.to("cuda").train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4)
    for length in lengths:
        tokens = torch.zeros(batch, length, dtype=torch.long, device="cuda")
        with torch.autocast("cuda", torch.bfloat16, enabled=name in AUTOCAST):
            loss = model(input_ids=tokens, labels=tokens).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss.item()


def count_instead_of_time(snapshot):
    """Puts the number of the device's entries before it in place of every time."""
    times = [entry["time_us"] for entry in snapshot["device_traces"][0]]
    for annotation in snapshot["external_annotations"]:
        annotation["time_us"] = bisect.bisect_left(times, annotation["time_us"])
    for index, entry in enumerate(snapshot["device_traces"][0]):
        entry["time_us"] = index


def record(name, out):
    """Inside the process of one pair."""
    import torch
    torch.manual_seed(SEED)
    torch.cuda.memory._record_memory_history(enabled="all", context=None, max_entries=MAX_ENTRIES)
    train(name)
    stats = torch.cuda.memory_stats()
    snapshot = torch.cuda.memory._snapshot()
    count_instead_of_time(snapshot)
    with open(out, "wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
        pickle.dump(snapshot, packed, protocol=4)
    for peak in PEAKS:
        print(stats[peak])


def requests(path):
    """What the program asked for: digest of the order and sizes, and their number."""
    with gzip.open(path) as file:
        trace = pickle.load(file)["device_traces"][0]
    asked = [(e["action"], e["size"], e["stream"]) for e in trace
             if e["action"] in ("alloc", "free_requested", "free_completed")]
    return hashlib.sha256(repr(asked).encode()).hexdigest(), len(asked)


def record_pair(library, folder, model, setting):
    """Runs one pair; returns its row of peaks.csv and the digest of its requests."""
    file = f"{model}-{setting}.pickle.gz"
    environment = dict(os.environ, LD_PRELOAD=library, PYTORCH_ALLOC_CONF=SETTINGS[setting],
                       PYTHONHASHSEED="0", OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1")
    if not SETTINGS[setting]:
        del environment["PYTORCH_ALLOC_CONF"]
    run = subprocess.run([sys.executable, __file__, "--record", model, str(folder / file)],
                         env=environment, check=True, stdout=subprocess.PIPE, text=True)
    digest, count = requests(folder / file)
    return [file, SETTINGS[setting], count] + run.stdout.split()[-len(PEAKS):], digest


def main():
    if sys.argv[1:2] == ["--record"]:
        record(sys.argv[2], sys.argv[3])
        return 0
    library, folder = str(pathlib.Path(sys.argv[1]).resolve()), pathlib.Path(sys.argv[2])
    rows = []
    different = False
    for model in sys.argv[3:] or MODELS:
        digests = set()
        for setting in SETTINGS:
            row, digest = record_pair(library, folder, model, setting)
            digests.add(digest)
            rows.append(row)
            print(*row)
        if len(digests) > 1:
            print(f"{model}: the settings did not see the same requests")
            different = True
    with open(folder / "peaks.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["file", "conf", "requests", "peak_requested_bytes",
                         "peak_allocated_bytes", "peak_active_bytes", "peak_reserved_bytes"])
        writer.writerows(rows)
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
