/* SPDX-License-Identifier: MIT
 *
 * What `peakstep info --structure` describes: the recovered structure of a trace.
 */
#ifndef PS_TOOLS_INFO_STRUCTURE_H
#define PS_TOOLS_INFO_STRUCTURE_H

#include "cli/output.h"

/**
 * Recovers and describes.
 *
 * @param overrides  path of a structure file; NULL none
 * @param workload   path of the workload to write; NULL none
 */
ps_code ps_info_structure(const char *path, const char *overrides, const char *workload,
                          bool as_json, ps_output *out, ps_error *err) PS_MUST_USE;

#endif
