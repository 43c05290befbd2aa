/* SPDX-License-Identifier: MIT
 *
 * peakstep import: a foreign recording becomes a trace.
 *
 * The trace is written first and then read back for the report, so what is
 * reported is what the file holds.
 */
#include <inttypes.h>
#include <sys/stat.h>

#include "artefact.h"
#include "cli/verb.h"
#include "import/import.h"
#include "trace/file.h"

/* What the written file holds. */
typedef struct written {
    ps_trace *totals; /* its loss table alone */
    uint64_t event_count, file_bytes;
} written;

static ps_code add_chunk(const ps_trace *chunk, written *self, ps_error *err)
{
    self->event_count += ps_trace_event_count(chunk);
    for (size_t i = 0; i < chunk->loss.head.count; i++) {
        PS_TRY(ps_trace_add_loss(self->totals, ps_strings_text(chunk->strings, chunk->loss.name[i]),
                                 chunk->loss.count[i], err));
    }
    return PS_OK;
}

/* One chunk at a time, so that a long recording needs no more memory here than when it was imported. */
static ps_code read_chunks(ps_container_reader *reader, ps_trace *chunk, written *self,
                           ps_error *err)
{
    ps_table_head *tables[PS_TRACE_TABLE_COUNT];
    const ps_dataset into = {ps_trace_specs(), PS_TRACE_TABLE_COUNT, tables, chunk->strings};
    for (int t = 0; t < PS_TRACE_TABLE_COUNT; t++) {
        tables[t] = ps_trace_table(chunk, (ps_trace_table_id)t);
    }
    for (size_t i = 0; i < ps_container_chunk_count(reader); i++) {
        PS_TRY(ps_container_read(reader, i, &into, err));
        PS_TRY(add_chunk(chunk, self, err));
        for (int t = 0; t < PS_TRACE_TABLE_COUNT; t++) {
            ps_table_clear(tables[t]);
        }
        ps_strings_clear(chunk->strings);
    }
    return PS_OK;
}

static ps_code read_back(const char *path, written *self, ps_error *err)
{
    ps_container_reader *reader;
    PS_TRY(ps_container_open(path, PS_ARTEFACT_TRACE, &reader, err));
    ps_trace *chunk = ps_trace_create();
    self->totals = ps_trace_create();
    ps_code code = chunk == NULL || self->totals == NULL ? ps_fail_nomem(err) : PS_OK;
    if (code == PS_OK) {
        code = read_chunks(reader, chunk, self, err);
    }
    self->file_bytes = ps_container_get_state(reader).file_bytes;
    ps_trace_destroy(chunk);
    ps_container_close(reader);
    return code;
}

/* ---- the report ---- */

static ps_code report_text(const ps_args *args, const ps_import_report *report,
                           const written *result, ps_output *out, ps_error *err)
{
    ps_output_print(out, "imported %s%s", args->operand[0], report->member[0] != '\0' ? ", " : "");
    ps_output_quote(out, report->member);
    ps_output_print(out, " as %s", report->format);
    if (report->member_count > 1) {
        ps_output_print(out, " (1 of %" PRIu64 " in the archive)", report->member_count);
    }
    ps_output_print(out, "\nwrote %s: %" PRIu64 " events, %" PRIu64 " bytes\n",
                    ps_args_text(args, "output"), result->event_count, result->file_bytes);
    return ps_losses_print(PS_LOSS_VIEW(result->totals), out, err);
}

static ps_code report_json(const ps_args *args, const ps_import_report *report,
                           const written *result, ps_output *out, ps_error *err)
{
    ps_json json;
    ps_json_open(&json, out, PS_JSON_LINES);
    ps_json_object(&json, NULL);
    ps_json_text(&json, "input", args->operand[0]);
    ps_json_text(&json, "format", report->format);
    ps_json_text(&json, "member", report->member[0] != '\0' ? report->member : NULL);
    ps_json_u64(&json, "member_count", report->member_count);
    ps_json_text(&json, "output", ps_args_text(args, "output"));
    ps_json_u64(&json, "file_bytes", result->file_bytes);
    ps_json_u64(&json, "event_count", result->event_count);
    ps_losses_json(PS_LOSS_VIEW(result->totals), &json);
    ps_json_end(&json);
    return ps_json_close(&json, err);
}

/* Losses proper, not remarks; they are talk too, so that nobody misses them. */
static void talk_of_losses(const ps_args *args, const ps_trace *totals)
{
    uint64_t count = 0;
    for (size_t i = 0; i < totals->loss.head.count; i++) {
        count += totals->loss.severity[i] >= PS_SEVERITY_LOSS ? totals->loss.count[i] : 0;
    }
    if (count > 0 && !ps_args_has(args, "quiet")) {
        ps_talk("%s: records lost or not understood: %" PRIu64, args->operand[0], count);
    }
}

/* A trace in place of the recording it was made from: nobody means that. */
static bool is_same_file(const char *left, const char *right)
{
    struct stat a, b;
    return stat(left, &a) == 0 && stat(right, &b) == 0 && S_ISREG(a.st_mode) &&
           a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static ps_code run(const ps_args *args, ps_output *out, ps_error *err)
{
    const char *path = ps_args_text(args, "output");
    const ps_import_options options = {.member = ps_args_text(args, "member")};
    struct stat info;
    ps_import_report report;
    written result = {0};
    if (is_same_file(args->operand[0], path)) {
        return ps_fail(err, PS_USAGE, "--output %s is the recording itself", path);
    }
    PS_TRY(ps_import_to_file(args->operand[0], &options, path, &report, err));
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode)) {
        return PS_OK; /* a device or a pipe: nothing can be read back */
    }
    ps_code code = read_back(path, &result, err);
    if (code == PS_OK) {
        code = ps_args_has(args, "json") ? report_json(args, &report, &result, out, err)
                                         : report_text(args, &report, &result, out, err);
        talk_of_losses(args, result.totals);
    }
    ps_trace_destroy(result.totals);
    return code;
}

static const ps_operand operands[] = {
    {.name = "FILE", .help = "the recording; its format is told by content, gzip is undone"},
    {0},
};

static const ps_option options[] = {
    {.name = "output",
     .letter = 'o',
     .kind = PS_OPTION_TEXT,
     .value = "PATH",
     .is_required = true,
     .help = "trace to write, usually NAME.pstrace; it appears whole or not at all"},
    {.name = "member",
     .kind = PS_OPTION_TEXT,
     .value = "NAME",
     .help = "file inside a tar archive; without it the first that can be imported"},
    PS_OPTION_JSON_ROW,
    {0},
};

static const ps_example examples[] = {
    {"peakstep import rank0.pt.trace.json.gz -o rank0.pstrace",
     "Imports a trace of the PyTorch profiler."},
    {"peakstep import snapshot.pickle -o snapshot.pstrace",
     "Imports a CUDA memory snapshot. Nothing in the pickle is executed."},
    {"peakstep import ranks.tar.gz --member rank3.json -o rank3.pstrace",
     "Imports one rank of an archive."},
    {0},
};

const ps_verb ps_verb_import = {
    .name = "import",
    .summary = "turns a foreign recording into a trace",
    .description =
        "Reads a recording made by another tool and writes it as a trace:\n"
        "\n"
        "  kineto           PyTorch profiler, Chrome trace JSON (Kineto)\n"
        "  memory-snapshot  PyTorch CUDA memory snapshot, a pickle\n"
        "\n"
        "Either may be compressed by gzip or lie in a tar archive, and is told by content.\n"
        "\n"
        "Input is read once from front to end, in bounded memory. What could not be read, or has "
        "no place in a trace, is counted and shown, never dropped in silence.",
    .operands = operands,
    .options = options,
    .examples = examples,
    .run = run,
};
