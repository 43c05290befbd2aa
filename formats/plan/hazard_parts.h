/* SPDX-License-Identifier: MIT
 *
 * Finding hazards (private to hazards*.c): the accesses become uses, uses and
 * memory requests become questions of order, and answers become hazards.
 */
#ifndef PS_PLAN_HAZARD_PARTS_H
#define PS_PLAN_HAZARD_PARTS_H

#include "plan/hazards.h"
#include "plan/plan_order.h"

#define PS_HAZARD_NONE UINT32_MAX
#define PS_HAZARD_MAX_ROWS ((size_t)1 << 31)

/** What one lane does with one buffer. */
typedef struct ps_hazard_use {
    uint32_t lane;
    uint32_t first, last; /* tasks */
    uint32_t open_read;   /* its last read since the last write on any lane, or NONE */
    bool first_is_write, last_is_write;
    uint32_t next; /* use of another lane, or NONE */
} ps_hazard_use;

/** What is known of a buffer with told accesses. */
typedef struct ps_hazard_life {
    uint32_t buffer;
    uint32_t alloc, free; /* memop rows, or NONE: it lives at the origin, to the end */
    uint32_t use;         /* list */
    uint32_t last_write;  /* task, or NONE */
    uint32_t pool;        /* row of pool its memory belongs to; NONE: host memory */
    uint32_t own_lane;    /* that pool's stream, or NONE */
    uint32_t taken_by;    /* first task of that lane after the ALLOC, or NONE */
    uint32_t back_at;     /* first task of that lane after the FREE, or NONE */
    bool is_at_origin;
} ps_hazard_life;

/** Device memory that one stream asks for. */
typedef struct ps_hazard_pool {
    uint32_t device;
    uint64_t stream, owner, serial;
    uint32_t lane; /* NONE: no task runs on the stream */
    bool has_back; /* something came back */
    uint32_t at;   /* task of the lane that comes next after what came back last, or NONE */
    uint32_t user; /* list: who used, on other lanes, what came back since the task before */
} ps_hazard_pool;

/** The last task of a lane that used memory of a pool. */
typedef struct ps_hazard_user {
    uint32_t task;
    uint32_t next;
} ps_hazard_user;

/** A question, and the hazard there is when the answer is not `should_hold`. */
typedef struct ps_hazard_doubt {
    ps_hazard hazard;
    bool should_hold;
} ps_hazard_doubt;

typedef struct ps_hazard_work {
    const ps_plan *plan;
    ps_plan_order order;
    uint32_t *life_of; /* per buffer: row of life, or NONE */
    ps_hazard_life *life;
    size_t life_count, life_capacity;
    ps_hazard_use *use;
    size_t use_count, use_capacity;
    ps_hazard_pool *pool;
    size_t pool_count, pool_capacity;
    ps_hazard_user *user;
    size_t user_count, user_capacity;
    ps_order_question *question;
    ps_hazard_doubt *doubt; /* of each question */
    size_t question_count, question_capacity, doubt_capacity;
    ps_hazards found;
} ps_hazard_work;

/** Counts a hazard that is certain. */
void ps__hazard_found(ps_hazard_work *self, const ps_hazard *hazard);

/** Asks whether `before` comes before `after`; if that is not what should be, there is a hazard. */
ps_code ps__hazard_ask(ps_hazard_work *self, ps_plan_moment before, ps_plan_moment after,
                       const ps_hazard_doubt *doubt, ps_error *err) PS_MUST_USE;

/** Lives of told buffers, their uses by lane, and accesses that must be behind one another. */
ps_code ps__hazard_accesses(ps_hazard_work *self, ps_error *err) PS_MUST_USE;

/** Accesses against ALLOC and FREE, and against who had the memory before or has it next. */
ps_code ps__hazard_memory(ps_hazard_work *self, ps_error *err) PS_MUST_USE;

/** Finds the pool and the stream of every told buffer. */
ps_code ps__hazard_pools(ps_hazard_work *self, ps_error *err) PS_MUST_USE;

/** A use must be behind something that may have the memory before it. */
ps_code ps__hazard_ask_taken(ps_hazard_work *self, const ps_hazard_life *life,
                             const ps_hazard_use *use, uint32_t before, ps_error *err) PS_MUST_USE;

/** The task before one on a lane; of NONE: the lane's last; NONE where there is none. */
uint32_t ps__hazard_task_before(const ps_hazard_work *self, uint32_t lane, uint32_t task);

/** Told buffers against those whose memory they may get; needs taken_by and back_at. */
ps_code ps__hazard_handed_on(ps_hazard_work *self, ps_error *err) PS_MUST_USE;

#endif
