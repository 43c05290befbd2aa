/* SPDX-License-Identifier: MIT
 *
 * What a result says of one device's memory: requests in program order against
 * the model the plan names. Order comes from the rows, moments from the simulated
 * tasks: a faster or slower device changes when, not in which order, a program asks.
 *
 * When a request does not fit, everything up to it has been counted and the
 * rest is run again with endless memory, so that the result can say both
 * where it fails and what it would have needed.
 */
#include <string.h>

#include "base/memory.h"
#include "run/memory_walk.h"

static void copy_stats(const ps_memory_walk *walk, ps_result_device *out)
{
    const ps_alloc_stats *stats = ps_allocator_stats(walk->model);
    out->peak_reserved_bytes = stats->reserved_bytes.peak;
    out->peak_active_bytes = stats->active_bytes.peak;
    out->peak_requested_bytes = stats->requested_bytes.peak;
    out->peak_device_bytes = out->peak_reserved_bytes + out->base_bytes;
    out->retry_count = stats->retry_count - walk->earlier_retries;
}

static void note_phase(const ps_memory_walk *walk, ps_result_device *out)
{
    if (walk->has_peak && walk->peak_memop != SIZE_MAX) {
        out->peak_phase =
            (ps_phase)walk->plan->task.phase[walk->plan->memop.task[walk->peak_memop]];
    }
}

static void copy_facts(const ps_plan *plan, uint32_t device, ps_result_device *out)
{
    const ps_plan_device_table *table = &plan->device;
    out->rank = table->rank[device];
    out->ordinal = table->ordinal[device];
    out->stands_for = table->stands_for[device];
    out->name = table->name[device];
    out->allocator = table->allocator[device];
    out->base_bytes = table->base_bytes[device];
    out->base_basis = (ps_basis)table->base_basis[device];
    out->capacity_bytes = table->capacity_bytes[device];
    out->limit_bytes = table->limit_bytes[device];
}

/* The same requests with endless memory: only the need counts. */
static ps_code find_need(const ps_plan *plan, const ps_run_times *times, uint32_t device,
                         ps_result_device *out, ps_error *err)
{
    ps_result_device scratch = {0};
    ps_memory_walk walk;
    ps_code code = ps__memory_walk_open(&walk, plan, times, device, false, &scratch, err);
    if (code == PS_OK) {
        code = ps__memory_walk_run(&walk, err);
    }
    if (code == PS_OK) {
        out->needed_bytes = ps_allocator_stats(walk.model)->reserved_bytes.peak + out->base_bytes;
    }
    ps__memory_walk_close(&walk);
    return code;
}

/* PyTorch's allocator without a setting has all it asks for where memory is endless. */
static bool never_waits(const ps_plan *plan, uint32_t device)
{
    const ps_plan_device_table *table = &plan->device;
    const char *name = ps_strings_text(plan->strings, table->allocator[device]);
    return table->limit_bytes[device] == 0 && table->allocator_conf[device] == 0 &&
           (name[0] == '\0' || strcmp(name, "native") == 0);
}

ps_code ps__run_memory_waits(const ps_plan *plan, const ps_run_times *times, uint32_t device,
                             ps_run_waits *found, ps_error *err)
{
    ps_result_device scratch = {0};
    ps_memory_walk walk;
    if (never_waits(plan, device)) {
        return PS_OK;
    }
    ps_code code = ps__memory_walk_open(&walk, plan, times, device, true, &scratch, err);
    if (code == PS_OK) {
        walk.retry.found = found;
        code = ps__memory_walk_ask(&walk, err);
    }
    ps__memory_walk_close(&walk);
    return code == PS_DEVICE_FULL ? PS_OK : code;
}

static ps_code make_retries(const ps_plan *plan, ps_result_device *out, ps_error *err)
{
    out->retry = ps_calloc(plan->step.head.count, sizeof *out->retry);
    return out->retry == NULL ? ps_fail_nomem(err) : PS_OK;
}

ps_code ps__run_memory(const ps_plan *plan, const ps_run_times *times, uint32_t device,
                       ps_result_device *out, ps_error *err)
{
    ps_memory_walk walk;
    copy_facts(plan, device, out);
    PS_TRY(ps__run_phases(plan, times, device, out, err));
    PS_TRY(make_retries(plan, out, err));
    ps_code code = ps__memory_walk_open(&walk, plan, times, device, true, out, err);
    if (code == PS_OK) {
        code = ps__memory_walk_run(&walk, err);
    } else if (code == PS_DEVICE_FULL && !walk.has_peak) {
        ps__memory_level_note(&walk, SIZE_MAX); /* not even the start fits: what there is of it */
    }
    if (code == PS_OK || code == PS_DEVICE_FULL) {
        copy_stats(&walk, out);
        note_phase(&walk, out);
        out->retries_are_modelled = walk.retry.is_modelled;
        code = ps__run_breakdown(&walk, err);
    }
    ps__memory_walk_close(&walk);
    PS_TRY(code);
    out->fits = !out->oom.happened && (out->capacity_bytes == 0 || out->limit_bytes == 0 ||
                                       out->peak_device_bytes <= out->capacity_bytes);
    out->needed_bytes = out->peak_device_bytes;
    ps__run_host_memory(plan, device, &out->host);
    return out->oom.happened ? find_need(plan, times, device, out, err) : PS_OK;
}
