/* SPDX-License-Identifier: MIT
 *
 * A list of who waits for what.
 */
#include "run/waits.h"

#include <stdlib.h>

#include "base/memory.h"

#define MAX_WAITS ((size_t)1 << 26)

void ps__run_waits_fini(ps_run_waits *self)
{
    ps_free(self->row);
    *self = (ps_run_waits){0};
}

ps_code ps__run_waits_add(ps_run_waits *self, const ps_plan *plan, uint32_t task, uint32_t before,
                          ps_error *err)
{
    for (size_t i = self->count; i > 0 && self->row[i - 1].task == task; i--) {
        uint32_t *known = &self->row[i - 1].before;
        if (plan->task.lane[*known] == plan->task.lane[before]) {
            *known = before > *known ? before : *known; /* rows of a lane ascend */
            return PS_OK;
        }
    }
    PS_TRY(ps_grow((void **)&self->row, &self->capacity, self->count + 1, MAX_WAITS,
                   sizeof *self->row, err));
    self->row[self->count++] = (ps_run_wait){.task = task, .before = before};
    return PS_OK;
}

static int by_task(const void *a, const void *b)
{
    const ps_run_wait *x = a, *y = b;
    const int order = (x->task > y->task) - (x->task < y->task);
    return order != 0 ? order : (x->before > y->before) - (x->before < y->before);
}

void ps__run_waits_sort(ps_run_waits *self)
{
    if (self->count > 1) {
        qsort(self->row, self->count, sizeof *self->row, by_task);
    }
}

bool ps__run_waits_equal(const ps_run_waits *a, const ps_run_waits *b)
{
    if (a->count != b->count) {
        return false;
    }
    for (size_t i = 0; i < a->count; i++) {
        if (by_task(&a->row[i], &b->row[i]) != 0) {
            return false;
        }
    }
    return true;
}

size_t ps__run_waits_of(const ps_run_waits *self, uint32_t task)
{
    size_t from = 0, to = self->count;
    while (from < to) {
        const size_t middle = from + (to - from) / 2;
        if (self->row[middle].task < task) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from;
}

bool ps__run_waits_has(const ps_run_waits *self, uint32_t task)
{
    const size_t at = ps__run_waits_of(self, task);
    return at < self->count && self->row[at].task == task;
}
