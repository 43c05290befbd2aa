/* SPDX-License-Identifier: MIT
 *
 * Many devices at a glance.
 */
#ifndef PS_TOOLS_SIMULATE_DEVICES_H
#define PS_TOOLS_SIMULATE_DEVICES_H

#include "cli/output.h"
#include "result/result.h"

/** One row a device, of many the first; the device that needs most memory is marked. */
ps_code ps_simulate_devices(const ps_result *result, ps_output *out, ps_error *err) PS_MUST_USE;

/** The device that needs most memory; the first of several. */
size_t ps_simulate_fullest(const ps_result *result);

/** Requests of the last step, or of all, that did not fit at first, and what its host waited. */
void ps_simulate_retries(const ps_result *result, const ps_result_device *device, ps_output *out);

#endif
