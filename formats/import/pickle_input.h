/* SPDX-License-Identifier: MIT
 *
 * The bytes of a pickle, buffered so that any instruction's operand up to the
 * longest text lies in one piece.
 */
#ifndef PS_IMPORT_PICKLE_INPUT_H
#define PS_IMPORT_PICKLE_INPUT_H

#include <stddef.h>
#include <stdint.h>

#include "base/source.h"
#include "base/strings.h"

/** [bytes] most that one ps_pickle_input_take can ask for. */
#define PS_PICKLE_TAKE_MAX ((size_t)PS_STRING_MAX_BYTES)

typedef struct ps_pickle_input {
    ps_source *source;
    unsigned char *buffer;
    size_t at, end;        /* unread bytes are buffer[at .. end) */
    uint64_t offset_bytes; /* of buffer[0] in the source */
} ps_pickle_input;

ps_code ps_pickle_input_init(ps_pickle_input *self, ps_source *source, ps_error *err) PS_MUST_USE;

void ps_pickle_input_fini(ps_pickle_input *self);

/** Offset of the next byte. */
uint64_t ps_pickle_input_offset(const ps_pickle_input *self);

/**
 * Consumes `count` bytes.
 *
 * @param bytes  borrowed until the next call; the caller may change them
 * @return PS_OK · PS_TRUNCATED fewer are left · PS_LIMIT more than PS_PICKLE_TAKE_MAX · errors of the source
 */
ps_code ps_pickle_input_take(ps_pickle_input *self, uint64_t count, unsigned char **bytes,
                             ps_error *err) PS_MUST_USE;

/** Consumes `count` bytes of any number without keeping them. */
ps_code ps_pickle_input_skip(ps_pickle_input *self, uint64_t count, ps_error *err) PS_MUST_USE;

/** Consumes a little-endian number of 1, 2, 4 or 8 bytes. */
ps_code ps_pickle_input_number(ps_pickle_input *self, size_t bytes, uint64_t *out,
                               ps_error *err) PS_MUST_USE;

/** PS_OK when nothing is left, PS_BAD_INPUT otherwise. */
ps_code ps_pickle_input_expect_end(ps_pickle_input *self, ps_error *err) PS_MUST_USE;

#endif
