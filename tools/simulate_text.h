/* SPDX-License-Identifier: MIT
 *
 * A result for people.
 */
#ifndef PS_TOOLS_SIMULATE_TEXT_H
#define PS_TOOLS_SIMULATE_TEXT_H

#include "cli/output.h"
#include "result/result.h"

/** Prints the whole result; at most 80 columns wide. */
ps_code ps_simulate_text(const ps_result *result, ps_output *out, ps_error *err) PS_MUST_USE;

/** Prints a device's memory over the plan as a chart of block characters. */
void ps_simulate_chart(const ps_result *result, const ps_result_device *device, ps_output *out);

#endif
