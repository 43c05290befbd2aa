# SPDX-License-Identifier: MIT
"""How the hook comes into a job, and how it stays out of one."""
import os
import tempfile
import unittest

from support import needs, run


def folder_with_sitecustomize(text):
    folder = tempfile.mkdtemp(dir=os.getcwd())
    with open(os.path.join(folder, "sitecustomize.py"), "w", encoding="utf-8") as file:
        file.write(text)
    return folder


class Start(unittest.TestCase):
    def test_job_without_torch_sees_nothing(self):
        job = run("plain_python.py")
        self.assertEqual((job.status, job.errors, job.calls), (0, "", {}))
        self.assertTrue(job.out.startswith("False "))

    def test_without_folder_only_the_shadowed_file_runs(self):
        own = folder_with_sitecustomize("import sys\nMARK = 'own'\nsys.shadowed_ran = 1\n")
        for record in (True, False):
            job = run("plain_python.py", record=record, path=[own])
            self.assertEqual((job.status, job.errors), (0, ""))
            self.assertEqual(job.out, "False 1\nown\n")

    def test_error_in_the_shadowed_file_is_reported_as_ever(self):
        own = folder_with_sitecustomize("raise RuntimeError('mine')\n")
        job = run("plain_python.py", path=[own])
        self.assertEqual(job.status, 0)
        self.assertIn("mine", job.errors)
        self.assertNotIn("peakstep:", job.errors)

    @needs("torch")
    def test_a_missing_library_is_one_line(self):
        job = run("loops.py", "plain", PEAKSTEP_TRACER_LIB="/nowhere/tracer.so")
        self.assertEqual((job.status, job.out), (0, "done\n"))
        self.assertEqual(job.errors.count("peakstep:"), 1)

    @needs("torch")
    def test_a_foreign_library_is_one_line(self):
        job = run("loops.py", "plain", PEAKSTEP_TRACER_LIB="libc.so.6")
        self.assertEqual((job.status, job.out), (0, "done\n"))
        self.assertEqual(job.errors.count("peakstep:"), 1)

    @needs("torch")
    def test_a_folder_that_vanished_is_survived(self):
        job = run("loops.py", "plain", PEAKSTEP_RECORD_DIR="/nowhere",
                  PEAKSTEP_TRACER_LIB="/nowhere/tracer.so", PEAKSTEP_HISTORY=1)
        self.assertEqual((job.status, job.out), (0, "done\n"))


if __name__ == "__main__":
    unittest.main()
