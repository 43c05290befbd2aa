#!/bin/sh
# SPDX-License-Identifier: MIT
# Tests of the Python hook.   run.sh PYTHON [STANDIN_LIBRARY]
# Exit 77: this python has no torch, so only the tests without it ran.
# With the library that stands in for CUDA, torch's real memory history is tested too.
set -eu
python=$(command -v "$1")
standin=${2:+$(realpath "$2")}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/peakstep-hook.XXXXXX")
trap 'rm -rf "$work"' EXIT

${CC:-cc} -std=c17 -D_POSIX_C_SOURCE=200809L -Wall -Wextra -O1 -fPIC -shared \
    -o "$work/fake_tracer.so" "$here/fake_tracer.c"

unset PEAKSTEP_RECORD_DIR
PEAKSTEP_TEST_TRACER=$work/fake_tracer.so
PEAKSTEP_TEST_STANDIN=$standin
PYTHONDONTWRITEBYTECODE=1
export PEAKSTEP_TEST_TRACER PEAKSTEP_TEST_STANDIN PYTHONDONTWRITEBYTECODE
case $python in
/*) ;;
*) python=$PWD/$python ;;
esac
cd "$work"
"$python" -m unittest discover -s "$here" -t "$here" -p 'test_*.py'
"$python" -c 'import torch' 2>/dev/null || exit 77
