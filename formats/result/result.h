/* SPDX-License-Identifier: MIT
 *
 * A result in memory: what one simulated plan needs and how long it takes.
 *
 * Filled by the simulator, walked by writers, which compute nothing. Texts
 * are ids of the plan's string table, so the plan must outlive the result.
 */
#ifndef PS_RESULT_RESULT_H
#define PS_RESULT_RESULT_H

#include "base/checked.h"
#include "plan/plan.h"
#include "result/steady.h"

#define PS_RESULT_SCHEMA "peakstep.result/1"

/** Columns of the memory chart over the whole plan. */
#define PS_RESULT_CHART_BINS 72u

/** Groups of the breakdown at the peak; the smallest are summed into one last group. */
#define PS_RESULT_MAX_GROUPS 12u

typedef struct ps_result_step {
    ps_str name;
    ps_ns time_ns;     /* on the host thread that carries the step */
    ps_ns recorded_ns; /* 0 unknown */
} ps_result_step;

/** Buffers live at the peak, put together by role where known, else by who allocated them. */
typedef struct ps_result_group {
    ps_role role;
    ps_str label; /* 0: none recorded, or several */
    bool is_rest; /* everything too small for a group of its own */
    uint64_t bytes;
    uint64_t buffer_count;
    uint64_t largest_bytes;
} ps_result_group;

/** One phase of a step on one device; phases of all its micro-batches together. */
typedef struct ps_result_phase {
    ps_ns time_ns;                  /* on the device's host thread, what it waits for included */
    uint64_t begin_allocated_bytes; /* when it begins, at most ... */
    uint64_t end_allocated_bytes;   /* ... and last ends */
    uint64_t peak_allocated_bytes, peak_reserved_bytes;
} ps_result_phase;

/** Requests of one step that did not fit before the cache was released. */
typedef struct ps_result_retry {
    uint64_t count;
    ps_ns wait_ns;           /* of the host, for what freed memory waited for, and for the device */
    uint64_t segments_freed; /* given back to the driver because memory was short */
    uint64_t segments_made_anew; /* by later requests, for which they would have been there */
} ps_result_retry;

/** Time of a device over the whole plan or a step; the first four parts sum to its length. */
typedef struct ps_result_time {
    ps_ns compute_ns;         /* a kernel or fill runs */
    ps_ns collective_ns;      /* a collective runs and no kernel */
    ps_ns copy_ns;            /* a copy runs and nothing of the above */
    ps_ns host_ns;            /* nothing runs: the device waits for the host */
    ps_ns all_copies_ns;      /* copies, hidden ones too: not part of the sum */
    ps_ns all_collectives_ns; /* likewise */
    /* Of collectives whose exchange the plan has: until the last rank has come, and from then on.
     * They sum to all_collectives_ns where none runs beside another and none lacks its exchange. */
    bool has_exchanges;
    ps_ns collective_wait_ns, collective_transfer_ns;
    /* by ps_phase, 0 unknown: lengths of kernels and fills, added up though they may overlap */
    ps_ns phase_ns[PS_PHASE_OPTIMIZER + 1];
} ps_result_time;

/** Why and where memory ran out. */
typedef struct ps_result_oom {
    bool happened;
    size_t memop;  /* row of the refused request */
    ps_ns time_ns; /* simulated */
    ps_str label;
    uint64_t requested_bytes;
    uint64_t segment_bytes; /* what the driver would have had to give */
    uint64_t limit_bytes;
    uint64_t reserved_bytes, allocated_bytes;
    uint64_t free_bytes; /* not allocated: cached or still with the driver */
    uint64_t largest_free_bytes;
    uint64_t missing_bytes;    /* true shortage; 0: fragmentation alone */
    uint64_t fragmented_bytes; /* free in sum but of no use to the request */
    uint64_t would_fit_bytes;  /* largest request that would have been served */
} ps_result_oom;

/** How much of what was recorded came out equal. */
typedef struct ps_result_check {
    uint64_t compared, equal;
} ps_result_check;

/** Host memory that the process of a device asked for. */
typedef struct ps_result_host {
    bool is_used;               /* the plan says where the device's host memory is, or takes some */
    uint64_t peak_bytes;        /* pinned and pageable together */
    uint64_t peak_pinned_bytes; /* as the framework's cache holds it: powers of two */
    uint64_t peak_pageable_bytes;
    uint64_t peak_storage_bytes; /* files on the node's disks; not in peak_bytes */
} ps_result_host;

typedef struct ps_result_node {
    ps_str name;
    uint64_t capacity_bytes; /* 0 unknown */
    uint64_t peak_bytes;     /* of all ranks in it */
    bool fits;
} ps_result_node;

typedef struct ps_result_device {
    uint32_t rank, ordinal;
    uint32_t stands_for; /* ranks that do the same, itself one of them; 0: itself alone */
    ps_str name, allocator;
    uint64_t peak_allocated_bytes, peak_reserved_bytes, peak_active_bytes, peak_requested_bytes;
    uint64_t peak_device_bytes; /* reserved + base */
    uint64_t peak_live_bytes;   /* sum of buffer sizes as in the plan: what replay measures too */
    uint64_t base_bytes;
    ps_basis base_basis;
    uint64_t capacity_bytes; /* 0 unknown */
    uint64_t limit_bytes;    /* 0 none */
    bool fits;
    uint64_t needed_bytes; /* peak on the device if memory were endless */
    ps_ns peak_time_ns;    /* of the allocated peak */
    ps_phase peak_phase;   /* of the host's work at that moment; 0: none, as while loading */
    uint64_t request_count;
    uint64_t unmatched_free_count;
    uint64_t retry_count;
    bool retries_are_modelled; /* times hold what hosts waited for: else the two below are empty */
    ps_ns retry_wait_ns;       /* outside steps too */
    ps_result_retry *retry;    /* per step of the plan */
    ps_result_oom oom;
    ps_result_check allocated_check; /* recorded total after each request */
    ps_result_check address_check;   /* recorded address of each allocation */
    ps_result_group group[PS_RESULT_MAX_GROUPS];
    size_t group_count;
    bool is_scaled; /* another batch or sequence: the two arrays tell what was assumed */
    uint64_t growth_bytes[PS_GROWTH_COUNT], growth_count[PS_GROWTH_COUNT]; /* at the peak */
    uint64_t chart_allocated[PS_RESULT_CHART_BINS]; /* highest in each bin of the makespan */
    uint64_t chart_reserved[PS_RESULT_CHART_BINS];
    ps_result_time time;
    ps_result_time steady; /* of the steady step, where ps_result.steady is known */
    ps_result_host host;
    ps_result_phase (*phase)[PS_PHASE_OPTIMIZER]; /* per step, forward first; NULL where the plan
                                                     does not tell phases of its host's work */
} ps_result_device;

typedef struct ps_result {
    const ps_plan *plan; /* borrowed */
    ps_ns step_time_ns;  /* steady state: see MODEL.md */
    bool has_jitter;     /* steps were also drawn with disturbed computation: their median and 95th
                            percentile */
    ps_ns step_time_median_ns, step_time_p95_ns;
    ps_ns makespan_ns;
    bool is_unsettled; /* waits for refused memory and times did not come to agree: times are those
                          of the last try, or without waits where these kept one another from ending */
    ps_result_step *step;
    size_t step_count;
    ps_result_device *device;
    size_t device_count;
    ps_result_node *node; /* hosts; none where nothing was said of them */
    size_t node_count;
    ps_result_steady steady;
    ps_result_break_even break_even[PS_BREAK_EVEN_COUNT];
    ps_ns basis_ns[PS_BASIS_COUNT]; /* task time by where the figure comes from */
} ps_result;

void ps_result_fini(ps_result *self);

/** Name of a basis, role, growth: kebab-case, static storage. */
const char *ps_basis_name(ps_basis basis);
const char *ps_role_name(ps_role role);
const char *ps_growth_name(ps_growth growth);

/** Receives output text; returns PS_OK or the reason it stopped. */
typedef ps_code (*ps_text_fn)(void *ctx, const char *text, size_t bytes, ps_error *err);

/** Writes the result as one JSON document (docs/FORMAT.md lists the keys). Deterministic. */
ps_code ps_result_write_json(const ps_result *self, ps_text_fn out, void *ctx,
                             ps_error *err) PS_MUST_USE;

#endif
