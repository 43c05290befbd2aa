# SPDX-License-Identifier: MIT
"""First file of `peakstep record` inside a Python job.

Python imports the first `sitecustomize` of its path at start-up. Ours shadows
one the job may have, so after starting the hook it runs the next one on the
path exactly as if ours were not there. Without PEAKSTEP_RECORD_DIR it does
nothing else.
"""
import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))


def _start_hook():
    if not os.environ.get("PEAKSTEP_RECORD_DIR"):
        return
    try:
        import peakstep_hook
        peakstep_hook.start()
    except Exception as problem:  # the job comes first, whatever went wrong with us
        sys.stderr.write("peakstep: not recording PyTorch: %s\n" % (problem,))


def _run_shadowed():
    """Its exceptions are the job's own: Python's `site` reports them as ever."""
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec
    rest = [entry for entry in sys.path if os.path.abspath(entry or ".") != _HERE]
    spec = PathFinder.find_spec("sitecustomize", rest)
    if spec is None or spec.loader is None:
        return
    module = module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


_start_hook()
_run_shadowed()
