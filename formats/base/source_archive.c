/* SPDX-License-Identifier: MIT
 *
 * Members of a tar archive as sources, by libarchive.
 *
 *   file ──► [gzip] ──► ps_source ──► libarchive (tar only) ──► member ──► [gzip] ──► caller
 *
 * libarchive gets its bytes from a ps_source, so gzip and its limits are
 * those of every other input; nothing is ever extracted to disk. A sparse
 * member can pretend to any size and is held to the same ratio.
 */
#include <archive.h>
#include <archive_entry.h>
#include <string.h>

#include "base/archive.h"
#include "base/memory.h"
#include "base/source_layer.h"

/* Offsets in the header of a tar member. */
enum { CHECKSUM_AT = 148, CHECKSUM_BYTES = 8 };

typedef struct tar_reader {
    ps_source *file;
    struct archive *archive;
    unsigned char *block; /* PS_SOURCE_BLOCK_BYTES between file and libarchive */
    ps_code file_code;    /* failure of the file, which libarchive cannot carry */
    ps_error file_error;
    uint64_t member_bytes; /* delivered of the current member */
    uint64_t member_start; /* [bytes] of the file used when the member began */
} tar_reader;

bool ps_archive_is_tar(const unsigned char *head, size_t head_bytes)
{
    unsigned long sum = 0, recorded = 0;
    bool has_digit = false;
    if (head_bytes < PS_ARCHIVE_HEAD_BYTES) {
        return false;
    }
    for (size_t i = 0; i < PS_ARCHIVE_HEAD_BYTES; i++) {
        const bool in_checksum = i >= CHECKSUM_AT && i < CHECKSUM_AT + CHECKSUM_BYTES;
        sum += in_checksum ? (unsigned long)' ' : head[i]; /* the field counts as spaces */
        if (in_checksum && head[i] >= '0' && head[i] <= '7') {
            recorded = recorded * 8 + (unsigned long)(head[i] - '0');
            has_digit = true;
        }
    }
    return has_digit && sum == recorded;
}

static la_ssize_t give_block(struct archive *archive, void *state, const void **block)
{
    tar_reader *self = state;
    size_t got = 0;
    (void)archive;
    self->file_code =
        ps_source_read(self->file, self->block, PS_SOURCE_BLOCK_BYTES, &got, &self->file_error);
    *block = self->block;
    return self->file_code == PS_OK ? (la_ssize_t)got : ARCHIVE_FATAL;
}

static void close_tar(void *state)
{
    tar_reader *self = state;
    if (self->archive != NULL) {
        (void)archive_read_free(self->archive);
    }
    ps_source_close(self->file);
    ps_free(self->block);
    ps_free(self);
}

/* What went wrong inside libarchive: the file's own failure when there was one. */
static ps_code tar_failure(const tar_reader *self, ps_error *err)
{
    if (self->file_code != PS_OK) {
        if (err != NULL) {
            *err = self->file_error;
        }
        return self->file_code;
    }
    const char *text = self->archive == NULL ? NULL : archive_error_string(self->archive);
    return ps_fail(err, PS_CORRUPT, "the tar archive is damaged: %s",
                   text == NULL ? "no detail" : text);
}

static ps_code start_tar(tar_reader *self, ps_error *err)
{
    self->block = ps_calloc(PS_SOURCE_BLOCK_BYTES, 1);
    self->archive = archive_read_new();
    if (self->block == NULL || self->archive == NULL ||
        archive_read_support_format_tar(self->archive) != ARCHIVE_OK) {
        return ps_fail_nomem(err);
    }
    return archive_read_open(self->archive, self, NULL, give_block, NULL) == ARCHIVE_OK
               ? PS_OK
               : tar_failure(self, err);
}

static ps_code open_tar(ps_source *file, tar_reader **out, ps_error *err)
{
    tar_reader *self = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        ps_source_close(file);
        return ps_fail_nomem(err);
    }
    self->file = file;
    const ps_code code = start_tar(self, err);
    if (code != PS_OK) {
        close_tar(self);
        return code;
    }
    *out = self;
    return PS_OK;
}

/* Next regular file with content; *name is NULL at the end, else borrowed until the next call. */
static ps_code next_member(tar_reader *self, const char **name, ps_error *err)
{
    struct archive_entry *entry = NULL;
    for (;;) {
        const int result = archive_read_next_header(self->archive, &entry);
        if (result == ARCHIVE_EOF) {
            *name = NULL;
            return PS_OK;
        }
        if (result != ARCHIVE_OK && result != ARCHIVE_WARN) {
            return tar_failure(self, err);
        }
        const char *path = archive_entry_pathname(entry);
        if (archive_entry_filetype(entry) == AE_IFREG && archive_entry_size(entry) > 0 &&
            path != NULL) {
            self->member_bytes = 0;
            self->member_start = ps_source_offset(self->file);
            *name = path;
            return PS_OK;
        }
    }
}

static ps_code read_member(void *state, void *buf, size_t want, size_t *got, ps_error *err)
{
    tar_reader *self = state;
    const la_ssize_t n = archive_read_data(self->archive, buf, want);
    if (n < 0) {
        return tar_failure(self, err);
    }
    *got = (size_t)n;
    self->member_bytes += *got;
    /* the block being used may have been read before the member began */
    const uint64_t used = ps_source_offset(self->file) - self->member_start + PS_SOURCE_BLOCK_BYTES;
    return ps__source_check_ratio(self->member_bytes, used, err);
}

/* A walk closes its reader itself. */
static void leave_open(void *state)
{
    (void)state;
}

static ps_code visit_member(tar_reader *self, const char *name, ps_archive_visit visit,
                            void *context, ps_error *err)
{
    ps_source *member = NULL;
    PS_TRY(ps__source_create((ps_source_layer){self, read_member, leave_open}, name, &member, err));
    const ps_code code = visit(context, member, err);
    ps_source_close(member);
    return code;
}

ps_code ps_archive_walk(ps_source *file, ps_archive_visit visit, void *context, ps_error *err)
{
    tar_reader *self = NULL;
    PS_TRY(open_tar(file, &self, err));
    ps_code code = PS_OK;
    for (size_t count = 0; code == PS_OK; count++) {
        const char *name = NULL;
        code = next_member(self, &name, err);
        if (code != PS_OK || name == NULL) {
            break;
        }
        code = count < PS_ARCHIVE_MAX_MEMBERS
                   ? visit_member(self, name, visit, context, err)
                   : ps_fail(err, PS_LIMIT, "the archive has more than %u members",
                             PS_ARCHIVE_MAX_MEMBERS);
    }
    close_tar(self);
    return code;
}

ps_code ps_archive_open_member(ps_source *file, const char *member, ps_source **out, ps_error *err)
{
    tar_reader *self = NULL;
    PS_TRY(open_tar(file, &self, err));
    for (;;) {
        const char *name = NULL;
        const ps_code code = next_member(self, &name, err);
        if (code != PS_OK) {
            close_tar(self);
            return code;
        }
        if (name == NULL) {
            close_tar(self);
            return ps_fail(err, PS_NOT_FOUND, "the archive has no file named %s", member);
        }
        if (strcmp(name, member) == 0) {
            return ps__source_create((ps_source_layer){self, read_member, close_tar}, member, out,
                                     err);
        }
    }
}
