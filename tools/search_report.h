/* SPDX-License-Identifier: MIT
 *
 * What `peakstep plan` found, with the commands that do it again and the
 * changes that would make room.
 */
#ifndef PS_TOOLS_SEARCH_REPORT_H
#define PS_TOOLS_SEARCH_REPORT_H

#include "cli/output.h"
#include "search_case.h"

/** Another way to train that a family would fit with. */
typedef struct ps_search_change {
    ps_search_point point;
    uint32_t gpus;
    const char *optimizer; /* in place of what was asked; NULL: as asked */
    uint64_t host_bytes;   /* memory of a node, whole GiB, in place of what it has; 0: as it is */
} ps_search_change;

typedef struct ps_search_remedy {
    ps_search_change change;
    ps_search_outcome outcome;
} ps_search_remedy;

#define PS_SEARCH_REMEDIES 5

/** Of one family that does not fit. */
typedef struct ps_search_remedies {
    ps_search_remedy remedy[PS_SEARCH_REMEDIES];
    size_t count;
} ps_search_remedies;

/** Everything there is to tell. */
typedef struct ps_search_report {
    const ps_search_case *of;
    const char *input; /* as it was typed */
    ps_search_result result;
    ps_search_remedies *remedies; /* per family; empty of those that fit or were refused */
} ps_search_report;

/**
 * Looks for the smallest changes with which a family fits, each tried alone: more memory of the
 * host where that is all that lacks, an optimizer with states of 8 bits, adapters, adapters on
 * weights of 4 bits, more GPUs.
 *
 * @param from  trial of the family that lacks least
 * @param most  remedies to find, at most PS_SEARCH_REMEDIES
 */
ps_code ps_search_find_remedies(const ps_search_case *of, const ps_search_trial *from, size_t most,
                                ps_search_remedies *out, ps_error *err) PS_MUST_USE;

/** [bytes] that hold every command. */
#define PS_SEARCH_COMMAND_BYTES 2048

/** The `peakstep simulate` that gives a point's figures again. */
void ps_search_command(const ps_search_report *self, const ps_search_change *change,
                       char out[PS_SEARCH_COMMAND_BYTES]);

/** A change in words: "LoRA of rank 16", "4 GPUs by fsdp2". */
void ps_search_change_name(const ps_search_case *of, const ps_search_change *change,
                           char out[PS_SEARCH_NAME_BYTES]);

/** A family's own change: none. */
ps_search_change ps_search_no_change(const ps_search_report *self, const ps_search_point *point);

/** The part of the text about families of which nothing fits; nothing where there are none. */
void ps_search_print_losers(const ps_search_report *self, ps_output *out);

/** The last lines of the text: margins, and what was not tried. */
void ps_search_print_notes(const ps_search_report *self, ps_output *out);

ps_code ps_search_text(const ps_search_report *self, ps_output *out, ps_error *err) PS_MUST_USE;
ps_code ps_search_json(const ps_search_report *self, ps_output *out, ps_error *err) PS_MUST_USE;

#endif
