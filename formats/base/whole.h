/* SPDX-License-Identifier: MIT
 *
 * Artefacts that are read whole or not at all: plans and workloads.
 *
 * Such a file is cut into chunks of at most 65536 rows a table: chunk k holds
 * rows k * 65536 and on of every table that has them, with the strings those
 * rows use. The cut depends on nothing else, so equal content gives equal
 * bytes, whatever the order of its strings.
 */
#ifndef PS_BASE_WHOLE_H
#define PS_BASE_WHOLE_H

#include "base/container.h"

/** The content of an artefact, to look at. Borrowed pointers. */
typedef struct ps_dataset_view {
    const ps_table_spec *specs;
    size_t table_count;
    const ps_table_head *const *tables; /* table_count pointers, in the order of specs */
    const ps_strings *strings;
} ps_dataset_view;

/**
 * Writes all rows as a finished file, atomically.
 *
 * @return PS_OK · PS_IO · PS_NOMEM; the error names the path
 */
ps_code ps_whole_write(const ps_dataset_view *data, ps_artefact artefact, const char *path,
                       ps_error *err) PS_MUST_USE;

/**
 * Appends every chunk of a finished, undamaged file.
 *
 * @param noun  what the file holds, for messages: "plan"
 * @return PS_OK · PS_TRUNCATED cut or never finished · PS_CORRUPT · PS_LIMIT · PS_NOMEM
 */
ps_code ps_whole_read(ps_container_reader *reader, const ps_dataset *into, const char *noun,
                      ps_error *err) PS_MUST_USE;

#endif
