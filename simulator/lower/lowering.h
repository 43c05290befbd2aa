/* SPDX-License-Identifier: MIT
 *
 * Working state shared by the stages of lowering (private to this folder).
 *
 * Task rows are host tasks [0, host_count), then device tasks in order of
 * recorded start; within a lane rows ascend by recorded start.
 */
#ifndef PS_LOWER_LOWERING_H
#define PS_LOWER_LOWERING_H

#include "base/idmap.h"
#include "lower/lower.h"

#define PS_NONE UINT32_MAX

/* Recorded facts of one device lane, in row order of its tasks. */
typedef struct lane_queue {
    uint32_t *task; /* rows of the lane's tasks */
    size_t count, capacity;
} lane_queue;

typedef struct ps_lowering {
    ps_trace *trace;
    ps_plan *plan;
    ps_ns origin_ns;
    size_t host_count;
    uint32_t process_count;       /* of a merged recording; 1: one process */
    int64_t *rec_start, *rec_end; /* per task: recorded, from the origin */
    size_t rec_capacity;
    uint32_t *launch; /* per device task (row - host_count): launching host task, or PS_NONE */
    size_t launch_capacity;
    ps_idmap host_of_correlation;
    ps_idmap host_lane_of_tid; /* newest lane of a tid; older ones through lane_next */
    uint32_t *lane_pid;        /* per lane: process id of host lanes */
    uint32_t *lane_next;       /* per lane: next lane with the same tid, or PS_NONE */
    size_t lane_pid_capacity, lane_next_capacity;
    lane_queue *queue; /* per lane */
    size_t queue_capacity;
    uint64_t contradictions; /* device work that began before its launching call */
    ps_ns typical_launch_lag_ns, typical_gap_ns;
    uint32_t *turn; /* per host task: task of the thread that hands over to it, or PS_NONE */
    size_t turn_capacity;
    uint32_t *cross;       /* per device task: a task of another stream it waits for, or PS_NONE */
    uint8_t *cross_origin; /* ps_dep_origin of that */
    size_t cross_capacity, cross_origin_capacity;
    uint32_t *collective_task; /* per row of the trace's collectives: its task, or PS_NONE */
    size_t collective_task_capacity;
} ps_lowering;

/* ---- stages, in order ---- */

/** Host lanes and tasks from calls; threads that only allocate or mark steps get one long task. */
ps_code ps__lower_host(ps_lowering *self, ps_error *err) PS_MUST_USE;

/** Devices, stream lanes and device tasks with their launching host task. */
ps_code ps__lower_device(ps_lowering *self, ps_error *err) PS_MUST_USE;

/** Finds waits between streams: synchronisation records, else event record / stream wait call pairs. */
ps_code ps__lower_streams(ps_lowering *self, ps_error *err) PS_MUST_USE;

/** Gaps and launch lags: divides each recorded delay among the edges that explain it. */
ps_code ps__lower_lags(ps_lowering *self, ps_error *err) PS_MUST_USE;

/** Blocking calls and the full launch queue. */
ps_code ps__lower_waits(ps_lowering *self, ps_error *err) PS_MUST_USE;

/** Hand-overs between host threads that take turns. */
ps_code ps__lower_turns(ps_lowering *self, ps_error *err) PS_MUST_USE;

/**
 * What the ranks of a collective do together, and when: each is matched over its ranks, and what
 * is waiting for the last one parts from the transfer.
 */
ps_code ps__lower_exchanges(ps_lowering *self, ps_error *err) PS_MUST_USE;

/** Buffers, memops and the allocator's state at the origin. */
ps_code ps__lower_memory(ps_lowering *self, ps_error *err) PS_MUST_USE;

/** Steps, or one step for the whole recording. */
ps_code ps__lower_steps(ps_lowering *self, ps_error *err) PS_MUST_USE;

/* ---- helpers ---- */

/** Lane of a host thread, or PS_NONE. */
uint32_t ps__lower_find_lane(const ps_lowering *self, uint32_t pid, uint64_t tid);

/** Appends a dependency row (sorted later). */
ps_code ps__lower_add_dep(ps_lowering *self, uint32_t task, uint32_t before, ps_dep_kind kind,
                          ps_ns lag_ns, ps_dep_origin origin, ps_error *err) PS_MUST_USE;

/** A moment of a host lane: which task, and how long after its start. */
typedef struct ps_moment {
    uint32_t task;
    ps_ns offset_ns;
} ps_moment;

/**
 * Anchors a recorded time to a task of a lane: inside a task, or before the
 * next one (negative offset), or after the last. Before a hand-over the next
 * task is not the thread's own future yet: such a moment counts as the end of
 * the task before.
 */
ps_moment ps__lower_moment(const ps_lowering *self, uint32_t lane, ps_ns time_ns);

/**
 * Which of the processes of a merged recording a lane is of: its number among them. 0 in a
 * recording of one process. Threads and events of different processes have nothing to do with one
 * another, however close in time they are.
 */
uint32_t ps__lower_process(const ps_lowering *self, uint32_t lane);

/** Plan row of a device ordinal, or PS_NONE. */
uint32_t ps__lower_device_row(const ps_lowering *self, uint32_t ordinal);

/** True for the name of a training step's annotation: "ProfilerStep#12". */
bool ps__lower_is_step_name(const char *name);

/** Process of a thread that has a lane, else 0: memory rows carry no process id. */
uint32_t ps__lower_pid_of_thread(const ps_lowering *self, uint64_t tid);

/** Adds a loss counter to the plan; nothing when the count is 0. */
ps_code ps__lower_add_loss(ps_lowering *self, const char *name, ps_severity severity,
                           uint64_t count, ps_error *err) PS_MUST_USE;

/** Copies a trace string into the plan. */
ps_code ps__lower_text(ps_lowering *self, ps_str id, ps_str *out, ps_error *err) PS_MUST_USE;

/** Appends a task row and its recorded times; lane queues follow. */
ps_code ps__lower_add_task(ps_lowering *self, uint32_t lane, ps_ns start_ns, ps_ns end_ns,
                           size_t *row, ps_error *err) PS_MUST_USE;

/** Appends a lane row. */
ps_code ps__lower_add_lane(ps_lowering *self, ps_lane_kind kind, uint32_t device, uint64_t number,
                           const char *name, uint32_t *out, ps_error *err) PS_MUST_USE;

#endif
