/* SPDX-License-Identifier: MIT
 *
 * From the parts of all processes to traces, each with its name.
 */
#ifndef PS_TOOLS_RECORD_OUTPUT_H
#define PS_TOOLS_RECORD_OUTPUT_H

#include "cli/json.h"
#include "cli/output.h"

/** Where traces go and how it is told. */
typedef struct ps_record_output {
    const char *path; /* as given; {rank} and {pid} are replaced */
    bool is_quiet;
    ps_json *json; /* inside an array of objects; NULL: text on standard error */
} ps_record_output;

/**
 * Joins the parts in a folder and writes the traces.
 *
 * A process that did nothing on a device and marked nothing (a launcher, a
 * data loader) gives no trace. When several do and the path has no {rank} or
 * {pid}, "-rank0" or the process id is put before its ending.
 *
 * @param written  number of traces
 * @return PS_OK also when there is nothing to write · else as reading and writing can fail
 */
ps_code ps_record_write_traces(const char *folder, const ps_record_output *output, size_t *written,
                               ps_error *err) PS_MUST_USE;

#endif
