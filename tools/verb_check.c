/* SPDX-License-Identifier: MIT
 *
 * peakstep check: are traces, plans and workloads sound?
 */
#include <inttypes.h>

#include "artefact.h"
#include "cli/progress.h"
#include "cli/verb.h"
#include "plan/hazards.h"
#include "trace/check.h"
#include "workload/workload.h"

/* Where the findings of one file go. */
typedef struct reporter {
    ps_output *out;
    ps_json *json; /* NULL: text */
    bool shows_infos;
} reporter;

static void print_finding(const reporter *self, const ps_finding *finding)
{
    if (finding->severity == PS_FINDING_INFO && !self->shows_infos) {
        return;
    }
    ps_output_print(self->out, "  %-7s  %s: %s (%s row %" PRIu64,
                    ps_finding_severity_name(finding->severity), finding->rule, finding->text,
                    finding->table, finding->row);
    if (finding->count > 1) {
        ps_output_print(self->out, ", first of %" PRIu64, finding->count);
    }
    ps_output_print(self->out, ")\n");
}

static void json_finding(ps_json *json, const ps_finding *finding)
{
    ps_json_object(json, NULL);
    ps_json_text(json, "severity", ps_finding_severity_name(finding->severity));
    ps_json_text(json, "rule", finding->rule);
    ps_json_text(json, "meaning", finding->meaning);
    ps_json_text(json, "table", finding->table);
    ps_json_u64(json, "row", finding->row);
    ps_json_u64(json, "count", finding->count);
    ps_json_text(json, "text", finding->text);
    ps_json_end(json);
}

static void on_finding(void *context, const ps_finding *finding)
{
    const reporter *self = context;
    if (self->json != NULL) {
        json_finding(self->json, finding);
    } else {
        print_finding(self, finding);
    }
}

/* ---- one file ---- */

static ps_code check_trace(const char *path, reporter *to, ps_check_tally *tally, ps_error *err)
{
    ps_container_state state;
    ps_trace *trace;
    PS_TRY(ps_artefact_read_trace(path, &trace, &state, err));
    const ps_code code = ps_trace_check(trace, on_finding, to, tally, err);
    if (!state.is_finished && (code == PS_OK || code == PS_CHECK_FAILED)) {
        ps_finding finding = {.severity = PS_FINDING_WARNING,
                              .rule = "not-finished",
                              .meaning = "file that its writer did not finish",
                              .table = "file",
                              .count = 1,
                              .text = "the recording was cut or is still under way"};
        on_finding(to, &finding);
        tally->count[PS_FINDING_WARNING]++;
    }
    ps_trace_destroy(trace);
    return code == PS_CHECK_FAILED ? PS_OK : code;
}

/* What came of reading an artefact whose checker stops at the first violation. */
static ps_code judge_whole(ps_code code, const ps_error *why, const ps_finding *violation,
                           reporter *to, ps_check_tally *tally, ps_error *err)
{
    if (code != PS_OK && code != PS_CHECK_FAILED) {
        *err = *why;
        return code;
    }
    if (code == PS_CHECK_FAILED) {
        ps_finding finding = *violation;
        (void)snprintf(finding.text, sizeof finding.text, "%.*s", (int)sizeof finding.text - 1,
                       why->message);
        on_finding(to, &finding);
        tally->count[PS_FINDING_ERROR]++;
    }
    return PS_OK;
}

/* What its order does not prove; a plan may tell of that itself, as one of a released schedule does. */
static ps_code check_hazards(const ps_plan *plan, reporter *to, ps_check_tally *tally,
                             ps_error *err)
{
    ps_hazards found;
    PS_TRY(ps_plan_hazards(plan, &found, err));
    const ps_finding_severity severity =
        found.total <= ps_plan_told_hazards(plan) ? PS_FINDING_WARNING : PS_FINDING_ERROR;
    for (int i = 0; i < PS_HAZARD_RULE_COUNT; i++) {
        const ps_hazard_rule rule = (ps_hazard_rule)i;
        ps_finding finding = {.severity = severity,
                              .rule = ps_hazard_name(rule),
                              .meaning = ps_hazard_meaning(rule),
                              .table = "task",
                              .row = found.first[i].task,
                              .count = found.count[i]};
        if (found.count[i] > 0) {
            ps_hazard_text(plan, &found.first[i], finding.text, sizeof finding.text);
            on_finding(to, &finding);
            tally->count[severity]++;
        }
    }
    return PS_OK;
}

/* A plan is read whole or not at all. */
static ps_code check_plan(const char *path, reporter *to, ps_check_tally *tally, ps_error *err)
{
    static const ps_finding violation = {.severity = PS_FINDING_ERROR,
                                         .rule = "plan",
                                         .meaning = "plan that breaks an invariant",
                                         .table = "plan",
                                         .count = 1};
    ps_error why = {0};
    ps_plan *plan = NULL;
    ps_code code = ps_plan_read(path, &plan, &why);
    if (code == PS_OK) {
        code = check_hazards(plan, to, tally, &why);
    }
    ps_plan_destroy(plan);
    return judge_whole(code, &why, &violation, to, tally, err);
}

static ps_code check_workload(const char *path, reporter *to, ps_check_tally *tally, ps_error *err)
{
    static const ps_finding violation = {.severity = PS_FINDING_ERROR,
                                         .rule = "workload",
                                         .meaning = "workload that breaks an invariant",
                                         .table = "workload",
                                         .count = 1};
    ps_error why = {0};
    ps_workload *workload = NULL;
    const ps_code code = ps_workload_read(path, &workload, &why);
    ps_workload_destroy(workload);
    return judge_whole(code, &why, &violation, to, tally, err);
}

/* How a kind of artefact is checked. */
typedef struct checker {
    const char *noun;
    ps_code (*check)(const char *path, reporter *to, ps_check_tally *tally, ps_error *err);
} checker;

static const checker checkers[PS_ARTEFACT_COUNT] = {
    [PS_ARTEFACT_TRACE] = {"trace", check_trace},
    [PS_ARTEFACT_PLAN] = {"plan", check_plan},
    [PS_ARTEFACT_WORKLOAD] = {"workload", check_workload},
};

static const char *verdict_of(const ps_check_tally *tally)
{
    return tally->count[PS_FINDING_ERROR] > 0     ? "unsound"
           : tally->count[PS_FINDING_WARNING] > 0 ? "doubtful"
                                                  : "sound";
}

static bool is_refused(const ps_check_tally *tally, bool is_strict)
{
    return tally->count[PS_FINDING_ERROR] > 0 ||
           (is_strict && tally->count[PS_FINDING_WARNING] > 0);
}

/* What became of one file. */
typedef struct outcome {
    ps_code code; /* PS_OK: it could be read */
    ps_error why;
    bool is_refused;
    ps_check_tally tally;
} outcome;

static void print_outcome(const reporter *to, const outcome *result)
{
    const ps_check_tally *tally = &result->tally;
    char text[1024];
    if (result->code != PS_OK) {
        ps_error_format(&result->why, text, sizeof text);
        ps_output_print(to->out, "  unreadable: %s\n", text);
        return;
    }
    ps_output_print(to->out,
                    "  %s (errors %" PRIu64 ", warnings %" PRIu64 ", remarks %" PRIu64 ")\n",
                    verdict_of(tally), tally->count[PS_FINDING_ERROR],
                    tally->count[PS_FINDING_WARNING], tally->count[PS_FINDING_INFO]);
}

static void json_outcome(const reporter *to, const outcome *result)
{
    const bool is_read = result->code == PS_OK;
    char text[1024];
    ps_error_format(&result->why, text, sizeof text);
    ps_json_end(to->json);
    ps_json_text(to->json, "verdict", is_read ? verdict_of(&result->tally) : "unreadable");
    ps_json_bool(to->json, "passes", is_read && !result->is_refused);
    ps_json_text(to->json, "error", is_read ? NULL : text);
    ps_json_end(to->json);
}

static void check_file(const char *path, bool is_strict, reporter *to, outcome *result)
{
    const checker *kind = &checkers[ps_artefact_of(path)];
    *result = (outcome){.code = PS_OK};
    if (to->json != NULL) {
        ps_json_object(to->json, NULL);
        ps_json_text(to->json, "path", path);
        ps_json_text(to->json, "artefact", kind->noun);
        ps_json_array(to->json, "findings");
    } else {
        ps_output_print(to->out, "%s\n", path);
    }
    result->code = kind->check(path, to, &result->tally, &result->why);
    result->is_refused = is_refused(&result->tally, is_strict);
    if (to->json != NULL) {
        json_outcome(to, result);
    } else {
        print_outcome(to, result);
    }
}

/* ---- all files ---- */

/* A file that cannot be read does not keep the others from being checked; it decides the outcome. */
static ps_code check_files(const ps_args *args, reporter *to, ps_error *err)
{
    ps_progress progress;
    ps_code code = PS_OK;
    size_t refused = 0;
    ps_progress_begin(&progress, args, "checking", args->operand_count);
    for (size_t i = 0; i < args->operand_count && !ps_output_failed(to->out); i++) {
        outcome result;
        ps_progress_update(&progress, i);
        check_file(args->operand[i], ps_args_has(args, "strict"), to, &result);
        refused += result.is_refused ? 1 : 0;
        if (code == PS_OK && result.code != PS_OK) {
            code = result.code;
            *err = result.why;
        }
    }
    ps_progress_end(&progress);
    if (code == PS_OK && refused > 0) {
        code = ps_fail(err, PS_CHECK_FAILED, "files that failed the check: %zu of %zu", refused,
                       args->operand_count);
    }
    return code;
}

static ps_code run(const ps_args *args, ps_output *out, ps_error *err)
{
    ps_json json;
    reporter to = {out, NULL, !ps_args_has(args, "quiet")};
    if (!ps_args_has(args, "json")) {
        return check_files(args, &to, err);
    }
    to.json = &json;
    ps_json_open(&json, out, PS_JSON_LINES);
    ps_json_object(&json, NULL);
    ps_json_array(&json, "files");
    const ps_code code = check_files(args, &to, err);
    ps_json_end(&json);
    ps_json_bool(&json, "passes", code == PS_OK);
    ps_json_end(&json);
    const ps_code closed = ps_json_close(&json, code == PS_OK ? err : NULL);
    return code == PS_OK ? closed : code;
}

static const ps_operand operands[] = {
    {.name = "FILE", .is_repeatable = true, .help = "traces, plans and workloads, in any mix"},
    {0},
};

static const ps_option options[] = {
    {.name = "strict", .help = "fail on warnings too, losses among them"},
    PS_OPTION_JSON_ROW,
    {0},
};

static const ps_example examples[] = {
    {"peakstep check a.pstrace", "Says whether the trace is sound, and why not."},
    {"peakstep check --strict *.pstrace && echo all good",
     "Accepts only traces without losses and oddities."},
    {0},
};

const ps_verb ps_verb_check = {
    .name = "check",
    .summary = "tells whether traces, plans and workloads are sound",
    .description =
        "Checks the invariants of a file: values in range, rows in order, device work joined to "
        "calls, blocks that tile their segments, allocator events that lead to the blocks held at "
        "the end, running totals that follow from one another, and for plans and workloads "
        "everything a simulation, a replay or a policy relies on. Of a plan that tells which "
        "tasks read and write which buffers, the order of its lanes and its dependencies must "
        "prove, whatever the durations, that data is there before it is read and that memory is "
        "not used again before its last user is done; hazards that the plan itself tells of are "
        "warnings.\n"
        "\n"
        "Each broken rule is one line with the first row concerned and how many there are:\n"
        "\n"
        "  error    the file contradicts itself; the check fails\n"
        "  warning  unusual, or something was lost; fails with --strict\n"
        "  info     normal for real recordings; not shown with --quiet\n"
        "\n"
        "All files are checked, also behind one that fails or cannot be read.",
    .operands = operands,
    .options = options,
    .examples = examples,
    .no_means = "a file is unsound, or with --strict doubtful",
    .run = run,
};
