/* SPDX-License-Identifier: MIT
 *
 * A trace in memory: one table a kind of event, one string table for all.
 *
 *   ps_trace ── strings
 *            ── range, call, kernel, memcpy, memset, collective, sync   (sorted by start)
 *            ── memory                                                   (program order)
 *            ── segment, block                                           (state at the end)
 *            ── device, thread, meta, loss
 *            ── driver_memory                                            (sorted by time)
 *
 * Built by an importer or the tracer through ps_trace_builder, or read whole
 * from a file; afterwards it is not changed and may be shared by threads.
 */
#ifndef PS_TRACE_TRACE_H
#define PS_TRACE_TRACE_H

#include "base/checked.h"
#include "base/strings.h"
#include "base/table.h"
#include "trace/columns.h"

typedef enum ps_range_category {
    PS_RANGE_OTHER = 0,
    PS_RANGE_OPERATOR = 1,       /* framework operator (cpu_op) */
    PS_RANGE_ANNOTATION = 2,     /* user_annotation, ProfilerStep, NVTX */
    PS_RANGE_PYTHON = 3,         /* Python frame or module call */
    PS_RANGE_GPU_ANNOTATION = 4, /* annotation mirrored on a stream: not device work */
    PS_RANGE_OVERHEAD = 5,       /* the profiler's own cost */
    PS_RANGE_PROFILER = 6,       /* cuda_profiler_range and other spans */
} ps_range_category;

typedef enum ps_call_api {
    PS_API_RUNTIME = 0,
    PS_API_DRIVER = 1,
} ps_call_api;

typedef enum ps_copy_kind {
    PS_COPY_UNKNOWN = 0,
    PS_COPY_HTOD = 1,
    PS_COPY_DTOH = 2,
    PS_COPY_DTOD = 3,
    PS_COPY_PTOP = 4,
    PS_COPY_HTOH = 5,
} ps_copy_kind;

typedef enum ps_memory_kind {
    PS_MEMORY_UNKNOWN = 0,
    PS_MEMORY_PAGEABLE = 1,
    PS_MEMORY_PINNED = 2,
    PS_MEMORY_DEVICE = 3,
    PS_MEMORY_ARRAY = 4,
    PS_MEMORY_MANAGED = 5,
    PS_MEMORY_STORAGE = 6, /* disks of the node: plans and workloads alone */
} ps_memory_kind;

typedef enum ps_sync_kind {
    PS_SYNC_UNKNOWN = 0,
    PS_SYNC_EVENT = 1,       /* host waits for an event */
    PS_SYNC_STREAM_WAIT = 2, /* stream waits for an event */
    PS_SYNC_STREAM = 3,      /* host waits for a stream */
    PS_SYNC_DEVICE = 4,      /* host waits for the whole device */
} ps_sync_kind;

typedef enum ps_memory_action {
    PS_ACTION_ALLOC = 0,
    PS_ACTION_FREE = 1,           /* requested and completed at once, or not told apart */
    PS_ACTION_FREE_REQUESTED = 2, /* only when completion is a separate, later event */
    PS_ACTION_FREE_COMPLETED = 3,
    PS_ACTION_SEGMENT_ALLOC = 4,
    PS_ACTION_SEGMENT_FREE = 5,
    PS_ACTION_SEGMENT_MAP = 6,
    PS_ACTION_SEGMENT_UNMAP = 7,
    PS_ACTION_OOM = 8,
    PS_ACTION_SNAPSHOT = 9,
} ps_memory_action;

/* Physical memory of the virtual memory calls is created, mapped at an address, unmapped, released. */
typedef enum ps_driver_action {
    PS_DRIVER_ALLOC = 0,
    PS_DRIVER_FREE = 1,
    PS_DRIVER_CREATE = 2,
    PS_DRIVER_RELEASE = 3,
    PS_DRIVER_MAP = 4,
    PS_DRIVER_UNMAP = 5,
} ps_driver_action;

typedef enum ps_device_kind {
    PS_DEVICE_HOST = 0,
    PS_DEVICE_CUDA = 1,
    PS_DEVICE_HIP = 2,
    PS_DEVICE_OTHER = 3,
} ps_device_kind;

typedef enum ps_block_state {
    PS_BLOCK_INACTIVE = 0,
    PS_BLOCK_ALLOCATED = 1,
    PS_BLOCK_PENDING_FREE = 2,
} ps_block_state;

typedef enum ps_severity {
    PS_SEVERITY_INFO = 0,  /* normal for this kind of recording */
    PS_SEVERITY_LOSS = 1,  /* something happened that the trace does not hold */
    PS_SEVERITY_ERROR = 2, /* the recording contradicts itself */
} ps_severity;

typedef enum ps_trace_table_id {
#define PS_TRACE_TABLE_ENUM(sym, id, name, type, columns, doc) PS_TABLE_##sym,
    PS_TRACE_TABLES(PS_TRACE_TABLE_ENUM)
#undef PS_TRACE_TABLE_ENUM
        PS_TRACE_TABLE_COUNT
} ps_trace_table_id;

#define PS_TRACE_TABLE_STRUCT(sym, id, name, type, columns, doc) PS_TABLE_STRUCT(type, columns);
PS_TRACE_TABLES(PS_TRACE_TABLE_STRUCT)
#undef PS_TRACE_TABLE_STRUCT

/** One trace. Every ps_str in its tables is an id of `strings`. */
typedef struct ps_trace {
    ps_strings *strings;
#define PS_TRACE_TABLE_MEMBER(sym, id, name, type, columns, doc) type name;
    PS_TRACE_TABLES(PS_TRACE_TABLE_MEMBER)
#undef PS_TRACE_TABLE_MEMBER
} ps_trace;

/** Descriptions of all tables, PS_TRACE_TABLE_COUNT of them, in file-id order. */
const ps_table_spec *ps_trace_specs(void);

/** The table of an id inside a trace. */
ps_table_head *ps_trace_table(ps_trace *trace, ps_trace_table_id id);
const ps_table_head *ps_trace_table_const(const ps_trace *trace, ps_trace_table_id id);

/** Empty trace; NULL when out of memory. */
ps_trace *ps_trace_create(void) PS_MUST_USE;

void ps_trace_destroy(ps_trace *trace);

/** Rows of all event tables (range .. memory) together. */
uint64_t ps_trace_event_count(const ps_trace *trace);

/** Appends one row to a table of the trace; see ps_table_add. */
ps_code ps_trace_add(ps_trace *trace, ps_trace_table_id id, size_t *row, ps_error *err) PS_MUST_USE;

/** Sets a fact, replacing an earlier value. */
ps_code ps_trace_set_meta(ps_trace *trace, const char *key, const char *value,
                          ps_error *err) PS_MUST_USE;

/** Value of a fact, or NULL. Borrowed until the trace changes. */
const char *ps_trace_meta(const ps_trace *trace, const char *key);

/* Well-known keys of the meta table. */
#define PS_META_SOURCE "source"                 /* kineto | memory-snapshot | tracer | ... */
#define PS_META_CLOCK "clock"                   /* unix-ns | order */
#define PS_META_MEMORY_SIZES "memory-sizes"     /* requested | block : what memory.bytes means */
#define PS_META_ALLOCATOR_CONF "allocator-conf" /* PyTorch's own setting string */
#define PS_META_RANK "rank"
#define PS_META_WORLD_SIZE "world-size"
#define PS_META_BASE_TIME "base-time-ns" /* Unix time of row time 0; absent: 0 */
#define PS_META_MERGED "merged-ranks"    /* processes in this trace; absent: one */
#define PS_META_TITLE "title"            /* name of the imported file, no folder */

/** In a trace of several processes: bits of tid, op_id and correlations below the process's number. */
#define PS_TRACE_PROCESS_SHIFT 48

/**
 * Adds to a loss counter, creating it at first use.
 *
 * @param name  kebab-case, listed with its meaning in trace/losses.def
 */
ps_code ps_trace_add_loss(ps_trace *trace, const char *name, uint64_t count,
                          ps_error *err) PS_MUST_USE;

#endif
