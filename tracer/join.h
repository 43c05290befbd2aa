/* SPDX-License-Identifier: MIT
 *
 * What one process left in the parts folder becomes one trace.
 *
 *   <pid>.device.pstrace          what CUPTI and the hook's marks gave
 *   <pid>.history.NNNNNN.pickle   allocator history, in parts
 *   <pid>.collectives.json        NCCL's own list of collectives
 *
 * Every part may end anywhere: the process may have been killed. What is there
 * is used, what is missing is counted.
 *
 * The two clocks are joined by what both saw: the segments that PyTorch's
 * allocator took and the driver calls that gave them. The allocator notes a
 * segment right after the call returned, so the shortest of these distances
 * is the clocks' own; the spread of the others is the join's residual error.
 */
#ifndef PS_TRACER_JOIN_H
#define PS_TRACER_JOIN_H

#include <sys/types.h>

#include "trace/trace.h"

/* Facts that joining adds. */
#define PS_META_JOIN_PAIRS "join-segments"         /* segments seen by driver and allocator */
#define PS_META_JOIN_UNSEEN "join-segments-unseen" /* by the allocator alone */
#define PS_META_JOIN_OFFSET "join-offset-ns" /* allocator's clock minus the driver's; taken out */
#define PS_META_JOIN_RESIDUAL "join-residual-ns" /* half of the segments lie closer than that */
#define PS_META_ENDED "ended" /* by-itself | killed : did the process end its recording */
#define PS_META_MEMORY_SOURCE "memory-source" /* allocator | driver : whose events `memory` holds */

/**
 * Joins the parts of one process.
 *
 * @param folder  the parts folder
 * @param out     sorted, sound by ps_trace_check unless the recording itself is not; owned by the caller
 * @return PS_OK · PS_IO · PS_BAD_INPUT a part that is not what its name says · PS_NOMEM
 */
ps_code ps_join_process(const char *folder, pid_t pid, ps_trace **out, ps_error *err) PS_MUST_USE;

/**
 * Process ids that have parts in a folder, ascending.
 *
 * @param out  array of *count; owned by the caller (ps_free)
 */
ps_code ps_join_list(const char *folder, pid_t **out, size_t *count, ps_error *err) PS_MUST_USE;

/** Removes the folder with everything a recording puts there; anything else stays, and the folder with it. */
void ps_join_remove(const char *folder);

#endif
