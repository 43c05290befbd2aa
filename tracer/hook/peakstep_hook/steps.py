# SPDX-License-Identifier: MIT
"""What a step is: the rules, without torch.

A step ends with the last optimizer step of the loop's body, and the next one
begins there; the first begins with the first forward that will be
differentiated. Which optimizer is the body's last is learned: before the first
boundary every optimizer step may be followed by one of another optimizer, so
the boundary waits for the next forward; afterwards the optimizer that came
last for the first time closes a step. One that stays away for long loses the
role. Where an optimizer steps in several goes (sharded optimizers step once a
shard), boundaries wait for the next forward for good.

    forward  backward  forward  backward  optimizer | forward ...
    '-- micro-batch 0 -''-- micro-batch 1 -'        |
    '----------------- ProfilerStep#0 -------------''-- ProfilerStep#1 ...

Micro-batches are marked where gradients accumulate, that is where more than
one stands before an optimizer step.
"""
from .channel import ANNOTATION

_PATIENCE = 16      # optimizer steps without the closing one


class Steps:
    def __init__(self, channel, boundary, opened):
        """boundary(is_late): between two steps, or late, when the next one has begun;
        returns the moment the next one begins [ns], None for where the last one ended.
        opened(): a step has begun."""
        self._channel = channel
        self._boundary = boundary
        self._opened = opened
        self.index = None           # of the open step
        self.completed = 0
        self._start = 0
        self._end = 0               # of the last thing that belongs to the open step
        self._is_empty = True       # no forward or backward since it began
        self._is_lazy = True        # boundaries wait for the next forward
        self._pending = None        # end of an optimizer step that may close this step
        self._closing = None
        self._optimizers = set()
        self._strangers = 0
        self._micro_start = None
        self._micros = []

    # -- what happens in the job --------------------------------------------

    def work_begins(self, now):
        """A forward that will be differentiated; or a backward, or an optimizer step,
        where nothing was before it."""
        if self.index is None:
            self._open(0, now)
        self.other_work_begins()
        if self._micro_start is None:
            self._micro_start = now

    def other_work_begins(self):
        """A forward without gradients."""
        if self._pending is not None:
            self._close(self._pending, is_late=True)
        self._is_empty = False

    def is_in_micro_batch(self):
        """A forward came, its backward has not ended yet."""
        return self._micro_start is not None

    def backward_begins(self, now):
        if self.index is None or (self._micro_start is None and not self._micros):
            self.work_begins(now)
        self._is_empty = False

    def backward_ends(self, now):
        self._end = now
        if self._micro_start is not None:
            self._micros.append((self._micro_start, now))
            self._micro_start = None
        elif self._micros:                      # a second loss of the same forward
            self._micros[-1] = (self._micros[-1][0], now)

    def optimizer_begins(self, now):
        if self.index is None:
            self.work_begins(now)

    def optimizer_ends(self, optimizer, now):
        """optimizer: anything that tells optimizers apart."""
        self._end = now
        self._mark_micros()
        self._learn(optimizer)
        if self._is_empty:
            self._is_lazy = True    # what ended the step before goes on
        elif self._is_lazy:
            self._pending = now
        elif optimizer == self._closing:
            self._close(now)

    def finish(self):
        """The end of the process; an open step ends with its last event."""
        if self._pending is not None:
            self._end = self._pending
        if self.index is not None and not self._is_empty and self._end > self._start:
            self._mark_micros()
            self._mark_step(self._end)

    # -- the rules -----------------------------------------------------------

    def _learn(self, optimizer):
        if optimizer not in self._optimizers:
            self._optimizers.add(optimizer)
            self._closing = optimizer
        if optimizer == self._closing:
            self._strangers = 0
        else:
            self._strangers += 1
            if self._strangers > _PATIENCE:
                self._closing = optimizer

    def _open(self, index, start):
        self.index = index
        self._start = self._end = start
        self._is_empty = True
        self._channel.step(index)
        self._opened()

    def _close(self, end, is_late=False):
        self._pending = None
        if self.completed == 0:
            self._is_lazy = False   # every optimizer of the body's end was seen
        self._mark_step(end)
        start = self._boundary(is_late)
        self._open(self.index + 1, end if start is None else start)

    def _mark_step(self, end):
        self.completed += 1
        self._channel.range(b"ProfilerStep#%d" % self.index, ANNOTATION, self._start, end)

    def _mark_micros(self):
        if len(self._micros) > 1:
            for number, (start, end) in enumerate(self._micros):
                self._channel.range(b"micro-batch#%d" % number, ANNOTATION, start, end)
        self._micros = []
        self._micro_start = None
