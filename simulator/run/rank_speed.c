/* SPDX-License-Identifier: MIT
 *
 * Ranks whose devices are slower or faster than the others.
 */
#include "run/rank_speed.h"

#include "base/memory.h"
#include "base/units.h"
#include "run/run_parts.h"
#include "run/unfold.h"

bool ps__run_is_compute(const ps_plan *plan, size_t task)
{
    switch ((ps_task_kind)plan->task.kind[task]) {
    case PS_TASK_KERNEL:
    case PS_TASK_MEMSET:
        return true;
    case PS_TASK_MEMCPY:
        return plan->task.copy_kind[task] == PS_COPY_DTOD;
    case PS_TASK_HOST:
    case PS_TASK_WAIT:
    case PS_TASK_COLLECTIVE:
    case PS_TASK_EXCHANGE:
    case PS_TASK_CPU:
    case PS_TASK_KIND_COUNT:
        break;
    }
    return false;
}

static uint32_t ranks_of(const ps_plan *plan, uint32_t device)
{
    return plan->device.stands_for[device] > 1 ? plan->device.stands_for[device] : 1;
}

/* The device that a rank has to itself, or UINT32_MAX. */
static uint32_t device_of(const ps_plan *plan, uint32_t rank)
{
    for (uint32_t i = 0; i < plan->device.head.count; i++) {
        if (plan->device.rank[i] == rank && ranks_of(plan, i) == 1) {
            return i;
        }
    }
    return UINT32_MAX;
}

static void change_speed(ps_plan *plan, uint32_t device, uint64_t speed)
{
    for (size_t i = 0; i < plan->task.head.count; i++) {
        if (plan->lane.device[plan->task.lane[i]] == device + 1 && ps__run_is_compute(plan, i)) {
            const uint64_t longer =
                ps_mul_div_u64((uint64_t)plan->task.dur_ns[i], PS_RATIO_ONE, speed);
            plan->task.dur_ns[i] = longer > INT64_MAX ? INT64_MAX : (int64_t)longer;
            plan->task.basis[i] = PS_BASIS_SCALED;
        }
    }
}

/* ---- parting ---- */

/* Rank with a speed of its own: 1 + its last row; 0 none. */
static size_t speed_of(const ps_rank_speed *speed, size_t count, uint32_t rank)
{
    for (size_t i = count; i > 0; i--) {
        if (speed[i - 1].rank == rank) {
            return i;
        }
    }
    return 0;
}

/* The ranks without a speed of their own stay together; each of the others has a part to itself.
 * The part of the lowest rank comes first, so that steps are its. */
static size_t find_parts(const ps_rank_speed *speed, size_t count, bool one_by_one, uint32_t ranks,
                         ps_unfold_part *part)
{
    size_t parts = 0, together = SIZE_MAX;
    for (uint32_t rank = 0; rank < ranks; rank++) {
        if (one_by_one || speed_of(speed, count, rank) > 0) {
            part[parts++] = (ps_unfold_part){rank, 1};
        } else if (together == SIZE_MAX) {
            together = parts;
            part[parts++] = (ps_unfold_part){rank, 1};
        } else {
            part[together].ranks++;
        }
    }
    return parts;
}

static ps_code part_ranks(ps_plan **plan, const ps_rank_speed *speed, size_t count, bool one_by_one,
                          ps_error *err)
{
    const uint32_t ranks = ranks_of(*plan, 0);
    ps_plan *parted;
    ps_unfold_part *part = ps_calloc(one_by_one ? ranks : count + 1, sizeof *part);
    if (part == NULL) {
        return ps_fail_nomem(err);
    }
    const size_t parts = find_parts(speed, count, one_by_one, ranks, part);
    const ps_code code = ps_plan_unfold(*plan, part, parts, true, &parted, err);
    ps_free(part);
    if (code == PS_OK) {
        ps_plan_destroy(*plan);
        *plan = parted;
    }
    return code;
}

static ps_code check_ranks(const ps_plan *plan, const ps_rank_speed *speed, size_t count,
                           ps_error *err)
{
    uint64_t ranks = 0;
    for (uint32_t i = 0; i < plan->device.head.count; i++) {
        ranks += ranks_of(plan, i);
    }
    for (size_t i = 0; i < count; i++) {
        if (speed[i].rank >= ranks && device_of(plan, speed[i].rank) == UINT32_MAX) {
            return ps_fail(err, PS_USAGE, "there is no rank %u: the job has ranks 0 to %llu",
                           speed[i].rank, (unsigned long long)ranks - 1);
        }
    }
    return PS_OK;
}

ps_code ps_plan_set_rank_speeds(ps_plan **plan, const ps_rank_speed *speed, size_t count,
                                bool one_by_one, ps_error *err)
{
    bool is_parted = !one_by_one || ranks_of(*plan, 0) == 1;
    PS_TRY(check_ranks(*plan, speed, count, err));
    for (size_t i = 0; i < count; i++) {
        is_parted = is_parted && device_of(*plan, speed[i].rank) != UINT32_MAX;
    }
    if (!is_parted) {
        PS_TRY(part_ranks(plan, speed, count, one_by_one, err));
    }
    for (size_t i = 0; i < count; i++) {
        if (speed_of(speed, count, speed[i].rank) == i + 1) {
            change_speed(*plan, device_of(*plan, speed[i].rank), speed[i].speed);
        }
    }
    return PS_OK;
}
