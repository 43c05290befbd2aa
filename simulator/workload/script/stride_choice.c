/* SPDX-License-Identifier: MIT
 *
 * The shortest update by stride.
 */
#include "workload/script/stride_choice.h"

#include "base/checked.h"

#define PS_PER_S UINT64_C(1000000000000)

/* Bytes an element: scaled, stepped, narrowed by a thread; its narrow copy up; states one way. */
#define SCALE_AND_STEP 36
#define DOWN_CAST 14
#define NARROW 2
#define STATES 12

static uint64_t later(uint64_t so_far_ps, uint64_t bytes, uint64_t bytes_per_s)
{
    const uint64_t ps = ps_mul_div_u64(bytes, PS_PER_S, bytes_per_s);
    return ps > so_far_ps ? ps : so_far_ps;
}

uint64_t ps_update_time_ps(const ps_update_rates *rates, int64_t stride)
{
    const uint64_t here = (uint64_t)stride - 1; /* sub-groups of the host */
    const uint64_t threads = here * (SCALE_AND_STEP + DOWN_CAST);
    uint64_t ps = later(0, threads + here * NARROW + 2 * STATES, rates->memory_bytes_per_s);
    ps = later(ps, threads, rates->threads_bytes_per_s);
    ps = later(ps, here * NARROW + STATES, rates->upload_bytes_per_s);
    ps = later(ps, STATES, rates->offload_bytes_per_s);
    return ps / (uint64_t)stride;
}

int64_t ps_update_best_stride(const ps_update_rates *rates)
{
    int64_t best = PS_STRIDE_LEAST;
    for (int64_t stride = PS_STRIDE_LEAST + 1; stride <= PS_STRIDE_MOST; stride++) {
        if (ps_update_time_ps(rates, stride) < ps_update_time_ps(rates, best)) {
            best = stride;
        }
    }
    return best;
}
