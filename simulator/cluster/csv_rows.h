/* SPDX-License-Identifier: MIT
 *
 * CSV text as rows with line numbers, over libcsv. Lines that begin with #
 * outside a quoted field are comments, empty lines are skipped, a byte order
 * mark is ignored, fields lose the blanks around them unless quoted.
 */
#ifndef PS_CLUSTER_CSV_ROWS_H
#define PS_CLUSTER_CSV_ROWS_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/**
 * Called once a row; anything but PS_OK ends the reading and is its result.
 *
 * @param field  terminated texts, borrowed for the call
 * @param line   from 1; the last line of a row that spans several
 */
typedef ps_code (*ps_csv_row)(void *context, const char *const *field, size_t field_count,
                              uint32_t line, ps_error *err);

/**
 * Reads all rows of a text.
 *
 * @param name  what messages call the text
 * @return PS_OK · PS_NOMEM · PS_BAD_INPUT misplaced quotes, a NUL byte, with name and line ·
 *         what `row` returned
 */
ps_code ps_csv_read(const char *name, const char *text, size_t bytes, ps_csv_row row, void *context,
                    ps_error *err) PS_MUST_USE;

#endif
