/* SPDX-License-Identifier: MIT
 *
 * Traces for tests, row by row, and what becomes of them.
 *
 *   trace = trace_new()
 *   put_launch(trace, ...), put_kernel(trace, ...), ...   times from 0
 *   play = play_trace(trace)                              lowers, checks, simulates
 *   play_is(&play, task, start, end), dep_row(...)        what the test says about it
 *   play_end(&play)
 *
 * Every helper fails the test when it cannot do its work. Times given are
 * relative to TRACE_ORIGIN_NS, so a trace whose first event is at 0 has the
 * same times in its plan.
 */
#ifndef PS_TESTS_MAKE_TRACE_H
#define PS_TESTS_MAKE_TRACE_H

#include "support/test.h"

#include "plan/plan.h"
#include "result/result.h"
#include "trace/trace.h"

#define TRACE_ORIGIN_NS ((ps_ns)1700000000000000000)
#define TRACE_PID 77u
#define MAIN_THREAD 1u
#define BACKWARD_THREAD 2u
#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define NO_ROW SIZE_MAX

/** An interval of recorded time. */
typedef struct span {
    ps_ns start, end;
} span;

ps_trace *trace_new(void);

/** Where device work runs. */
typedef struct place {
    uint32_t device;
    uint64_t stream;
} place;

static const place stream_7 = {0, 7};
static const place stream_9 = {0, 9};

/** A host call; correlation 0: it caused no device work. */
void put_call(ps_trace *trace, uint64_t tid, span at, const char *name, uint64_t correlation);
void put_kernel(ps_trace *trace, place where, span at, const char *name, uint64_t correlation);
void put_collective(ps_trace *trace, place where, span at, uint64_t correlation);
void put_fill(ps_trace *trace, place where, span at, uint64_t correlation);

/** What a copy moves; `host` is the kind of its host side. */
typedef struct cargo {
    ps_copy_kind kind;
    ps_memory_kind host;
    uint64_t bytes;
} cargo;

void put_copy(ps_trace *trace, place where, span at, cargo what, uint64_t correlation);

/** A launching call of the main thread together with its kernel. */
void put_launch(ps_trace *trace, span call, place where, span kernel, const char *name,
                uint64_t correlation);

void put_range(ps_trace *trace, uint64_t tid, span at, ps_range_category category,
               const char *name);

/** A "ProfilerStep#N" of the main thread. */
void put_step(ps_trace *trace, span at, unsigned number);

/** Recorded wait of a stream for what another one had been given when `record` was called. */
void put_stream_wait(ps_trace *trace, place waiting, uint64_t correlation, uint64_t record_stream,
                     uint64_t record);

/** An allocator event of the main thread on device 0; returns its row. */
size_t put_memory(ps_trace *trace, ps_ns at, ps_memory_action action, uint64_t bytes,
                  uint64_t addr);
size_t put_alloc(ps_trace *trace, ps_ns at, uint64_t bytes, uint64_t addr);
size_t put_free(ps_trace *trace, ps_ns at, uint64_t bytes, uint64_t addr);

/** A final segment of device 0 and its next block. */
void put_segment(ps_trace *trace, uint64_t addr, uint64_t bytes);
void put_block(ps_trace *trace, uint64_t addr, uint64_t bytes, ps_block_state state);

void put_device(ps_trace *trace, uint32_t ordinal, const char *name, uint64_t memory_bytes);
void put_fact(ps_trace *trace, const char *key, const char *value);

/** A plan and when its tasks run. */
typedef struct play {
    ps_plan *plan;
    ps_ns *start, *end; /* per task */
} play;

/** The plan of a trace, checked. Consumes the trace. */
ps_plan *lower(ps_trace *trace);

/** Lowers, checks and simulates. Consumes the trace. */
play play_trace(ps_trace *trace);

/** Simulates once more, after a test has changed the plan. */
void play_again(play *self);

void play_end(play *self);

/** Row of the nth task of that name, from 0. */
uint32_t task_named(const ps_plan *plan, const char *name, unsigned nth);

/** Asserts the simulated times of a task. */
void play_is(const play *self, uint32_t task, ps_ns start, ps_ns end);

/** Row of the dependency of `task` on `before`, or NO_ROW. */
size_t dep_row(const ps_plan *plan, uint32_t task, uint32_t before);

/** Asserts that there is a dependency and what it says. */
void dep_is(const ps_plan *plan, uint32_t task, uint32_t before, ps_dep_kind kind, ps_ns lag_ns,
            ps_dep_origin origin);

/** Number of dependencies of a task. */
size_t dep_count(const ps_plan *plan, uint32_t task);

/** Simulated time of a step by the plan's rules. */
ps_ns step_time(const play *self, size_t step);

/** Runs a plan; release with ps_result_fini. */
ps_result run_plan(const ps_plan *plan);

/** The result of a run as JSON text; release with free. */
char *json_of(const ps_plan *plan);

/** Next of a fixed sequence; the same everywhere. */
uint64_t next_random(uint64_t *state);

#endif
