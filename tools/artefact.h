/* SPDX-License-Identifier: MIT
 *
 * What verbs that take all kinds of artefacts alike need: which of them a file
 * is, and the loss counters both carry.
 */
#ifndef PS_TOOLS_ARTEFACT_H
#define PS_TOOLS_ARTEFACT_H

#include "cli/json.h"
#include "trace/file.h"

/** What a file says it is; a trace when it says nothing, so that reading it as one gives the reason. */
ps_artefact ps_artefact_of(const char *path);

/**
 * ps_trace_read for verbs: when the file is a recording that has yet to be
 * imported, the error says so.
 */
ps_code ps_artefact_read_trace(const char *path, ps_trace **out, ps_container_state *state,
                               ps_error *err) PS_MUST_USE;

/** The loss table of an artefact; everything borrowed. */
typedef struct ps_loss_view {
    const ps_strings *strings;
    const ps_str *name;
    const uint8_t *severity; /* ps_severity */
    const uint64_t *times;
    size_t count;
} ps_loss_view;

/** Makes the view of the `loss` table of a ps_trace, ps_plan or ps_workload. */
#define PS_LOSS_VIEW(owner)                                                       \
    ((ps_loss_view){(owner)->strings, (owner)->loss.name, (owner)->loss.severity, \
                    (owner)->loss.count, (owner)->loss.head.count})

/** Prints a heading and one line a counter; nothing when there are none. */
ps_code ps_losses_print(ps_loss_view losses, ps_output *out, ps_error *err) PS_MUST_USE;

/** Writes the member "losses": [{name, severity, count, meaning}]. */
void ps_losses_json(ps_loss_view losses, ps_json *json);

#endif
