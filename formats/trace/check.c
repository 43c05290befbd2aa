/* SPDX-License-Identifier: MIT
 *
 * The trace checker: runs its parts and turns what they noted into findings.
 */
#include "trace/check.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/memory.h"
#include "trace/check_parts.h"
#include "trace/words.h"

static const struct {
    const char *name;
    ps_finding_severity severity;
    const char *meaning;
} rules[PS_RULE_COUNT] = {
#define X(symbol, name, severity, meaning) {name, PS_FINDING_##severity, meaning},
#include "trace/check_rules.def"
#undef X
};

const char *ps_finding_severity_name(ps_finding_severity severity)
{
    switch (severity) {
    case PS_FINDING_INFO:
        return "info";
    case PS_FINDING_WARNING:
        return "warning";
    case PS_FINDING_ERROR:
    case PS_FINDING_SEVERITY_COUNT:
        break;
    }
    return "error";
}

void ps_checker_note(ps_checker *self, ps_check_rule rule, ps_trace_table_id table, size_t row,
                     const char *fmt, ...)
{
    struct ps_checker_slot *slot = &self->slot[rule][table];
    if (slot->count++ > 0) {
        return;
    }
    slot->row = row;
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(slot->text, sizeof slot->text, fmt, args);
    va_end(args);
}

/* Where findings go, and what they add up to. */
typedef struct sink {
    ps_finding_fn on_finding; /* NULL: nowhere */
    void *context;
    ps_check_tally tally;
    ps_finding first_error;
} sink;

static ps_finding make_finding(ps_check_rule rule, ps_trace_table_id table, uint64_t row,
                               uint64_t count)
{
    return (ps_finding){
        .severity = rules[rule].severity,
        .rule = rules[rule].name,
        .meaning = rules[rule].meaning,
        .table = ps_trace_specs()[table].name,
        .row = row,
        .count = count,
    };
}

static void emit(sink *to, const ps_finding *finding)
{
    if (finding->severity == PS_FINDING_ERROR && to->tally.count[PS_FINDING_ERROR] == 0) {
        to->first_error = *finding;
    }
    to->tally.count[finding->severity]++;
    if (to->on_finding != NULL) {
        to->on_finding(to->context, finding);
    }
}

static void emit_slots(const ps_checker *self, ps_check_rule rule, sink *to)
{
    for (size_t table = 0; table < PS_TRACE_TABLE_COUNT; table++) {
        const struct ps_checker_slot *slot = &self->slot[rule][table];
        if (slot->count > 0) {
            ps_finding finding =
                make_finding(rule, (ps_trace_table_id)table, slot->row, slot->count);
            (void)snprintf(finding.text, sizeof finding.text, "%s", slot->text);
            emit(to, &finding);
        }
    }
}

/* Every loss is a finding of its own: unlike rows of other tables, no two say the same. */
static void emit_losses(const ps_trace *trace, ps_check_rule rule, ps_severity severity, sink *to)
{
    const ps_loss_table *loss = &trace->loss;
    for (size_t i = 0; i < loss->head.count; i++) {
        const char *name = ps_strings_text(trace->strings, loss->name[i]);
        const char *meaning = ps_loss_meaning(name);
        if (loss->severity[i] == severity) {
            ps_finding finding = make_finding(rule, PS_TABLE_LOSS, i, 1);
            (void)snprintf(finding.text, sizeof finding.text, "%s (%llu): %s", name,
                           (unsigned long long)loss->count[i],
                           meaning == NULL ? "not known to this version" : meaning);
            emit(to, &finding);
        }
    }
}

static ps_code report(const ps_checker *self, sink *to, ps_error *err)
{
    for (size_t i = 0; i < PS_RULE_COUNT; i++) {
        const ps_check_rule rule = (ps_check_rule)i;
        if (rule == PS_RULE_CONTRADICTION) {
            emit_losses(self->trace, rule, PS_SEVERITY_ERROR, to);
        } else if (rule == PS_RULE_LOSS) {
            emit_losses(self->trace, rule, PS_SEVERITY_LOSS, to);
        } else {
            emit_slots(self, rule, to);
        }
    }
    if (to->tally.count[PS_FINDING_ERROR] == 0) {
        return PS_OK;
    }
    return ps_fail(err, PS_CHECK_FAILED, "%s row %llu: %s", to->first_error.table,
                   (unsigned long long)to->first_error.row, to->first_error.text);
}

static ps_code run_parts(ps_checker *self, ps_error *err)
{
    ps_check_cells(self);
    PS_TRY(ps_check_facts(self, err));
    PS_TRY(ps_check_links(self, err));
    PS_TRY(ps_check_heap(self, err));
    return ps_check_memory(self, err);
}

ps_code ps_trace_check(const ps_trace *trace, ps_finding_fn on_finding, void *context,
                       ps_check_tally *tally, ps_error *err)
{
    ps_checker *self = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return ps_fail_nomem(err);
    }
    self->trace = trace;
    ps_code code = run_parts(self, err);
    if (code == PS_OK) {
        sink to = {.on_finding = on_finding, .context = context};
        code = report(self, &to, err);
        if (tally != NULL) {
            *tally = to.tally;
        }
    }
    ps_free(self);
    return code;
}
