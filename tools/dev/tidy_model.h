/* SPDX-License-Identifier: MIT
 *
 * What the analyser cannot see across files: a failing call never returns
 * PS_OK. tidy.sh includes this ahead of every file but the one that
 * defines these functions; the compilers never do.
 */
#ifndef PS_DEV_TIDY_MODEL_H
#define PS_DEV_TIDY_MODEL_H

#include "base/status.h"

static inline ps_code ps_tidy_failed(ps_code code)
{
    return code == PS_OK ? PS_INTERNAL : code;
}

#define ps_fail(err, code, ...) (ps_fail((err), (code), __VA_ARGS__), ps_tidy_failed(code))
#define ps_fail_at(err, code, offset, ...) \
    (ps_fail_at((err), (code), (offset), __VA_ARGS__), ps_tidy_failed(code))
#define ps_fail_errno(err, number, ...) (ps_fail_errno((err), (number), __VA_ARGS__), PS_IO)
#define ps_fail_nomem(err) (ps_fail_nomem(err), PS_NOMEM)

#endif
