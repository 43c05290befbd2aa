/* SPDX-License-Identifier: MIT
 *
 * Walking one device's requests, in parts (private to this folder):
 *
 *   memory.c           what the result says of it
 *   memory_walk.c      the walk
 *   memory_start.c     its starting state
 *   memory_request.c   one row: what the allocator model is asked
 *   memory_level.c     peaks, the chart, levels of phases
 *   memory_held.c      freed memory that other streams still use
 *   memory_retry.c     what a request that did not fit makes its host wait for
 *   memory_segments.c  ... and which segments are made anew because of it
 *   memory_told.c      ... and what the result tells of it, step by step
 */
#ifndef PS_RUN_MEMORY_WALK_H
#define PS_RUN_MEMORY_WALK_H

#include "alloc/allocator.h"
#include "run/run_parts.h"

/* A free that another stream still holds up. */
typedef enum ps_memory_wait {
    PS_WAIT_NONE = 0,
    PS_WAIT_FROM_ORIGIN, /* requested before the plan begins: counts as live until it ends */
    PS_WAIT_REQUESTED,   /* requested by the plan: no longer live */
} ps_memory_wait;

/** No task. */
#define PS_MEMORY_NO_TASK UINT32_MAX

/* Segments that went back to the driver, and that were made because of that (memory_segments.c). */
typedef struct ps_memory_segments {
    uint64_t freed, made, made_anew; /* for the request at work; made_anew: when it is served */
    uint64_t owed;                   /* given back, and not made anew since */
} ps_memory_segments;

/* Requests that did not fit at first: what their host waits for (memory_retry.c). */
typedef struct ps_memory_retry {
    bool is_modelled;    /* the plan tells what freed memory waits for */
    ps_run_waits *found; /* NULL: nobody asks */
    uint32_t in_task;    /* host task whose requests have waited last */
    uint64_t count;      /* of retries before the request at work */
    bool gave_segments;  /* it gave segments back to the driver */
    uint8_t *gave_pages; /* per lane: ... pages of that stream */
    bool gave_any_pages;
    uint32_t asked_task; /* host task asked after last: one makes many requests */
    ps_ns asked_ns;      /* when its host came to it */
    size_t wait_row;     /* of the times' waits: the first that is not before that task */
    ps_memory_segments segments;
    uint32_t *launcher; /* per task: who hands it over; this and what follows NULL until needed */
    uint32_t *next;     /* per task: the next one on its lane */
    uint32_t *newest;   /* per lane: what was handed over last before the task at work */
    uint32_t *ahead;    /* per lane: the first task behind it */
    size_t *first_hold; /* per buffer and one more: where its tasks begin in hold_task */
    uint32_t *hold_task;
} ps_memory_retry;

typedef struct ps_memory_walk {
    const ps_plan *plan;
    const ps_run_times *times;
    uint32_t device;
    ps_result_device *out;
    ps_allocator *model;
    ps_alloc_handle *handle; /* per buffer; zero: not live */
    uint64_t *block_bytes;   /* per buffer: the block it got, 0 before it was placed */
    uint8_t *wait;           /* per buffer: ps_memory_wait */
    ps_ns *held_until_ns; /* per buffer: when what its free waits for is done, NONE: told by rows */
    uint32_t *held;       /* buffers whose freed memory waits so, in the order of their frees */
    size_t held_count, held_capacity;
    ps_ns first_release_ns;  /* the earliest end of these waits */
    bool own_sizes;          /* recorded sizes are block sizes: they are what counts as allocated */
    bool compares_addresses; /* the plan places segments where they were recorded */
    size_t memop;            /* row at work */
    size_t call_begin;       /* first row after the previous ALLOC: the request's own events */
    size_t next_place;       /* row from which the next PLACE is searched */
    uint64_t base_block_bytes; /* what the unnamed older buffers take, 0 none */
    uint64_t earlier_retries;  /* of a first run that only warmed up */
    uint64_t live_bytes;       /* own sum, base included */
    uint64_t allocated, reserved;
    bool has_peak;
    size_t peak_memop; /* SIZE_MAX: at the origin */
    ps_ns chart_ns;
    ps_ns chart_end_ns; /* before it nothing leaves the bin */
    size_t chart_bin;
    size_t step;            /* of the request at work */
    ps_result_phase *phase; /* ... NULL: none */
    ps_memory_retry retry;
} ps_memory_walk;

/** True when the buffer has a block. */
static inline bool ps__memory_is_placed(const ps_memory_walk *walk, uint32_t buffer)
{
    return walk->handle[buffer].generation != 0 || walk->handle[buffer].block != 0;
}

/* ---- the walk ---- */

/**
 * Creates the model and brings it into the plan's starting state. Close it
 * also after a failure. PS_DEVICE_FULL: not even the start fits.
 *
 * @param is_limited  false: the device's memory is endless
 */
ps_code ps__memory_walk_open(ps_memory_walk *walk, const ps_plan *plan, const ps_run_times *times,
                             uint32_t device, bool is_limited, ps_result_device *out,
                             ps_error *err) PS_MUST_USE;

/** All requests; PS_DEVICE_FULL when one was refused that had not been refused when recorded. */
ps_code ps__memory_walk_run(ps_memory_walk *walk, ps_error *err) PS_MUST_USE;

/** The same requests at the same moments, for what they have hosts wait for alone: neither peaks nor
 *  chart. Fails likewise. */
ps_code ps__memory_walk_ask(ps_memory_walk *walk, ps_error *err) PS_MUST_USE;

void ps__memory_walk_close(ps_memory_walk *walk);

/** The starting state of a walk that is set. */
ps_code ps__memory_start(ps_memory_walk *walk, bool is_limited, ps_error *err) PS_MUST_USE;

/* ---- requests ---- */

/** Does as a row says. PS_DEVICE_FULL: as ps__memory_walk_run */
ps_code ps__memory_request_apply(ps_memory_walk *walk, size_t row, ps_error *err) PS_MUST_USE;

/** Places one buffer; memop SIZE_MAX: before the first request. */
ps_code ps__memory_request_alloc(ps_memory_walk *walk, uint32_t buffer, size_t memop,
                                 ps_error *err) PS_MUST_USE;

/** Ends a deferred free. */
ps_code ps__memory_request_end_free(ps_memory_walk *walk, uint32_t buffer,
                                    ps_error *err) PS_MUST_USE;

/** Notes the first refusal; memop SIZE_MAX: before the first request. */
void ps__memory_request_refuse(ps_memory_walk *walk, size_t memop, ps_str label,
                               const ps_alloc_shortage *why);

/* ---- levels ---- */

/** Takes the present level into peaks and chart; memop SIZE_MAX: at the origin. */
void ps__memory_level_note(ps_memory_walk *walk, size_t memop);

/** The chart goes on to a moment at the level that it has. */
void ps__memory_level_move(ps_memory_walk *walk, ps_ns now);

/** Around a row's request: its moment and phase, and the level that it leaves. */
void ps__memory_level_begin(ps_memory_walk *walk, size_t row);
void ps__memory_level_end(ps_memory_walk *walk, size_t row);

/** What a first run told is forgotten. */
void ps__memory_level_forget(ps_memory_walk *walk);

/* ---- freed memory that is held ---- */

/** Finds until when freed memory is held by the plan's hold rows. Close it also after a failure. */
ps_code ps__memory_held_open(ps_memory_walk *walk, ps_error *err) PS_MUST_USE;
void ps__memory_held_close(ps_memory_walk *walk);

/** A free was requested; nothing where the plan's own rows end it. */
ps_code ps__memory_held_add(ps_memory_walk *walk, uint32_t buffer, ps_error *err) PS_MUST_USE;

/** Ends the frees of what is held no longer than `now`. */
ps_code ps__memory_held_release(ps_memory_walk *walk, ps_ns now, ps_error *err) PS_MUST_USE;

/* ---- requests that do not fit at first ---- */

/** Open it when the walk's plan and device are set; close it also after a failure. */
ps_code ps__memory_retry_open(ps_memory_walk *walk, ps_error *err) PS_MUST_USE;
void ps__memory_retry_close(ps_memory_walk *walk);

/** What a first run told is forgotten. */
void ps__memory_retry_forget(ps_memory_walk *walk);

/** Has the model tell what it gives back. */
void ps__memory_retry_listen(ps_memory_walk *walk, ps_alloc_config *config);

/** When a row's request is made: before what its host task waits for, if none of that task's has waited. */
ps_ns ps__memory_retry_moment(ps_memory_walk *walk, size_t row);

/** Around a request that was served: notes whether, and for what, the host waited. */
void ps__memory_retry_begin(ps_memory_walk *walk);
ps_code ps__memory_retry_end(ps_memory_walk *walk, size_t row, ps_error *err) PS_MUST_USE;

/** Tells of a request of a host task: that it was asked again, and what the task waited for it. */
void ps__memory_retry_tell(ps_memory_walk *walk, uint32_t task, bool retried);

/** Tells of its segments, which it ends the count of. */
void ps__memory_retry_tell_segments(ps_memory_walk *walk, uint32_t task);

/* ---- segments given back ---- */

/** Around a request that was served, of whose segments the allocator tells. */
void ps__memory_segments_begin(ps_memory_segments *self);
void ps__memory_segments_note(ps_memory_segments *self, ps_alloc_event_kind kind);
void ps__memory_segments_end(ps_memory_segments *self);

/** The program emptied its cache: nothing of what went back would be there. */
void ps__memory_segments_emptied(ps_memory_segments *self);

/* ---- what results have of it besides ---- */

/** Times of the phases; memory is noted by the walk. Nothing where the plan does not tell them. */
ps_code ps__run_phases(const ps_plan *plan, const ps_run_times *times, uint32_t device,
                       ps_result_device *out, ps_error *err) PS_MUST_USE;

/** Phases without a request have the level that the one before them left. */
void ps__run_fill_phases(const ps_plan *plan, ps_result_device *out);

/** The phase in which a request is made, NULL: none. `step` ascends from 0 with the requests. */
ps_result_phase *ps__run_phase_at(const ps_plan *plan, const ps_result_device *out, size_t memop,
                                  size_t *step);

/** Groups what was live at the peak. */
ps_code ps__run_breakdown(const ps_memory_walk *walk, ps_error *err) PS_MUST_USE;

#endif
