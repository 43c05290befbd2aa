/* SPDX-License-Identifier: MIT
 *
 * What is in a trace: counts, devices, steps and recorded peaks.
 *
 * Computes what follows from the rows alone. It models nothing: a peak is
 * known only where the recording itself fixes it.
 */
#ifndef PS_TRACE_SUMMARY_H
#define PS_TRACE_SUMMARY_H

#include "trace/trace.h"

/** Categories of ranges and kinds of calls. */
#define PS_RANGE_CATEGORY_COUNT (PS_RANGE_PROFILER + 1)
#define PS_CALL_API_COUNT (PS_API_DRIVER + 1)

/** A size that the recording may not tell. */
typedef struct ps_known_bytes {
    bool is_known;
    uint64_t bytes;
} ps_known_bytes;

/** Allocator events of one place. */
typedef struct ps_memory_counts {
    uint64_t alloc;
    uint64_t free; /* requests; a completion that comes later is not counted again */
} ps_memory_counts;

typedef struct ps_trace_counts {
    uint64_t kernel; /* communication kernels too */
    uint64_t memcpy, memset, collective, sync;
    uint64_t range; /* rows of the range table */
    uint64_t host;  /* rows of the call table */
    uint64_t range_by_category[PS_RANGE_CATEGORY_COUNT];
    uint64_t call_by_api[PS_CALL_API_COUNT];
    ps_memory_counts device_memory, host_memory;
    uint64_t segment_events; /* segments and pages obtained and given back */
    uint64_t oom;
    uint64_t total; /* rows of all event tables */
} ps_trace_counts;

typedef struct ps_summary_device {
    uint32_t ordinal;
    ps_device_kind kind;
    ps_str name;           /* id of the trace's strings; 0 unknown */
    uint64_t memory_bytes; /* 0 unknown */
    uint64_t stream_count; /* streams with work */
    uint64_t kernel_count, memcpy_count, memset_count, memory_count;
    uint64_t segment_count; /* held when the recording ended */
    ps_ns busy_ns;          /* something ran: overlapping work counts once */
    ps_known_bytes peak_allocated, peak_reserved;
} ps_summary_device;

typedef struct ps_summary_step {
    ps_str name;
    ps_ns start_ns, dur_ns;
} ps_summary_step;

typedef struct ps_trace_summary {
    ps_trace_counts count;
    bool has_times;            /* false: the clock tells order only, durations are unknown */
    ps_ns start_ns;            /* of the first event */
    ps_ns duration_ns;         /* first start to last end */
    ps_summary_device *device; /* by ordinal; the host is none */
    size_t device_count, device_capacity;
    ps_summary_step *step; /* ranges "ProfilerStep#N" in time order */
    size_t step_count, step_capacity;
    ps_known_bytes peak_allocated, peak_reserved; /* greatest of any device */
} ps_trace_summary;

/**
 * Summarises a trace.
 *
 * @param trace  tables sorted as ps_trace_read leaves them; borrowed for the call
 * @param out    owned until ps_trace_summary_fini; written only on PS_OK
 * @return PS_OK · PS_NOMEM · PS_LIMIT more devices than any host has
 * Cost: O(rows).
 */
ps_code ps_trace_summarise(const ps_trace *trace, ps_trace_summary *out, ps_error *err) PS_MUST_USE;

void ps_trace_summary_fini(ps_trace_summary *self);

/**
 * Highest bytes allocated and reserved on one device, as recorded.
 *
 *   running totals recorded (Kineto)   their maximum
 *   final blocks recorded (snapshot)   the end state followed back, event by event
 *   neither                            unknown
 *
 * Sizes of snapshot events are what the program asked for; what the allocator
 * left on the blocks is recovered from their addresses. A block older than
 * the recording may have had up to 1 MiB more than is counted here.
 */
ps_code ps_trace_recorded_peaks(const ps_trace *trace, uint32_t device, ps_known_bytes *allocated,
                                ps_known_bytes *reserved, ps_error *err) PS_MUST_USE;

#endif
