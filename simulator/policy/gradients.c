/* SPDX-License-Identifier: MIT
 *
 * Finding the gradients of a recorded backward pass.
 */
#include "policy/gradients.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "policy/recorded_times.h"
#include "policy/whatif_scale_parts.h"

#define ACCUMULATE "torch::autograd::AccumulateGrad"
#define COPY_IN "torch::distributed::reducer::mul_out"
#define COPY_BACK "torch.distributed.ddp.reducer::copy_bucket_to_grad"
#define NONE PS_GRADIENT_NONE

/* A gradient by the trace's clock. */
typedef struct event {
    ps_ns ready_ns;
    uint64_t tid;
    uint64_t bytes; /* 0 unknown */
    uint32_t element_bytes;
    uint32_t copied_back, buffer;
} event;

typedef struct search {
    const ps_trace *trace;
    const ps_structure *structure;
    const ps_plan *plan;
    ps_recorded_times times;
    event *event;
    size_t count, capacity;
    size_t copies_in; /* seen so far */
    uint32_t *copy;   /* device tasks that copy within the device, in order of their launch */
    uint32_t *copy_launch;
    size_t copy_count, next_copy;
    ps_gradients *out;
} search;

static ps_code add_event(search *self, event what, ps_error *err)
{
    PS_TRY(ps_grow((void **)&self->event, &self->capacity, self->count + 1, PS_TABLE_MAX_ROWS,
                   sizeof *self->event, err));
    self->event[self->count++] = what;
    return PS_OK;
}

/* ---- ranges ---- */

static const char *range_name(const search *self, size_t range)
{
    return ps_strings_text(self->trace->strings, self->trace->range.name[range]);
}

static size_t count_ranges(const search *self, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < self->trace->range.head.count; i++) {
        count += self->trace->range.category[i] == PS_RANGE_OPERATOR &&
                 strcmp(range_name(self, i), name) == 0;
    }
    return count;
}

/* The one tensor that AccumulateGrad is given is the gradient. */
static void read_size(const search *self, size_t range, event *out)
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

static ps_code find_accumulations(search *self, ps_error *err)
{
    const ps_range_table *range = &self->trace->range;
    for (size_t i = 0; i < range->head.count; i++) {
        if (range->category[i] == PS_RANGE_OPERATOR &&
            strcmp(range_name(self, i), ACCUMULATE) == 0) {
            event found = {.ready_ns = range->start_ns[i] + range->dur_ns[i],
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
static ps_code list_copies(search *self, ps_error *err)
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
static uint32_t copy_in_range(search *self, size_t range)
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
static void see_copy_in(search *self, size_t range)
{
    const ps_range_table *table = &self->trace->range;
    if (self->copies_in < self->count) {
        self->event[self->copies_in++].ready_ns = table->start_ns[range] + table->dur_ns[range];
    }
}

static ps_code find_bucket_copies(search *self, ps_error *err)
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
            event *of = &self->event[seen_back++];
            of->copied_back = copy_in_range(self, i);
            if (of->copied_back != NONE && of->bytes == 0) {
                of->bytes = self->plan->task.bytes[of->copied_back];
            }
        }
    }
    return PS_OK;
}

/* ---- buffers ---- */

static bool is_gradient_of_backward(const search *self, size_t buffer)
{
    const ps_structure_buffer *of = &self->structure->buffer[buffer];
    return of->role == PS_ROLE_GRADIENT && of->birth == PS_PHASE_BACKWARD &&
           of->birth_row != PS_STRUCTURE_NONE &&
           self->trace->memory.action[of->birth_row] == PS_ACTION_ALLOC;
}

/* Without ranges: births of gradients. With them, and as many births: their buffers and sizes. */
static ps_code find_births(search *self, ps_error *err)
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
                             (event){.ready_ns = self->trace->memory.time_ns[row],
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

static size_t count_unknown(const search *self)
{
    size_t unknown = 0;
    for (size_t i = 0; i < self->count; i++) {
        unknown += self->event[i].bytes == 0;
    }
    return unknown;
}

static ps_code find_events(search *self, ps_error *err)
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

/* ---- passes ---- */

/* A forward pass, or another step, begins between two gradients. */
static bool is_parted(const search *self, ps_ns earlier, ps_ns later)
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

static ps_code add_pass(search *self, size_t first, size_t end, ps_error *err)
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

static ps_code find_passes(search *self, ps_error *err)
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
static ps_code list_lane(const search *self, uint32_t lane, uint32_t **rows, size_t *count,
                         ps_error *err)
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

static ps_code place_events(search *self, ps_error *err)
{
    ps_gradients *out = self->out;
    uint32_t *rows = NULL;
    size_t row_count = 0;
    uint64_t tid = 0;
    PS_TRY(ps_grow((void **)&out->gradient, &out->capacity, self->count, PS_TABLE_MAX_ROWS,
                   sizeof *out->gradient, err));
    for (size_t i = 0; i < self->count; i++) {
        const event *from = &self->event[i];
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
    }
    out->count = self->count;
    ps_free(rows);
    return PS_OK;
}

/* ---- what launches cost the host ---- */

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
static size_t list_elementwise(const search *self, ps_ns *values, size_t room)
{
    const ps_range_table *range = &self->trace->range;
    size_t count = 0;
    for (size_t i = 0; i < range->head.count && count < room; i++) {
        if (range->category[i] == PS_RANGE_OPERATOR && is_elementwise(range_name(self, i))) {
            values[count++] = range->dur_ns[i];
        }
    }
    return count;
}

/* Launches of one lane from the first gradient to the last, a launch being a host task that device
 * work waits for. */
static size_t list_launches(const search *self, uint32_t lane, uint32_t *rows)
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
static void measure(search *self, uint32_t *rows, ps_ns *values, size_t room)
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

static ps_code measure_launches(search *self, ps_error *err)
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

static ps_code find(search *self, ps_error *err)
{
    PS_TRY(ps__recorded_times(self->plan, &self->times, err));
    PS_TRY(find_events(self, err));
    PS_TRY(find_passes(self, err));
    PS_TRY(place_events(self, err));
    return measure_launches(self, err);
}

ps_code ps_gradients_find(const ps_trace *trace, const ps_structure *structure, const ps_plan *plan,
                          ps_gradients *out, ps_error *err)
{
    ps_gradients found = {0};
    search self = {.trace = trace, .structure = structure, .plan = plan, .out = &found};
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
