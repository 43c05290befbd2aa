# SPDX-License-Identifier: MIT
"""A deterministic training on the (stand-in) device.

    device.py undrained FILE    keeps the history to the end and pickles torch's snapshot
    device.py drained           lets the hook do it
    device.py drained often     as often as it can
    device.py oom | own | leaves | nothing
"""
import os
import pickle
import sys

import torch
from torch import nn

kind = sys.argv[1]
if "often" in sys.argv:
    import peakstep_hook.history
    peakstep_hook.history.SHARE = 100.0


def train(steps=40):
    torch.manual_seed(0)
    model = nn.Sequential(*[nn.Linear(256, 256) for _ in range(6)]).cuda()
    optimizer = torch.optim.AdamW(model.parameters())
    side = torch.cuda.Stream()
    for step in range(steps):
        x = torch.randn(64, 256, device="cuda")
        model(x).square().mean().backward()
        with torch.cuda.stream(side):
            y = torch.empty(step * 1000 + 1, device="cuda")
        y.record_stream(torch.cuda.current_stream())
        del y
        optimizer.step()
        optimizer.zero_grad()


torch.zeros(1, device="cuda")
if kind == "undrained":
    torch.cuda.memory._record_memory_history(context=None, stacks="python")
if kind == "oom":
    try:
        torch.empty(1 << 50, device="cuda")
    except torch.cuda.OutOfMemoryError:
        print("out of memory")
if kind == "own":
    train(5)
    torch.cuda.memory._record_memory_history(context=None, stacks="python")
    train(5)
    print("own", len(torch.cuda.memory._snapshot()["device_traces"][0]) > 100)
elif kind != "nothing":
    train()
if kind == "undrained":
    with open(sys.argv[2], "wb") as file:
        pickle.dump(torch.cuda.memory._snapshot(), file)
print("done")
if kind == "leaves":
    os._exit(4)
