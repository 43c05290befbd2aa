/* SPDX-License-Identifier: MIT
 *
 * The progress bar: one line, drawn over itself.
 */
#include "cli/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define BAR_COLUMNS 30
#define REDRAW_NS 100000000
#define WIPE_LINE "\r\x1b[K"

static ps_ns now_ns(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) {
        return 0;
    }
    return (ps_ns)now.tv_sec * 1000000000 + now.tv_nsec;
}

void ps_progress_begin(ps_progress *self, const ps_args *args, const char *label, uint64_t total)
{
    *self = (ps_progress){.label = label, .total = total, .last_ns = now_ns()};
    self->is_shown = total > 0 && isatty(STDERR_FILENO) != 0 && !ps_args_has(args, "quiet");
}

void ps_progress_update(ps_progress *self, uint64_t done)
{
    if (!self->is_shown) {
        return;
    }
    const ps_ns now = now_ns();
    if (now - self->last_ns < REDRAW_NS) {
        return; /* short work shows no bar */
    }
    self->last_ns = now;
    const uint64_t known = done < self->total ? done : self->total;
    const int filled = (int)((double)known / (double)self->total * BAR_COLUMNS);
    (void)fprintf(stderr, WIPE_LINE "%s [", self->label);
    for (int i = 0; i < BAR_COLUMNS; i++) {
        (void)fputc(i < filled ? '#' : '.', stderr);
    }
    (void)fprintf(stderr, "] %" PRIu64 "/%" PRIu64, known, self->total);
}

void ps_progress_end(ps_progress *self)
{
    if (self->is_shown) {
        (void)fputs(WIPE_LINE, stderr);
        self->is_shown = false;
    }
}
