/* SPDX-License-Identifier: MIT
 *
 * Atomic output files on stdio buffers.
 */
#include "base/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

#define BUFFER_BYTES ((size_t)1 << 20)

struct ps_sink {
    FILE *file;
    char *path;
    char *temporary; /* NULL: written in place */
    uint64_t offset;
};

static char *copy_text(const char *text, const char *suffix)
{
    const size_t bytes = strlen(text) + strlen(suffix) + 1;
    char *copy = ps_calloc(bytes, 1);
    if (copy != NULL) {
        (void)snprintf(copy, bytes, "%s%s", text, suffix);
    }
    return copy;
}

static void release(ps_sink *self)
{
    if (self->file != NULL) {
        (void)fclose(self->file);
    }
    ps_free(self->path);
    ps_free(self->temporary);
    ps_free(self);
}

static ps_code open_in_place(ps_sink *self, ps_error *err)
{
    self->file = fopen(self->path, "wb");
    return self->file != NULL ? PS_OK : ps_fail_errno(err, errno, "cannot write %s", self->path);
}

static ps_code open_temporary(ps_sink *self, ps_error *err)
{
    self->temporary = copy_text(self->path, ".XXXXXX");
    if (self->temporary == NULL) {
        return ps_fail_nomem(err);
    }
    const int fd = mkstemp(self->temporary);
    if (fd < 0) {
        const int saved = errno;
        ps_free(self->temporary);
        self->temporary = NULL;
        return ps_fail_errno(err, saved, "cannot create %s", self->path);
    }
    self->file = fdopen(fd, "wb");
    if (self->file == NULL) {
        const int saved = errno;
        (void)close(fd);
        return ps_fail_errno(err, saved, "cannot create %s", self->path);
    }
    (void)setvbuf(self->file, NULL, _IOFBF, BUFFER_BYTES);
    return PS_OK;
}

static ps_code create(const char *path, bool is_live, ps_sink **out, ps_error *err)
{
    struct stat info;
    const bool exists = stat(path, &info) == 0;
    if (exists && S_ISDIR(info.st_mode)) {
        return ps_fail(err, PS_IO, "cannot write %s: it is a folder", path);
    }
    ps_sink *self = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return ps_fail_nomem(err);
    }
    self->path = copy_text(path, "");
    ps_code code = self->path == NULL ? ps_fail_nomem(err) : PS_OK;
    if (code == PS_OK) {
        const bool in_place = is_live || (exists && !S_ISREG(info.st_mode));
        code = in_place ? open_in_place(self, err) : open_temporary(self, err);
    }
    if (code == PS_OK && is_live) {
        /* a fork while bytes wait in a buffer would let the child write them once more */
        (void)setvbuf(self->file, NULL, _IONBF, 0);
        (void)fcntl(fileno(self->file), F_SETFD, FD_CLOEXEC);
    }
    if (code != PS_OK) {
        ps_sink_abandon(self);
        return code;
    }
    *out = self;
    return PS_OK;
}

ps_code ps_sink_create(const char *path, ps_sink **out, ps_error *err)
{
    return create(path, false, out, err);
}

ps_code ps_sink_create_live(const char *path, ps_sink **out, ps_error *err)
{
    return create(path, true, out, err);
}

ps_code ps_sink_flush(ps_sink *self, ps_error *err)
{
    return fflush(self->file) == 0 ? PS_OK
                                   : ps_fail_errno(err, errno, "cannot write %s", self->path);
}

ps_code ps_sink_write(ps_sink *self, const void *bytes, size_t count, ps_error *err)
{
    if (count > 0 && fwrite(bytes, 1, count, self->file) != count) {
        return ps_fail_errno(err, errno, "cannot write %s", self->path);
    }
    self->offset += count;
    return PS_OK;
}

uint64_t ps_sink_offset(const ps_sink *self)
{
    return self->offset;
}

/* mkstemp makes private files; the result should have the mode any new file of this user has. */
static void open_up(int fd)
{
    const mode_t mask = umask(0);
    (void)umask(mask);
    (void)fchmod(fd, (mode_t)0666 & ~mask);
}

static ps_code flush_and_close(ps_sink *self, ps_error *err)
{
    int failed = fflush(self->file) != 0 ? errno : 0;
    if (failed == 0 && self->temporary != NULL) {
        open_up(fileno(self->file));
        failed = fsync(fileno(self->file)) != 0 ? errno : 0;
    }
    if (fclose(self->file) != 0 && failed == 0) {
        failed = errno;
    }
    self->file = NULL;
    if (failed == 0 && self->temporary != NULL && rename(self->temporary, self->path) != 0) {
        failed = errno;
    }
    return failed == 0 ? PS_OK : ps_fail_errno(err, failed, "cannot write %s", self->path);
}

ps_code ps_sink_finish(ps_sink *self, ps_error *err)
{
    const ps_code code = flush_and_close(self, err);
    if (code != PS_OK) {
        ps_sink_abandon(self);
        return code;
    }
    release(self);
    return PS_OK;
}

void ps_sink_abandon(ps_sink *self)
{
    if (self == NULL) {
        return;
    }
    if (self->temporary != NULL) {
        (void)unlink(self->temporary);
    }
    release(self);
}
