/* SPDX-License-Identifier: MIT
 *
 * The discrete-event core: when does each task start and end?
 *
 * It knows lanes, tasks, dependencies and shared links; it does not know what
 * they stand for. A lane runs its tasks in row order, one at a time. A task
 *
 *   starts  at the largest of: end of the lane's previous task + gap,
 *           every awaited edge + lag of its start dependencies
 *   works   dur_ns, then moves its bytes over its links (all at once, at the
 *           max-min fair rate, never above its own rate)
 *   ends    not before the awaited edges + lags of its end dependencies
 *
 * Time is integer nanoseconds; simultaneous events have one legal order
 * (transfers complete, tasks end, tasks start; then by task row), so the same
 * input gives the same output everywhere.
 */
#ifndef PS_ENGINE_ENGINE_H
#define PS_ENGINE_ENGINE_H

#include <stddef.h>

#include "base/checked.h"
#include "base/status.h"

/** Which edge of a task waits for which edge of another; numbers as in plan files. */
typedef enum ps_engine_dep_kind {
    PS_ENGINE_START_AFTER_END = 0,
    PS_ENGINE_START_AFTER_START = 1,
    PS_ENGINE_END_AFTER_END = 2,
    PS_ENGINE_END_AFTER_START = 3,
} ps_engine_dep_kind;

/** Columns, all borrowed for the call. Counts below 2^31. */
typedef struct ps_engine_input {
    size_t lane_count;
    size_t task_count;
    const uint32_t *lane;             /* per task: lane index */
    const int64_t *gap_ns;            /* per task: >= 0 */
    const int64_t *dur_ns;            /* per task: >= 0 */
    const uint64_t *bytes;            /* per task; read only for tasks with transfers */
    const uint64_t *rate_bytes_per_s; /* per task: own cap, 0 none; read only with transfers */
    size_t dep_count;
    const uint32_t *dep_task, *dep_before; /* sorted by dep_task */
    const uint8_t *dep_kind;               /* ps_engine_dep_kind */
    const int64_t *dep_lag_ns;             /* >= 0 */
    size_t link_count;
    const uint64_t *link_bytes_per_s; /* > 0 */
    size_t transfer_count;
    const uint32_t *transfer_task, *transfer_link; /* sorted by transfer_task */
} ps_engine_input;

/** Names a task in the report of a deadlock: writes at most `bytes` bytes, terminated. */
typedef void (*ps_engine_namer)(const void *context, uint32_t task, char *out, size_t bytes);

/**
 * Runs everything once.
 *
 * A transfer takes ceil(bytes / rate) ns at a constant rate; what is left of
 * it at a change of rate is kept exactly. A link that a task names twice is
 * crossed twice. A task without bytes has no transfer.
 *
 * @param start_ns  receives task_count start times, from 0; undefined unless PS_OK
 * @param end_ns    receives task_count end times; undefined unless PS_OK
 * @param namer     optional, with its context
 * @return PS_OK · PS_NOMEM · PS_BAD_INPUT an index out of range, rows not sorted, a negative
 *         time, an end past the range of time · PS_DEADLOCK with a circle of waiting tasks
 * Cost: O(tasks + deps), and for a transfer that starts or ends O(rounds * (links + flows)) over
 *       the links and flows it is connected with; rounds at most the links and limits among them.
 * Threads: any number of runs at a time.
 */
ps_code ps_engine_run(const ps_engine_input *input, ps_engine_namer namer, const void *context,
                      int64_t *start_ns, int64_t *end_ns, ps_error *err) PS_MUST_USE;

#endif
