# SPDX-License-Identifier: MIT
"""Lets the hook believe that CUDA has started, on a machine without it."""
import torch


def cuda_starts():
    for call, _ in list(torch.cuda._queued_calls):
        if call.__module__.startswith("peakstep_hook"):
            call()
