/* SPDX-License-Identifier: MIT
 *
 * Device memory of a recorded job under DistributedDataParallel: buckets from
 * the origin on; and where gradients are views of them, no gradients beside
 * them.
 */
#include "base/memory.h"
#include "policy/data_parallel_parts.h"

#define BLOCK_BYTES 512u
#define BUCKET_LABEL "DistributedDataParallel bucket"

static ps_code add_bucket(ps_plan *plan, uint64_t bytes, size_t first_memop, ps_error *err)
{
    size_t buffer, memop;
    PS_TRY(ps_plan_add(plan, PS_PLAN_BUFFER, &buffer, err));
    PS_TRY(ps_plan_add(plan, PS_PLAN_MEMOP, &memop, err));
    plan->buffer.bytes[buffer] =
        plan->device.sizes_are_blocks[0] != 0 ? ps_round_up_u64(bytes, BLOCK_BYTES) : bytes;
    plan->buffer.role[buffer] = PS_ROLE_GRADIENT;
    plan->memop.op[memop] = PS_MEMOP_ALLOC;
    plan->memop.buffer[memop] = (uint32_t)buffer;
    plan->memop.task[memop] = plan->memop.task[first_memop];
    plan->memop.offset_ns[memop] = plan->memop.offset_ns[first_memop];
    return ps_strings_put_z(plan->strings, BUCKET_LABEL, &plan->buffer.label[buffer], err);
}

/* The rows from `from` on come first. */
static ps_code move_to_front(ps_plan *plan, size_t from, ps_error *err)
{
    const size_t count = plan->memop.head.count;
    uint32_t *order = ps_calloc(count, sizeof *order);
    if (order == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < count; i++) {
        order[i] = (uint32_t)(i < count - from ? from + i : i - (count - from));
    }
    const ps_code code =
        ps_table_permute(&ps_plan_specs()[PS_PLAN_MEMOP], &plan->memop.head, order, err);
    ps_free(order);
    return code;
}

/* ---- views ---- */

static size_t find_memop(const ps_plan *plan, uint32_t buffer, bool is_birth)
{
    for (size_t i = 0; i < plan->memop.head.count; i++) {
        const ps_memop op = (ps_memop)plan->memop.op[i];
        if (plan->memop.buffer[i] == buffer &&
            (is_birth ? op == PS_MEMOP_ALLOC
                      : op == PS_MEMOP_FREE || op == PS_MEMOP_FREE_REQUEST)) {
            return i;
        }
    }
    return SIZE_MAX;
}

/* The first request made behind the copy into the bucket. */
static size_t first_behind(const ps_plan *plan, size_t birth, const ps_gradient *gradient)
{
    const uint32_t host = gradient->ready_after;
    size_t row = birth + 1;
    while (row < plan->memop.head.count &&
           (plan->memop.task[row] < host ||
            (plan->memop.task[row] == host &&
             plan->memop.offset_ns[row] <= gradient->ready_offset_ns))) {
        row++;
    }
    return row;
}

/* The gradient's own buffer goes when it has been copied: it is a view of the bucket from there. */
static ps_code free_early(ps_plan *plan, const ps_gradient *gradient, uint32_t *place,
                          ps_error *err)
{
    size_t row = find_memop(plan, gradient->buffer, false);
    const size_t birth = find_memop(plan, gradient->buffer, true);
    if (birth == SIZE_MAX) {
        return PS_OK;
    }
    const size_t behind = first_behind(plan, birth, gradient);
    if (row == SIZE_MAX) { /* it was never freed; there is room for its place */
        PS_TRY(ps_plan_add(plan, PS_PLAN_MEMOP, &row, err));
        plan->memop.buffer[row] = gradient->buffer;
    } else if (row < behind) {
        return PS_OK;
    }
    plan->memop.op[row] = PS_MEMOP_FREE;
    plan->memop.task[row] = gradient->ready_after;
    plan->memop.offset_ns[row] =
        gradient->ready_offset_ns < plan->task.dur_ns[gradient->ready_after]
            ? gradient->ready_offset_ns
            : plan->task.dur_ns[gradient->ready_after];
    place[row] = (uint32_t)(2 * behind);
    return PS_OK;
}

/* Rows by `place`; equal ones as they stand. */
static ps_code sort_memops(ps_plan *plan, const uint32_t *place, size_t places, ps_error *err)
{
    const size_t count = plan->memop.head.count;
    uint32_t *next = ps_calloc(places + 1, sizeof *next);
    uint32_t *order = ps_calloc(count + 1, sizeof *order);
    ps_code code = PS_OK;
    if (next == NULL || order == NULL) {
        code = ps_fail_nomem(err);
    } else {
        for (size_t i = 0; i < count; i++) {
            next[place[i] + 1]++;
        }
        for (size_t i = 0; i < places; i++) {
            next[i + 1] += next[i];
        }
        for (size_t i = 0; i < count; i++) {
            order[next[place[i]]++] = (uint32_t)i;
        }
        code = ps_table_permute(&ps_plan_specs()[PS_PLAN_MEMOP], &plan->memop.head, order, err);
    }
    ps_free(next);
    ps_free(order);
    return code;
}

/* A request keeps its place, an odd number; one that moves gets the even one before another. */
static ps_code free_gradients(const ps_ddp_building *self, ps_error *err)
{
    ps_plan *plan = self->insertion.plan;
    const size_t room = plan->memop.head.count + self->gradients->count + 1;
    uint32_t *place = ps_calloc(room, sizeof *place);
    if (place == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < room; i++) {
        place[i] = (uint32_t)(2 * i + 1);
    }
    ps_code code = PS_OK;
    for (size_t i = 0; i < self->gradients->count && code == PS_OK; i++) {
        if (self->gradients->gradient[i].buffer != PS_GRADIENT_NONE) {
            code = free_early(plan, &self->gradients->gradient[i], place, err);
        }
    }
    if (code == PS_OK) {
        code = sort_memops(plan, place, 2 * room + 1, err);
    }
    ps_free(place);
    return code;
}

ps_code ps__ddp_hold_buckets(ps_ddp_building *self, ps_error *err)
{
    ps_plan *plan = self->insertion.plan;
    if (plan->memop.head.count == 0) {
        return PS_OK; /* nothing is known of the job's memory */
    }
    if (self->change->has_views) {
        PS_TRY(free_gradients(self, err));
    }
    const size_t old_count = plan->memop.head.count;
    for (size_t i = 0; i < self->bucket_count; i++) {
        PS_TRY(add_bucket(plan, self->bucket[i].bytes, 0, err));
    }
    PS_TRY(move_to_front(plan, old_count, err));
    for (size_t i = 0; i < plan->memop.head.count; i++) {
        plan->memop.expect[i] = 0; /* totals were recorded without buckets */
    }
    return PS_OK;
}
