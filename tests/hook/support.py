# SPDX-License-Identifier: MIT
"""Runs a job of jobs/ under the hook and reads back what the tracer was told."""
import collections
import glob
import gzip
import importlib.util
import os
import pickle
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
HOOK = os.path.join(os.path.dirname(os.path.dirname(HERE)), "tracer", "hook")
TRACER = os.environ.get("PEAKSTEP_TEST_TRACER", "")
STANDIN = os.environ.get("PEAKSTEP_TEST_STANDIN", "")

if HOOK not in sys.path:
    sys.path.append(HOOK)       # for the tests of single modules

Range = collections.namedtuple("Range", "name category start end")


def has(module):
    return importlib.util.find_spec(module) is not None


def needs(*modules):
    missing = [name for name in modules if not has(name)]
    return unittest.skipIf(missing, "this python has no %s" % ", ".join(missing))


needs_standin = unittest.skipIf(not STANDIN or not has("torch"), "no stand-in for CUDA")


class Run:
    """One finished job: status, streams, and the calls of every process by pid."""

    def __init__(self, folder, process):
        self.folder = folder
        self.status = process.returncode
        self.out = process.stdout
        self.errors = process.stderr
        self.calls = {}
        for path in sorted(glob.glob(os.path.join(folder, "*.calls"))):
            with open(path, encoding="utf-8") as file:
                lines = [line.rstrip("\n").split("\t") for line in file]
            self.calls[int(os.path.basename(path).split(".")[0])] = lines

    def only(self):
        """The calls of the one process that recorded."""
        if len(self.calls) != 1:
            raise AssertionError("%d recording processes\n%s" % (len(self.calls), self.errors))
        return next(iter(self.calls.values()))

    def ranges(self, category=None):
        found = [Range(c[1], int(c[2]), int(c[3]), int(c[4]))
                 for c in self.only() if c[0] == "range"]
        return [r for r in found if category in (None, r.category)]

    def names(self, category=None):
        return [r.name for r in self.ranges(category)]

    def counted(self, category=2):
        return collections.Counter(self.names(category))

    def facts(self):
        return {c[1]: c[2] for c in self.only() if c[0] == "fact"}

    def losses(self):
        return [(c[1], int(c[2])) for c in self.only() if c[0] == "loss"]

    def parts(self):
        """The history's parts in order."""
        found = []
        for path in sorted(glob.glob(os.path.join(self.folder, "*.history.*.pickle"))):
            with gzip.open(path) as file:
                found.append(pickle.load(file))
        return found


def run(job, *arguments, **settings):
    """settings: environment variables; record=False leaves the hook without a folder,
    standin=True lets torch find the device that stands in for a real one."""
    folder = tempfile.mkdtemp(dir=os.getcwd())
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(
        [HOOK] + settings.pop("path", []) + [os.path.join(HERE, "jobs")]))
    environment.update(TOKENIZERS_PARALLELISM="false", PYTHONWARNINGS="ignore",
                       HF_HUB_OFFLINE="1", TMPDIR=folder)
    if settings.pop("record", True):
        environment.update(PEAKSTEP_RECORD_DIR=folder, PEAKSTEP_TRACER_LIB=TRACER)
    if settings.pop("standin", False):
        environment["LD_PRELOAD"] = STANDIN
    else:
        environment.setdefault("PEAKSTEP_HISTORY", "0")
    environment.update({name: str(value) for name, value in settings.items()})
    process = subprocess.run(
        [sys.executable, os.path.join(HERE, "jobs", job)] + [str(a) for a in arguments],
        env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        universal_newlines=True, timeout=300)
    return Run(folder, process)
