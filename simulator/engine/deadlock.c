/* SPDX-License-Identifier: MIT
 *
 * An edge that has not happened waits for at least one other that has not, so
 * following such edges from any one of them enters a circle. The walk always
 * takes the first: the lane's previous task, then dependencies in row order.
 */
#include "engine/deadlock.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"

#define NONE UINT32_MAX

/* Members of a circle spelt out at most; the rest is counted. */
#define MAX_SPELT 6u

/* An edge is its task * 2, plus 1 for the end. */
typedef struct walk {
    const ps_engine_input *input;
    const ps_waits *waits;
    ps_engine_namer namer;
    const void *context;
    uint32_t *previous; /* per task: the lane's task before it, or NONE */
    uint32_t *step;     /* per edge: when the walk came by, from 1; 0 never */
} walk;

static bool has_happened(const walk *self, uint32_t edge)
{
    const ps_waits *waits = &self->waits[edge / 2];
    return (edge % 2 == 0 ? waits->for_start : waits->for_end) == 0;
}

static size_t first_dep_of(const ps_engine_input *in, uint32_t task)
{
    size_t low = 0;
    size_t high = in->dep_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (in->dep_task[middle] < task) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The first edge that this one waits for. */
static uint32_t blocker_of(const walk *self, uint32_t edge)
{
    const ps_engine_input *in = self->input;
    const uint32_t task = edge / 2;
    const bool is_end = edge % 2 == 1;
    if (is_end && !has_happened(self, task * 2)) {
        return task * 2;
    }
    if (!is_end && self->previous[task] != NONE &&
        !has_happened(self, self->previous[task] * 2 + 1)) {
        return self->previous[task] * 2 + 1;
    }
    for (size_t i = first_dep_of(in, task); i < in->dep_count && in->dep_task[i] == task; i++) {
        const ps_engine_dep_kind kind = (ps_engine_dep_kind)in->dep_kind[i];
        const bool holds_end = kind == PS_ENGINE_END_AFTER_END || kind == PS_ENGINE_END_AFTER_START;
        const bool awaits_end =
            kind == PS_ENGINE_START_AFTER_END || kind == PS_ENGINE_END_AFTER_END;
        const uint32_t awaited = in->dep_before[i] * 2 + (awaits_end ? 1 : 0);
        if (holds_end == is_end && !has_happened(self, awaited)) {
            return awaited;
        }
    }
    return NONE;
}

/* "the end of task 7 "gemm" (lane 2)" */
static void edge_text(const walk *self, uint32_t edge, char *out, size_t out_bytes)
{
    char name[64] = "";
    if (self->namer != NULL) {
        self->namer(self->context, edge / 2, name, sizeof name);
    }
    (void)snprintf(out, out_bytes, "the %s of task %u%s%.40s%s (lane %u)",
                   edge % 2 == 0 ? "start" : "end", (unsigned)(edge / 2),
                   name[0] != '\0' ? " \"" : "", name, name[0] != '\0' ? "\"" : "",
                   (unsigned)self->input->lane[edge / 2]);
}

static ps_code spell(const walk *self, uint32_t entry, uint32_t length, ps_error *err)
{
    char text[PS_ERROR_MESSAGE_BYTES] = "";
    size_t used = 0;
    uint32_t edge = entry;
    const uint32_t spelt = length < MAX_SPELT ? length : MAX_SPELT;
    for (uint32_t i = 0; i <= spelt && used < sizeof text; i++) {
        char one[128];
        edge_text(self, edge, one, sizeof one);
        const int n =
            snprintf(text + used, sizeof text - used, "%s%s", i == 0 ? "" : " waits for ", one);
        used += n > 0 ? (size_t)n : 0;
        edge = blocker_of(self, edge);
    }
    if (length > MAX_SPELT) {
        return ps_fail(err, PS_DEADLOCK, "%u edges wait in a circle: %.400s ...", (unsigned)length,
                       text);
    }
    return ps_fail(err, PS_DEADLOCK, "tasks wait in a circle: %.450s", text);
}

static ps_code follow(walk *self, uint32_t edge, ps_error *err)
{
    for (uint32_t step = 1; edge != NONE; step++) {
        if (self->step[edge] != 0) {
            return spell(self, edge, step - self->step[edge], err);
        }
        self->step[edge] = step;
        edge = blocker_of(self, edge);
    }
    return ps_fail(err, PS_INTERNAL, "the run stopped, but nothing waits in a circle");
}

static ps_code fill_previous(walk *self, ps_error *err)
{
    uint32_t *last = ps_calloc(self->input->lane_count, sizeof *last);
    if (last == NULL) {
        return ps_fail_nomem(err);
    }
    memset(last, 0xff, self->input->lane_count * sizeof *last);
    for (size_t i = 0; i < self->input->task_count; i++) {
        self->previous[i] = last[self->input->lane[i]];
        last[self->input->lane[i]] = (uint32_t)i;
    }
    ps_free(last);
    return PS_OK;
}

ps_code ps_deadlock_report(const ps_engine_input *input, const ps_waits *waits,
                           ps_engine_namer namer, const void *context, ps_error *err)
{
    walk self = {.input = input, .waits = waits, .namer = namer, .context = context};
    ps_code code = PS_OK;
    self.previous = ps_calloc(input->task_count, sizeof *self.previous);
    self.step = ps_calloc(input->task_count * 2, sizeof *self.step);
    if (self.previous == NULL || self.step == NULL) {
        code = ps_fail_nomem(err);
    } else {
        code = fill_previous(&self, err);
    }
    if (code == PS_OK) {
        uint32_t edge = 0;
        while (has_happened(&self, edge)) {
            edge++;
        }
        code = follow(&self, edge, err);
    }
    ps_free(self.previous);
    ps_free(self.step);
    return code;
}
