/* SPDX-License-Identifier: MIT
 *
 * A stream of input bytes: a plain file, a gzip file, memory, one member of an
 * archive (base/archive.h).
 *
 * Offsets in errors count bytes after decompression. A bomb that inflates
 * without end is refused: more than PS_SOURCE_MAX_RATIO times the compressed
 * size once past PS_SOURCE_FREE_BYTES.
 */
#ifndef PS_BASE_SOURCE_H
#define PS_BASE_SOURCE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define PS_SOURCE_MAX_RATIO 500u
#define PS_SOURCE_FREE_BYTES ((uint64_t)256 << 20)

/** Most bytes ps_source_peek can be asked for. */
#define PS_SOURCE_MAX_PEEK_BYTES ((size_t)16 << 20)

typedef struct ps_source ps_source;

/**
 * Opens a regular file; gzip is recognised by its magic and undone on the fly.
 *
 * @return PS_OK · PS_IO missing, unreadable · PS_BAD_INPUT a directory or other non-file, an empty
 *         file · PS_NOMEM
 * Lifetime: *out is owned until ps_source_close.
 */
ps_code ps_source_open(const char *path, ps_source **out, ps_error *err) PS_MUST_USE;

/** Reads from memory; the bytes are borrowed until close. gzip is undone likewise. */
ps_code ps_source_open_memory(const void *bytes, size_t count, ps_source **out,
                              ps_error *err) PS_MUST_USE;

/**
 * Fills buf with the next bytes: fewer than `want` only at the end or just
 * before a failure. The bytes before a failure are delivered first; the call
 * after them gives 0 bytes (the end) or the failure. So read until *got is 0.
 *
 * @param got  [bytes] written; 0 at the end. Written only on PS_OK
 * @return PS_OK · PS_IO · PS_TRUNCATED gzip ends early · PS_CORRUPT bad gzip data or checksum ·
 *         PS_LIMIT inflates without end
 */
ps_code ps_source_read(ps_source *self, void *buf, size_t want, size_t *got,
                       ps_error *err) PS_MUST_USE;

/**
 * Looks at the first bytes without consuming them. May be repeated.
 *
 * @param want [bytes] at most PS_SOURCE_MAX_PEEK_BYTES
 * @param got  [bytes] available in *head, at most `want`, fewer when the source is shorter
 * @param head borrowed until the next call on this source
 * @return PS_OK · PS_USAGE after the first read · PS_LIMIT · as ps_source_read when not one byte can be had
 */
ps_code ps_source_peek(ps_source *self, size_t want, const unsigned char **head, size_t *got,
                       ps_error *err) PS_MUST_USE;

/** [bytes] delivered so far, after decompression. */
uint64_t ps_source_offset(const ps_source *self);

/** Name shown in messages: the path, or "memory". Borrowed until close. */
const char *ps_source_name(const ps_source *self);

/** Ends the source and what it is stacked from; NULL is fine. */
void ps_source_close(ps_source *self);

#endif
