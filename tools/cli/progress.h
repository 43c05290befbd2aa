/* SPDX-License-Identifier: MIT
 *
 * A progress bar on standard error for work that takes long; nothing at all
 * unless that is a terminal.
 */
#ifndef PS_TOOLS_CLI_PROGRESS_H
#define PS_TOOLS_CLI_PROGRESS_H

#include "cli/options.h"

typedef struct ps_progress {
    const char *label; /* borrowed */
    uint64_t total;
    ps_ns last_ns; /* when it was drawn last */
    bool is_shown;
} ps_progress;

/** Starts in the caller's storage; --quiet turns it off. */
void ps_progress_begin(ps_progress *self, const ps_args *args, const char *label, uint64_t total);

/** Says how much is done; draws at most ten times a second. */
void ps_progress_update(ps_progress *self, uint64_t done);

/** Wipes the bar, so that what follows starts on a clean line. */
void ps_progress_end(ps_progress *self);

#endif
