/* SPDX-License-Identifier: MIT
 *
 * The Kineto importer: traces that the PyTorch profiler exports as Chrome
 * trace JSON.
 */
#ifndef PS_IMPORT_KINETO_H
#define PS_IMPORT_KINETO_H

#include "import/importer.h"

/** Members of the file around its events that were too large to keep, a number; absent when none. */
#define PS_META_LEFT_OUT "members-left-out"

extern const ps_importer_ops ps_importer_kineto;

/**
 * The import with a chosen window, for tests; the result does not depend on it.
 *
 * @param window_bytes  1 .. ; most text held at a time unless one event is larger
 * @return PS_OK · PS_BAD_INPUT not this format, a member of the wrong type, a negative duration ·
 *         PS_TRUNCATED · PS_CORRUPT most events cannot be read · PS_LIMIT · PS_NOMEM · PS_IO
 */
ps_code ps_kineto_import(ps_source *source, ps_trace_builder *out, size_t window_bytes,
                         ps_error *err) PS_MUST_USE;

#endif
