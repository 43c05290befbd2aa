# SPDX-License-Identifier: MIT
"""torch's caching allocator: its history, counters and out-of-memory observer.

Versions differ (2.0 to 2.11 and on):
    arguments   2.0 knows only the flat form, later ones enabled/context/stacks
    clearing    newer ones clear while recording goes on (clear_history); the
                others clear by switching off and on
"""
import inspect
from collections import namedtuple

# Calls so far; they count the same events as the history's "alloc" and
# "free_requested".
Counters = namedtuple("Counters", "allocs frees")


class Allocator:
    def __init__(self, torch, max_entries, stacks):
        self._cuda = torch.cuda
        self._native = torch._C
        self._record = torch.cuda.memory._record_memory_history
        self._options = self._choose_options(max_entries, stacks)
        names = inspect.signature(self._record).parameters
        self._can_clear = "clear_history" in names
        self.peaks = {}     # device -> (allocated, reserved) [bytes], the highest seen

    def _choose_options(self, max_entries, stacks):
        names = inspect.signature(self._record).parameters
        if "max_entries" in names:
            return {"enabled": "all", "context": "alloc" if stacks else None,
                    "stacks": "python", "max_entries": max_entries}
        return {"enabled": True, "record_context": stacks,
                "trace_alloc_max_entries": max_entries, "trace_alloc_record_context": stacks}

    def is_native(self):
        """Other back ends (cudaMallocAsync, pluggable ones) have no history."""
        backend = getattr(self._cuda, "get_allocator_backend", None)
        return backend is None or backend() == "native"

    def start(self):
        self._record(**self._options)

    def stop(self):
        self._record(None if "max_entries" in self._options else False)

    def clear(self):
        if self._can_clear:
            self._record(clear_history=True, **self._options)
        else:
            self.stop()
            self.start()

    def snapshot(self):
        return self._cuda.memory._snapshot()

    def device_count(self):
        return self._cuda.device_count()

    def counters(self, device):
        stats = self._native._cuda_memoryStats(device)
        allocation = stats["allocation"]["all"]
        self._note_peaks(device, stats)
        return Counters(allocation["allocated"], allocation["freed"])

    def _note_peaks(self, device, stats):
        """Jobs reset torch's peaks, for their logs; so the highest ever seen counts."""
        allocated, reserved = self.peaks.get(device, (0, 0))
        self.peaks[device] = (max(allocated, stats["allocated_bytes"]["all"]["peak"]),
                              max(reserved, stats["reserved_bytes"]["all"]["peak"]))

    def note_peaks(self):
        for device in range(self.device_count() if self._cuda.is_initialized() else 0):
            self.counters(device)

    def observe_out_of_memory(self, observer):
        attach = getattr(self._native, "_cuda_attach_out_of_memory_observer", None) or \
            getattr(self._native, "_cuda_attachOutOfMemoryObserver", None)
        if attach is not None:
            attach(observer)

    def observe_job(self, taken):
        """Calls taken() before the job switches torch's history for itself."""
        record = self._record

        def _record_memory_history(*arguments, **options):
            taken()
            return record(*arguments, **options)

        _record_memory_history.__wrapped__ = record
        _record_memory_history.__doc__ = record.__doc__
        self._cuda.memory._record_memory_history = _record_memory_history
