/* SPDX-License-Identifier: MIT
 *
 * Is a trace sound? Every invariant that columns.h states or that follows
 * from how recorders and allocators work, each with its own severity
 * (check_rules.def).
 */
#ifndef PS_TRACE_CHECK_H
#define PS_TRACE_CHECK_H

#include "trace/trace.h"

typedef enum ps_finding_severity {
    PS_FINDING_INFO = 0,    /* normal for real recordings */
    PS_FINDING_WARNING = 1, /* unusual, or something is missing */
    PS_FINDING_ERROR = 2,   /* the trace is wrong */
    PS_FINDING_SEVERITY_COUNT
} ps_finding_severity;

typedef enum ps_check_rule {
#define X(symbol, name, severity, meaning) PS_RULE_##symbol,
#include "trace/check_rules.def"
#undef X
    PS_RULE_COUNT
} ps_check_rule;

#define PS_FINDING_TEXT_BYTES 480u

/** One rule broken in one table, however often. */
typedef struct ps_finding {
    ps_finding_severity severity;
    const char *rule;                 /* kebab-case name; static storage */
    const char *meaning;              /* of the rule; static storage */
    const char *table;                /* static storage */
    uint64_t row;                     /* first row concerned */
    uint64_t count;                   /* rows concerned */
    char text[PS_FINDING_TEXT_BYTES]; /* one sentence about the first row */
} ps_finding;

/** How many findings of each severity. */
typedef struct ps_check_tally {
    uint64_t count[PS_FINDING_SEVERITY_COUNT];
} ps_check_tally;

/** Receives findings, errors first within the order of check_rules.def. The finding dies with the call. */
typedef void (*ps_finding_fn)(void *context, const ps_finding *finding);

/**
 * Checks a trace.
 *
 * @param trace       borrowed for the call
 * @param on_finding  may be NULL
 * @param tally       may be NULL; written on PS_OK and PS_CHECK_FAILED
 * @return PS_OK no error was found · PS_CHECK_FAILED with the first error in words · PS_NOMEM
 * Cost: O(rows log rows).
 */
ps_code ps_trace_check(const ps_trace *trace, ps_finding_fn on_finding, void *context,
                       ps_check_tally *tally, ps_error *err) PS_MUST_USE;

/** "info", "warning" or "error". Static storage. */
const char *ps_finding_severity_name(ps_finding_severity severity);

#endif
