# SPDX-License-Identifier: MIT
"""Where the phases of a step begin and end.

    forward      outermost module calls with gradients on (roots.py reports them)
    evaluation   the same with gradients off
    backward     torch.autograd.backward, which Tensor.backward calls
    optimizer    torch's global hooks around every Optimizer.step; wrappers of
                 optimizers have no such hooks, so one step counts once
    zero_grad    Optimizer.zero_grad and Module.zero_grad

One thread drives a training loop. Whatever others do (recomputation in
autograd's threads, replicas) lies inside a phase of that one.
"""
import functools
import sys
import threading
from time import time_ns

from .channel import ANNOTATION
from .report import guarded, say


class Phases:
    def __init__(self, torch, channel, steps, safe_point):
        """safe_point(slack): the job's thread is between phases."""
        self._torch = torch
        self._channel = channel
        self._steps = steps
        self._safe_point = safe_point
        self._thread = None         # the one that drives the loop
        self._backwards = 0         # nesting: reentrant checkpoints call backward inside
        self._optimizers = []       # optimizer steps under way, outermost first
        self._optimizer_start = 0
        self._zeroing = 0
        self._forward = None        # (start, is a training forward)
        self.forwards = 0           # outermost forwards seen
        self.optimizer_steps = 0
        self._is_over = False

    def attach(self):
        """Each alone: a torch without one of them still gets the others."""
        guarded(self._wrap_backward)()
        guarded(self._hook_optimizers)()
        guarded(self._wrap_zero_grad)(self._torch.optim.Optimizer)
        guarded(self._wrap_zero_grad)(self._torch.nn.Module)
        guarded(self._wrap_grad_scaler)()

    def detach(self):
        """The wrappers stay, but do nothing."""
        self._is_over = True

    def _is_mine(self):
        """Is this the loop's thread? The first that works with gradients is."""
        if self._thread is None and not self._is_over:
            self._thread = threading.get_ident()
        return self.is_loop_or_unknown()

    def is_loop_or_unknown(self):
        return not self._is_over and self._thread in (None, threading.get_ident())

    def _mark(self, name, start, end):
        self._channel.range(name, ANNOTATION, start, end)

    # -- forward -------------------------------------------------------------

    def is_resting(self):
        """No backward runs, so an outermost forward is one of the loop itself."""
        return self._backwards == 0 and not self._is_over

    @guarded
    def forward_begins(self, is_helper):
        """is_helper: a module without parameters, a loss or a data transform."""
        if not self.is_loop_or_unknown():
            return
        self._forward = None
        if not self._torch.is_grad_enabled():
            if not is_helper:
                self._steps.other_work_begins()
                self._forward = (time_ns(), False)
            return
        if is_helper and not self._steps.is_in_micro_batch():
            return          # nothing to differentiate yet
        if self._is_mine():
            self._steps.work_begins(time_ns())
            self._forward = (time_ns(), True)

    @guarded
    def forward_ends(self):
        if self._forward is None or not self.is_loop_or_unknown():
            return
        start, is_training = self._forward
        self._forward = None
        self.forwards += 1
        self._mark(b"forward" if is_training else b"evaluation", start, time_ns())
        if not is_training:
            self._safe_point(1.0)

    # -- backward ------------------------------------------------------------

    def _wrap_backward(self):
        autograd = self._torch.autograd
        backward = autograd.backward

        @functools.wraps(backward)
        def marked(*arguments, **options):
            if self._backwards or not self._is_mine():
                return backward(*arguments, **options)
            start = time_ns()
            self._backward_begins(start)
            try:
                return backward(*arguments, **options)
            finally:
                self._backward_ends(start)

        autograd.backward = marked

    @guarded
    def _backward_begins(self, now):
        self._backwards = 1
        self._steps.backward_begins(now)

    @guarded
    def _backward_ends(self, start):
        self._backwards = 0
        now = time_ns()
        self._mark(b"backward", start, now)
        self._steps.backward_ends(now)
        self._safe_point(4.0)

    # -- optimizer -----------------------------------------------------------

    def _hook_optimizers(self):
        module = sys.modules[self._torch.optim.Optimizer.__module__]
        try:
            module.register_optimizer_step_pre_hook(self._optimizer_begins)
            module.register_optimizer_step_post_hook(self._optimizer_ends)
        except AttributeError:
            say("this PyTorch has no optimizer hooks: steps are not marked")

    @guarded
    def _optimizer_begins(self, optimizer, arguments, options):
        if not self._is_mine():
            return
        if any(known is optimizer for known in self._optimizers):
            self._optimizers = []       # an earlier step was left by an exception
        if not self._optimizers:
            self._optimizer_start = time_ns()
            self._steps.optimizer_begins(self._optimizer_start)
        self._optimizers.append(optimizer)

    @guarded
    def _optimizer_ends(self, optimizer, arguments, options):
        if not self._optimizers or not self._is_mine():
            return
        while self._optimizers and self._optimizers.pop() is not optimizer:
            pass
        if self._optimizers:
            return                      # one optimizer inside another's step
        now = time_ns()
        self._mark(b"optimizer", self._optimizer_start, now)
        self.optimizer_steps += 1
        self._steps.optimizer_ends(id(optimizer), now)

    def _wrap_grad_scaler(self):
        """A scaler that met an overflow leaves the optimizer out; the step ends there too."""
        amp = getattr(self._torch.amp, "GradScaler", None) or \
            getattr(self._torch.cuda.amp, "GradScaler", None)
        if amp is None:
            return
        # torch.cuda.amp.GradScaler derives from the general one where both exist.
        step = amp.step

        @functools.wraps(step)
        def marked(scaler, optimizer, *arguments, **options):
            before = self.optimizer_steps
            start = time_ns()
            result = step(scaler, optimizer, *arguments, **options)
            if self.optimizer_steps == before:
                self._optimizer_left_out(optimizer, start)
            return result

        amp.step = marked

    @guarded
    def _optimizer_left_out(self, optimizer, start):
        if self._is_mine():
            while hasattr(optimizer, "optimizer"):      # the one inside a trainer's wrapper
                optimizer = optimizer.optimizer
            self._steps.optimizer_begins(start)
            self._steps.optimizer_ends(id(optimizer), time_ns())

    def _wrap_zero_grad(self, owner):
        zero_grad = owner.zero_grad

        @functools.wraps(zero_grad)
        def marked(*arguments, **options):
            if self._zeroing or not self._is_mine():
                return zero_grad(*arguments, **options)
            self._zeroing = 1
            start = time_ns()
            try:
                return zero_grad(*arguments, **options)
            finally:
                self._zeroing = 0
                self._mark(b"zero_grad", start, time_ns())

        owner.zero_grad = marked
