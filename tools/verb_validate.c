/* SPDX-License-Identifier: MIT
 *
 * peakstep validate: predictions beside measured runs, and how far off they
 * are.
 */
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "cli/verb.h"
#include "validate_report.h"

#define GATE_HELP(what) what ", or METRIC=RATIO for one metric; else exit status 1"

static const ps_option options[] = {
    {.name = "input-root",
     .kind = PS_OPTION_TEXT,
     .value = "DIR",
     .help = "folder of inputs that do not lie beside the table; $PS_SHARED when absent"},
    {.name = "jobs",
     .letter = 'j',
     .kind = PS_OPTION_QUANTITY,
     .value = "N",
     .unit = PS_UNIT_COUNT,
     .min = 1,
     .max = 1024,
     .help = "scenarios simulated at a time; one a processor when absent. The output is the same "
             "for any number, the memory needed is not"},
    {.name = "group",
     .kind = PS_OPTION_TEXT,
     .value = "COLUMN",
     .help = "scores for each value of this column, too"},
    {.name = "summary", .help = "leave the rows out and show the scores alone"},
    {.name = "markdown", .help = "write tables as Markdown"},
    {.name = "skip-missing", .help = "pass over rows whose file is not there, and count them"},
    {.name = "keep-going", .help = "let rows that fail be counted and shown, and no more"},
    {.name = "max-median",
     .kind = PS_OPTION_TEXT,
     .value = "RATIO",
     .is_repeatable = true,
     .help = GATE_HELP("the median error must not exceed this")},
    {.name = "max-mean",
     .kind = PS_OPTION_TEXT,
     .value = "RATIO",
     .is_repeatable = true,
     .help = GATE_HELP("the mean error must not exceed this")},
    {.name = "max-p90",
     .kind = PS_OPTION_TEXT,
     .value = "RATIO",
     .is_repeatable = true,
     .help = GATE_HELP("nine tenths of the errors must not exceed this")},
    {.name = "max-worst",
     .kind = PS_OPTION_TEXT,
     .value = "RATIO",
     .is_repeatable = true,
     .help = GATE_HELP("no error may exceed this")},
    {.name = "min-fits",
     .kind = PS_OPTION_TEXT,
     .value = "RATIO",
     .is_repeatable = true,
     .help = "this share of the verdicts on what fits must be right; else exit status 1"},
    PS_OPTION_JSON_ROW,
    {0},
};

static const ps_operand operands[] = {
    {.name = "TRUTH", .help = "a table of measured runs (CSV), see below"},
    {0},
};

static const ps_example examples[] = {
    {"peakstep validate measured.csv", "Every row beside its prediction, and the errors."},
    {"peakstep validate measured.csv --summary --group gpu --markdown",
     "Errors for each GPU, ready for a document."},
    {"peakstep validate measured.csv --max-median 3% --min-fits 97%",
     "A check for a script: exit status 1 when the predictions are worse."},
    {0},
};

/* All gates of the command line; *gate is owned by the caller also on failure. */
static ps_code read_gates(const ps_args *args, ps_gate **gate, size_t *count, ps_error *err)
{
    size_t capacity = 0;
    for (int kind = 0; kind < PS_GATE_KIND_COUNT; kind++) {
        const char *option = ps_gate_option((ps_gate_kind)kind);
        for (size_t i = 0; i < ps_args_count(args, option); i++) {
            PS_TRY(ps_grow((void **)gate, &capacity, *count + 1, SIZE_MAX / sizeof **gate,
                           sizeof **gate, err));
            PS_TRY(ps_gate_parse((ps_gate_kind)kind, ps_args_at(args, option, i), &(*gate)[*count],
                                 err));
            (*count)++;
        }
    }
    return PS_OK;
}

static ps_validate_settings settings_of(const ps_args *args)
{
    const char *root = ps_args_text(args, "input-root");
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    return (ps_validate_settings){
        .folders = {.table = args->operand[0], .root = root != NULL ? root : getenv("PS_SHARED")},
        .jobs = ps_args_has(args, "jobs") ? (size_t)ps_args_quantity(args, "jobs")
                                          : (size_t)(processors > 0 ? processors : 1),
        .skips_missing = ps_args_has(args, "skip-missing"),
    };
}

static ps_code find_group(const ps_args *args, const ps_truth *truth, ps_report *report,
                          ps_error *err)
{
    report->has_group = ps_args_has(args, "group");
    if (report->has_group) {
        const char *name = ps_args_text(args, "group");
        report->group_column = ps_truth_column(truth, name);
        if (report->group_column == truth->column_count) {
            return ps_fail(err, PS_USAGE, "--group: the table has no column \"%.80s\"", name);
        }
    }
    return PS_OK;
}

/* What the exit status says. */
static ps_code judge(const ps_args *args, const ps_report *report, const ps_report_parts *parts,
                     ps_error *err)
{
    const ps_validation *validation = report->validation;
    if (validation->failed_count > 0 && !ps_args_has(args, "keep-going")) {
        return ps_fail(err, PS_BAD_INPUT,
                       "%zu of %zu rows could not be evaluated (--keep-going accepts that)",
                       validation->failed_count, validation->truth->row_count);
    }
    for (size_t i = 0; i < report->gate_count; i++) {
        PS_TRY(ps_gate_check(&report->gate[i], parts->part[0].score, err));
    }
    return PS_OK;
}

static ps_code tell(const ps_args *args, const ps_report *report, ps_output *out, ps_error *err)
{
    ps_report_parts parts;
    PS_TRY(ps_report_parts_of(report, &parts, err));
    ps_code code = ps_args_has(args, "json") ? ps_report_json(report, &parts, out, err)
                                             : ps_report_text(report, &parts, out, err);
    if (code == PS_OK) {
        code = judge(args, report, &parts, err);
    }
    ps_report_parts_fini(&parts);
    return code;
}

static ps_code validate(const ps_args *args, const ps_truth *truth, ps_report report,
                        ps_output *out, ps_error *err)
{
    const ps_validate_settings settings = settings_of(args);
    ps_validation validation;
    PS_TRY(find_group(args, truth, &report, err));
    PS_TRY(ps_validate_run(truth, &settings, args, &validation, err));
    report.validation = &validation;
    const ps_code code = tell(args, &report, out, err);
    ps_validation_fini(&validation);
    return code;
}

static ps_code run(const ps_args *args, ps_output *out, ps_error *err)
{
    ps_truth truth = {0};
    ps_gate *gate = NULL;
    ps_report report = {.path = args->operand[0],
                        .has_rows = !ps_args_has(args, "summary"),
                        .is_markdown = ps_args_has(args, "markdown")};
    if (report.is_markdown && ps_args_has(args, "json")) {
        return ps_fail(err, PS_USAGE, "--markdown and --json exclude each other");
    }
    ps_code code = read_gates(args, &gate, &report.gate_count, err);
    report.gate = gate;
    if (code == PS_OK) {
        code = ps_truth_read_file(args->operand[0], &truth, err);
    }
    if (code == PS_OK) {
        code = validate(args, &truth, report, out, err);
        ps_truth_fini(&truth);
    }
    ps_free(gate);
    return code;
}

const ps_verb ps_verb_validate = {
    .name = "validate",
    .summary = "compare predictions with a table of measured runs",
    .description =
        "Simulates the scenario of every row of a table of measured runs, each distinct one once, "
        "and shows what was predicted, what was measured, and the error: (predicted - measured) / "
        "measured. Scores are of absolute errors: the median, the mean, the 90th percentile by "
        "nearest rank, the largest. Of verdicts on what fits: the share that is right, and how "
        "often each of the two mistakes was made.\n"
        "The table is a CSV file with these columns in any order; others are shown as they "
        "are:\n"
        "  case      what the row is called\n"
        "  input     a file, beside the table or below --input-root; else the\n"
        "            name of a model\n"
        "  options   options of \"peakstep simulate\", quoted as for a shell, which\n"
        "            is not run\n"
        "  metric    peak_allocated_bytes, peak_reserved_bytes, peak_device_bytes,\n"
        "            peak_nvml_bytes (peak_device_bytes and what the driver keeps of\n"
        "            the card), peak_host_bytes (of a node, what the job puts there),\n"
        "            step_time_ms or fits\n"
        "  measured  a number; yes or no for fits\n"
        "  unit      MiB, GB, ms...; bytes or ms when empty\n"
        "  source    who measured it\n"
        "  measured_high         may be missing: the measurement is the range from\n"
        "                        measured to this, inside which the error is 0\n"
        "  used_for_calibration  may be missing: 1 keeps the row out of the scores,\n"
        "                        something was fitted to it; these are scored apart\n"
        "Peaks are those of the device that needs most; one whose memory does not suffice "
        "counts with what it would need, but peak_allocated_bytes, which ends where memory did.",
    .operands = operands,
    .options = options,
    .examples = examples,
    .no_means = "a score is beyond its bound",
    .run = run,
};
