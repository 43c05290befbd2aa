/* SPDX-License-Identifier: MIT
 *
 * New tasks between those of a plan (private to this folder). They are
 * appended, and then put in their places all at once: rows move, and every
 * table that names tasks follows. Old ones can go at the same time: places and
 * dependencies may name them until then.
 */
#ifndef PS_POLICY_PLAN_INSERT_H
#define PS_POLICY_PLAN_INSERT_H

#include "plan/plan.h"

#define PS_INSERT_NOWHERE UINT32_MAX
#define PS_INSERT_FIRST (UINT32_MAX - 1)

/** Tasks appended to a plan, and where they belong. */
typedef struct ps_insertion {
    ps_plan *plan;
    size_t old_count; /* tasks before the first appended one */
    uint32_t *after;  /* per appended task: the old task behind which it goes, NOWHERE or FIRST */
    size_t capacity;
    bool *drop;        /* per old task: it goes; NULL: none does */
    uint32_t *new_row; /* once finished, per old and appended task: its row, or PS_EDIT_GONE */
} ps_insertion;

/** Begins with the plan's present tasks. Release with ps__insertion_fini. */
void ps__insertion_init(ps_insertion *self, ps_plan *plan);
void ps__insertion_fini(ps_insertion *self);

/**
 * Appends a zeroed task.
 *
 * @param after  an old task of the same lane behind which it goes, after what was appended for
 *               there before; PS_INSERT_NOWHERE: behind all, as on a lane that is new;
 *               PS_INSERT_FIRST: before all
 * @param row    its row until ps__insertion_finish
 */
ps_code ps__insertion_task(ps_insertion *self, uint32_t lane, ps_task_kind kind, uint32_t after,
                           uint32_t *row, ps_error *err) PS_MUST_USE;

/** Appends a dependency; rows are as they stand until ps__insertion_finish. */
ps_code ps__insertion_dep(ps_insertion *self, uint32_t task, uint32_t before, ps_dep_kind kind,
                          ps_ns lag_ns, ps_error *err) PS_MUST_USE;

/** Lets an old task go: see ps__plan_drop_tasks. PS_OK · PS_NOMEM */
ps_code ps__insertion_drop(ps_insertion *self, uint32_t task, ps_error *err) PS_MUST_USE;

/**
 * Moves the tasks to their places, and takes out those that go.
 *
 * @return PS_OK · PS_NOMEM · what ps__plan_drop_tasks says; after a failure the plan is of no use
 */
ps_code ps__insertion_finish(ps_insertion *self, ps_error *err) PS_MUST_USE;

#endif
