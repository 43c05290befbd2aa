# SPDX-License-Identifier: MIT
"""Calls into libpeakstep_tracer.so, or into nothing when it cannot be loaded.

PyDLL keeps the GIL: the functions return within a microsecond, and giving the
GIL away for that long would let another thread take it for milliseconds.
"""
import ctypes

from .report import say

ABI = 1
ANNOTATION = 2
MODULE = 3

_SIGNATURES = {
    "peakstep_hook_abi": (ctypes.c_uint32, []),
    "peakstep_is_recording": (ctypes.c_int, []),
    "peakstep_step": (None, [ctypes.c_uint64]),
    "peakstep_range": (None, [ctypes.c_char_p, ctypes.c_uint32, ctypes.c_int64, ctypes.c_int64]),
    "peakstep_fact": (None, [ctypes.c_char_p, ctypes.c_char_p]),
    "peakstep_loss": (None, [ctypes.c_char_p, ctypes.c_uint64]),
}


class Channel:
    """is_recording() -> int, step(index), range(name, category, start_ns, end_ns),
    fact(key, value), loss(name, count); names, keys and values are bytes.

    The attributes are the foreign functions themselves: no Python in between.
    """

    def __init__(self, library):
        self.is_recording = library.peakstep_is_recording
        self.step = library.peakstep_step
        self.range = library.peakstep_range
        self.fact = library.peakstep_fact
        self.loss = library.peakstep_loss


class Silence:
    """The same without a library: nothing records."""

    @staticmethod
    def is_recording():
        return 0

    @staticmethod
    def step(index):
        pass

    @staticmethod
    def range(name, category, start_ns, end_ns):
        pass

    @staticmethod
    def fact(key, value):
        pass

    @staticmethod
    def loss(name, count):
        pass


def open_channel(path):
    try:
        library = ctypes.PyDLL(path)
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(library, name)
            function.restype = result
            function.argtypes = arguments
        abi = library.peakstep_hook_abi()
    except (OSError, AttributeError, TypeError) as problem:
        say("not recording PyTorch: %s" % problem)
        return Silence()
    if abi != ABI:
        say("not recording PyTorch: the tracer speaks version %d, the hook %d" % (abi, ABI))
        return Silence()
    return Channel(library)
