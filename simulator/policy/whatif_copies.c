/* SPDX-License-Identifier: MIT
 *
 * Host copies over another host link.
 *
 * A recorded copy of n bytes took start + n / r. Its rate r is a share of what
 * the recorded link gives large pinned copies; that share is kept (pageable
 * and small copies stay as inefficient as they were), so the copy becomes a
 * transfer of n bytes at r * new / old on a link of the new bandwidth, shared
 * with every other copy of that direction, and with the other direction where
 * the host cannot feed both.
 */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "policy/whatif_parts.h"

#define NS_PER_S 1000000000u

typedef struct host_links {
    uint64_t old_rate[2], new_rate[2]; /* to the device, from the device */
    uint64_t both_rate;                /* the two together */
    ps_ns start_ns;                    /* start of one copy */
    uint32_t link[2], both_link;
} host_links;

static const ps_figure_id direction_figure[2] = {PS_FIGURE_H2D, PS_FIGURE_D2H};

/* Best rate that large copies of a direction reached in the recording; 0 when there were none. */
#define LARGE_COPY_BYTES 1048576u

static uint64_t best_recorded_rate(const ps_plan *plan, uint32_t device, uint8_t kind)
{
    uint64_t best = 0;
    for (size_t i = 0; i < plan->task.head.count; i++) {
        if (plan->task.kind[i] == PS_TASK_MEMCPY && plan->task.copy_kind[i] == kind &&
            plan->lane.device[plan->task.lane[i]] == device + 1 && plan->task.dur_ns[i] > 0 &&
            plan->task.bytes[i] >= LARGE_COPY_BYTES) {
            const uint64_t rate =
                ps_mul_div_u64(plan->task.bytes[i], NS_PER_S, (uint64_t)plan->task.dur_ns[i]);
            best = rate > best ? rate : best;
        }
    }
    return best;
}

/* A recording that does not name its GPU, or names one the catalogue lacks: its own best copies stand
 * for its link, and figures common to all GPUs for the rest. */
static ps_code recorded_link(const ps_plan *plan, uint32_t device, const ps_catalogue *catalogue,
                             host_links *out, ps_hardware_id *gpu, ps_error *err)
{
    static const uint8_t kinds[2] = {PS_COPY_HTOD, PS_COPY_DTOH};
    const bool is_known = ps__whatif_recorded_gpu(plan, device, catalogue, gpu, NULL) == PS_OK;
    if (!is_known) {
        PS_TRY(ps_catalogue_find(catalogue, PS_HARDWARE_FAMILY, "family-gpu", gpu, err));
    }
    for (int d = 0; d < 2; d++) {
        ps_figure figure = {.value = best_recorded_rate(plan, device, kinds[d])};
        if (is_known) {
            PS_TRY(ps_catalogue_need(catalogue, *gpu, direction_figure[d], &figure, err));
        }
        out->old_rate[d] = figure.value;
    }
    return PS_OK;
}

static ps_code fill_rates(const ps_plan *plan, uint32_t device, const ps_catalogue *catalogue,
                          const ps_whatif *change, const ps_hardware_id *target, host_links *out,
                          ps_error *err)
{
    ps_hardware_id recorded;
    ps_figure figure;
    PS_TRY(recorded_link(plan, device, catalogue, out, &recorded, err));
    for (int d = 0; d < 2; d++) {
        out->new_rate[d] = change->pcie_bytes_per_s;
        if (out->new_rate[d] == 0) {
            PS_TRY(ps_catalogue_need(catalogue, *target, direction_figure[d], &figure, err));
            out->new_rate[d] = figure.value;
        }
        if (out->old_rate[d] == 0) {
            out->old_rate[d] = out->new_rate[d]; /* no large copy to compare with: keep the times */
        }
    }
    const ps_hardware_id now = target != NULL ? *target : recorded;
    PS_TRY(ps_catalogue_need(catalogue, now, PS_FIGURE_HOST_BOTH_FACTOR, &figure, err));
    const uint64_t faster =
        out->new_rate[0] > out->new_rate[1] ? out->new_rate[0] : out->new_rate[1];
    out->both_rate = ps_mul_div_u64(faster, figure.value, PS_RATIO_ONE);
    PS_TRY(ps_catalogue_need(catalogue, now, PS_FIGURE_COPY_LATENCY, &figure, err));
    out->start_ns = (ps_ns)figure.value;
    return PS_OK;
}

static ps_code add_link(ps_plan *plan, uint32_t device, const char *what, uint64_t rate,
                        uint32_t *out, ps_error *err)
{
    char name[64];
    size_t row;
    (void)snprintf(name, sizeof name, "GPU %u host link %s", plan->device.ordinal[device], what);
    PS_TRY(ps_plan_add(plan, PS_PLAN_LINK, &row, err));
    plan->link.bytes_per_s[row] = rate;
    *out = (uint32_t)row;
    return ps_strings_put_z(plan->strings, name, &plan->link.name[row], err);
}

static ps_code add_transfer(ps_plan *plan, size_t task, uint32_t link, ps_error *err)
{
    size_t row;
    PS_TRY(ps_plan_add(plan, PS_PLAN_TRANSFER, &row, err));
    plan->transfer.task[row] = (uint32_t)task;
    plan->transfer.link[row] = link;
    return PS_OK;
}

static ps_code move_copy(ps_plan *plan, size_t i, const host_links *links, ps_error *err)
{
    const int d = plan->task.copy_kind[i] == PS_COPY_HTOD ? 0 : 1;
    const ps_ns dur = plan->task.dur_ns[i];
    const uint64_t bytes = plan->task.bytes[i];
    if (bytes == 0 || dur == 0) {
        return PS_OK;
    }
    /* the start is at most what the rated link leaves over */
    const ps_ns wire = (ps_ns)ps_mul_div_u64(bytes, NS_PER_S, links->old_rate[d]);
    const ps_ns spare = dur > wire ? dur - wire : 0;
    const ps_ns start = spare < links->start_ns ? spare : links->start_ns;
    const ps_ns moving = dur - start > 0 ? dur - start : 1;
    const uint64_t rate = ps_mul_div_u64(ps_mul_div_u64(bytes, NS_PER_S, (uint64_t)moving),
                                         links->new_rate[d], links->old_rate[d]);
    plan->task.dur_ns[i] = start;
    plan->task.rate_bytes_per_s[i] = rate == 0 ? 1 : rate;
    plan->task.basis[i] = PS_BASIS_SCALED;
    PS_TRY(add_transfer(plan, i, links->link[d], err));
    return add_transfer(plan, i, links->both_link, err);
}

/* Link row of a name, or UINT32_MAX: an earlier what-if has made transfers of the copies already. */
static uint32_t find_link(const ps_plan *plan, uint32_t device, const char *what)
{
    char name[64];
    (void)snprintf(name, sizeof name, "GPU %u host link %s", plan->device.ordinal[device], what);
    for (uint32_t row = 0; row < plan->link.head.count; row++) {
        if (strcmp(ps_strings_text(plan->strings, plan->link.name[row]), name) == 0) {
            return row;
        }
    }
    return UINT32_MAX;
}

/* Another bandwidth for links that are there: the copies keep their share of it. */
static void change_links(ps_plan *plan, uint32_t device, const host_links *links, uint32_t to,
                         uint32_t from, uint32_t both)
{
    const uint32_t rows[2] = {to, from};
    for (size_t i = 0; i < plan->task.head.count; i++) {
        const uint8_t kind = plan->task.copy_kind[i];
        if (plan->task.kind[i] == PS_TASK_MEMCPY && plan->task.rate_bytes_per_s[i] > 0 &&
            plan->lane.device[plan->task.lane[i]] == device + 1) {
            const int d = kind == PS_COPY_HTOD ? 0 : 1;
            const uint64_t rate = ps_mul_div_u64(plan->task.rate_bytes_per_s[i], links->new_rate[d],
                                                 plan->link.bytes_per_s[rows[d]]);
            plan->task.rate_bytes_per_s[i] = rate == 0 ? 1 : rate;
        }
    }
    plan->link.bytes_per_s[to] = links->new_rate[0];
    plan->link.bytes_per_s[from] = links->new_rate[1];
    plan->link.bytes_per_s[both] = links->both_rate;
}

static ps_code add_links(ps_plan *plan, uint32_t device, host_links *links, ps_error *err)
{
    PS_TRY(add_link(plan, device, "to device", links->new_rate[0], &links->link[0], err));
    PS_TRY(add_link(plan, device, "from device", links->new_rate[1], &links->link[1], err));
    return add_link(plan, device, "both ways", links->both_rate, &links->both_link, err);
}

static ps_code move_copies(ps_plan *plan, const host_links *links, ps_error *err)
{
    for (size_t i = 0; i < plan->task.head.count; i++) {
        const uint8_t kind = plan->task.copy_kind[i];
        const uint32_t device = plan->lane.device[plan->task.lane[i]];
        if (plan->task.kind[i] == PS_TASK_MEMCPY && device > 0 &&
            plan->task.rate_bytes_per_s[i] == 0 && (kind == PS_COPY_HTOD || kind == PS_COPY_DTOH)) {
            PS_TRY(move_copy(plan, i, &links[device - 1], err));
        }
    }
    return PS_OK;
}

ps_code ps__whatif_copies(ps_plan *plan, const ps_catalogue *catalogue, const ps_whatif *change,
                          const ps_hardware_id *target, ps_error *err)
{
    const size_t count = plan->device.head.count;
    host_links *links = ps_calloc(count, sizeof *links);
    if (links == NULL) {
        return ps_fail_nomem(err);
    }
    ps_code code = PS_OK;
    for (uint32_t device = 0; device < count && code == PS_OK; device++) {
        const uint32_t to = find_link(plan, device, "to device");
        code = fill_rates(plan, device, catalogue, change, target, &links[device], err);
        if (code == PS_OK && to != UINT32_MAX) {
            change_links(plan, device, &links[device], to, find_link(plan, device, "from device"),
                         find_link(plan, device, "both ways"));
        } else if (code == PS_OK) {
            code = add_links(plan, device, &links[device], err);
        }
    }
    if (code == PS_OK) {
        code = move_copies(plan, links, err);
    }
    if (code == PS_OK) { /* a plan may have transfers of later tasks already */
        code = ps_plan_sort_by_task(plan, PS_PLAN_TRANSFER, err);
    }
    ps_free(links);
    return code;
}
