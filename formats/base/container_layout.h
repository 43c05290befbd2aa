/* SPDX-License-Identifier: MIT
 *
 * Bytes of the container outside the chunk payloads; all integers
 * little-endian. Writer and reader share this file and nothing else.
 */
#ifndef PS_BASE_CONTAINER_LAYOUT_H
#define PS_BASE_CONTAINER_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#include "base/container.h"

/* File header: magic[8] kind[4] major u16 minor u16 reserved[12] crc u32 of the 28 bytes before. */
#define PS_HEADER_BYTES 32u
#define PS_FILE_MAGIC "\x89PSK\r\n\x1a\n"
/* A reader refuses another major; minor only adds tables and columns. */
#define PS_VERSION_MAJOR 1u
#define PS_VERSION_MINOR 0u

/* Chunk header: magic[4] kind u32 raw_bytes u64 stored_bytes u64 reserved u32 crc u32 of the 28 before. */
#define PS_CHUNK_HEADER_BYTES 32u
#define PS_CHUNK_MAGIC "PSCK"
#define PS_CHUNK_DATA 1u
#define PS_CHUNK_INDEX 2u

/* Trailer: index_offset u64 chunk_count u32 crc u32 of the 12 before, magic[8]. */
#define PS_TRAILER_BYTES 24u
#define PS_TRAILER_MAGIC "PSKDONE\n"

static inline void ps_put_u32(unsigned char *out, uint32_t v)
{
    for (int i = 0; i < 4; i++) {
        out[i] = (unsigned char)(v >> (8 * i));
    }
}

static inline void ps_put_u64(unsigned char *out, uint64_t v)
{
    for (int i = 0; i < 8; i++) {
        out[i] = (unsigned char)(v >> (8 * i));
    }
}

static inline uint32_t ps_get_u32(const unsigned char *in)
{
    return (uint32_t)in[0] | (uint32_t)in[1] << 8 | (uint32_t)in[2] << 16 | (uint32_t)in[3] << 24;
}

static inline uint64_t ps_get_u64(const unsigned char *in)
{
    return (uint64_t)ps_get_u32(in) | (uint64_t)ps_get_u32(in + 4) << 32;
}

/** CRC-32 (the gzip polynomial). */
uint32_t ps_crc32(const unsigned char *bytes, size_t count);

/** The four letters of an artefact kind. */
const char *ps_artefact_letters(ps_artefact artefact);

#endif
