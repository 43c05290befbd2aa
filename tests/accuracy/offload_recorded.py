#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Table of docs/OFFLOAD.md: recorded forward passes whose parameters come from the host.

  offload_recorded.py PEAKSTEP

Recordings are looked for in $PS_SHARED (default: the folder "shared" beside the project).
"""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROWS = (("Qwen1.5-0.5B", "Qwen_Qwen1.5-0.5B-Chat__1016005.json.gz"),
        ("ViT (NSFW detection)", "Falconsai_nsfw_image_detection__1016002.json.gz"),
        ("BERT small", "gaunernst_bert-small-uncased__1016001.json.gz"))
GB_PER_S = (8, 16, 26, 55)


def simulate(peakstep, trace, *options):
    out = subprocess.run([peakstep, "simulate", "-q", trace, "--json", *options], check=True,
                         capture_output=True, text=True).stdout
    return json.loads(out)


def ms(result):
    return f"{result['makespan_ns'] / 1e6:.1f}"


def mib(result):
    return f"{result['devices'][0]['peak_allocated_bytes'] / 2**20:.0f}"


def row(peakstep, name, recording):
    with tempfile.TemporaryDirectory() as folder:
        trace = str(Path(folder) / "job.pstrace")
        subprocess.run([peakstep, "import", "-q", str(recording), "-o", trace], check=True,
                       capture_output=True)
        plain = simulate(peakstep, trace)
        moved = [simulate(peakstep, trace, "--offload-parameters", "--pcie", f"{gb}GB/s")
                 for gb in GB_PER_S]
    facts = moved[0]["plan"]
    cells = [name, facts["offload-parameters-blocks"],
             f"{int(facts['offload-parameters-bytes']) / 2**20:.0f}", mib(plain), mib(moved[0]),
             ms(plain), *(ms(m) for m in moved)]
    print("| " + " | ".join(cells) + " |")


def main():
    shared = Path(os.environ.get("PS_SHARED", HERE.parents[1].parent / "shared"))
    folder = shared / "traces" / "real" / "AMD-AGI+TraceLens" / "tests" / "traces" / "h100"
    print("| recording | blocks | their parameters MiB | peak MiB | streamed | ms | "
          + " | ".join(f"{gb} GB/s" for gb in GB_PER_S) + " |")
    print("| --- |" + " ---: |" * (5 + len(GB_PER_S)))
    for name, file in ROWS:
        row(sys.argv[1], name, folder / file)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main()
