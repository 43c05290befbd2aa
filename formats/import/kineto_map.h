/* SPDX-License-Identifier: MIT
 *
 * From Kineto events to rows of a trace; shared by the kineto_*.c files only.
 *
 *   kineto_map.c         which kind of row an event becomes; text and ids
 *   kineto_host.c        operators, annotations, calls, waits, thread names
 *   kineto_device.c      kernels, copies, fills
 *   kineto_collective.c  communication kernels
 *   kineto_memory.c      allocator events
 *   kineto_outer.c       facts around the list of events, devices
 *
 * String ids of the builder die when a step flushes; nothing here keeps one.
 */
#ifndef PS_IMPORT_KINETO_MAP_H
#define PS_IMPORT_KINETO_MAP_H

#include "base/idmap.h"
#include "import/kineto_event.h"
#include "trace/builder.h"

/** Devices above this ordinal are imported but not listed when the file lists none. */
#define PS_KINETO_MAX_DEVICES 256u

/** Thread id of the row that names a whole process. */
#define PS_KINETO_WHOLE_PROCESS UINT64_MAX

/* X(symbol, counter in losses.def) */
#define PS_KINETO_LOSSES(X)          \
    X(TRACKS, "profiler-tracks")     \
    X(ARROWS, "flow-arrows")         \
    X(UNKNOWN, "unknown-categories") \
    X(MALFORMED, "malformed-events") \
    X(TEXT, "invalid-text")

typedef enum ps_kineto_loss {
#define PS_KINETO_LOSS_ENUM(symbol, name) PS_KINETO_LOSS_##symbol,
    PS_KINETO_LOSSES(PS_KINETO_LOSS_ENUM)
#undef PS_KINETO_LOSS_ENUM
        PS_KINETO_LOSS_COUNT
} ps_kineto_loss;

/** State of one import. */
typedef struct ps_kineto_map {
    ps_trace_builder *out; /* borrowed */
    ps_kineto_words words;
    uint64_t loss[PS_KINETO_LOSS_COUNT];
    uint64_t first_malformed; /* [bytes] offset of the first malformed event */
    uint64_t device_rows;     /* kernels, copies and fills */
    uint64_t memory_rows;
    uint64_t device_seen[PS_KINETO_MAX_DEVICES / 64]; /* bit by ordinal */
    bool is_hip;
    ps_idmap named; /* textual thread ids that have a row */
    char *scratch;
    size_t scratch_capacity;
} ps_kineto_map;

/** Starts in the caller's storage. */
void ps_kineto_map_init(ps_kineto_map *self, ps_trace_builder *out);

void ps_kineto_map_fini(ps_kineto_map *self);

/**
 * Turns one event into rows, or counts it as a loss.
 *
 * @return PS_OK · PS_BAD_INPUT a member of the wrong type, a negative duration · as the builder
 */
ps_code ps_kineto_map_event(ps_kineto_map *self, const ps_kineto_event *event,
                            ps_error *err) PS_MUST_USE;

/**
 * Reads the members around the list, as "[{...}]" with padding, and writes
 * facts, devices and losses. Call once, after the last event.
 */
ps_code ps_kineto_map_outer(ps_kineto_map *self, char *text, size_t bytes,
                            ps_error *err) PS_MUST_USE;

/* ---- for the files of one kind of row ---- */

/** Appends a zeroed row to the chunk under construction. */
ps_code ps_kineto_map_row(ps_kineto_map *self, ps_trace_table_id table, size_t *row,
                          ps_error *err) PS_MUST_USE;

/** The chunk under construction; its arrays move with every new row. */
ps_trace *ps_kineto_map_chunk(ps_kineto_map *self);

/** Room for `bytes` bytes of working text, borrowed until the next call. */
ps_code ps_kineto_map_scratch(ps_kineto_map *self, size_t bytes, char **out,
                              ps_error *err) PS_MUST_USE;

/** Interns text as it is. Longer than a string may be: cut, and counted. */
ps_code ps_kineto_map_intern(ps_kineto_map *self, const char *text, size_t bytes, ps_str *out,
                             ps_error *err) PS_MUST_USE;

/** Interns a member: a string without its escapes, anything else as raw text; "" when absent. */
ps_code ps_kineto_map_string(ps_kineto_map *self, const ps_json_field *field, ps_str *out,
                             ps_error *err) PS_MUST_USE;

/** Counts an event that lacks what its kind needs. */
void ps_kineto_map_malformed(ps_kineto_map *self, const ps_kineto_event *event);

/** Process of an event: its number, or a stable hash of its name. 0 when absent. */
uint32_t ps_kineto_map_pid(const ps_kineto_event *event);

/** Thread of an event: its number, or a stable hash of its name, which then gets a thread row. */
ps_code ps_kineto_map_tid(ps_kineto_map *self, const ps_kineto_event *event, uint64_t *out,
                          ps_error *err) PS_MUST_USE;

/** Device of device work: args.device, else pid. Remembers it. */
uint32_t ps_kineto_map_device(ps_kineto_map *self, const ps_kineto_event *event);

/** Stream of device work: args.stream, else tid. */
uint64_t ps_kineto_map_stream(const ps_kineto_event *event);

ps_code ps_kineto_map_range(ps_kineto_map *self, const ps_kineto_event *event,
                            ps_range_category category, ps_error *err) PS_MUST_USE;
ps_code ps_kineto_map_call(ps_kineto_map *self, const ps_kineto_event *event, ps_call_api api,
                           ps_error *err) PS_MUST_USE;
ps_code ps_kineto_map_sync(ps_kineto_map *self, const ps_kineto_event *event,
                           ps_error *err) PS_MUST_USE;
ps_code ps_kineto_map_names(ps_kineto_map *self, const ps_kineto_event *event,
                            ps_error *err) PS_MUST_USE;
ps_code ps_kineto_map_kernel(ps_kineto_map *self, const ps_kineto_event *event,
                             ps_error *err) PS_MUST_USE;
ps_code ps_kineto_map_memcpy(ps_kineto_map *self, const ps_kineto_event *event,
                             ps_error *err) PS_MUST_USE;
ps_code ps_kineto_map_memset(ps_kineto_map *self, const ps_kineto_event *event,
                             ps_error *err) PS_MUST_USE;
ps_code ps_kineto_map_memory(ps_kineto_map *self, const ps_kineto_event *event, bool is_oom,
                             ps_error *err) PS_MUST_USE;

/** Adds the collective row of a kernel that communicates; nothing for others. `kernel` is its row. */
ps_code ps_kineto_map_collective(ps_kineto_map *self, const ps_kineto_event *event, size_t kernel,
                                 ps_error *err) PS_MUST_USE;

#endif
