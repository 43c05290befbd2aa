/* SPDX-License-Identifier: MIT
 *
 * The seam of replay backends: what a machine must do so that a plan can be
 * executed on it.
 *
 * The harness keeps the order; a backend does single pieces of work:
 *
 *   harness, one thread a lane            backend
 *     dependencies, gaps, lags   ──submit──►  kernel, copy, memset, collective
 *     host tasks, waits          ◄──result──  on its lane, in order of submission
 *     allocator requests         ──allocate, release──►  memory of a device
 *
 * A lane of the plan is a lane of the backend: a stream, a queue, a thread.
 * A backend that orders its lanes itself (PS_BACKEND_ORDERED) is given work
 * ahead of time together with the events it must follow; for the others the
 * harness holds work back until it may start.
 *
 * Adding a backend: one .c file with a const table, one line in backends.def,
 * tests, a paragraph of documentation. Tables are const and stateless; state
 * lives in the ps_backend that `open` creates.
 */
#ifndef PS_REPLAY_BACKEND_H
#define PS_REPLAY_BACKEND_H

#include <stdatomic.h>

#include "plan/plan.h"

/** Bumped on any change of the structs below; the registry refuses another. */
#define PS_BACKEND_ABI 1u

/**
 * What a backend can do. Work it cannot do is waived: a kernel stand-in takes
 * its place and is counted.
 */
typedef enum ps_backend_capability {
    /* time passes: work takes its length, the harness runs lanes as threads */
    PS_BACKEND_TIMED = 1u << 0,
    /* really moves the bytes of copies and of tasks that use links */
    PS_BACKEND_COPIES = 1u << 1,
    /* really writes the bytes of memsets */
    PS_BACKEND_FILLS = 1u << 2,
    /* has a collective operation */
    PS_BACKEND_COLLECTIVES = 1u << 3,
    /* all devices take memory from one place */
    PS_BACKEND_SHARED_MEMORY = 1u << 4,
    /* submit may answer QUEUED or BUSY; `wait` is there */
    PS_BACKEND_ASYNC = 1u << 5,
    /* with ASYNC: honours `after` and `gap_ns` of work on streams, and always queues it */
    PS_BACKEND_ORDERED = 1u << 6,
} ps_backend_capability;

/** A backend's state; every backend defines its own. */
typedef struct ps_backend ps_backend;

/** Names submitted work of a lane; given by the backend, never 0. */
typedef uint64_t ps_backend_ticket;

/** The end of work on another lane that queued work must follow. */
typedef struct ps_backend_event {
    uint32_t lane;
    ps_backend_ticket ticket;
} ps_backend_event;

/** What `open` gets. Borrowed until close. */
typedef struct ps_backend_setup {
    const ps_plan *plan;     /* its devices and lanes; checked */
    const atomic_bool *stop; /* becomes true when the run is given up: return soon */
} ps_backend_setup;

/** One piece of work. Borrowed for the call. */
typedef struct ps_backend_work {
    ps_task_kind kind;   /* KERNEL, MEMCPY, MEMSET or COLLECTIVE */
    uint32_t task;       /* row in the plan, for messages */
    uint8_t copy_kind;   /* ps_copy_kind */
    uint8_t memory_kind; /* ps_memory_kind of the host side of a copy */
    const char *name;
    ps_ns dur_ns;     /* [ns] own length, time scale applied, >= 0 */
    uint64_t bytes;   /* [bytes] to move or write, memory scale applied; 0 none */
    bool moves_after; /* true: the bytes move after dur_ns (the plan has links for them);
                            false: moving is part of dur_ns, which is then a lower bound */
    ps_ns gap_ns;     /* ORDERED only: [ns] start not before the lane's previous work + gap */
    const ps_backend_event *after; /* ORDERED only: ends that must have come before the start */
    size_t after_count;
} ps_backend_work;

/** When work was done, on the clock of `now`. */
typedef struct ps_backend_result {
    ps_ns start_ns, end_ns;
    uint64_t moved_bytes; /* [bytes] really moved */
    ps_ns move_ns;        /* [ns] spent moving them */
} ps_backend_result;

typedef enum ps_backend_answer {
    PS_BACKEND_DONE = 0,   /* over; the result is written */
    PS_BACKEND_QUEUED = 1, /* runs by itself; the ticket is written, the result comes from `wait` */
    PS_BACKEND_BUSY = 2,   /* the lane's queue is full: wait for its oldest work, then try again */
} ps_backend_answer;

/** Memory of a device, as the backend names it. */
typedef struct ps_backend_memory {
    void *handle;
    uint64_t bytes;
} ps_backend_memory;

/**
 * One backend. Hooks are mandatory unless they say otherwise. `submit` and
 * `wait` of different lanes run concurrently, as do `allocate` and `release`
 * of different devices; one lane or device has one caller at a time, except
 * that `wait` may run beside `submit` of the same lane.
 */
typedef struct ps_backend_ops {
    uint32_t abi;
    const char *name;    /* unique, kebab-case, shown to users */
    const char *summary; /* one line, no full stop, at most 60 characters */
    uint32_t capabilities;

    /**
     * Makes the machine ready: lanes and devices of the plan, no memory yet.
     * @return PS_OK · PS_NO_DEVICE · PS_NOMEM · PS_UNSUPPORTED the plan cannot be run here
     */
    ps_code (*open)(const ps_backend_setup *setup, ps_backend **out, ps_error *err);

    /** Ends everything; all lanes are idle. NULL is fine. */
    void (*close)(ps_backend *self);

    /** [ns] CLOCK_MONOTONIC, or a device clock translated to it. NULL unless TIMED. */
    ps_ns (*now)(ps_backend *self);

    /**
     * Real memory that can be had now: of one device, or of all together with
     * SHARED_MEMORY (then device is 0). NULL: never short.
     */
    ps_code (*available)(ps_backend *self, uint32_t device, uint64_t *bytes, ps_error *err);

    /**
     * Takes memory, present for sure on return.
     * @param bytes  [bytes] memory scale applied, > 0
     * @return PS_OK · PS_DEVICE_FULL
     */
    ps_code (*allocate)(ps_backend *self, uint32_t device, uint64_t bytes, ps_backend_memory *out,
                        ps_error *err);

    void (*release)(ps_backend *self, uint32_t device, ps_backend_memory memory);

    /**
     * Starts work on a lane; every dependency that is not in work->after holds.
     *
     * @param answer  DONE always, unless ASYNC
     * @param result  written with DONE
     * @param ticket  written with QUEUED
     * @return PS_OK · any failure, which ends the run. Failures of queued work surface at `wait`
     */
    ps_code (*submit)(ps_backend *self, uint32_t lane, const ps_backend_work *work,
                      ps_backend_answer *answer, ps_backend_ticket *ticket,
                      ps_backend_result *result, ps_error *err);

    /**
     * Sleeps until queued work is over; tickets of a lane are waited for in order. Failures of
     * the work surface here. NULL unless ASYNC.
     */
    ps_code (*wait)(ps_backend *self, uint32_t lane, ps_backend_ticket ticket,
                    ps_backend_result *result, ps_error *err);
} ps_backend_ops;

/** Number of backends in this build. */
size_t ps_backend_count(void);

/** Backend by position, in the order of backends.def. */
const ps_backend_ops *ps_backend_at(size_t index);

/** Backend by name, or NULL. */
const ps_backend_ops *ps_backend_find(const char *name);

/** Verifies a table: abi, name, summary, the hooks its capabilities call for. PS_OK · PS_INTERNAL. */
ps_code ps_backend_check(const ps_backend_ops *ops, ps_error *err) PS_MUST_USE;

#endif
