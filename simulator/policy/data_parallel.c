/* SPDX-License-Identifier: MIT
 *
 * A recorded one-GPU job under DistributedDataParallel.
 */
#include "policy/data_parallel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "job/network.h"
#include "policy/data_parallel_parts.h"

#define NS_PER_S UINT64_C(1000000000)

static ps_code name_task(ps_ddp_building *b, uint32_t task, const char *name, ps_basis basis,
                         ps_error *err)
{
    ps_plan *plan = b->insertion.plan;
    plan->task.basis[task] = (uint8_t)basis;
    plan->task.phase[task] = PS_PHASE_BACKWARD;
    return ps_strings_put_z(plan->strings, name, &plan->task.name[task], err);
}

/* A call that launches something, behind what its thread has done by then. */
static ps_code add_launch(ps_ddp_building *b, uint32_t behind, const char *name, uint32_t *out,
                          ps_error *err)
{
    ps_plan *plan = b->insertion.plan;
    PS_TRY(
        ps__insertion_task(&b->insertion, plan->task.lane[behind], PS_TASK_HOST, behind, out, err));
    plan->task.dur_ns[*out] = b->gradients->launch_ns;
    plan->task.gap_ns[*out] = b->gradients->between_launches_ns;
    b->last_host = *out;
    return name_task(b, *out, name, PS_BASIS_SCALED, err);
}

/* A copy between a gradient and its bucket: read once, written once. */
static ps_code add_copy(ps_ddp_building *b, uint32_t behind, uint64_t bytes, const char *name,
                        uint32_t *out, ps_error *err)
{
    ps_plan *plan = b->insertion.plan;
    const ps_cost_op op = {
        .kind = PS_COST_MEMORY, .element = PS_COST_F32, .moved_bytes = ps_mul_div_u64(bytes, 2, 1)};
    ps_cost_time time;
    uint32_t launch;
    PS_TRY(ps_cost_op_time(b->cost, &op, &time, err));
    PS_TRY(add_launch(b, behind, "cudaLaunchKernel", &launch, err));
    PS_TRY(
        ps__insertion_task(&b->insertion, b->compute, PS_TASK_KERNEL, b->device_behind, out, err));
    plan->task.dur_ns[*out] = time.dur_ns;
    plan->task.gap_ns[*out] = b->gap_ns;
    PS_TRY(name_task(b, *out, name, time.basis, err));
    b->last_device = *out;
    return ps__insertion_dep(&b->insertion, *out, launch, PS_DEP_START_AFTER_START,
                             b->launch_lag_ns, err);
}

/* ---- one all-reduce ---- */

static ps_code add_exchange(ps_ddp_building *b, uint64_t bytes, uint32_t part, ps_error *err)
{
    ps_plan *plan = b->insertion.plan;
    const ps_exchange what = {.op = PS_COLLECTIVE_ALL_REDUCE,
                              .bytes = bytes,
                              .rank = b->rank,
                              .rank_count = b->change->ranks};
    ps_exchange_cost cost;
    uint32_t exchange;
    PS_TRY(b->change->network->cost(b->change->network->context, &what, &cost, err));
    const uint64_t moving_ns =
        cost.wire_bytes == 0 ? 0
                             : ps_mul_div_u64(cost.wire_bytes, 1000000000, cost.rate_bytes_per_s);
    PS_TRY(ps__insertion_task(&b->insertion, b->group, PS_TASK_EXCHANGE, PS_INSERT_NOWHERE,
                              &exchange, err));
    plan->task.dur_ns[exchange] = ps_time_add(ps_time_add(cost.latency_ns, b->collective_delay_ns),
                                              moving_ns > INT64_MAX ? INT64_MAX : (ps_ns)moving_ns);
    plan->task.bytes[exchange] = bytes;
    b->beside_ns = ps_time_add(b->beside_ns, plan->task.dur_ns[exchange]);
    PS_TRY(name_task(b, exchange, "all-reduce", cost.basis, err));
    PS_TRY(ps__insertion_dep(&b->insertion, exchange, part, PS_DEP_START_AFTER_START, 0, err));
    return ps__insertion_dep(&b->insertion, part, exchange, PS_DEP_END_AFTER_END, 0, err);
}

/* Launched behind the gradient that closes the bucket; waits for what was launched before. */
static ps_code add_all_reduce(ps_ddp_building *b, uint32_t behind, uint64_t bytes, uint32_t *out,
                              ps_error *err)
{
    uint32_t launch;
    PS_TRY(add_launch(b, behind, "launch of all-reduce", &launch, err));
    PS_TRY(ps__insertion_task(&b->insertion, b->reducer, PS_TASK_COLLECTIVE, PS_INSERT_NOWHERE, out,
                              err));
    b->insertion.plan->task.bytes[*out] = bytes;
    PS_TRY(name_task(b, *out, "all-reduce", PS_BASIS_ANALYTIC, err));
    PS_TRY(ps__insertion_dep(&b->insertion, *out, launch, PS_DEP_START_AFTER_START,
                             b->launch_lag_ns, err));
    if (b->last_device != PS_GRADIENT_NONE) {
        PS_TRY(ps__insertion_dep(&b->insertion, *out, b->last_device, PS_DEP_START_AFTER_END,
                                 b->gap_ns, err));
    }
    return add_exchange(b, bytes, *out, err);
}

/* ---- one backward pass ---- */

/* A computation is held up by the exchanges that it runs beside. */
static void hold_up(ps_ddp_building *b, uint32_t task)
{
    ps_ns *dur_ns = &b->insertion.plan->task.dur_ns[task];
    const ps_ns shared_ns = b->beside_ns < *dur_ns ? b->beside_ns : *dur_ns;
    b->beside_ns -= shared_ns;
    *dur_ns = ps_time_add(
        *dur_ns, (ps_ns)ps_mul_div_u64((uint64_t)shared_ns, b->overlap_cost, PS_RATIO_ONE));
}

/* The device has been given this much when the host is where a gradient is ready. */
static void follow_device(ps_ddp_building *b, uint32_t host)
{
    while (b->next < b->queue_count && (b->launch[b->queue[b->next]] == PS_GRADIENT_NONE ||
                                        b->launch[b->queue[b->next]] <= host)) {
        b->device_behind = b->last_device = b->queue[b->next++];
        hold_up(b, b->device_behind);
    }
}

/* Buckets are reduced in order: those that were waiting for this one follow it. */
static ps_code reduce_full(ps_ddp_building *b, const ps_backward *pass, size_t gradient,
                           size_t *next_bucket, ps_error *err)
{
    const uint32_t behind = b->gradients->gradient[pass->first + gradient].ready_after;
    for (; *next_bucket < b->bucket_count && b->bucket[*next_bucket].closing <= gradient;
         (*next_bucket)++) {
        PS_TRY(
            add_all_reduce(b, behind, b->bucket[*next_bucket].bytes, &b->part[*next_bucket], err));
    }
    return PS_OK;
}

static ps_code reduce_pass(ps_ddp_building *b, const ps_backward *pass, ps_error *err)
{
    size_t next_bucket = 0;
    for (size_t i = 0; i < pass->count; i++) {
        const ps_gradient *gradient = &b->gradients->gradient[pass->first + i];
        uint32_t copy;
        follow_device(b, gradient->ready_after);
        if (!b->gradients->has_buckets) {
            PS_TRY(add_copy(b, gradient->ready_after, gradient->bytes, "copy into bucket", &copy,
                            err));
        }
        PS_TRY(reduce_full(b, pass, i, &next_bucket, err));
    }
    return PS_OK;
}

/* The first copy back of every bucket waits for it. */
static ps_code wait_for_parts(ps_ddp_building *b, const ps_backward *pass, ps_error *err)
{
    for (size_t i = 0; i < pass->count; i++) {
        const uint32_t copy = b->gradients->gradient[pass->first + i].copied_back;
        uint32_t *part = &b->part[b->bucket_of[i]];
        if (copy != PS_GRADIENT_NONE && *part != PS_GRADIENT_NONE) {
            PS_TRY(ps__insertion_dep(&b->insertion, copy, *part, PS_DEP_START_AFTER_END, b->gap_ns,
                                     err));
            *part = PS_GRADIENT_NONE;
        }
    }
    return PS_OK;
}

static ps_code copy_back(ps_ddp_building *b, const ps_backward *pass, ps_error *err)
{
    const uint32_t behind = b->gradients->gradient[pass->first + pass->count - 1].ready_after;
    for (size_t bucket = 0; bucket < b->bucket_count; bucket++) {
        for (size_t i = 0; i < pass->count; i++) {
            uint32_t copy;
            if (b->bucket_of[i] != bucket) {
                continue;
            }
            PS_TRY(add_copy(b, behind, b->gradients->gradient[pass->first + i].bytes,
                            "copy out of bucket", &copy, err));
            if (b->part[bucket] != PS_GRADIENT_NONE) {
                PS_TRY(ps__insertion_dep(&b->insertion, copy, b->part[bucket],
                                         PS_DEP_START_AFTER_END, b->gap_ns, err));
                b->part[bucket] = PS_GRADIENT_NONE;
            }
        }
    }
    return PS_OK;
}

/* Without copies back, what the stream does next waits. */
static ps_code wait_for_rest(ps_ddp_building *b, ps_error *err)
{
    for (size_t bucket = 0; bucket < b->bucket_count && b->next < b->queue_count; bucket++) {
        if (b->part[bucket] != PS_GRADIENT_NONE) {
            PS_TRY(ps__insertion_dep(&b->insertion, b->queue[b->next], b->part[bucket],
                                     PS_DEP_START_AFTER_END, b->gap_ns, err));
        }
    }
    return PS_OK;
}

/* Other threads that waited for the last call of this one wait for what now follows it. */
static void hand_over_later(ps_ddp_building *b, uint32_t behind)
{
    ps_plan *plan = b->insertion.plan;
    for (size_t i = 0; i < b->old_dep_count; i++) {
        if (plan->dep.before[i] == behind && plan->dep.kind[i] == PS_DEP_START_AFTER_END &&
            plan->lane.kind[plan->task.lane[plan->dep.task[i]]] == PS_LANE_HOST &&
            plan->task.lane[plan->dep.task[i]] != plan->task.lane[behind]) {
            plan->dep.before[i] = b->last_host;
        }
    }
}

static void fill_buckets(ps_ddp_building *b, const ps_backward *pass)
{
    const ps_ddp_limits limits =
        b->change->bucket_bytes == 0
            ? ps_ddp_limits_rebuilt()
            : (ps_ddp_limits){b->change->bucket_bytes, b->change->bucket_bytes};
    b->bucket_count = ps_ddp_fill(&b->gradients->gradient[pass->first], pass->count, limits,
                                  b->bucket, b->bucket_of);
}

static ps_code exchange_pass(ps_ddp_building *b, const ps_backward *pass, ps_error *err)
{
    fill_buckets(b, pass);
    if (!b->has_kernels) {
        return PS_OK;
    }
    b->beside_ns = 0;
    PS_TRY(reduce_pass(b, pass, err));
    b->beside_ns = 0; /* what comes next waits for them */
    if (b->gradients->has_buckets) {
        PS_TRY(wait_for_parts(b, pass, err));
    } else if (!b->change->has_views) {
        PS_TRY(copy_back(b, pass, err));
    }
    PS_TRY(wait_for_rest(b, err));
    hand_over_later(b, b->gradients->gradient[pass->first + pass->count - 1].ready_after);
    return PS_OK;
}

/* ---- facts ---- */

static ps_code write_facts(const ps_ddp_building *b, ps_error *err)
{
    ps_plan *plan = b->insertion.plan;
    char text[1024], number[32];
    const size_t last = b->gradients->backward_count - 1;
    (void)snprintf(text, sizeof text,
                   "ddp over %u ranks: %zu gradients in %zu buckets, sizes by %s%s",
                   b->change->ranks, b->gradients->backward[last].count, b->bucket_count,
                   b->gradients->how, b->has_kernels ? "" : "; memory alone, no kernels recorded");
    PS_TRY(ps_plan_set_meta(plan, PS_PLAN_META_DATA_PARALLEL, text, err));
    text[0] = '\0';
    for (size_t i = 0; i < b->bucket_count; i++) {
        (void)snprintf(number, sizeof number, "%s%llu", i == 0 ? "" : " ",
                       (unsigned long long)b->bucket[i].bytes);
        if (strlen(text) + strlen(number) < sizeof text) {
            (void)strcat(text, number);
        }
    }
    return ps_plan_set_meta(plan, PS_PLAN_META_BUCKETS, text, err);
}

static ps_code build(ps_ddp_building *b, ps_error *err)
{
    PS_TRY(ps__ddp_prepare(b, err));
    for (size_t i = 0; i < b->gradients->backward_count; i++) {
        PS_TRY(exchange_pass(b, &b->gradients->backward[i], err));
    }
    PS_TRY(write_facts(b, err));
    if (!b->gradients->has_buckets) {
        PS_TRY(ps__ddp_hold_buckets(b, err)); /* while tasks have the rows that gradients name */
    }
    b->insertion.plan->device.stands_for[0] = b->change->ranks;
    return ps__insertion_finish(&b->insertion, err);
}

ps_code ps__data_parallel(ps_plan *plan, const ps_catalogue *catalogue, const ps_hardware_id *gpu,
                          const ps_data_parallel *change, const ps_gradients *gradients,
                          ps_error *err)
{
    ps_ddp_building b = {
        .change = change, .gradients = gradients, .old_dep_count = plan->dep.head.count};
    if (gradients->has_buckets && change->has_views) {
        return ps_fail(
            err, PS_USAGE,
            "the recording is of DistributedDataParallel without gradient_as_bucket_view: "
            "what it would have allocated with it is not recorded");
    }
    ps_code code = PS_OK;
    ps__insertion_init(&b.insertion, plan);
    ps__ddp_read_overlap(&b, catalogue, gpu);
    if (!gradients->has_buckets && gpu != NULL && ps__ddp_has_kernels(plan)) {
        code = ps_cost_create(catalogue, *gpu, NULL, &b.cost, err);
    }
    if (code == PS_OK) {
        code = build(&b, err);
    }
    ps__ddp_release(&b);
    return code;
}
