# SPDX-License-Identifier: MIT
"""What the trace's meta table says of the job; every key is given once."""
import os
import sys

from .report import guarded

_TRAINERS = ("transformers", "accelerate", "peft", "trl", "lightning", "pytorch_lightning",
             "deepspeed", "megatron", "bitsandbytes", "torchtune", "unsloth")


def ranks():
    """rank, world-size, local-rank as far as they are known now."""
    found = {}
    distributed = sys.modules.get("torch.distributed")
    try:
        if distributed is not None and distributed.is_available() and \
                distributed.is_initialized():
            found["rank"] = distributed.get_rank()
            found["world-size"] = distributed.get_world_size()
    except Exception:
        pass
    for key, name in (("rank", "RANK"), ("world-size", "WORLD_SIZE"), ("local-rank", "LOCAL_RANK")):
        if key not in found and os.environ.get(name, "").isdigit():
            found[key] = int(os.environ[name])
    return found


class Facts:
    def __init__(self, torch, channel):
        self._torch = torch
        self._channel = channel
        self._given = set()

    def give(self, key, value):
        if key not in self._given:
            self._given.add(key)
            self._channel.fact(key.encode(), str(value).encode("utf-8", "replace"))

    @guarded
    def at_begin(self):
        """What is known at once, so that a killed job has it too."""
        torch = self._torch
        self.give("framework", "PyTorch %s" % torch.__version__)
        conf = os.environ.get("PYTORCH_ALLOC_CONF", os.environ.get("PYTORCH_CUDA_ALLOC_CONF"))
        if conf:
            self.give("allocator-conf", conf)

    @guarded
    def at_first_step(self):
        """The device is chosen, process groups stand, the trainer is imported."""
        if self._torch.cuda.is_initialized():
            self.give("device-name", self._torch.cuda.get_device_name())
        for key, value in ranks().items():
            self.give(key, value)
        for name in _TRAINERS:
            version = getattr(sys.modules.get(name), "__version__", None)
            if isinstance(version, str):
                self.give(name + "-version", version)

    @guarded
    def at_end(self, steps, losses, peaks):
        """peaks: {device: (allocated, reserved)} [bytes], the highest seen."""
        self.at_first_step()
        self.give("steps", steps)
        self.give("history-losses", losses)
        for device, (allocated, reserved) in sorted(peaks.items()):
            if reserved:
                self.give("torch-peak-allocated-bytes-%d" % device, allocated)
                self.give("torch-peak-reserved-bytes-%d" % device, reserved)
