/* SPDX-License-Identifier: MIT
 *
 * Lowering: a recorded trace becomes the identity plan, which does again what
 * the process did.
 *
 *   calls ──► host tasks          gap = think time, dur = the call's own cost
 *   kernels, copies, fills ──► device tasks on streams
 *   correlation ──► "kernel starts after its launch + lag"
 *   blocking calls ──► "call ends after that device work + lag"
 *   full launch queue ──► "launch ends after the task one queue length before it"
 *   event record / stream wait ──► dependencies across streams
 *   allocator events ──► buffers and memops in program order
 *   ProfilerStep#N ──► steps
 *
 * Every recorded delay that no dependency explains becomes the lag of the
 * edge that was binding; the other edges get the trace's own typical lags, so
 * that they take over when a what-if moves things. Replaying the plan
 * unchanged therefore gives the recorded times again, and each dependency's
 * origin says whether it was recorded, follows from a rule, or was inferred.
 */
#ifndef PS_LOWER_LOWER_H
#define PS_LOWER_LOWER_H

#include "plan/plan.h"
#include "trace/trace.h"

/**
 * Lowers one trace.
 *
 * @param trace  rows sorted (ps_trace_read, builder take); `memory` may be out of time order
 *               when the clock is unix-ns: it is sorted here, which changes the trace
 * @param out    owned by the caller
 * @return PS_OK · PS_BAD_INPUT nothing that could be simulated, or a recording that contradicts
 *         itself · PS_LIMIT more than 2^31 tasks · PS_NOMEM
 */
ps_code ps_lower_trace(ps_trace *trace, ps_plan **out, ps_error *err) PS_MUST_USE;

/* Well-known keys of a plan's meta table that lowering writes; trace keys are passed on. */
#define PS_PLAN_META_ORIGIN "origin-unix-ns"      /* time of the plan's zero */
#define PS_PLAN_META_QUEUE "launch-queue-entries" /* recovered depth of a full launch queue */
#define PS_PLAN_META_LAUNCH_LAG "typical-launch-lag-ns"
#define PS_PLAN_META_KERNEL_GAP "typical-kernel-gap-ns"

#endif
