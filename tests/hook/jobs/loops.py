# SPDX-License-Identifier: MIT
"""Training loops of several kinds: loops.py KIND [cuda]"""
import contextlib
import copy
import os
import pickle
import sys

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import pretend

DEVICE = "cuda" if "cuda" in sys.argv[2:] else "cpu"


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(8)
        self.mlp = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 8))

    def forward(self, x):
        return x + self.mlp(self.norm(x))


class Body(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([Block() for _ in range(3)])
        self.last_norm = nn.LayerNorm(8)
        self.checkpointed = None

    def forward(self, x):
        for layer in self.layers:
            if self.checkpointed is None:
                x = layer(x)
            else:
                x = checkpoint(layer, x, use_reentrant=self.checkpointed)
        return self.last_norm(x)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(10, 8)
        self.body = Body()
        self.head = nn.Linear(8, 10)

    def forward(self, tokens):
        return self.head(self.body(self.embedding(tokens)))


def begin():
    torch.manual_seed(0)
    if DEVICE == "cpu":
        pretend.cuda_starts()
    model = Model().to(DEVICE)
    return model, torch.optim.AdamW(model.parameters(), lr=1e-3)


def batch():
    return torch.randint(0, 10, (2, 5)).to(DEVICE)


def loss_of(model):
    return model(batch()).square().mean()


def plain(steps=4):
    model, optimizer = begin()
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of(model).backward()
        optimizer.step()


def accumulate():
    model, optimizer = begin()
    for _ in range(3):
        for _ in range(2):
            loss_of(model).backward()
        optimizer.step()
        optimizer.zero_grad()


def criterion():
    model, optimizer = begin()
    criterion = nn.CrossEntropyLoss()
    transform = nn.Identity()
    for _ in range(3):
        tokens = transform(batch())
        criterion(model(tokens).flatten(0, 1), tokens.flatten()).backward()
        optimizer.step()
        optimizer.zero_grad()


def checkpointing(reentrant=False):
    model, optimizer = begin()
    model.body.checkpointed = reentrant
    for _ in range(3):
        loss_of(model).backward()
        optimizer.step()
        optimizer.zero_grad()


def evaluate():
    model, optimizer = begin()
    for _ in range(3):
        loss_of(model).backward()
        optimizer.step()
        optimizer.zero_grad()
        model.eval()
        with torch.no_grad():
            model(batch())
        model.train()


def two_optimizers():
    """Both step at the end of the loop's body."""
    model, _ = begin()
    first = torch.optim.SGD(model.body.parameters(), lr=1e-3)
    second = torch.optim.AdamW(model.head.parameters(), lr=1e-3)
    for _ in range(4):
        loss_of(model).backward()
        for optimizer in (first, second):
            optimizer.step()
            optimizer.zero_grad()


def adversarial():
    """Two networks, each with its own backward and optimizer."""
    model, optimizer = begin()
    other = nn.Linear(10, 1).to(DEVICE)
    others = torch.optim.SGD(other.parameters(), lr=1e-3)
    for _ in range(5):
        other(model(batch()).detach()).mean().backward()
        others.step()
        others.zero_grad()
        other(model(batch())).mean().backward()
        optimizer.step()
        optimizer.zero_grad()


def inference():
    model, _ = begin()
    with torch.no_grad():
        for _ in range(5):
            model(batch())


def scaler():
    """An overflow in the second step: the scaler leaves the optimizer out."""
    model, optimizer = begin()
    grad_scaler = torch.amp.GradScaler(DEVICE)
    for step in range(4):
        loss = loss_of(model) * (float("inf") if step == 1 else 1.0)
        grad_scaler.scale(loss).backward()
        grad_scaler.step(optimizer)
        grad_scaler.update()
        optimizer.zero_grad()


def closure():
    model, _ = begin()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=2)

    def evaluate_once():
        optimizer.zero_grad()
        loss = loss_of(model)
        loss.backward()
        return loss

    for _ in range(3):
        optimizer.step(evaluate_once)


def raises():
    model, optimizer = begin()
    for step in range(4):
        loss_of(model).backward()
        optimizer.step()
        if step == 2:
            raise ValueError("the job's own error")


def forward_raises():
    """An exception inside a forward, caught by the loop; then it goes on."""
    model, optimizer = begin()
    for step in range(4):
        if step == 1:
            with contextlib.suppress(IndexError):
                model(torch.full((1, 1), 99))
        loss_of(model).backward()
        optimizer.step()


def leaves():
    plain()
    os._exit(3)


def forks():
    from torch.utils.data import DataLoader
    model, optimizer = begin()
    data = [torch.randint(0, 10, (5,)) for _ in range(8)]
    for tokens in DataLoader(data, batch_size=2, num_workers=2,
                             multiprocessing_context="fork"):
        model(tokens).square().mean().backward()
        optimizer.step()


def copies():
    model, optimizer = begin()
    loss_of(model).backward()
    optimizer.step()
    twin = copy.deepcopy(model)
    loaded = pickle.loads(pickle.dumps(model))
    code = pickle.dumps(model).find(b"peakstep")
    print("same", torch.equal(twin(torch.ones(1, 1).long()), loaded(torch.ones(1, 1).long())),
          "free of us", code < 0)


def compiled():
    model, optimizer = begin()
    torch._dynamo.config.error_on_recompile = False
    loss_of(model).backward()       # hooks are in place before anything is compiled
    optimizer.step()
    explained = torch._dynamo.explain(model)(batch())
    print("graph breaks", explained.graph_break_count)
    quick = torch.compile(model, backend="eager")
    for _ in range(3):
        loss_of(quick).backward()
        optimizer.step()


def fresh_compiled():
    model, optimizer = begin()
    quick = torch.compile(model, backend="eager", fullgraph=True)
    for _ in range(3):
        loss_of(quick).backward()
        optimizer.step()


def data_parallel_wrapper():
    class DistributedDataParallel(nn.Module):
        def __init__(self, module):
            super().__init__()
            self.module = module

        def forward(self, *arguments):
            return self.module(*arguments)

    model, optimizer = begin()
    wrapped = DistributedDataParallel(model)
    for _ in range(3):
        loss_of(wrapped).backward()
        optimizer.step()


def functional():
    """No module at all."""
    begin()
    weight = nn.Parameter(torch.ones(3, device=DEVICE))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    for _ in range(3):
        weight.square().sum().backward()
        optimizer.step()


if __name__ == "__main__":
    if sys.argv[1] == "reentrant":
        checkpointing(reentrant=True)
    else:
        globals()[sys.argv[1]]()
    print("done")
