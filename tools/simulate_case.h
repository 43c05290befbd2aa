/* SPDX-License-Identifier: MIT
 *
 * One simulated case: what `peakstep simulate INPUT [OPTIONS]` computes,
 * without what it prints. Every verb that simulates goes through here, so an
 * input or an option that one of them knows is known to all.
 */
#ifndef PS_TOOLS_SIMULATE_CASE_H
#define PS_TOOLS_SIMULATE_CASE_H

#include "cli/options.h"
#include "result/result.h"

/** A plan and the result that borrows from it. */
typedef struct ps_simulated {
    ps_plan *plan;
    ps_result result;
} ps_simulated;

/** The options of `simulate`, ended by {0}. */
extern const ps_option ps_simulate_options[];

/**
 * Loads an input, changes its plan as the options say, and runs it. Several
 * threads may do so at once, unless they write one --save-plan file.
 *
 * @param input  what the command line names: a file
 * @param args   parsed with ps_simulate_options
 * @param out    release with ps_simulated_fini; written only on PS_OK
 * @return PS_OK, also when memory does not suffice (result.device[].fits says so) ·
 *         PS_CHECK_FAILED --strict and losses · as loading, changing and running can fail
 */
ps_code ps_simulate_case(const char *input, const ps_args *args, ps_simulated *out,
                         ps_error *err) PS_MUST_USE;

void ps_simulated_fini(ps_simulated *self);

#endif
