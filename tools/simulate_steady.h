/* SPDX-License-Identifier: MIT
 *
 * Hosts of a simulated job as a person wants to see them: their memory, and
 * what the steady step waits for. Prints nothing where hosts do nothing.
 */
#ifndef PS_TOOLS_SIMULATE_STEADY_H
#define PS_TOOLS_SIMULATE_STEADY_H

#include "cli/output.h"
#include "result/result.h"

/** Host memory of one device's process. */
void ps_simulate_host_memory(const ps_result_device *device, ps_output *out);

/** Memory of nodes, and whether it suffices. */
void ps_simulate_nodes(const ps_result *result, ps_output *out);

/**
 * Critical path, lanes, links and break-even points of the steady step.
 *
 * @param is_crowded  many devices: lanes of the fullest alone
 */
ps_code ps_simulate_steady(const ps_result *result, bool is_crowded, ps_output *out,
                           ps_error *err) PS_MUST_USE;

#endif
