/* SPDX-License-Identifier: MIT
 *
 * What the start-up hook inside the observed program calls, by ctypes.
 *
 * Every function returns at once, may be called from any thread at any time,
 * and does nothing while there is no recording.
 */
#ifndef PS_TRACER_HOOK_API_H
#define PS_TRACER_HOOK_API_H

#include <stdint.h>

#define PS_HOOK_ABI 1u

/** Version of these functions; the hook keeps away from one it does not know. */
uint32_t peakstep_hook_abi(void);

/** 1 while rows are wanted, else 0. */
int peakstep_is_recording(void);

/** Step `index`, from 0, begins: called before anything of it happens. */
void peakstep_step(uint64_t index);

/** A finished range of the calling thread. Times are Unix ns; `category` is a ps_range_category. */
void peakstep_range(const char *name, uint32_t category, int64_t start_ns, int64_t end_ns);

/** A fact about the recording, the last value of a key counts. */
void peakstep_fact(const char *key, const char *value);

/** Adds to a counted loss. */
void peakstep_loss(const char *name, uint64_t count);

#endif
