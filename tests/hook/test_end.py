# SPDX-License-Identifier: MIT
"""What is written once, at the end: collectives and facts, with a made-up torch."""
import json
import os
import sys
import tempfile
import types
import unittest
from unittest import mock

import support
from peakstep_hook import collectives, facts

ENTRY = {"profiling_name": "nccl:all_reduce", "input_sizes": [[4]], "process_group": ["0", "x"]}


def made_up_torch(**native):
    torch = types.SimpleNamespace(_C=types.SimpleNamespace(
        _distributed_c10d=types.SimpleNamespace(**native)))
    return mock.patch.dict(sys.modules, {"torch": torch, "torch.distributed": torch})


class Collectives(unittest.TestCase):
    def write(self, **native):
        folder = tempfile.mkdtemp(dir=os.getcwd())
        with made_up_torch(**native):
            collectives.write(folder, {"rank": 1, "world-size": 2})
        found = os.listdir(folder)
        if not found:
            return None
        self.assertEqual(found, ["%d.collectives.json" % os.getpid()])
        with open(os.path.join(folder, found[0]), encoding="utf-8") as file:
            return json.load(file)

    def test_json(self):
        content = self.write(_dump_nccl_trace_json=lambda all_of_them, active: json.dumps(
            {"version": "2.10", "entries": [ENTRY]}).encode())
        self.assertEqual(content["entries"], [ENTRY])
        self.assertEqual(content["peakstep"], {"rank": 1, "world-size": 2})

    def test_pickle_of_older_torch(self):
        import pickle
        old = pickle.dumps({"entries": [ENTRY]})
        self.assertEqual(self.write(_dump_nccl_trace=lambda: old)["entries"], [ENTRY])

    def test_nothing_to_write(self):
        self.assertIsNone(self.write())
        self.assertIsNone(self.write(_dump_nccl_trace_json=lambda a, b: b'{"entries": []}'))
        self.assertIsNone(self.write(_dump_nccl_trace_json=lambda a, b: b'{"version": "2.10"}'))

    def test_size_of_the_recorder(self):
        for version, names in (("2.4.0", [collectives._OLD_NAME]),
                               ("2.9.1+cu128", [collectives._OLD_NAME, collectives._NEW_NAME]),
                               ("2.11.0+cu130", [collectives._NEW_NAME])):
            with mock.patch.dict(os.environ, {}, clear=True):
                collectives.prepare(version)
                self.assertEqual(sorted(os.environ), sorted(names))

    def test_size_the_job_chose_stays(self):
        with mock.patch.dict(os.environ, {collectives._OLD_NAME: "5"}, clear=True):
            collectives.prepare("2.11.0")
            self.assertEqual(dict(os.environ), {collectives._OLD_NAME: "5"})


class Ranks(unittest.TestCase):
    def test_from_the_launcher(self):
        launcher = {"RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}
        with mock.patch.dict(os.environ, launcher, clear=True), \
                mock.patch.dict(sys.modules, {"torch.distributed": None}):
            self.assertEqual(facts.ranks(), {"rank": 3, "world-size": 8, "local-rank": 1})

    def test_none(self):
        with mock.patch.dict(os.environ, {}, clear=True), \
                mock.patch.dict(sys.modules, {"torch.distributed": None}):
            self.assertEqual(facts.ranks(), {})

    def test_every_key_once(self):
        given = []
        channel = types.SimpleNamespace(fact=lambda key, value: given.append((key, value)))
        made = facts.Facts(None, channel)
        made.give("rank", 1)
        made.give("rank", 2)
        self.assertEqual(given, [(b"rank", b"1")])


if __name__ == "__main__":
    assert support
    unittest.main()
