/* SPDX-License-Identifier: MIT
 *
 * Working state of lowering one device's memory (private to this folder).
 */
#ifndef PS_LOWER_MEMORY_STAGE_H
#define PS_LOWER_MEMORY_STAGE_H

#include "alloc/history.h"
#include "lower/lowering.h"

/* Open operators of one thread, outermost first. */
typedef struct open_ranges {
    uint32_t *row; /* range rows */
    size_t count, capacity;
} open_ranges;

typedef struct ps_memory_stage {
    ps_lowering *lowering;
    uint32_t device; /* plan row */
    size_t first_buffer;
    bool has_start_state;
    uint64_t older_frees; /* frees of buffers from before the recording */
    ps_idmap live;        /* address, or size where addresses are missing -> buffer */
    ps_idmap pending;     /* address -> buffer whose free waits */
    uint32_t *same_size;  /* per buffer: the next older live one of its size, or PS_NONE */
    size_t same_size_capacity;
    ps_history_input *input; /* what came from outside the allocator, by row */
    size_t input_count, input_capacity, next_input;
    ps_code input_code;
    ps_error *input_err;
    uint32_t *late; /* buffers whose free the next request had to wait for */
    size_t late_count, late_capacity;
    size_t next_range; /* first range not yet opened */
    ps_idmap thread_of_tid;
    open_ranges *threads;
    size_t thread_count, thread_capacity;
} ps_memory_stage;

/**
 * Recovers segments and blocks at the origin from a snapshot, with a buffer
 * for every live block, and finds what came from outside the allocator. A
 * trace without final segments has no start state: PS_OK, nothing changes.
 */
ps_code ps__lower_start_state(ps_memory_stage *stage, ps_error *err) PS_MUST_USE;

/** Who allocated: innermost recorded frame, else the outermost operator open on the thread. */
ps_code ps__lower_label(ps_memory_stage *stage, size_t row, ps_str *out, ps_error *err) PS_MUST_USE;

void ps__lower_labels_fini(ps_memory_stage *stage);

/** Appends a memop at the moment of a memory row. */
ps_code ps__lower_memop(ps_memory_stage *stage, size_t row, ps_memop op, uint32_t buffer,
                        size_t *out, ps_error *err) PS_MUST_USE;

#endif
