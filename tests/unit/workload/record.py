#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Records what PyTorch asks of its allocator in two steps of a small Llama, without a GPU.

    LD_PRELOAD=LIBSTANDIN_CUDA PYTHON record.py LAYERS HIDDEN FEED_FORWARD HEADS KV_HEADS HEAD_WIDTH
        VOCABULARY TIED BATCH LENGTH > recorded/NAME.txt

PYTHON is an interpreter with torch (CUDA build) and transformers; LIBSTANDIN_CUDA the library that
stands in for CUDA (tests/standin). Weights are bf16, attention is flash attention, the optimizer
AdamW as it is by default. Lines: "A BYTES" an allocation, numbered from 0 by their order; "F NUMBER"
its end; "# WORD" the next part of a step. The first line has the arguments.
"""
import sys

import torch
import transformers

layers, hidden, feed_forward, heads, kv_heads, width, vocabulary, tied, batch, length = map(
    int, sys.argv[1:])
config = transformers.LlamaConfig(
    vocab_size=vocabulary, hidden_size=hidden, intermediate_size=feed_forward,
    num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=kv_heads,
    head_dim=width, max_position_embeddings=4096, tie_word_embeddings=bool(tied))
torch.manual_seed(0)
model = transformers.LlamaForCausalLM(config).to(torch.bfloat16).train()
torch.cuda.memory._record_memory_history(max_entries=1_000_000, context=None)
model = model.cuda()
optimizer = torch.optim.AdamW(model.parameters())
marks = []


def mark(word):
    marks.append((torch.cuda.memory_stats()["allocation.all.allocated"], word))


for step in range(2):
    ids = torch.randint(0, vocabulary, (batch, length)).cuda()
    mark("forward")
    output = model(input_ids=ids, labels=ids)
    mark("backward")
    output.loss.backward()
    mark("optimizer")
    optimizer.step()
    optimizer.zero_grad()

entries = torch.cuda.memory._snapshot()["device_traces"][0]
print("#", *sys.argv[1:])
number_of = {}
count = 0
for entry in entries:
    if entry["action"] == "alloc":
        while marks and marks[0][0] <= count:
            print("#", marks.pop(0)[1])
        print("A", entry["size"])
        number_of[entry["addr"]] = count
        count += 1
    elif entry["action"] == "free_completed":
        print("F", number_of[entry["addr"]])
