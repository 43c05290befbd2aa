/* SPDX-License-Identifier: MIT
 *
 * Pinned host memory as PyTorch's caching allocator of host memory hands it out.
 */
#ifndef PS_WORKLOAD_PINNED_H
#define PS_WORKLOAD_PINNED_H

#include <stdint.h>

/**
 * Host memory that a request for pinned memory takes: the next power of two. Blocks are kept apart,
 * so nothing shares one.
 *
 * @param bytes  of the tensor
 * @return bytes of host memory; 0 for 0; UINT64_MAX above 2^63
 */
uint64_t ps_pinned_bytes(uint64_t bytes);

#endif
