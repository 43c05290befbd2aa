/* SPDX-License-Identifier: MIT
 *
 * Chunk payload <-> rows: proto/container.proto, compressed by zstd.
 */
#ifndef PS_BASE_CHUNK_CODEC_H
#define PS_BASE_CHUNK_CODEC_H

#include "base/container.h"

/** Growing byte buffer reused from chunk to chunk. */
typedef struct ps_bytes {
    unsigned char *data;
    size_t count, capacity;
} ps_bytes;

void ps_bytes_fini(ps_bytes *self);

/** State kept between chunks of one file so that nothing is allocated twice. */
typedef struct ps_chunk_encoder ps_chunk_encoder;

/** @param level  zstd level, 1 to 19; NULL when out of memory */
ps_chunk_encoder *ps_chunk_encoder_create(int level) PS_MUST_USE;
void ps_chunk_encoder_destroy(ps_chunk_encoder *self);

/**
 * Encodes and compresses all rows of a dataset.
 *
 * @param payload    receives the zstd frame; old content is replaced
 * @param raw_bytes  [bytes] size before compression
 */
ps_code ps_chunk_encode(ps_chunk_encoder *self, const ps_dataset *data, ps_bytes *payload,
                        uint64_t *raw_bytes, ps_error *err) PS_MUST_USE;

/** State kept between chunks when decoding. */
typedef struct ps_chunk_decoder ps_chunk_decoder;

ps_chunk_decoder *ps_chunk_decoder_create(void) PS_MUST_USE;
void ps_chunk_decoder_destroy(ps_chunk_decoder *self);

/**
 * Decodes one payload and appends its rows; the dataset is untouched unless PS_OK.
 *
 * @param raw_bytes  [bytes] size the chunk header states
 * @param budget     [bytes] in/out: decoded memory still allowed for this file
 * @return PS_OK · PS_CORRUPT · PS_LIMIT budget spent · PS_NOMEM
 */
ps_code ps_chunk_decode(ps_chunk_decoder *self, const unsigned char *payload, size_t payload_bytes,
                        uint64_t raw_bytes, uint64_t *budget, const ps_dataset *into,
                        ps_error *err) PS_MUST_USE;

#endif
