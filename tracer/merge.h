/* SPDX-License-Identifier: MIT
 *
 * Traces of several ranks become one, on one clock.
 *
 * All ranks of a collective finish it almost together, so the clock of a rank
 * is off by the median distance of its collectives' ends from those of the
 * first rank; network time is not trusted. What remains is the residual.
 *
 *   device        number of the rank, from 0, times the devices a rank uses, plus its own
 *   correlation,  the rank in the upper 16 bits: numbers of different processes
 *   tid, op_id    never meet
 *   step ranges   of the first rank; those of the others are named "rank 1: ProfilerStep#3"
 */
#ifndef PS_TRACER_MERGE_H
#define PS_TRACER_MERGE_H

#include "trace/trace.h"

/** Ranks that one trace can hold. */
#define PS_MERGE_MAX_RANKS 4096u

/** How one rank was aligned. */
typedef struct ps_merge_rank {
    uint64_t collectives; /* shared with the first rank */
    ps_ns offset_ns;      /* its clock minus the first rank's, taken out */
    ps_ns residual_ns;    /* half of the collectives end closer than that to the first rank's */
} ps_merge_rank;

/**
 * Merges traces.
 *
 * @param traces  in the order of their ranks, at least one; their memory rows keep their order
 * @param ranks   receives one entry a trace
 * @param out     owned by the caller
 * @return PS_OK · PS_LIMIT more than PS_MERGE_MAX_RANKS · PS_NOMEM
 */
ps_code ps_merge_traces(const ps_trace *const *traces, size_t count, ps_merge_rank *ranks,
                        ps_trace **out, ps_error *err) PS_MUST_USE;

#endif
