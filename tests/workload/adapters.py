# SPDX-License-Identifier: MIT
"""Models that LoRA trains, for record_sequences.py."""
import quantized_models

ADAPTED = {"gpt2": ["c_attn"], "gpt_bigcode": ["c_attn"], "t5": ["q", "v"],
           "gpt_neox": ["query_key_value"],
           "bert": ["query", "value"], "roberta": ["query", "value"], "bloom": ["query_key_value"],
           "phi": ["q_proj", "v_proj", "fc1", "fc2"]}  # modules that LoRA goes to


def lora_targets(name, extras):
    if "all" in extras and name.startswith("phi"):
        return ["q_proj", "k_proj", "v_proj", "fc1", "fc2"]
    if "all" in extras:
        return ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    return ADAPTED.get(name, ["q_proj", "v_proj"])


def attach(model, name, extras):
    """The model with adapters beside the modules of lora_targets."""
    quantized_models.let_bitsandbytes_load()
    import peft
    model.enable_input_require_grads()
    return peft.get_peft_model(model, peft.LoraConfig(
        r=8, lora_dropout=0.05, task_type="CAUSAL_LM",
        target_modules=lora_targets(name, extras)))
