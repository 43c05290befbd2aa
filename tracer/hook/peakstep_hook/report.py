# SPDX-License-Identifier: MIT
"""Failures of ours never reach the job: one line on stderr each, then silence."""
import functools
import sys

_said = set()


def say(text):
    """One line; the same text only once."""
    if text in _said:
        return
    _said.add(text)
    try:
        sys.stderr.write("peakstep: %s\n" % text)
    except Exception:
        pass


def guarded(function):
    """Runs `function`; an exception of it becomes a line and None."""
    @functools.wraps(function)
    def call(*arguments, **options):
        try:
            return function(*arguments, **options)
        except Exception as problem:
            say("%s: %s: %s" % (function.__qualname__, type(problem).__name__, problem))
            return None
    return call
