/* SPDX-License-Identifier: MIT
 *
 * What `record` tells the observed processes, by their environment.
 */
#ifndef PS_TRACER_SETTINGS_H
#define PS_TRACER_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

#define PS_ENV_FOLDER "PEAKSTEP_RECORD_DIR"   /* absolute path; absent: observe nothing */
#define PS_ENV_LIBRARY "PEAKSTEP_TRACER_LIB"  /* absolute path of the tracer itself */
#define PS_ENV_MODULES "PEAKSTEP_MODULES"     /* blocks | all | none; read by the hook */
#define PS_ENV_STACKS "PEAKSTEP_STACKS"       /* none | python; read by the hook */
#define PS_ENV_HISTORY "PEAKSTEP_HISTORY"     /* 0 | 1; read by the hook */
#define PS_ENV_STEPS "PEAKSTEP_STEPS"         /* A:B, steps A to B - 1 */
#define PS_ENV_BUDGET "PEAKSTEP_BUDGET_BYTES" /* of memory, a process */
#define PS_ENV_MAX_BYTES "PEAKSTEP_MAX_BYTES" /* of a file; absent or 0: no bound */
#define PS_ENV_DEVICE "PEAKSTEP_DEVICE"       /* 0: no device records */
#define PS_ENV_CUPTI "PEAKSTEP_CUPTI"         /* path of a libcupti to prefer */
#define PS_ENV_WATCH "PEAKSTEP_WATCH_DRIVER"  /* 1: preloaded, wait for the driver to appear */

/** [bytes] memory a process may use for recording, unless told otherwise. */
#define PS_DEFAULT_BUDGET_BYTES ((uint64_t)256 << 20)

typedef struct ps_settings {
    const char *folder; /* NULL: observe nothing */
    const char *cupti;  /* NULL: any */
    bool wants_device;
    bool watches_driver;
    bool has_steps;
    uint64_t first_step, end_step;
    uint64_t budget_bytes, max_bytes;
} ps_settings;

/** Reads "A:B"; "A:" has no end, ":B" begins at 0. PS_USAGE when it is something else or empty. */
ps_code ps_steps_parse(const char *text, uint64_t *first, uint64_t *end, ps_error *err) PS_MUST_USE;

/** Reads the environment. Texts are borrowed from it. Values that cannot be read count as absent. */
ps_settings ps_settings_read(void);

#endif
