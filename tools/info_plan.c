/* SPDX-License-Identifier: MIT
 *
 * A plan described, as text and as JSON.
 */
#include <inttypes.h>

#include "artefact.h"
#include "base/units.h"
#include "cli/table.h"
#include "info.h"
#include "plan/plan.h"

/* What the tasks of a plan add up to. */
typedef struct totals {
    uint64_t count[PS_TASK_KIND_COUNT];
    ps_ns time_ns[PS_TASK_KIND_COUNT];
    ps_ns basis_ns[PS_BASIS_COUNT];
} totals;

static const char *task_word(size_t kind)
{
    static const char *const words[PS_TASK_KIND_COUNT] = {
        "host", "wait", "kernel", "memcpy", "memset", "collective", "exchange", "cpu"};
    return words[kind];
}

static const char *basis_word(size_t basis)
{
    static const char *const words[PS_BASIS_COUNT] = {"measured", "scaled", "analytic", "guessed"};
    return words[basis];
}

static totals add_up(const ps_plan *plan)
{
    totals sum = {0};
    for (size_t i = 0; i < plan->task.head.count; i++) {
        const uint8_t kind = plan->task.kind[i], basis = plan->task.basis[i];
        sum.count[kind]++;
        sum.time_ns[kind] = ps_time_add(sum.time_ns[kind], plan->task.dur_ns[i]);
        sum.basis_ns[basis] = ps_time_add(sum.basis_ns[basis], plan->task.dur_ns[i]);
    }
    return sum;
}

static const char *text_of(const ps_plan *plan, ps_str id)
{
    return ps_strings_text(plan->strings, id);
}

/* ---- text ---- */

static ps_code print_devices(const ps_plan *plan, ps_output *out, ps_error *err)
{
    static const ps_grid_column columns[] = {{"rank", true},  {"device", true},
                                             {"name", false}, {"memory", true},
                                             {"limit", true}, {"allocator", false}};
    const ps_plan_device_table *device = &plan->device;
    char text[PS_QUANTITY_TEXT_BYTES];
    ps_grid grid;
    ps_output_print(out, "\nDevices\n");
    ps_grid_init(&grid, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < device->head.count; i++) {
        const char *name = text_of(plan, device->name[i]);
        ps_grid_cell(&grid, "%" PRIu32, device->rank[i]);
        ps_grid_cell(&grid, "%" PRIu32, device->ordinal[i]);
        ps_grid_cell(&grid, "%s", name[0] == '\0' ? "unknown" : name);
        ps_grid_cell(&grid, "%s",
                     device->capacity_bytes[i] == 0
                         ? "unknown"
                         : ps_quantity_format(PS_UNIT_SIZE, device->capacity_bytes[i], text));
        ps_grid_cell(&grid, "%s",
                     device->limit_bytes[i] == 0
                         ? "none"
                         : ps_quantity_format(PS_UNIT_SIZE, device->limit_bytes[i], text));
        ps_grid_cell(&grid, "%s", text_of(plan, device->allocator[i]));
    }
    return ps_grid_print(&grid, out, 2, err);
}

static ps_code print_tasks(const totals *sum, ps_output *out, ps_error *err)
{
    static const ps_grid_column columns[] = {{"tasks", false}, {"count", true}, {"time", true}};
    char text[PS_QUANTITY_TEXT_BYTES];
    ps_grid grid;
    ps_output_print(out, "\nWork\n");
    ps_grid_init(&grid, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < PS_TASK_KIND_COUNT; i++) {
        if (sum->count[i] > 0) {
            ps_grid_cell(&grid, "%s", task_word(i));
            ps_grid_cell(&grid, "%" PRIu64, sum->count[i]);
            ps_grid_cell(&grid, "%s", ps_time_format(sum->time_ns[i], text));
        }
    }
    return ps_grid_print(&grid, out, 2, err);
}

static ps_code print_page(const char *path, const ps_plan *plan, const totals *sum, ps_output *out,
                          ps_error *err)
{
    ps_output_print(out, "%s: a plan for %zu device%s\n", path, plan->device.head.count,
                    plan->device.head.count == 1 ? "" : "s");
    ps_output_print(out, "  lanes         %zu\n", plan->lane.head.count);
    ps_output_print(out, "  dependencies  %zu\n", plan->dep.head.count);
    ps_output_print(out, "  links         %zu\n", plan->link.head.count);
    ps_output_print(out, "  buffers       %zu\n", plan->buffer.head.count);
    ps_output_print(out, "  requests      %zu\n", plan->memop.head.count);
    ps_output_print(out, "  steps         %zu\n", plan->step.head.count);
    PS_TRY(print_devices(plan, out, err));
    PS_TRY(print_tasks(sum, out, err));
    return ps_losses_print(PS_LOSS_VIEW(plan), out, err);
}

/* ---- JSON ---- */

static void json_devices(const ps_plan *plan, ps_json *json)
{
    const ps_plan_device_table *device = &plan->device;
    ps_json_array(json, "devices");
    for (size_t i = 0; i < device->head.count; i++) {
        ps_json_object(json, NULL);
        ps_json_u64(json, "rank", device->rank[i]);
        ps_json_u64(json, "ordinal", device->ordinal[i]);
        ps_json_text(json, "name", device->name[i] == 0 ? NULL : text_of(plan, device->name[i]));
        ps_json_u64(json, "capacity_bytes", device->capacity_bytes[i]);
        ps_json_u64(json, "limit_bytes", device->limit_bytes[i]);
        ps_json_u64(json, "base_bytes", device->base_bytes[i]);
        ps_json_text(json, "allocator", text_of(plan, device->allocator[i]));
        ps_json_end(json);
    }
    ps_json_end(json);
}

static void json_tasks(const totals *sum, ps_json *json)
{
    ps_json_object(json, "tasks");
    for (size_t i = 0; i < PS_TASK_KIND_COUNT; i++) {
        ps_json_object(json, task_word(i));
        ps_json_u64(json, "count", sum->count[i]);
        ps_json_i64(json, "time_ns", sum->time_ns[i]);
        ps_json_end(json);
    }
    ps_json_end(json);
    ps_json_object(json, "basis_ns");
    for (size_t i = 0; i < PS_BASIS_COUNT; i++) {
        ps_json_i64(json, basis_word(i), sum->basis_ns[i]);
    }
    ps_json_end(json);
}

static void json_rows(const ps_plan *plan, ps_json *json)
{
    ps_json_object(json, "rows");
    for (int i = 0; i < PS_PLAN_TABLE_COUNT; i++) {
        ps_json_u64(json, ps_plan_specs()[i].name,
                    ps_plan_table_const(plan, (ps_plan_table_id)i)->count);
    }
    ps_json_end(json);
}

static void json_steps(const ps_plan *plan, ps_json *json)
{
    ps_json_array(json, "steps");
    for (size_t i = 0; i < plan->step.head.count; i++) {
        ps_json_object(json, NULL);
        ps_json_text(json, "name", text_of(plan, plan->step.name[i]));
        ps_json_i64(json, "recorded_ns", plan->step.recorded_ns[i]);
        ps_json_end(json);
    }
    ps_json_end(json);
}

static ps_code write_json(const char *path, const ps_plan *plan, const totals *sum, ps_output *out,
                          ps_error *err)
{
    ps_json json;
    ps_json_open(&json, out, PS_JSON_LINES);
    ps_json_object(&json, NULL);
    ps_json_text(&json, "artefact", "plan");
    ps_json_text(&json, "path", path);
    json_devices(plan, &json);
    json_tasks(sum, &json);
    json_rows(plan, &json);
    json_steps(plan, &json);
    ps_losses_json(PS_LOSS_VIEW(plan), &json);
    ps_json_object(&json, "facts");
    for (size_t i = 0; i < plan->meta.head.count; i++) {
        ps_json_text(&json, text_of(plan, plan->meta.key[i]), text_of(plan, plan->meta.value[i]));
    }
    ps_json_end(&json);
    ps_json_end(&json);
    return ps_json_close(&json, err);
}

ps_code ps_info_plan(const char *path, bool as_json, ps_output *out, ps_error *err)
{
    ps_plan *plan;
    PS_TRY(ps_plan_read(path, &plan, err)); /* checked: kinds index the tables of words */
    const totals sum = add_up(plan);
    const ps_code code =
        as_json ? write_json(path, plan, &sum, out, err) : print_page(path, plan, &sum, out, err);
    ps_plan_destroy(plan);
    return code;
}
