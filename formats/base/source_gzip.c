/* SPDX-License-Identifier: MIT
 *
 * The gzip layer of a source, by ISA-L.
 *
 * ISA-L parses the header (and its checksum), inflates, and compares the
 * CRC-32 and length of the trailer. Here are the rules around it: several
 * members follow one another, zero bytes after the last one are padding, and
 * anything else there is damage. The first failure is final.
 */
#include <isa-l/igzip_lib.h>
#include <string.h>

#include "base/memory.h"
#include "base/source_layer.h"

typedef struct gzip_layer {
    ps_source_layer below;
    unsigned char *block; /* PS_SOURCE_BLOCK_BYTES of compressed bytes */
    uint64_t used;        /* [bytes] compressed, handed to the decoder so far */
    uint64_t made;        /* [bytes] decompressed */
    bool is_input_over;   /* the layer below reached its end */
    bool is_between;      /* a member is complete and the next has not begun */
    struct inflate_state inflate;
} gzip_layer;

bool ps__source_is_gzip(const unsigned char *bytes, size_t count)
{
    return count >= 3 && bytes[0] == 0x1f && bytes[1] == 0x8b && bytes[2] == 8;
}

ps_code ps__source_check_ratio(uint64_t made, uint64_t used, ps_error *err)
{
    if (made > PS_SOURCE_FREE_BYTES && made / PS_SOURCE_MAX_RATIO > used) {
        return ps_fail_at(err, PS_LIMIT, made,
                          "%llu compressed bytes unpack to more than %u times as many",
                          (unsigned long long)used, PS_SOURCE_MAX_RATIO);
    }
    return PS_OK;
}

static void give_input(gzip_layer *self, size_t bytes)
{
    self->inflate.next_in = self->block;
    self->inflate.avail_in = (uint32_t)bytes;
    self->used += bytes;
}

static ps_code refill(gzip_layer *self, ps_error *err)
{
    if (self->inflate.avail_in == 0 && !self->is_input_over) {
        size_t got = 0;
        PS_TRY(self->below.read(self->below.state, self->block, PS_SOURCE_BLOCK_BYTES, &got, err));
        self->is_input_over = got == 0;
        give_input(self, got);
    }
    return PS_OK;
}

/* Between members: *has_more says whether another one begins. */
static ps_code next_member(gzip_layer *self, bool *has_more, ps_error *err)
{
    *has_more = false;
    for (;;) {
        PS_TRY(refill(self, err));
        if (self->inflate.avail_in == 0) {
            return PS_OK;
        }
        const unsigned char first = *self->inflate.next_in;
        if (first == 0x1f) {
            isal_inflate_reset(&self->inflate);
            self->inflate.crc_flag = ISAL_GZIP;
            self->is_between = false;
            *has_more = true;
            return PS_OK;
        }
        if (first != 0) {
            return ps_fail_at(err, PS_CORRUPT, self->made,
                              "the gzip data is followed by bytes that are not gzip");
        }
        self->inflate.next_in++;
        self->inflate.avail_in--;
    }
}

static ps_code decode_failure(const gzip_layer *self, int result, ps_error *err)
{
    const char *what = "the gzip data is damaged";
    if (result == ISAL_INCORRECT_CHECKSUM) {
        what = "the gzip data does not match its checksum";
    } else if (result == ISAL_INVALID_WRAPPER || result == ISAL_UNSUPPORTED_METHOD) {
        what = "the gzip header is damaged";
    }
    return ps_fail_at(err, PS_CORRUPT, self->made, "%s", what);
}

/* One call of the decoder; *made may be 0 while it needs more input. */
static ps_code inflate_some(gzip_layer *self, unsigned char *buf, size_t want, size_t *made,
                            ps_error *err)
{
    const uint32_t room = want < UINT32_MAX / 2 ? (uint32_t)want : UINT32_MAX / 2;
    self->inflate.next_out = buf;
    self->inflate.avail_out = room;
    const int result = isal_inflate(&self->inflate);
    *made = room - self->inflate.avail_out;
    if (result < 0 || result == ISAL_NEED_DICT) {
        return decode_failure(self, result, err);
    }
    self->made += *made;
    self->is_between = self->inflate.block_state == ISAL_BLOCK_FINISH;
    return ps__source_check_ratio(self->made, self->used, err);
}

static ps_code read_gzip(void *state, void *buf, size_t want, size_t *got, ps_error *err)
{
    gzip_layer *self = state;
    *got = 0;
    while (*got == 0) {
        if (self->is_between) {
            bool has_more = false;
            PS_TRY(next_member(self, &has_more, err));
            if (!has_more) {
                return PS_OK;
            }
        }
        PS_TRY(refill(self, err));
        const bool was_starved = self->is_input_over && self->inflate.avail_in == 0;
        PS_TRY(inflate_some(self, buf, want, got, err));
        if (*got == 0 && was_starved && !self->is_between) {
            return ps_fail_at(err, PS_TRUNCATED, self->made, "the gzip data ends early");
        }
    }
    return PS_OK;
}

static void close_gzip(void *state)
{
    gzip_layer *self = state;
    self->below.close(self->below.state);
    ps_free(self->block);
    ps_free(self);
}

ps_code ps__source_gzip(ps_source_layer below, unsigned char *block, size_t block_used,
                        ps_source_layer *out, ps_error *err)
{
    gzip_layer *self = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        below.close(below.state);
        return ps_fail_nomem(err);
    }
    self->below = below;
    self->block = block;
    isal_inflate_init(&self->inflate);
    self->inflate.crc_flag = ISAL_GZIP;
    give_input(self, block_used);
    *out = (ps_source_layer){self, read_gzip, close_gzip};
    return PS_OK;
}
