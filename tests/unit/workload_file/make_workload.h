/* SPDX-License-Identifier: MIT
 *
 * Workloads for tests: rows by hand, one at a time, and whole random
 * workloads that are valid. Every helper fails the test when it cannot.
 */
#ifndef PS_TESTS_MAKE_WORKLOAD_H
#define PS_TESTS_MAKE_WORKLOAD_H

#include "support/test.h"

#include "workload/workload.h"

static inline uint64_t workload_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 20;
}

static inline size_t workload_row(ps_workload *workload, ps_workload_table_id id)
{
    ps_error err = {0};
    size_t row;
    assert_ok(&err, ps_workload_add(workload, id, &row, &err));
    return row;
}

static inline ps_str workload_text(ps_workload *workload, const char *text)
{
    ps_error err = {0};
    ps_str id;
    assert_ok(&err, ps_strings_put_z(workload->strings, text, &id, &err));
    return id;
}

static inline ps_workload *workload_new(void)
{
    ps_workload *workload = ps_workload_create();
    assert_non_null(workload);
    return workload;
}

/* `parent` is a row + 1, 0 for none. */
static inline uint32_t workload_block(ps_workload *workload, const char *name, uint32_t parent)
{
    const size_t row = workload_row(workload, PS_WORKLOAD_BLOCK);
    workload->block.name[row] = workload_text(workload, name);
    workload->block.parent[row] = parent;
    return (uint32_t)row;
}

static inline uint32_t workload_tensor(ps_workload *workload, uint64_t bytes, ps_role role)
{
    const size_t row = workload_row(workload, PS_WORKLOAD_TENSOR);
    workload->tensor.bytes[row] = bytes;
    workload->tensor.role[row] = (uint8_t)role;
    return (uint32_t)row;
}

static inline uint32_t workload_op(ps_workload *workload, ps_op_kind kind, ps_phase phase)
{
    const size_t row = workload_row(workload, PS_WORKLOAD_OP);
    workload->op.kind[row] = (uint8_t)kind;
    workload->op.phase[row] = (uint8_t)phase;
    workload->op.basis[row] = PS_BASIS_ANALYTIC;
    workload->op.launches[row] = 1;
    if (kind == PS_OP_MATMUL) {
        workload->op.m[row] = 4;
        workload->op.n[row] = 5;
        workload->op.k[row] = 6;
        workload->op.batch[row] = 1;
        workload->op.flop[row] = 240;
    }
    return (uint32_t)row;
}

static inline uint32_t workload_event(ps_workload *workload, ps_workload_event kind, uint32_t ref)
{
    ps_error err = {0};
    assert_ok(&err, ps_workload_add_event(workload, kind, ref, &err));
    return (uint32_t)workload->event.head.count - 1;
}

static inline size_t workload_step(ps_workload *workload, const char *name, uint32_t begin,
                                   uint32_t end)
{
    const size_t row = workload_row(workload, PS_WORKLOAD_STEP);
    workload->step.name[row] = workload_text(workload, name);
    workload->step.begin_event[row] = begin;
    workload->step.end_event[row] = end;
    return row;
}

/* A new tensor's life or a new op, or the end of an old tensor. */
static inline void workload_random_event(ps_workload *workload, uint64_t *rng)
{
    const uint32_t tensors = (uint32_t)workload->tensor.head.count;
    const uint64_t what = workload_random(rng) % 4;
    if (what == 0) {
        const uint32_t op =
            workload_op(workload, (ps_op_kind)(workload_random(rng) % PS_OP_KIND_COUNT),
                        (ps_phase)(workload_random(rng) % (PS_PHASE_OPTIMIZER + 1)));
        (void)workload_event(workload, PS_WORKLOAD_EVENT_OP, op);
        return;
    }
    const uint32_t victim = tensors == 0 ? 0 : (uint32_t)(workload_random(rng) % tensors);
    if (what == 1 && tensors > 0 && workload->tensor.is_saved[victim] == 1) {
        workload->tensor.is_saved[victim] = 0; /* stands for "live" while this is made */
        (void)workload_event(workload, PS_WORKLOAD_EVENT_FREE, victim);
        return;
    }
    const uint32_t tensor = workload_tensor(workload, workload_random(rng) % 100000,
                                            (ps_role)(workload_random(rng) % PS_ROLE_COUNT));
    workload->tensor.dtype[tensor] = (uint8_t)(workload_random(rng) % PS_ELEMENT_COUNT);
    workload->tensor.scaling[tensor] = (uint8_t)(workload_random(rng) % PS_SCALING_COUNT);
    workload->tensor.is_saved[tensor] = 1;
    (void)workload_event(workload, PS_WORKLOAD_EVENT_ALLOC, tensor);
}

/** A valid workload of random shape; the same for the same seed. Owned by the caller. */
static inline ps_workload *workload_random_new(size_t events, uint64_t seed)
{
    uint64_t rng = seed * 2654435761u + 12345;
    ps_workload *workload = workload_new();
    for (uint32_t i = 0; i < 5; i++) {
        (void)workload_block(workload, "layer", (uint32_t)(workload_random(&rng) % (i + 1)));
    }
    uint32_t begin = 0;
    for (size_t i = 0; i < events; i++) {
        workload_random_event(workload, &rng);
        if (workload_random(&rng) % 100 == 0) {
            const uint32_t end = (uint32_t)workload->event.head.count;
            (void)workload_step(workload, "step", begin, end);
            begin = end;
        }
    }
    return workload;
}

#endif
