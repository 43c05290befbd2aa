# SPDX-License-Identifier: MIT
"""The PyTorch side of `peakstep record`.

    loader       notices that the job imported torch; waits for CUDA to start
    session      what runs from then to the end of the process
    channel      calls into libpeakstep_tracer.so
    allocator    torch's memory history and counters, over versions of torch
    history      hands the allocator's history over in parts, none lost, none doubled
    parts        writes the parts
    phases       where forward, backward and the optimizer begin and end
    steps        what a step and a micro-batch are
    roots        finds the job's outermost modules
    modules      turns calls of chosen modules into ranges
    collectives  NCCL's flight recorder
    facts        what the trace's meta table says of the job
    report       failures: one line on stderr, and the job goes on

Nothing here imports torch before the job does, and nothing runs in a process
that never starts CUDA.
"""


def start():
    from . import loader
    loader.watch_for_torch()
