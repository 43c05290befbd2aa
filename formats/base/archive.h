/* SPDX-License-Identifier: MIT
 *
 * Members of a tar archive (plain or gzip) as sources.
 */
#ifndef PS_BASE_ARCHIVE_H
#define PS_BASE_ARCHIVE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/source.h"

/** Bytes that ps_archive_is_tar needs to see. */
#define PS_ARCHIVE_HEAD_BYTES 512u

/** Most members looked at; more is PS_LIMIT. */
#define PS_ARCHIVE_MAX_MEMBERS 100000u

/** True when the first bytes of a file (after gzip is undone) are the header of a tar archive. */
bool ps_archive_is_tar(const unsigned char *head, size_t head_bytes);

/**
 * Called for every member that is a non-empty regular file, in archive order.
 *
 * @param member  the member's bytes, gzip undone; borrowed for the call. Its name is the member's path
 * @return anything but PS_OK ends the walk with that code
 */
typedef ps_code (*ps_archive_visit)(void *context, ps_source *member, ps_error *err);

/**
 * Walks over the members of an archive.
 *
 * @param file  the archive, nothing read of it yet; taken, also on failure
 * @return PS_OK · PS_CORRUPT, PS_TRUNCATED the archive is damaged · PS_LIMIT · PS_NOMEM ·
 *         as ps_source_read · what `visit` returned
 */
ps_code ps_archive_walk(ps_source *file, ps_archive_visit visit, void *context,
                        ps_error *err) PS_MUST_USE;

/**
 * Opens one member by its path in the archive; of several with that path, the first.
 *
 * @param file  as in ps_archive_walk
 * @return PS_OK · PS_NOT_FOUND no such regular, non-empty member · as ps_archive_walk
 * Lifetime: *out is owned until ps_source_close.
 */
ps_code ps_archive_open_member(ps_source *file, const char *member, ps_source **out,
                               ps_error *err) PS_MUST_USE;

#endif
