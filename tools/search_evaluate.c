/* SPDX-License-Identifier: MIT
 *
 * One trial: built, lowered and run as `peakstep simulate` does it, with
 * endless memory, so that what does not fit says what it would need.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "model_case.h"
#include "policy/host_links.h"
#include "policy/whatif.h"
#include "run/run.h"
#include "scheme_options.h"
#include "search_case.h"

/* A quick answer: the second step is the first one like all others. */
#define QUICK_STEPS 2
/* Micro-batches from which on each adds the same time: the first alone differs, or what fills a
 * pipeline; with the optimizer on the host, the last as well. */
#define QUICK_MICRO_BATCHES 2
#define QUICK_MICRO_BATCHES_PLACED 3

/* Micro-batches that are simulated one by one; a step of more is told from few. */
#define MOST_MICRO_BATCHES 256

/* ---- building ---- */

static void set_training(const ps_search_method *method, ps_recipe *r)
{
    const char *optimizer = ps_search_training_optimizer(method->training);
    if (optimizer != NULL) {
        r->optimizer = optimizer;
        return;
    }
    if (method->training == PS_SEARCH_AS_ASKED) {
        return;
    }
    r->lora_rank = r->lora_rank > 0 ? r->lora_rank : PS_SEARCH_LORA_RANK;
    r->quantize = method->training == PS_SEARCH_QLORA ? PS_QUANTIZE_NF4 : r->quantize;
}

/* In the words that the command has. */
static ps_code set_placement(const ps_search_method *method, ps_recipe *r, ps_error *err)
{
    const char *setting;
    for (size_t i = 0; (setting = ps_search_placement_setting(method->placement, i)) != NULL; i++) {
        PS_TRY(ps_scheme_option_set(setting, r, err));
    }
    if (method->placement == PS_SEARCH_FROZEN_ON_HOST) {
        r->streaming.parameters = true;
    }
    if (method->streams_activations) {
        r->streaming.activations = PS_ACTIVATION_OFFLOAD_STREAMED;
    }
    return PS_OK;
}

static ps_code build_eager(const ps_search_case *self, const ps_search_point *point, int64_t steps,
                           ps_ranks *out, ps_error *err)
{
    const ps_search_method *method = &point->method;
    ps_recipe r = self->recipe.recipe;
    r.batch = point->micro_batch;
    r.accumulate = point->accumulate;
    r.steps = steps;
    if (!ps_args_has(self->args, "mask")) {
        r.pads = r.batch > 1;
    }
    if (method->recomputes) {
        r.checkpoint_every = 1;
        r.has_no_cache = true;
    }
    set_training(method, &r);
    r.policy = method->policy;
    r.parallel.scheme = method->scheme;
    r.parallel.tensor_ranks = method->tensor;
    r.parallel.syncs_always = r.parallel.syncs_always || method->syncs_always;
    PS_TRY(set_placement(method, &r, err));
    return ps_model_case_build_recipe(self->config, &r, &self->machine, out, err);
}

static ps_code build_megatron(const ps_search_case *self, const ps_search_point *point,
                              int64_t steps, ps_ranks *out, ps_error *err)
{
    ps_megatron_recipe r = self->megatron;
    if (!self->has_megatron) {
        return ps_fail(err, PS_USAGE, "%s", self->no_megatron);
    }
    r.micro_batch = point->micro_batch;
    r.micro_batches = point->accumulate;
    r.steps = steps;
    r.tensor = point->method.tensor;
    r.pipeline = point->method.pipeline;
    r.recomputes = r.recomputes || point->method.recomputes;
    return ps_megatron_case_build_recipe(ps_model_config_name(self->config), &self->shape, &r,
                                         &self->machine, out, err);
}

static ps_code change(const ps_search_case *self, const ps_search_point *point, ps_plan *plan,
                      ps_error *err)
{
    const ps_args *args = self->args;
    const ps_whatif what = {
        .host_capacity_bytes =
            self->host_bytes > 0 ? self->host_bytes : ps_args_quantity(args, "host-capacity"),
        .memory_bytes = ps_args_quantity(args, "memory"),
        .base_bytes = ps_args_quantity(args, "base"),
        .has_base = ps_args_has(args, "base"),
        .allocator = ps_args_text(args, "allocator"),
        .allocator_conf = ps_args_text(args, "allocator-conf"),
    };
    PS_TRY(ps_whatif_apply(plan, self->catalogue, &what, err));
    if (ps_args_has(args, "host-memory") && ps_host_links_has_memory(plan)) {
        PS_TRY(ps_host_links_set_memory(plan, ps_args_quantity(args, "host-memory"), err));
    }
    for (size_t i = 0; i < plan->device.head.count && !point->empties_caches; i++) {
        plan->device.limit_bytes[i] = 0; /* none */
    }
    return PS_OK;
}

static ps_code make_plan(const ps_search_case *self, const ps_search_point *point, int64_t steps,
                         ps_plan **out, ps_error *err)
{
    ps_ranks ranks;
    PS_TRY(point->method.kind == PS_SEARCH_MEGATRON
               ? build_megatron(self, point, steps, &ranks, err)
               : build_eager(self, point, steps, &ranks, err));
    ps_code code =
        ps_model_case_lower(&ranks, self->args, self->catalogue, &self->machine, out, err);
    ps_ranks_fini(&ranks);
    PS_TRY(code);
    code = change(self, point, *out, err);
    if (code != PS_OK) {
        ps_plan_destroy(*out);
    }
    return code;
}

/* ---- what a result says ---- */

static void append(char text[PS_SEARCH_WHY_BYTES], const char *more)
{
    const size_t used = strlen(text);
    (void)snprintf(text + used, PS_SEARCH_WHY_BYTES - used, "%s", more);
}

/* Roles at the peak, the largest first; shares of less than a twentieth are left out. */
static void describe_roles(const ps_result_device *device, char text[PS_SEARCH_WHY_BYTES])
{
    uint64_t bytes[PS_ROLE_COUNT] = {0}, all = 1;
    for (size_t i = 0; i < device->group_count; i++) {
        bytes[device->group[i].role] += device->group[i].bytes;
        all += device->group[i].bytes;
    }
    for (bool is_first = true;; is_first = false) {
        char part[PS_QUANTITY_TEXT_BYTES + 64], size[PS_QUANTITY_TEXT_BYTES];
        size_t largest = 0;
        for (size_t role = 1; role < PS_ROLE_COUNT; role++) {
            largest = bytes[role] > bytes[largest] ? role : largest;
        }
        if (bytes[largest] < all / 20) {
            return;
        }
        (void)snprintf(part, sizeof part, "%s%s of %s", is_first ? "" : ", ",
                       ps_quantity_format(PS_UNIT_SIZE, bytes[largest], size),
                       ps_role_name((ps_role)largest));
        append(text, part);
        bytes[largest] = 0;
    }
}

static void describe_peak(const ps_result_device *device, char text[PS_SEARCH_WHY_BYTES])
{
    static const char *const moments[] = {"loading", "forward", "backward", "the optimizer's step"};
    text[0] = '\0';
    append(text, "in ");
    append(text, moments[device->peak_phase]);
    append(text, ": ");
    describe_roles(device, text);
}

/* The node that is fullest for what it has; those of unknown size come last. */
static const ps_result_node *fullest_node(const ps_result *result)
{
    const ps_result_node *fullest = NULL;
    for (size_t i = 0; i < result->node_count; i++) {
        const ps_result_node *node = &result->node[i];
        const bool is_fuller =
            fullest == NULL || (!node->fits && fullest->fits) ||
            (node->fits == fullest->fits && node->peak_bytes > fullest->peak_bytes);
        fullest = is_fuller ? node : fullest;
    }
    return fullest;
}

static bool fits_all(const ps_result *result)
{
    for (size_t i = 0; i < result->device_count; i++) {
        if (!result->device[i].fits) {
            return false;
        }
    }
    return true;
}

static void read_result(const ps_search_case *self, const ps_search_point *point,
                        const ps_result *result, ps_search_outcome *out)
{
    const ps_result_device *fullest = &result->device[0];
    for (size_t i = 1; i < result->device_count; i++) {
        if (result->device[i].peak_device_bytes > fullest->peak_device_bytes) {
            fullest = &result->device[i];
        }
    }
    const uint64_t capacity = fullest->capacity_bytes;
    const uint64_t beyond = fullest->peak_device_bytes - fullest->peak_reserved_bytes;
    *out = (ps_search_outcome){
        .peak_bytes = fullest->peak_device_bytes,
        .live_bytes = fullest->peak_allocated_bytes + beyond,
        .capacity_bytes = capacity,
        .limit_bytes = capacity - ps_mul_div_u64(capacity, self->margin, PS_RATIO_ONE),
        .step_ns = result->step_time_ns,
    };
    const ps_result_node *node = fullest_node(result);
    if (node != NULL) {
        out->host_bytes = node->peak_bytes;
        out->host_capacity_bytes = node->capacity_bytes;
    }
    const bool fits = point->empties_caches
                          ? fits_all(result) && out->live_bytes <= out->limit_bytes
                          : out->peak_bytes <= out->limit_bytes;
    out->verdict = fits && !ps_search_lacks_host(out) ? PS_SEARCH_FITS : PS_SEARCH_TOO_LARGE;
    describe_peak(fullest, out->why);
}

/* ---- one trial ---- */

static uint64_t tokens_of(const ps_search_case *self, const ps_search_point *point)
{
    const uint64_t factors[] = {(uint64_t)point->method.replicas, (uint64_t)point->micro_batch,
                                (uint64_t)point->accumulate, (uint64_t)ps_search_case_length(self)};
    uint64_t tokens = 1;
    for (size_t i = 0; i < sizeof factors / sizeof factors[0]; i++) {
        if (!ps_mul_u64(tokens, factors[i], &tokens)) {
            return UINT64_MAX;
        }
    }
    return tokens;
}

/* Refused rather than failed: what cannot be built, or not for this machine. */
static bool is_refusal(ps_code code)
{
    return code == PS_USAGE || code == PS_NOT_FOUND || code == PS_BAD_INPUT ||
           code == PS_UNSUPPORTED || code == PS_LIMIT || code == PS_DEADLOCK;
}

static ps_code simulate(const ps_search_case *self, const ps_search_point *point, int64_t steps,
                        ps_search_outcome *out, ps_error *err)
{
    ps_plan *plan;
    ps_result result;
    PS_TRY(make_plan(self, point, steps, &plan, err));
    const ps_code code = ps_run_figures(plan, &result, err);
    if (code == PS_OK) {
        read_result(self, point, &result, out);
        out->tokens = tokens_of(self, point);
        ps_result_fini(&result);
    }
    ps_plan_destroy(plan);
    return code;
}

/* [ns] of its steps alone. */
static ps_code time_step(const ps_search_case *self, const ps_search_point *point, int64_t steps,
                         ps_ns *out, ps_error *err)
{
    ps_plan *plan;
    PS_TRY(make_plan(self, point, steps, &plan, err));
    const ps_code code = ps_run_step_time(plan, out, err);
    ps_plan_destroy(plan);
    return code;
}

/* Of many micro-batches each one more takes as long as the one before it. */
static ps_code simulate_few(const ps_search_case *self, const ps_search_point *point, int64_t few,
                            int64_t steps, ps_search_outcome *out, ps_error *err)
{
    ps_search_point less = *point, more = *point;
    ps_ns before_ns;
    less.accumulate = few - 1;
    more.accumulate = few;
    PS_TRY(simulate(self, &more, steps, out, err));
    if (out->verdict != PS_SEARCH_FITS) {
        return PS_OK; /* nobody asks how fast it would be */
    }
    PS_TRY(time_step(self, &less, steps, &before_ns, err));
    const ps_ns each = out->step_ns > before_ns ? out->step_ns - before_ns : 0;
    for (int64_t i = few; i < point->accumulate; i++) {
        out->step_ns = ps_time_add(out->step_ns, each);
    }
    out->tokens = tokens_of(self, point);
    return PS_OK;
}

static ps_code ask(const ps_search_case *self, const ps_search_point *point, bool in_full,
                   ps_search_outcome *out, ps_error *err)
{
    const bool is_placed = point->method.placement != PS_SEARCH_ON_GPU;
    const int64_t few = (is_placed ? QUICK_MICRO_BATCHES_PLACED : QUICK_MICRO_BATCHES) +
                        (point->method.pipeline - 1);
    const int64_t asked = ps_args_has(self->args, "steps")
                              ? (int64_t)ps_args_quantity(self->args, "steps")
                              : PS_MODEL_STEPS;
    const int64_t steps = in_full ? asked : QUICK_STEPS;
    return point->accumulate <= (in_full ? MOST_MICRO_BATCHES : few)
               ? simulate(self, point, steps, out, err)
               : simulate_few(self, point, few, steps, out, err);
}

ps_code ps_search_case_evaluate(void *context, const ps_search_point *point, bool in_full,
                                ps_search_outcome *out, ps_error *err)
{
    const ps_search_case *self = context;
    ps_error why = {0};
    const ps_code code = ask(self, point, in_full, out, &why);
    if (code == PS_OK || !is_refusal(code)) {
        if (err != NULL && code != PS_OK) {
            *err = why;
        }
        return code;
    }
    *out = (ps_search_outcome){.verdict = PS_SEARCH_REFUSED};
    (void)snprintf(out->why, sizeof out->why, "%.300s", why.message);
    return PS_OK;
}
