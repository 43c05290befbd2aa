/* SPDX-License-Identifier: MIT
 *
 * Where the command writes: data to standard output, talk to standard error.
 *
 * A failed write (a full disk, a closed pipe) is remembered and ends in one
 * sentence and exit status 4; callers need not look after every line, only
 * loops that could run long should ask ps_output_failed.
 */
#ifndef PS_TOOLS_CLI_OUTPUT_H
#define PS_TOOLS_CLI_OUTPUT_H

#include <stdio.h>

#include "base/status.h"

typedef struct ps_output {
    FILE *file;      /* borrowed */
    int first_errno; /* of the first write that failed, 0 none */
    int exit_status; /* of a program whose fate a verb passes on; 0 unless a verb sets it */
    int end_signal;  /* that ended such a program; 0 none */
} ps_output;

/** Starts on an open stream, borrowed until ps_output_finish. */
void ps_output_init(ps_output *self, FILE *file);

/** Writes bytes; nothing once a write has failed. */
void ps_output_write(ps_output *self, const char *text, size_t bytes);

/** Formatted ps_output_write. */
void ps_output_print(ps_output *self, const char *fmt, ...) PS_PRINTF(2, 3);

/** Writes a text that comes from a file; control characters become '?', so that it cannot drive a terminal. */
void ps_output_quote(ps_output *self, const char *text);

/** True once a write has failed: whatever follows is lost. */
bool ps_output_failed(const ps_output *self);

/** ps_text_fn over a ps_output, for writers of the library. */
ps_code ps_output_text(void *output, const char *text, size_t bytes, ps_error *err) PS_MUST_USE;

/** Flushes. PS_IO when any write failed. */
ps_code ps_output_finish(ps_output *self, ps_error *err) PS_MUST_USE;

/** Prints "peakstep: ..." on standard error. Control characters of quoted input become '?'. */
void ps_talk(const char *fmt, ...) PS_PRINTF(1, 2);

#endif
