/* SPDX-License-Identifier: MIT
 *
 * Ranks that one device stands for, made several devices again: where they no
 * longer do the same.
 *
 *   folded     device 0 (of 4 ranks) ── group
 *   unfolded   device 0 (of 3) ──┐
 *              device 1 (of 1) ──┴─ group: its exchanges wait for parts of both
 *
 * Everything of the device is there once for each part; what the group does is
 * there once. Steps stay those of the first part.
 */
#ifndef PS_RUN_UNFOLD_H
#define PS_RUN_UNFOLD_H

#include "plan/plan.h"

/** Tasks of the largest plan that unfolding makes. */
#define PS_UNFOLD_MAX_TASKS ((size_t)1 << 24)

/** Ranks that stay together: they get one device. */
typedef struct ps_unfold_part {
    uint32_t first_rank, ranks;
} ps_unfold_part;

/**
 * Makes a plan of the same job in which a device stands for each part.
 *
 * @param plan         checked, of one device and at most one group of ranks
 * @param part         one or more; their ranks sum to those that the device stands for
 * @param with_memory  false: only what times depend on; texts and facts are left out too
 * @param out          owned by the caller; written only on PS_OK
 * @return PS_OK · PS_USAGE several devices or groups: nobody can tell whose part meets whose ·
 *         PS_LIMIT more than PS_UNFOLD_MAX_TASKS · PS_NOMEM
 */
ps_code ps_plan_unfold(const ps_plan *plan, const ps_unfold_part *part, size_t part_count,
                       bool with_memory, ps_plan **out, ps_error *err) PS_MUST_USE;

#endif
