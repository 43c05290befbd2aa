# SPDX-License-Identifier: MIT
"""Attention recomputed in backward, and nothing else, for record_sequences.py."""
import functools

CONFIGURATIONS = [
    "llama-fp32-sdpa-adamw-reattend", "llama-fp32-eager-adamw-reattend",
    "llama-bf16-sdpa-adamw-reattend", "llama-amp-eager-adamw-reattend",
    "llama-amp-sdpa-adamw-lora-all-reattend", "gemma2-bf16-sdpa-adamw-reattend",
    "gemma2-fp32-eager-adamw-reattend", "mixtral-bf16-sdpa-adamw-reattend",
    "phi3-fp32-sdpa-adamw-reattend", "gpt2-fp32-eager-adamw-reattend",
    "gpt2-amp-sdpa-adamw-reattend", "phi-fp32-eager-adamw-reattend",
    "phi-bf16-sdpa-adamw-reattend", "gpt_neo-fp32-eager-adamw-reattend",
    "gpt_neox-fp32-eager-adamw-reattend", "gpt_neox-bf16-sdpa-adamw-reattend",
    "opt-fp32-eager-adamw-reattend", "opt-amp-sdpa-adamw-masked-reattend",
    "gptj-fp32-eager-adamw-reattend", "codegen-fp32-eager-adamw-reattend",
    "gpt_bigcode-bf16-sdpa-adamw-reattend", "llama-bf16-sdpa-adamw-lora-nf4-reattend",
]
NAMES = {"self_attn", "attn", "attention"}  # of a block's attention, in the order outside in


def recompute_attention(model):
    """torch.utils.checkpoint around the forward of each block's attention."""
    from torch.utils.checkpoint import checkpoint
    model.config.use_cache = False
    for path, module in model.named_modules():
        *above, last = path.split(".")
        if last in NAMES and above[-1].isdigit():
            module.forward = functools.partial(checkpoint, module.forward, use_reentrant=False)
