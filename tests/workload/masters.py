# SPDX-License-Identifier: MIT
"""32-bit copies of 16-bit weights, for record_sequences.py.

What Megatron-LM's optimizer for 16-bit parameters does without a contiguous buffer of gradients,
written out: Megatron itself needs a process group.
"""
CONFIGURATIONS = [
    "llama-bf16-sdpa-adamw-masters", "llama-bf16-sdpa-adamw_fused-masters-clip",
    "opt-bf16-sdpa-adamw_loop-masters-accumulate", "gpt2-bf16-eager-momentum-masters-checkpoint",
    "llama-bf16-sdpa-adafactor-masters",
]


class Masters:
    def __init__(self, parameters, make_optimizer):
        self.parameters = parameters
        self.copies = [parameter.detach().clone().float() for parameter in parameters]
        self.inner = make_optimizer(self.copies)

    def take_gradients(self):
        for parameter, copy in zip(self.parameters, self.copies):
            if parameter.grad is not None:
                copy.grad = parameter.grad.float()
            parameter.grad = None

    def step(self):
        import torch
        self.inner.step()
        with torch.no_grad():
            for parameter, copy in zip(self.parameters, self.copies):
                parameter.copy_(copy)

    def zero_grad(self):
        self.inner.zero_grad()
