/* SPDX-License-Identifier: MIT
 *
 * What a ps_source is stacked from; for the source_*.c files only.
 *
 *   bottom (file, memory, archive member) ──► [gzip] ──► peek buffer ──► caller
 *
 * A layer reads from the one below. Every layer may give fewer bytes than
 * asked for; 0 bytes is its end.
 */
#ifndef PS_BASE_SOURCE_LAYER_H
#define PS_BASE_SOURCE_LAYER_H

#include "base/source.h"

/** Bytes read from the bottom at a time. */
#define PS_SOURCE_BLOCK_BYTES ((size_t)256 << 10)

/** One layer: functions over a state that the layer owns. */
typedef struct ps_source_layer {
    void *state;
    /** Up to `want` (> 0) bytes into buf; *got is 0 only at the end. */
    ps_code (*read)(void *state, void *buf, size_t want, size_t *got, ps_error *err);
    void (*close)(void *state);
} ps_source_layer;

/**
 * Completes a source over a bottom layer, adding a gzip layer when the bytes
 * begin like gzip.
 *
 * @param bottom  taken, also on failure
 * @param name    copied
 * @return PS_OK · PS_BAD_INPUT empty · PS_NOMEM · what the bottom reports
 */
ps_code ps__source_create(ps_source_layer bottom, const char *name, ps_source **out,
                          ps_error *err) PS_MUST_USE;

/** True when bytes begin with the magic of gzip with the deflate method. */
bool ps__source_is_gzip(const unsigned char *bytes, size_t count);

/**
 * A layer that undoes gzip.
 *
 * @param below        compressed bytes; taken, also on failure
 * @param block        PS_SOURCE_BLOCK_BYTES of memory whose first `block_used` bytes were already
 *                     read from `below`; taken on PS_OK only
 */
ps_code ps__source_gzip(ps_source_layer below, unsigned char *block, size_t block_used,
                        ps_source_layer *out, ps_error *err) PS_MUST_USE;

/** PS_LIMIT when `made` bytes out of `used` are more than an honest file would give. */
ps_code ps__source_check_ratio(uint64_t made, uint64_t used, ps_error *err) PS_MUST_USE;

#endif
