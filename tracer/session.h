/* SPDX-License-Identifier: MIT
 *
 * The recording of this process: at most one, begun by whoever comes first
 * (the driver that loads the tracer, or the start-up hook) and ended when the
 * process exits. A forked child has none: its parent's belongs to the parent.
 */
#ifndef PS_TRACER_SESSION_H
#define PS_TRACER_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "marks.h"

/** Begins the recording unless it has begun, or the environment wants none. Any thread. */
void ps_session_begin(void);

/** Begins the device level, too, unless it has begun. True when this process records device work. */
bool ps_session_begin_device(void);

/** True while rows are wanted: begun, not ended, inside the wanted steps, not paused. */
bool ps_session_is_recording(void);

/** Step `index` begins now. */
void ps_session_step(uint64_t index);

/** Marks of the recording, or NULL when there is none. */
ps_marks *ps_session_marks(void);

/** Unix time that row times are relative to. */
ps_ns ps_session_base_ns(void);

/** Writes everything and ends the recording. */
void ps_session_end(void);

#endif
