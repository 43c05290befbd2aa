/* SPDX-License-Identifier: MIT
 *
 * Another allocator, another starting cache, another amount of memory.
 *
 * What was recorded about placement (addresses the driver gave, the cache at
 * the origin) belongs to the recorded allocator under the recorded settings;
 * any change of those starts cold, with invented addresses.
 */
#include <string.h>

#include "alloc/allocator.h"
#include "base/memory.h"
#include "cost/beyond.h"
#include "policy/whatif_parts.h"
#include "run/run.h"

static ps_code set_text(ps_plan *plan, ps_str *cell, const char *text, ps_error *err)
{
    return ps_strings_put_z(plan->strings, text, cell, err);
}

/* Removes the rows of `table` for which `keep` says no; order is kept. */
static void filter_rows(const ps_table_spec *spec, ps_table_head *table,
                        bool (*keep)(const ps_plan *plan, size_t row), const ps_plan *plan)
{
    size_t kept = 0;
    for (size_t row = 0; row < table->count; row++) {
        if (!keep(plan, row)) {
            continue;
        }
        for (size_t c = 0; c < spec->column_count && kept != row; c++) {
            ps_table_set(&spec->columns[c], table, kept,
                         ps_table_get(&spec->columns[c], table, row));
        }
        kept++;
    }
    table->count = kept;
}

static bool is_not_placement(const ps_plan *plan, size_t row)
{
    const ps_memop op = (ps_memop)plan->memop.op[row];
    return op != PS_MEMOP_PLACE && op != PS_MEMOP_PLACE_PAGES;
}

/* Forgets where things were: live buffers stay and are placed anew at the origin. */
static void start_cold(ps_plan *plan, bool is_other_allocator)
{
    filter_rows(&ps_plan_specs()[PS_PLAN_MEMOP], &plan->memop.head, is_not_placement, plan);
    ps_table_clear(&plan->segment.head);
    ps_table_clear(&plan->block.head);
    for (size_t i = 0; i < plan->buffer.head.count; i++) {
        plan->buffer.addr[i] = 0;
    }
    for (size_t i = 0; i < plan->device.head.count; i++) {
        plan->device.private_pools_expand[i] = 0;
        /* the most that the recorded run was granted explains its retries, not another allocator's */
        if (is_other_allocator && plan->device.limit_basis[i] == PS_BASIS_GUESSED) {
            plan->device.limit_bytes[i] = 0;
        }
    }
}

static ps_code check_settings(const ps_plan *plan, uint32_t device, const ps_whatif *change,
                              ps_alloc_settings *out, ps_error *err)
{
    ps_alloc_settings_init(out);
    PS_TRY(ps_alloc_settings_parse(
        out, ps_strings_text(plan->strings, plan->device.allocator_conf[device]), err));
    for (size_t i = 0; i < change->allocator_option_count; i++) {
        PS_TRY(ps_alloc_settings_set(out, change->allocator_option[i], err));
    }
    return PS_OK;
}

/* The recorded settings with the changes behind them, as one text in PyTorch's own syntax. */
static ps_code join_settings(ps_plan *plan, uint32_t device, const ps_whatif *change, ps_error *err)
{
    const char *recorded = ps_strings_text(plan->strings, plan->device.allocator_conf[device]);
    size_t bytes = strlen(recorded) + 1;
    for (size_t i = 0; i < change->allocator_option_count; i++) {
        bytes += strlen(change->allocator_option[i]) + 1;
    }
    char *text = ps_calloc(bytes + 1, 1);
    if (text == NULL) {
        return ps_fail_nomem(err);
    }
    memcpy(text, recorded, strlen(recorded));
    for (size_t i = 0; i < change->allocator_option_count; i++) {
        if (text[0] != '\0') {
            text[strlen(text)] = ',';
        }
        char *pair = text + strlen(text);
        memcpy(pair, change->allocator_option[i], strlen(change->allocator_option[i]));
        char *equals = strchr(pair, '=');
        if (equals != NULL) {
            *equals = ':';
        }
    }
    const ps_code code = set_text(plan, &plan->device.allocator_conf[device], text, err);
    ps_free(text);
    return code;
}

/* The model the recorded settings call for, until the plan says otherwise. */
static ps_code name_recorded_allocator(ps_plan *plan, uint32_t device, ps_error *err)
{
    ps_alloc_settings settings;
    if (plan->device.allocator[device] != 0) {
        return PS_OK;
    }
    ps_alloc_settings_init(&settings);
    PS_TRY(ps_alloc_settings_parse(
        &settings, ps_strings_text(plan->strings, plan->device.allocator_conf[device]), err));
    return set_text(plan, &plan->device.allocator[device], ps_allocators_default_name(&settings),
                    err);
}

static ps_code change_allocator(ps_plan *plan, uint32_t device, const ps_whatif *change,
                                bool *changed, ps_error *err)
{
    ps_alloc_settings settings;
    const bool other_settings =
        change->allocator_conf != NULL || change->allocator_option_count > 0;
    PS_TRY(name_recorded_allocator(plan, device, err));
    if (change->allocator_conf != NULL) {
        PS_TRY(set_text(plan, &plan->device.allocator_conf[device], change->allocator_conf, err));
    }
    PS_TRY(check_settings(plan, device, change, &settings, err));
    const char *present = ps_strings_text(plan->strings, plan->device.allocator[device]);
    const char *name = change->allocator;
    if (name == NULL) {
        name = other_settings ? ps_allocators_default_name(&settings) : present;
    }
    if (ps_allocators_find(name) == NULL) {
        return ps_fail(err, PS_USAGE, "there is no allocator \"%s\": native, expandable, exact",
                       name);
    }
    *changed = *changed || other_settings || strcmp(present, name) != 0;
    PS_TRY(set_text(plan, &plan->device.allocator[device], name, err));
    return change->allocator_option_count > 0 ? join_settings(plan, device, change, err) : PS_OK;
}

/* What was recorded of the base stays, but for a group of ranks that was not there. */
static ps_code change_base(ps_plan *plan, uint32_t device, const ps_catalogue *catalogue,
                           ps_hardware_id gpu, const ps_beyond_setup *setup, ps_error *err)
{
    ps_beyond beyond;
    PS_TRY(ps_beyond_memory(catalogue, gpu, setup, &beyond, err));
    if (plan->device.base_bytes[device] != 0 && setup->software == NULL) {
        plan->device.base_bytes[device] += beyond.collective_bytes;
        plan->device.base_basis[device] = PS_BASIS_ANALYTIC;
        return PS_OK;
    }
    plan->device.base_bytes[device] = ps_beyond_outside(&beyond);
    plan->device.base_basis[device] = (uint8_t)beyond.basis;
    return PS_OK;
}

/* Capacity and what lies outside the allocator: given, of the other GPU, recorded, or of the catalogue. */
static ps_code change_capacity(ps_plan *plan, uint32_t device, const ps_catalogue *catalogue,
                               const ps_whatif *change, const ps_hardware_id *target, ps_error *err)
{
    ps_hardware_id gpu;
    ps_figure figure;
    const bool is_known =
        target != NULL || ps__whatif_recorded_gpu(plan, device, catalogue, &gpu, NULL) == PS_OK;
    if (target != NULL) {
        gpu = *target;
    }
    const bool has_group = change->data_parallel != NULL && change->data_parallel->ranks > 1;
    if (is_known &&
        (plan->device.base_bytes[device] == 0 || change->software != NULL || has_group)) {
        const ps_beyond_setup setup = {.software = change->software,
                                       .groups = has_group,
                                       .group_ranks = has_group ? change->data_parallel->ranks : 0};
        PS_TRY(change_base(plan, device, catalogue, gpu, &setup, err));
    }
    if (change->has_base) {
        plan->device.base_bytes[device] = change->base_bytes;
        plan->device.base_basis[device] = PS_BASIS_MEASURED;
    }
    if (is_known && (target != NULL || plan->device.capacity_bytes[device] == 0) &&
        ps_catalogue_get(catalogue, gpu, PS_FIGURE_MEMORY, &figure)) {
        plan->device.capacity_bytes[device] = figure.value;
    }
    if (change->memory_bytes != 0) {
        plan->device.capacity_bytes[device] = change->memory_bytes;
    }
    const uint64_t capacity = plan->device.capacity_bytes[device];
    const uint64_t base = plan->device.base_bytes[device];
    if (target != NULL || change->memory_bytes != 0 || change->has_base) {
        if (capacity > 0 && capacity <= base) {
            return ps_fail(err, PS_USAGE,
                           "the device has %llu bytes, of which %llu are taken before the "
                           "allocator starts",
                           (unsigned long long)capacity, (unsigned long long)base);
        }
        plan->device.limit_bytes[device] = capacity == 0 ? 0 : capacity - base;
        plan->device.limit_basis[device] = plan->device.base_basis[device] == PS_BASIS_GUESSED
                                               ? PS_BASIS_ANALYTIC
                                               : PS_BASIS_MEASURED;
    }
    return PS_OK;
}

static bool is_cache_state(const char *name)
{
    return strcmp(name, "recovered") == 0 || strcmp(name, "empty") == 0 ||
           strcmp(name, "steady") == 0;
}

/* The recorded cache is larger than what the device would now grant: it could not have come about. */
static bool is_cache_too_large(const ps_plan *plan)
{
    for (uint32_t device = 0; device < plan->device.head.count; device++) {
        uint64_t held = 0;
        for (size_t i = 0; i < plan->segment.head.count; i++) {
            held += plan->segment.device[i] == device ? plan->segment.bytes[i] : 0;
        }
        if (plan->device.limit_bytes[device] != 0 && held > plan->device.limit_bytes[device]) {
            return true;
        }
    }
    return false;
}

static ps_code change_cache(ps_plan *plan, const ps_whatif *change, bool is_other_allocator,
                            ps_error *err)
{
    const char *cache = change->cache;
    if (cache != NULL && !is_cache_state(cache)) {
        return ps_fail(err, PS_USAGE, "there is no cache state \"%s\": recovered, empty, steady",
                       cache);
    }
    if (cache != NULL && strcmp(cache, "recovered") == 0 &&
        (is_other_allocator || plan->segment.head.count == 0)) {
        return ps_fail(err, PS_USAGE,
                       is_other_allocator ? "the recorded cache belongs to the recorded allocator "
                                            "and settings: use --cache empty or steady"
                                          : "the recording holds no final segments to recover a "
                                            "cache from: use --cache empty or steady");
    }
    if (is_other_allocator || is_cache_too_large(plan) ||
        (cache != NULL && strcmp(cache, "recovered") != 0)) {
        start_cold(plan, is_other_allocator);
    }
    if (cache == NULL && ps_plan_meta(plan, PS_PLAN_META_CACHE) != NULL && !is_other_allocator) {
        return PS_OK;
    }
    if (cache == NULL) {
        cache = plan->segment.head.count > 0 ? "recovered" : "empty";
    }
    return ps_plan_set_meta(plan, PS_PLAN_META_CACHE, cache, err);
}

ps_code ps__whatif_memory(ps_plan *plan, const ps_catalogue *catalogue, const ps_whatif *change,
                          const ps_hardware_id *target, bool is_scaled, ps_error *err)
{
    /* what was recorded of places and of the cache belongs to the recorded sizes too */
    bool is_other_allocator = is_scaled;
    const bool was_warm = plan->segment.head.count > 0;
    for (uint32_t device = 0; device < plan->device.head.count; device++) {
        PS_TRY(change_allocator(plan, device, change, &is_other_allocator, err));
        PS_TRY(change_capacity(plan, device, catalogue, change, target, err));
    }
    PS_TRY(change_cache(plan, change, is_other_allocator, err));
    /* a run that began with a warm cache would have one of the new sizes */
    return is_scaled && was_warm && change->cache == NULL
               ? ps_plan_set_meta(plan, PS_PLAN_META_CACHE, "steady", err)
               : PS_OK;
}
