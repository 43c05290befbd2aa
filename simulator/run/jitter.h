/* SPDX-License-Identifier: MIT
 *
 * How long steps take when no two devices are equally fast at any moment.
 *
 *   computation of rank r in step s of draw d:  length x (1 + jitter x z(r, s, d))
 *
 * with z of mean 0 and standard deviation 1, nearly normal (a sum of twelve
 * uniform numbers), drawn from the seed and the three numbers alone. Ranks
 * that meet in collectives wait for the slowest, so the median grows with
 * their number, and the 95th percentile tells what the unlucky steps take.
 */
#ifndef PS_RUN_JITTER_H
#define PS_RUN_JITTER_H

#include "plan/plan.h"

typedef struct ps_jitter {
    uint64_t deviation; /* [millionths] standard deviation of a step's computation on a rank */
    uint64_t seed;
    uint32_t draws; /* 1 or more */
} ps_jitter;

/** Over all steps but the first of all draws (of the first too where it is the only one). */
typedef struct ps_jitter_times {
    ps_ns median_ns, p95_ns;
} ps_jitter_times;

/**
 * Simulates a plan `draws` times with disturbed computation.
 *
 * Ranks that one device stands for are drawn one by one.
 *
 * @param plan  checked
 * @return PS_OK · PS_USAGE ranks that cannot be parted (unfold.h) · PS_LIMIT too many tasks or
 *         draws · PS_NOMEM
 * Cost: draws x a run.
 */
ps_code ps_run_jitter(const ps_plan *plan, const ps_jitter *jitter, ps_jitter_times *out,
                      ps_error *err) PS_MUST_USE;

/** [millionths] factor of a length; at least a tenth. The same everywhere. */
uint64_t ps_jitter_factor(const ps_jitter *jitter, uint32_t rank, uint32_t step, uint32_t draw);

#endif
