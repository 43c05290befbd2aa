/* SPDX-License-Identifier: MIT
 *
 * Waiting for a moment of CLOCK_MONOTONIC, exactly and cheaply: sleep until
 * shortly before it, then poll the clock and give the core away between looks.
 *
 * A stand-in for a kernel or for host work is such a wait. It stands for work
 * done elsewhere, so it must not take cores from other lanes: with more lanes
 * than cores, stand-ins that burnt their whole length would lengthen each
 * other. How long "shortly before" is depends on how late this machine wakes
 * sleepers, and is measured once per run.
 */
#ifndef PS_REPLAY_PACE_H
#define PS_REPLAY_PACE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/checked.h"

typedef struct ps_replay_pace {
    ps_ns spin_ns; /* [ns] polled rather than slept before a moment */
} ps_replay_pace;

/** [ns] CLOCK_MONOTONIC. */
ps_ns ps_replay_clock_ns(void);

/** Measures how late this machine wakes a sleeper; takes about a millisecond. */
ps_replay_pace ps_replay_pace_calibrate(void);

/** Asks the kernel to wake this thread without delay; once per lane thread. */
void ps_replay_pace_enter(void);

/** Waits until `moment_ns`. True when reached; false soon after *stop became true. */
bool ps_replay_pace_until(const ps_replay_pace *self, ps_ns moment_ns, const atomic_bool *stop);

#endif
