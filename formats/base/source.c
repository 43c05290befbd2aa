/* SPDX-License-Identifier: MIT
 *
 * Byte sources: the public calls, and the two simplest bottoms, a regular
 * file and memory.
 *
 * Files are read, not mapped: a file that shrinks or sits on a failing disk
 * gives an error instead of a signal. An error that strikes in the middle of
 * a read is kept for the next one, so that all good bytes are delivered.
 */
#include "base/source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/source_layer.h"

#define NAME_MAX_BYTES 4096u

struct ps_source {
    ps_source_layer top;
    char *name;
    unsigned char *held; /* bytes taken from the top but not yet delivered */
    size_t held_start, held_end, held_capacity;
    uint64_t offset; /* delivered */
    bool is_at_end;
    ps_code pending_code; /* failure of the top that is still to be told */
    ps_error pending;
};

/* ---- bottom: memory ---- */

typedef struct memory_bottom {
    const unsigned char *bytes;
    size_t left;
} memory_bottom;

static ps_code read_memory(void *state, void *buf, size_t want, size_t *got, ps_error *err)
{
    (void)err;
    memory_bottom *self = state;
    *got = want < self->left ? want : self->left;
    memcpy(buf, self->bytes, *got);
    self->bytes += *got;
    self->left -= *got;
    return PS_OK;
}

/* ---- bottom: regular file ---- */

typedef struct file_bottom {
    int fd;
} file_bottom;

static ps_code read_file(void *state, void *buf, size_t want, size_t *got, ps_error *err)
{
    const file_bottom *self = state;
    for (;;) {
        const ssize_t n = read(self->fd, buf, want);
        if (n >= 0) {
            *got = (size_t)n;
            return PS_OK;
        }
        if (errno != EINTR) {
            return ps_fail_errno(err, errno, "cannot read");
        }
    }
}

static void close_file(void *state)
{
    file_bottom *self = state;
    if (self->fd >= 0) {
        (void)close(self->fd);
    }
    ps_free(self);
}

/* What a path that is no regular file is called; NULL for a regular file. */
static const char *special_kind(mode_t mode)
{
    if (S_ISREG(mode)) {
        return NULL;
    }
    if (S_ISDIR(mode)) {
        return "a directory";
    }
    if (S_ISFIFO(mode)) {
        return "a pipe";
    }
    return S_ISSOCK(mode) ? "a socket" : "a device";
}

static ps_code open_fd(const char *path, int *fd, ps_error *err)
{
    struct stat info;
    /* looked at before opening, because opening a device or a pipe can already have effects */
    if (stat(path, &info) != 0) {
        return ps_fail_errno(err, errno, "cannot open %s", path);
    }
    if (special_kind(info.st_mode) != NULL) {
        return ps_fail(err, PS_BAD_INPUT, "%s is %s, not a file", path, special_kind(info.st_mode));
    }
    const int opened = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (opened < 0) {
        return ps_fail_errno(err, errno, "cannot open %s", path);
    }
    if (fstat(opened, &info) != 0 || special_kind(info.st_mode) != NULL) {
        (void)close(opened);
        return ps_fail(err, PS_BAD_INPUT, "%s was replaced while it was being opened", path);
    }
    *fd = opened;
    return PS_OK;
}

/* ---- the source ---- */

static ps_code copy_name(const char *name, char **out, ps_error *err)
{
    const size_t bytes = strnlen(name, NAME_MAX_BYTES);
    char *copy = ps_calloc(bytes + 1, 1);
    if (copy == NULL) {
        return ps_fail_nomem(err);
    }
    memcpy(copy, name, bytes);
    *out = copy;
    return PS_OK;
}

/* Reads from a layer until `want` bytes or its end. */
static ps_code fill(const ps_source_layer *layer, unsigned char *buf, size_t want, size_t *got,
                    ps_error *err)
{
    *got = 0;
    while (*got < want) {
        size_t more = 0;
        PS_TRY(layer->read(layer->state, buf + *got, want - *got, &more, err));
        if (more == 0) {
            break;
        }
        *got += more;
    }
    return PS_OK;
}

/* Puts the first block in place: in front of the reader, or below a gzip layer. */
static ps_code stack_layers(ps_source *self, ps_source_layer bottom, ps_error *err)
{
    self->top = bottom;
    self->held_capacity = PS_SOURCE_BLOCK_BYTES;
    self->held = ps_calloc(self->held_capacity, 1);
    if (self->held == NULL) {
        return ps_fail_nomem(err);
    }
    PS_TRY(fill(&self->top, self->held, self->held_capacity, &self->held_end, err));
    if (self->held_end == 0) {
        return ps_fail(err, PS_BAD_INPUT, "%s is empty", self->name);
    }
    if (ps__source_is_gzip(self->held, self->held_end)) {
        self->top = (ps_source_layer){0};
        PS_TRY(ps__source_gzip(bottom, self->held, self->held_end, &self->top, err));
        self->held = NULL; /* the gzip layer reads its input there from now on */
        self->held_end = 0;
        self->held_capacity = 0;
    }
    return PS_OK;
}

ps_code ps__source_create(ps_source_layer bottom, const char *name, ps_source **out, ps_error *err)
{
    ps_source *self = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        bottom.close(bottom.state);
        return ps_fail_nomem(err);
    }
    ps_code code = copy_name(name, &self->name, err);
    if (code != PS_OK) {
        bottom.close(bottom.state);
    } else {
        code = stack_layers(self, bottom, err);
    }
    if (code != PS_OK) {
        ps_source_close(self);
        return code;
    }
    *out = self;
    return PS_OK;
}

ps_code ps_source_open(const char *path, ps_source **out, ps_error *err)
{
    file_bottom *bottom = ps_calloc(1, sizeof *bottom);
    if (bottom == NULL) {
        return ps_fail_nomem(err);
    }
    const ps_code code = open_fd(path, &bottom->fd, err);
    if (code != PS_OK) {
        ps_free(bottom);
        return code;
    }
    return ps__source_create((ps_source_layer){bottom, read_file, close_file}, path, out, err);
}

ps_code ps_source_open_memory(const void *bytes, size_t count, ps_source **out, ps_error *err)
{
    memory_bottom *bottom = ps_calloc(1, sizeof *bottom);
    if (bottom == NULL) {
        return ps_fail_nomem(err);
    }
    bottom->bytes = bytes;
    bottom->left = count;
    return ps__source_create((ps_source_layer){bottom, read_memory, ps_free}, "memory", out, err);
}

/* Reads from the top; a failure is remembered and told once all bytes before it are delivered. */
static size_t read_top(ps_source *self, unsigned char *buf, size_t want)
{
    size_t total = 0;
    while (total < want && !self->is_at_end && self->pending_code == PS_OK) {
        size_t more = 0;
        self->pending_code =
            self->top.read(self->top.state, buf + total, want - total, &more, &self->pending);
        if (self->pending_code == PS_OK) {
            self->is_at_end = more == 0;
            total += more;
        }
    }
    return total;
}

static ps_code tell_pending(const ps_source *self, ps_error *err)
{
    if (self->pending_code != PS_OK && err != NULL) {
        *err = self->pending;
        if (!err->has_offset && self->pending_code != PS_NOMEM) {
            err->has_offset = true;
            err->offset_bytes = self->offset;
        }
    }
    return self->pending_code;
}

ps_code ps_source_read(ps_source *self, void *buf, size_t want, size_t *got, ps_error *err)
{
    unsigned char *to = buf;
    const size_t held = self->held_end - self->held_start;
    size_t total = want < held ? want : held;
    if (total > 0) {
        memcpy(to, self->held + self->held_start, total);
        self->held_start += total;
    }
    if (total < want) {
        total += read_top(self, to + total, want - total);
    }
    self->offset += total;
    if (total == 0 && want > 0) {
        PS_TRY(tell_pending(self, err));
    }
    *got = total;
    return PS_OK;
}

ps_code ps_source_peek(ps_source *self, size_t want, const unsigned char **head, size_t *got,
                       ps_error *err)
{
    if (self->offset != 0) {
        return ps_fail(err, PS_USAGE, "the head of a source was asked for after reading began");
    }
    if (want > self->held_capacity) {
        PS_TRY(ps_grow((void **)&self->held, &self->held_capacity, want, PS_SOURCE_MAX_PEEK_BYTES,
                       1, err));
    }
    if (self->held_end < want) {
        self->held_end += read_top(self, self->held + self->held_end, want - self->held_end);
    }
    if (self->held_end == 0) {
        PS_TRY(tell_pending(self, err));
    }
    *head = self->held;
    *got = self->held_end < want ? self->held_end : want;
    return PS_OK;
}

uint64_t ps_source_offset(const ps_source *self)
{
    return self->offset;
}

const char *ps_source_name(const ps_source *self)
{
    return self->name;
}

void ps_source_close(ps_source *self)
{
    if (self == NULL) {
        return;
    }
    if (self->top.close != NULL) {
        self->top.close(self->top.state);
    }
    ps_free(self->held);
    ps_free(self->name);
    ps_free(self);
}
