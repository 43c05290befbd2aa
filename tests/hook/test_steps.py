# SPDX-License-Identifier: MIT
"""The rules of steps and micro-batches, with a clock that counts events."""
import unittest

import support
from peakstep_hook.steps import Steps


class Ledger:
    def __init__(self):
        self.steps = []
        self.ranges = []

    def step(self, index):
        self.steps.append(index)

    def range(self, name, category, start, end):
        self.ranges.append((name.decode(), start, end))


class Loop:
    """Spells a loop: f = forward, b = backward, e = evaluation, others = optimizers."""

    def __init__(self, pause=None):
        self.ledger = Ledger()
        self.boundaries = 0
        self.steps = Steps(self.ledger, self._boundary, lambda: None)
        self.pause = pause
        self.now = 0

    def _boundary(self, is_late):
        self.boundaries += 1
        if self.pause and not is_late:
            self.now += self.pause
            return self.now
        return None

    def play(self, events):
        for event in events:
            self.now += 1
            if event == "e":
                self.steps.other_work_begins()
            elif event == "f":
                self.steps.work_begins(self.now)
            elif event == "b":
                self.steps.backward_begins(self.now)
                self.steps.backward_ends(self.now)
            else:
                self.steps.optimizer_begins(self.now)
                self.steps.optimizer_ends(event, self.now)
        return self

    def finish(self):
        self.steps.finish()
        return self.ledger.ranges

    def step_ranges(self):
        return [r for r in self.finish() if r[0].startswith("ProfilerStep")]


class Rules(unittest.TestCase):
    def test_steps_join_where_the_optimizer_ended(self):
        self.assertEqual(Loop().play("fboffbofbo").step_ranges(), [
            ("ProfilerStep#0", 1, 3), ("ProfilerStep#1", 3, 7), ("ProfilerStep#2", 7, 10)])

    def test_a_pause_between_steps_belongs_to_none(self):
        loop = Loop(pause=5).play("fbofbofbo")
        self.assertEqual(loop.step_ranges(), [
            ("ProfilerStep#0", 1, 3), ("ProfilerStep#1", 3, 6), ("ProfilerStep#2", 11, 14)])

    def test_step_is_announced_before_its_forward(self):
        loop = Loop().play("fbof")
        self.assertEqual(loop.ledger.steps, [0, 1])

    def test_two_optimizers_at_the_end_are_one_step(self):
        loop = Loop().play("fbxy" * 4)
        self.assertEqual(len(loop.step_ranges()), 4)
        self.assertEqual(loop.ledger.steps, [0, 1, 2, 3, 4])

    def test_alternating_networks_are_one_step_once_learned(self):
        loop = Loop().play("fbxfby" * 5)
        self.assertEqual(loop.step_ranges()[2:], [
            ("ProfilerStep#%d" % (i + 1), i * 6, i * 6 + 6) for i in range(1, 5)])

    def test_an_optimizer_that_disappears_loses_its_role(self):
        loop = Loop().play("fbxfby" * 2 + "fbx" * 30)
        self.assertGreater(len(loop.step_ranges()), 10)

    def test_micro_batches_only_where_gradients_accumulate(self):
        ranges = Loop().play("fbfbofbo").finish()
        self.assertEqual([r for r in ranges if r[0].startswith("micro")],
                         [("micro-batch#0", 1, 2), ("micro-batch#1", 3, 4)])

    def test_two_losses_of_one_forward_are_one_micro_batch(self):
        self.assertNotIn("micro-batch#0", [r[0] for r in Loop().play("fbbofbbo").finish()])

    def test_two_forwards_of_one_backward_are_one_micro_batch(self):
        self.assertNotIn("micro-batch#0", [r[0] for r in Loop().play("ffboffbo").finish()])

    def test_an_open_step_ends_with_its_last_event(self):
        self.assertEqual(Loop().play("fbofbofbf").step_ranges()[-1], ("ProfilerStep#2", 6, 8))

    def test_nothing_after_the_last_optimizer_is_no_step(self):
        self.assertEqual(len(Loop().play("fbofbo").step_ranges()), 2)

    def test_without_modules_backward_begins_the_step(self):
        self.assertEqual(Loop().play("bobo").step_ranges(), [
            ("ProfilerStep#0", 1, 2), ("ProfilerStep#1", 2, 4)])

    def test_only_an_optimizer(self):
        self.assertEqual(len(Loop().play("oo").step_ranges()), 1)

    def test_forwards_without_gradients_before_each_optimizer(self):
        self.assertEqual(len(Loop().play("eeo" * 4).step_ranges()), 4)

    def test_evaluation_belongs_to_the_step_after_it(self):
        self.assertEqual(Loop().play("fboeefbofbo").step_ranges()[1], ("ProfilerStep#1", 3, 8))

    def test_an_optimizer_that_steps_in_several_goes(self):
        steps = Loop().play("fbooo" * 5).step_ranges()
        self.assertEqual(steps[3:], [("ProfilerStep#%d" % i, i * 5, i * 5 + 5)
                                     for i in range(3, 5)])
        self.assertEqual(len(steps), 5)

    def test_nothing_at_all(self):
        self.assertEqual(Loop().finish(), [])


if __name__ == "__main__":
    assert support
    unittest.main()
