# SPDX-License-Identifier: MIT
"""Waits for the job to import torch, then for CUDA to start in this process.

The wait for CUDA is torch's own queue of calls for that moment. Launchers,
data loader workers and tools that only import torch therefore stay untouched;
a forked child throws the recording away before it can write anything.
"""
import os
import sys

from . import collectives
from .report import guarded

_NAME = "torch"


class _Finder:
    """First on sys.meta_path; finds nothing itself, but dresses torch's loader."""

    def find_spec(self, name, path=None, target=None):
        if name != _NAME:
            return None
        _remove(self)
        for finder in list(sys.meta_path):
            find = getattr(finder, "find_spec", None)
            spec = find(name, path, target) if find else None
            if spec is not None:
                _dress(spec.loader)
                return spec
        return None


def _remove(finder):
    try:
        sys.meta_path.remove(finder)
    except ValueError:
        pass


@guarded
def _dress(loader):
    """Shadows exec_module on this one loader object, which stays the real one."""
    execute = loader.exec_module

    def exec_module(module):
        try:
            execute(module)
        except BaseException:
            watch_for_torch()   # a failed import may be tried again
            raise
        finally:
            loader.__dict__.pop("exec_module", None)
        _torch_came(module)

    loader.exec_module = exec_module


@guarded
def _torch_came(torch):
    collectives.prepare(torch.__version__)
    folder = os.environ["PEAKSTEP_RECORD_DIR"]
    pid = os.getpid()

    @guarded
    def cuda_began():
        if os.getpid() != pid:      # forked after the import, CUDA started in the child
            return
        from .session import Session
        Session(torch, folder).begin()

    torch.cuda._lazy_call(cuda_began)


def watch_for_torch():
    if _NAME in sys.modules:        # some .pth file was faster
        _torch_came(sys.modules[_NAME])
    else:
        sys.meta_path.insert(0, _Finder())
