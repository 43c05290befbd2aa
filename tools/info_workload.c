/* SPDX-License-Identifier: MIT
 *
 * A workload described, as text and as JSON.
 */
#include <inttypes.h>

#include "artefact.h"
#include "base/units.h"
#include "cli/table.h"
#include "info.h"
#include "workload/walk.h"
#include "workload/workload.h"
#include "workload_words.h"

/* A range of events to describe: a step, or all there is when no step is known. */
typedef struct span {
    const char *name;
    uint32_t begin, end; /* events */
    bool is_first;
} span;

typedef ps_work_sum work_table[PS_WORKLOAD_PHASE_COUNT][PS_OP_KIND_COUNT];

static const char *text_of(const ps_workload *workload, ps_str id)
{
    return ps_strings_text(workload->strings, id);
}

static size_t span_count(const ps_workload *workload)
{
    return workload->step.head.count > 0 ? workload->step.head.count : 1;
}

static span span_at(const ps_workload *workload, size_t i)
{
    const ps_workload_step_table *step = &workload->step;
    if (step->head.count == 0) {
        return (span){"everything", 0, (uint32_t)workload->event.head.count, false};
    }
    return (span){text_of(workload, step->name[i]), step->begin_event[i], step->end_event[i],
                  step->is_first[i] != 0};
}

/* The peak of a span; the walk stands at or before its begin. */
static ps_live_peak peak_of(ps_workload_walk *walk, const span *range)
{
    (void)ps_workload_walk_to(walk, range->begin);
    return ps_workload_walk_to(walk, range->end);
}

static const char *or_unknown(const char *text)
{
    return text == NULL || text[0] == '\0' ? "unknown" : text;
}

/* ---- text ---- */

static ps_code print_peaks(const ps_workload *workload, ps_output *out, ps_error *err)
{
    static const ps_grid_column columns[] = {
        {"step", false}, {"peak", true}, {"of it", true}, {"role", false}};
    char text[PS_QUANTITY_TEXT_BYTES];
    ps_grid grid;
    ps_workload_walk walk;
    ps_workload_walk_init(&walk, workload);
    ps_output_print(out, "\nMemory at the peak\n");
    ps_grid_init(&grid, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < span_count(workload); i++) {
        const span range = span_at(workload, i);
        const ps_live_peak peak = peak_of(&walk, &range);
        ps_grid_cell(&grid, "%s%s", range.name, range.is_first ? " (first)" : "");
        ps_grid_cell(&grid, "%s", ps_quantity_format(PS_UNIT_SIZE, peak.live.total_bytes, text));
        size_t shown = 0;
        for (size_t role = 0; role < PS_ROLE_COUNT; role++) {
            if (peak.live.role_bytes[role] == 0) {
                continue;
            }
            if (shown++ > 0) {
                ps_grid_cell(&grid, "%s", "");
                ps_grid_cell(&grid, "%s", "");
            }
            ps_grid_cell(&grid, "%s",
                         ps_quantity_format(PS_UNIT_SIZE, peak.live.role_bytes[role], text));
            ps_grid_cell(&grid, "%s", ps_workload_word("ps_role", role));
        }
        if (shown == 0) {
            ps_grid_cell(&grid, "%s", "");
            ps_grid_cell(&grid, "%s", "");
        }
    }
    return ps_grid_print(&grid, out, 2, err);
}

/* The last step stands for all: it is the one that finds all state made. */
static ps_code print_work(const ps_workload *workload, ps_output *out, ps_error *err)
{
    static const ps_grid_column columns[] = {{"phase", false},   {"kind", false}, {"ops", true},
                                             {"launches", true}, {"flop", true},  {"moved", true},
                                             {"time", true}};
    char text[PS_QUANTITY_TEXT_BYTES];
    work_table work;
    ps_grid grid;
    const span range = span_at(workload, span_count(workload) - 1);
    if (workload->op.head.count == 0) {
        return PS_OK;
    }
    ps_workload_work(workload, range.begin, range.end, work);
    ps_output_print(out, "\nWork of %s\n", range.name);
    ps_grid_init(&grid, columns, sizeof columns / sizeof columns[0]);
    for (size_t cell = 0; cell < PS_WORKLOAD_PHASE_COUNT * PS_OP_KIND_COUNT; cell++) {
        const size_t phase = cell / PS_OP_KIND_COUNT, kind = cell % PS_OP_KIND_COUNT;
        const ps_work_sum *sum = &work[phase][kind];
        if (sum->count == 0) {
            continue;
        }
        ps_grid_cell(&grid, "%s", ps_workload_word("ps_phase", phase));
        ps_grid_cell(&grid, "%s", ps_workload_word("ps_op_kind", kind));
        ps_grid_cell(&grid, "%" PRIu64, sum->count);
        ps_grid_cell(&grid, "%" PRIu64, sum->launches);
        ps_grid_cell(&grid, "%" PRIu64, sum->flop);
        ps_grid_cell(&grid, "%s", ps_quantity_format(PS_UNIT_SIZE, sum->moved_bytes, text));
        ps_grid_cell(&grid, "%s", sum->dur_ns == 0 ? "unknown" : ps_time_format(sum->dur_ns, text));
    }
    return ps_grid_print(&grid, out, 2, err);
}

static ps_code print_findings(const ps_workload *workload, ps_output *out, ps_error *err)
{
    static const ps_grid_column columns[] = {
        {"what", false}, {"known by", false}, {"confidence", true}, {"", false}};
    const ps_workload_finding_table *finding = &workload->finding;
    ps_grid grid;
    if (finding->head.count == 0) {
        return PS_OK;
    }
    ps_output_print(out, "\nHow it is known\n");
    ps_grid_init(&grid, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < finding->head.count; i++) {
        const uint32_t permille = finding->confidence_permille[i];
        ps_grid_cell(&grid, "%s", text_of(workload, finding->what[i]));
        ps_grid_cell(&grid, "%s", text_of(workload, finding->how[i]));
        ps_grid_cell(&grid, "%" PRIu32 ".%" PRIu32 " %%", permille / 10, permille % 10);
        ps_grid_cell(&grid, "%s", text_of(workload, finding->detail[i]));
    }
    return ps_grid_print(&grid, out, 2, err);
}

static ps_code print_facts(const ps_workload *workload, ps_output *out, ps_error *err)
{
    static const ps_grid_column columns[] = {{NULL, false}, {NULL, false}};
    ps_grid grid;
    if (workload->meta.head.count == 0) {
        return PS_OK;
    }
    ps_output_print(out, "\nFacts\n");
    ps_grid_init(&grid, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < workload->meta.head.count; i++) {
        ps_grid_cell(&grid, "%s", text_of(workload, workload->meta.key[i]));
        ps_grid_cell(&grid, "%s", text_of(workload, workload->meta.value[i]));
    }
    return ps_grid_print(&grid, out, 2, err);
}

static ps_code print_head(const char *path, const ps_workload *workload, ps_output *out,
                          ps_error *err)
{
    static const ps_grid_column columns[] = {{NULL, false}, {NULL, false}};
    const struct {
        const char *name;
        size_t count;
    } counts[] = {
        {"steps", workload->step.head.count},     {"blocks", workload->block.head.count},
        {"tensors", workload->tensor.head.count}, {"ops", workload->op.head.count},
        {"events", workload->event.head.count},
    };
    ps_grid grid;
    ps_output_print(out, "%s: a workload\n", path);
    ps_grid_init(&grid, columns, sizeof columns / sizeof columns[0]);
    ps_grid_cell(&grid, "%s", "model");
    ps_grid_cell(&grid, "%s", or_unknown(ps_workload_meta(workload, PS_WORKLOAD_META_MODEL)));
    ps_grid_cell(&grid, "%s", "source");
    ps_grid_cell(&grid, "%s", or_unknown(ps_workload_meta(workload, PS_WORKLOAD_META_SOURCE)));
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        ps_grid_cell(&grid, "%s", counts[i].name);
        ps_grid_cell(&grid, "%zu", counts[i].count);
    }
    return ps_grid_print(&grid, out, 2, err);
}

static ps_code print_page(const char *path, const ps_workload *workload, ps_output *out,
                          ps_error *err)
{
    PS_TRY(print_head(path, workload, out, err));
    PS_TRY(print_peaks(workload, out, err));
    PS_TRY(print_work(workload, out, err));
    PS_TRY(print_findings(workload, out, err));
    PS_TRY(print_facts(workload, out, err));
    return ps_losses_print(PS_LOSS_VIEW(workload), out, err);
}

/* ---- JSON ---- */

static void json_peak(const ps_live_peak *peak, ps_json *json)
{
    ps_json_object(json, "peak");
    ps_json_u64(json, "bytes", peak->live.total_bytes);
    ps_json_u64(json, "event", peak->event);
    ps_json_object(json, "roles");
    for (size_t role = 0; role < PS_ROLE_COUNT; role++) {
        if (peak->live.role_bytes[role] > 0) {
            ps_json_u64(json, ps_workload_word("ps_role", role), peak->live.role_bytes[role]);
        }
    }
    ps_json_end(json);
    ps_json_end(json);
}

static void json_work(const ps_workload *workload, const span *range, ps_json *json)
{
    work_table work;
    ps_workload_work(workload, range->begin, range->end, work);
    ps_json_array(json, "work");
    for (size_t cell = 0; cell < PS_WORKLOAD_PHASE_COUNT * PS_OP_KIND_COUNT; cell++) {
        const size_t phase = cell / PS_OP_KIND_COUNT, kind = cell % PS_OP_KIND_COUNT;
        const ps_work_sum *sum = &work[phase][kind];
        if (sum->count == 0) {
            continue;
        }
        ps_json_object(json, NULL);
        ps_json_text(json, "phase", ps_workload_word("ps_phase", phase));
        ps_json_text(json, "kind", ps_workload_word("ps_op_kind", kind));
        ps_json_u64(json, "count", sum->count);
        ps_json_u64(json, "launches", sum->launches);
        ps_json_u64(json, "flop", sum->flop);
        ps_json_u64(json, "moved_bytes", sum->moved_bytes);
        ps_json_i64(json, "dur_ns", sum->dur_ns);
        ps_json_end(json);
    }
    ps_json_end(json);
}

/* Without steps the list is empty and the member "everything" describes all events. */
static void json_spans(const ps_workload *workload, ps_json *json)
{
    const bool has_steps = workload->step.head.count > 0;
    ps_workload_walk walk;
    ps_workload_walk_init(&walk, workload);
    ps_json_array(json, "steps");
    if (!has_steps) {
        ps_json_end(json);
    }
    for (size_t i = 0; i < span_count(workload); i++) {
        const span range = span_at(workload, i);
        const ps_live_peak peak = peak_of(&walk, &range);
        ps_json_object(json, has_steps ? NULL : "everything");
        if (has_steps) {
            ps_json_text(json, "name", range.name);
            ps_json_bool(json, "is_first", range.is_first);
        }
        ps_json_u64(json, "begin_event", range.begin);
        ps_json_u64(json, "end_event", range.end);
        json_peak(&peak, json);
        json_work(workload, &range, json);
        ps_json_end(json);
    }
    if (has_steps) {
        ps_json_end(json);
    }
}

static void json_findings(const ps_workload *workload, ps_json *json)
{
    const ps_workload_finding_table *finding = &workload->finding;
    ps_json_array(json, "findings");
    for (size_t i = 0; i < finding->head.count; i++) {
        ps_json_object(json, NULL);
        ps_json_text(json, "what", text_of(workload, finding->what[i]));
        ps_json_text(json, "how", text_of(workload, finding->how[i]));
        ps_json_thousandths(json, "confidence", finding->confidence_permille[i]);
        ps_json_text(json, "detail", text_of(workload, finding->detail[i]));
        ps_json_end(json);
    }
    ps_json_end(json);
}

static void json_rows(const ps_workload *workload, ps_json *json)
{
    ps_json_object(json, "rows");
    for (int i = 0; i < PS_WORKLOAD_TABLE_COUNT; i++) {
        ps_json_u64(json, ps_workload_specs()[i].name,
                    ps_workload_table_const(workload, (ps_workload_table_id)i)->count);
    }
    ps_json_end(json);
}

static ps_code write_json(const char *path, const ps_workload *workload, ps_output *out,
                          ps_error *err)
{
    ps_json json;
    ps_json_open(&json, out, PS_JSON_LINES);
    ps_json_object(&json, NULL);
    ps_json_text(&json, "artefact", "workload");
    ps_json_text(&json, "path", path);
    ps_json_text(&json, "model", ps_workload_meta(workload, PS_WORKLOAD_META_MODEL));
    ps_json_text(&json, "source", ps_workload_meta(workload, PS_WORKLOAD_META_SOURCE));
    json_rows(workload, &json);
    json_spans(workload, &json);
    json_findings(workload, &json);
    ps_losses_json(PS_LOSS_VIEW(workload), &json);
    ps_json_object(&json, "facts");
    for (size_t i = 0; i < workload->meta.head.count; i++) {
        ps_json_text(&json, text_of(workload, workload->meta.key[i]),
                     text_of(workload, workload->meta.value[i]));
    }
    ps_json_end(&json);
    ps_json_end(&json);
    return ps_json_close(&json, err);
}

ps_code ps_info_of_workload(const char *title, const ps_workload *workload, bool as_json,
                            ps_output *out, ps_error *err)
{
    return as_json ? write_json(title, workload, out, err) : print_page(title, workload, out, err);
}

ps_code ps_info_workload(const char *path, bool as_json, ps_output *out, ps_error *err)
{
    ps_workload *workload;
    PS_TRY(ps_workload_read(path, &workload, err)); /* checked: rows and kinds are in range */
    const ps_code code = ps_info_of_workload(path, workload, as_json, out, err);
    ps_workload_destroy(workload);
    return code;
}
