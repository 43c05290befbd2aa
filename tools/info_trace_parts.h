/* SPDX-License-Identifier: MIT
 *
 * Parts of describing a trace (private to info_trace*.c).
 */
#ifndef PS_TOOLS_INFO_TRACE_PARTS_H
#define PS_TOOLS_INFO_TRACE_PARTS_H

#include "artefact.h"
#include "cli/output.h"
#include "trace/summary.h"

/** Everything a page needs; borrowed. */
typedef struct ps_trace_page {
    const char *path;
    const ps_trace *trace;
    const ps_trace_summary *summary;
    const ps_container_state *state;
} ps_trace_page;

/** Names users know from the profiler. */
const char *ps__range_category_word(size_t category);
const char *ps__call_api_word(size_t api);
const char *ps__device_kind_word(ps_device_kind kind);

/** [thousandths of a byte] of the file for each event, rounded; 0 without events. */
uint64_t ps__thousandths_per_event(const ps_trace_page *self);

/** The page as text. */
ps_code ps__trace_page_print(const ps_trace_page *self, ps_output *out, ps_error *err) PS_MUST_USE;

/** The page as JSON. */
ps_code ps__trace_page_json(const ps_trace_page *self, ps_output *out, ps_error *err) PS_MUST_USE;

#endif
