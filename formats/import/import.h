/* SPDX-License-Identifier: MIT
 *
 * Importing a foreign recording: which format is it, which member of an
 * archive is meant, and into what it goes.
 */
#ifndef PS_IMPORT_IMPORT_H
#define PS_IMPORT_IMPORT_H

#include "import/importer.h"

/** Choices of an import. Zero-initialise: {0}. */
typedef struct ps_import_options {
    const char *member; /* path inside a tar archive; NULL: the first that can be imported */
} ps_import_options;

#define PS_IMPORT_MEMBER_BYTES 512u

/** What was imported. */
typedef struct ps_import_report {
    const char *format;                  /* name of the importer; static storage */
    char member[PS_IMPORT_MEMBER_BYTES]; /* of the archive, cut when longer; "" when it is none */
    uint64_t member_count; /* members of the archive that can be imported; 0 when it is none */
} ps_import_report;

/* Facts an import from an archive adds. */
#define PS_META_ARCHIVE_MEMBER "archive-member"
#define PS_META_ARCHIVE_MEMBERS "archive-members" /* how many can be imported */

/**
 * Imports a file into a builder.
 *
 * The format is told by content. Of a tar archive (plain or gzip) the chosen
 * member is imported, or the first in the archive that an importer knows.
 *
 * @param options  NULL for the defaults
 * @param out      on failure the caller abandons it
 * @param report   NULL when not wanted; written only on PS_OK
 * @return PS_OK · PS_BAD_INPUT no known format, or not well-formed · PS_UNSUPPORTED a format that is
 *         known but not imported · PS_NOT_FOUND no such member · PS_TRUNCATED · PS_CORRUPT ·
 *         PS_LIMIT · PS_IO · PS_NOMEM
 */
ps_code ps_import_file(const char *path, const ps_import_options *options, ps_trace_builder *out,
                       ps_import_report *report, ps_error *err) PS_MUST_USE;

/** ps_import_file into a new trace file; nothing is left behind on failure. */
ps_code ps_import_to_file(const char *path, const ps_import_options *options, const char *out_path,
                          ps_import_report *report, ps_error *err) PS_MUST_USE;

/** The importer for a file that begins with these bytes; NULL when none knows it. */
const ps_importer_ops *ps_import_detect(const unsigned char *head, size_t head_bytes);

/**
 * Says what a file is that no importer takes.
 *
 * @return a phrase such as "a PyTorch execution trace, which has no device times"; NULL when not
 *         recognised. Static storage
 */
const char *ps_import_recognise(const unsigned char *head, size_t head_bytes);

#endif
