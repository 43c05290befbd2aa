/* SPDX-License-Identifier: MIT
 *
 * What tests say of a recorded plan beside what a policy made of it.
 */
#ifndef PS_TESTS_RECORDED_PLANS_H
#define PS_TESTS_RECORDED_PLANS_H

#include "support/test.h"

#include "plan/plan.h"
#include "policy/offload.h"
#include "policy/whatif.h"

/** Recorded work is measured, what was added is not. */
bool is_new(const ps_plan *plan, uint32_t task);

/** It passes both checkers, and tells accesses. */
void assert_proved(const ps_plan *plan);

/** Every recorded task of `a` is in `b`, in its place and as it was, with what it waited for. */
void assert_recorded_tasks(const ps_plan *a, const ps_plan *b);

/** Offloading fails cleanly at one allocation after another, `every` apart, until none is left. */
void assert_memory_may_run_out(ps_trace *trace, const ps_catalogue *catalogue,
                               const ps_offload *offload, unsigned long every);

#endif
