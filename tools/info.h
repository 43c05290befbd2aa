/* SPDX-License-Identifier: MIT
 *
 * The kinds of files `peakstep info` describes.
 */
#ifndef PS_TOOLS_INFO_H
#define PS_TOOLS_INFO_H

#include "cli/output.h"
#include "workload/workload.h"

ps_code ps_info_trace(const char *path, bool as_json, ps_output *out, ps_error *err) PS_MUST_USE;
ps_code ps_info_plan(const char *path, bool as_json, ps_output *out, ps_error *err) PS_MUST_USE;
/** @param title  stands where a file's path does */
ps_code ps_info_of_workload(const char *title, const ps_workload *workload, bool as_json,
                            ps_output *out, ps_error *err) PS_MUST_USE;
ps_code ps_info_workload(const char *path, bool as_json, ps_output *out, ps_error *err) PS_MUST_USE;

#endif
