/* SPDX-License-Identifier: MIT
 *
 * The two kinds of files `peakstep info` describes.
 */
#ifndef PS_TOOLS_INFO_H
#define PS_TOOLS_INFO_H

#include "cli/output.h"

ps_code ps_info_trace(const char *path, bool as_json, ps_output *out, ps_error *err) PS_MUST_USE;
ps_code ps_info_plan(const char *path, bool as_json, ps_output *out, ps_error *err) PS_MUST_USE;

#endif
