/* SPDX-License-Identifier: MIT
 *
 * The objects of one JSON array that is whole in memory, field by field; the
 * C face of simdjson.
 *
 *   [{"ph": "X", "args": {"stream": 7, "grid": [1, 2, 3]}}, ...]
 *      └ph──┘    └stream (inner)┘     └grid (inner), raw text┘
 *
 * Every object is given as a flat list of fields. One member may be opened
 * one level deeper ("args"); its members then appear in its place, marked.
 * Deeper values stay raw text. Only the structure on the way is checked.
 */
#ifndef PS_IMPORT_JSON_BATCH_H
#define PS_IMPORT_JSON_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** [bytes] that must be readable behind the text of a batch. */
#define PS_JSON_PADDING 64u

typedef enum ps_json_kind {
    PS_JSON_STRING, /* text: the inside, escapes not undone */
    PS_JSON_NUMBER, /* text: any scalar that is not a word, not checked to be a number */
    PS_JSON_WORD,   /* text: true, false, null or what begins like them */
    PS_JSON_OBJECT, /* text: with its braces */
    PS_JSON_ARRAY,  /* text: with its brackets */
} ps_json_kind;

/** One member of an object. Pointers are into the text of the batch. */
typedef struct ps_json_field {
    const char *key; /* escapes not undone */
    const char *text;
    size_t text_bytes;
    uint32_t key_bytes;
    uint8_t kind;     /* ps_json_kind */
    uint8_t is_inner; /* 1: member of the opened member */
} ps_json_field;

/** One object. Borrowed until the next call on the batch. */
typedef struct ps_json_item {
    const char *start; /* its '{' */
    const char *next;  /* first token behind it: ',' or ']' */
    const ps_json_field *field;
    size_t field_count;
} ps_json_item;

/** What a step over the array met. */
typedef enum ps_json_step {
    PS_JSON_STEP_OBJECT,  /* *out is filled */
    PS_JSON_STEP_END,     /* the array is over at out->next; NULL when it had no object */
    PS_JSON_STEP_DAMAGED, /* something else or broken at out->start; the batch is over */
    PS_JSON_STEP_NOMEM,
} ps_json_step;

/** How a text looks before it is walked. */
typedef enum ps_json_look {
    PS_JSON_LOOK_OK,
    PS_JSON_LOOK_BAD_UTF8,
    PS_JSON_LOOK_DAMAGED, /* quotes do not pair, control characters in strings, brackets missing */
    PS_JSON_LOOK_NOMEM,
} ps_json_look;

typedef struct ps_json_batch ps_json_batch;

/**
 * @param open_key  name of the member to open one level, NULL for none; borrowed for the life of the batch
 * @return NULL when out of memory
 */
ps_json_batch *ps_json_batch_create(const char *open_key) PS_MUST_USE;

void ps_json_batch_destroy(ps_json_batch *self);

/**
 * Looks over a text that begins with '[' and ends with ']'.
 *
 * @param text  borrowed until the walk is over; PS_JSON_PADDING more bytes must be readable behind
 *              it, the first of them a space: in unbalanced text it is taken for one more token
 */
ps_json_look ps_json_batch_begin(ps_json_batch *self, const char *text, size_t bytes) PS_MUST_USE;

/** The next object. The array may end before the text does. */
ps_json_step ps_json_batch_next(ps_json_batch *self, ps_json_item *out) PS_MUST_USE;

#ifdef __cplusplus
}
#endif

#endif
