/* SPDX-License-Identifier: MIT
 *
 * Which sub-groups should step on the device: the stride of Deep Optimizer
 * States with the shortest update, by what moves in a round of k sub-groups:
 *
 *   memory of the host   (k - 1) (8 + 28 + 14 + 2) + 24   bytes an element of a sub-group
 *   threads              (k - 1) (8 + 28 + 14)
 *   up to the device     (k - 1) 2 + 12
 *   down from it         12
 *
 * A round lasts as long as the slowest of them; it steps k elements.
 */
#ifndef PS_WORKLOAD_STRIDE_CHOICE_H
#define PS_WORKLOAD_STRIDE_CHOICE_H

#include <stdint.h>

#define PS_STRIDE_LEAST 2
#define PS_STRIDE_MOST 10

/** What one rank has to itself while all update, > 0. */
typedef struct ps_update_rates {
    uint64_t memory_bytes_per_s, threads_bytes_per_s, upload_bytes_per_s, offload_bytes_per_s;
} ps_update_rates;

/** [ps] an element of a rank's part takes with a stride from 2 on. */
uint64_t ps_update_time_ps(const ps_update_rates *rates, int64_t stride);

/** The stride of least time, PS_STRIDE_LEAST to PS_STRIDE_MOST; of equals the smallest. */
int64_t ps_update_best_stride(const ps_update_rates *rates);

#endif
