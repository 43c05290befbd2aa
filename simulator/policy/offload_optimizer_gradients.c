/* SPDX-License-Identifier: MIT
 *
 * Which memory of a recorded job its gradients are: a buffer made in backward
 * that lives to the optimizer step, of the recorded size; else a part of what
 * was resident before the recording.
 */
#include <inttypes.h>

#include "alloc/sizes.h"
#include "base/memory.h"
#include "policy/offload_optimizer.h"

/* A large block may have as much more than was asked for: the allocator splits off no less. */
#define MOST_UNSPLIT_BYTES ((uint64_t)1 << 20)

/* ---- lives ---- */

ps_ns ps__offload_born_ns(const ps_offload_search *self, uint32_t buffer)
{
    return self->alloc[buffer] == SIZE_MAX
               ? INT64_MIN
               : ps__offload_memop_ns(&self->stream, self->alloc[buffer]);
}

ps_ns ps__offload_freed_ns(const ps_offload_search *self, uint32_t buffer)
{
    return self->free[buffer] == SIZE_MAX ? PS_TIME_NEVER
                                          : ps__offload_memop_ns(&self->stream, self->free[buffer]);
}

static ps_code find_lives(ps_offload_search *self, ps_error *err)
{
    const ps_plan *plan = self->plan;
    self->alloc = ps_calloc(plan->buffer.head.count + 1, sizeof *self->alloc);
    self->free = ps_calloc(plan->buffer.head.count + 1, sizeof *self->free);
    if (self->alloc == NULL || self->free == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < plan->buffer.head.count; i++) {
        self->alloc[i] = self->free[i] = SIZE_MAX;
    }
    for (size_t i = 0; i < plan->memop.head.count; i++) {
        const uint8_t op = plan->memop.op[i];
        if (op == PS_MEMOP_ALLOC) {
            self->alloc[plan->memop.buffer[i]] = i;
        } else if (op == PS_MEMOP_FREE || op == PS_MEMOP_FREE_REQUEST) {
            self->free[plan->memop.buffer[i]] = i;
        }
    }
    return PS_OK;
}

bool ps__offload_is_on_device(const ps_plan *plan, uint32_t buffer)
{
    return !ps_memory_is_host(plan->buffer.memory[buffer]) && plan->buffer.bytes[buffer] > 0;
}

/* ---- sizes ---- */

static bool has_blocks(const ps_plan *plan)
{
    return plan->device.sizes_are_blocks[0] != 0;
}

/* Does a buffer serve a request of so many bytes? `excess`: what it has more. */
static bool is_of_size(const ps_plan *plan, uint32_t buffer, uint64_t bytes, uint64_t *excess)
{
    const uint64_t has = plan->buffer.bytes[buffer];
    *excess = has - bytes;
    return has_blocks(plan)
               ? has >= bytes && (*excess < PS_ALLOC_GRAIN_BYTES ||
                                  (has > MOST_UNSPLIT_BYTES && *excess <= MOST_UNSPLIT_BYTES))
               : has == bytes;
}

static uint64_t device_bytes(const ps_plan *plan, uint64_t bytes)
{
    return has_blocks(plan) ? ps_round_up_u64(bytes, PS_ALLOC_GRAIN_BYTES) : bytes;
}

/* ---- parameters by the gradients of the first step ---- */

static ps_code list_parameters(ps_offload_search *self, ps_error *err)
{
    ps_offload_optimizer *out = self->out;
    const ps_backward *pass = &self->gradients.backward[self->pass[0]];
    out->parameter_count = pass->count;
    out->parameter = ps_calloc(pass->count, sizeof *out->parameter);
    out->gradient = ps_calloc(pass->count * out->step_count, sizeof *out->gradient);
    if (out->parameter == NULL || out->gradient == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < pass->count; i++) {
        const ps_gradient *of = &self->gradients.gradient[pass->first + i];
        const uint32_t element =
            of->element_bytes != 0 ? of->element_bytes : out->kind.element_bytes;
        if (element == 0 || of->bytes % element != 0) {
            return ps_fail(err, PS_USAGE,
                           "the type of the trained parameters is not recorded: neither shapes of "
                           "gradients nor names of the optimizer's kernels tell one");
        }
        out->parameter[i] =
            (ps_offload_parameter){.bytes = of->bytes,
                                   .device_bytes = device_bytes(self->plan, of->bytes),
                                   .element_bytes = element,
                                   .buffer = PS_OFFLOAD_NONE};
    }
    return PS_OK;
}

/* A parameter of a gradient's size that no other gradient of the step has; first the one that had
 * its place in the first step. */
static bool take_parameter(const ps_offload_search *self, size_t place, uint64_t bytes, bool *taken,
                           uint32_t *out)
{
    const ps_offload_optimizer *of = self->out;
    for (size_t k = 0; k < of->parameter_count; k++) {
        const size_t i = (place + k) % of->parameter_count;
        if (!taken[i] && of->parameter[i].bytes == bytes) {
            taken[i] = true;
            *out = (uint32_t)i;
            return true;
        }
    }
    return false;
}

/* ---- gradients ---- */

/* Buffers made before a step, since the one before it, that live to see it. */
static size_t list_candidates(const ps_offload_search *self, size_t step, uint32_t *out)
{
    const ps_structure *of = self->change->structure;
    const ps_ns begin = self->out->step[step].begin_ns;
    const ps_ns since = step == 0 ? INT64_MIN : self->out->step[step - 1].end_ns;
    size_t count = 0;
    for (uint32_t i = 0; i < of->buffer_count; i++) {
        if (self->alloc[i] != SIZE_MAX && ps__offload_born_ns(self, i) >= since &&
            ps__offload_born_ns(self, i) < begin && ps__offload_freed_ns(self, i) >= begin &&
            ps__offload_is_on_device(self->plan, i) &&
            (of->buffer[i].role == PS_ROLE_GRADIENT || of->buffer[i].birth == PS_PHASE_BACKWARD)) {
            out[count++] = i;
        }
    }
    return count;
}

/* The candidate that fits best; of equals the one made last. It is then no candidate any more. */
static uint32_t take_buffer(const ps_offload_search *self, uint32_t *candidate, size_t count,
                            const ps_gradient *gradient, ps_ns ready_ns)
{
    size_t best = SIZE_MAX;
    uint64_t least = UINT64_MAX, excess;
    bool is_gradient = false;
    for (size_t i = count; i-- > 0;) {
        if (candidate[i] == PS_OFFLOAD_NONE ||
            !is_of_size(self->plan, candidate[i], gradient->bytes, &excess) ||
            ps__offload_born_ns(self, candidate[i]) > ready_ns) {
            continue;
        }
        const bool has_role =
            self->change->structure->buffer[candidate[i]].role == PS_ROLE_GRADIENT;
        if (best == SIZE_MAX || (has_role && !is_gradient) ||
            (has_role == is_gradient && excess < least)) {
            best = i;
            least = excess;
            is_gradient = has_role;
        }
    }
    const uint32_t buffer = best == SIZE_MAX ? PS_OFFLOAD_NONE : candidate[best];
    if (best != SIZE_MAX) {
        candidate[best] = PS_OFFLOAD_NONE;
    }
    return buffer;
}

/* Has the thread that asked for a gradient's memory launched something since, up to a task of the
 * stream? That task then comes behind what wrote the gradient. */
static bool is_written(const ps_offload_search *self, size_t at, uint32_t buffer)
{
    const ps_offload_stream *stream = &self->stream;
    if (buffer == PS_OFFLOAD_NONE || self->alloc[buffer] == SIZE_MAX) {
        return true;
    }
    const ps_ns born = ps__offload_born_ns(self, buffer);
    const uint32_t lane = self->plan->task.lane[self->plan->memop.task[self->alloc[buffer]]];
    for (size_t i = at + 1; i-- > 0 && stream->times.start_ns[stream->launch[i]] >= born;) {
        if (self->plan->task.lane[stream->launch[i]] == lane) {
            return true;
        }
    }
    return false;
}

/* Behind the host task during which, or after which, the gradient is ready. */
static bool place_gradient(const ps_offload_search *self, const ps_gradient *of, ps_ns ready_ns,
                           uint32_t buffer, ps_offload_place *out)
{
    const size_t next = ps__offload_launched_by(&self->stream, ready_ns + 1);
    if (next == 0 || self->out->drop_task[self->stream.task[next - 1]] ||
        !is_written(self, next - 1, buffer)) {
        return false;
    }
    *out = (ps_offload_place){
        .before = self->stream.task[next - 1],
        .behind = next < self->stream.count ? self->stream.task[next] : PS_OFFLOAD_NONE,
        .host = of->ready_after,
        .resumes = ps__offload_resumes(&self->stream, next, of->ready_after, ready_ns),
        .memop = ps__offload_first_memop_after(&self->stream,
                                               self->stream.times.end_ns[of->ready_after])};
    return true;
}

static ps_code find_gradient(ps_offload_search *self, size_t step, size_t place, bool *taken,
                             uint32_t *candidate, size_t count, ps_error *err)
{
    ps_offload_optimizer *out = self->out;
    const size_t row = self->gradients.backward[self->pass[step]].first + place;
    const ps_gradient *of = &self->gradients.gradient[row];
    const ps_ns ready = ps__offload_ready_ns(self, row);
    ps_offload_gradient *gradient = &out->gradient[out->step[step].gradient + place];
    gradient->free = SIZE_MAX;
    if (!take_parameter(self, place, of->bytes, taken, &gradient->parameter)) {
        return ps_fail(err, PS_USAGE,
                       "optimizer step %zu of the recording has a gradient of %" PRIu64
                       " bytes that the first one has not",
                       step + 1, of->bytes);
    }
    gradient->buffer = self->out->is_placed ? take_buffer(self, candidate, count, of, ready)
                                            : of->buffer; /* whose birth told of it */
    if (gradient->buffer == PS_OFFLOAD_NONE) {
        out->parameter[gradient->parameter].keeps_gradient = true;
    } else {
        ps_offload_parameter *parameter = &out->parameter[gradient->parameter];
        gradient->free = self->free[gradient->buffer];
        gradient->can_go =
            gradient->free == SIZE_MAX || self->plan->memop.op[gradient->free] == PS_MEMOP_FREE;
        parameter->device_bytes = self->plan->buffer.bytes[gradient->buffer];
    }
    if (!place_gradient(self, of, ready, gradient->buffer, &gradient->out)) {
        out->step[step].streams = false;
    }
    const size_t before =
        ps__offload_launched_by(&self->stream, out->step[step].begin_ns); /* one at least */
    return is_written(self, before - 1, gradient->buffer)
               ? PS_OK
               : ps_fail(err, PS_USAGE,
                         "no kernel is launched between a gradient's allocation and optimizer "
                         "step %zu of the recording",
                         step + 1);
}

static ps_code find_gradients(ps_offload_search *self, size_t step, bool *taken,
                              uint32_t *candidate, ps_error *err)
{
    const ps_backward *pass = &self->gradients.backward[self->pass[step]];
    const size_t count = list_candidates(self, step, candidate);
    if (pass->count != self->out->parameter_count) {
        return ps_fail(err, PS_USAGE,
                       "optimizer step %zu of the recording has %zu gradients, the first one %zu",
                       step + 1, pass->count, self->out->parameter_count);
    }
    self->out->step[step].gradient = step * pass->count;
    for (size_t i = 0; i < pass->count; i++) {
        taken[i] = false;
    }
    for (size_t i = 0; i < pass->count; i++) {
        PS_TRY(find_gradient(self, step, i, taken, candidate, count, err));
    }
    return PS_OK;
}

static ps_code find_all(ps_offload_search *self, ps_error *err)
{
    bool *taken = ps_calloc(self->out->parameter_count, sizeof *taken);
    uint32_t *candidate = ps_calloc(self->plan->buffer.head.count + 1, sizeof *candidate);
    const bool has_room = taken != NULL && candidate != NULL;
    ps_code code = PS_OK;
    for (size_t i = 0; has_room && i < self->out->step_count && code == PS_OK; i++) {
        code = find_gradients(self, i, taken, candidate, err);
    }
    ps_free(taken);
    ps_free(candidate);
    return has_room ? code : ps_fail_nomem(err);
}

ps_code ps__offload_optimizer_gradients(ps_offload_search *self, ps_error *err)
{
    PS_TRY(find_lives(self, err));
    PS_TRY(list_parameters(self, err));
    return find_all(self, err);
}
