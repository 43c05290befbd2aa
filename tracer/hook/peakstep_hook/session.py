# SPDX-License-Identifier: MIT
"""The recording of one process, from the start of CUDA to its end."""
import atexit
import os
import threading
from time import time_ns

from . import collectives, facts
from .allocator import Allocator
from .channel import ANNOTATION, open_channel
from .history import RING, History
from .modules import Modules
from .parts import Parts
from .phases import Phases
from .report import guarded, say
from .roots import Roots
from .steps import Steps


def _setting(name, default):
    return os.environ.get("PEAKSTEP_" + name) or default


class Session:
    def __init__(self, torch, folder):
        self._torch = torch
        self._folder = folder
        self._pid = os.getpid()
        self._channel = open_channel(_setting("TRACER_LIB", ""))
        self._facts = facts.Facts(torch, self._channel)
        self._allocator = Allocator(torch, RING, _setting("STACKS", "none") == "python")
        self._history = None
        self._steps = Steps(self._channel, self._between_steps, self._step_began)
        self._phases = Phases(torch, self._channel, self._steps, self._safe_point)
        modules = Modules(torch, self._channel, _setting("MODULES", "blocks"))
        self._roots = Roots(torch, self._phases, modules)
        self._finishing = threading.Lock()
        self._is_over = False

    # -- begin ---------------------------------------------------------------

    def begin(self):
        """Runs inside torch's initialisation of CUDA; each part may fail alone."""
        self._facts.at_begin()
        self._begin_history()
        self._begin_marks()
        self._watch_the_end()

    @guarded
    def _begin_marks(self):
        self._phases.attach()
        self._roots.listen()

    @guarded
    def _begin_history(self):
        if _setting("HISTORY", "1") == "0":
            return
        allocator = self._allocator
        if not allocator.is_native():
            say("this allocator back end keeps no history")
            return
        history = None
        parts = Parts(self._folder, lambda count: history.lose(count))
        history = History(allocator, parts, self._channel,
                          int(_setting("DRAIN_MS", "500")) / 1000)
        allocator.observe_job(history.taken_by_job)
        self._history = history
        history.follow(self._channel.is_recording())

    # -- between ---------------------------------------------------------------

    def _safe_point(self, slack):
        """Returns when a hand-over was done here [ns], else None."""
        if self._history is None:
            return None
        start = time_ns()
        if not self._history.safe_point(slack):
            return None
        end = time_ns()
        self._channel.range(b"peakstep hand-over", ANNOTATION, start, end)
        return end

    @guarded
    def _between_steps(self, is_late):
        completed = self._steps.completed
        if completed == 1:
            self._facts.at_first_step()
        self._roots.step_ended(completed)
        return None if is_late else self._safe_point(1.0)

    @guarded
    def _step_began(self):
        """The tracer has just decided whether this step is recorded."""
        if self._history is not None:
            self._history.follow(self._channel.is_recording())

    # -- end -------------------------------------------------------------------

    def _watch_the_end(self):
        atexit.register(self.finish)        # after torch's own: runs before them
        os.register_at_fork(after_in_child=self._forked)
        leave = os._exit

        def _exit(status):
            self.finish()
            leave(status)

        os._exit = _exit

    def _forked(self):
        """The child has neither our threads nor a usable CUDA."""
        self._is_over = True
        self._phases.detach()
        if self._history is not None:
            self._history.disown()

    def finish(self):
        """Once, whichever end comes first."""
        if self._is_over or os.getpid() != self._pid or not self._finishing.acquire(False):
            return
        self._is_over = True
        self._end_marks()
        guarded(self._allocator.note_peaks)()
        losses = 0
        if self._history is not None:
            self._history.hand_over(is_final=True)
            losses = self._history.losses
            self._history.disown()
        collectives.write(self._folder, facts.ranks())
        self._facts.at_end(self._steps.completed, losses, self._allocator.peaks)

    @guarded
    def _end_marks(self):
        self._steps.finish()
        self._phases.detach()
        self._roots.rest()
