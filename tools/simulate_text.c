/* SPDX-License-Identifier: MIT
 *
 * A simulation's result as a person wants to see it: does it fit, how fast,
 * what was live at the peak, where the time went.
 */
#include "simulate_text.h"

#include <string.h>

#include "base/units.h"
#include "cli/table.h"
#include "cli/text.h"
#include "policy/data_parallel.h"
#include "policy/offload.h"
#include "policy/rank_change.h"
#include "simulate_devices.h"
#include "simulate_steady.h"
#include "workload/script/build.h"

/* Long recordings: the first steps and the last ones tell the story. */
#define MAX_STEP_ROWS 12u

/* More are shown in a table, and the fullest in full. */
#define MAX_FULL_DEVICES 2u

#define LABEL_COLUMNS 44

static const char *size_text(uint64_t bytes, char *buf)
{
    return ps_quantity_format(PS_UNIT_SIZE, bytes, buf);
}

static void print_percent(ps_output *out, uint64_t part, uint64_t whole)
{
    const uint64_t tenths = whole == 0 ? 0 : ps_mul_div_u64(part, 1000, whole);
    ps_output_print(out, "%3llu.%llu %%", (unsigned long long)tenths / 10,
                    (unsigned long long)tenths % 10);
}

static const char *fact(const ps_result *result, const char *key)
{
    const char *value = ps_plan_meta(result->plan, key);
    return value == NULL ? "" : value;
}

static const char *fact_or(const ps_result *result, const char *key, const char *otherwise)
{
    const char *value = ps_plan_meta(result->plan, key);
    return value == NULL ? otherwise : value;
}

static ps_code print_steps(const ps_result *result, ps_output *out, ps_error *err)
{
    static const ps_grid_column columns[] = {
        {"step", false}, {"simulated", true}, {"recorded", true}};
    char a[PS_QUANTITY_TEXT_BYTES], b[PS_QUANTITY_TEXT_BYTES];
    ps_grid grid;
    ps_grid_init(&grid, columns, 3);
    for (size_t i = 0; i < result->step_count; i++) {
        const ps_result_step *step = &result->step[i];
        if (result->step_count > MAX_STEP_ROWS && i == MAX_STEP_ROWS / 2) {
            ps_grid_cell(&grid, "... %zu more", result->step_count - MAX_STEP_ROWS);
            ps_grid_cell(&grid, "%s", "");
            ps_grid_cell(&grid, "%s", "");
            i = result->step_count - MAX_STEP_ROWS / 2 - 1;
            continue;
        }
        ps_grid_cell(&grid, "%s", ps_strings_text(result->plan->strings, step->name));
        ps_grid_cell(&grid, "%s", ps_time_format(step->time_ns, a));
        ps_grid_cell(&grid, "%s",
                     step->recorded_ns > 0 ? ps_time_format(step->recorded_ns, b) : "");
    }
    return ps_grid_print(&grid, out, 2, err);
}

static void print_capacity(const ps_result_device *device, ps_output *out)
{
    char a[PS_QUANTITY_TEXT_BYTES], b[PS_QUANTITY_TEXT_BYTES];
    if (device->capacity_bytes == 0) {
        ps_output_print(out,
                        "  capacity        unknown (--memory or --gpu asks whether it fits)\n");
        return;
    }
    if (device->fits) {
        const uint64_t left = device->capacity_bytes > device->peak_device_bytes
                                  ? device->capacity_bytes - device->peak_device_bytes
                                  : 0;
        ps_output_print(out, "  capacity        %-12s fits, %s left\n",
                        size_text(device->capacity_bytes, a), size_text(left, b));
    } else {
        ps_output_print(out, "  capacity        %-12s DOES NOT FIT, %s would\n",
                        size_text(device->capacity_bytes, a), size_text(device->needed_bytes, b));
    }
}

static void print_peaks(const ps_result *result, const ps_result_device *device, ps_output *out)
{
    char a[PS_QUANTITY_TEXT_BYTES], b[PS_QUANTITY_TEXT_BYTES];
    const char *name = ps_strings_text(result->plan->strings, device->name);
    ps_output_print(out, "\nGPU %u%s%s (rank %u", device->ordinal, name[0] == '\0' ? "" : "  ",
                    name, device->rank);
    if (device->stands_for > 1) {
        ps_output_print(out, ", and %u that do the same", device->stands_for - 1);
    }
    ps_output_print(out, "; allocator %s, cache %s)\n",
                    ps_strings_text(result->plan->strings, device->allocator),
                    fact(result, "cache"));
    ps_output_print(out, "  peak allocated  %-12s bytes of live tensors\n",
                    size_text(device->peak_allocated_bytes, a));
    ps_output_print(out, "  peak reserved   %-12s held by the framework's allocator\n",
                    size_text(device->peak_reserved_bytes, a));
    ps_output_print(out, "  peak on device  %-12s reserved + %s outside the allocator%s%s%s\n",
                    size_text(device->peak_device_bytes, a), size_text(device->base_bytes, b),
                    device->base_bytes == 0 ? ", which is unknown" : " (",
                    device->base_bytes == 0 ? "" : ps_basis_name(device->base_basis),
                    device->base_bytes == 0 ? "" : ")");
    print_capacity(device, out);
    ps_simulate_retries(result, device, out);
    ps_simulate_host_memory(device, out);
}

static void print_oom(const ps_result *result, const ps_result_device *device, ps_output *out)
{
    char a[PS_QUANTITY_TEXT_BYTES], b[PS_QUANTITY_TEXT_BYTES], c[PS_QUANTITY_TEXT_BYTES];
    const ps_result_oom *oom = &device->oom;
    const char *label = ps_strings_text(result->plan->strings, oom->label);
    if (!oom->happened) {
        return;
    }
    ps_output_print(out, "\n  out of memory at %s: a request of %s%s%.*s\n",
                    ps_time_format(oom->time_ns, a), size_text(oom->requested_bytes, b),
                    label[0] == '\0' ? "" : " by ", LABEL_COLUMNS, label);
    ps_output_print(out, "    needs %s from the driver; the allocator may hold %s and holds %s\n",
                    size_text(oom->segment_bytes, a), size_text(oom->limit_bytes, b),
                    size_text(oom->reserved_bytes, c));
    ps_output_print(out, "    not in use: %s, largest free block %s\n",
                    size_text(oom->free_bytes, a), size_text(oom->largest_free_bytes, b));
    if (oom->missing_bytes > 0) {
        ps_output_print(out, "    a true shortage of %s; the largest request that fits is %s\n",
                        size_text(oom->missing_bytes, a), size_text(oom->would_fit_bytes, b));
    } else {
        ps_output_print(out,
                        "    fragmentation: %s are free in sum but of no use to it; the largest\n"
                        "    request that fits is %s\n",
                        size_text(oom->fragmented_bytes, a), size_text(oom->would_fit_bytes, b));
    }
}

static void print_group(const ps_result *result, const ps_result_device *device,
                        const ps_result_group *group, ps_output *out)
{
    char a[PS_QUANTITY_TEXT_BYTES];
    const char *label = ps_strings_text(result->plan->strings, group->label);
    const bool has_role = group->role != PS_ROLE_UNKNOWN && !group->is_rest;
    const char *what = group->is_rest                  ? "everything smaller"
                       : group->role == PS_ROLE_BEFORE ? "from before the recording"
                       : has_role                      ? ps_role_name(group->role)
                       : label[0] != '\0'              ? label
                                                       : "unlabelled";
    ps_output_print(out, "    %12s  ", size_text(group->bytes, a));
    print_percent(out, group->bytes, device->peak_allocated_bytes);
    ps_output_print(out, "  %6llu x  %.*s", (unsigned long long)group->buffer_count, LABEL_COLUMNS,
                    what);
    if (has_role && label[0] != '\0') {
        ps_output_print(out, ", %.*s", LABEL_COLUMNS - 12, label);
    }
    ps_output_print(out, "\n");
}

/* What was assumed of every size when batch or sequence changed. */
static ps_code print_growth(const ps_result *result, const ps_result_device *device, ps_output *out,
                            ps_error *err)
{
    static const ps_grid_column columns[] = {
        {"grows with", false}, {"bytes at the peak", true}, {"buffers", true}};
    static const char *const words[PS_GROWTH_COUNT] = {
        [PS_GROWTH_FIXED] = "nothing",
        [PS_GROWTH_BATCH] = "batch",
        [PS_GROWTH_SEQUENCE] = "sequence",
        [PS_GROWTH_BATCH_SEQUENCE] = "batch x sequence",
        [PS_GROWTH_BATCH_SEQUENCE_SQUARED] = "batch x sequence squared",
        [PS_GROWTH_SEQUENCE_SQUARED] = "sequence squared",
        [PS_GROWTH_UNDECIDED] = "undecided, kept as recorded",
    };
    char text[PS_QUANTITY_TEXT_BYTES];
    ps_grid grid;
    if (!device->is_scaled) {
        return PS_OK;
    }
    ps_output_print(out, "\n  assumed of sizes (batch %s, sequence %s; %s)\n",
                    fact_or(result, "scaled-batch", "as recorded"),
                    fact_or(result, "scaled-sequence", "as recorded"), fact(result, "scaled-by"));
    ps_grid_init(&grid, columns, 3);
    for (int growth = PS_GROWTH_FIXED; growth < PS_GROWTH_COUNT; growth++) {
        if (device->growth_count[growth] > 0) {
            ps_grid_cell(&grid, "%s", words[growth]);
            ps_grid_cell(&grid, "%s", size_text(device->growth_bytes[growth], text));
            ps_grid_cell(&grid, "%llu", (unsigned long long)device->growth_count[growth]);
        }
    }
    PS_TRY(ps_grid_print(&grid, out, 4, err));
    if (fact(result, "scaled-work")[0] != '\0') {
        ps_output_print(out, "  assumed of device work: %s\n", fact(result, "scaled-work"));
    }
    if (fact(result, "scaled-host")[0] != '\0') {
        ps_output_print(out, "  assumed of the host: %s\n", fact(result, "scaled-host"));
    }
    return PS_OK;
}

static void print_breakdown(const ps_result *result, const ps_result_device *device, ps_output *out)
{
    char a[PS_QUANTITY_TEXT_BYTES];
    if (device->group_count == 0) {
        return;
    }
    ps_output_print(out, "\n  live at the allocated peak, %s after the start\n",
                    ps_time_format(device->peak_time_ns, a));
    for (size_t i = 0; i < device->group_count; i++) {
        print_group(result, device, &device->group[i], out);
    }
}

static void print_time_row(const ps_result *result, const char *what, ps_ns time, ps_output *out)
{
    char a[PS_QUANTITY_TEXT_BYTES];
    ps_output_print(out, "    %12s  ", ps_time_format(time, a));
    print_percent(out, (uint64_t)time, (uint64_t)result->makespan_ns);
    ps_output_print(out, "  %s\n", what);
}

/* Parts of compute, where the plan knows them. */
static void print_phases(const ps_result *result, const ps_result_time *time, ps_output *out)
{
    static const char *const words[] = {"  of it outside any phase", "  of it forward",
                                        "  of it backward", "  of it optimizer"};
    if (time->phase_ns[PS_PHASE_UNKNOWN] >= time->compute_ns) {
        return;
    }
    for (int phase = PS_PHASE_FORWARD; phase <= PS_PHASE_OPTIMIZER; phase++) {
        print_time_row(result, words[phase], time->phase_ns[phase], out);
    }
    if (time->phase_ns[PS_PHASE_UNKNOWN] > 0) {
        print_time_row(result, words[PS_PHASE_UNKNOWN], time->phase_ns[PS_PHASE_UNKNOWN], out);
    }
}

/* Of ranks that were simulated together: what collectives are made of, hidden or not. */
static void print_meetings(const ps_result_time *time, ps_output *out)
{
    char a[PS_QUANTITY_TEXT_BYTES], b[PS_QUANTITY_TEXT_BYTES];
    if (time->has_exchanges) {
        ps_output_print(out,
                        "    collectives, hidden or not: %s waiting for other ranks, %s transfer\n",
                        ps_time_format(time->collective_wait_ns, a),
                        ps_time_format(time->collective_transfer_ns, b));
    }
}

static void print_time(const ps_result *result, const ps_result_device *device, ps_output *out)
{
    const ps_result_time *time = &device->time;
    if (time->compute_ns + time->collective_ns + time->copy_ns == 0) {
        return;
    }
    ps_output_print(out, "\n  where the time goes\n");
    print_time_row(result, "compute", time->compute_ns, out);
    print_phases(result, time, out);
    print_time_row(result, "collectives not hidden by compute", time->collective_ns, out);
    print_time_row(result, "copies not hidden by either", time->copy_ns, out);
    print_time_row(result, "waiting for the host", time->host_ns, out);
    print_meetings(time, out);
}

static void print_basis(const ps_result *result, ps_output *out)
{
    ps_ns total = 0;
    for (int i = 0; i < PS_BASIS_COUNT; i++) {
        total += result->basis_ns[i];
    }
    ps_output_print(out, "\ntask times:");
    for (int i = 0; i < PS_BASIS_COUNT; i++) {
        if (result->basis_ns[i] > 0 || (i == 0 && total == 0)) {
            ps_output_print(out, " ");
            print_percent(out, (uint64_t)result->basis_ns[i], (uint64_t)total);
            ps_output_print(out, " %s", ps_basis_name((ps_basis)i));
        }
    }
    ps_output_print(out, "\n");
    for (size_t i = 0; i < result->plan->loss.head.count; i++) {
        const uint8_t severity = result->plan->loss.severity[i];
        ps_output_print(out, "%s: %llu %s\n",
                        severity == PS_SEVERITY_INFO    ? "note"
                        : severity == PS_SEVERITY_ERROR ? "FAULT"
                                                        : "LOST",
                        (unsigned long long)result->plan->loss.count[i],
                        ps_strings_text(result->plan->strings, result->plan->loss.name[i]));
    }
}

/* "8.037 billion" of a number of digits. */
static void print_count(const char *digits, ps_output *out)
{
    const size_t count = strlen(digits);
    const size_t whole = count % 3 == 0 ? 3 : count % 3;
    const char *word = count > 9 ? "billion" : count > 6 ? "million" : NULL;
    if (word == NULL || count > 12) {
        ps_output_print(out, "%s", digits);
        return;
    }
    ps_output_print(out, "%.*s.%.*s %s", (int)whole, digits, (int)(4 - whole), digits + whole,
                    word);
}

/* Of a model: how large it is and how it is trained. */
static void print_recipe(const ps_result *result, ps_output *out)
{
    const char *recipe = fact(result, PS_WORKLOAD_META_RECIPE);
    const char *parameters = fact(result, PS_WORKLOAD_META_PARAMETERS);
    const char *trained = fact(result, PS_WORKLOAD_META_TRAINED);
    if (recipe[0] == '\0') {
        return;
    }
    print_count(parameters, out);
    ps_output_print(out, " parameters");
    if (strcmp(parameters, trained) != 0) {
        ps_output_print(out, ", ");
        print_count(trained, out);
        ps_output_print(out, " of them trained");
    }
    ps_output_print(out, "; %s\n", recipe);
}

static ps_code print_device(const ps_result *result, const ps_result_device *device, ps_output *out,
                            ps_error *err)
{
    print_peaks(result, device, out);
    print_oom(result, device, out);
    print_breakdown(result, device, out);
    PS_TRY(print_growth(result, device, out, err));
    ps_simulate_chart(result, device, out);
    print_time(result, device, out);
    return PS_OK;
}

/* Of a recorded job on other numbers of GPUs, or with tensors on the host: what was assumed. */
static void print_changes(const ps_result *result, ps_output *out)
{
    static const char *const keys[] = {PS_PLAN_META_DATA_PARALLEL, PS_PLAN_META_RANK_CHANGE,
                                       PS_PLAN_META_OFFLOAD_OPTIMIZER,
                                       PS_PLAN_META_OFFLOAD_PARAMETERS, PS_PLAN_META_OFFLOAD_RANKS};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const char *how = fact(result, keys[i]);
        if (how[0] != '\0') {
            ps_output_print(out, "%s\n", how);
        }
    }
}

static void print_jitter(const ps_result *result, ps_output *out)
{
    char a[PS_QUANTITY_TEXT_BYTES], b[PS_QUANTITY_TEXT_BYTES];
    if (result->has_jitter) {
        ps_output_print(out, "with jitter  %s at the median, %s at the 95th percentile\n\n",
                        ps_time_format(result->step_time_median_ns, a),
                        ps_time_format(result->step_time_p95_ns, b));
    }
}

ps_code ps_simulate_text(const ps_result *result, ps_output *out, ps_error *err)
{
    char a[PS_QUANTITY_TEXT_BYTES];
    const bool is_crowded = result->device_count > MAX_FULL_DEVICES;
    ps_output_print(out, "%s\n", fact(result, PS_META_TITLE));
    print_recipe(result, out);
    print_changes(result, out);
    ps_output_print(out, "\n");
    ps_output_print(out, "step time  %s%s\n\n", ps_time_format(result->step_time_ns, a),
                    result->step_count > 1 ? "  (median of the steps after the first)" : "");
    print_jitter(result, out);
    PS_TRY(print_steps(result, out, err));
    if (is_crowded) {
        PS_TRY(ps_simulate_devices(result, out, err));
    }
    for (size_t i = 0; i < result->device_count; i++) {
        if (!is_crowded || i == ps_simulate_fullest(result)) {
            PS_TRY(print_device(result, &result->device[i], out, err));
        }
    }
    ps_simulate_nodes(result, out);
    PS_TRY(ps_simulate_steady(result, is_crowded, out, err));
    print_basis(result, out);
    return PS_OK;
}
