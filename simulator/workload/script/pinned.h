/* SPDX-License-Identifier: MIT
 *
 * Pinned host memory as PyTorch's caching allocator of host memory hands it out: each request gets
 * a block of the next power of two, free blocks serve later requests of just their size, and
 * nothing goes back.
 */
#ifndef PS_WORKLOAD_PINNED_H
#define PS_WORKLOAD_PINNED_H

#include "workload/workload.h"

/** Host memory of a request: bytes rounded up; 0 for 0; UINT64_MAX above 2^63. */
uint64_t ps_pinned_bytes(uint64_t bytes);

/** Pinned memory that a workload's program holds at its end, which is the most. Saturates. */
uint64_t ps_pinned_held(const ps_workload *workload);

#endif
