# SPDX-License-Identifier: MIT
"""Steps, phases and module ranges of real loops, on the CPU."""
import unittest

from support import needs, run

BLOCKS = ["embedding (Embedding)", "body.layers.0 (Block)", "body.layers.1 (Block)",
          "body.layers.2 (Block)", "body.last_norm (LayerNorm)", "head (Linear)"]


def job(kind, **settings):
    finished = run("loops.py", kind, **settings)
    if finished.status != 0 or "done" not in finished.out or "peakstep:" in finished.errors:
        raise AssertionError("%s: %d\n%s" % (kind, finished.status, finished.errors[-3000:]))
    return finished


@needs("torch")
class Loops(unittest.TestCase):
    def check_nesting(self, finished):
        """Ranges of the loop's thread lie inside each other or apart."""
        ranges = sorted(finished.ranges(), key=lambda r: (r.start, -r.end))
        open_ranges = []
        for r in ranges:
            while open_ranges and open_ranges[-1].end <= r.start:
                open_ranges.pop()
            if open_ranges:
                self.assertLessEqual(r.end, open_ranges[-1].end, (r, open_ranges[-1]))
            open_ranges.append(r)

    def check_counts(self, finished, **expected):
        counted = finished.counted()
        steps = sum(n for name, n in counted.items() if name.startswith("ProfilerStep#"))
        for name, count in expected.items():
            self.assertEqual(steps if name == "steps" else counted[name], count,
                             (name, dict(counted)))

    def test_plain(self):
        finished = job("plain")
        self.check_counts(finished, steps=4, forward=4, backward=4, optimizer=4, zero_grad=4)
        self.assertEqual(finished.names(3), BLOCKS * 4)
        self.check_nesting(finished)
        facts = finished.facts()
        self.assertTrue(facts["framework"].startswith("PyTorch "))
        self.assertEqual(facts["steps"], "4")

    def test_all_modules(self):
        names = job("plain", PEAKSTEP_MODULES="all").names(3)
        self.assertIn("body.layers.1.mlp.0 (Linear)", names)
        self.assertIn("body (Body)", names)
        self.assertEqual(len(names), 4 * (4 + 3 * 6))

    def test_no_modules(self):
        finished = job("plain", PEAKSTEP_MODULES="none")
        self.assertEqual(finished.names(3), [])
        self.check_counts(finished, steps=4, forward=4)

    def test_accumulation(self):
        finished = job("accumulate")
        self.check_counts(finished, steps=3, forward=6, backward=6, optimizer=3)
        self.assertEqual(finished.counted()["micro-batch#0"], 3)
        self.assertEqual(finished.counted()["micro-batch#1"], 3)
        self.check_nesting(finished)

    def test_loss_module_and_transform(self):
        """The loss is forward, the transform of the batch before it is not."""
        finished = job("criterion")
        self.check_counts(finished, steps=3, forward=6, backward=3)
        self.check_nesting(finished)

    def test_checkpointing_repeats_blocks_inside_backward(self):
        for kind in ("checkpointing", "reentrant"):
            with self.subTest(kind):
                finished = job(kind)
                self.check_counts(finished, steps=3, forward=3, backward=3)
                blocks = [r for r in finished.ranges(3) if "layers" in r.name]
                self.assertEqual(len(blocks), 3 * 3 * 2)
                backwards = [r for r in finished.ranges() if r.name == "backward"]
                inside = [b for b in blocks
                          if any(r.start <= b.start and b.end <= r.end for r in backwards)]
                self.assertEqual(len(inside), 9)
                self.check_nesting(finished)

    def test_evaluation(self):
        finished = job("evaluate")
        self.check_counts(finished, steps=3, forward=3, evaluation=3)

    def test_two_optimizers(self):
        self.check_counts(job("two_optimizers"), steps=4, optimizer=8)

    def test_adversarial(self):
        self.check_counts(job("adversarial"), steps=6, optimizer=10)

    def test_inference(self):
        finished = job("inference")
        self.check_counts(finished, steps=0, evaluation=5)
        self.assertEqual(finished.names(3), BLOCKS * 5)

    def test_scaler_that_leaves_a_step_out(self):
        self.check_counts(job("scaler"), steps=4, optimizer=3)

    def test_closure(self):
        self.check_counts(job("closure"), steps=3, optimizer=3)

    def test_functional(self):
        self.check_counts(job("functional"), steps=3, forward=0, backward=3)

    def test_wrapper_does_not_change_names(self):
        finished = job("data_parallel_wrapper")
        self.assertEqual(finished.names(3), BLOCKS * 3)
        self.check_counts(finished, steps=3, forward=3)

    def test_forward_that_raises(self):
        finished = job("forward_raises")
        self.check_counts(finished, steps=4, backward=4)

    def test_window(self):
        finished = job("plain", FAKE_WINDOW="1:3")
        self.check_counts(finished, steps=4)


@needs("torch")
class Ends(unittest.TestCase):
    def test_job_that_raises(self):
        finished = run("loops.py", "raises")
        self.assertEqual(finished.status, 1)
        self.assertIn("the job's own error", finished.errors)
        self.assertNotIn("peakstep:", finished.errors)
        self.assertEqual(finished.facts()["steps"], "3")

    def test_job_that_leaves_at_once(self):
        finished = run("loops.py", "leaves")
        self.assertEqual(finished.status, 3)
        self.assertEqual(finished.facts()["steps"], "4")

    def test_forked_workers_are_silent(self):
        finished = job("forks")
        self.assertEqual(len(finished.calls), 1)
        self.assertEqual(finished.facts()["steps"], "4")


@needs("torch")
class Unchanged(unittest.TestCase):
    """What the job could notice of us."""

    def test_modules_can_be_copied_and_pickled(self):
        self.assertIn("same True free of us True", job("copies").out)

    def test_compiling_hooked_modules(self):
        finished = job("compiled")
        self.assertIn("graph breaks 0", finished.out)

    def test_compiled_from_the_start(self):
        finished = job("fresh_compiled")
        self.assertEqual(finished.counted()["forward"], 3)
        self.assertEqual(finished.names(3), [])


@needs("torch", "transformers", "accelerate")
class Trainer(unittest.TestCase):
    def check(self, finished, layer):
        self.assertEqual(finished.status, 0, finished.errors[-3000:])
        self.assertNotIn("peakstep:", finished.errors)
        counted = finished.counted()
        self.assertEqual([counted[name] for name in (
            "ProfilerStep#0", "ProfilerStep#2", "ProfilerStep#3", "optimizer", "forward",
            "backward", "evaluation", "micro-batch#1")], [1, 1, 0, 3, 6, 6, 2, 3])
        self.assertIn(layer + "1 (LlamaDecoderLayer)", finished.names(3))
        self.assertIn("transformers-version", finished.facts())

    def test_trainer(self):
        self.check(run("trainer.py"), "model.layers.")

    def test_trainer_with_checkpointing(self):
        self.check(run("trainer.py", "checkpoint"), "model.layers.")

    @needs("peft")
    def test_lora(self):
        self.check(run("trainer.py", "lora"), "base_model.model.model.layers.")


if __name__ == "__main__":
    unittest.main()
