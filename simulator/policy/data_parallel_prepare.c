/* SPDX-License-Identifier: MIT
 *
 * Where things are in a recorded plan that is put under
 * DistributedDataParallel, and room for what is added.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "lower/lower.h"
#include "policy/data_parallel_parts.h"

ps_code ps__data_parallel_check(const ps_data_parallel *change, const ps_plan *plan, ps_error *err)
{
    if (change->trace == NULL) {
        return ps_fail(err, PS_USAGE,
                       "several GPUs need the recording: a plan does not say which tensors are "
                       "gradients");
    }
    if (plan->device.head.count != 1) {
        return ps_fail(err, PS_USAGE, "the recording is of %zu GPUs, not of one",
                       plan->device.head.count);
    }
    if (change->trace->collective.head.count > 0) {
        return ps_fail(err, PS_USAGE,
                       "the recording is of one rank of several: it has collectives already");
    }
    return PS_OK;
}

bool ps__ddp_has_kernels(const ps_plan *plan)
{
    for (size_t i = 0; i < plan->task.head.count; i++) {
        if (plan->task.kind[i] == PS_TASK_KERNEL) {
            return true;
        }
    }
    return false;
}

/* The stream with most kernels. */
static ps_code find_compute_lane(ps_ddp_building *self, ps_error *err)
{
    const ps_plan *plan = self->insertion.plan;
    size_t most = 0;
    size_t *kernels = ps_calloc(plan->lane.head.count + 1, sizeof *kernels);
    if (kernels == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < plan->task.head.count; i++) {
        kernels[plan->task.lane[i]] += plan->task.kind[i] == PS_TASK_KERNEL;
    }
    for (uint32_t lane = 0; lane < plan->lane.head.count; lane++) {
        if (kernels[lane] > most) {
            most = kernels[lane];
            self->compute = lane;
        }
    }
    ps_free(kernels);
    self->has_kernels = most > 0;
    return PS_OK;
}

static ps_code add_lane(ps_ddp_building *self, ps_lane_kind kind, const char *name, uint32_t *out,
                        ps_error *err)
{
    ps_plan *plan = self->insertion.plan;
    size_t row;
    PS_TRY(ps_plan_add(plan, PS_PLAN_LANE, &row, err));
    plan->lane.kind[row] = (uint8_t)kind;
    plan->lane.device[row] = kind == PS_LANE_STREAM ? plan->lane.device[self->compute] : 0;
    *out = (uint32_t)row;
    return ps_strings_put_z(plan->strings, name, &plan->lane.name[row], err);
}

static ps_code add_lanes(ps_ddp_building *self, ps_error *err)
{
    char name[48];
    (void)snprintf(name, sizeof name, "group of %u ranks", self->change->ranks);
    PS_TRY(add_lane(self, PS_LANE_STREAM, "stream of collectives", &self->reducer, err));
    return add_lane(self, PS_LANE_GROUP, name, &self->group, err);
}

static void find_launches(ps_ddp_building *self)
{
    const ps_plan *plan = self->insertion.plan;
    for (size_t i = 0; i < plan->task.head.count; i++) {
        self->launch[i] = PS_GRADIENT_NONE;
        if (plan->task.lane[i] == self->compute) {
            self->queue[self->queue_count++] = (uint32_t)i;
        }
    }
    for (size_t i = 0; i < plan->dep.head.count; i++) {
        if (plan->dep.kind[i] == PS_DEP_START_AFTER_START &&
            plan->lane.kind[plan->task.lane[plan->dep.before[i]]] == PS_LANE_HOST) {
            self->launch[plan->dep.task[i]] = plan->dep.before[i];
        }
    }
}

static ps_ns fact_ns(const ps_plan *plan, const char *key)
{
    const char *text = ps_plan_meta(plan, key);
    const long long value = text == NULL ? 0 : strtoll(text, NULL, 10);
    return value > 0 ? value : 0;
}

void ps__ddp_read_overlap(ps_ddp_building *self, const ps_catalogue *catalogue,
                          const ps_hardware_id *gpu)
{
    ps_figure figure;
    if (gpu == NULL) {
        return;
    }
    if (!self->change->rates_are_reached &&
        ps_catalogue_get(catalogue, *gpu, PS_FIGURE_COLLECTIVE_DELAY, &figure)) {
        self->collective_delay_ns = (ps_ns)figure.value;
    }
    if (ps_catalogue_get(catalogue, *gpu, PS_FIGURE_OVERLAP_COST, &figure)) {
        self->overlap_cost = figure.value;
    }
}

ps_code ps__ddp_prepare(ps_ddp_building *self, ps_error *err)
{
    const ps_plan *plan = self->insertion.plan;
    const size_t tasks = plan->task.head.count + 1, gradients = self->gradients->count + 1;
    PS_TRY(find_compute_lane(self, err));
    self->rank = ps_calloc(self->change->ranks, sizeof *self->rank);
    self->launch = ps_calloc(tasks, sizeof *self->launch);
    self->queue = ps_calloc(tasks, sizeof *self->queue);
    self->bucket = ps_calloc(gradients, sizeof *self->bucket);
    self->bucket_of = ps_calloc(gradients, sizeof *self->bucket_of);
    self->part = ps_calloc(gradients, sizeof *self->part);
    if (self->rank == NULL || self->launch == NULL || self->queue == NULL || self->bucket == NULL ||
        self->bucket_of == NULL || self->part == NULL) {
        return ps_fail_nomem(err);
    }
    for (uint32_t i = 0; i < self->change->ranks; i++) {
        self->rank[i] = i;
    }
    if (!self->has_kernels) {
        return PS_OK;
    }
    find_launches(self);
    self->device_behind = self->queue[0];
    self->last_device = PS_GRADIENT_NONE;
    self->launch_lag_ns = fact_ns(plan, PS_PLAN_META_LAUNCH_LAG);
    self->gap_ns = fact_ns(plan, PS_PLAN_META_KERNEL_GAP);
    return add_lanes(self, err);
}

void ps__ddp_release(ps_ddp_building *self)
{
    ps__insertion_fini(&self->insertion);
    ps_cost_destroy(self->cost);
    ps_free(self->rank);
    ps_free(self->launch);
    ps_free(self->queue);
    ps_free(self->bucket);
    ps_free(self->bucket_of);
    ps_free(self->part);
}
