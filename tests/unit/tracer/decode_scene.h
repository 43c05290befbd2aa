/* SPDX-License-Identifier: MIT
 *
 * A decoder with the chunk it fills, and assertions over whole rows.
 */
#ifndef PS_TESTS_UNIT_TRACER_DECODE_SCENE_H
#define PS_TESTS_UNIT_TRACER_DECODE_SCENE_H

#include "support/test.h"

#include "cupti_records.h"
#include "decode.h"
#include "support/cupti_stream.h"

/** Unix time of row time 0 in all scenes. */
#define SCENE_BASE_NS INT64_C(1760000000000000000)

/** Record time that becomes row time `ns`. */
#define SCENE_AT(ns) ((uint64_t)SCENE_BASE_NS + (uint64_t)(ns))

typedef struct scene {
    ps_decoder *decoder;
    ps_trace *chunk;
} scene;

/** Expected value of one column; a text where the column is one. */
typedef struct cell {
    const char *column;
    uint64_t value;
    const char *text;
} cell;

void scene_open(scene *self);
void scene_close(scene *self);

/** A record of its layout's exact size in a block of its own, all but its kind filled with 0xa5. */
unsigned char *scene_record(cupti_layout layout, uint32_t kind);

/** Decodes a record of scene_record and frees it. */
void scene_decode(scene *self, cupti_layout layout, unsigned char *record);

/** Decodes the first `bytes` of a record, copied into a block of exactly that size. */
void scene_decode_bytes(scene *self, const unsigned char *record, size_t bytes);

/** Count of a loss; 0 when there is none. */
uint64_t scene_loss(const scene *self, const char *name);

/** Rows of all tables but meta and loss. */
uint64_t scene_rows(const scene *self);

/** Compares every column of a row: those not among the cells must be 0 or empty. */
void assert_row(const scene *self, ps_trace_table_id table, size_t row, const cell *cells,
                size_t count);

/** assert_row with the cells as arguments. */
#define assert_cells(self, table, row, ...)                                 \
    do {                                                                    \
        const cell assert_cells_list[] = {__VA_ARGS__};                     \
        assert_row((self), (table), (row), assert_cells_list,               \
                   sizeof assert_cells_list / sizeof assert_cells_list[0]); \
    } while (0)

/** Name that the scenes' decoders give a call. Kept for the process. */
const char *scene_call_name(void *context, ps_call_api api, uint32_t id);

uint64_t scene_random(uint64_t *state);

#endif
