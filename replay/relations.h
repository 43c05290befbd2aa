/* SPDX-License-Identifier: MIT
 *
 * Every relation that a plan states between moments of a run, read from the
 * plan's tables alone: what the verifier judges and lateness is measured by.
 * Deliberately not the graph the executors work from.
 */
#ifndef PS_REPLAY_RELATIONS_H
#define PS_REPLAY_RELATIONS_H

#include "replay/replay.h"

typedef enum ps_replay_rule {
    PS_REPLAY_RULE_LANE,    /* start after the lane's previous end + gap */
    PS_REPLAY_RULE_DEP,     /* edge after edge + lag */
    PS_REPLAY_RULE_LENGTH,  /* end after start + length */
    PS_REPLAY_RULE_PROGRAM, /* memop after the device's previous one */
    PS_REPLAY_RULE_COURSE,  /* memop within its task, or the gap before it */
} ps_replay_rule;

/** "This happened; it was allowed from then on." */
typedef struct ps_replay_relation {
    ps_replay_rule rule;
    size_t row;        /* LANE, LENGTH: task; DEP: dep; else memop */
    uint32_t task;     /* whose moment happened */
    bool bounds_start; /* it is the start of `task` */
    ps_ns happened_ns, allowed_ns;
    uint64_t happened_order; /* must be above */
    uint64_t after_order;    /* 0: the origin */
} ps_replay_relation;

/** Called per relation. */
typedef void (*ps_replay_relation_fn)(void *context, const ps_replay_relation *relation);

/** Visits all relations of a checked plan, in a fixed order. PS_OK · PS_NOMEM. */
ps_code ps_replay_relations(const ps_plan *plan, const ps_replay_log *log,
                            ps_replay_relation_fn visit, void *context, ps_error *err) PS_MUST_USE;

#endif
