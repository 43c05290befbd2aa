/* SPDX-License-Identifier: MIT
 *
 * The result as JSON. Keys are documented in docs/FORMAT.md; `schema` changes
 * when the meaning of one does. Integers are exact; unknown values are null.
 */
#include "result/result_json.h"

static void put_steps(ps_result_writer *w)
{
    ps__put_key(w, "steps");
    (void)yajl_gen_array_open(w->gen);
    for (size_t i = 0; i < w->result->step_count; i++) {
        const ps_result_step *step = &w->result->step[i];
        (void)yajl_gen_map_open(w->gen);
        ps__put_str(w, "name", step->name);
        ps__put_int(w, "time_ns", (uint64_t)step->time_ns);
        ps__put_known(w, "recorded_ns", (uint64_t)step->recorded_ns, step->recorded_ns > 0);
        (void)yajl_gen_map_close(w->gen);
    }
    (void)yajl_gen_array_close(w->gen);
}

static void put_breakdown(ps_result_writer *w, const ps_result_device *device)
{
    ps__put_key(w, "peak_breakdown");
    (void)yajl_gen_array_open(w->gen);
    for (size_t i = 0; i < device->group_count; i++) {
        const ps_result_group *group = &device->group[i];
        (void)yajl_gen_map_open(w->gen);
        ps__put_text(w, "role", group->is_rest ? "rest" : ps_role_name(group->role));
        ps__put_str(w, "label", group->label);
        ps__put_int(w, "bytes", group->bytes);
        ps__put_int(w, "buffers", group->buffer_count);
        ps__put_int(w, "largest_bytes", group->largest_bytes);
        (void)yajl_gen_map_close(w->gen);
    }
    (void)yajl_gen_array_close(w->gen);
}

/* What sizes were taken to grow with; null where nothing was scaled. */
static void put_growth(ps_result_writer *w, const ps_result_device *device)
{
    ps__put_key(w, "peak_growth");
    if (!device->is_scaled) {
        (void)yajl_gen_null(w->gen);
        return;
    }
    (void)yajl_gen_array_open(w->gen);
    for (int growth = PS_GROWTH_FIXED; growth < PS_GROWTH_COUNT; growth++) {
        if (device->growth_count[growth] == 0) {
            continue;
        }
        (void)yajl_gen_map_open(w->gen);
        ps__put_text(w, "growth", ps_growth_name((ps_growth)growth));
        ps__put_int(w, "bytes", device->growth_bytes[growth]);
        ps__put_int(w, "buffers", device->growth_count[growth]);
        (void)yajl_gen_map_close(w->gen);
    }
    (void)yajl_gen_array_close(w->gen);
}

static void put_oom(ps_result_writer *w, const ps_result_oom *oom)
{
    ps__put_key(w, "out_of_memory");
    if (!oom->happened) {
        (void)yajl_gen_null(w->gen);
        return;
    }
    (void)yajl_gen_map_open(w->gen);
    ps__put_int(w, "request", oom->memop);
    ps__put_int(w, "time_ns", (uint64_t)oom->time_ns);
    ps__put_str(w, "label", oom->label);
    ps__put_int(w, "requested_bytes", oom->requested_bytes);
    ps__put_int(w, "segment_bytes", oom->segment_bytes);
    ps__put_int(w, "limit_bytes", oom->limit_bytes);
    ps__put_int(w, "reserved_bytes", oom->reserved_bytes);
    ps__put_int(w, "allocated_bytes", oom->allocated_bytes);
    ps__put_int(w, "free_bytes", oom->free_bytes);
    ps__put_int(w, "largest_free_bytes", oom->largest_free_bytes);
    ps__put_int(w, "missing_bytes", oom->missing_bytes);
    ps__put_int(w, "fragmented_bytes", oom->fragmented_bytes);
    ps__put_int(w, "would_fit_bytes", oom->would_fit_bytes);
    (void)yajl_gen_map_close(w->gen);
}

void ps__put_time(ps_result_writer *w, const char *name, const ps_result_time *time)
{
    ps__put_key(w, name);
    (void)yajl_gen_map_open(w->gen);
    ps__put_int(w, "compute_ns", (uint64_t)time->compute_ns);
    ps__put_int(w, "collective_exposed_ns", (uint64_t)time->collective_ns);
    ps__put_int(w, "copy_exposed_ns", (uint64_t)time->copy_ns);
    ps__put_int(w, "waiting_for_host_ns", (uint64_t)time->host_ns);
    ps__put_int(w, "collective_ns", (uint64_t)time->all_collectives_ns);
    ps__put_known(w, "collective_wait_ns", (uint64_t)time->collective_wait_ns, time->has_exchanges);
    ps__put_known(w, "collective_transfer_ns", (uint64_t)time->collective_transfer_ns,
                  time->has_exchanges);
    ps__put_int(w, "copy_ns", (uint64_t)time->all_copies_ns);
    ps__put_int(w, "forward_ns", (uint64_t)time->phase_ns[PS_PHASE_FORWARD]);
    ps__put_int(w, "backward_ns", (uint64_t)time->phase_ns[PS_PHASE_BACKWARD]);
    ps__put_int(w, "optimizer_ns", (uint64_t)time->phase_ns[PS_PHASE_OPTIMIZER]);
    (void)yajl_gen_map_close(w->gen);
}

static void put_check(ps_result_writer *w, const char *name, const ps_result_check *check)
{
    ps__put_key(w, name);
    (void)yajl_gen_map_open(w->gen);
    ps__put_int(w, "compared", check->compared);
    ps__put_int(w, "equal", check->equal);
    (void)yajl_gen_map_close(w->gen);
}

static void put_chart(ps_result_writer *w, const char *name, const uint64_t *bins)
{
    ps__put_key(w, name);
    (void)yajl_gen_array_open(w->gen);
    for (size_t i = 0; i < PS_RESULT_CHART_BINS; i++) {
        (void)yajl_gen_integer(w->gen, (long long)bins[i]);
    }
    (void)yajl_gen_array_close(w->gen);
}

static void put_phases(ps_result_writer *w, const ps_result_device *device)
{
    static const char *const names[PS_PHASE_OPTIMIZER] = {"forward", "backward", "optimizer"};
    if (device->phase == NULL) {
        return;
    }
    ps__put_key(w, "phases");
    (void)yajl_gen_array_open(w->gen);
    for (size_t step = 0; step < w->result->step_count; step++) {
        for (size_t i = 0; i < PS_PHASE_OPTIMIZER; i++) {
            const ps_result_phase *phase = &device->phase[step][i];
            (void)yajl_gen_map_open(w->gen);
            ps__put_int(w, "step", step);
            ps__put_text(w, "phase", names[i]);
            ps__put_int(w, "time_ns", (uint64_t)phase->time_ns);
            ps__put_int(w, "begin_allocated_bytes", phase->begin_allocated_bytes);
            ps__put_int(w, "peak_allocated_bytes", phase->peak_allocated_bytes);
            ps__put_int(w, "peak_reserved_bytes", phase->peak_reserved_bytes);
            (void)yajl_gen_map_close(w->gen);
        }
    }
    (void)yajl_gen_array_close(w->gen);
}

/* What hosts waited for because requests did not fit, where times hold it. */
static void put_retries(ps_result_writer *w, const ps_result_device *device)
{
    if (!device->retries_are_modelled || device->retry_count == 0) {
        return;
    }
    ps__put_int(w, "retry_wait_ns", (uint64_t)device->retry_wait_ns);
    ps__put_key(w, "retries");
    (void)yajl_gen_array_open(w->gen);
    for (size_t step = 0; step < w->result->step_count; step++) {
        (void)yajl_gen_map_open(w->gen);
        ps__put_int(w, "step", step);
        ps__put_int(w, "count", device->retry[step].count);
        ps__put_int(w, "wait_ns", (uint64_t)device->retry[step].wait_ns);
        ps__put_int(w, "segments_freed", device->retry[step].segments_freed);
        ps__put_int(w, "segments_made_anew", device->retry[step].segments_made_anew);
        (void)yajl_gen_map_close(w->gen);
    }
    (void)yajl_gen_array_close(w->gen);
}

static void put_host(ps_result_writer *w, const ps_result_host *host)
{
    if (!host->is_used) {
        return;
    }
    ps__put_key(w, "host");
    (void)yajl_gen_map_open(w->gen);
    ps__put_int(w, "peak_bytes", host->peak_bytes);
    ps__put_int(w, "peak_pinned_bytes", host->peak_pinned_bytes);
    ps__put_int(w, "peak_pageable_bytes", host->peak_pageable_bytes);
    if (host->peak_storage_bytes > 0) {
        ps__put_int(w, "peak_storage_bytes", host->peak_storage_bytes);
    }
    (void)yajl_gen_map_close(w->gen);
}

static void put_nodes(ps_result_writer *w)
{
    if (w->result->node_count == 0) {
        return;
    }
    ps__put_key(w, "nodes");
    (void)yajl_gen_array_open(w->gen);
    for (size_t i = 0; i < w->result->node_count; i++) {
        const ps_result_node *node = &w->result->node[i];
        (void)yajl_gen_map_open(w->gen);
        ps__put_str(w, "name", node->name);
        ps__put_known(w, "capacity_bytes", node->capacity_bytes, node->capacity_bytes > 0);
        ps__put_int(w, "peak_bytes", node->peak_bytes);
        ps__put_bool(w, "fits", node->fits);
        (void)yajl_gen_map_close(w->gen);
    }
    (void)yajl_gen_array_close(w->gen);
}

static void put_device(ps_result_writer *w, const ps_result_device *device)
{
    (void)yajl_gen_map_open(w->gen);
    ps__put_int(w, "rank", device->rank);
    ps__put_int(w, "ordinal", device->ordinal);
    ps__put_int(w, "ranks", device->stands_for > 0 ? device->stands_for : 1);
    ps__put_str(w, "name", device->name);
    ps__put_str(w, "allocator", device->allocator);
    ps__put_int(w, "peak_allocated_bytes", device->peak_allocated_bytes);
    ps__put_int(w, "peak_reserved_bytes", device->peak_reserved_bytes);
    ps__put_int(w, "peak_device_bytes", device->peak_device_bytes);
    ps__put_int(w, "peak_active_bytes", device->peak_active_bytes);
    ps__put_int(w, "peak_requested_bytes", device->peak_requested_bytes);
    ps__put_int(w, "peak_live_bytes", device->peak_live_bytes);
    ps__put_int(w, "peak_time_ns", (uint64_t)device->peak_time_ns);
    ps__put_int(w, "base_bytes", device->base_bytes);
    ps__put_text(w, "base_basis", ps_basis_name(device->base_basis));
    ps__put_known(w, "capacity_bytes", device->capacity_bytes, device->capacity_bytes > 0);
    ps__put_known(w, "limit_bytes", device->limit_bytes, device->limit_bytes > 0);
    ps__put_bool(w, "fits", device->fits);
    ps__put_int(w, "needed_bytes", device->needed_bytes);
    put_oom(w, &device->oom);
    put_breakdown(w, device);
    put_growth(w, device);
    ps__put_time(w, "time", &device->time);
    if (w->result->steady.is_known) {
        ps__put_time(w, "steady_time", &device->steady);
    }
    put_phases(w, device);
    put_host(w, &device->host);
    ps__put_int(w, "requests", device->request_count);
    ps__put_int(w, "unmatched_frees", device->unmatched_free_count);
    ps__put_int(w, "cache_retries", device->retry_count);
    put_retries(w, device);
    put_check(w, "allocated_check", &device->allocated_check);
    put_check(w, "address_check", &device->address_check);
    ps__put_key(w, "chart");
    (void)yajl_gen_map_open(w->gen);
    put_chart(w, "allocated_bytes", device->chart_allocated);
    put_chart(w, "reserved_bytes", device->chart_reserved);
    (void)yajl_gen_map_close(w->gen);
    (void)yajl_gen_map_close(w->gen);
}

static void put_basis(ps_result_writer *w)
{
    ps_ns total = 0;
    for (int i = 0; i < PS_BASIS_COUNT; i++) {
        total += w->result->basis_ns[i];
    }
    ps__put_key(w, "cost_basis");
    (void)yajl_gen_map_open(w->gen);
    for (int i = 0; i < PS_BASIS_COUNT; i++) {
        /* shares in parts per million keep the document free of rounded decimals */
        const uint64_t share =
            total == 0 ? 0
                       : ps_mul_div_u64((uint64_t)w->result->basis_ns[i], 1000000, (uint64_t)total);
        ps__put_int(w, ps_basis_name((ps_basis)i), share);
    }
    (void)yajl_gen_map_close(w->gen);
}

static void put_facts(ps_result_writer *w)
{
    const ps_plan *plan = w->result->plan;
    ps__put_key(w, "plan");
    (void)yajl_gen_map_open(w->gen);
    for (size_t i = 0; i < plan->meta.head.count; i++) {
        ps__put_str(w, ps_strings_text(plan->strings, plan->meta.key[i]), plan->meta.value[i]);
    }
    (void)yajl_gen_map_close(w->gen);
    ps__put_key(w, "losses");
    (void)yajl_gen_array_open(w->gen);
    for (size_t i = 0; i < plan->loss.head.count; i++) {
        static const char *const severities[] = {"info", "loss", "error"};
        (void)yajl_gen_map_open(w->gen);
        ps__put_str(w, "name", plan->loss.name[i]);
        ps__put_text(w, "severity", severities[plan->loss.severity[i]]);
        ps__put_int(w, "count", plan->loss.count[i]);
        (void)yajl_gen_map_close(w->gen);
    }
    (void)yajl_gen_array_close(w->gen);
}

static void put_result(ps_result_writer *w)
{
    (void)yajl_gen_map_open(w->gen);
    ps__put_text(w, "schema", PS_RESULT_SCHEMA);
    ps__put_int(w, "step_time_ns", (uint64_t)w->result->step_time_ns);
    if (w->result->has_jitter) {
        ps__put_int(w, "step_time_median_ns", (uint64_t)w->result->step_time_median_ns);
        ps__put_int(w, "step_time_p95_ns", (uint64_t)w->result->step_time_p95_ns);
    }
    ps__put_int(w, "makespan_ns", (uint64_t)w->result->makespan_ns);
    if (w->result->is_unsettled) {
        ps__put_bool(w, "is_unsettled", true);
    }
    put_steps(w);
    ps__put_key(w, "devices");
    (void)yajl_gen_array_open(w->gen);
    for (size_t i = 0; i < w->result->device_count; i++) {
        put_device(w, &w->result->device[i]);
    }
    (void)yajl_gen_array_close(w->gen);
    put_nodes(w);
    ps__put_steady(w);
    put_basis(w);
    put_facts(w);
    (void)yajl_gen_map_close(w->gen);
}

ps_code ps_result_write_json(const ps_result *self, ps_text_fn out, void *ctx, ps_error *err)
{
    ps_result_writer w = {.gen = yajl_gen_alloc(NULL), .result = self};
    if (w.gen == NULL) {
        return ps_fail_nomem(err);
    }
    (void)yajl_gen_config(w.gen, yajl_gen_beautify, 1);
    (void)yajl_gen_config(w.gen, yajl_gen_indent_string, "  ");
    put_result(&w);
    const unsigned char *text;
    size_t bytes;
    (void)yajl_gen_get_buf(w.gen, &text, &bytes);
    const ps_code code = out(ctx, (const char *)text, bytes, err);
    yajl_gen_free(w.gen);
    return code;
}
