/* SPDX-License-Identifier: MIT
 *
 * Stages of changing the number of recorded ranks (private to this folder).
 */
#ifndef PS_POLICY_RANK_CHANGE_PARTS_H
#define PS_POLICY_RANK_CHANGE_PARTS_H

#include "base/idmap.h"
#include "job/network.h"
#include "policy/rank_change.h"

typedef struct ps_rank_changing {
    ps_plan *plan;
    const ps_rank_change *change;
    uint32_t old_ranks;
    uint32_t *task_of;     /* per collective of the trace: its part */
    uint32_t *exchange_of; /* per task: the exchange that it ends with, or NO_TASK */
    bool *is_done;         /* per task: exchanges that were changed */
    ps_idmap shortest;     /* kind and size -> row whose part is the shortest */
    uint32_t *rank;        /* room for the ranks of a group */
    size_t changed;
} ps_rank_changing;

/** Text of the trace. */
const char *ps__rank_change_text(const ps_rank_changing *self, ps_str id);

/** [bytes] that a collective moves: the whole buffer of a rank; 0 unknown. */
uint64_t ps__rank_change_bytes(const ps_rank_changing *self, size_t row);

/** Ranks of a collective's group as recorded. */
uint32_t ps__rank_change_size(const ps_rank_changing *self, size_t row);

/** Kinds whose sizes do not depend on how many ranks there are; PS_COLLECTIVE_NONE of the others. */
ps_collective_op ps__rank_change_op(const char *kind);

/** True when the row's group is data-parallel. */
bool ps__rank_change_is_meant(const ps_rank_changing *self, size_t row);

/** Groups are known, and their collectives can be asked about. PS_OK · PS_USAGE with the reason */
ps_code ps__rank_change_check(const ps_rank_changing *self, ps_error *err) PS_MUST_USE;

#endif
