# SPDX-License-Identifier: MIT
"""Hands the allocator's history over in parts: every entry once, in order.

torch can copy its history and can clear it, but not both at once, and other
threads may allocate in between. So a hand-over
    1 reads the counters of allocations, 2 takes a snapshot, 3 reads them again,
    4 clears only when nothing happened between 1 and 3.
Otherwise the history stays and the next hand-over skips what was taken. What
may still slip through, between 3 and 4, is counted: the entries seen must
equal what the counters went on by.

Where: safe points, that is between the job's phases on its own thread, when
autograd's threads rest. A watching thread steps in when none came in time.

When: every `period`, or, in a busy job, when SHARE of the time since the last
one pays for it; but never later than LATEST, for a job that is killed loses
what was not handed over. Past MANY waiting entries a hand-over happens at
once, which bounds memory. The end of the process, and running out of memory,
wait for nothing.
"""
import gc
import threading
import time

from .report import guarded, say

RING = 4000000      # entries torch keeps at most
MANY = 1000000      # entries that no longer wait for their turn
SHARE = 0.01        # of the job's time, at most, for hand-overs that can wait
LATEST = 0.8        # seconds an entry waits; a killed job shall lose less than one
OOM_HANDOVERS = 3   # jobs that probe for the largest batch run out of memory often


class _Device:
    """Where we are in one device's history."""

    def __init__(self, counters):
        self.taken = 0          # entries of torch's history that earlier parts hold
        self.held = []          # a free_requested that waits for its free_completed
        self.allocs = counters.allocs   # counters at the last reckoning ...
        self.frees = counters.frees
        self.seen_allocs = 0    # ... and entries seen since
        self.seen_frees = 0

    def fresh(self, trace, counters, ring):
        """The entries no part holds yet."""
        if len(trace) < ring:
            return trace[self.taken:]
        # Overwritten from the front: positions mean nothing, so count from the back.
        allocs = counters.allocs - self.allocs - self.seen_allocs
        frees = counters.frees - self.frees - self.seen_frees
        begin = len(trace)
        while begin > 0 and (allocs > 0 or frees > 0):
            begin -= 1
            allocs -= trace[begin]["action"] == "alloc"
            frees -= trace[begin]["action"] == "free_requested"
        return trace[begin:]

    def see(self, entries):
        """Counts what came, and returns what the part gets of it."""
        kept = []
        for entry in entries:
            action = entry["action"]
            if action == "alloc":
                self.seen_allocs += 1
            elif action == "free_requested":
                self.seen_frees += 1
            elif action == "snapshot":  # our own traces in the history
                continue
            kept.append(entry)
        return kept

    def hold_back(self, entries, is_final):
        entries = self.held + entries
        self.held = []
        if entries and not is_final and entries[-1]["action"] == "free_requested":
            self.held = [entries.pop()]
        return entries

    def reckon(self, counters):
        """Entries lost since the last reckoning; counters and entries agree now."""
        allocs = counters.allocs - self.allocs - self.seen_allocs
        frees = counters.frees - self.frees - self.seen_frees
        self.allocs, self.frees = counters.allocs, counters.frees
        self.seen_allocs = self.seen_frees = 0
        return max(allocs, 0) + max(frees, 0)  # negative: the job reset its counters


class History:
    def __init__(self, allocator, parts, channel, period_s, ring=RING, many=MANY):
        self._allocator = allocator
        self._parts = parts
        self._channel = channel
        self._period = period_s
        self._ring = ring
        self._many = many
        self._lock = threading.Lock()
        self._devices = None        # None: not recording
        self._is_over = False
        self._last = time.monotonic()
        self._cost = 0.0
        self._ooms = 0
        self.losses = 0
        self._watcher = None

    # -- switching ---------------------------------------------------------

    @guarded
    def follow(self, wanted):
        """Switches the history on or off, as the recorded window demands."""
        if self._is_over or bool(wanted) == (self._devices is not None):
            return
        if wanted:
            self._start()
        else:
            self.hand_over(is_final=True)
            with self._lock:
                self._devices = None
                self._allocator.stop()

    def _start(self):
        with self._lock:
            self._allocator.start()
            self._devices = [_Device(counters) for counters in self._read_counters()]
            self._last = time.monotonic()
        if self._watcher is None:
            self._allocator.observe_out_of_memory(self._out_of_memory)
            self._watcher = threading.Thread(target=self._watch, name="peakstep-history",
                                             daemon=True)
            self._watcher.start()

    @guarded
    def taken_by_job(self):
        """The job records its own history: ours ends, with a word."""
        if self._devices is None:
            return
        say("the job switches torch's memory history itself; peakstep's ends here")
        self._channel.loss(b"history-taken-by-job", 1)
        self.hand_over(is_final=True)
        self._is_over = True
        self._devices = None

    def disown(self):
        """In a forked child: nothing of this is ours."""
        self._is_over = True
        self._devices = None

    # -- when --------------------------------------------------------------

    @guarded
    def safe_point(self, slack=1.0):
        """The job's thread is between phases. slack > 1: a less welcome moment.

        Returns the time a hand-over took [s], or 0.
        """
        devices = self._devices
        if devices is None:
            return 0.0
        now = time.monotonic()
        wait = min(max(self._period, self._cost / SHARE) * slack, LATEST)
        is_time = now - self._last >= wait and self._parts.backlog() < 2
        if not is_time and (slack > 1.0 or self._waiting(devices) < self._many):
            return 0.0
        self.hand_over()
        return time.monotonic() - now

    def _waiting(self, devices):
        """About how many entries wait in torch; an alloc, a free and its completion."""
        count = 0
        for index, device in enumerate(devices):
            if device.allocs or index == 0:
                now = self._allocator.counters(index)
                count += now.allocs - device.allocs + 2 * (now.frees - device.frees)
        return count

    def _watch(self):
        """For long steps, and jobs without any safe point; the counters guard what this takes."""
        while not self._is_over:
            time.sleep(min(max(self._period, 0.05), 0.1))
            waited = time.monotonic() - self._last
            if self._devices is not None and waited > max(self._period, LATEST) and \
                    self._parts.backlog() == 0:
                self.hand_over()

    def _out_of_memory(self, device, alloc, device_alloc, device_free):
        self._ooms += 1
        if self._ooms <= OOM_HANDOVERS:
            self.hand_over()

    # -- the hand-over -----------------------------------------------------

    @guarded
    def hand_over(self, is_final=False):
        if not self._lock.acquire(timeout=30.0 if is_final else 1.0):
            return
        try:
            if self._devices is None:
                return
            begin = time.monotonic()
            collecting = gc.isenabled()
            gc.disable()        # a snapshot makes no cycles, but many objects
            try:
                part = self._take(is_final)
            finally:
                if collecting:
                    gc.enable()
            if any(part["device_traces"]) or is_final:
                self._parts.put(part)
            self._last = time.monotonic()
            self._cost = self._last - begin
        finally:
            self._lock.release()
        if is_final:
            self._parts.flush()

    def _take(self, is_final):
        before = self._read_counters()
        snapshot = self._allocator.snapshot()
        after = self._read_counters()
        is_quiet = all(a == b for a, b in zip(before, after))
        if is_quiet:
            self._allocator.clear()
        part = dict(snapshot)
        part["device_traces"] = [
            self._take_device(index, trace, after[index], is_quiet, is_final)
            for index, trace in enumerate(snapshot.get("device_traces", ()))
            if index < len(self._devices)]
        return part

    def _take_device(self, index, trace, counters, is_quiet, is_final):
        device = self._devices[index]
        entries = device.see(device.fresh(trace, counters, self._ring))
        device.taken = 0 if is_quiet else len(trace)
        if is_quiet:
            lost = device.reckon(counters)
            if lost:
                self.lose(lost)
        return device.hold_back(entries, is_final)

    def lose(self, count):
        self.losses += count
        self._channel.loss(b"dropped-history-entries", count)

    def _read_counters(self):
        return [self._allocator.counters(device)
                for device in range(self._allocator.device_count())]
