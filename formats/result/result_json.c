/* SPDX-License-Identifier: MIT
 *
 * The result as JSON. Keys are documented in docs/FORMAT.md; `schema` changes
 * when the meaning of one does. Integers are exact; unknown values are null.
 */
#include <string.h>

#include <yajl/yajl_gen.h>

#include "result/result.h"

typedef struct writer {
    yajl_gen gen;
    const ps_result *result;
} writer;

static void key(writer *w, const char *name)
{
    (void)yajl_gen_string(w->gen, (const unsigned char *)name, strlen(name));
}

static void put_text(writer *w, const char *name, const char *text)
{
    key(w, name);
    if (text == NULL || text[0] == '\0') {
        (void)yajl_gen_null(w->gen);
    } else {
        (void)yajl_gen_string(w->gen, (const unsigned char *)text, strlen(text));
    }
}

static void put_str(writer *w, const char *name, ps_str id)
{
    put_text(w, name, ps_strings_text(w->result->plan->strings, id));
}

/* yajl's integers are signed 64-bit; sizes above that do not exist, but must not turn negative. */
static void put_int(writer *w, const char *name, uint64_t value)
{
    key(w, name);
    (void)yajl_gen_integer(w->gen, value > INT64_MAX ? INT64_MAX : (long long)value);
}

static void put_known(writer *w, const char *name, uint64_t value, bool is_known)
{
    if (is_known) {
        put_int(w, name, value);
    } else {
        key(w, name);
        (void)yajl_gen_null(w->gen);
    }
}

static void put_bool(writer *w, const char *name, bool value)
{
    key(w, name);
    (void)yajl_gen_bool(w->gen, value);
}

static void put_steps(writer *w)
{
    key(w, "steps");
    (void)yajl_gen_array_open(w->gen);
    for (size_t i = 0; i < w->result->step_count; i++) {
        const ps_result_step *step = &w->result->step[i];
        (void)yajl_gen_map_open(w->gen);
        put_str(w, "name", step->name);
        put_int(w, "time_ns", (uint64_t)step->time_ns);
        put_known(w, "recorded_ns", (uint64_t)step->recorded_ns, step->recorded_ns > 0);
        (void)yajl_gen_map_close(w->gen);
    }
    (void)yajl_gen_array_close(w->gen);
}

static void put_breakdown(writer *w, const ps_result_device *device)
{
    key(w, "peak_breakdown");
    (void)yajl_gen_array_open(w->gen);
    for (size_t i = 0; i < device->group_count; i++) {
        const ps_result_group *group = &device->group[i];
        (void)yajl_gen_map_open(w->gen);
        put_text(w, "role", group->is_rest ? "rest" : ps_role_name(group->role));
        put_str(w, "label", group->label);
        put_int(w, "bytes", group->bytes);
        put_int(w, "buffers", group->buffer_count);
        put_int(w, "largest_bytes", group->largest_bytes);
        (void)yajl_gen_map_close(w->gen);
    }
    (void)yajl_gen_array_close(w->gen);
}

/* What sizes were taken to grow with; null where nothing was scaled. */
static void put_growth(writer *w, const ps_result_device *device)
{
    key(w, "peak_growth");
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
        put_text(w, "growth", ps_growth_name((ps_growth)growth));
        put_int(w, "bytes", device->growth_bytes[growth]);
        put_int(w, "buffers", device->growth_count[growth]);
        (void)yajl_gen_map_close(w->gen);
    }
    (void)yajl_gen_array_close(w->gen);
}

static void put_oom(writer *w, const ps_result_oom *oom)
{
    key(w, "out_of_memory");
    if (!oom->happened) {
        (void)yajl_gen_null(w->gen);
        return;
    }
    (void)yajl_gen_map_open(w->gen);
    put_int(w, "request", oom->memop);
    put_int(w, "time_ns", (uint64_t)oom->time_ns);
    put_str(w, "label", oom->label);
    put_int(w, "requested_bytes", oom->requested_bytes);
    put_int(w, "segment_bytes", oom->segment_bytes);
    put_int(w, "limit_bytes", oom->limit_bytes);
    put_int(w, "reserved_bytes", oom->reserved_bytes);
    put_int(w, "allocated_bytes", oom->allocated_bytes);
    put_int(w, "free_bytes", oom->free_bytes);
    put_int(w, "largest_free_bytes", oom->largest_free_bytes);
    put_int(w, "missing_bytes", oom->missing_bytes);
    put_int(w, "fragmented_bytes", oom->fragmented_bytes);
    put_int(w, "would_fit_bytes", oom->would_fit_bytes);
    (void)yajl_gen_map_close(w->gen);
}

static void put_time(writer *w, const ps_result_time *time)
{
    key(w, "time");
    (void)yajl_gen_map_open(w->gen);
    put_int(w, "compute_ns", (uint64_t)time->compute_ns);
    put_int(w, "collective_exposed_ns", (uint64_t)time->collective_ns);
    put_int(w, "copy_exposed_ns", (uint64_t)time->copy_ns);
    put_int(w, "waiting_for_host_ns", (uint64_t)time->host_ns);
    put_int(w, "collective_ns", (uint64_t)time->all_collectives_ns);
    put_known(w, "collective_wait_ns", (uint64_t)time->collective_wait_ns, time->has_exchanges);
    put_known(w, "collective_transfer_ns", (uint64_t)time->collective_transfer_ns,
              time->has_exchanges);
    put_int(w, "copy_ns", (uint64_t)time->all_copies_ns);
    put_int(w, "forward_ns", (uint64_t)time->phase_ns[PS_PHASE_FORWARD]);
    put_int(w, "backward_ns", (uint64_t)time->phase_ns[PS_PHASE_BACKWARD]);
    put_int(w, "optimizer_ns", (uint64_t)time->phase_ns[PS_PHASE_OPTIMIZER]);
    (void)yajl_gen_map_close(w->gen);
}

static void put_check(writer *w, const char *name, const ps_result_check *check)
{
    key(w, name);
    (void)yajl_gen_map_open(w->gen);
    put_int(w, "compared", check->compared);
    put_int(w, "equal", check->equal);
    (void)yajl_gen_map_close(w->gen);
}

static void put_chart(writer *w, const char *name, const uint64_t *bins)
{
    key(w, name);
    (void)yajl_gen_array_open(w->gen);
    for (size_t i = 0; i < PS_RESULT_CHART_BINS; i++) {
        (void)yajl_gen_integer(w->gen, (long long)bins[i]);
    }
    (void)yajl_gen_array_close(w->gen);
}

static void put_phases(writer *w, const ps_result_device *device)
{
    static const char *const names[PS_PHASE_OPTIMIZER] = {"forward", "backward", "optimizer"};
    if (device->phase == NULL) {
        return;
    }
    key(w, "phases");
    (void)yajl_gen_array_open(w->gen);
    for (size_t step = 0; step < w->result->step_count; step++) {
        for (size_t i = 0; i < PS_PHASE_OPTIMIZER; i++) {
            const ps_result_phase *phase = &device->phase[step][i];
            (void)yajl_gen_map_open(w->gen);
            put_int(w, "step", step);
            put_text(w, "phase", names[i]);
            put_int(w, "time_ns", (uint64_t)phase->time_ns);
            put_int(w, "begin_allocated_bytes", phase->begin_allocated_bytes);
            put_int(w, "peak_allocated_bytes", phase->peak_allocated_bytes);
            put_int(w, "peak_reserved_bytes", phase->peak_reserved_bytes);
            (void)yajl_gen_map_close(w->gen);
        }
    }
    (void)yajl_gen_array_close(w->gen);
}

static void put_host(writer *w, const ps_result_host *host)
{
    if (!host->is_used) {
        return;
    }
    key(w, "host");
    (void)yajl_gen_map_open(w->gen);
    put_int(w, "peak_bytes", host->peak_bytes);
    put_int(w, "peak_pinned_bytes", host->peak_pinned_bytes);
    put_int(w, "peak_pageable_bytes", host->peak_pageable_bytes);
    (void)yajl_gen_map_close(w->gen);
}

static void put_nodes(writer *w)
{
    if (w->result->node_count == 0) {
        return;
    }
    key(w, "nodes");
    (void)yajl_gen_array_open(w->gen);
    for (size_t i = 0; i < w->result->node_count; i++) {
        const ps_result_node *node = &w->result->node[i];
        (void)yajl_gen_map_open(w->gen);
        put_str(w, "name", node->name);
        put_known(w, "capacity_bytes", node->capacity_bytes, node->capacity_bytes > 0);
        put_int(w, "peak_bytes", node->peak_bytes);
        put_bool(w, "fits", node->fits);
        (void)yajl_gen_map_close(w->gen);
    }
    (void)yajl_gen_array_close(w->gen);
}

static void put_device(writer *w, const ps_result_device *device)
{
    (void)yajl_gen_map_open(w->gen);
    put_int(w, "rank", device->rank);
    put_int(w, "ordinal", device->ordinal);
    put_int(w, "ranks", device->stands_for > 0 ? device->stands_for : 1);
    put_str(w, "name", device->name);
    put_str(w, "allocator", device->allocator);
    put_int(w, "peak_allocated_bytes", device->peak_allocated_bytes);
    put_int(w, "peak_reserved_bytes", device->peak_reserved_bytes);
    put_int(w, "peak_device_bytes", device->peak_device_bytes);
    put_int(w, "peak_active_bytes", device->peak_active_bytes);
    put_int(w, "peak_requested_bytes", device->peak_requested_bytes);
    put_int(w, "peak_live_bytes", device->peak_live_bytes);
    put_int(w, "peak_time_ns", (uint64_t)device->peak_time_ns);
    put_int(w, "base_bytes", device->base_bytes);
    put_text(w, "base_basis", ps_basis_name(device->base_basis));
    put_known(w, "capacity_bytes", device->capacity_bytes, device->capacity_bytes > 0);
    put_known(w, "limit_bytes", device->limit_bytes, device->limit_bytes > 0);
    put_bool(w, "fits", device->fits);
    put_int(w, "needed_bytes", device->needed_bytes);
    put_oom(w, &device->oom);
    put_breakdown(w, device);
    put_growth(w, device);
    put_time(w, &device->time);
    put_phases(w, device);
    put_host(w, &device->host);
    put_int(w, "requests", device->request_count);
    put_int(w, "unmatched_frees", device->unmatched_free_count);
    put_int(w, "cache_retries", device->retry_count);
    put_check(w, "allocated_check", &device->allocated_check);
    put_check(w, "address_check", &device->address_check);
    key(w, "chart");
    (void)yajl_gen_map_open(w->gen);
    put_chart(w, "allocated_bytes", device->chart_allocated);
    put_chart(w, "reserved_bytes", device->chart_reserved);
    (void)yajl_gen_map_close(w->gen);
    (void)yajl_gen_map_close(w->gen);
}

static void put_basis(writer *w)
{
    ps_ns total = 0;
    for (int i = 0; i < PS_BASIS_COUNT; i++) {
        total += w->result->basis_ns[i];
    }
    key(w, "cost_basis");
    (void)yajl_gen_map_open(w->gen);
    for (int i = 0; i < PS_BASIS_COUNT; i++) {
        /* shares in parts per million keep the document free of rounded decimals */
        const uint64_t share =
            total == 0 ? 0
                       : ps_mul_div_u64((uint64_t)w->result->basis_ns[i], 1000000, (uint64_t)total);
        put_int(w, ps_basis_name((ps_basis)i), share);
    }
    (void)yajl_gen_map_close(w->gen);
}

static void put_facts(writer *w)
{
    const ps_plan *plan = w->result->plan;
    key(w, "plan");
    (void)yajl_gen_map_open(w->gen);
    for (size_t i = 0; i < plan->meta.head.count; i++) {
        put_str(w, ps_strings_text(plan->strings, plan->meta.key[i]), plan->meta.value[i]);
    }
    (void)yajl_gen_map_close(w->gen);
    key(w, "losses");
    (void)yajl_gen_array_open(w->gen);
    for (size_t i = 0; i < plan->loss.head.count; i++) {
        static const char *const severities[] = {"info", "loss", "error"};
        (void)yajl_gen_map_open(w->gen);
        put_str(w, "name", plan->loss.name[i]);
        put_text(w, "severity", severities[plan->loss.severity[i]]);
        put_int(w, "count", plan->loss.count[i]);
        (void)yajl_gen_map_close(w->gen);
    }
    (void)yajl_gen_array_close(w->gen);
}

static void put_result(writer *w)
{
    (void)yajl_gen_map_open(w->gen);
    put_text(w, "schema", PS_RESULT_SCHEMA);
    put_int(w, "step_time_ns", (uint64_t)w->result->step_time_ns);
    if (w->result->has_jitter) {
        put_int(w, "step_time_median_ns", (uint64_t)w->result->step_time_median_ns);
        put_int(w, "step_time_p95_ns", (uint64_t)w->result->step_time_p95_ns);
    }
    put_int(w, "makespan_ns", (uint64_t)w->result->makespan_ns);
    put_steps(w);
    key(w, "devices");
    (void)yajl_gen_array_open(w->gen);
    for (size_t i = 0; i < w->result->device_count; i++) {
        put_device(w, &w->result->device[i]);
    }
    (void)yajl_gen_array_close(w->gen);
    put_nodes(w);
    put_basis(w);
    put_facts(w);
    (void)yajl_gen_map_close(w->gen);
}

ps_code ps_result_write_json(const ps_result *self, ps_text_fn out, void *ctx, ps_error *err)
{
    writer w = {.gen = yajl_gen_alloc(NULL), .result = self};
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
