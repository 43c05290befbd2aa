/* SPDX-License-Identifier: MIT
 *
 * Judges a log by the relations of its plan.
 */
#include <stdio.h>

#include "replay/relations.h"

typedef struct judge {
    const ps_plan *plan;
    bool is_timed;
    ps_replay_verdict verdict;
    ps_replay_relation worst;
    ps_replay_relation first; /* first violation */
} judge;

static void weigh(void *context, const ps_replay_relation *relation)
{
    judge *self = context;
    ps_replay_verdict *verdict = &self->verdict;
    verdict->checked_count++;
    bool is_violated = relation->happened_order <= relation->after_order;
    if (self->is_timed) {
        const ps_ns slack = relation->happened_ns - relation->allowed_ns;
        is_violated = is_violated || slack < 0;
        if (slack < verdict->worst_slack_ns) {
            verdict->worst_slack_ns = slack;
            self->worst = *relation;
        }
    }
    if (is_violated && verdict->violation_count++ == 0) {
        self->first = *relation;
    }
}

static void describe(const judge *self, const ps_replay_relation *relation, char *out, size_t bytes)
{
    const ps_plan *plan = self->plan;
    const char *name = ps_strings_text(plan->strings, plan->task.name[relation->task]);
    char what[80];
    switch (relation->rule) {
    case PS_REPLAY_RULE_LANE:
        (void)snprintf(what, sizeof what, "start after the lane's previous task");
        break;
    case PS_REPLAY_RULE_DEP:
        (void)snprintf(what, sizeof what, "dep %zu on task %u", relation->row,
                       plan->dep.before[relation->row]);
        break;
    case PS_REPLAY_RULE_LENGTH:
        (void)snprintf(what, sizeof what, "length");
        break;
    case PS_REPLAY_RULE_PROGRAM:
        (void)snprintf(what, sizeof what, "memop %zu in program order", relation->row);
        break;
    case PS_REPLAY_RULE_COURSE:
        (void)snprintf(what, sizeof what, "memop %zu in its course", relation->row);
        break;
    }
    (void)snprintf(out, bytes, "task %u \"%.40s\": %s", relation->task, name, what);
}

static ps_code check_log(const ps_plan *plan, const ps_replay_log *log, ps_error *err)
{
    if (log->task_count != plan->task.head.count || log->memop_count != plan->memop.head.count) {
        return ps_fail(err, PS_USAGE, "a log of %zu tasks and %zu memops, the plan has %zu and %zu",
                       log->task_count, log->memop_count, plan->task.head.count,
                       plan->memop.head.count);
    }
    for (size_t t = 0; t < log->task_count; t++) {
        if (log->start_order[t] == 0 || log->end_order[t] == 0) {
            return ps_fail(err, PS_CHECK_FAILED, "task %zu never ran", t);
        }
    }
    for (size_t m = 0; m < log->memop_count; m++) {
        if (log->memop_order[m] == 0) {
            return ps_fail(err, PS_CHECK_FAILED, "memop %zu never happened", m);
        }
    }
    return PS_OK;
}

ps_code ps_replay_verify(const ps_plan *plan, const ps_replay_log *log, ps_replay_verdict *out,
                         ps_error *err)
{
    judge self = {.plan = plan, .is_timed = log->is_timed};
    char text[160];
    self.verdict.worst_slack_ns = PS_TIME_NEVER;
    ps_code code = check_log(plan, log, err);
    if (code == PS_OK) {
        code = ps_replay_relations(plan, log, weigh, &self, err);
    }
    if (code == PS_OK && self.verdict.worst_slack_ns != PS_TIME_NEVER) {
        describe(&self, &self.worst, self.verdict.worst, sizeof self.verdict.worst);
    }
    if (code == PS_OK && self.verdict.violation_count > 0) {
        describe(&self, &self.first, text, sizeof text);
        code = ps_fail(
            err, PS_CHECK_FAILED,
            "%llu of %llu relations are violated, first %s: happened at %lld ns, allowed "
            "from %lld ns; number %llu after %llu",
            (unsigned long long)self.verdict.violation_count,
            (unsigned long long)self.verdict.checked_count, text, (long long)self.first.happened_ns,
            (long long)self.first.allowed_ns, (unsigned long long)self.first.happened_order,
            (unsigned long long)self.first.after_order);
    }
    if (out != NULL) {
        *out = self.verdict;
    }
    return code;
}
