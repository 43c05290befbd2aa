/* SPDX-License-Identifier: MIT
 *
 * What the files of the stand-in share. One lock guards all of its state.
 */
#ifndef PS_STANDIN_STANDIN_H
#define PS_STANDIN_STANDIN_H

#include <stdbool.h>
#include <stdint.h>

#include "standin/door.h"

enum { STANDIN_DEVICES_MAX = 16 };

/* start.c */

/* What cuInit does: reads the settings, loads the library that CUDA_INJECTION64_PATH names. Once. */
void standin_start(void);
void standin_lock(void);
void standin_unlock(void);
/* Keeps an error for cudaGetLastError and returns it; success changes nothing. */
int standin_result(int error);
/* [ns, Unix] */
uint64_t standin_now_ns(void);
void standin_wait_until(uint64_t time_ns);

/* device.c */

int standin_device_count(void);
uint64_t standin_capacity_bytes(void);
int standin_current_device(void);
/* The number that an environment variable holds, else `otherwise`. */
uint64_t standin_setting(const char *name, uint64_t otherwise);
void standin_tell_device(const standin_cupti *to, int device);

/* report.c */

/* Begins and ends a call of the runtime; the end returns its argument. */
void standin_enter(uint32_t id);
int standin_leave(int error);
standin_driver_call standin_enter_driver(uint32_t id, const char *name, const void *parameters);
int standin_leave_driver(standin_driver_call *call, int error);
/* Of the call that this thread is in. */
uint32_t standin_correlation(void);
void standin_look_for_cupti(void);
/* NULL: nobody wants to know. */
const standin_cupti *standin_door(void);

/* memory.c; the caller holds the lock */

/* Takes `bytes` of the device's memory; false when they are not there. */
bool standin_take_bytes(int device, uint64_t bytes);
void standin_give_bytes(int device, uint64_t bytes);

/* driver.c; the caller holds the lock */

/* Device whose memory is mapped at `address`, else -1. */
int standin_mapped_device(uint64_t address);

/* stream.c */

/* Puts `duration_ns` of work of the current call on a stream; when and where it runs. */
standin_work standin_enqueue(void *stream, uint64_t duration_ns);

/* launch.c */

/* One kernel that a library launches for a matrix product. */
void standin_launch_product(const char *name, void *stream);

#endif
