/* SPDX-License-Identifier: MIT
 *
 * peakstep replay: executes a plan and measures, beside what was simulated.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cli/json.h"
#include "cli/progress.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "load_plan.h"
#include "replay/replay.h"
#include "run/run.h"

static const ps_option options[] = {
    {.name = "backend",
     .kind = PS_OPTION_CHOICE,
     .value = "host|null",
     .fallback = "host",
     .help = "host: lanes are threads, memory is taken and touched, bytes are moved, kernels are "
             "stand-ins of their length; null: order and byte accounting only, no time passes"},
    {.name = "memory-scale",
     .kind = PS_OPTION_QUANTITY,
     .value = "N",
     .unit = PS_UNIT_COUNT,
     .min = 1,
     .fallback = "1",
     .help = "divide buffer and copy bytes by this where the machine is smaller than the device; "
             "accounting stays in the plan's own bytes"},
    {.name = "time-scale",
     .kind = PS_OPTION_QUANTITY,
     .value = "X",
     .unit = PS_UNIT_RATIO,
     .min = 1,
     .fallback = "1",
     .help = "multiply gaps, lengths and lags by this"},
    {.name = "log",
     .kind = PS_OPTION_TEXT,
     .value = "FILE",
     .help = "write the start and end of every task as CSV"},
    PS_OPTION_JSON_ROW,
    {0},
};

static const ps_operand operands[] = {
    {.name = "INPUT",
     .help = "a plan (.psplan), or a trace or foreign recording, whose identity plan is executed"},
    {0},
};

static const ps_example examples[] = {
    {"peakstep replay step.psplan", "Executes the plan on this machine's host."},
    {"peakstep replay run.pstrace --memory-scale 16",
     "The recorded run with a sixteenth of its memory."},
    {"peakstep replay step.psplan --backend null --json", "Order and byte accounting only."},
    {0},
};

/* Everything the outputs compare. */
typedef struct replayed {
    const ps_plan *plan;
    ps_replay_report measured;
    ps_replay_verdict verdict;
    ps_code obeyed; /* PS_OK, or PS_CHECK_FAILED */
    ps_error why;
    ps_result simulated;
} replayed;

static void write_json(const replayed *r, ps_output *out, ps_json *json)
{
    ps_json_open(json, out, PS_JSON_LINES);
    ps_json_object(json, NULL);
    ps_json_text(json, "schema", "peakstep.replay/1");
    ps_json_text(json, "backend", r->measured.backend);
    ps_json_u64(json, "memory_scale", r->measured.options.memory_scale);
    ps_json_u64(json, "makespan_ns", (uint64_t)r->measured.makespan_ns);
    ps_json_u64(json, "simulated_makespan_ns", (uint64_t)r->simulated.makespan_ns);
    ps_json_array(json, "steps");
    for (size_t i = 0; i < r->measured.step_count; i++) {
        ps_json_object(json, NULL);
        ps_json_text(json, "name", r->measured.steps[i].name);
        ps_json_u64(json, "measured_ns", (uint64_t)r->measured.steps[i].measured_ns);
        ps_json_u64(json, "simulated_ns", (uint64_t)r->simulated.step[i].time_ns);
        ps_json_end(json);
    }
    ps_json_end(json);
    ps_json_array(json, "devices");
    for (size_t i = 0; i < r->measured.device_count; i++) {
        ps_json_object(json, NULL);
        ps_json_u64(json, "ordinal", r->plan->device.ordinal[i]);
        ps_json_u64(json, "peak_live_bytes", r->measured.devices[i].peak_live_bytes);
        ps_json_u64(json, "simulated_peak_live_bytes", r->simulated.device[i].peak_live_bytes);
        ps_json_u64(json, "peak_real_bytes", r->measured.devices[i].peak_real_bytes);
        ps_json_u64(json, "allocs", r->measured.devices[i].alloc_count);
        ps_json_u64(json, "frees", r->measured.devices[i].free_count);
        ps_json_end(json);
    }
    ps_json_end(json);
    ps_json_object(json, "obeyed");
    ps_json_u64(json, "checked", r->verdict.checked_count);
    ps_json_u64(json, "violations", r->verdict.violation_count);
    ps_json_end(json);
    ps_json_end(json);
}

static ps_code print_json(const replayed *r, ps_output *out, ps_error *err)
{
    ps_json json;
    write_json(r, out, &json);
    return ps_json_close(&json, err);
}

static ps_code print_steps(const replayed *r, ps_output *out, ps_error *err)
{
    static const ps_grid_column columns[] = {
        {"step", false}, {"measured", true}, {"simulated", true}, {"recorded", true}};
    char a[PS_QUANTITY_TEXT_BYTES], b[PS_QUANTITY_TEXT_BYTES], c[PS_QUANTITY_TEXT_BYTES];
    ps_grid grid;
    ps_grid_init(&grid, columns, 4);
    for (size_t i = 0; i < r->measured.step_count; i++) {
        const ps_replay_step *step = &r->measured.steps[i];
        ps_grid_cell(&grid, "%s", step->name);
        ps_grid_cell(&grid, "%s",
                     r->measured.log.is_timed ? ps_time_format(step->measured_ns, a) : "-");
        ps_grid_cell(&grid, "%s", ps_time_format(r->simulated.step[i].time_ns, b));
        ps_grid_cell(&grid, "%s",
                     step->recorded_ns > 0 ? ps_time_format(step->recorded_ns, c) : "");
    }
    return ps_grid_print(&grid, out, 2, err);
}

static void print_devices(const replayed *r, ps_output *out)
{
    char a[PS_QUANTITY_TEXT_BYTES], b[PS_QUANTITY_TEXT_BYTES];
    for (size_t i = 0; i < r->measured.device_count; i++) {
        const ps_replay_device *device = &r->measured.devices[i];
        const uint64_t simulated = r->simulated.device[i].peak_live_bytes;
        ps_output_print(out,
                        "\nGPU %u\n  peak live       %llu bytes measured, %llu simulated: %s\n",
                        r->plan->device.ordinal[i], (unsigned long long)device->peak_live_bytes,
                        (unsigned long long)simulated,
                        device->peak_live_bytes == simulated ? "equal" : "DIFFERENT");
        ps_output_print(out, "  memory taken    %s at the peak (plan bytes / %llu)\n",
                        ps_quantity_format(PS_UNIT_SIZE, device->peak_real_bytes, a),
                        (unsigned long long)r->measured.options.memory_scale);
        ps_output_print(out, "  requests        %llu allocations, %llu frees\n",
                        (unsigned long long)device->alloc_count,
                        (unsigned long long)device->free_count);
    }
    for (int kind = 0; kind < PS_REPLAY_COPY_KINDS; kind++) {
        const ps_replay_traffic *copies = &r->measured.copies[kind];
        static const char *const names[] = {"other",     "to device",       "from device",
                                            "on device", "between devices", "on host"};
        if (copies->count > 0) {
            ps_output_print(
                out, "  copies %-15s %llu, %s moved at %s\n", names[kind],
                (unsigned long long)copies->count,
                ps_quantity_format(PS_UNIT_SIZE, copies->moved_bytes, a),
                ps_quantity_format(PS_UNIT_BANDWIDTH, (uint64_t)copies->bytes_per_s, b));
        }
    }
}

static void print_verdict(const replayed *r, ps_output *out)
{
    char a[PS_QUANTITY_TEXT_BYTES], b[PS_QUANTITY_TEXT_BYTES];
    ps_output_print(out, "\nobeyed: %llu relations of the log checked, %llu violated\n",
                    (unsigned long long)r->verdict.checked_count,
                    (unsigned long long)r->verdict.violation_count);
    if (r->measured.log.is_timed) {
        const ps_replay_lateness *late = &r->measured.start_lateness;
        ps_output_print(out, "tasks started %s late at the median, %s at most\n",
                        ps_time_format(late->median_ns, a), ps_time_format(late->max_ns, b));
    }
}

static ps_code print_text(const replayed *r, ps_output *out, ps_error *err)
{
    ps_output_print(out, "replayed on backend %s\n\n", r->measured.backend);
    PS_TRY(print_steps(r, out, err));
    print_devices(r, out);
    print_verdict(r, out);
    return PS_OK;
}

static ps_code write_row(void *context, const ps_replay_row *row, ps_error *err)
{
    FILE *file = context;
    if (fprintf(file, "%zu,\"%s\",%s,%lld,%lld,%lld,%llu,%llu\n", row->task, row->lane, row->kind,
                (long long)row->start_ns, (long long)row->end_ns, (long long)row->planned_ns,
                (unsigned long long)row->start_order, (unsigned long long)row->end_order) < 0) {
        return ps_fail(err, PS_IO, "cannot write the log");
    }
    return PS_OK;
}

static ps_code write_log(const char *path, const replayed *r, ps_error *err)
{
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        return ps_fail(err, PS_IO, "cannot write %s", path);
    }
    (void)fputs("task,lane,kind,start_ns,end_ns,planned_ns,start_order,end_order\n", file);
    ps_code code = ps_replay_log_rows(r->plan, &r->measured.log, write_row, file, err);
    if (fclose(file) != 0 && code == PS_OK) {
        code = ps_fail(err, PS_IO, "cannot write %s", path);
    }
    return code;
}

static ps_code report(const ps_args *args, replayed *r, ps_output *out, ps_error *err)
{
    const char *log = ps_args_text(args, "log");
    r->obeyed = ps_replay_verify(r->plan, &r->measured.log, &r->verdict, &r->why);
    if (log != NULL) {
        PS_TRY(write_log(log, r, err));
    }
    PS_TRY(ps_args_has(args, "json") ? print_json(r, out, err) : print_text(r, out, err));
    if (r->obeyed != PS_OK && err != NULL) {
        *err = r->why;
        ps_error_note(err, "the run did not obey its plan");
    }
    return r->obeyed;
}

static ps_code replay(const ps_args *args, const ps_plan *plan, ps_output *out, ps_error *err)
{
    ps_replay_options how;
    replayed r = {.plan = plan};
    ps_replay_options_init(&how);
    how.memory_scale = ps_args_quantity(args, "memory-scale");
    how.time_scale = (double)ps_args_quantity(args, "time-scale") / PS_RATIO_ONE;
    PS_TRY(ps_run_plan(plan, &r.simulated, err));
    ps_code code = ps_replay_run(plan, ps_args_text(args, "backend"), &how, &r.measured, err);
    if (code == PS_OK) {
        code = report(args, &r, out, err);
        ps_replay_report_fini(&r.measured);
    }
    ps_result_fini(&r.simulated);
    return code;
}

static ps_code run(const ps_args *args, ps_output *out, ps_error *err)
{
    ps_plan *plan;
    PS_TRY(ps_load_plan(args->operand[0], &plan, err));
    const ps_code code = replay(args, plan, out, err);
    ps_plan_destroy(plan);
    return code;
}

const ps_verb ps_verb_replay = {
    .name = "replay",
    .summary = "execute a plan and measure it beside the simulation",
    .description =
        "Executes a plan: every task on its lane, in order, after everything it waits for; every "
        "allocator request at its moment. The log of the run is then checked against the plan, "
        "and step times and peak bytes are shown beside the simulated ones.\n"
        "The host backend stands for a device on a machine without one: memory is really taken "
        "and touched, bytes are really moved; kernels wait for their length, since they stand "
        "for work done elsewhere.",
    .operands = operands,
    .options = options,
    .examples = examples,
    .no_means = "the log shows that the plan was not obeyed, or memory does not suffice",
    .run = run,
};
