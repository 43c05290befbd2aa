/* SPDX-License-Identifier: MIT
 *
 * One buffer, a little larger than the longest operand: what is unread moves
 * to its front and the rest is filled from the source.
 */
#include "import/pickle_input.h"

#include <inttypes.h>
#include <string.h>

#include "base/memory.h"

#define BUFFER_BYTES (PS_PICKLE_TAKE_MAX + 65536u)

ps_code ps_pickle_input_init(ps_pickle_input *self, ps_source *source, ps_error *err)
{
    unsigned char *buffer = ps_calloc(BUFFER_BYTES, 1);
    if (buffer == NULL) {
        return ps_fail_nomem(err);
    }
    *self = (ps_pickle_input){.source = source, .buffer = buffer};
    return PS_OK;
}

void ps_pickle_input_fini(ps_pickle_input *self)
{
    ps_free(self->buffer);
    self->buffer = NULL;
}

uint64_t ps_pickle_input_offset(const ps_pickle_input *self)
{
    return self->offset_bytes + self->at;
}

/* Moves the unread bytes to the front and reads once; *got is 0 at the end. */
static ps_code refill(ps_pickle_input *self, size_t *got, ps_error *err)
{
    memmove(self->buffer, self->buffer + self->at, self->end - self->at);
    self->offset_bytes += self->at;
    self->end -= self->at;
    self->at = 0;
    PS_TRY(
        ps_source_read(self->source, self->buffer + self->end, BUFFER_BYTES - self->end, got, err));
    self->end += *got;
    return PS_OK;
}

static ps_code fail_cut(const ps_pickle_input *self, ps_error *err)
{
    return ps_fail_at(err, PS_TRUNCATED, self->offset_bytes + self->end,
                      "the pickle is cut short: it ends before its STOP instruction");
}

ps_code ps_pickle_input_take(ps_pickle_input *self, uint64_t count, unsigned char **bytes,
                             ps_error *err)
{
    if (count > PS_PICKLE_TAKE_MAX) {
        return ps_fail(err, PS_LIMIT, "a text of %" PRIu64 " bytes is longer than the limit of %zu",
                       count, PS_PICKLE_TAKE_MAX);
    }
    while (count > self->end - self->at) {
        size_t got;
        PS_TRY(refill(self, &got, err));
        if (got == 0) {
            return fail_cut(self, err);
        }
    }
    *bytes = self->buffer + self->at;
    self->at += (size_t)count;
    return PS_OK;
}

ps_code ps_pickle_input_skip(ps_pickle_input *self, uint64_t count, ps_error *err)
{
    while (count > 0) {
        if (self->at == self->end) {
            size_t got;
            PS_TRY(refill(self, &got, err));
            if (got == 0) {
                return fail_cut(self, err);
            }
        }
        const size_t left = self->end - self->at;
        const size_t part = count < left ? (size_t)count : left;
        self->at += part;
        count -= part;
    }
    return PS_OK;
}

ps_code ps_pickle_input_number(ps_pickle_input *self, size_t bytes, uint64_t *out, ps_error *err)
{
    unsigned char *raw;
    uint64_t value = 0;
    PS_TRY(ps_pickle_input_take(self, bytes, &raw, err));
    for (size_t i = bytes; i-- > 0;) {
        value = value << 8 | raw[i];
    }
    *out = value;
    return PS_OK;
}

ps_code ps_pickle_input_expect_end(ps_pickle_input *self, ps_error *err)
{
    size_t got;
    if (self->at == self->end) {
        PS_TRY(refill(self, &got, err));
    }
    if (self->at != self->end) {
        return ps_fail_at(err, PS_BAD_INPUT, ps_pickle_input_offset(self),
                          "bytes follow the end of the pickle: the file is damaged, or holds more "
                          "than one pickle");
    }
    return PS_OK;
}
