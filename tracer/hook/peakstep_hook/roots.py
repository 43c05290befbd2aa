# SPDX-License-Identifier: MIT
"""Finds the modules a job calls from outside of any module.

A hook on every module call would find them, and would cost the job for every
call. So it listens only until the loop has shown what it calls: a few steps,
or a run of calls without anything new. It listens again when optimizer steps
come without any forward.
"""
import threading
import weakref

from .modules import Hook, attach, compiling_test
from .report import guarded

_ENOUGH_CALLS = 32
_ENOUGH_STEPS = 2
_MOST_ROOTS = 64


class _RootEnter(Hook):
    def __init__(self, roots):
        self._roots = roots

    def __call__(self, module, arguments):
        self._roots.enter(module)


class _RootLeave(Hook):
    def __init__(self, roots):
        self._roots = roots

    def __call__(self, module, arguments, output):
        self._roots.leave(module)


class Roots:
    def __init__(self, torch, phases, modules):
        self._torch = torch
        self._phases = phases
        self._modules = modules
        self._helpers = weakref.WeakSet()   # roots without parameters
        self._known = weakref.WeakSet()
        self._under_way = threading.local()
        self._compiling = compiling_test(torch)
        self._handle = None
        self._old_calls = 0
        self._forwards = 0
        self._quiet_steps = 0

    # -- listening -------------------------------------------------------------

    def listen(self):
        if self._handle is None and len(self._known) < _MOST_ROOTS:
            self._old_calls = 0
            self._handle = self._torch.nn.modules.module.register_module_forward_pre_hook(
                self._any_module)

    def rest(self):
        if self._handle is not None:
            self._handle.remove()
            self._handle = None

    def step_ended(self, completed):
        """Between steps: enough heard? Or forwards of something unknown?"""
        has_forward = self._phases.forwards != self._forwards
        self._forwards = self._phases.forwards
        if not has_forward:
            self.listen()
        elif completed >= _ENOUGH_STEPS:
            self.rest()

    @guarded
    def _any_module(self, module, arguments):
        if self._compiling() or self._stack():
            return
        if module in self._known:
            self._old_calls += 1
            if self._old_calls >= _ENOUGH_CALLS:
                self.rest()
            return
        if not self._phases.is_resting() or not self._phases.is_loop_or_unknown():
            return              # recomputation inside a backward, replicas in threads
        self._old_calls = 0
        self._add(module)

    def _add(self, module):
        self._known.add(module)
        if next(module.parameters(), None) is None:
            self._helpers.add(module)
        self._modules.hook(module)
        attach(module, _RootEnter(self), _RootLeave(self))
        # This call is past its pre-hooks, but not past its last ones.
        self.enter(module)
        if len(self._known) >= _MOST_ROOTS:
            self.rest()

    # -- calls of roots ----------------------------------------------------------

    def _stack(self):
        stack = getattr(self._under_way, "stack", None)
        if stack is None:
            stack = self._under_way.stack = []
        return stack

    @guarded
    def enter(self, module):
        if self._compiling():
            return
        stack = self._stack()
        key = id(module)
        if key in stack:            # an exception left it, where torch tells nobody
            del stack[stack.index(key):]
        stack.append(key)
        if len(stack) == 1 and self._phases.is_resting():
            self._phases.forward_begins(module in self._helpers)

    @guarded
    def leave(self, module):
        if self._compiling():
            return
        stack = self._stack()
        key = id(module)
        if key not in stack:
            return
        del stack[stack.index(key):]
        if not stack and self._phases.is_resting():
            self._phases.forward_ends()
