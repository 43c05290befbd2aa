/* SPDX-License-Identifier: MIT
 *
 * Names of runtime and driver calls by their callback ids, asked of CUPTI
 * once and kept without their version suffix: cudaMalloc, not cudaMalloc_v3020.
 */
#ifndef PS_TRACER_CALL_NAMES_H
#define PS_TRACER_CALL_NAMES_H

#include "cupti_api.h"
#include "trace/trace.h"

#define PS_CALL_NAME_IDS 2048u
#define PS_CALL_NAME_BYTES 64u

typedef struct ps_call_names {
    const ps_cupti_api *cupti;
    char text[2][PS_CALL_NAME_IDS][PS_CALL_NAME_BYTES]; /* by api and id; empty: not asked yet */
} ps_call_names;

/** Name of a call; the text lives as long as the table. Not thread-safe. */
const char *ps_call_names_get(ps_call_names *self, ps_call_api api, uint32_t id);

/** Copies a name without "_v3020", "_ptsz", "_ptds" at its end. */
void ps_call_name_strip(const char *name, char out[PS_CALL_NAME_BYTES]);

#endif
