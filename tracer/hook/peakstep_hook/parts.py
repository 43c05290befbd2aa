# SPDX-License-Identifier: MIT
"""Writes parts of the history: PARTS/<pid>.history.<sequence>.pickle.

A thread of its own pickles and compresses, so that the job pays only for what
it cannot do without it: taking the entries. The compressor releases the GIL,
and pickle hands over 64 KiB at a time, so the job gets its turn in between.
"""
import gzip
import os
import pickle
import queue
import threading

from .report import say

PROTOCOL = 4


class Parts:
    def __init__(self, folder, lost):
        """lost(count): entries of a part that could not be written."""
        self._folder = folder
        self._pid = os.getpid()
        self._lost = lost
        self._sequence = 0
        self._queue = queue.Queue()
        self._thread = threading.Thread(target=self._run, name="peakstep-parts", daemon=True)
        self._thread.start()

    def backlog(self):
        return self._queue.unfinished_tasks

    def put(self, part):
        """Takes the part; its place in the order is fixed now."""
        self._queue.put((self._sequence, part))
        self._sequence += 1

    def flush(self):
        """Returns when everything put so far is on disk."""
        if self._thread.is_alive():
            self._queue.join()

    def _run(self):
        while True:
            sequence, part = self._queue.get()
            try:
                self._write(sequence, part)
            except Exception as problem:
                say("a part of the memory history is lost: %s" % problem)
                self._lost(sum(len(trace) for trace in part["device_traces"]))
            finally:
                del part
                self._queue.task_done()

    def _write(self, sequence, part):
        path = os.path.join(self._folder, "%d.history.%06d.pickle" % (self._pid, sequence))
        try:
            with open(path + ".tmp", "wb") as file:
                with gzip.GzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0) as packed:
                    pickle.dump(part, packed, PROTOCOL)
            os.rename(path + ".tmp", path)
        except BaseException:
            try:
                os.unlink(path + ".tmp")
            except OSError:
                pass
            raise
