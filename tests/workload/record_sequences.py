#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Records what small models ask of PyTorch's allocator, and which operator asked.

    PYTHON record_sequences.py LIBSTANDIN_CUDA OUT_FOLDER [--jobs N] [--only TEXT]

PYTHON is an interpreter with torch (CUDA build), transformers and peft. Every
configuration is a process of its own on the stand-in for CUDA, so every request is
PyTorch's own. The same versions give the same bytes.

A configuration is MODEL-TYPE-ATTENTION-OPTIMIZER[-EXTRA...]. Widths are such that the
sizes of different tensors differ. Two steps: the first makes the optimizer's state.

OUT_FOLDER/NAME.csv has a line an allocation or free, in order:

    index     counts from 0
    action    alloc, free
    bytes     as requested, not rounded
    of        frees: index of the allocation
    step      -1 before the first
    phase     load, forward, backward, optimizer, zero
    op        innermost operator that is not a mere factory of tensors
    within    operator that Python called, or the node of the backward graph
    module    forward, also within backward when recomputed: the innermost module

OUT_FOLDER/index.csv has a line a configuration: the allocator's own peaks.
"""
import argparse
import contextlib
import csv
import ctypes
import itertools
import multiprocessing
import os
import pathlib
import subprocess
import sys

import published_configs

BATCH, LENGTH, STEPS = 3, 41, 2
WORDS = 1013
MAX_ENTRIES = 1_000_000
UNSPLIT = 1 << 20  # a block keeps up to this much more than was asked for

ROPE = dict(vocab_size=WORDS, hidden_size=240, intermediate_size=632, num_hidden_layers=2,
            num_attention_heads=6, num_key_value_heads=2, max_position_embeddings=128)
MODELS = {
    "gpt2": dict(kind="gpt2", vocab_size=WORDS, n_positions=128, n_embd=240, n_layer=2, n_head=6),
    "gpt2-gelu": dict(kind="gpt2", vocab_size=WORDS, n_positions=128, n_embd=240, n_layer=2,
                      n_head=6, n_inner=632, activation_function="gelu", attn_pdrop=0.0,
                      embd_pdrop=0.0, resid_pdrop=0.0, scale_attn_weights=False),
    "gpt2-scaled": dict(kind="gpt2", vocab_size=WORDS, n_positions=128, n_embd=240, n_layer=2,
                        n_head=6, scale_attn_by_inverse_layer_idx=True),
    "gpt2-upcast": dict(kind="gpt2", vocab_size=WORDS, n_positions=128, n_embd=240, n_layer=2,
                        n_head=6, reorder_and_upcast_attn=True),
    "gpt2-head": dict(kind="gpt2", vocab_size=WORDS, n_positions=128, n_embd=240, n_layer=2,
                      n_head=1),
    "llama": dict(ROPE, kind="llama"),
    "llama-own": dict(ROPE, kind="llama", num_key_value_heads=6, attention_bias=True,
                      mlp_bias=True, attention_dropout=0.1),
    "llama-one": dict(ROPE, kind="llama", num_key_value_heads=1),
    "mistral": dict(ROPE, kind="mistral", sliding_window=32),
    "mistral-wide": dict(ROPE, kind="mistral", sliding_window=None, head_dim=48),
    "mixtral": dict(ROPE, kind="mixtral", num_local_experts=4),
    "opt": dict(kind="opt", vocab_size=WORDS, hidden_size=240, word_embed_proj_dim=240, ffn_dim=632,
                num_hidden_layers=2, num_attention_heads=6, max_position_embeddings=128, dropout=0.1),
    "opt-projected": dict(kind="opt", vocab_size=WORDS, hidden_size=240, word_embed_proj_dim=136,
                          ffn_dim=632, num_hidden_layers=2, num_attention_heads=6,
                          max_position_embeddings=128, do_layer_norm_before=False, dropout=0.1),
    "gpt_neo": dict(kind="gpt_neo", vocab_size=WORDS, hidden_size=240, num_layers=2, num_heads=6,
                    attention_types=[[["global", "local"], 1]], window_size=32,
                    max_position_embeddings=128),
    "gpt_neox": dict(kind="gpt_neox", vocab_size=WORDS, hidden_size=240, intermediate_size=632,
                     num_hidden_layers=2, num_attention_heads=6, max_position_embeddings=128),
    "gpt_neox-serial": dict(kind="gpt_neox", vocab_size=WORDS, hidden_size=240,
                            intermediate_size=632, num_hidden_layers=2, num_attention_heads=6,
                            max_position_embeddings=128, use_parallel_residual=False,
                            attention_bias=False, rotary_pct=1.0, hidden_dropout=0.1,
                            attention_dropout=0.1, tie_word_embeddings=True),
    "gptj": dict(kind="gptj", vocab_size=WORDS, n_positions=128, n_embd=240, n_layer=2, n_head=6,
                 rotary_dim=24, embd_pdrop=0.1, resid_pdrop=0.1),
    "codegen": dict(kind="codegen", vocab_size=WORDS, n_positions=128, n_embd=240, n_layer=2,
                    n_head=8, rotary_dim=16),
    "bloom": dict(kind="bloom", vocab_size=WORDS, hidden_size=240, n_layer=2, n_head=6,
                  hidden_dropout=0.1),
    "gpt_bigcode": dict(kind="gpt_bigcode", vocab_size=WORDS, n_positions=128, n_embd=240,
                        n_layer=2, n_head=6),
    "gpt_bigcode-heads": dict(kind="gpt_bigcode", vocab_size=WORDS, n_positions=128, n_embd=240,
                              n_layer=2, n_head=6, multi_query=False, n_inner=632),
    "qwen2": dict(ROPE, kind="qwen2"),
    "qwen3": dict(ROPE, kind="qwen3", head_dim=56, tie_word_embeddings=True),
    "gemma": dict(ROPE, kind="gemma", head_dim=56),
    "gemma2": dict(ROPE, kind="gemma2", head_dim=56, sliding_window=32, query_pre_attn_scalar=56),
    "gemma2-bare": dict(ROPE, kind="gemma2", head_dim=48, num_key_value_heads=6, num_hidden_layers=3,
                        attention_bias=True, attention_dropout=0.1, tie_word_embeddings=False,
                        attn_logit_softcapping=None, final_logit_softcapping=None),
    "phi": dict(kind="phi", vocab_size=WORDS, hidden_size=240, intermediate_size=632,
                num_hidden_layers=2, num_attention_heads=6, max_position_embeddings=128),
    "phi-shared": dict(kind="phi", vocab_size=WORDS, hidden_size=240, intermediate_size=632,
                       num_hidden_layers=2, num_attention_heads=6, num_key_value_heads=2,
                       max_position_embeddings=128, qk_layernorm=True, resid_pdrop=0.1,
                       embd_pdrop=0.1, attention_dropout=0.1),
    "phi3": dict(ROPE, kind="phi3", pad_token_id=0, num_key_value_heads=6),
    "phi3-shared": dict(ROPE, kind="phi3", pad_token_id=0, sliding_window=32, resid_pdrop=0.1,
                        attention_dropout=0.1, partial_rotary_factor=0.6,
                        tie_word_embeddings=True),
    "qwen2_moe": dict(ROPE, kind="qwen2_moe", num_experts=4, num_experts_per_tok=2,
                      moe_intermediate_size=136, shared_expert_intermediate_size=272,
                      decoder_sparse_step=1),
    "deepseek_v3": dict(ROPE, kind="deepseek_v3", num_key_value_heads=6, q_lora_rank=104,
                        kv_lora_rank=88, qk_rope_head_dim=16, qk_nope_head_dim=24, v_head_dim=32,
                        n_routed_experts=8, n_group=2, topk_group=1, num_experts_per_tok=2,
                        moe_intermediate_size=136, first_k_dense_replace=1, num_hidden_layers=2),
    "t5": dict(kind="t5", vocab_size=WORDS, d_model=240, d_ff=632, d_kv=40, num_layers=2,
               num_heads=6, dropout_rate=0.1, decoder_start_token_id=0),
    "t5-gated": dict(kind="t5", vocab_size=WORDS, d_model=240, d_ff=632, d_kv=48, num_layers=2,
                     num_decoder_layers=3, num_heads=6, dropout_rate=0.1,
                     feed_forward_proj="gated-gelu", tie_word_embeddings=False,
                     decoder_start_token_id=0),
    "bert": dict(kind="bert", vocab_size=WORDS, hidden_size=240, intermediate_size=632,
                 num_hidden_layers=2, num_attention_heads=6, max_position_embeddings=128),
    "bert-untied": dict(kind="bert", vocab_size=WORDS, hidden_size=240, intermediate_size=632,
                        num_hidden_layers=2, num_attention_heads=6, max_position_embeddings=128,
                        hidden_act="relu", tie_word_embeddings=False,
                        attention_probs_dropout_prob=0.0),
    "biogpt": dict(kind="biogpt", vocab_size=WORDS, hidden_size=240, intermediate_size=632,
                   num_hidden_layers=2, num_attention_heads=6, max_position_embeddings=128),
}
PARAMETER_TYPES = {"fp32": "float32", "bf16": "bfloat16", "amp": "float32", "fp16amp": "float32"}
AUTOCAST_TYPES = {"amp": "bfloat16", "fp16amp": "float16"}
KERNELS = {"flash": "FLASH_ATTENTION", "efficient": "EFFICIENT_ATTENTION", "math": "MATH"}
EVERYWHERE = ["fp32-sdpa-adamw", "fp32-eager-adamw", "bf16-sdpa-adamw", "bf16-eager-sgd",
              "amp-sdpa-adamw", "amp-eager-adamw", "fp32-sdpa-sgd-masked", "bf16-sdpa-adamw-masked",
              "fp32-sdpa-adamw-checkpoint"]
FEW = ["fp32-sdpa-adamw", "fp32-eager-adamw", "bf16-sdpa-adamw"]  # of members that differ little
MEMBERS = {"llama-own", "llama-one", "mistral-wide", "t5-gated", "gpt_neox-serial", "bert-untied",
           "gemma2-bare", "phi-shared", "phi3-shared"}
MORE = [
    "llama-fp32-efficient-adamw", "llama-fp32-math-adamw", "llama-bf16-flash-adamw",
    "llama-bf16-efficient-adamw", "llama-bf16-math-adamw", "llama-amp-flash-adamw",
    "llama-fp16amp-sdpa-adamw", "llama-bf16-sdpa-adamw-checkpoint", "llama-bf16-sdpa-adamw-lora",
    "llama-bf16-sdpa-adamw-lora-checkpoint", "llama-fp32-sdpa-adamw-lora",
    "llama-fp32-sdpa-adamw-accumulate", "llama-fp32-sdpa-adamw-clip", "llama-fp32-sdpa-adamw_fused",
    "llama-fp32-sdpa-adamw_loop", "llama-fp32-sdpa-adam", "llama-fp32-sdpa-momentum",
    "llama-fp32-sdpa-rmsprop", "llama-fp32-sdpa-adagrad", "llama-fp32-sdpa-adafactor",
    "llama-fp32-sdpa-hfadafactor", "gpt2-bf16-flash-adamw", "gpt2-fp32-math-adamw",
    "gpt2-bf16-sdpa-adamw-lora", "qwen3-bf16-sdpa-adamw-lora", "gpt2-fp32-sdpa-adamw-long",
    "llama-bf16-sdpa-adamw-long", "t5-fp32-sdpa-adamw-long", "gpt_neo-fp32-eager-adamw-single",
    "opt-bf16-sdpa-adamw-unpadded", "opt-fp32-sdpa-adamw-unpadded", "opt-amp-sdpa-adamw-unpadded",
    "opt-fp32-math-adamw-unpadded", "opt-bf16-math-adamw-masked", "opt-bf16-flash-adamw-unpadded",
    "opt-fp32-eager-adamw-single", "opt-bf16-sdpa-adamw-single", "opt-fp32-sdpa-adamw-single",
    "gemma2-fp32-eager-adamw-single", "gemma2-bf16-sdpa-adamw-single",
    "gemma2-amp-sdpa-adamw-long", "gemma2-bf16-sdpa-adamw-lora", "gemma2-fp32-math-adamw",
    "gemma2-fp16amp-sdpa-adamw", "phi-fp32-eager-adamw-single", "phi3-bf16-sdpa-adamw-single",
    "gptj-fp32-eager-adamw-single", "codegen-fp32-eager-adamw-single",
    "bloom-fp32-eager-adamw-single", "gpt_bigcode-fp32-eager-adamw-single",
    "t5-fp32-eager-adamw-single", "t5-amp-eager-adamw-single", "t5-gated-fp32-eager-adamw-checkpoint",
    "gpt_neox-fp32-eager-adamw-single", "gpt_neox-bf16-sdpa-adamw-single",
    "gpt_neox-fp32-math-adamw", "bert-fp32-eager-adamw-single", "bert-bf16-sdpa-adamw-single",
    "bert-bf16-sdpa-adamw-unpadded", "biogpt-fp32-eager-adamw-single",
    "biogpt-fp32-sdpa-adamw-single", "biogpt-bf16-sdpa-adamw-unpadded",
    "gpt_bigcode-fp32-sdpa-adamw-single", "gpt_bigcode-heads-fp32-eager-adamw-single",
    "gpt2-fp16amp-sdpa-adamw", "gpt2-fp32-sdpa-adamw-clip", "gpt2-bf16-sdpa-adamw-lora-clip",
    "gpt2-fp32-sdpa-adamw-accumulate", "gpt2-fp32-eager-adamw-masked", "gpt2-amp-eager-sgd-masked",
    "gpt2-amp-sdpa-adamw-checkpoint", "gpt2-bf16-sdpa-adamw-lora-checkpoint",
    "gpt2-fp32-sdpa-adamw-masked-checkpoint", "gpt2-amp-sdpa-adamw-masked",
    "gpt2-amp-sdpa-adamw-lora", "gpt2-amp-math-adamw", "gpt2-bf16-math-adamw-masked",
    "gpt2-fp32-sdpa-adamw-single", "gpt2-bf16-sdpa-adamw-single", "gpt2-bf16-math-adamw-single",
    "gpt2-fp32-eager-adamw-single", "gpt2-amp-eager-adamw-single", "gpt2-bf16-sdpa-sgd-masked-single",
    "gpt2-head-fp32-sdpa-adamw", "gpt2-head-fp32-eager-adamw", "gpt2-head-bf16-sdpa-adamw",
    "gpt2-head-bf16-sdpa-adamw-masked", "gpt2-head-bf16-math-adamw", "gpt2-upcast-bf16-eager-sgd-single",
    "gpt2-gelu-fp32-sdpa-adamw", "gpt2-gelu-bf16-eager-sgd", "gpt2-gelu-amp-sdpa-adamw",
    "gpt2-scaled-fp32-eager-adamw", "gpt2-scaled-amp-eager-adamw", "gpt2-scaled-bf16-sdpa-adamw",
    "gpt2-upcast-fp32-eager-adamw", "gpt2-upcast-bf16-eager-sgd", "gpt2-upcast-amp-eager-adamw",
    "gpt2-upcast-bf16-sdpa-adamw", "gpt2-upcast-fp32-eager-adamw-masked",
]
DECODERS = [
    "llama-fp32-eager-adamw-single", "llama-bf16-sdpa-adamw-single",
    "llama-own-fp32-eager-adamw-single", "llama-own-bf16-sdpa-adamw-single",
    "llama-one-fp32-eager-adamw-single", "llama-one-bf16-sdpa-adamw-single",
    "llama-one-bf16-math-adamw-single", "llama-own-fp32-math-adamw", "llama-own-bf16-math-adamw-single",
    "mistral-bf16-sdpa-adamw-single", "mistral-fp32-math-adamw", "mistral-bf16-math-adamw-masked",
    "mixtral-bf16-sdpa-adamw-long", "mixtral-bf16-sdpa-adamw-lora", "mistral-fp32-sdpa-adamw-long",
]
FACTORIES = {"aten::" + name for name in (
    "empty", "empty_strided", "empty_like", "zeros", "zeros_like", "ones", "ones_like", "full",
    "full_like", "new_empty", "new_empty_strided", "new_zeros", "clone", "contiguous", "resize_",
    "to", "_to_copy", "copy_", "zero_", "fill_")}
MARK = "module:"
EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts")  # how configurations call them


SPECIAL = {"gpt2-gelu", "gpt2-scaled", "gpt2-upcast", "gpt2-head"}  # not everywhere


def configurations():
    names = [f"{model}-{rest}" for model in MODELS if model not in SPECIAL
             for rest in (FEW if model in MEMBERS else EVERYWHERE)]
    return names + MORE + DECODERS


def parts_of(name):
    """Model, type, attention, optimizer and the set of extras."""
    model = max((key for key in MODELS if name.startswith(key + "-")), key=len)
    kind, attention, optimizer, *extras = name[len(model) + 1:].split("-")
    return model, kind, attention, optimizer, set(extras)


def make_optimizer(name, parameters):
    import torch
    import transformers
    optim = torch.optim
    makers = {
        "adamw": lambda: optim.AdamW(parameters),
        "adamw_fused": lambda: optim.AdamW(parameters, fused=True),
        "adamw_loop": lambda: optim.AdamW(parameters, foreach=False),
        "adam": lambda: optim.Adam(parameters),
        "sgd": lambda: optim.SGD(parameters, lr=0.1),
        "momentum": lambda: optim.SGD(parameters, lr=0.1, momentum=0.9),
        "rmsprop": lambda: optim.RMSprop(parameters),
        "adagrad": lambda: optim.Adagrad(parameters),
        "adafactor": lambda: optim.Adafactor(parameters),
        "hfadafactor": lambda: transformers.Adafactor(parameters, lr=0.1, relative_step=False),
    }
    return makers[name]()


def make_model(name, kind, attention, extras):
    model = published_configs.build(MODELS[name], PARAMETER_TYPES[kind],
                                    "eager" if attention == "eager" else None)
    if "checkpoint" in extras:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        model.config.use_cache = False
    if "unpadded" in extras:
        see_masks_of_ones()
    if "lora" in extras:
        import peft
        model.enable_input_require_grads()
        model = peft.get_peft_model(model, peft.LoraConfig(
            r=8, lora_dropout=0.05, task_type="CAUSAL_LM",
            target_modules=["c_attn"] if name == "gpt2" else ["q_proj", "v_proj"]))
    return model.train()


def see_masks_of_ones():
    """The stand-in computes nothing: torch.all(mask == 1) is never true on it. Here it is."""
    import torch
    from transformers.modeling_attn_mask_utils import AttentionMaskConverter
    from transformers.models.bert import modeling_bert
    ask = AttentionMaskConverter._ignore_causal_mask_sdpa

    def answer(*args, **kwargs):
        ask(*args, **kwargs)
        return True

    def no_mask(mask, *_, **__):
        if torch.all(mask == 1):
            return None
        return None

    AttentionMaskConverter._ignore_causal_mask_sdpa = staticmethod(answer)
    modeling_bert._prepare_4d_attention_mask_for_sdpa = no_mask


def mark_modules(model):
    """Puts a range of the profiler around every module's forward."""
    import torch
    running = []

    def begin(path):
        def hook(*_):
            running.append(torch.autograd.profiler.record_function(MARK + path))
            running[-1].__enter__()
        return hook

    def end(*_):
        running.pop().__exit__(None, None, None)

    for path, module in model.named_modules():
        module.register_forward_pre_hook(begin(path or "."))
        module.register_forward_hook(end)


class Phases:
    """Where in the history a phase begins: at a number of allocations and frees."""

    def __init__(self):
        self.begins = []

    def begin(self, step, phase):
        import torch
        stats = torch.cuda.memory_stats() if torch.cuda.is_initialized() else {}
        done = sum(stats.get(f"allocation.all.{what}", 0) for what in ("allocated", "freed"))
        self.begins.append((done, step, phase))

    def at(self, index):
        return next((step, phase) for done, step, phase in reversed(self.begins) if done <= index)


@contextlib.contextmanager
def even_routing(model):
    """Lets each expert of a layer find as many tokens as the others, within one."""
    import torch
    config = model.config
    experts = next((getattr(config, key) for key in EXPERTS if hasattr(config, key)), 0)
    answer = ctypes.CDLL(None).standin_answer if experts else None
    where, calls = torch.where, itertools.count()

    def even_where(condition, *values):
        if values:
            return where(condition, *values)
        expert, routed = next(calls) % experts, condition.numel()
        answer(routed * (expert + 1) // experts - routed * expert // experts)
        found = where(condition)
        answer(0)
        return found

    if experts:
        torch.where = even_where
    yield
    torch.where = where


def train(model, optimizer, kind, extras, phases):
    import torch
    length = 6 * LENGTH if "long" in extras else LENGTH
    batch = 5 * BATCH if "long" in extras else 1 if "single" in extras else BATCH
    scaler = torch.amp.GradScaler("cuda", enabled=kind == "fp16amp")
    autocast = getattr(torch, AUTOCAST_TYPES.get(kind, "bfloat16"))
    trained = [p for p in model.parameters() if p.requires_grad]
    for step in range(STEPS):
        for _ in range(2 if "accumulate" in extras else 1):
            phases.begin(step, "forward")
            tokens = torch.zeros(batch, length, dtype=torch.long).cuda()
            given = {"input_ids": tokens, "labels": tokens}
            if "masked" in extras:
                given["attention_mask"] = torch.ones(batch, length, dtype=torch.long).cuda()
            with torch.autocast("cuda", autocast, enabled=kind in AUTOCAST_TYPES):
                loss = model(**given).loss
            phases.begin(step, "backward")
            scaler.scale(loss).backward()
        phases.begin(step, "optimizer")
        if "clip" in extras:
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
        scaler.step(optimizer)
        scaler.update()
        phases.begin(step, "zero")
        optimizer.zero_grad()


def asked_operators(profile):
    """For every allocation in order: rounded bytes, op, within, module."""
    found = []

    def visit(event, names):
        fields = event.extra_fields
        if type(fields).__name__ == "_ExtraFields_Allocation":
            if fields.alloc_size > 0 and fields.device.type == "cuda":
                found.append((event.start_time_ns, fields.alloc_size, names))
        for child in event.children:
            visit(child, names + (event.name,))

    for root in profile.profiler.kineto_results.experimental_event_tree():
        visit(root, ())
    found.sort(key=lambda one: one[0])
    return [(size, *describe(names)) for _, size, names in found]


def describe(names):
    modules = [name[len(MARK):] for name in names if name.startswith(MARK)]
    operators = [name.removeprefix("autograd::engine::evaluate_function: ") for name in names
                 if not name.startswith((MARK, "Optimizer.", "ProfilerStep"))]
    telling = [name for name in operators if name not in FACTORIES] or operators or ["-"]
    return telling[-1], (operators or ["-"])[0], (modules or ["-"])[-1]


def rows_of(trace, operators, phases):
    operators = iter(operators)
    live = {}
    index = 0
    for entry in trace:
        if entry["action"] == "alloc":
            size, op, within, module = next(operators)
            rounded = max(512, -(-entry["size"] // 512) * 512)
            assert rounded <= size <= rounded + UNSPLIT, f"{index}: {entry['size']} is not {size}"
            live[entry["addr"]] = index
            yield [index, "alloc", entry["size"], "", *phases.at(index), op, within, module]
            index += 1
        elif entry["action"] == "free_completed":
            yield [index, "free", entry["size"], live.pop(entry["addr"]), *phases.at(index), "", "",
                   ""]
            index += 1
    assert next(operators, None) is None


def record(task):
    """In a process of its own: writes the configuration's file, returns its peaks."""
    name, folder = task
    import torch
    from torch.nn import attention as kernels
    model_name, kind, attention, optimizer_name, extras = parts_of(name)
    model = make_model(model_name, kind, attention, extras)
    mark_modules(model)
    phases = Phases()
    phases.begin(-1, "load")
    torch.cuda.init()
    torch.cuda.memory._record_memory_history(enabled="all", context=None, max_entries=MAX_ENTRIES)
    chosen = contextlib.nullcontext()
    if attention in KERNELS:
        chosen = kernels.sdpa_kernel(getattr(kernels.SDPBackend, KERNELS[attention]))
    activities = [torch.profiler.ProfilerActivity.CPU]
    try:
        with torch.profiler.profile(activities=activities, profile_memory=True) as profile, chosen, \
                even_routing(model):
            model.cuda()
            trained = [p for p in model.parameters() if p.requires_grad]
            optimizer = make_optimizer(optimizer_name, trained)
            train(model, optimizer, kind, extras, phases)
            trace = torch.cuda.memory._snapshot()["device_traces"][0]
    except (RuntimeError, ValueError) as error:
        return [name, "", "", "", str(error).split("\n")[0][:100]]
    stats = torch.cuda.memory_stats()
    rows = list(rows_of(trace, asked_operators(profile), phases))
    with open(pathlib.Path(folder) / f"{name}.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["index", "action", "bytes", "of", "step", "phase", "op", "within",
                         "module"])
        writer.writerows(rows)
    return [name, len(rows), stats["allocated_bytes.all.peak"], stats["reserved_bytes.all.peak"], ""]


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("library")
    parser.add_argument("folder")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="", help="configurations whose name contains this")
    return parser.parse_args()


def main():
    options = parse()
    if "libstandin_cuda" not in os.environ.get("LD_PRELOAD", ""):
        environment = dict(os.environ, LD_PRELOAD=str(pathlib.Path(options.library).resolve()),
                           OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1", PYTHONHASHSEED="0",
                           TRANSFORMERS_VERBOSITY="error", KINETO_LOG_LEVEL="5")
        return subprocess.run([sys.executable, *sys.argv], env=environment, check=False).returncode
    os.makedirs(options.folder, exist_ok=True)
    import torch  # noqa: F401  before the processes fork, without a device
    import transformers
    transformers.AutoModelForCausalLM, transformers.AutoModelForSeq2SeqLM
    tasks = [(name, options.folder) for name in configurations() if options.only in name]
    with multiprocessing.get_context("fork").Pool(options.jobs, maxtasksperchild=1) as pool:
        rows = list(pool.imap(record, tasks))
    with open(pathlib.Path(options.folder) / "index.csv", "w", encoding="utf-8",
              newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["name", "events", "peak_allocated_bytes", "peak_reserved_bytes", "refused"])
        writer.writerows(rows)
    for row in rows:
        if row[4]:
            print(f"{row[0]}: {row[4]}")
    print(f"{sum(not row[4] for row in rows)} of {len(rows)} recorded")
    return 0


if __name__ == "__main__":
    sys.exit(main())
