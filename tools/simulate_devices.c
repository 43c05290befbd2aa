/* SPDX-License-Identifier: MIT
 *
 * A table of devices.
 */
#include "simulate_devices.h"

#include "base/units.h"
#include "cli/table.h"

#define MAX_ROWS 16u

size_t ps_simulate_fullest(const ps_result *result)
{
    size_t fullest = 0;
    for (size_t i = 1; i < result->device_count; i++) {
        if (result->device[i].needed_bytes > result->device[fullest].needed_bytes) {
            fullest = i;
        }
    }
    return fullest;
}

static void add_row(ps_grid *grid, const ps_result_device *device, bool is_fullest)
{
    char text[PS_QUANTITY_TEXT_BYTES];
    const ps_result_time *time = &device->time;
    ps_grid_cell(grid, "%s%u", is_fullest ? "> " : "", device->rank);
    ps_grid_cell(grid, "%u", device->stands_for > 0 ? device->stands_for : 1);
    ps_grid_cell(grid, "%s", ps_quantity_format(PS_UNIT_SIZE, device->peak_allocated_bytes, text));
    ps_grid_cell(grid, "%s", ps_quantity_format(PS_UNIT_SIZE, device->peak_reserved_bytes, text));
    ps_grid_cell(grid, "%s", ps_quantity_format(PS_UNIT_SIZE, device->peak_device_bytes, text));
    ps_grid_cell(grid, "%s", device->fits ? "yes" : "NO");
    ps_grid_cell(grid, "%s", ps_time_format(time->compute_ns, text));
    ps_grid_cell(grid, "%s", ps_time_format(time->collective_wait_ns, text));
    ps_grid_cell(grid, "%s", ps_time_format(time->collective_transfer_ns, text));
}

ps_code ps_simulate_devices(const ps_result *result, ps_output *out, ps_error *err)
{
    static const ps_grid_column columns[] = {
        {"rank", true},     {"ranks", true},           {"allocated", true},
        {"reserved", true}, {"on device", true},       {"fits", false},
        {"compute", true},  {"waits for ranks", true}, {"transfers", true},
    };
    const size_t fullest = ps_simulate_fullest(result);
    ps_grid grid;
    ps_output_print(out, "\n");
    ps_grid_init(&grid, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < result->device_count; i++) {
        if (i < MAX_ROWS || i == fullest) {
            add_row(&grid, &result->device[i], i == fullest);
        }
    }
    PS_TRY(ps_grid_print(&grid, out, 2, err));
    if (result->device_count > MAX_ROWS) {
        ps_output_print(out, "  ... %zu more; --json has all\n", result->device_count - MAX_ROWS);
    }
    return PS_OK;
}

void ps_simulate_retries(const ps_result *result, const ps_result_device *device, ps_output *out)
{
    char text[PS_QUANTITY_TEXT_BYTES];
    const bool has_steps = result->step_count > 0 && device->retry != NULL;
    const ps_result_retry whole = {.count = device->retry_count, .wait_ns = device->retry_wait_ns};
    const ps_result_retry told = has_steps ? device->retry[result->step_count - 1] : whole;
    if (device->retries_are_modelled && told.count > 0) {
        ps_output_print(out, "  retries         %-12llu %sthe host waited %s for memory\n",
                        (unsigned long long)told.count, has_steps ? "in the last step, " : "",
                        ps_time_format(told.wait_ns, text));
    }
    if (device->retries_are_modelled && result->is_unsettled) {
        ps_output_print(out,
                        "                  waits and times did not come to agree: the step time is "
                        "that of the last try\n");
    }
}
