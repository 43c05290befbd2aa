/* SPDX-License-Identifier: MIT
 *
 * Writes tar members into memory, for tests.
 */
#ifndef PS_TESTS_TAR_WRITER_H
#define PS_TESTS_TAR_WRITER_H

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define TAR_BLOCK_BYTES ((size_t)512)

/** Blocks of zeros that end an archive. */
#define TAR_END_BYTES (2 * TAR_BLOCK_BYTES)

/* Octal digits, as tar writes numbers. */
static inline void tar_put_octal(unsigned char *out, size_t digits, size_t value)
{
    for (size_t i = digits; i > 0; i--) {
        out[i - 1] = (unsigned char)('0' + value % 8);
        value /= 8;
    }
}

/**
 * Appends one member.
 *
 * @param out   zeroed, with room for the header and the bytes rounded up to blocks
 * @param type  '0' a file, '5' a folder
 * @return [bytes] added
 */
static inline size_t tar_put_member(unsigned char *out, const char *name, char type,
                                    const void *bytes, size_t count)
{
    size_t sum = 0;
    memcpy(out, name, strlen(name));
    tar_put_octal(out + 100, 7, 0644);
    tar_put_octal(out + 124, 11, count);
    memset(out + 148, ' ', 8);
    out[156] = (unsigned char)type;
    memcpy(out + 257, "ustar", 6);
    memcpy(out + 263, "00", 2);
    for (size_t i = 0; i < TAR_BLOCK_BYTES; i++) {
        sum += out[i];
    }
    tar_put_octal(out + 148, 6, sum);
    out[154] = '\0';
    if (count > 0) {
        memcpy(out + TAR_BLOCK_BYTES, bytes, count);
    }
    return TAR_BLOCK_BYTES + (count + TAR_BLOCK_BYTES - 1) / TAR_BLOCK_BYTES * TAR_BLOCK_BYTES;
}

#endif
