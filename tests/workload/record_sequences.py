#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Records what small models ask of PyTorch's allocator, and which operator asked.

    PYTHON record_sequences.py LIBSTANDIN_CUDA OUT_FOLDER [--jobs N] [--only TEXT]

PYTHON is an interpreter with torch (CUDA build), transformers and peft; for the
configurations with nf4 also bitsandbytes, which PYTHONPATH may bring. Every
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

import adapters
import answers
import hift
import masters
import published_configs
from recorded_models import MODELS
import quantized_models
import schemes
import selective
from quantized_models import NF4, QUANTIZED

BATCH, LENGTH, STEPS = 3, 41, 2
MAX_ENTRIES = 1_000_000
UNSPLIT = 1 << 20  # a block keeps up to this much more than was asked for

PARAMETER_TYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16", "amp": "float32",
                   "fp16amp": "float32"}
AUTOCAST_TYPES = {"amp": "bfloat16", "fp16amp": "float16"}
KERNELS = {"flash": "FLASH_ATTENTION", "efficient": "EFFICIENT_ATTENTION", "math": "MATH"}
EVERYWHERE = ["fp32-sdpa-adamw", "fp32-eager-adamw", "bf16-sdpa-adamw", "bf16-eager-sgd",
              "amp-sdpa-adamw", "amp-eager-adamw", "fp32-sdpa-sgd-masked", "bf16-sdpa-adamw-masked",
              "fp32-sdpa-adamw-checkpoint"]
FEW = ["fp32-sdpa-adamw", "fp32-eager-adamw", "bf16-sdpa-adamw"]  # of members that differ little
MEMBERS = {"llama-own", "llama-one", "mistral-wide", "t5-gated", "gpt_neox-serial", "bert-untied",
           "roberta-untied", "gemma2-bare", "phi-shared", "phi3-shared", "phi3-longrope",
           "phi3-longer", "qwen2_moe-own"}
MORE = [
    "llama-fp32-efficient-adamw", "llama-fp32-math-adamw", "llama-bf16-flash-adamw",
    "llama-bf16-efficient-adamw", "llama-bf16-math-adamw", "llama-amp-flash-adamw",
    "llama-fp16amp-sdpa-adamw", "phi-fp16amp-sdpa-adamw-lora-all",
    "phi-fp16amp-sdpa-adamw-lora-all-accumulate",
    "llama-bf16-sdpa-adamw-checkpoint", "llama-bf16-sdpa-adamw-lora",
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
    "t5-head-fp32-eager-adamw", "t5-head-bf16-sdpa-adamw-masked",
    "t5-bf16-sdpa-adamw-lora", "t5-fp32-sdpa-adamw-lora-checkpoint", "t5-amp-eager-sgd-masked",
    "t5-bf16-eager-sgd-masked-checkpoint", "t5-amp-eager-adamw-checkpoint",
    "gpt_neox-bf16-sdpa-adamw-lora", "gpt_neox-amp-sdpa-adamw-masked",
    "gpt_neox-amp-eager-sgd-masked-checkpoint", "gpt_neox-bf16-eager-adamw-lora-checkpoint",
    "bert-fp32-sdpa-adamw-lora", "roberta-bf16-sdpa-adamw-lora", "roberta-fp32-eager-adamw-single",
    "roberta-bf16-sdpa-adamw-single", "bert-amp-sdpa-adamw-masked-checkpoint",
    "bert-bf16-math-adamw", "biogpt-amp-eager-sgd-masked-checkpoint", "biogpt-bf16-math-adamw",
    "biogpt-bf16-sdpa-adamw-lora",
    "t5-fp32-eager-adamw-single", "t5-amp-eager-adamw-single", "t5-gated-fp32-eager-adamw-checkpoint",
    "gpt_neox-fp32-eager-adamw-single", "gpt_neox-bf16-sdpa-adamw-single",
    "gpt_neox-fp32-math-adamw", "bert-fp32-eager-adamw-single", "bert-bf16-sdpa-adamw-single",
    "bert-bf16-sdpa-adamw-unpadded", "biogpt-fp32-eager-adamw-single",
    "biogpt-fp32-sdpa-adamw-single", "biogpt-bf16-sdpa-adamw-unpadded",
    "opt-fp32-sdpa-sgd-masked-single", "bloom-bf16-eager-sgd-masked-single",
    "gpt_bigcode-fp32-sdpa-sgd-masked-single", "opt-amp-sdpa-adamw-masked-single",
    "opt-fp16-eager-sgd", "opt-fp16-sdpa-adamw-unpadded", "bloom-fp16-eager-sgd",
    "gptj-fp16-eager-sgd", "gpt_neo-fp16-eager-adamw", "llama-fp16-eager-sgd",
    "gpt_neo-fp32-eager-adamw-long", "gpt_bigcode-bf16-sdpa-adamw-masked-long",
    "opt-fp32-sdpa-adamw-long", "bloom-fp32-eager-adamw-long", "gptj-bf16-eager-adamw-long",
    "opt-fp32-eager-adamw-short", "opt-bf16-sdpa-adamw-short-unpadded",
    "gpt_neo-bf16-eager-adamw-short", "gptj-fp32-eager-adamw-short",
    "codegen-fp32-eager-adamw-short", "bloom-fp32-eager-adamw-short",
    "gpt_bigcode-fp32-eager-adamw-short", "gpt_bigcode-fp32-sdpa-adamw-short",
    "gpt_bigcode-heads-fp32-eager-adamw-short", "gpt_bigcode-heads-bf16-sdpa-adamw-short",
    "opt-bf16-sdpa-adamw-lora", "gptj-bf16-eager-adamw-lora", "gpt_bigcode-bf16-sdpa-adamw-lora",
    "opt-amp-sdpa-adamw-lora-checkpoint", "gpt_bigcode-fp32-math-adamw",
    "gpt_bigcode-fp32-math-adamw-single", "gpt_bigcode-heads-bf16-math-adamw",
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
    "llama-bf16-sdpa-adamw-masked-unpadded", "llama-fp32-sdpa-adamw-masked-checkpoint",
    "llama-bf16-sdpa-adamw-masked-single", "llama-amp-eager-sgd-masked", "llama-fp16-eager-sgd",
    "llama-fp16-sdpa-adamw-lora", "llama-fp16-sdpa-sgd-masked", "llama-own-amp-sdpa-adamw-masked",
    "llama-own-fp32-sdpa-adamw-checkpoint", "mixtral-fp16-eager-sgd",
    "mistral-wide-bf16-sdpa-adamw-masked-unpadded", "mistral-fp32-sdpa-adamw-masked-checkpoint",
    "qwen2-bf16-sdpa-adamw-lora-checkpoint", "qwen3-fp32-eager-adamw-single",
    "qwen3-bf16-sdpa-adamw-single", "qwen3_moe-bf16-sdpa-adamw-single",
    "mixtral-fp32-eager-adamw-single", "llama-bf16-sdpa-adamw-lora-all",
    "llama-amp-sdpa-adamw-lora-all", "llama-bf16-sdpa-adamw-lora-all-checkpoint",
    "qwen2-bf16-sdpa-adamw-lora-all-masked", "qwen3_moe-bf16-sdpa-adamw-lora-all",
]
OPTIMIZERS = [
    "opt-bf16-sdpa-adam_loop", "opt-bf16-sdpa-adamw_fused", "opt-bf16-sdpa-momentum",
    "opt-bf16-sdpa-rmsprop", "opt-bf16-sdpa-adagrad", "opt-bf16-sdpa-adafactor",
    "opt-bf16-sdpa-hfadafactor", "opt-fp32-sdpa-adam_fused", "opt-fp32-sdpa-sgd_loop",
    "opt-fp32-sdpa-sgd_fused", "opt-fp32-sdpa-momentum_loop", "opt-fp32-sdpa-momentum_fused",
    "opt-fp32-sdpa-rmsprop_loop", "opt-fp32-sdpa-adagrad_loop", "gpt2-fp32-sdpa-hfadafactor",
    "gpt2-fp32-sdpa-adafactor", "opt-fp32-sdpa-lomo", "opt-bf16-sdpa-lomo",
    "opt-fp32-sdpa-lomo-clip", "opt-bf16-sdpa-lomo-clip", "opt-bf16-sdpa-lomo-checkpoint",
    "opt-fp32-sdpa-mezo", "opt-bf16-sdpa-mezo", "opt-amp-sdpa-mezo", "llama-fp32-sdpa-lomo",
    "gpt2-fp32-sdpa-lomo", "gpt2-bf16-sdpa-lomo", "opt-fp16amp-sdpa-adamw_fused",
    "opt-fp16amp-sdpa-sgd_fused", "opt-fp16amp-sdpa-adamw",
]
FACTORIES = {"aten::" + name for name in (
    "empty", "empty_strided", "empty_like", "zeros", "zeros_like", "ones", "ones_like", "full",
    "full_like", "new_empty", "new_empty_strided", "new_zeros", "clone", "contiguous", "resize_",
    "to", "_to_copy", "copy_", "zero_", "fill_")}
MARK = "module:"
EXPERTS = ("num_local_experts", "num_experts")  # how configurations call them


SPECIAL = {"gpt2-gelu", "gpt2-scaled", "gpt2-upcast", "gpt2-head", "t5-head"}  # not everywhere


def configurations():
    names = [f"{model}-{rest}" for model in MODELS if model not in SPECIAL
             for rest in (FEW if model in MEMBERS else EVERYWHERE)]
    return names + MORE + DECODERS + OPTIMIZERS + QUANTIZED + (
        selective.CONFIGURATIONS + masters.CONFIGURATIONS + hift.CONFIGURATIONS + schemes.CONFIGURATIONS)


def parts_of(name):
    """Model, type, attention, optimizer and the set of extras."""
    model = max((key for key in MODELS if name.startswith(key + "-")), key=len)
    kind, attention, optimizer, *extras = name[len(model) + 1:].split("-")
    return model, kind, attention, optimizer, set(extras)


class Lomo:
    """Descent within backward: each gradient is applied before the next one is stored."""

    def __init__(self, parameters, clips):
        self.parameters, self.clips = parameters, clips
        self.gathers, self.norms, self.factor = False, [], None
        for parameter in parameters:
            parameter.register_hook(self.apply)

    def apply(self, grad=None):
        import torch
        with torch.no_grad():
            for parameter in self.parameters:
                if parameter.grad is None:
                    continue
                wide_grad = parameter.grad.to(torch.float32)
                parameter.grad = None
                if self.gathers:
                    self.norms.append(torch.norm(wide_grad, 2.0))
                    continue
                if self.factor is not None:
                    wide_grad.mul_(self.factor)
                wide = parameter.data.to(torch.float32)
                wide.add_(wide_grad, alpha=-0.1)
                parameter.data.copy_(wide)
        return grad

    def gather(self, loss):
        import torch
        self.gathers, self.norms = True, []
        loss.backward(retain_graph=True)
        self.apply()
        with torch.no_grad():
            self.norms = torch.stack(self.norms)
            total = torch.norm(self.norms, 2.0)
            self.factor = 1.0 / (total + 1e-6)
            self.factor = torch.clamp(self.factor, max=1.0)
        self.gathers = False


class Mezo:
    """Zeroth order: losses of a model moved along a random direction that is drawn again."""

    def __init__(self, names):
        self.names = names

    def draw(self, parameter):
        import torch
        data = parameter.data
        return torch.normal(mean=0, std=1, size=data.size(), device=data.device, dtype=data.dtype)

    def perturb(self, scale):
        import torch
        torch.manual_seed(1)
        for _, parameter in self.names:
            z = self.draw(parameter)
            parameter.data = parameter.data + scale * z * 1e-3

    def losses(self, model, given, autocast):
        self.perturb(1)
        first = self.loss_of(model, given, autocast)
        self.perturb(-2)
        second = self.loss_of(model, given, autocast)
        self.slope = ((first - second) / 2e-3).item()
        self.perturb(1)
        return first

    @staticmethod
    def loss_of(model, given, autocast):
        import torch
        model.eval()
        with torch.inference_mode():
            with autocast():
                loss = model(**given).loss
        return loss.detach()

    def update(self):
        import torch
        torch.manual_seed(1)
        for name, parameter in self.names:
            z = self.draw(parameter)
            if "bias" in name or "layer_norm" in name or "layernorm" in name:
                parameter.data = parameter.data - 0.1 * (self.slope * z)
            else:
                parameter.data = parameter.data - 0.1 * (self.slope * z + 0.0 * parameter.data)


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
        "adam_fused": lambda: optim.Adam(parameters, fused=True),
        "adam_loop": lambda: optim.Adam(parameters, foreach=False),
        "sgd_loop": lambda: optim.SGD(parameters, lr=0.1, foreach=False),
        "sgd_fused": lambda: optim.SGD(parameters, lr=0.1, fused=True),
        "momentum_loop": lambda: optim.SGD(parameters, lr=0.1, momentum=0.9, foreach=False),
        "momentum_fused": lambda: optim.SGD(parameters, lr=0.1, momentum=0.9, fused=True),
        "rmsprop_loop": lambda: optim.RMSprop(parameters, foreach=False),
        "adagrad_loop": lambda: optim.Adagrad(parameters, foreach=False),
        "hfadafactor": lambda: transformers.Adafactor(parameters, lr=0.1, relative_step=False),
    }
    return makers[name]()


def config_of(name, extras):
    """A model's configuration; long sequences need a table of positions that reaches them."""
    values = dict(MODELS[name])
    if "long" in extras and "n_positions" in values:
        values["n_positions"] = 8 * LENGTH
    elif "long" in extras and values["kind"] in ("opt", "gpt_neo"):
        values["max_position_embeddings"] = 8 * LENGTH
    return values


def make_model(name, kind, attention, extras):
    is_quantized = bool(extras & NF4)
    loaded = AUTOCAST_TYPES.get(kind) if is_quantized else None
    model = published_configs.build(config_of(name, extras), loaded or PARAMETER_TYPES[kind],
                                    "eager" if attention == "eager" else None)
    if is_quantized:
        quantized_models.quantize(model, "nf4" in extras)
    if "checkpoint" in extras:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        model.config.use_cache = False
    if "reattend" in extras:
        selective.recompute_attention(model)
    if "unpadded" in extras:
        answers.see_masks_of_ones()
    if getattr(model.config, "original_max_position_embeddings", LENGTH) < LENGTH:
        answers.see_long_texts()
    if "lora" in extras:
        model = adapters.attach(model, name, extras)
    return model.train()


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
    length = 6 * LENGTH if "long" in extras else 1 if "short" in extras else LENGTH
    batch = 5 * BATCH if "long" in extras else 1 if "single" in extras else BATCH
    scaler = torch.amp.GradScaler("cuda", enabled=kind == "fp16amp")
    autocast = getattr(torch, AUTOCAST_TYPES.get(kind, "bfloat16"))
    trained = [p for p in model.parameters() if p.requires_grad]
    if isinstance(optimizer, (Lomo, Mezo)):
        train_without_optimizer(model, optimizer, kind, extras, phases, (batch, length))
        return
    for step in range(hift.STEPS if hift.layers_a_step(extras) else STEPS):
        if hift.layers_a_step(extras):
            optimizer.begin()
        count = 2 if "accumulate" in extras else 1
        for number in range(count):
            phases.begin(step, "forward")
            tokens = torch.zeros(batch, length, dtype=torch.long).cuda()
            given = {"input_ids": tokens, "labels": tokens}
            if "masked" in extras:
                given["attention_mask"] = torch.ones(batch, length, dtype=torch.long).cuda()
            with schemes.synchronise(model, extras, number + 1 == count):
                with torch.autocast("cuda", autocast, enabled=kind in AUTOCAST_TYPES):
                    loss = model(**given).loss
                phases.begin(step, "backward")
                scaler.scale(loss).backward()
        phases.begin(step, "optimizer")
        if "masters" in extras:
            optimizer.take_gradients()
            trained = optimizer.copies
        if "clip" in extras:
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
        scaler.step(optimizer)
        scaler.update()
        phases.begin(step, "zero")
        optimizer.zero_grad()


def train_without_optimizer(model, way, kind, extras, phases, shape):
    import torch

    def autocast():
        return torch.autocast("cuda", getattr(torch, AUTOCAST_TYPES.get(kind, "bfloat16")),
                              enabled=kind in AUTOCAST_TYPES)

    passes = 2 if isinstance(way, Lomo) and way.clips else 1
    for step in range(STEPS):
        for number in range(passes):
            phases.begin(step, "forward")
            tokens = torch.zeros(*shape, dtype=torch.long).cuda()
            given = {"input_ids": tokens, "labels": tokens}
            if isinstance(way, Mezo):
                loss = way.losses(model, given, autocast)
                phases.begin(step, "optimizer")
                way.update()
                continue
            with autocast():
                loss = model(**given).loss
            phases.begin(step, "backward")
            if number + 1 < passes:
                way.gather(loss)
            else:
                loss.backward()
                phases.begin(step, "optimizer")
                way.apply()


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
            if schemes.scheme_of(extras):
                schemes.begin(extras)
                model = schemes.wrap(model, extras)
            else:
                model.cuda()
            if extras & NF4 and kind in AUTOCAST_TYPES:
                quantized_models.widen_the_rest(model)
            trained = [p for p in model.parameters() if p.requires_grad]
            if optimizer_name == "lomo":
                optimizer = Lomo(trained, "clip" in extras)
            elif optimizer_name == "mezo":
                optimizer = Mezo([(n, p) for n, p in model.named_parameters() if p.requires_grad])
            elif hift.layers_a_step(extras) and "masters" in extras:
                optimizer = hift.Masters(model, lambda p: make_optimizer(optimizer_name, p),
                                         hift.layers_a_step(extras))
            elif hift.layers_a_step(extras):
                optimizer = hift.Hift(model, make_optimizer(optimizer_name, trained),
                                      hift.layers_a_step(extras), trained)
            elif "masters" in extras:
                optimizer = masters.Masters(trained, lambda p: make_optimizer(optimizer_name, p))
            else:
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
