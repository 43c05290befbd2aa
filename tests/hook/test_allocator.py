# SPDX-License-Identifier: MIT
"""Forms of torch's interface to its memory history, from 2.0 on."""
import types
import unittest

import support
from peakstep_hook.allocator import Allocator, Counters

STATS = {"allocation": {"all": {"allocated": 5, "freed": 3}},
         "allocated_bytes": {"all": {"peak": 100}}, "reserved_bytes": {"all": {"peak": 200}}}


def made_up_torch(record, **native):
    native.setdefault("_cuda_memoryStats", lambda device: STATS)
    return types.SimpleNamespace(
        _C=types.SimpleNamespace(**native),
        cuda=types.SimpleNamespace(
            memory=types.SimpleNamespace(_record_memory_history=record),
            device_count=lambda: 1, is_initialized=lambda: True))


class Forms(unittest.TestCase):
    def setUp(self):
        self.calls = []

    def flat(self, enabled, record_context=True, trace_alloc_max_entries=1,
             trace_alloc_record_context=False, device=None, record_context_cpp=False):
        self.calls.append((enabled, record_context, trace_alloc_max_entries,
                           trace_alloc_record_context))

    def named(self, enabled="all", context="all", stacks="all", max_entries=1, device=None):
        self.calls.append((enabled, context, stacks, max_entries))

    def clearing(self, enabled="all", context="all", stacks="all", max_entries=1, device=None,
                 clear_history=False):
        self.calls.append((enabled, context, stacks, max_entries, clear_history))

    def use(self, record, stacks=False):
        allocator = Allocator(made_up_torch(record), 9, stacks)
        allocator.start()
        allocator.clear()
        return self.calls

    def test_2_0(self):
        on = (True, False, 9, False)
        off = (False, True, 1, False)
        self.assertEqual(self.use(self.flat), [on, off, on])

    def test_2_1(self):
        on = ("all", None, "python", 9)
        self.assertEqual(self.use(self.named), [on, (None, "all", "all", 1), on])

    def test_2_9(self):
        self.assertEqual(self.use(self.clearing), [
            ("all", None, "python", 9, False), ("all", None, "python", 9, True)])

    def test_stacks(self):
        self.assertEqual(self.use(self.named, stacks=True)[0], ("all", "alloc", "python", 9))
        self.calls.clear()
        self.assertEqual(self.use(self.flat, stacks=True)[0], (True, True, 9, True))

    def test_counters_and_the_highest_peaks(self):
        allocator = Allocator(made_up_torch(self.named), 9, False)
        self.assertEqual(allocator.counters(0), Counters(5, 3))
        low = {name: {"all": dict(values["all"], peak=1)} for name, values in STATS.items()}
        allocator._native._cuda_memoryStats = lambda device: low
        allocator.counters(0)
        self.assertEqual(allocator.peaks, {0: (100, 200)})

    def test_observers_of_both_names(self):
        for name in ("_cuda_attach_out_of_memory_observer", "_cuda_attachOutOfMemoryObserver"):
            seen = []
            Allocator(made_up_torch(self.named, **{name: seen.append}), 9,
                      False).observe_out_of_memory(min)
            self.assertEqual(seen, [min])
        Allocator(made_up_torch(self.named), 9, False).observe_out_of_memory(min)

    def test_the_job_is_noticed_and_served(self):
        torch = made_up_torch(self.named)
        noticed = []
        allocator = Allocator(torch, 9, False)
        allocator.observe_job(lambda: noticed.append(1))
        allocator.start()
        self.assertEqual(noticed, [])
        torch.cuda.memory._record_memory_history("state", max_entries=7)
        self.assertEqual((noticed, self.calls[-1]), ([1], ("state", "all", "all", 7)))


if __name__ == "__main__":
    assert support
    unittest.main()
