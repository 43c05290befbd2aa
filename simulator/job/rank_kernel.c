/* SPDX-License-Identifier: MIT
 *
 * Kernels of a rank and its parts in collectives, which last as long as their
 * exchange says. What runs beside computation on the main lane makes that longer:
 *
 *   main lane      kernel ─────────────── kernel ── join
 *   communicator     exchange ─────────────────┘      a share of the time beside it
 *                    kernel that moves memory ─┘      all of it
 */
#include "base/memory.h"
#include "job/rank_parts.h"

typedef ps_rank_lowering lowering;

/* ---- beside one another ---- */

/* From here on the main lane computes beside an exchange, until it waits for it. */
static ps_code begin_beside(lowering *self, size_t op, ps_error *err)
{
    const ps_job_groups *groups = self->what->groups;
    const uint32_t rank = self->what->rank;
    const uint32_t span = ps__job_span_of(groups, self->from, (uint32_t)op, rank);
    ps_ns *beside_ns = &self->beside_ns[self->from->op.lane[op]];
    ps_exchange_cost cost;
    if (span == PS_JOB_NONE) {
        return PS_OK;
    }
    const uint32_t group = groups->group_of[(size_t)span * groups->grid.ranks + rank];
    const ps_exchange exchange = ps__job_exchange(groups, group, self->from, (uint32_t)op);
    PS_TRY(ps__job_exchange_cost(self->what->costs, &exchange, &cost, err));
    *beside_ns = ps_time_add(*beside_ns, ps__job_exchange_ns(&cost));
    return PS_OK;
}

/* As much of what is left as fits beside a computation of that length. */
static ps_ns take(ps_ns *left_ns, ps_ns dur_ns)
{
    const ps_ns shared_ns = *left_ns < dur_ns ? *left_ns : dur_ns;
    *left_ns -= shared_ns;
    return shared_ns;
}

/* What exchanges beside a computation cost it. */
static ps_ns held_up(lowering *self, ps_ns dur_ns)
{
    ps_ns longer_ns = 0;
    for (size_t lane = PS_WORKLOAD_GROUP; lane < PS_WORKLOAD_LANE_COUNT; lane++) {
        const ps_ns shared_ns = take(&self->beside_ns[lane], dur_ns);
        if (shared_ns > 0) { /* mostly it is not, and the division is a long one */
            longer_ns = ps_time_add(
                longer_ns, (ps_ns)ps_mul_div_u64((uint64_t)shared_ns,
                                                 self->what->costs->overlap_cost, PS_RATIO_ONE));
        }
    }
    return longer_ns;
}

/*
 * Kernels of communicators' lanes that move memory leave less of the device to the main lane's, as
 * much as they last. Where hosts are in the model: elsewhere these lanes have little else than
 * collectives.
 */
static ps_ns shared_with(lowering *self, ps_ns dur_ns)
{
    ps_ns longer_ns = 0;
    for (size_t lane = PS_WORKLOAD_GROUP; lane < PS_WORKLOAD_WORKER; lane++) {
        longer_ns = ps_time_add(longer_ns, take(&self->owed_ns[lane], dur_ns));
    }
    return longer_ns;
}

/* ---- durations ---- */

/* A slower device takes longer for what it computes. */
static ps_ns slowed(const lowering *self, ps_ns dur_ns)
{
    return self->what->speed_permille == PS_JOB_FULL_SPEED
               ? dur_ns
               : (ps_ns)ps_mul_div_u64((uint64_t)dur_ns, PS_JOB_FULL_SPEED,
                                       self->what->speed_permille);
}

static ps_cost_phase host_phase_of(ps_phase phase)
{
    switch (phase) {
    case PS_PHASE_BACKWARD:
        return PS_COST_BACKWARD;
    case PS_PHASE_OPTIMIZER:
        return PS_COST_OPTIMIZER;
    case PS_PHASE_UNKNOWN:
    case PS_PHASE_FORWARD:
        break;
    }
    return PS_COST_FORWARD;
}

static ps_ns host_ns(const lowering *self, size_t i)
{
    const ps_workload_op_table *op = &self->from->op;
    const uint32_t launches = op->launches[i] > 0 ? op->launches[i] : 1;
    return ps_time_add(
        ps_cost_host_ns(self->target->host, host_phase_of((ps_phase)op->phase[i]), launches),
        ps_cost_dispatch_ns(self->target->host, op->dispatches[i]));
}

/* ... beside what runs on other lanes, to which it adds itself. */
static ps_ns device_ns(lowering *self, size_t i)
{
    const uint8_t lane = self->from->op.lane[i];
    const ps_ns alone_ns = slowed(self, self->what->times->dur_ns[i]);
    if (lane == PS_WORKLOAD_MAIN) {
        const ps_ns longer_ns = ps_time_add(held_up(self, alone_ns), shared_with(self, alone_ns));
        return ps_time_add(alone_ns, longer_ns);
    }
    if (self->what->host->is_known) {
        self->owed_ns[lane] = ps_time_add(self->owed_ns[lane], alone_ns);
    }
    return alone_ns;
}

/* ---- kernels ---- */

static ps_code note_part(ps_job_parts *parts, size_t op, uint32_t task, ps_error *err)
{
    PS_TRY(ps_grow((void **)&parts->part, &parts->capacity, parts->count + 1, PS_RANK_MAX_TASKS,
                   sizeof *parts->part, err));
    parts->part[parts->count++] = (ps_job_part){(uint32_t)op, task};
    return PS_OK;
}

static ps_code add_part(lowering *self, size_t i, uint32_t task, ps_error *err)
{
    self->plan->task.dur_ns[task] = slowed(self, self->what->times->dur_ns[i]);
    self->plan->task.bytes[task] = self->from->op.moved_bytes[i];
    PS_TRY(note_part(self->parts, i, task, err));
    return begin_beside(self, i, err);
}

ps_code ps__rank_kernel(lowering *self, size_t i, size_t event, uint32_t *task, ps_error *err)
{
    const ps_workload_op_table *op = &self->from->op;
    const ps_task_kind kind = op->kind[i] == PS_OP_COLLECTIVE ? PS_TASK_COLLECTIVE : PS_TASK_KERNEL;
    uint32_t host;
    PS_TRY(ps__rank_launch(self, i, event, host_ns(self, i), &host, err));
    /* the first of several launches lets the device begin */
    PS_TRY(ps__rank_launched(self, i, kind, host, self->launch_ns, task, err));
    self->plan->task.basis[*task] = self->what->times->basis[i];
    if (op->collective[i] != PS_COLLECTIVE_NONE) {
        return add_part(self, i, *task, err);
    }
    self->plan->task.dur_ns[*task] = device_ns(self, i);
    return PS_OK;
}
