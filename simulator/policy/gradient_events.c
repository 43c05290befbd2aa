/* SPDX-License-Identifier: MIT
 *
 * What a trace tells of every gradient: when it is ready, and how large it is.
 */
#include <string.h>

#include "base/memory.h"
#include "policy/gradient_parts.h"
#include "policy/whatif_scale_parts.h"

#define ACCUMULATE "torch::autograd::AccumulateGrad"
#define COPY_IN "torch::distributed::reducer::mul_out"
#define COPY_BACK "torch.distributed.ddp.reducer::copy_bucket_to_grad"
#define NONE PS_GRADIENT_NONE

static ps_code add_event(ps_gradient_search *self, ps_gradient_event what, ps_error *err)
{
    PS_TRY(ps_grow((void **)&self->event, &self->capacity, self->count + 1, PS_TABLE_MAX_ROWS,
                   sizeof *self->event, err));
    self->event[self->count++] = what;
    return PS_OK;
}

/* ---- ranges ---- */

static const char *range_name(const ps_gradient_search *self, size_t range)
{
    return ps_strings_text(self->trace->strings, self->trace->range.name[range]);
}

static size_t count_ranges(const ps_gradient_search *self, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < self->trace->range.head.count; i++) {
        count += self->trace->range.category[i] == PS_RANGE_OPERATOR &&
                 strcmp(range_name(self, i), name) == 0;
    }
    return count;
}

/* The one tensor that AccumulateGrad is given is the gradient. */
static void read_size(const ps_gradient_search *self, size_t range, ps_gradient_event *out)
{
    ps_shapes shapes;
    ps__shapes_read(ps_strings_text(self->trace->strings, self->trace->range.shapes[range]),
                    &shapes);
    if (shapes.count > 0) {
        const uint64_t elements = ps__shape_elements(&shapes.tensor[0]);
        out->element_bytes = (uint32_t)shapes.tensor[0].element_bytes;
        out->bytes = ps_mul_div_u64(elements, out->element_bytes, 1);
    }
}

static ps_code find_accumulations(ps_gradient_search *self, ps_error *err)
{
    const ps_range_table *range = &self->trace->range;
    for (size_t i = 0; i < range->head.count; i++) {
        if (range->category[i] == PS_RANGE_OPERATOR &&
            strcmp(range_name(self, i), ACCUMULATE) == 0) {
            ps_gradient_event found = {.ready_ns = range->start_ns[i] + range->dur_ns[i],
                                       .tid = range->tid[i],
                                       .copied_back = NONE,
                                       .buffer = NONE};
            read_size(self, i, &found);
            PS_TRY(add_event(self, found, err));
        }
    }
    return PS_OK;
}

/* ---- copies of a recorded DistributedDataParallel ---- */

/* Copies within the device by their launches. Rows of host tasks ascend with their begin. */
static ps_code list_copies(ps_gradient_search *self, ps_error *err)
{
    const ps_plan *plan = self->plan;
    self->copy = ps_calloc(plan->dep.head.count + 1, sizeof *self->copy);
    self->copy_launch = ps_calloc(plan->dep.head.count + 1, sizeof *self->copy_launch);
    if (self->copy == NULL || self->copy_launch == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < plan->dep.head.count; i++) {
        const uint32_t task = plan->dep.task[i], before = plan->dep.before[i];
        if (plan->dep.kind[i] == PS_DEP_START_AFTER_START &&
            plan->task.kind[task] == PS_TASK_MEMCPY && plan->task.copy_kind[task] == PS_COPY_DTOD &&
            plan->lane.kind[plan->task.lane[before]] == PS_LANE_HOST) {
            self->copy[self->copy_count] = task;
            self->copy_launch[self->copy_count++] = before;
        }
    }
    return PS_OK;
}

/* The copy launched within a range, or NONE. Ranges come in order of their begin. */
static uint32_t copy_in_range(ps_gradient_search *self, size_t range)
{
    const ps_ns begin = self->trace->range.start_ns[range];
    const ps_ns end = begin + self->trace->range.dur_ns[range];
    for (; self->next_copy < self->copy_count; self->next_copy++) {
        const ps_ns at = self->times.start_ns[self->copy_launch[self->next_copy]];
        if (at > end) {
            return NONE;
        }
        if (at >= begin) {
            return self->copy[self->next_copy++];
        }
    }
    return NONE;
}

/* A gradient is ready for its bucket's exchange when it has been copied there. */
static void see_copy_in(ps_gradient_search *self, size_t range)
{
    const ps_range_table *table = &self->trace->range;
    if (self->copies_in < self->count) {
        self->event[self->copies_in++].ready_ns = table->start_ns[range] + table->dur_ns[range];
    }
}

static ps_code find_bucket_copies(ps_gradient_search *self, ps_error *err)
{
    const size_t in = count_ranges(self, COPY_IN), back = count_ranges(self, COPY_BACK);
    size_t seen_back = 0;
    if (in != self->count || in == 0) {
        return PS_OK;
    }
    self->out->has_buckets = true;
    PS_TRY(list_copies(self, err));
    for (size_t i = 0; i < self->trace->range.head.count; i++) {
        if (self->trace->range.category[i] != PS_RANGE_OPERATOR) {
            continue;
        }
        if (strcmp(range_name(self, i), COPY_IN) == 0) {
            see_copy_in(self, i);
        } else if (back == in && strcmp(range_name(self, i), COPY_BACK) == 0) {
            ps_gradient_event *of = &self->event[seen_back++];
            of->copied_back = copy_in_range(self, i);
            if (of->copied_back != NONE && of->bytes == 0) {
                of->bytes = self->plan->task.bytes[of->copied_back];
            }
        }
    }
    return PS_OK;
}

/* ---- buffers ---- */

static bool is_gradient_of_backward(const ps_gradient_search *self, size_t buffer)
{
    const ps_structure_buffer *of = &self->structure->buffer[buffer];
    return of->role == PS_ROLE_GRADIENT && of->birth == PS_PHASE_BACKWARD &&
           of->birth_row != PS_STRUCTURE_NONE &&
           self->trace->memory.action[of->birth_row] == PS_ACTION_ALLOC;
}

/* Without ranges: births of gradients. With them, and as many births: their buffers and sizes. */
static ps_code find_births(ps_gradient_search *self, ps_error *err)
{
    const bool has_events = self->count > 0;
    size_t births = 0;
    for (size_t b = 0; b < self->structure->buffer_count; b++) {
        births += is_gradient_of_backward(self, b);
    }
    if (has_events && births != self->count) {
        return PS_OK;
    }
    size_t at = 0;
    for (size_t b = 0; b < self->structure->buffer_count; b++) {
        if (!is_gradient_of_backward(self, b)) {
            continue;
        }
        const uint32_t row = self->structure->buffer[b].birth_row;
        if (!has_events) {
            PS_TRY(add_event(self,
                             (ps_gradient_event){.ready_ns = self->trace->memory.time_ns[row],
                                                 .tid = self->trace->memory.tid[row],
                                                 .copied_back = NONE},
                             err));
        }
        if (self->event[at].bytes == 0) {
            self->event[at].bytes = self->plan->buffer.bytes[b];
        }
        self->event[at++].buffer = (uint32_t)b;
    }
    return PS_OK;
}

static size_t count_unknown(const ps_gradient_search *self)
{
    size_t unknown = 0;
    for (size_t i = 0; i < self->count; i++) {
        unknown += self->event[i].bytes == 0;
    }
    return unknown;
}

ps_code ps__gradient_events(ps_gradient_search *self, ps_error *err)
{
    PS_TRY(find_accumulations(self, err));
    self->out->how = "recorded shapes of AccumulateGrad";
    if (count_unknown(self) > 0) {
        self->out->how = "copies out of the recorded buckets";
    }
    PS_TRY(find_bucket_copies(self, err));
    if (self->count == 0 || count_unknown(self) > 0) {
        self->out->how = "buffers with the role of a gradient";
    }
    PS_TRY(find_births(self, err));
    if (self->count == 0) {
        return ps_fail(err, PS_BAD_INPUT,
                       "no gradients are recorded: neither autograd's operators nor buffers of a "
                       "backward pass");
    }
    const size_t unknown = count_unknown(self);
    return unknown == 0
               ? PS_OK
               : ps_fail(err, PS_BAD_INPUT,
                         "the sizes of %zu of %zu gradients are not recorded: record with shapes "
                         "(record_shapes=True) or with memory",
                         unknown, self->count);
}
