/* SPDX-License-Identifier: MIT
 *
 * Writes small pickles by hand, the way the writers of the field do: CPython
 * with protocols 2 to 5 (memoises every container and text) or a writer that
 * memoises nothing. No text is fetched again; tests that need it use
 * pw_get.
 */
#ifndef PS_TESTS_PICKLE_WRITER_H
#define PS_TESTS_PICKLE_WRITER_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef struct pickle_writer {
    unsigned char bytes[1 << 16];
    size_t used;
    int protocol;
    bool memoises;
    uint32_t memo_count;
} pickle_writer;

static inline void pw_raw(pickle_writer *self, const void *bytes, size_t count)
{
    assert(self->used + count <= sizeof self->bytes);
    memcpy(self->bytes + self->used, bytes, count);
    self->used += count;
}

static inline void pw_op(pickle_writer *self, unsigned op)
{
    const unsigned char byte = (unsigned char)op;
    pw_raw(self, &byte, 1);
}

/* Little-endian. */
static inline void pw_number(pickle_writer *self, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        pw_op(self, (unsigned)(value >> (8 * i) & 0xff));
    }
}

static inline void pw_begin(pickle_writer *self, int protocol, bool memoises)
{
    self->used = 0;
    self->protocol = protocol;
    self->memoises = memoises;
    self->memo_count = 0;
    if (protocol >= 2) {
        pw_op(self, 0x80);
        pw_op(self, (unsigned)protocol);
    }
    if (protocol >= 4) {
        pw_op(self, 0x95); /* FRAME; readers only use it as a hint */
        pw_number(self, 0, 8);
    }
}

static inline void pw_end(pickle_writer *self)
{
    pw_op(self, '.');
}

/* Memoises the top of the stack; returns the entry. */
static inline uint32_t pw_memoise(pickle_writer *self)
{
    const uint32_t entry = self->memo_count;
    if (!self->memoises) {
        return UINT32_MAX;
    }
    self->memo_count++;
    if (self->protocol >= 4) {
        pw_op(self, 0x94);
    } else if (entry < 256) {
        pw_op(self, 'q');
        pw_number(self, entry, 1);
    } else {
        pw_op(self, 'r');
        pw_number(self, entry, 4);
    }
    return entry;
}

static inline void pw_get(pickle_writer *self, uint32_t entry)
{
    pw_op(self, entry < 256 ? 'h' : 'j');
    pw_number(self, entry, entry < 256 ? 1 : 4);
}

static inline void pw_text(pickle_writer *self, const char *text)
{
    const size_t bytes = strlen(text);
    if (self->protocol >= 4 && bytes < 256) {
        pw_op(self, 0x8c);
        pw_number(self, bytes, 1);
    } else {
        pw_op(self, 'X');
        pw_number(self, bytes, 4);
    }
    pw_raw(self, text, bytes);
    (void)pw_memoise(self);
}

static inline void pw_int(pickle_writer *self, int64_t value)
{
    if (value >= 0 && value < 256) {
        pw_op(self, 'K');
        pw_number(self, (uint64_t)value, 1);
    } else if (value >= 0 && value < 65536) {
        pw_op(self, 'M');
        pw_number(self, (uint64_t)value, 2);
    } else if (value >= INT32_MIN && value <= INT32_MAX) {
        pw_op(self, 'J');
        pw_number(self, (uint64_t)value, 4);
    } else if (self->protocol >= 2) {
        pw_op(self, 0x8a);
        pw_op(self, 8);
        pw_number(self, (uint64_t)value, 8);
    } else {
        char line[32];
        const int bytes = snprintf(line, sizeof line, "L%lldL\n", (long long)value);
        pw_raw(self, line, (size_t)bytes);
    }
}

static inline void pw_bool(pickle_writer *self, bool value)
{
    if (self->protocol >= 2) {
        pw_op(self, value ? 0x88 : 0x89);
    } else {
        pw_raw(self, value ? "I01\n" : "I00\n", 4);
    }
}

static inline void pw_float(pickle_writer *self, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    pw_op(self, 'G');
    for (int i = 7; i >= 0; i--) {
        pw_op(self, (unsigned)(bits >> (8 * i) & 0xff));
    }
}

/* A dict or list up to its items; returns the memo entry. */
static inline uint32_t pw_dict(pickle_writer *self)
{
    pw_op(self, '}');
    const uint32_t entry = pw_memoise(self);
    pw_op(self, '(');
    return entry;
}

static inline void pw_dict_end(pickle_writer *self)
{
    pw_op(self, 'u');
}

static inline uint32_t pw_list(pickle_writer *self)
{
    pw_op(self, ']');
    const uint32_t entry = pw_memoise(self);
    pw_op(self, '(');
    return entry;
}

static inline void pw_list_end(pickle_writer *self)
{
    pw_op(self, 'e');
}

/* A list without mark: for one item, ended by pw_append, or for none. */
static inline uint32_t pw_bare_list(pickle_writer *self)
{
    pw_op(self, ']');
    return pw_memoise(self);
}

static inline void pw_append(pickle_writer *self)
{
    pw_op(self, 'a');
}

static inline void pw_pair(pickle_writer *self, int64_t a, int64_t b)
{
    if (self->protocol < 2) {
        pw_op(self, '(');
    }
    pw_int(self, a);
    pw_int(self, b);
    pw_op(self, self->protocol < 2 ? 't' : 0x86);
    (void)pw_memoise(self);
}

static inline void pw_text_item(pickle_writer *self, const char *key, const char *value)
{
    pw_text(self, key);
    pw_text(self, value);
}

static inline void pw_int_item(pickle_writer *self, const char *key, int64_t value)
{
    pw_text(self, key);
    pw_int(self, value);
}

#endif
