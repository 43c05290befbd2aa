/* SPDX-License-Identifier: MIT
 *
 * The parts of ps_workload_check, in the order they must run: a later part
 * indexes by values that an earlier one has verified.
 */
#ifndef PS_WORKLOAD_WORKLOAD_CHECK_H
#define PS_WORKLOAD_WORKLOAD_CHECK_H

#include "workload/workload.h"

/** Every cell by itself: strings exist, enumerations and references in range, lengths >= 0. */
ps_code ps_workload_check_cells(const ps_workload *workload, ps_error *err) PS_MUST_USE;

#endif
