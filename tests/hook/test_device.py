# SPDX-License-Identifier: MIT
"""torch's real memory history, on a device that a preloaded library plays."""
import os
import pickle
import unittest

from support import needs_standin, run


def canonical(trace):
    """Entries without times; addresses and streams numbered as they come up."""
    numbers = {}

    def number(kind, value):
        return numbers.setdefault((kind, value), len(numbers))

    return [(e["action"], e["size"], number("stream", e["stream"]), number("at", e.get("addr")))
            for e in trace if e["action"] != "snapshot"]


@needs_standin
class Device(unittest.TestCase):
    def device(self, kind, *arguments, **settings):
        job = run("device.py", kind, *arguments, standin=True, **settings)
        self.assertIn("done", job.out, job.errors[-3000:])
        return job

    def together(self, job, device=0):
        return [entry for part in job.parts() for entry in part["device_traces"][device]]

    def test_parts_together_are_the_undrained_history(self):
        path = os.path.join(os.getcwd(), "undrained.pickle")
        self.device("undrained", path, record=False)
        with open(path, "rb") as file:
            truth = canonical(pickle.load(file)["device_traces"][0])
        for how in ("often", "rarely"):
            job = self.device("drained", how, PEAKSTEP_DRAIN_MS=1 if how == "often" else 60000)
            self.assertNotIn("peakstep:", job.errors)
            got = canonical(self.together(job))
            before = 4          # a segment, and the first tensor came and went
            self.assertEqual(len(got), len(truth) + before)
            self.assertEqual(canonical(self.together(job)[before:]), truth)
            self.assertEqual(job.losses(), [])
            self.assertEqual(len(job.parts()) > 20, how == "often", len(job.parts()))
            self.assertEqual(job.facts()["history-losses"], "0")
            self.assertGreater(int(job.facts()["torch-peak-allocated-bytes-0"]), 1 << 20)

    def test_no_part_ends_between_the_halves_of_a_free(self):
        for part in self.device("drained", "often", PEAKSTEP_DRAIN_MS=1).parts()[:-1]:
            for trace in part["device_traces"]:
                self.assertFalse(trace and trace[-1]["action"] == "free_requested")

    def test_stacks(self):
        job = self.device("drained", PEAKSTEP_STACKS="python")
        frames = [f for e in self.together(job) for f in e.get("frames", ())]
        self.assertTrue(any(f["filename"].endswith("device.py") for f in frames))

    def test_window(self):
        job = self.device("drained", FAKE_WINDOW="10:12")
        entries = self.together(job)
        self.assertTrue(50 < len(entries) < 600, len(entries))
        self.assertEqual(job.losses(), [])

    def test_out_of_memory(self):
        job = self.device("oom")
        self.assertIn("out of memory", job.out)
        self.assertIn("oom", [e["action"] for e in self.together(job)])

    def test_job_with_a_history_of_its_own(self):
        job = self.device("own")
        self.assertIn("own True", job.out)
        self.assertIn(("history-taken-by-job", 1), job.losses())
        self.assertGreater(len(self.together(job)), 100)

    def test_job_that_leaves_at_once(self):
        job = self.device("leaves")
        self.assertEqual(job.status, 4)
        self.assertGreater(len(self.together(job)), 1000)

    def test_marks_on_the_device(self):
        job = self.device("drained")
        counted = job.counted()
        self.assertEqual([counted[n] for n in ("forward", "backward", "optimizer")], [40] * 3)
        self.assertEqual(job.facts()["steps"], "40")
        self.assertIn("device-name", job.facts())


if __name__ == "__main__":
    unittest.main()
