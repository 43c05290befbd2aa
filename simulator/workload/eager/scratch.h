/* SPDX-License-Identifier: MIT
 *
 * Memory that cub's algorithms work in, as PyTorch 2.6 for CUDA 12 is built for devices of
 * capability 9.0: sizes observed on such a device's stand-in, explained by what cub keeps.
 */
#ifndef PS_WORKLOAD_SCRATCH_H
#define PS_WORKLOAD_SCRATCH_H

#include "workload/eager/eager.h"

/** [bytes] Sorting `count` pairs of 64-bit keys, of which `bits` count, and 64-bit values. */
int64_t ps_scratch_sort_bytes(int64_t count, int64_t bits);

/** Tells the kernels of such a sort. */
void ps_scratch_tell_sort(ps_eager *self, int64_t count, int64_t bits);

/** [bytes] Adding up `count` numbers of 32 bits. */
int64_t ps_scratch_sum_bytes(int64_t count, int64_t sm_count, int64_t threads_per_sm);

/** [bytes] Picking from `count` numbers those that are flagged. */
int64_t ps_scratch_select_bytes(int64_t count);

/** Bits of a key up to `largest`, at least 1. */
int64_t ps_scratch_bits(int64_t largest);

#endif
