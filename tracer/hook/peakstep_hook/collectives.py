# SPDX-License-Identifier: MIT
"""Collectives as NCCL's flight recorder saw them: sizes, types, groups, order.

torch keeps the last collectives of a process in a ring when an environment
variable gave that ring a size. The hook sets the size when the job did not,
early enough for the first process group, and writes the ring at the end.
"""
import json
import os
import sys

from .report import guarded

_SIZE = "20000"
_NEW_NAME = "TORCH_FR_BUFFER_SIZE"
_OLD_NAME = "TORCH_NCCL_TRACE_BUFFER_SIZE"


def _names(version):
    """The variable this torch reads; about the change, both. The old one warns."""
    numbers = version.split(".")
    number = (int(numbers[0]), int(numbers[1]))
    return ([_OLD_NAME] if number < (2, 10) else []) + ([_NEW_NAME] if number >= (2, 8) else [])


@guarded
def prepare(version):
    """Before any process group exists; a size the job chose stays."""
    if _NEW_NAME not in os.environ and _OLD_NAME not in os.environ:
        for name in _names(version):
            os.environ[name] = _SIZE


def _dump(native):
    """The recorder's content as a dict, or None when this torch has no recorder."""
    as_json = getattr(native, "_dump_nccl_trace_json", None)
    if as_json is not None:
        return json.loads(as_json(True, False))
    as_pickle = getattr(native, "_dump_nccl_trace", None)
    if as_pickle is None:
        return None
    import pickle       # written by torch itself, in this process
    try:
        return pickle.loads(as_pickle(True, False, False))
    except TypeError:   # no arguments yet
        return pickle.loads(as_pickle())


@guarded
def write(folder, ranks):
    """PARTS/<pid>.collectives.json, when there were any collectives."""
    if not ranks or "torch.distributed" not in sys.modules:
        return
    native = getattr(sys.modules["torch"]._C, "_distributed_c10d", None)
    content = _dump(native) if native is not None else None
    if not content or not content.get("entries"):
        return
    content["peakstep"] = ranks
    path = os.path.join(folder, "%d.collectives.json" % os.getpid())
    with open(path + ".tmp", "w", encoding="utf-8") as file:
        json.dump(content, file, default=str)
    os.rename(path + ".tmp", path)
