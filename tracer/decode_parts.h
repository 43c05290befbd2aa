/* SPDX-License-Identifier: MIT
 *
 * The parts of ps_decode_record; shared by the decode*.c files only.
 *
 *   decode.c        kinds, sizes, names, devices
 *   decode_work.c   calls, kernels, copies, fills, memory of the driver
 *   decode_order.c  events and waits, markers, overhead
 */
#ifndef PS_TRACER_DECODE_PARTS_H
#define PS_TRACER_DECODE_PARTS_H

#include <string.h>

#include "decode.h"
#include "event_ring.h"
#include "text_cache.h"

/** Contexts whose device is remembered; CUPTI numbers them from 1. */
#define PS_DECODE_CONTEXTS 256u

/** A marker that has begun. */
typedef struct ps_open_marker {
    const char *name; /* kept by CUPTI for the whole process */
    ps_ns start_ns;
    uint32_t tid;
} ps_open_marker;

/** A wait whose event's recording is not known yet. */
typedef struct ps_held_wait {
    uint64_t key;
    ps_ns start_ns, dur_ns;
    uint64_t stream, correlation;
    uint32_t context, event_id;
    uint8_t kind;
} ps_held_wait;

struct ps_decoder {
    ps_ns base_ns;
    ps_call_name_fn name_of;
    void *context;
    ps_text_cache texts;
    ps_event_ring events;    /* recordings of events by their keys */
    ps_event_ring externals; /* external ids, in `stream`, by correlation */
    uint64_t external_count;
    uint32_t device_of_context[PS_DECODE_CONTEXTS];
    ps_open_marker *open; /* by marker id through open_by_id; freed slots are reused */
    size_t open_count, open_capacity;
    ps_idmap open_by_id;
    ps_held_wait *held;
    size_t held_count, held_capacity;
};

static inline uint32_t ps_record_u32(const unsigned char *record, unsigned at)
{
    uint32_t value;
    memcpy(&value, record + at, sizeof value);
    return value;
}

static inline uint64_t ps_record_u64(const unsigned char *record, unsigned at)
{
    uint64_t value;
    memcpy(&value, record + at, sizeof value);
    return value;
}

/** Remembers the device of a context: work names both, waits the context only. */
static inline void ps_decode_context(ps_decoder *self, uint32_t context, uint32_t device)
{
    if (context < PS_DECODE_CONTEXTS) {
        self->device_of_context[context] = device;
    }
}

/** A text that CUPTI keeps for the whole process. */
static inline const char *ps_record_text(const unsigned char *record, unsigned at)
{
    const char *text;
    memcpy(&text, record + at, sizeof text);
    return text;
}

/** Interned id of a text by its address; NULL is the empty text. */
ps_code ps_decode_name(ps_decoder *self, ps_trace *chunk, const char *name, ps_str *id,
                       ps_error *err) PS_MUST_USE;

/** Begin and length of a record; false when CUPTI could not take the times. */
bool ps_decode_span(const ps_decoder *self, const unsigned char *record, unsigned start_at,
                    unsigned end_at, ps_ns *start_ns, ps_ns *dur_ns);

/** Counts work without a usable time. */
ps_code ps_decode_missing_time(ps_trace *chunk, ps_error *err) PS_MUST_USE;

/** External id that was on top when the call of a correlation was made; 0 none. */
uint64_t ps_decode_op_id(const ps_decoder *self, uint64_t correlation);

ps_code ps_decode_call(ps_decoder *self, ps_trace *chunk, const unsigned char *record,
                       ps_call_api api, ps_error *err) PS_MUST_USE;
ps_code ps_decode_kernel(ps_decoder *self, ps_trace *chunk, const unsigned char *record,
                         size_t bytes, ps_error *err) PS_MUST_USE;
ps_code ps_decode_memcpy(ps_decoder *self, ps_trace *chunk, const unsigned char *record,
                         ps_error *err) PS_MUST_USE;
ps_code ps_decode_peer_copy(ps_decoder *self, ps_trace *chunk, const unsigned char *record,
                            ps_error *err) PS_MUST_USE;
ps_code ps_decode_memset(ps_decoder *self, ps_trace *chunk, const unsigned char *record,
                         ps_error *err) PS_MUST_USE;
ps_code ps_decode_driver_memory(ps_decoder *self, ps_trace *chunk, const unsigned char *record,
                                ps_error *err) PS_MUST_USE;
ps_code ps_decode_event(ps_decoder *self, const unsigned char *record, size_t bytes,
                        ps_error *err) PS_MUST_USE;
ps_code ps_decode_sync(ps_decoder *self, ps_trace *chunk, const unsigned char *record, size_t bytes,
                       ps_error *err) PS_MUST_USE;
ps_code ps_decode_marker(ps_decoder *self, ps_trace *chunk, const unsigned char *record,
                         ps_error *err) PS_MUST_USE;
ps_code ps_decode_overhead(ps_decoder *self, ps_trace *chunk, const unsigned char *record,
                           ps_error *err) PS_MUST_USE;

#endif
