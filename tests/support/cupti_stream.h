/* SPDX-License-Identifier: MIT
 *
 * Made-up activity records in the layouts of CUDA 11, 12 and 13, and a source
 * that walks them: CUPTI for tests and benches.
 */
#ifndef PS_TESTS_CUPTI_STREAM_H
#define PS_TESTS_CUPTI_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "recorder.h"

/** Which CUDA's record sizes. */
typedef enum cupti_layout { CUPTI_11 = 0, CUPTI_12 = 1, CUPTI_13 = 2 } cupti_layout;

/** [bytes] of a record of a kind (ps_cupti_kind) in a layout; 0 for kinds not made here. */
size_t cupti_record_bytes(cupti_layout layout, uint32_t kind);

/** Appends an empty record of a kind to a buffer at *at; NULL when it does not fit. Zeroed but for its kind. */
unsigned char *cupti_add(cupti_layout layout, unsigned char *buffer, size_t bytes, size_t *at,
                         uint32_t kind);

void cupti_put_u8(unsigned char *record, unsigned at, uint8_t value);
void cupti_put_u32(unsigned char *record, unsigned at, uint32_t value);
void cupti_put_u64(unsigned char *record, unsigned at, uint64_t value);
void cupti_put_text(unsigned char *record, unsigned at, const char *text);

/** A host call with id `cbid`. */
unsigned char *cupti_add_call(cupti_layout layout, unsigned char *buffer, size_t bytes, size_t *at,
                              uint32_t cbid, uint64_t start_ns, uint64_t end_ns,
                              uint32_t correlation);

/** A kernel on stream 7 of device 0. */
unsigned char *cupti_add_kernel(cupti_layout layout, unsigned char *buffer, size_t bytes,
                                size_t *at, const char *name, uint64_t start_ns, uint64_t end_ns,
                                uint32_t correlation);

/** ps_record_source.next over such buffers; the context is a cupti_layout*. */
bool cupti_next(void *context, unsigned char *data, size_t valid_bytes, unsigned char **record);

#endif
