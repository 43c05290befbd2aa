#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A small fine-tuning as people write them: job.py STEPS [--accumulate N] [--oom] [--expandable] [--forever]

Prints one line: steps, PyTorch's own peak of allocated and of reserved bytes.
"""
import argparse
import itertools
import os

parser = argparse.ArgumentParser()
parser.add_argument("steps", type=int)
parser.add_argument("--accumulate", type=int, default=1)
parser.add_argument("--oom", action="store_true", help="ask for more memory than any device has")
parser.add_argument("--expandable", action="store_true")
parser.add_argument("--forever", action="store_true", help="steps until it is killed")
arguments = parser.parse_args()
if arguments.expandable:
    os.environ["PYTORCH_CUDA_ALLOC_CONF"] = "expandable_segments:True"

import torch  # noqa: E402
from torch import nn  # noqa: E402


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(self, x):
        return x + self.down(nn.functional.gelu(self.up(self.norm(x))))


class Model(nn.Module):
    def __init__(self, width=256, blocks=4, words=1000):
        super().__init__()
        self.embed = nn.Embedding(words, width)
        self.layers = nn.ModuleList(Block(width) for _ in range(blocks))
        self.head = nn.Linear(width, words)

    def forward(self, tokens):
        x = self.embed(tokens)
        for layer in self.layers:
            x = layer(x)
        return self.head(x)


torch.manual_seed(0)
model = Model().cuda()
optimizer = torch.optim.AdamW(model.parameters())
for step in itertools.count() if arguments.forever else range(arguments.steps):
    for _ in range(arguments.accumulate):
        tokens = torch.randint(0, 1000, (8, 64 + 8 * (step % 3)), device="cuda")
        logits = model(tokens)
        loss = nn.functional.cross_entropy(logits.view(-1, 1000), tokens.view(-1))
        (loss / arguments.accumulate).backward()
    optimizer.step()
    optimizer.zero_grad()
torch.cuda.synchronize()
print(arguments.steps, torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved(),
      flush=True)
if arguments.oom:
    torch.empty(1 << 45, dtype=torch.uint8, device="cuda")
