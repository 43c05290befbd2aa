# SPDX-License-Identifier: MIT
"""Parts of the history against a made-up torch whose history is known exactly."""
import contextlib
import glob
import gzip
import io
import os
import pickle
import random
import tempfile
import threading
import time
import unittest

import support
from peakstep_hook.allocator import Counters
from peakstep_hook.history import History
from peakstep_hook.parts import Parts


class MadeUpAllocator:
    """Counters and history as torch keeps them: under one lock, in a ring.

    between: called between the snapshot and whatever comes next; allocations
    there are what makes a hand-over difficult.
    """

    def __init__(self, ring=10 ** 9, devices=1):
        self.lock = threading.Lock()
        self.ring = ring
        self.truth = [[] for _ in range(devices)]
        self.kept = [[] for _ in range(devices)]
        self.allocs = [0] * devices
        self.frees = [0] * devices
        self.is_on = False
        self.between = lambda: None
        self.before_clear = lambda: None

    def event(self, action, device=0):
        with self.lock:
            entry = {"action": action, "addr": len(self.truth[device]), "size": 1}
            self.allocs[device] += action == "alloc"
            self.frees[device] += action == "free_requested"
            if self.is_on:
                self.truth[device].append(entry)
                self._keep(device, entry)

    def _keep(self, device, entry):
        self.kept[device].append(entry)
        del self.kept[device][:-self.ring]

    def start(self):
        self.is_on = True

    def stop(self):
        self.is_on = False
        self.kept = [[] for _ in self.kept]

    def clear(self):
        self.before_clear()
        with self.lock:
            self.kept = [[] for _ in self.kept]

    def snapshot(self):
        with self.lock:
            traces = [list(kept) for kept in self.kept]
            for device in range(len(self.kept)):
                self._keep(device, {"action": "snapshot", "addr": 0, "size": 0})
        self.between()
        return {"segments": [], "device_traces": traces, "allocator_settings": {}}

    def device_count(self):
        return len(self.truth)

    def counters(self, device):
        with self.lock:
            return Counters(self.allocs[device], self.frees[device])

    def observe_out_of_memory(self, observer):
        self.run_out_of_memory = observer


class Channel:
    def __init__(self):
        self.lost = 0

    def loss(self, name, count):
        assert name == b"dropped-history-entries"
        self.lost += count


class Case(unittest.TestCase):
    def begin(self, **options):
        ring = options.pop("ring", 10 ** 9)
        self.allocator = MadeUpAllocator(ring, options.pop("devices", 1))
        self.channel = Channel()
        self.folder = tempfile.mkdtemp(dir=os.getcwd())
        parts = Parts(self.folder, lambda count: self.history.lose(count))
        self.history = History(self.allocator, parts, self.channel,
                               options.pop("period", 3600), ring=ring, **options)
        self.history.follow(True)
        self.addCleanup(self.history.disown)

    def events(self, text):
        """a = alloc, r = free_requested, c = free_completed, s = segment_alloc"""
        names = {"a": "alloc", "r": "free_requested", "c": "free_completed", "s": "segment_alloc"}
        for letter in text:
            self.allocator.event(names[letter])

    def parts(self):
        found = []
        for path in sorted(glob.glob(os.path.join(self.folder, "*.pickle"))):
            with gzip.open(path) as file:
                found.append(pickle.load(file)["device_traces"])
        return found

    def together(self, device=0):
        return [entry for part in self.parts() for entry in part[device]]

    def finish(self):
        self.history.hand_over(is_final=True)

    def check_complete(self):
        for device, truth in enumerate(self.allocator.truth):
            self.assertEqual(self.together(device), truth)
        self.assertEqual(self.history.losses, 0)


class Exact(Case):
    def test_parts_follow_each_other(self):
        self.begin()
        for text in ("saa", "arc", "", "rcrc"):
            self.events(text)
            self.history.hand_over()
        self.finish()
        self.check_complete()
        self.assertEqual(len(self.parts()), 4)     # an empty one only at the end

    def test_free_requested_at_the_end_is_held_back(self):
        self.begin()
        self.events("aar")
        self.history.hand_over()
        self.events("ca")
        self.finish()
        self.check_complete()
        self.assertEqual([len(part[0]) for part in self.parts()], [2, 3])

    def test_held_back_while_nothing_comes(self):
        self.begin()
        self.events("ar")
        self.history.hand_over()
        self.history.hand_over()
        self.finish()
        self.check_complete()

    def test_other_threads_during_the_snapshot_lose_nothing(self):
        self.begin()
        self.events("aarc")
        self.allocator.between = lambda: self.events("ar")
        self.history.hand_over()
        self.events("c")
        self.history.hand_over()
        self.allocator.between = lambda: None
        self.history.hand_over()
        self.events("c")
        self.finish()
        self.check_complete()

    def test_many_threads(self):
        self.begin(devices=2)
        generator = random.Random(1)
        self.allocator.between = lambda: time.sleep(generator.random() * 0.002)
        stop = threading.Event()

        def job(device, seed):
            own = random.Random(seed)
            while not stop.is_set():
                self.allocator.event(own.choice(["alloc", "free_requested", "free_completed"]),
                                     device)
                if own.random() < 0.02:
                    time.sleep(0.0005)

        threads = [threading.Thread(target=job, args=(i % 2, i)) for i in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(60):
            self.history.hand_over()
            time.sleep(0.001)
        stop.set()
        for thread in threads:
            thread.join()
        self.finish()
        missing = 0
        for device, truth in enumerate(self.allocator.truth):
            got = self.together(device)
            addresses = [entry["addr"] for entry in got]
            self.assertEqual(addresses, sorted(set(addresses)))     # in order, none twice
            self.assertGreater(len(got), 100)
            missing += sum(entry["action"] != "free_completed" for entry in truth)
            missing -= sum(entry["action"] != "free_completed" for entry in got)
        self.assertEqual(missing, self.history.losses)

    def test_two_handing_over_at_once(self):
        self.begin()
        stop = threading.Event()

        def other():
            while not stop.is_set():
                self.history.hand_over()

        thread = threading.Thread(target=other)
        thread.start()
        for _ in range(50):
            with self.history._lock:        # the job allocates while nobody snapshots
                self.events("aarc")
            self.history.hand_over()
        stop.set()
        thread.join()
        self.finish()
        self.check_complete()

    def test_window(self):
        self.begin()
        self.events("aa")
        self.history.follow(False)
        self.events("aaaa")
        self.history.follow(True)
        self.events("rc")
        self.finish()
        self.check_complete()

    def test_out_of_memory_hands_over(self):
        self.begin()
        self.events("aaa")
        self.allocator.run_out_of_memory(0, 1, 2, 3)
        self.history._parts.flush()
        self.assertEqual(len(self.together()), 3)


class Lost(Case):
    def test_between_check_and_clear(self):
        self.begin()
        self.events("aa")
        self.allocator.before_clear = lambda: self.events("ar")
        self.history.hand_over()
        self.allocator.before_clear = lambda: None
        self.events("aaa")
        self.finish()
        self.assertEqual(len(self.together()), 5)
        self.assertEqual((self.history.losses, self.channel.lost), (2, 2))

    def test_ring_that_wrapped(self):
        self.begin(ring=10)
        self.events("a" * 25)
        self.finish()
        self.assertEqual(self.together(), self.allocator.truth[0][-10:])
        self.assertEqual(self.history.losses, 15)

    def test_ring_that_wrapped_over_entries_taken_before(self):
        self.begin(ring=20)
        self.allocator.between = lambda: self.events("a")
        self.events("a" * 10)
        self.history.hand_over()            # not quiet: the history stays in the ring
        self.allocator.between = lambda: None
        self.events("a" * 12)               # 10 + 1 + marker + 12 > 20
        self.finish()
        self.check_complete()

    def test_job_that_resets_its_counters(self):
        self.begin()
        self.events("aaa")
        self.allocator.allocs = [0]
        self.finish()
        self.assertEqual(self.history.losses, 0)

    def test_a_part_that_cannot_be_written(self):
        self.begin()
        self.events("aaa")
        os.rmdir(self.folder)
        with contextlib.redirect_stderr(io.StringIO()) as errors:
            self.finish()
        self.assertIn("a part of the memory history is lost", errors.getvalue())
        self.assertEqual(self.history.losses, 3)


class Timing(Case):
    def test_not_before_the_period(self):
        self.begin(period=3600)
        self.events("aaa")
        self.assertEqual(self.history.safe_point(), 0)

    def test_after_the_period(self):
        self.begin(period=0.0)
        self.events("aaa")
        self.history._cost = 0.0
        self.assertGreater(self.history.safe_point(), 0)

    def test_expensive_ones_come_less_often(self):
        self.begin(period=0.0)
        self.history._cost = 10.0
        self.assertEqual(self.history.safe_point(), 0)

    def test_too_many_do_not_wait(self):
        self.begin(period=3600, many=10)
        self.events("a" * 11)
        self.assertGreater(self.history.safe_point(), 0)

    def test_job_without_safe_points(self):
        self.begin(period=0.01)
        self.events("aaa")
        deadline = time.monotonic() + 10
        while not self.parts() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual(len(self.together()), 3)


if __name__ == "__main__":
    assert support
    unittest.main()
