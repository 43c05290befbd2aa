/* SPDX-License-Identifier: MIT
 *
 * The parts of ps_join_process; shared by the join*.c files only.
 *
 *   join.c              the folder, order of the parts, facts and losses
 *   join_names.c        names of kernels as people read them
 *   join_history.c      the allocator's events, from pickles or from the driver
 *   join_clock.c        one clock, and the thread each event belongs to
 *   join_collectives.c  NCCL's kernels and its list of collectives
 */
#ifndef PS_TRACER_JOIN_PARTS_H
#define PS_TRACER_JOIN_PARTS_H

#include "join.h"

/** [bytes] of a path, its end included. */
#define PS_JOIN_PATH_BYTES 4096

/** Demangles the names of kernels. */
ps_code ps_join_names(ps_trace *trace, ps_error *err) PS_MUST_USE;

/** Appends the history's parts, in order; without any, the driver's own allocations as such. */
ps_code ps_join_history(ps_trace *trace, const char *folder, pid_t pid, ps_error *err) PS_MUST_USE;

/** Brings `memory` onto the clock of the calls, with what is known of the error, and names its threads. */
ps_code ps_join_clock(ps_trace *trace, ps_error *err) PS_MUST_USE;

/** Adds a collective row for every kernel that communicates, with sizes and groups where NCCL kept them. */
ps_code ps_join_collectives(ps_trace *trace, const char *folder, pid_t pid,
                            ps_error *err) PS_MUST_USE;

/** Number in a fact, or the fallback. */
int64_t ps_join_fact(const ps_trace *trace, const char *key, int64_t fallback);

/** Sets a fact that is a number. */
ps_code ps_join_set_fact(ps_trace *trace, const char *key, int64_t value,
                         ps_error *err) PS_MUST_USE;

#endif
