/* SPDX-License-Identifier: MIT
 *
 * The page that `record` and the processes it observes share: a file in the
 * parts folder, mapped by all. It starts and stops the recording while the
 * job runs, and brings the first problem of any process back in words.
 */
#ifndef PS_TRACER_CONTROL_H
#define PS_TRACER_CONTROL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

/** Name of the file inside the parts folder. */
#define PS_CONTROL_FILE "control"

#define PS_CONTROL_MAGIC 0x7073637432303236u

/** [bytes] of the problem's sentence, terminated. */
#define PS_CONTROL_PROBLEM_BYTES 512

typedef struct ps_control {
    uint64_t magic;
    _Atomic uint32_t is_paused;   /* 1: record nothing for now */
    _Atomic uint32_t has_problem; /* 0 none, 1 being written, 2 written */
    _Atomic uint64_t lost;        /* records that no file could take any more, of all processes */
    char problem[PS_CONTROL_PROBLEM_BYTES];
} ps_control;

/** Creates the page in a folder, its disk space taken. PS_IO when that fails. */
ps_code ps_control_create(const char *folder, ps_control **out, ps_error *err) PS_MUST_USE;

/** Maps the page of a folder. PS_IO when there is none, PS_BAD_INPUT when it is something else. */
ps_code ps_control_open(const char *folder, ps_control **out, ps_error *err) PS_MUST_USE;

/** Unmaps; NULL is fine. */
void ps_control_close(ps_control *self);

/** Notes a sentence if it is the first; NULL self is fine. */
void ps_control_report(ps_control *self, const char *sentence);

/** The sentence, or NULL. */
const char *ps_control_problem(const ps_control *self);

#endif
