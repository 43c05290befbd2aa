/* SPDX-License-Identifier: MIT
 *
 * The recovered structure of a trace, as text and as JSON: every finding with
 * how it was found and how sure that is.
 */
#include "info_structure.h"

#include <inttypes.h>

#include "base/units.h"
#include "cli/json.h"
#include "cli/table.h"
#include "load_plan.h"
#include "result/result.h"
#include "workload/recover/workload.h"

/* Rows beyond these are counted, not listed, in the text. */
#define STEPS_SHOWN 12u
#define BLOCKS_SHOWN 12u

typedef struct page {
    const char *path;
    const ps_loaded *input;
    const ps_structure *found;
} page;

/* ---- text ---- */

static ps_code print_findings(const page *self, ps_output *out, ps_error *err)
{
    static const ps_grid_column columns[] = {
        {"found", false}, {"by", false}, {"sure", true}, {"detail", false}};
    ps_grid grid;
    ps_grid_init(&grid, columns, 4);
    for (size_t i = 0; i < self->found->finding_count; i++) {
        const ps_finding *finding = &self->found->finding[i];
        ps_grid_cell(&grid, "%s", finding->what);
        ps_grid_cell(&grid, "%s", finding->how);
        ps_grid_cell(&grid, "%" PRIu32 ".%" PRIu32 " %%", finding->confidence / 10,
                     finding->confidence % 10);
        ps_grid_cell(&grid, "%s", ps_strings_text(self->found->strings, finding->detail));
    }
    return ps_grid_print(&grid, out, 2, err);
}

/* Time of one phase within a step. */
static ps_ns phase_time(const ps_structure *found, const ps_structure_step *step, ps_phase phase)
{
    ps_ns sum = 0;
    for (size_t i = 0; i < found->phase_count; i++) {
        const ps_ns next = i + 1 < found->phase_count ? found->phase[i + 1].start_ns : step->end_ns;
        const ps_ns start =
            found->phase[i].start_ns > step->start_ns ? found->phase[i].start_ns : step->start_ns;
        const ps_ns end = next < step->end_ns ? next : step->end_ns;
        sum += found->phase[i].phase == phase && end > start ? end - start : 0;
    }
    return sum;
}

static ps_code print_steps(const page *self, ps_output *out, ps_error *err)
{
    static const ps_grid_column columns[] = {{"step", false},
                                             {"length", true},
                                             {"forward", true},
                                             {"backward", true},
                                             {"optimizer", true}};
    const ps_structure *found = self->found;
    const size_t shown = found->step_count < STEPS_SHOWN ? found->step_count : STEPS_SHOWN;
    char text[PS_QUANTITY_TEXT_BYTES];
    ps_grid grid;
    ps_output_print(out, "\nSteps, by time on the host\n");
    ps_grid_init(&grid, columns, 5);
    for (size_t i = 0; i < shown; i++) {
        const ps_structure_step *step = &found->step[i];
        ps_grid_cell(&grid, "%s", ps_strings_text(found->strings, step->name));
        ps_grid_cell(&grid, "%s", ps_time_format(step->end_ns - step->start_ns, text));
        for (ps_phase phase = PS_PHASE_FORWARD; phase <= PS_PHASE_OPTIMIZER; phase++) {
            ps_grid_cell(&grid, "%s", ps_time_format(phase_time(found, step, phase), text));
        }
    }
    PS_TRY(ps_grid_print(&grid, out, 2, err));
    if (shown < found->step_count) {
        ps_output_print(out, "  and %zu more\n", found->step_count - shown);
    }
    return PS_OK;
}

static ps_code print_blocks(const page *self, ps_output *out, ps_error *err)
{
    static const ps_grid_column columns[] = {{"block", false}, {"phase", false}, {"step", true},
                                             {"length", true}, {"saved", true},  {"tensors", true},
                                             {"of", false}};
    const ps_structure *found = self->found;
    const size_t shown = found->block_count < BLOCKS_SHOWN ? found->block_count : BLOCKS_SHOWN;
    char text[PS_QUANTITY_TEXT_BYTES];
    ps_grid grid;
    if (found->block_count == 0) {
        return PS_OK;
    }
    ps_output_print(out, "\nBlocks\n");
    ps_grid_init(&grid, columns, 7);
    for (size_t i = 0; i < shown; i++) {
        const ps_structure_block *block = &found->block[i];
        ps_grid_cell(&grid, "%s", ps_strings_text(found->strings, block->name));
        ps_grid_cell(&grid, "%s", ps_phase_name(block->phase));
        ps_grid_cell(&grid, "%" PRIu32, block->step);
        ps_grid_cell(&grid, "%s", ps_time_format(block->end_ns - block->start_ns, text));
        ps_grid_cell(&grid, "%s", ps_quantity_format(PS_UNIT_SIZE, block->saved_bytes, text));
        ps_grid_cell(&grid, "%" PRIu64, block->saved_count);
        ps_grid_cell(&grid, "%s",
                     block->pair == 0
                         ? ""
                         : ps_strings_text(found->strings, found->block[block->pair - 1].name));
    }
    PS_TRY(ps_grid_print(&grid, out, 2, err));
    if (shown < found->block_count) {
        ps_output_print(out, "  and %zu more\n", found->block_count - shown);
    }
    return PS_OK;
}

static ps_code print_roles(const page *self, uint32_t device, ps_output *out, ps_error *err)
{
    static const ps_grid_column columns[] = {
        {"role", false}, {"bytes", true}, {"share", true}, {"buffers", true}};
    const ps_role_bytes peak =
        ps_structure_peak(self->found, self->input->trace, self->input->plan, device);
    char text[PS_QUANTITY_TEXT_BYTES];
    ps_grid grid;
    if (peak.total_bytes == 0) {
        return PS_OK;
    }
    ps_output_print(out, "\nGPU %" PRIu32 ": bytes at the peak of %s, sizes as recorded\n",
                    self->input->plan->device.ordinal[device],
                    ps_quantity_format(PS_UNIT_SIZE, peak.total_bytes, text));
    ps_grid_init(&grid, columns, 4);
    for (int role = 0; role < PS_ROLE_COUNT; role++) {
        if (peak.count[role] == 0) {
            continue;
        }
        const uint64_t tenths = ps_mul_div_u64(peak.bytes[role], 1000, peak.total_bytes);
        ps_grid_cell(&grid, "%s", ps_role_name((ps_role)role));
        ps_grid_cell(&grid, "%s", ps_quantity_format(PS_UNIT_SIZE, peak.bytes[role], text));
        ps_grid_cell(&grid, "%" PRIu64 ".%" PRIu64 " %%", tenths / 10, tenths % 10);
        ps_grid_cell(&grid, "%" PRIu64, peak.count[role]);
    }
    return ps_grid_print(&grid, out, 2, err);
}

static ps_code print_page(const page *self, ps_output *out, ps_error *err)
{
    ps_output_print(out, "%s: structure\n\n", self->path);
    PS_TRY(print_findings(self, out, err));
    PS_TRY(print_steps(self, out, err));
    PS_TRY(print_blocks(self, out, err));
    for (uint32_t device = 0; device < self->input->plan->device.head.count; device++) {
        PS_TRY(print_roles(self, device, out, err));
    }
    return PS_OK;
}

/* ---- JSON ---- */

static void json_findings(const page *self, ps_json *json)
{
    ps_json_array(json, "findings");
    for (size_t i = 0; i < self->found->finding_count; i++) {
        const ps_finding *finding = &self->found->finding[i];
        ps_json_object(json, NULL);
        ps_json_text(json, "what", finding->what);
        ps_json_text(json, "how", finding->how);
        ps_json_u64(json, "confidence_permille", finding->confidence);
        ps_json_text(json, "detail", ps_strings_text(self->found->strings, finding->detail));
        ps_json_end(json);
    }
    ps_json_end(json);
}

static void json_steps(const page *self, ps_json *json)
{
    const ps_structure *found = self->found;
    ps_json_array(json, "steps");
    for (size_t i = 0; i < found->step_count; i++) {
        const ps_structure_step *step = &found->step[i];
        ps_json_object(json, NULL);
        ps_json_text(json, "name", ps_strings_text(found->strings, step->name));
        ps_json_i64(json, "start_ns", step->start_ns);
        ps_json_i64(json, "duration_ns", step->end_ns - step->start_ns);
        ps_json_i64(json, "forward_ns", phase_time(found, step, PS_PHASE_FORWARD));
        ps_json_i64(json, "backward_ns", phase_time(found, step, PS_PHASE_BACKWARD));
        ps_json_i64(json, "optimizer_ns", phase_time(found, step, PS_PHASE_OPTIMIZER));
        ps_json_end(json);
    }
    ps_json_end(json);
}

static void json_blocks(const page *self, ps_json *json)
{
    const ps_structure *found = self->found;
    ps_json_array(json, "blocks");
    for (size_t i = 0; i < found->block_count; i++) {
        const ps_structure_block *block = &found->block[i];
        ps_json_object(json, NULL);
        ps_json_text(json, "name", ps_strings_text(found->strings, block->name));
        ps_json_text(json, "kind", ps_strings_text(found->strings, block->kind));
        ps_json_text(json, "phase", ps_phase_name(block->phase));
        ps_json_u64(json, "step", block->step);
        ps_json_i64(json, "start_ns", block->start_ns);
        ps_json_i64(json, "duration_ns", block->end_ns - block->start_ns);
        ps_json_u64(json, "saved_bytes", block->saved_bytes);
        ps_json_u64(json, "saved_tensors", block->saved_count);
        if (block->pair == 0) {
            ps_json_null(json, "forward_block");
        } else {
            ps_json_u64(json, "forward_block", block->pair - 1);
        }
        ps_json_end(json);
    }
    ps_json_end(json);
}

static void json_roles(const page *self, ps_json *json)
{
    const ps_plan *plan = self->input->plan;
    ps_json_array(json, "devices");
    for (uint32_t device = 0; device < plan->device.head.count; device++) {
        const ps_role_bytes peak = ps_structure_peak(self->found, self->input->trace, plan, device);
        ps_json_object(json, NULL);
        ps_json_u64(json, "ordinal", plan->device.ordinal[device]);
        ps_json_u64(json, "peak_bytes", peak.total_bytes);
        ps_json_array(json, "roles");
        for (int role = 0; role < PS_ROLE_COUNT; role++) {
            if (peak.count[role] > 0) {
                ps_json_object(json, NULL);
                ps_json_text(json, "role", ps_role_name((ps_role)role));
                ps_json_u64(json, "bytes", peak.bytes[role]);
                ps_json_u64(json, "buffers", peak.count[role]);
                ps_json_end(json);
            }
        }
        ps_json_end(json);
        ps_json_end(json);
    }
    ps_json_end(json);
}

static ps_code write_json(const page *self, ps_output *out, ps_error *err)
{
    ps_json json;
    ps_json_open(&json, out, PS_JSON_LINES);
    ps_json_object(&json, NULL);
    ps_json_text(&json, "artefact", "structure");
    json_findings(self, &json);
    json_steps(self, &json);
    json_blocks(self, &json);
    json_roles(self, &json);
    ps_json_end(&json);
    return ps_json_close(&json, err);
}

static ps_code write_workload(const ps_loaded *input, const char *path, ps_error *err)
{
    ps_workload *workload;
    PS_TRY(ps_recover(input->trace, input->plan, input->structure, 0, &workload, err));
    const ps_code code = ps_workload_write(workload, path, err);
    ps_workload_destroy(workload);
    return code;
}

ps_code ps_info_structure(const char *path, const char *overrides, const char *workload,
                          bool as_json, ps_output *out, ps_error *err)
{
    ps_loaded input;
    PS_TRY(ps_load_with_structure(path, overrides, &input, err));
    if (input.structure == NULL) {
        ps_loaded_fini(&input);
        return ps_fail(err, PS_USAGE, "%s is a plan; structure is recovered from a trace", path);
    }
    const page self = {path, &input, input.structure};
    ps_code code = workload == NULL ? PS_OK : write_workload(&input, workload, err);
    if (code == PS_OK) {
        code = as_json ? write_json(&self, out, err) : print_page(&self, out, err);
    }
    ps_loaded_fini(&input);
    return code;
}
