/* SPDX-License-Identifier: MIT
 *
 * What the files of the stand-in share. One lock guards all of its state.
 */
#ifndef PS_STANDIN_STANDIN_H
#define PS_STANDIN_STANDIN_H

#include <stdbool.h>
#include <stdint.h>

enum { STANDIN_DEVICES_MAX = 16 };

/* start.c */

/* What cuInit does: reads the settings, loads the library that CUDA_INJECTION64_PATH names. Once. */
void standin_start(void);
void standin_lock(void);
void standin_unlock(void);
/* Keeps an error for cudaGetLastError and returns it; success changes nothing. */
int standin_result(int error);
/* [ns, monotonic] */
uint64_t standin_now_ns(void);

/* device.c */

int standin_device_count(void);
uint64_t standin_capacity_bytes(void);
int standin_current_device(void);

/* memory.c; the caller holds the lock */

/* Takes `bytes` of the device's memory; false when they are not there. */
bool standin_take_bytes(int device, uint64_t bytes);
void standin_give_bytes(int device, uint64_t bytes);

/* driver.c; the caller holds the lock */

/* Device whose memory is mapped at `address`, else -1. */
int standin_mapped_device(uint64_t address);

/* stream.c */

/* Puts `duration_ns` of work on a stream of the current device. */
void standin_enqueue(void *stream, uint64_t duration_ns);

#endif
