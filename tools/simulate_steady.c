/* SPDX-License-Identifier: MIT
 *
 * Host memory, and the steady step explained.
 */
#include "simulate_steady.h"

#include "base/units.h"
#include "cli/table.h"
#include "simulate_devices.h"

/* Links of many nodes look alike; --json has all. */
#define MAX_LINK_ROWS 12u
#define MAX_NODE_ROWS 8u

#define MILLION UINT64_C(1000000)

static const char *size_text(uint64_t bytes, char *buf)
{
    return ps_quantity_format(PS_UNIT_SIZE, bytes, buf);
}

/* ---- memory ---- */

void ps_simulate_host_memory(const ps_result_device *device, ps_output *out)
{
    char a[PS_QUANTITY_TEXT_BYTES], b[PS_QUANTITY_TEXT_BYTES], c[PS_QUANTITY_TEXT_BYTES];
    const ps_result_host *host = &device->host;
    if (host->peak_bytes > 0) {
        ps_output_print(out, "  peak on host    %-12s pinned %s, pageable %s\n",
                        size_text(host->peak_bytes, a), size_text(host->peak_pinned_bytes, b),
                        size_text(host->peak_pageable_bytes, c));
    }
    if (host->peak_storage_bytes > 0) {
        ps_output_print(out, "  peak on disks   %-12s files of its process\n",
                        size_text(host->peak_storage_bytes, a));
    }
}

static void print_node(const ps_result *result, const ps_result_node *node, ps_output *out)
{
    char a[PS_QUANTITY_TEXT_BYTES], b[PS_QUANTITY_TEXT_BYTES];
    const char *name = ps_strings_text(result->plan->strings, node->name);
    ps_output_print(out, "  %s  %s", name, size_text(node->peak_bytes, a));
    if (node->capacity_bytes == 0) {
        ps_output_print(out, ", capacity unknown (--host-capacity asks whether it fits)\n");
    } else {
        ps_output_print(out, " of %s: %s\n", size_text(node->capacity_bytes, b),
                        node->fits ? "fits" : "DOES NOT FIT");
    }
}

void ps_simulate_nodes(const ps_result *result, ps_output *out)
{
    size_t shown = 0, used = 0;
    for (size_t i = 0; i < result->node_count; i++) {
        const ps_result_node *node = &result->node[i];
        used += node->peak_bytes > 0;
        if (node->peak_bytes == 0 || (shown >= MAX_NODE_ROWS && node->fits)) {
            continue;
        }
        if (shown == 0) {
            ps_output_print(out, "\nmemory of hosts, all ranks of a node\n");
        }
        print_node(result, node, out);
        shown++;
    }
    if (used > shown) {
        ps_output_print(out, "  ... %zu more; --json has all\n", used - shown);
    }
}

/* ---- the steady step ---- */

static ps_ns length_of(const ps_result *result)
{
    return result->steady.end_ns - result->steady.begin_ns;
}

static void add_share(ps_grid *grid, uint64_t part, uint64_t whole)
{
    const uint64_t tenths = whole == 0 ? 0 : ps_mul_div_u64(part, 1000, whole);
    ps_grid_cell(grid, "%llu.%llu %%", (unsigned long long)tenths / 10,
                 (unsigned long long)tenths % 10);
}

static ps_code print_path(const ps_result *result, ps_output *out, ps_error *err)
{
    static const ps_grid_column columns[] = {
        {"critical path", false}, {"time", true}, {"share", true}};
    const ps_result_steady *steady = &result->steady;
    char text[PS_QUANTITY_TEXT_BYTES];
    ps_grid grid;
    ps_grid_init(&grid, columns, sizeof columns / sizeof columns[0]);
    for (int i = 0; i < PS_RESOURCE_COUNT; i++) {
        if (steady->path_ns[i] > 0) {
            ps_grid_cell(&grid, "%s", ps_resource_words((ps_resource)i));
            ps_grid_cell(&grid, "%s", ps_time_format(steady->path_ns[i], text));
            add_share(&grid, (uint64_t)steady->path_ns[i], (uint64_t)length_of(result));
        }
    }
    return ps_grid_print(&grid, out, 2, err);
}

static ps_code print_lanes(const ps_result *result, bool is_crowded, ps_output *out, ps_error *err)
{
    static const ps_grid_column columns[] = {
        {"lane", false}, {"busy", true}, {"share", true}, {"waits for the GPU", true}};
    const ps_result_steady *steady = &result->steady;
    const size_t fullest = ps_simulate_fullest(result);
    char text[PS_QUANTITY_TEXT_BYTES];
    ps_grid grid;
    ps_output_print(out, "\n");
    ps_grid_init(&grid, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < steady->lane_count; i++) {
        const ps_result_lane *lane = &steady->lane[i];
        if (is_crowded && lane->device != fullest + 1) {
            continue;
        }
        ps_grid_cell(&grid, "%s",
                     ps_strings_text(result->plan->strings, result->plan->lane.name[lane->lane]));
        ps_grid_cell(&grid, "%s", ps_time_format(lane->busy_ns, text));
        add_share(&grid, (uint64_t)lane->busy_ns, (uint64_t)length_of(result));
        ps_grid_cell(&grid, "%s",
                     lane->waiting_ns > 0 ? ps_time_format(lane->waiting_ns, text) : "");
    }
    return ps_grid_print(&grid, out, 2, err);
}

static ps_code print_links(const ps_result *result, ps_output *out, ps_error *err)
{
    static const ps_grid_column columns[] = {
        {"link", false}, {"bandwidth", true}, {"carried", true}, {"used", true}};
    const ps_result_steady *steady = &result->steady;
    char text[PS_QUANTITY_TEXT_BYTES];
    ps_grid grid;
    ps_output_print(out, "\n");
    ps_grid_init(&grid, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < steady->link_count && i < MAX_LINK_ROWS; i++) {
        const ps_result_link *link = &steady->link[i];
        const uint64_t rate = result->plan->link.bytes_per_s[link->link];
        ps_grid_cell(&grid, "%s",
                     ps_strings_text(result->plan->strings, result->plan->link.name[link->link]));
        ps_grid_cell(&grid, "%s", ps_quantity_format(PS_UNIT_BANDWIDTH, rate, text));
        ps_grid_cell(&grid, "%s", size_text(link->bytes, text));
        add_share(&grid, link->share_millionths, MILLION);
    }
    PS_TRY(ps_grid_print(&grid, out, 2, err));
    if (steady->link_count > MAX_LINK_ROWS) {
        ps_output_print(out, "  ... %zu more; --json has all\n",
                        steady->link_count - MAX_LINK_ROWS);
    }
    return PS_OK;
}

static void print_exposed(const ps_result *result, bool is_crowded, ps_output *out)
{
    char a[PS_QUANTITY_TEXT_BYTES], b[PS_QUANTITY_TEXT_BYTES];
    for (size_t i = 0; i < result->device_count; i++) {
        const ps_result_device *device = &result->device[i];
        if (!is_crowded || i == ps_simulate_fullest(result)) {
            ps_output_print(out, "\n  rank %u copies for %s of it, %s not hidden\n", device->rank,
                            ps_time_format(device->steady.all_copies_ns, a),
                            ps_time_format(device->steady.copy_ns, b));
        }
    }
}

static void print_break_evens(const ps_result *result, ps_output *out)
{
    char a[PS_QUANTITY_TEXT_BYTES], b[PS_QUANTITY_TEXT_BYTES], c[PS_QUANTITY_TEXT_BYTES];
    for (int i = 0; i < PS_BREAK_EVEN_COUNT; i++) {
        const ps_result_break_even *of = &result->break_even[i];
        if (of->is_known) {
            ps_output_print(out, "\n  %s: %s would do (now %s); endless, the step takes %s\n",
                            ps_break_even_words((ps_break_even_of)i),
                            ps_quantity_format(PS_UNIT_BANDWIDTH, of->least_bytes_per_s, a),
                            ps_quantity_format(PS_UNIT_BANDWIDTH, of->now_bytes_per_s, b),
                            ps_time_format(of->endless_ns, c));
        }
    }
}

ps_code ps_simulate_steady(const ps_result *result, bool is_crowded, ps_output *out, ps_error *err)
{
    const ps_result_steady *steady = &result->steady;
    if (!steady->is_known) {
        return PS_OK;
    }
    ps_output_print(out, "\nthe steady step is held up most by %s\n",
                    ps_resource_words(steady->limit));
    PS_TRY(print_path(result, out, err));
    PS_TRY(print_lanes(result, is_crowded, out, err));
    PS_TRY(print_links(result, out, err));
    print_exposed(result, is_crowded, out);
    print_break_evens(result, out);
    return PS_OK;
}
