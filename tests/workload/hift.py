# SPDX-License-Identifier: MIT
"""HiFT for record_sequences.py: a step trains one group of layers.

What the method says, written out: layers are embeddings, each block, and what comes behind them;
"hiftM" trains M of them a step from below. States wait on the host, and come and go in the step;
with "masters" 32-bit copies of the weights too, of which the last group's stay until the next ones come.
"""
import re

STEPS = 6  # more than a cycle of any configuration
CONFIGURATIONS = [
    "llama-fp32-sdpa-adamw-hift1", "llama-bf16-sdpa-adamw-hift2", "llama-amp-sdpa-adamw-hift1",
    "llama-fp32-sdpa-adamw-hift1-checkpoint", "llama-bf16-sdpa-adamw_loop-hift1-masters",
    "llama-bf16-sdpa-adamw-hift2-masters", "gpt2-fp32-eager-adamw-hift1", "gpt2-bf16-sdpa-momentum-hift2",
    "gpt2-bf16-sdpa-adamw-hift1-accumulate", "opt-fp32-sdpa-adamw-hift1-clip",
    "opt-bf16-sdpa-rmsprop-hift3", "qwen3-fp32-sdpa-adafactor-hift1", "gemma2-bf16-sdpa-adamw-hift1",
    "bloom-fp32-sdpa-hfadafactor-hift1", "gpt_neox-amp-sdpa-adamw_fused-hift1",
]


def layers_a_step(extras):
    """M of the extra "hiftM"; 0 without it."""
    return next((int(extra[4:]) for extra in extras if extra.startswith("hift")), 0)


def layers_of(model):
    """Trained parameters by layer, in order."""
    layers, last = {}, -1
    named = list(model.named_parameters())
    blocks = [re.search(r"\.(\d+)\.", name) for name, _ in named]
    end = max(place for place, block in enumerate(blocks) if block)
    top = max(int(block[1]) for block in blocks if block) + 1
    for place, ((_, parameter), block) in enumerate(zip(named, blocks)):
        last = int(block[1]) if block else top if place > end else last
        layers.setdefault(last, []).append(parameter)
    return list(layers.values())


class Hift:
    """Around an optimizer over `trained`: the model's parameters, or copies of them in their order."""

    def __init__(self, model, inner, count, trained):
        layers = layers_of(model)
        self.groups = [sum(layers[at:at + count], []) for at in range(0, len(layers), count)]
        self.inner, self.trained = inner, trained
        self.turn = 0

    def begin(self):
        active = {id(parameter) for parameter in self.groups[self.turn]}
        for group in self.groups:
            for parameter in group:
                parameter.requires_grad_(id(parameter) in active)
        self.turn = (self.turn + 1) % len(self.groups)

    def states(self):
        for parameter in self.trained:
            state = self.inner.state[parameter] if parameter.grad is not None else {}
            for key in list(state):
                value = state[key]
                if hasattr(value, "to") and value.numel() > 1:
                    yield parameter, state, key, value

    def step(self):
        import torch
        for parameter, state, key, value in self.states():
            state[key] = value.to(parameter.device)
        self.inner.step()
        leaving = list(self.states())
        for _, state, key, value in leaving:
            state[key] = value.to("cpu")
        del leaving, value, state
        torch.cuda.empty_cache()

    def zero_grad(self):
        self.inner.zero_grad()


class Masters:
    """32-bit copies on the host."""

    def __init__(self, model, make_optimizer, count):
        self.parameters = list(model.parameters())
        self.copies = [parameter.detach().clone().float().to("cpu") for parameter in self.parameters]
        self.way = Hift(model, make_optimizer(self.copies), count, self.copies)

    def begin(self):
        self.way.begin()

    def take_gradients(self):
        for copy in self.copies:
            if copy.is_cuda:
                copy.data = copy.data.to("cpu")
        pairs = [pair for pair in zip(self.parameters, self.copies) if pair[0].grad is not None]
        for _, copy in pairs:
            copy.data = copy.data.to("cuda")
        for parameter, copy in pairs:
            copy.grad = parameter.grad.float()

    def step(self):
        import torch
        self.way.step()
        with torch.no_grad():
            for parameter, copy in zip(self.parameters, self.copies):
                if copy.grad is not None:
                    copy.grad = None
                    parameter.copy_(copy)

    def zero_grad(self):
        for parameter in self.parameters:
            parameter.grad = None
