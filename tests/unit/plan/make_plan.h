/* SPDX-License-Identifier: MIT
 *
 * Plans for tests: rows by hand, one at a time, and whole random plans that
 * are valid and free of circles. Every helper fails the test when it cannot.
 */
#ifndef PS_TESTS_MAKE_PLAN_H
#define PS_TESTS_MAKE_PLAN_H

#include "support/test.h"

#include "plan/plan.h"

static inline uint64_t plan_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 20;
}

static inline size_t plan_row(ps_plan *plan, ps_plan_table_id id)
{
    ps_error err = {0};
    size_t row;
    assert_ok(&err, ps_plan_add(plan, id, &row, &err));
    return row;
}

static inline ps_str plan_text(ps_plan *plan, const char *text)
{
    ps_error err = {0};
    ps_str id;
    assert_ok(&err, ps_strings_put_z(plan->strings, text, &id, &err));
    return id;
}

static inline ps_plan *plan_new(void)
{
    ps_plan *plan = ps_plan_create();
    assert_non_null(plan);
    return plan;
}

static inline uint32_t plan_device(ps_plan *plan)
{
    const size_t row = plan_row(plan, PS_PLAN_DEVICE);
    plan->device.ordinal[row] = (uint32_t)row;
    plan->device.allocator[row] = plan_text(plan, "native");
    return (uint32_t)row;
}

static inline uint32_t plan_host_lane(ps_plan *plan)
{
    const size_t row = plan_row(plan, PS_PLAN_LANE);
    plan->lane.name[row] = plan_text(plan, "main");
    return (uint32_t)row;
}

static inline uint32_t plan_stream(ps_plan *plan, uint32_t device)
{
    const size_t row = plan_row(plan, PS_PLAN_LANE);
    plan->lane.kind[row] = PS_LANE_STREAM;
    plan->lane.device[row] = device + 1;
    plan->lane.name[row] = plan_text(plan, "stream");
    return (uint32_t)row;
}

static inline uint32_t plan_task(ps_plan *plan, uint32_t lane, ps_task_kind kind, ps_ns gap_ns,
                                 ps_ns dur_ns)
{
    char name[32];
    const size_t row = plan_row(plan, PS_PLAN_TASK);
    (void)snprintf(name, sizeof name, "t%zu", row);
    plan->task.lane[row] = lane;
    plan->task.kind[row] = (uint8_t)kind;
    plan->task.gap_ns[row] = gap_ns;
    plan->task.dur_ns[row] = dur_ns;
    plan->task.name[row] = plan_text(plan, name);
    return (uint32_t)row;
}

static inline uint32_t plan_copy(ps_plan *plan, uint32_t lane, ps_copy_kind kind, uint64_t bytes,
                                 ps_ns dur_ns)
{
    const uint32_t task = plan_task(plan, lane, PS_TASK_MEMCPY, 0, dur_ns);
    plan->task.copy_kind[task] = (uint8_t)kind;
    plan->task.bytes[task] = bytes;
    return task;
}

/* Deps must be added in order of `task`. */
static inline size_t plan_dep(ps_plan *plan, uint32_t task, uint32_t before, ps_dep_kind kind,
                              ps_ns lag_ns)
{
    const size_t row = plan_row(plan, PS_PLAN_DEP);
    plan->dep.task[row] = task;
    plan->dep.before[row] = before;
    plan->dep.kind[row] = (uint8_t)kind;
    plan->dep.lag_ns[row] = lag_ns;
    return row;
}

static inline uint32_t plan_link(ps_plan *plan, uint64_t bytes_per_s)
{
    const size_t row = plan_row(plan, PS_PLAN_LINK);
    plan->link.bytes_per_s[row] = bytes_per_s;
    return (uint32_t)row;
}

static inline void plan_transfer(ps_plan *plan, uint32_t task, uint32_t link)
{
    const size_t row = plan_row(plan, PS_PLAN_TRANSFER);
    plan->transfer.task[row] = task;
    plan->transfer.link[row] = link;
}

static inline uint32_t plan_buffer(ps_plan *plan, uint32_t device, uint64_t bytes)
{
    const size_t row = plan_row(plan, PS_PLAN_BUFFER);
    plan->buffer.device[row] = device;
    plan->buffer.bytes[row] = bytes;
    return (uint32_t)row;
}

static inline size_t plan_memop(ps_plan *plan, ps_memop op, uint32_t device, uint32_t buffer,
                                uint32_t task, ps_ns offset_ns)
{
    const size_t row = plan_row(plan, PS_PLAN_MEMOP);
    plan->memop.op[row] = (uint8_t)op;
    plan->memop.device[row] = device;
    plan->memop.buffer[row] = buffer;
    plan->memop.task[row] = task;
    plan->memop.offset_ns[row] = offset_ns;
    return row;
}

static inline void plan_hold(ps_plan *plan, uint32_t buffer, uint32_t task)
{
    const size_t row = plan_row(plan, PS_PLAN_HOLD);
    plan->hold.buffer[row] = buffer;
    plan->hold.task[row] = task;
}

static inline size_t plan_step(ps_plan *plan, uint32_t begin_task, ps_ns begin_ns,
                               uint32_t end_task, ps_ns end_ns)
{
    const size_t row = plan_row(plan, PS_PLAN_STEP);
    plan->step.name[row] = plan_text(plan, "step");
    plan->step.begin_task[row] = begin_task;
    plan->step.begin_offset_ns[row] = begin_ns;
    plan->step.end_task[row] = end_task;
    plan->step.end_offset_ns[row] = end_ns;
    return row;
}

static inline size_t plan_segment(ps_plan *plan, uint32_t device, uint64_t addr, uint64_t bytes)
{
    const size_t row = plan_row(plan, PS_PLAN_SEGMENT);
    plan->segment.device[row] = device;
    plan->segment.addr[row] = addr;
    plan->segment.bytes[row] = bytes;
    return row;
}

/* `buffer` is a row + 1, 0 for a free block. */
static inline size_t plan_block(ps_plan *plan, uint32_t device, uint64_t addr, uint64_t bytes,
                                ps_block_state state, uint32_t buffer)
{
    const size_t row = plan_row(plan, PS_PLAN_BLOCK);
    plan->block.device[row] = device;
    plan->block.addr[row] = addr;
    plan->block.bytes[row] = bytes;
    plan->block.requested_bytes[row] = state == PS_BLOCK_INACTIVE ? 0 : bytes;
    plan->block.state[row] = (uint8_t)state;
    plan->block.buffer[row] = buffer;
    return row;
}

/** Sizes of a random plan. */
typedef struct plan_shape {
    size_t task_count;
    ps_ns max_ns; /* of durations, gaps and lags */
    uint64_t max_bytes;
} plan_shape;

static inline void plan_random_lanes(ps_plan *plan, uint64_t *rng)
{
    const size_t device_count = 1 + plan_random(rng) % 3;
    const size_t host_count = 1 + plan_random(rng) % 3;
    for (size_t i = 0; i < device_count; i++) {
        const uint32_t device = plan_device(plan);
        for (size_t s = plan_random(rng) % 3; s > 0; s--) {
            (void)plan_stream(plan, device);
        }
    }
    for (size_t i = 0; i < host_count; i++) {
        (void)plan_host_lane(plan);
    }
}

static inline ps_ns plan_random_ns(uint64_t *rng, ps_ns max_ns)
{
    return plan_random(rng) % 2 == 0 ? 0 : (ps_ns)(plan_random(rng) % (uint64_t)(max_ns + 1));
}

static inline void plan_random_tasks(ps_plan *plan, const plan_shape *shape, uint64_t *rng)
{
    static const ps_task_kind device_kinds[] = {PS_TASK_KERNEL, PS_TASK_MEMCPY, PS_TASK_MEMSET,
                                                PS_TASK_COLLECTIVE};
    for (size_t t = 0; t < shape->task_count; t++) {
        const uint32_t lane = (uint32_t)(plan_random(rng) % plan->lane.head.count);
        const ps_task_kind kind = plan->lane.kind[lane] == PS_LANE_STREAM
                                      ? device_kinds[plan_random(rng) % 4]
                                      : (ps_task_kind)(plan_random(rng) % 2);
        const ps_ns gap = plan_random_ns(rng, shape->max_ns);
        const uint32_t task = plan_task(plan, lane, kind, gap, plan_random_ns(rng, shape->max_ns));
        plan->task.bytes[task] = plan_random(rng) % (shape->max_bytes + 1);
        plan->task.copy_kind[task] =
            kind == PS_TASK_MEMCPY ? (uint8_t)(plan_random(rng) % (PS_COPY_HTOH + 1)) : 0;
        if (plan_random(rng) % 8 == 0) {
            plan_transfer(plan, task, 0);
        }
    }
}

/* Waiting only for earlier rows keeps the plan free of circles; ends may also meet, as those of
 * the two halves of a collective do. */
static inline void plan_random_deps(ps_plan *plan, const plan_shape *shape, uint64_t *rng)
{
    for (uint32_t t = 0; t < shape->task_count; t++) {
        for (size_t d = t == 0 ? 0 : plan_random(rng) % 4; d > 0; d--) {
            const uint32_t back = (uint32_t)(plan_random(rng) % (t < 12 ? t : 12));
            (void)plan_dep(plan, t, t - 1 - back, (ps_dep_kind)(plan_random(rng) % 4),
                           plan_random_ns(rng, shape->max_ns));
        }
        if (t + 1 < shape->task_count && plan->task.lane[t] != plan->task.lane[t + 1] &&
            plan->task.kind[t + 1] == PS_TASK_COLLECTIVE && plan_random(rng) % 2 == 0) {
            (void)plan_dep(plan, t, t + 1, PS_DEP_END_AFTER_START, 0);
            t++; /* the other half waits for nothing but this one */
            (void)plan_dep(plan, t, t - 1, PS_DEP_END_AFTER_START, 0);
        }
    }
}

static inline void plan_random_frees(ps_plan *plan, uint32_t task, uint64_t *rng, uint8_t *state)
{
    const size_t count = plan->buffer.head.count;
    for (size_t i = 0; i < 3 && count > 0; i++) {
        const uint32_t buffer = (uint32_t)(plan_random(rng) % count);
        const ps_ns offset = (ps_ns)(plan_random(rng) % 5000) - 1000;
        if (state[buffer] == 1) {
            const bool at_once = plan_random(rng) % 2 == 0;
            (void)plan_memop(plan, at_once ? PS_MEMOP_FREE : PS_MEMOP_FREE_REQUEST,
                             plan->buffer.device[buffer], buffer, task, offset);
            state[buffer] = at_once ? 3 : 2;
        } else if (state[buffer] == 2) {
            (void)plan_memop(plan, PS_MEMOP_FREE_COMPLETE, plan->buffer.device[buffer], buffer,
                             task, offset);
            state[buffer] = 3;
        }
    }
}

static inline void plan_random_memops(ps_plan *plan, const plan_shape *shape, uint64_t *rng)
{
    uint8_t *state = calloc(shape->task_count * 2 + 1, 1);
    assert_non_null(state);
    for (uint32_t t = 0; t < shape->task_count; t++) {
        if (plan->task.kind[t] != PS_TASK_HOST && plan->task.kind[t] != PS_TASK_WAIT) {
            continue;
        }
        for (size_t i = plan_random(rng) % 3; i > 0; i--) {
            const uint32_t device = (uint32_t)(plan_random(rng) % plan->device.head.count);
            const uint32_t buffer =
                plan_buffer(plan, device, plan_random(rng) % (shape->max_bytes + 1));
            (void)plan_memop(plan, PS_MEMOP_ALLOC, device, buffer, t,
                             (ps_ns)(plan_random(rng) % 5000) - 1000);
            state[buffer] = 1;
        }
        plan_random_frees(plan, t, rng, state);
    }
    free(state);
}

/** A valid plan of random shape; the same for the same seed. Owned by the caller. */
static inline ps_plan *plan_random_new(const plan_shape *shape, uint64_t seed)
{
    uint64_t rng = seed * 2654435761u + 12345;
    ps_plan *plan = plan_new();
    plan_random_lanes(plan, &rng);
    (void)plan_link(plan, 1000000000);
    plan_random_tasks(plan, shape, &rng);
    plan_random_deps(plan, shape, &rng);
    plan_random_memops(plan, shape, &rng);
    return plan;
}

#endif
