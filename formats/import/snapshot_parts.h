/* SPDX-License-Identifier: MIT
 *
 * The parts of the memory snapshot importer and the state they share.
 *
 *   snapshot.c           probe, what each container is, the whole, the end
 *   snapshot_value.c     values with their types
 *   snapshot_event.c     device_traces        -> memory rows
 *   snapshot_segment.c   segments, blocks     -> segment and block rows
 *   snapshot_stack.c     frames               -> texts of call stacks
 *   snapshot_settings.c  allocator_settings   -> allocator-conf
 *   snapshot_range.c     external_annotations -> range rows
 *
 * A dict is recognised by its keys when it is filled, turned into rows or a
 * small record at once, and stands in the pickle from then on as a tag and a
 * node number. Where it ends up is only known later; the lists and the whole
 * check that every row produced belongs where it was found.
 */
#ifndef PS_IMPORT_SNAPSHOT_PARTS_H
#define PS_IMPORT_SNAPSHOT_PARTS_H

#include "base/checked.h"
#include "base/idmap.h"
#include "import/pickle.h"
#include "import/snapshot_words.h"
#include "trace/builder.h"

/** Devices of one process. */
#define PS_SNAPSHOT_DEVICES_MAX 1024u

/** What a container of the pickle is. A list has the tag of its items. */
typedef enum ps_snapshot_tag {
    PS_TAG_NOTHING = 0,
    PS_TAG_FRAME, /* dict node: frame; list node: call stack */
    PS_TAG_EVENT, /* node: device */
    PS_TAG_BLOCK, /* dict node: waiting block; list node: the first of them */
    PS_TAG_SEGMENT,
    PS_TAG_ANNOTATION,
    PS_TAG_HISTORY, /* node: waiting history entry; list node: the first of them */
    PS_TAG_SETTINGS,
    PS_TAG_DIVISIONS,
    PS_TAG_WHOLE,
    PS_TAG_POOL,  /* tuple node: pool id */
    PS_TAG_TRACE, /* list of lists of events; node: 1 when there are events */
    PS_TAG_OTHER, /* not understood; may stand where nothing is looked for */
} ps_snapshot_tag;

/** Call stacks as a tree: a stack is its next inner stack plus one frame. Stack 0 is empty. */
typedef struct ps_snapshot_stacks {
    ps_strings *frames; /* texts of the frames that are kept */
    ps_idmap child;     /* inner stack << 32 | frame -> stack */
    struct ps_snapshot_stack *stack;
    size_t count, capacity;
    char *text; /* scratch of ps_snapshot_stack_put */
    size_t text_capacity;
} ps_snapshot_stacks;

/** Pairs of integers that may be ids of private pools, interned. Pair 0 is the default pool (0, 0). */
typedef struct ps_snapshot_pools {
    ps_idmap number; /* half of an id -> its number */
    ps_idmap pair;   /* numbers of both halves -> pool */
    uint32_t number_count;
    struct ps_snapshot_pool {
        uint64_t owner, serial;
    } * pool;
    size_t count, capacity;
} ps_snapshot_pools;

typedef struct ps_snapshot_event {
    ps_memory_action action;
    bool is_known, has_size, has_time;
    int64_t time_us;
    uint64_t bytes, addr, stream, device_free;
    uint32_t pool, stack;
} ps_snapshot_event;

typedef enum ps_snapshot_clock {
    PS_SNAPSHOT_CLOCK_UNKNOWN,
    PS_SNAPSHOT_CLOCK_UNIX,
    PS_SNAPSHOT_CLOCK_ORDER,
} ps_snapshot_clock;

typedef struct ps_snapshot_events {
    ps_snapshot_clock clock; /* decided by the first event or annotation */
    struct ps_snapshot_device {
        uint64_t event_count;
        ps_ns last_ns;
        bool is_placed; /* its list stands in device_traces at its index */
        bool has_segment;
    } * device;
    size_t device_count, device_capacity;
    uint64_t event_count;
    ps_ns last_ns;    /* latest time seen */
    bool has_pending; /* a free_requested that waits for its free_completed */
    uint32_t pending_device;
    ps_ns pending_ns;
    ps_snapshot_event pending;
} ps_snapshot_events;

typedef struct ps_snapshot_segments {
    struct ps_snapshot_block *block; /* blocks whose segment is not complete */
    size_t block_count, block_capacity;
    struct ps_snapshot_history *history; /* of those blocks, in snapshots of old versions */
    size_t history_count, history_capacity;
    uint32_t segment_count;
} ps_snapshot_segments;

typedef struct ps_snapshot_ranges {
    struct ps_snapshot_range *open; /* begun and not ended */
    size_t open_count, open_capacity;
    uint32_t annotation_count;
} ps_snapshot_ranges;

#define PS_SNAPSHOT_DIVISIONS 16u

typedef struct ps_snapshot_settings {
    bool is_present;
    ps_str conf;              /* text of the pickle; 0 empty or absent */
    uint64_t max_split_bytes; /* UINT64_MAX: no limit */
    double gc_threshold;      /* 0: off */
    bool is_expandable;
    bool has_divisions;
    uint64_t divisions[PS_SNAPSHOT_DIVISIONS]; /* for sizes from 2^index MiB on */
} ps_snapshot_settings;

typedef struct ps_snapshot {
    ps_pickle *pickle;
    const ps_strings *texts;
    ps_trace_builder *out;
    ps_snapshot_stacks stacks;
    ps_snapshot_pools pools;
    ps_snapshot_events events;
    ps_snapshot_segments segments;
    ps_snapshot_ranges ranges;
    ps_snapshot_settings settings;
} ps_snapshot;

/* Reading one pair key, value. `pair` points to the key. Failures name the key. */

/** The key as a word; 0 when it is no text. */
static inline ps_str ps_snapshot_key(const ps_pickle_value *pair)
{
    return pair->type == PS_PICKLE_TEXT ? pair->as.text : PS_WORD_EMPTY;
}

/** The value as an integer >= 0. */
ps_code ps_snapshot_get_u64(const ps_snapshot *self, const ps_pickle_value *pair, uint64_t *out,
                            ps_error *err) PS_MUST_USE;

/** Like it; None counts as 0: old writers leave unknown addresses so. */
ps_code ps_snapshot_get_addr(const ps_snapshot *self, const ps_pickle_value *pair, uint64_t *out,
                             ps_error *err) PS_MUST_USE;

/** The value as a text. */
ps_code ps_snapshot_get_text(const ps_snapshot *self, const ps_pickle_value *pair, ps_str *out,
                             ps_error *err) PS_MUST_USE;

ps_code ps_snapshot_get_bool(const ps_snapshot *self, const ps_pickle_value *pair, bool *out,
                             ps_error *err) PS_MUST_USE;

/** The value as a pool id. */
ps_code ps_snapshot_get_pool(const ps_snapshot *self, const ps_pickle_value *pair, uint32_t *out,
                             ps_error *err) PS_MUST_USE;

/** The value as a call stack; one in an unknown form is counted as lost and reads as empty. */
ps_code ps_snapshot_get_stack(ps_snapshot *self, const ps_pickle_value *pair, uint32_t *out,
                              ps_error *err) PS_MUST_USE;

/** Fails with "KEY is WHAT, expected ...". Always returns PS_BAD_INPUT. */
ps_code ps_snapshot_fail_key(const ps_snapshot *self, const ps_pickle_value *pair,
                             const char *expected, ps_error *err);

/** Number of a pool id, new or known. PS_LIMIT past a million different ones. */
ps_code ps_snapshot_pool_intern(ps_snapshot_pools *pools, uint64_t owner, uint64_t serial,
                                uint32_t *out, ps_error *err) PS_MUST_USE;
void ps_snapshot_pools_fini(ps_snapshot_pools *pools);

/* Call stacks. */
ps_code ps_snapshot_stacks_init(ps_snapshot_stacks *self, ps_error *err) PS_MUST_USE;
void ps_snapshot_stacks_fini(ps_snapshot_stacks *self);
/** Reads a frame dict into its tag and node. */
ps_code ps_snapshot_frame(ps_snapshot *self, ps_pickle_value *dict, const ps_pickle_value *pairs,
                          size_t pair_count, ps_error *err) PS_MUST_USE;
/** Appends frames to the stack that a list stands for. */
ps_code ps_snapshot_frames(ps_snapshot *self, ps_pickle_value *list, const ps_pickle_value *items,
                           size_t count, ps_error *err) PS_MUST_USE;
/** Interns the text of a stack in the chunk under construction. */
ps_code ps_snapshot_stack_put(ps_snapshot *self, uint32_t stack, ps_strings *strings, ps_str *out,
                              ps_error *err) PS_MUST_USE;

/* Events. */
ps_code ps_snapshot_event_read(ps_snapshot *self, ps_pickle_value *dict,
                               const ps_pickle_value *pairs, size_t pair_count,
                               ps_error *err) PS_MUST_USE;
/** Events are appended to the list of a device, or such lists to device_traces. */
ps_code ps_snapshot_events_list(ps_snapshot *self, ps_pickle_value *list,
                                const ps_pickle_value *items, size_t count,
                                ps_error *err) PS_MUST_USE;
ps_code ps_snapshot_traces_list(ps_snapshot *self, ps_pickle_value *list,
                                const ps_pickle_value *items, size_t count,
                                ps_error *err) PS_MUST_USE;
/** The record of a device, created at first use. Borrowed until the next call. */
ps_code ps_snapshot_device_at(ps_snapshot *self, uint64_t device, struct ps_snapshot_device **out,
                              ps_error *err) PS_MUST_USE;
/** Writes what still waits, and the device rows. */
ps_code ps_snapshot_events_finish(ps_snapshot *self, ps_error *err) PS_MUST_USE;

/* Segments. */
ps_code ps_snapshot_segment_read(ps_snapshot *self, const ps_pickle_value *pairs, size_t pair_count,
                                 ps_error *err) PS_MUST_USE;
ps_code ps_snapshot_block_read(ps_snapshot *self, ps_pickle_value *dict,
                               const ps_pickle_value *pairs, size_t pair_count,
                               ps_error *err) PS_MUST_USE;
ps_code ps_snapshot_history_read(ps_snapshot *self, ps_pickle_value *dict,
                                 const ps_pickle_value *pairs, size_t pair_count,
                                 ps_error *err) PS_MUST_USE;

/* Annotations. */
ps_code ps_snapshot_annotation_read(ps_snapshot *self, const ps_pickle_value *pairs,
                                    size_t pair_count, ps_error *err) PS_MUST_USE;
/** Closes the ranges that are still open at the latest time seen. */
ps_code ps_snapshot_ranges_finish(ps_snapshot *self, ps_error *err) PS_MUST_USE;

/* Settings. */
ps_code ps_snapshot_settings_read(ps_snapshot *self, const ps_pickle_value *pairs,
                                  size_t pair_count, ps_error *err) PS_MUST_USE;
/** Reads a dict whose keys are all sizes in MiB: the rounding divisions. false: it is not one. */
bool ps_snapshot_divisions_read(ps_snapshot *self, const ps_pickle_value *pairs, size_t pair_count);
ps_code ps_snapshot_settings_finish(ps_snapshot *self, ps_error *err) PS_MUST_USE;

#endif
