# SPDX-License-Identifier: MIT
"""Hugging Face's Trainer on a tiny model: trainer.py [lora]"""
import sys
import tempfile

import torch
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

import pretend

torch.manual_seed(0)
model = LlamaForCausalLM(LlamaConfig(
    vocab_size=50, hidden_size=16, intermediate_size=32, num_hidden_layers=2,
    num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=32))
if "lora" in sys.argv:
    from peft import LoraConfig, get_peft_model
    model = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj", "v_proj"],
                                             task_type="CAUSAL_LM"))
rows = [{"input_ids": torch.arange(8) + i, "labels": torch.arange(8) + i} for i in range(16)]
pretend.cuda_starts()
Trainer(
    model=model, train_dataset=rows, eval_dataset=rows[:4],
    args=TrainingArguments(
        output_dir=tempfile.mkdtemp(), max_steps=3, per_device_train_batch_size=2,
        gradient_accumulation_steps=2, eval_strategy="steps", eval_steps=2,
        per_device_eval_batch_size=4, save_strategy="no", report_to=[], use_cpu=True,
        logging_steps=1, disable_tqdm=True, dataloader_num_workers=2,
        gradient_checkpointing="checkpoint" in sys.argv)).train()
print("done")
