/* SPDX-License-Identifier: MIT
 *
 * PyTorch's allocator settings: the values, their defaults and the text form
 * of PYTORCH_CUDA_ALLOC_CONF ("key:value,key:[a:b,c:d]").
 *
 * Names, units and ranges are PyTorch's own, so a user can paste what the
 * training job was started with. Keys that do not change where a block lands
 * are accepted and kept.
 */
#ifndef PS_ALLOC_SETTINGS_H
#define PS_ALLOC_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

/** Size classes of roundup_power2_divisions: 1 MiB, 2 MiB, ... 32 GiB and above. */
#define PS_ALLOC_DIVISION_CLASSES 16u

/** Unlimited max_split_size. */
#define PS_ALLOC_NO_SPLIT_LIMIT UINT64_MAX

/** Parsed settings. Fill with ps_alloc_settings_init, then parse over it. */
typedef struct ps_alloc_settings {
    /* [bytes] blocks this large are never split; PS_ALLOC_NO_SPLIT_LIMIT off */
    uint64_t max_split_bytes;
    /* [bytes] segment of a request in (1 MiB, 10 MiB); page of an expandable one */
    uint64_t large_segment_bytes;
    /* [bytes] slack allowed when an oversize block is reused */
    uint64_t max_non_split_rounding_bytes;
    double gc_threshold;                           /* share of the allowed memory in (0,1); 0 off */
    double process_fraction;                       /* share of the device in (0,1]; 0 not set */
    uint32_t divisions[PS_ALLOC_DIVISION_CLASSES]; /* by floor(log2(MiB)); 0 and 1 off */
    bool is_expandable;                            /* expandable_segments */
    bool is_async_backend;                         /* backend:cudaMallocAsync */
    /* Kept, without influence on placement. */
    bool release_lock_on_malloc;
    bool graph_capture_record_stream_reuse;
    bool pinned_use_host_register;
    bool pinned_use_background_threads;
    uint32_t pinned_register_thread_count;
    uint64_t pinned_reserve_segment_bytes;
} ps_alloc_settings;

/** PyTorch's defaults. */
void ps_alloc_settings_init(ps_alloc_settings *self);

/**
 * Applies a whole PYTORCH_CUDA_ALLOC_CONF text over the present values.
 *
 * @param self  changed only on PS_OK
 * @param text  "key:value,..."; empty and NULL change nothing
 * @return PS_OK · PS_USAGE unknown key, bad value or bad syntax; the message names key, value and
 *         rule
 */
ps_code ps_alloc_settings_parse(ps_alloc_settings *self, const char *text,
                                ps_error *err) PS_MUST_USE;

/**
 * Applies one setting given as KEY=VALUE or KEY:VALUE.
 *
 * @param self  changed only on PS_OK
 * @return like ps_alloc_settings_parse
 */
ps_code ps_alloc_settings_set(ps_alloc_settings *self, const char *pair, ps_error *err) PS_MUST_USE;

#endif
