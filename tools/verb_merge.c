/* SPDX-License-Identifier: MIT
 *
 * peakstep merge: traces of several ranks become one, on one clock.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "artefact.h"
#include "base/memory.h"
#include "cli/verb.h"
#include "merge.h"
#include "trace/rows.h"

/* One input and its place among the ranks. */
typedef struct input {
    const char *path;
    ps_trace *trace;
    long rank; /* as recorded; -1 unknown */
    size_t position;
} input;

static int compare_inputs(const void *left, const void *right)
{
    const input *a = left, *b = right;
    if (a->rank != b->rank && a->rank >= 0 && b->rank >= 0) {
        return a->rank < b->rank ? -1 : 1;
    }
    return (a->position > b->position) - (a->position < b->position);
}

static ps_code read_inputs(const ps_args *args, input *inputs, ps_error *err)
{
    for (size_t i = 0; i < args->operand_count; i++) {
        PS_TRY(ps_artefact_read_trace(args->operand[i], &inputs[i].trace, NULL, err));
        const char *rank = ps_trace_meta(inputs[i].trace, PS_META_RANK);
        inputs[i].path = args->operand[i];
        inputs[i].rank = rank == NULL ? -1 : strtol(rank, NULL, 10);
        inputs[i].position = i;
    }
    qsort(inputs, args->operand_count, sizeof *inputs, compare_inputs);
    for (size_t i = 1; i < args->operand_count; i++) {
        if (inputs[i].rank >= 0 && inputs[i].rank == inputs[i - 1].rank) {
            return ps_fail(err, PS_USAGE, "%s and %s are both of rank %ld", inputs[i - 1].path,
                           inputs[i].path, inputs[i].rank);
        }
    }
    return PS_OK;
}

static void report_text(const input *inputs, const ps_merge_rank *ranks, size_t count,
                        ps_output *out)
{
    char offset[PS_QUANTITY_TEXT_BYTES], residual[PS_QUANTITY_TEXT_BYTES];
    for (size_t i = 0; i < count; i++) {
        ps_output_print(out, "  rank %zu  %s", i, inputs[i].path);
        if (i > 0 && ranks[i].collectives == 0) {
            ps_output_print(out, ": shares no collective with rank 0, its clock is left as it is");
        } else if (i > 0) {
            ps_output_print(out, ": clock off by %s, residual %s over %" PRIu64 " collectives",
                            ps_time_format(ranks[i].offset_ns, offset),
                            ps_time_format(ranks[i].residual_ns, residual), ranks[i].collectives);
        }
        ps_output_print(out, "\n");
    }
}

static ps_code report_json(const input *inputs, const ps_merge_rank *ranks, size_t count,
                           const char *path, ps_output *out, ps_error *err)
{
    ps_json json;
    ps_json_open(&json, out, PS_JSON_LINES);
    ps_json_object(&json, NULL);
    ps_json_text(&json, "output", path);
    ps_json_array(&json, "ranks");
    for (size_t i = 0; i < count; i++) {
        ps_json_object(&json, NULL);
        ps_json_text(&json, "input", inputs[i].path);
        ps_json_u64(&json, "collectives", ranks[i].collectives);
        ps_json_i64(&json, "clock_offset_ns", ranks[i].offset_ns);
        ps_json_i64(&json, "clock_residual_ns", ranks[i].residual_ns);
        ps_json_end(&json);
    }
    ps_json_end(&json);
    ps_json_end(&json);
    return ps_json_close(&json, err);
}

static ps_code merge(const ps_args *args, input *inputs, ps_merge_rank *ranks, ps_output *out,
                     ps_error *err)
{
    const size_t count = args->operand_count;
    const char *path = ps_args_text(args, "output");
    ps_trace *merged;
    PS_TRY(read_inputs(args, inputs, err));
    const ps_trace **traces = ps_calloc(count, sizeof *traces);
    if (traces == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < count; i++) {
        traces[i] = inputs[i].trace;
    }
    ps_code code = ps_merge_traces(traces, count, ranks, &merged, err);
    ps_free(traces);
    if (code != PS_OK) {
        return code;
    }
    code = ps_trace_save(path, merged, err);
    if (code == PS_OK && ps_args_has(args, "json")) {
        code = report_json(inputs, ranks, count, path, out, err);
    } else if (code == PS_OK) {
        ps_output_print(out, "wrote %s: %zu ranks, %" PRIu64 " events\n", path, count,
                        ps_trace_event_count(merged));
        report_text(inputs, ranks, count, out);
    }
    ps_trace_destroy(merged);
    return code;
}

static ps_code run(const ps_args *args, ps_output *out, ps_error *err)
{
    const size_t count = args->operand_count;
    input *inputs = ps_calloc(count, sizeof *inputs);
    ps_merge_rank *ranks = ps_calloc(count, sizeof *ranks);
    ps_code code =
        inputs == NULL || ranks == NULL ? ps_fail_nomem(err) : merge(args, inputs, ranks, out, err);
    for (size_t i = 0; inputs != NULL && i < count; i++) {
        ps_trace_destroy(inputs[i].trace);
    }
    ps_free(inputs);
    ps_free(ranks);
    return code;
}

static const ps_operand operands[] = {
    {.name = "TRACE", .help = "the trace of one rank", .is_repeatable = true},
    {0},
};

static const ps_option options[] = {
    {.name = "output",
     .letter = 'o',
     .kind = PS_OPTION_TEXT,
     .value = "PATH",
     .is_required = true,
     .help = "trace to write; it appears whole or not at all"},
    PS_OPTION_JSON_ROW,
    {0},
};

static const ps_example examples[] = {
    {"peakstep merge run-rank*.pstrace -o run.pstrace", "Merges the ranks of one recording."},
    {0},
};

const ps_verb ps_verb_merge = {
    .name = "merge",
    .summary = "puts the ranks of a recording on one clock, in one trace",
    .description =
        "Reads the traces of several ranks and writes one trace with all of them.\n"
        "\n"
        "All ranks finish a collective almost together. So each rank's clock is moved by the "
        "median distance of its collectives' ends from those of rank 0, and what remains is shown "
        "as the residual. Each rank becomes a device of its own.\n"
        "\n"
        "Ranks are ordered by what the traces say, else by their place on the command line.",
    .operands = operands,
    .options = options,
    .examples = examples,
    .run = run,
};
