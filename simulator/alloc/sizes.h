/* SPDX-License-Identifier: MIT
 *
 * Sizes in PyTorch's caching allocator: rounding of requests, choice of the
 * pool, size of a new segment.
 */
#ifndef PS_ALLOC_SIZES_H
#define PS_ALLOC_SIZES_H

#include "alloc/settings.h"
#include "base/checked.h"

#define PS_ALLOC_MIB ((uint64_t)1 << 20)

/** [bytes] granularity and minimum of a block. */
#define PS_ALLOC_GRAIN_BYTES ((uint64_t)512)
/** [bytes] largest rounded request of the small pool; the large pool splits only above it. */
#define PS_ALLOC_SMALL_BYTES PS_ALLOC_MIB
/** [bytes] segment, and page of an expandable segment, in the small pool. */
#define PS_ALLOC_SMALL_SEGMENT_BYTES (2 * PS_ALLOC_MIB)
/** [bytes] from this rounded request on a segment is made to measure. */
#define PS_ALLOC_MADE_TO_MEASURE_BYTES (10 * PS_ALLOC_MIB)
/** [bytes] made-to-measure segments are multiples of this. */
#define PS_ALLOC_SEGMENT_STEP_BYTES (2 * PS_ALLOC_MIB)
/** [bytes] largest request a model accepts; keeps every sum inside 64 bits. */
#define PS_ALLOC_MAX_REQUEST_BYTES ((uint64_t)1 << 62)

/** floor(log2(value)) for value > 0. */
static inline unsigned ps__alloc_log2(uint64_t value)
{
    return 63u - (unsigned)__builtin_clzll(value);
}

/**
 * Step of the grid that a request of this size is rounded on; 0: it is a power of two
 * and stays.
 */
static inline uint64_t ps__alloc_round_step(const ps_alloc_settings *settings, uint64_t bytes)
{
    const unsigned log = ps__alloc_log2(bytes);
    const unsigned size_class = log < 20 ? 0 : log - 20;
    const uint32_t divisions =
        settings->divisions[size_class < PS_ALLOC_DIVISION_CLASSES ? size_class
                                                                   : PS_ALLOC_DIVISION_CLASSES - 1];
    if (divisions <= 1 || bytes <= PS_ALLOC_GRAIN_BYTES * divisions) {
        return PS_ALLOC_GRAIN_BYTES;
    }
    if ((bytes & (bytes - 1)) == 0) {
        return 0;
    }
    const uint64_t step = ((uint64_t)1 << log) / divisions;
    return step == 0 ? (uint64_t)1 << log : step;
}

/** Block size of a request of 1 .. PS_ALLOC_MAX_REQUEST_BYTES. */
static inline uint64_t ps__alloc_round(const ps_alloc_settings *settings, uint64_t bytes)
{
    if (bytes < PS_ALLOC_GRAIN_BYTES) {
        return PS_ALLOC_GRAIN_BYTES;
    }
    const uint64_t step = ps__alloc_round_step(settings, bytes);
    return step == 0 ? bytes : ps_round_up_u64(bytes, step);
}

/** Largest request whose block is no larger than `bytes`; 0 below the minimum. */
static inline uint64_t ps__alloc_round_down(const ps_alloc_settings *settings, uint64_t bytes)
{
    if (bytes < PS_ALLOC_GRAIN_BYTES) {
        return 0;
    }
    const uint64_t step = ps__alloc_round_step(settings, bytes);
    return step == 0 ? bytes : bytes - bytes % step;
}

/** Which pool serves a rounded request. */
static inline bool ps__alloc_is_large(uint64_t rounded_bytes)
{
    return rounded_bytes > PS_ALLOC_SMALL_BYTES;
}

/** [bytes] driver segment made for a rounded request. */
static inline uint64_t ps__alloc_segment_bytes(const ps_alloc_settings *settings,
                                               uint64_t rounded_bytes)
{
    if (!ps__alloc_is_large(rounded_bytes)) {
        return PS_ALLOC_SMALL_SEGMENT_BYTES;
    }
    if (rounded_bytes < PS_ALLOC_MADE_TO_MEASURE_BYTES &&
        rounded_bytes <= settings->large_segment_bytes) {
        return settings->large_segment_bytes;
    }
    return ps_round_up_u64(rounded_bytes, PS_ALLOC_SEGMENT_STEP_BYTES);
}

/** [bytes] physical page of an expandable segment. */
static inline uint64_t ps__alloc_page_bytes(const ps_alloc_settings *settings, bool is_large)
{
    return is_large ? settings->large_segment_bytes : PS_ALLOC_SMALL_SEGMENT_BYTES;
}

#endif
