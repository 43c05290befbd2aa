/* SPDX-License-Identifier: MIT
 *
 * The device level of a recording: CUPTI, asked for the records that matter
 * and connected to the recorder.
 */
#ifndef PS_TRACER_DEVICE_LEVEL_H
#define PS_TRACER_DEVICE_LEVEL_H

#include "call_names.h"
#include "recorder.h"

typedef struct ps_device_level ps_device_level;

/**
 * Starts CUPTI in this process, once.
 *
 * Only one client of CUPTI can record; when another holds it (the PyTorch
 * profiler, Nsight), nothing of ours is enabled, so that it is not disturbed.
 *
 * @param recorder  receives the records; must outlive the device level
 * @param is_wanted tells whether work is to be recorded now; asked every period, see ps_device_level_pause
 * @param path      of a libcupti to prefer; NULL none
 * @return PS_OK · PS_NOT_FOUND, PS_UNSUPPORTED no usable libcupti · PS_NO_DEVICE it refused
 */
ps_code ps_device_level_start(ps_recorder *recorder, ps_ns base_ns, bool (*is_wanted)(void),
                              const char *path, ps_device_level **out, ps_error *err) PS_MUST_USE;

/** Turns the records of calls and device work on or off; memory of the driver is always recorded. */
void ps_device_level_pause(ps_device_level *self, bool is_paused);

/** Asks for no more records. Those handed in are still written. The storage stays: CUPTI keeps pointers. */
void ps_device_level_stop(ps_device_level *self);

#endif
