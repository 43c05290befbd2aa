/* SPDX-License-Identifier: MIT
 *
 * Memory that a program maps by itself (cuMemCreate, cuMemMap, ...), which is
 * how expandable segments grow: CUPTI has no memory records of it, so the
 * driver calls are watched and their parameters read.
 */
#ifndef PS_TRACER_VIRTUAL_MEMORY_H
#define PS_TRACER_VIRTUAL_MEMORY_H

#include "cupti_api.h"
#include "marks.h"

/** State of the watch. */
typedef struct ps_virtual_memory {
    ps_ns base_ns;
} ps_virtual_memory;

void ps_virtual_memory_init(ps_virtual_memory *self, ps_ns base_ns);

/** Asks CUPTI to call back for the calls watched. */
void ps_virtual_memory_enable(ps_virtual_memory *self, const ps_cupti_api *cupti, void *subscriber);

/**
 * One callback of the driver domain.
 *
 * @param data  CUpti_CallbackData; only the exit of a call that succeeded makes a row
 */
void ps_virtual_memory_call(const ps_virtual_memory *self, ps_marks *marks, uint32_t id,
                            const void *data);

#endif
