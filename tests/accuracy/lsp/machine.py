# SPDX-License-Identifier: MIT
"""Simulations of LSP-Offload's two machines, for lsp.py and calibrate.py."""
import json
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
NS = 1e-9

LAPTOP, WORKSTATION = "laptop-a1000", "workstation-4090"

MODELS = {
    "GPT2-774M": "openai-community/gpt2-large",
    "GPT2-1.3B": str(HERE / "gpt2-1.3b.json"),
    "Llama-3B": "openlm-research/open_llama_3b",
    "llama-7B": "huggyllama/llama-7b",
    "DeepSeek-Coder-1.3B": "deepseek-ai/deepseek-coder-1.3b-base",
    "DeepSeek-Coder-6.7B": "deepseek-ai/deepseek-coder-6.7b-base",
}

# Sequences of one length without a mask, every block recomputed: the released profiler's.
PROFILED = ["--dtype", "bf16", "--mask", "none", "--checkpoint", "full"]


def options(settings):
    return [word for setting in settings.split() for word in ("--scheme-option", setting)]


def lsp(settings):
    """The released code; the modules that it leaves alone are not stepped in its profiler."""
    return PROFILED + ["--optimizer", "none", "--policy", "lsp"] + options(settings)


NATIVE = PROFILED + ["--optimizer", "none"]
ZERO = lsp("zero=true compress=false")
# shapes of the paper's figure 2: nothing recomputed, 16 bits over the link
DRAWN = ["--dtype", "fp16", "--mask", "none"]
DRAWN_NATIVE = DRAWN + ["--optimizer", "none"]
DRAWN_ZERO = DRAWN + ["--policy", "zero-offload"]


class Peakstep:
    """The program, with further figures for it or not."""

    def __init__(self, program, catalogue=None):
        self.program = program
        self.catalogue = [] if catalogue is None else ["--catalogue", str(catalogue)]

    def simulate(self, model, machine, batch, seq, given):
        """The result of one what-if; what does not fit has a time too."""
        command = [self.program, "simulate", MODELS[model], "--cluster", machine, "--batch",
                   str(batch), "--seq", str(seq), "--json", "--quiet", *given, *self.catalogue]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if not done.stdout:
            raise SystemExit(f"{' '.join(command)}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def seconds(self, *what):
        return self.simulate(*what)["step_time_ns"] * NS
