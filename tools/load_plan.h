/* SPDX-License-Identifier: MIT
 *
 * Whatever a user names, as a plan: a plan is read, a trace is read and
 * lowered, a foreign recording is imported and lowered.
 */
#ifndef PS_TOOLS_LOAD_PLAN_H
#define PS_TOOLS_LOAD_PLAN_H

#include "plan/plan.h"

/** *out is owned by the caller. Errors name the file. */
ps_code ps_load_plan(const char *path, ps_plan **out, ps_error *err) PS_MUST_USE;

#endif
