/* SPDX-License-Identifier: MIT
 *
 * ZO2's settings, in its own words where it has them.
 */
#ifndef PS_TOOLS_ZO2_OPTIONS_H
#define PS_TOOLS_ZO2_OPTIONS_H

#include "cli/options.h"
#include "workload/script/zo2_settings.h"

/** Reads all --scheme-option. PS_OK · PS_USAGE a key or value that is none, with what can be */
ps_code ps_zo2_options_read(const ps_args *args, ps_zo2_settings *out, ps_error *err) PS_MUST_USE;

#endif
