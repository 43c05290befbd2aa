/* SPDX-License-Identifier: MIT
 *
 * Which bandwidth would make transfers free: the least one at which the steady
 * step is within 1 % of that with endless bandwidth.
 *
 * Found by halving the gap between one that is enough and one that is not,
 * with a run of the plan at each; a step is taken not to become longer by more
 * bandwidth. What else holds transfers back stays: pageable copies, host memory
 * beside PCIe, PCIe beside host memory.
 */
#ifndef PS_POLICY_BREAK_EVEN_H
#define PS_POLICY_BREAK_EVEN_H

#include "plan/plan.h"
#include "result/steady.h"

/**
 * @param plan  checked; other rates are tried in it, and as it was before is restored
 * @param of    PCIE: slots both ways, with the uplinks in their ratio; HOST_MEMORY: of every
 *              socket; CORES: what the threads of a rank together can stream
 * @param out   written only on PS_OK; right to half a percent, and enough
 * @return PS_OK · PS_USAGE the plan does not use it · PS_NOMEM · as ps_run_step_time
 */
ps_code ps_break_even(ps_plan *plan, ps_break_even_of of, ps_result_break_even *out,
                      ps_error *err) PS_MUST_USE;

#endif
