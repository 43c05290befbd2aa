/* SPDX-License-Identifier: MIT
 *
 * The importer seam: which records are in this foreign file?
 *
 * An importer is one const table, one .c file and one line in
 * importers.def. The format is detected from content: every importer looks at
 * the first bytes (after gzip is undone) and returns its confidence.
 */
#ifndef PS_IMPORT_IMPORTER_H
#define PS_IMPORT_IMPORTER_H

#include "base/source.h"
#include "trace/builder.h"

#define PS_IMPORTER_ABI 1u

/** Bytes offered to a probe; fewer when the file is shorter. */
#define PS_IMPORT_PROBE_BYTES 65536u

typedef struct ps_importer_ops {
    uint32_t abi;        /* PS_IMPORTER_ABI */
    const char *name;    /* unique, kebab-case */
    const char *summary; /* one line, no full stop */
    /** 0 .. 100: confidence that a file beginning with these bytes is ours. Must not fail. */
    int (*probe)(const unsigned char *head, size_t head_bytes);
    /**
     * Reads the whole source into the builder. Streams, never seeks; memory
     * bounded whatever the length. On failure the caller abandons the builder.
     */
    ps_code (*import)(ps_source *source, ps_trace_builder *out, ps_error *err);
} ps_importer_ops;

/** All importers, ended by NULL. Static storage. */
const ps_importer_ops *const *ps_importers(void);

#endif
