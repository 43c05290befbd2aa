/* SPDX-License-Identifier: MIT
 *
 * What launches cost the host that runs a backward pass.
 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "policy/gradient_parts.h"

static int by_value(const void *a, const void *b)
{
    const ps_ns x = *(const ps_ns *)a, y = *(const ps_ns *)b;
    return (x > y) - (x < y);
}

/* The value that `part` of 4 lie below. */
static ps_ns quartile(ps_ns *values, size_t count, size_t part)
{
    if (count == 0) {
        return 0;
    }
    qsort(values, count, sizeof *values, by_value);
    return values[count * part / 4];
}

/* Operators of one small kernel, as the copies between gradients and buckets are. */
static bool is_elementwise(const char *name)
{
    static const char *const names[] = {"aten::add_", "aten::mul_", "aten::mul", "aten::copy_"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Lengths of such operators, at most `room`. */
static size_t list_elementwise(const ps_gradient_search *self, ps_ns *values, size_t room)
{
    const ps_range_table *range = &self->trace->range;
    size_t count = 0;
    for (size_t i = 0; i < range->head.count && count < room; i++) {
        if (range->category[i] == PS_RANGE_OPERATOR &&
            is_elementwise(ps_strings_text(self->trace->strings, range->name[i]))) {
            values[count++] = range->dur_ns[i];
        }
    }
    return count;
}

/* Launches of one lane from the first gradient to the last, a launch being a host task that device
 * work waits for. */
static size_t list_launches(const ps_gradient_search *self, uint32_t lane, uint32_t *rows)
{
    const ps_plan *plan = self->plan;
    const uint32_t first = self->out->gradient[0].ready_after;
    const uint32_t last = self->out->gradient[self->out->count - 1].ready_after;
    size_t count = 0;
    for (size_t i = 0; i < plan->dep.head.count; i++) {
        const uint32_t host = plan->dep.before[i];
        if (plan->dep.kind[i] == PS_DEP_START_AFTER_START && plan->task.lane[host] == lane &&
            host >= first && host <= last && (count == 0 || rows[count - 1] < host)) {
            rows[count++] = host;
        }
    }
    return count;
}

/* A call that launches, and what a small operator takes beside it: where operators are recorded
 * their length tells, else the shorter ones of the times between launches. */
static void measure(ps_gradient_search *self, uint32_t *rows, ps_ns *values, size_t room)
{
    const uint32_t lane = self->plan->task.lane[self->out->gradient[0].ready_after];
    const size_t count = list_launches(self, lane, rows);
    for (size_t i = 0; i < count; i++) {
        values[i] = self->times.end_ns[rows[i]] - self->times.start_ns[rows[i]];
    }
    self->out->launch_ns = quartile(values, count, 2);
    for (size_t i = 1; i < count; i++) {
        values[i - 1] = self->times.start_ns[rows[i]] - self->times.end_ns[rows[i - 1]];
    }
    self->out->between_launches_ns = quartile(values, count > 0 ? count - 1 : 0, 1);
    const size_t operators = list_elementwise(self, values, room);
    const ps_ns length = quartile(values, operators, 2);
    if (length > self->out->launch_ns) {
        self->out->between_launches_ns = length - self->out->launch_ns;
    }
}

ps_code ps__gradient_launches(ps_gradient_search *self, ps_error *err)
{
    const size_t room = self->plan->task.head.count + 1;
    uint32_t *rows = ps_calloc(room, sizeof *rows);
    ps_ns *values = ps_calloc(room, sizeof *values);
    const bool has_room = rows != NULL && values != NULL;
    if (has_room) {
        measure(self, rows, values, room);
    }
    ps_free(rows);
    ps_free(values);
    return has_room ? PS_OK : ps_fail_nomem(err);
}
