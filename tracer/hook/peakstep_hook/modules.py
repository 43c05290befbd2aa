# SPDX-License-Identifier: MIT
"""Calls of chosen modules as ranges; modules not chosen cost nothing.

    blocks   members of layer stacks (ModuleList, Sequential), and what stands
             beside the stacks: embeddings, last norm, head
    all      every module
    none     no module

Only forward. Hooks on a module's backward would put nodes into the job's
autograd graph and change when memory is freed; the backward of a block follows
from the order of the recorded kernels. Under checkpointing the second forward
of a block is a range inside "backward".
"""
import contextlib
import weakref
from threading import get_ident
from time import time_ns

from .channel import MODULE

_WRAPPERS = {       # class name -> the attribute its module stands in
    "DistributedDataParallel": "module", "DataParallel": "module",
    "FullyShardedDataParallel": "_fsdp_wrapped_module", "OptimizedModule": "_orig_mod",
    "DeepSpeedEngine": "module", "CheckpointWrapper": "_checkpoint_wrapped_module",
}


def harmless():
    """What a pickled hook becomes: a callable of the standard library that takes
    anything and returns None. Jobs pickle whole modules, and load them elsewhere."""
    return getattr, (contextlib.nullcontext(), "__exit__")


class Hook:
    """Hooks live in modules, so they must survive copying and pickling of these."""

    def __deepcopy__(self, memo):
        return self

    def __copy__(self):
        return self

    def __reduce__(self):
        return harmless()


class _Call:
    """What the two hooks of one module share: starts of calls, by thread."""
    __slots__ = ("name", "starts", "emit", "compiling")

    def __init__(self, name, emit, compiling):
        self.name = name
        self.starts = {}
        self.emit = emit
        self.compiling = compiling


class Enter(Hook):
    __slots__ = ("call",)

    def __init__(self, call):
        self.call = call

    def __call__(self, module, arguments):
        call = self.call
        if not call.compiling():
            call.starts[get_ident()] = time_ns()


class Leave(Hook):
    __slots__ = ("call",)

    def __init__(self, call):
        self.call = call

    def __call__(self, module, arguments, output):
        call = self.call
        if not call.compiling():
            start = call.starts.pop(get_ident(), None)
            if start is not None:
                call.emit(call.name, MODULE, start, time_ns())


def unwrap(module):
    """The module inside wrappers; names are those of the job's own modules."""
    while True:
        inner = getattr(module, _WRAPPERS.get(type(module).__name__, ""), None)
        if inner is None:
            return module
        module = inner


def is_compiled(module):
    """torch.compile traces what is below, hooks included; so none go there."""
    return type(module).__name__ == "OptimizedModule" or \
        getattr(module, "_compiled_call_impl", None) is not None


class Selector:
    def __init__(self, torch):
        self._stacks = (torch.nn.ModuleList, torch.nn.Sequential)

    def select(self, root, mode):
        """[(qualified name, class name, module)] of the modules below root to mark."""
        if mode == "none" or is_compiled(root):
            return []
        found = []
        self._descend(unwrap(root), "", mode == "all", found)
        return found

    def _descend(self, module, prefix, is_all, found):
        is_stack = isinstance(module, self._stacks)
        for name, child in module.named_children():
            inner = child if is_compiled(child) else unwrap(child)
            path = prefix + name
            is_leaf = not isinstance(inner, self._stacks) and \
                (is_stack or not self._holds_stack(inner))
            if is_all or is_leaf:
                # What a checkpoint repeats is the inner module; what a shard gathers
                # for a call belongs to the call.
                repeats = type(child).__name__ == "CheckpointWrapper"
                found.append((path, type(inner).__name__, inner if repeats else child))
            if is_leaf and not is_all:
                continue
            if not is_compiled(inner):
                self._descend(inner, path + ".", is_all, found)

    def _holds_stack(self, module):
        return any(isinstance(part, self._stacks) for part in module.modules())


class Modules:
    def __init__(self, torch, channel, mode):
        self._selector = Selector(torch)
        self._emit = channel.range
        self._mode = mode
        self._hooked = weakref.WeakSet()
        self._compiling = compiling_test(torch)

    def hook(self, root):
        for name, kind, module in self._selector.select(root, self._mode):
            if module in self._hooked:
                continue
            self._hooked.add(module)
            text = "%s (%s)" % (name, kind)
            call = _Call(text.encode(), self._emit, self._compiling)
            attach(module, Enter(call), Leave(call))


def attach(module, enter, leave):
    """The first and the last thing of a call; also of one that an exception ends."""
    module.register_forward_pre_hook(enter, prepend=True)
    try:
        module.register_forward_hook(leave, always_call=True)
    except TypeError:       # not before torch 2.1
        module.register_forward_hook(leave)


def compiling_test(torch):
    compiler = getattr(torch, "compiler", None)
    test = getattr(compiler, "is_compiling", None)
    return test if test is not None else (lambda: False)
