/* SPDX-License-Identifier: MIT
 *
 * Byte sources: plain, gzip, tar. The first byte chooses how much is asked for
 * at a time, the rest is the file. What must hold: a peek shows what reading
 * then gives, offsets count the bytes, and after the end comes nothing.
 */
#include "fuzz.h"

#include <string.h>

#include "base/archive.h"
#include "base/source.h"

/* Enough to see every path; the ratio rule has its own test. */
#define MAX_READ_BYTES ((uint64_t)4 << 20)

#define PEEK_BYTES 600u

static void read_on(ps_source *source, size_t step, unsigned char *first, size_t *first_bytes)
{
    static unsigned char buf[70000];
    ps_error err = {0};
    size_t got = 1;
    uint64_t total = 0;
    ps_code code = PS_OK;
    *first_bytes = 0;
    while (code == PS_OK && got > 0 && total < MAX_READ_BYTES) {
        code = ps_source_read(source, buf, step, &got, &err);
        if (code != PS_OK) {
            fuzz_require(err.code == code && err.message[0] != '\0');
            break;
        }
        fuzz_require(got <= step);
        const size_t room = PEEK_BYTES - *first_bytes;
        const size_t kept = got < room ? got : room;
        memcpy(first + *first_bytes, buf, kept);
        *first_bytes += kept;
        total += got;
        fuzz_require(ps_source_offset(source) == total);
    }
    if (code == PS_OK && got == 0) {
        fuzz_require(ps_source_read(source, buf, step, &got, &err) == PS_OK && got == 0);
    }
}

static ps_code visit(void *context, ps_source *member, ps_error *err)
{
    unsigned char first[PEEK_BYTES];
    size_t first_bytes = 0;
    (void)err;
    read_on(member, *(const size_t *)context, first, &first_bytes);
    return PS_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ps_error err = {0};
    ps_source *source = NULL;
    unsigned char shown[PEEK_BYTES], first[PEEK_BYTES];
    const unsigned char *head = NULL;
    size_t head_bytes = 0, first_bytes = 0;
    if (size < 1 || ps_source_open_memory(data + 1, size - 1, &source, &err) != PS_OK) {
        return 0;
    }
    size_t step = 1 + (size_t)data[0] * 257;
    if (ps_source_peek(source, PEEK_BYTES, &head, &head_bytes, &err) == PS_OK) {
        fuzz_require(head_bytes <= PEEK_BYTES);
        memcpy(shown, head, head_bytes);
        if (ps_archive_is_tar(head, head_bytes)) {
            const ps_code code = ps_archive_walk(source, visit, &step, &err);
            fuzz_require(code == PS_OK || err.code == code);
            return 0;
        }
    }
    read_on(source, step, first, &first_bytes);
    fuzz_require(first_bytes == head_bytes && memcmp(first, shown, head_bytes) == 0);
    ps_source_close(source);
    return 0;
}
