/* SPDX-License-Identifier: MIT
 *
 * Why a run stopped before its end: a circle of edges that wait for one
 * another.
 */
#ifndef PS_ENGINE_DEADLOCK_H
#define PS_ENGINE_DEADLOCK_H

#include "engine/engine.h"

/** What still has to happen before an edge can: 0, it has happened. */
typedef struct ps_waits {
    uint32_t for_start, for_end;
} ps_waits;

/**
 * Fails with one circle in words.
 *
 * @param waits  per task, at the end of the run; at least one is not 0
 * @return PS_DEADLOCK · PS_NOMEM
 */
ps_code ps_deadlock_report(const ps_engine_input *input, const ps_waits *waits,
                           ps_engine_namer namer, const void *context, ps_error *err);

#endif
