#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Records what scaled_dot_product_attention asks of PyTorch's allocator, for many shapes and devices.

    PYTHON record_attention.py LIBSTANDIN_CUDA OUT.txt.gz

PYTHON is an interpreter with torch (CUDA build). Query, key and value come from a projection's view,
as models make them; the result goes back to rows; backward follows. A line a call:

    CAPABILITY MULTIPROCESSORS TYPE BATCH HEADS QUERIES KEYS WIDTH MASK DROPOUT CAUSAL : EVENTS

EVENTS are bytes of an allocation, or -N for the end of the Nth one (from 0), in order. The same
version of PyTorch gives the same bytes.
"""
import gzip
import os
import pathlib
import subprocess
import sys

DEVICES = [("7.0", 80), ("7.5", 40), ("8.0", 108), ("8.6", 28), ("8.9", 128), ("9.0", 132)]
TYPES = ["float32", "bfloat16", "float16"]
SHAPES = [(3, 6, 41, 41), (1, 2, 128, 128), (2, 3, 246, 246), (1, 2, 600, 600), (1, 1, 2048, 2048),
          (2, 3, 41, 77), (4, 1, 64, 64)]
WIDTHS = [20, 40, 64, 80, 96, 128, 160, 208, 256]
ENTRIES = 100_000


def warm_up(torch):
    """cuBLAS takes its memory for both threads."""
    x = torch.empty(8, 8, device="cuda", requires_grad=True)
    (x @ x).backward(torch.empty(8, 8, device="cuda"))


def call(torch, given):
    from torch.nn import functional
    kind, batch, heads, queries, keys, width, has_mask, dropout, is_causal = given
    dtype = getattr(torch, kind)

    def projected(length):
        x = torch.empty(batch, length, heads * width, device="cuda", dtype=dtype,
                        requires_grad=True)
        return x, x.view(batch, length, heads, width).transpose(1, 2)

    leaves, views = zip(projected(queries), projected(keys), projected(keys))
    mask = torch.empty(batch, 1, queries, keys, device="cuda", dtype=dtype) if has_mask else None
    torch.cuda.memory._record_memory_history(max_entries=ENTRIES, context=None)
    query, key, value = [view.contiguous() for view in views]
    out = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask,
                                                  dropout_p=dropout, is_causal=bool(is_causal))
    out = out.transpose(1, 2).contiguous()
    del query, key, value, views
    out.backward(torch.empty_like(out))
    del out
    trace = torch.cuda.memory._snapshot()["device_traces"][0]
    torch.cuda.memory._record_memory_history(enabled=None)
    del leaves
    return events_of(trace)


def events_of(trace):
    live, count, events = {}, 0, []
    for entry in trace:
        if entry["action"] == "alloc":
            live[entry["addr"]] = count
            count += 1
            events.append(str(entry["size"]))
        elif entry["action"] == "free_completed":
            events.append(f"-{live.pop(entry['addr'])}")
    return events


def record():
    import torch
    warm_up(torch)
    device = f"{os.environ['STANDIN_CAPABILITY']} {os.environ['STANDIN_MULTIPROCESSORS']}"
    for kind in TYPES:
        for shape in SHAPES:
            for width in WIDTHS:
                for has_mask, dropout, is_causal in ((0, 0.0, 1), (0, 0.1, 1), (0, 0.0, 0),
                                                     (1, 0.1, 0), (1, 0.0, 0)):
                    given = (kind, *shape, width, has_mask, dropout, is_causal)
                    print(device, *given, ":", *call(torch, given))


def main():
    if len(sys.argv) == 1:
        record()
        return 0
    library, out = sys.argv[1:]
    lines = []
    for capability, multiprocessors in DEVICES:
        environment = dict(os.environ, LD_PRELOAD=str(pathlib.Path(library).resolve()),
                           STANDIN_CAPABILITY=capability,
                           STANDIN_MULTIPROCESSORS=str(multiprocessors))
        lines.append(subprocess.run([sys.executable, __file__], env=environment, check=True,
                                    capture_output=True).stdout)
    with gzip.GzipFile(out, "wb", 9, mtime=0) as file:
        file.write(b"".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
