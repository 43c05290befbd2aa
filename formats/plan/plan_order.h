/* SPDX-License-Identifier: MIT
 *
 * What happens before what in a plan, whatever the durations: only the order
 * of lanes and the dependencies count, never simulated times.
 *
 *   moment            the start or the end of a task
 *   a comes before b  the start of a task before its end; the end of a lane's
 *                     task before the start of its next; the awaited edge of a
 *                     dependency before the edge that waits (lags only add);
 *                     and whatever follows from these
 *
 * Answers come from vector clocks: each moment knows of every lane how many
 * moments of it lie before. Clocks are made for some lanes at a time, so that
 * the memory stays bounded.
 */
#ifndef PS_PLAN_PLAN_ORDER_H
#define PS_PLAN_PLAN_ORDER_H

#include "plan/plan.h"

/** No task. */
#define PS_ORDER_NONE UINT32_MAX

/** A moment: a task's row * 2, plus 1 for its end. */
typedef uint32_t ps_plan_moment;

static inline ps_plan_moment ps_start_of(uint32_t task)
{
    return task * 2;
}

static inline ps_plan_moment ps_end_of(uint32_t task)
{
    return task * 2 + 1;
}

/** The order of a plan that does not change meanwhile. */
typedef struct ps_plan_order {
    const ps_plan *plan;
    uint32_t *sequence;   /* all moments, each behind those that come before it; tasks * 2 */
    uint32_t *position;   /* per task: its place on its lane, from 0 */
    uint32_t *first_dep;  /* per task, and one more: its first dependency */
    uint32_t *lane_begin; /* per lane, and one more: into lane_task */
    uint32_t *lane_task;  /* tasks lane by lane, in their order */
} ps_plan_order;

/**
 * Finds the order.
 *
 * @param plan  passed by ps_plan_check
 * @param out   release with ps_plan_order_fini; written only on PS_OK
 * @return PS_OK · PS_NOMEM · PS_CHECK_FAILED tasks wait in a circle
 * Cost: O(tasks + deps), about 36 bytes a task and 4 a dependency while it works
 */
ps_code ps_plan_order_make(const ps_plan *plan, ps_plan_order *out, ps_error *err) PS_MUST_USE;

void ps_plan_order_fini(ps_plan_order *self);

/** Does `before` come before `after`, or is it the same moment? */
typedef struct ps_order_question {
    ps_plan_moment before, after;
    bool holds; /* the answer */
} ps_order_question;

/** Which is the first task of a lane that starts after a moment? */
typedef struct ps_order_search {
    ps_plan_moment moment;
    uint32_t lane;
    uint32_t task; /* the answer; PS_ORDER_NONE: none does */
} ps_order_search;

/** [bytes] clocks are held in at most this, or in 8 bytes a task where that is more. */
#define PS_ORDER_CLOCK_BYTES ((size_t)256 << 20)

/**
 * Answers all questions.
 *
 * Cost: O((tasks + deps) * lanes of `before`)
 */
ps_code ps_plan_order_ask(const ps_plan_order *self, ps_order_question *question, size_t count,
                          ps_error *err) PS_MUST_USE;

/** Answers all searches; cost as above, and O(log tasks) each. */
ps_code ps_plan_order_search(const ps_plan_order *self, ps_order_search *search, size_t count,
                             ps_error *err) PS_MUST_USE;

#endif
