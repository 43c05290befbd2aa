/* SPDX-License-Identifier: MIT
 *
 * Which host calls are worth a row.
 *
 * Of the runtime all but those that are frequent and order nothing; of the
 * driver only launches, by which libraries (Triton, cuDNN) go past the
 * runtime. Newer CUPTI is told, so that it makes no record of the others;
 * from older ones they are passed over.
 */
#ifndef PS_TRACER_CHOSEN_CALLS_H
#define PS_TRACER_CHOSEN_CALLS_H

#include <stddef.h>

#include "trace/trace.h"

/** Driver callback ids that launch work. */
extern const uint32_t ps_work_driver_calls[];
extern const size_t ps_work_driver_call_count;

/** Runtime callback ids that ask for state only. */
extern const uint32_t ps_quiet_runtime_calls[];
extern const size_t ps_quiet_runtime_call_count;

/** True when a call makes a row. */
bool ps_is_chosen_call(ps_call_api api, uint32_t id);

#endif
