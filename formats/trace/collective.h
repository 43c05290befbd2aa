/* SPDX-License-Identifier: MIT
 *
 * Which collective is it? By the name a framework or a kernel gives it.
 *
 * A name is compared by its letters only, so "_allgather_base",
 * "allgather_into_tensor" and "AllGather_RING_LL" mean the same.
 */
#ifndef PS_TRACE_COLLECTIVE_H
#define PS_TRACE_COLLECTIVE_H

#include <stddef.h>
#include <stdint.h>

/** Kind of a collective by the name of an operation, such as "all-reduce"; NULL unknown. Static storage. */
const char *ps_collective_kind(const char *text, size_t bytes);

/**
 * Kind of a collective by the name of its kernel; "unknown" when the kernel is one of a
 * communication library and does not say more; NULL when it does not communicate.
 */
const char *ps_collective_of_kernel(const char *name, size_t bytes);

/** [bytes] one element of a type as recorded ("Float", "BFloat16"); 0 unknown. */
uint32_t ps_collective_dtype_bytes(const char *dtype, size_t bytes);

#endif
