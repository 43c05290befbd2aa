# SPDX-License-Identifier: MIT
"""Models with weights of 4 bits, for record_sequences.py: bitsandbytes' Linear4bit."""

NF4 = {"nf4", "nf4plain"}  # weights of linear modules in 4 bits; plain: their scales in 32
QUANTIZED = [
    "llama-bf16-sdpa-adamw-lora-nf4", "llama-bf16-sdpa-adamw-lora-nf4plain",
    "llama-amp-sdpa-adamw-lora-nf4", "llama-fp32-eager-adamw-lora-nf4",
    "llama-bf16-sdpa-adamw-lora-all-nf4", "llama-amp-sdpa-adamw-lora-all-nf4-checkpoint",
    "llama-bf16-sdpa-adamw-lora-all-nf4-checkpoint", "llama-fp16-sdpa-adamw-lora-nf4",
    "opt-bf16-sdpa-adamw-lora-nf4", "opt-amp-sdpa-adamw-lora-nf4-checkpoint",
    "opt-fp16-sdpa-adamw-lora-nf4plain", "gpt2-bf16-sdpa-adamw-lora-nf4",
    "gpt2-amp-eager-adamw-lora-nf4", "mixtral-bf16-sdpa-adamw-lora-nf4",
    "qwen2-bf16-sdpa-adamw-lora-all-nf4", "opt-projected-bf16-sdpa-adamw-lora-nf4",
    "phi-amp-sdpa-adamw-lora-nf4", "bloom-bf16-sdpa-adamw-lora-nf4",
    "gpt_neox-bf16-sdpa-adamw-lora-nf4", "gemma2-amp-sdpa-adamw-lora-nf4",
    "bert-bf16-sdpa-adamw-lora-nf4", "bert-amp-sdpa-adamw-lora-nf4", "biogpt-bf16-sdpa-adamw-lora-nf4",
    "gptj-fp16-eager-adamw-lora-nf4", "qwen3_moe-bf16-sdpa-adamw-lora-nf4plain",
    "gpt_bigcode-bf16-sdpa-adamw-lora-nf4",
]


def let_bitsandbytes_load():
    """Loaded, it lets Triton look for a driver; none of Triton's kernels is used here.

    peft loads it too, where there is one.
    """
    import triton
    triton.autotune = triton.heuristics = lambda *_, **__: lambda function: function


def quantize(model, is_double):
    """Linear4bit in place of linear modules, as transformers puts it there; cuda() packs weights."""
    import torch
    import transformers
    let_bitsandbytes_load()
    import bitsandbytes
    kept = transformers.integrations.get_keys_to_not_convert(model)
    for path, module in list(model.named_modules()):
        is_conv1d = isinstance(module, transformers.pytorch_utils.Conv1D)
        if not (is_conv1d or isinstance(module, torch.nn.Linear)) or any(
                path == name or f"{name}." in path for name in kept):
            continue
        values = (module.weight.T if is_conv1d else module.weight).data
        made = bitsandbytes.nn.Linear4bit(
            values.shape[1], values.shape[0], module.bias is not None, values.dtype,
            compress_statistics=is_double, quant_type="nf4")
        made.weight = bitsandbytes.nn.Params4bit(
            values, compress_statistics=is_double, quant_type="nf4", module=made)
        made.bias = module.bias
        made.source_cls = type(module)
        parent, _, last = path.rpartition(".")
        setattr(model.get_submodule(parent), last, made)
    model.is_loaded_in_4bit = True


def widen_the_rest(model):
    """What peft does to a quantized model before its training, on the device."""
    import peft
    adapters = [p for p in model.parameters() if p.requires_grad]
    peft.prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    for parameter in adapters:
        parameter.requires_grad_(True)
