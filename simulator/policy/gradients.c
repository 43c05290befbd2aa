/* SPDX-License-Identifier: MIT
 *
 * Finding the gradients of a recorded backward pass.
 */
#include "policy/gradients.h"

#include "base/memory.h"
#include "policy/gradient_parts.h"

/* ---- passes ---- */

/* A forward pass, or another step, begins between two gradients. */
static bool is_parted(const ps_gradient_search *self, ps_ns earlier, ps_ns later)
{
    const ps_structure *of = self->structure;
    if (ps_structure_step_at(of, earlier) != ps_structure_step_at(of, later)) {
        return true;
    }
    size_t low = 0, high = of->phase_count; /* first phase that begins after the earlier one */
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (of->phase[mid].start_ns <= earlier) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    for (; low < of->phase_count && of->phase[low].start_ns <= later; low++) {
        if (of->phase[low].phase == PS_PHASE_FORWARD) {
            return true;
        }
    }
    return false;
}

static ps_code add_pass(ps_gradient_search *self, size_t first, size_t end, ps_error *err)
{
    ps_gradients *out = self->out;
    const uint32_t step = ps_structure_step_at(self->structure, self->event[first].ready_ns);
    if (out->backward_count > 0 && step != PS_STRUCTURE_NONE) {
        ps_backward *last = &out->backward[out->backward_count - 1];
        if (ps_structure_step_at(self->structure, self->event[last->first].ready_ns) == step) {
            if (last->count == end - first) {
                last->first = first; /* micro-batches of a step: the last one's are exchanged */
            } else {
                last->count = end - last->first; /* one pass that only looked like several */
            }
            return PS_OK;
        }
    }
    PS_TRY(ps_grow((void **)&out->backward, &out->backward_capacity, out->backward_count + 1,
                   PS_TABLE_MAX_ROWS, sizeof *out->backward, err));
    out->backward[out->backward_count++] = (ps_backward){first, end - first};
    return PS_OK;
}

static ps_code find_passes(ps_gradient_search *self, ps_error *err)
{
    size_t first = 0;
    for (size_t i = 1; i <= self->count; i++) {
        if (i == self->count ||
            is_parted(self, self->event[i - 1].ready_ns, self->event[i].ready_ns)) {
            PS_TRY(add_pass(self, first, i, err));
            first = i;
        }
    }
    return PS_OK;
}

/* ---- places in the plan ---- */

/* Host tasks of one thread, ascending. */
static ps_code list_lane(const ps_gradient_search *self, uint32_t lane, uint32_t **rows,
                         size_t *count, ps_error *err)
{
    const ps_plan *plan = self->plan;
    *count = 0;
    *rows = ps_calloc(plan->task.head.count, sizeof **rows);
    if (*rows == NULL) {
        return ps_fail_nomem(err);
    }
    for (uint32_t i = 0; i < plan->task.head.count; i++) {
        if (plan->task.lane[i] == lane) {
            (*rows)[(*count)++] = i;
        }
    }
    return PS_OK;
}

static ps_code place_events(ps_gradient_search *self, ps_error *err)
{
    ps_gradients *out = self->out;
    uint32_t *rows = NULL;
    size_t row_count = 0;
    uint64_t tid = 0;
    PS_TRY(ps_grow((void **)&out->gradient, &out->capacity, self->count, PS_TABLE_MAX_ROWS,
                   sizeof *out->gradient, err));
    for (size_t i = 0; i < self->count; i++) {
        const ps_gradient_event *from = &self->event[i];
        if (rows == NULL || from->tid != tid) {
            ps_free(rows);
            tid = from->tid;
            PS_TRY(list_lane(self, ps__find_host_lane(self->plan, tid), &rows, &row_count, err));
        }
        out->gradient[i] = (ps_gradient){
            .ready_after = ps__last_begun(&self->times, rows, row_count, from->ready_ns),
            .copied_back = from->copied_back,
            .buffer = from->buffer,
            .bytes = from->bytes,
            .element_bytes = from->element_bytes,
        };
        if (out->gradient[i].ready_after == UINT32_MAX) {
            ps_free(rows);
            return ps_fail(err, PS_BAD_INPUT,
                           "the thread that runs the backward pass launches nothing");
        }
        out->gradient[i].ready_offset_ns =
            from->ready_ns - self->times.start_ns[out->gradient[i].ready_after];
    }
    out->count = self->count;
    ps_free(rows);
    return PS_OK;
}

static ps_code find(ps_gradient_search *self, ps_error *err)
{
    PS_TRY(ps__recorded_times(self->plan, &self->times, err));
    PS_TRY(ps__gradient_events(self, err));
    PS_TRY(find_passes(self, err));
    PS_TRY(place_events(self, err));
    return ps__gradient_launches(self, err);
}

ps_code ps_gradients_find(const ps_trace *trace, const ps_structure *structure, const ps_plan *plan,
                          ps_gradients *out, ps_error *err)
{
    ps_gradients found = {0};
    ps_gradient_search self = {.trace = trace, .structure = structure, .plan = plan, .out = &found};
    const ps_code code = find(&self, err);
    ps__recorded_times_fini(&self.times);
    ps_free(self.event);
    ps_free(self.copy);
    ps_free(self.copy_launch);
    if (code != PS_OK) {
        ps_gradients_fini(&found);
        return code;
    }
    *out = found;
    return PS_OK;
}

void ps_gradients_fini(ps_gradients *self)
{
    ps_free(self->gradient);
    ps_free(self->backward);
    *self = (ps_gradients){0};
}
