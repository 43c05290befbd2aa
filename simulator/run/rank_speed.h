/* SPDX-License-Identifier: MIT
 *
 * Ranks whose devices are slower or faster than the others.
 */
#ifndef PS_RUN_RANK_SPEED_H
#define PS_RUN_RANK_SPEED_H

#include "plan/plan.h"

/** One rank's device. */
typedef struct ps_rank_speed {
    uint32_t rank;
    uint64_t speed; /* [millionths] of what the plan says; 1 or more */
} ps_rank_speed;

/**
 * Gives ranks speeds of their own: what their devices compute takes 1 / speed of the time.
 *
 * Ranks that one device stands for are parted as far as their speeds differ (unfold.h).
 *
 * @param plan   replaced by another one where ranks are parted; unusable after a failure
 * @param one_by_one  part all ranks, whether or not they differ
 * @param speed  the other ranks keep theirs; of a rank that stands twice the last one counts
 * @return PS_OK · PS_USAGE a rank that the job has not; ranks that cannot be parted · PS_LIMIT ·
 *         PS_NOMEM
 */
ps_code ps_plan_set_rank_speeds(ps_plan **plan, const ps_rank_speed *speed, size_t count,
                                bool one_by_one, ps_error *err) PS_MUST_USE;

#endif
