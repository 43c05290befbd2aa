/* SPDX-License-Identifier: MIT
 *
 * What would make room for a family that does not fit.
 */
#include <stdio.h>
#include <string.h>

#include "search_report.h"

#define MOST_TIMES_GPUS 64u

#define GIB ((uint64_t)1 << 30)

typedef struct looking {
    const ps_search_case *of;
    const ps_search_point *from;
    size_t most;
    ps_search_remedies *out;
    ps_search_outcome last; /* of the change that was tried last */
} looking;

/* Tries one change; kept when it fits. */
static ps_code look(looking *self, const ps_search_case *changed, const ps_search_change *change,
                    bool *fits, ps_error *err)
{
    ps_search_outcome *outcome = &self->last;
    ps_search_case copy = *changed; /* the search's context is not const */
    *fits = false;
    if (self->out->count >= self->most) {
        return PS_OK;
    }
    PS_TRY(ps_search_case_evaluate(&copy, &change->point, false, outcome, err));
    *fits = outcome->verdict == PS_SEARCH_FITS;
    if (*fits) {
        self->out->remedy[self->out->count++] =
            (ps_search_remedy){.change = *change, .outcome = *outcome};
    }
    return PS_OK;
}

/* More memory for the nodes, when the GPUs have enough, if need be with caches emptied. */
static ps_code look_host(looking *self, const ps_search_outcome *outcome, ps_error *err)
{
    ps_search_case changed = *self->of;
    ps_search_change change = {.point = *self->from, .gpus = changed.machine.gpus};
    bool fits;
    if (!ps_search_lacks_host(outcome) || outcome->live_bytes > outcome->limit_bytes) {
        return PS_OK;
    }
    change.host_bytes = ps_round_up_u64(outcome->host_bytes, GIB);
    change.point.empties_caches = outcome->peak_bytes > outcome->limit_bytes;
    changed.host_bytes = change.host_bytes;
    return look(self, &changed, &change, &fits, err);
}

static ps_code look_optimizer(looking *self, ps_error *err)
{
    ps_search_case changed = *self->of;
    bool fits;
    const bool is_adamw = strcmp(changed.recipe.recipe.optimizer, "adamw") == 0;
    if (!is_adamw || ps_search_training_optimizer(self->from->method.training) != NULL) {
        return PS_OK;
    }
    changed.recipe.recipe.optimizer = "adamw-8bit";
    return look(self, &changed,
                &(ps_search_change){
                    .point = *self->from, .gpus = changed.machine.gpus, .optimizer = "adamw-8bit"},
                &fits, err);
}

static ps_code look_adapters(looking *self, ps_error *err)
{
    const ps_recipe *r = &self->of->recipe.recipe;
    for (int training = PS_SEARCH_LORA; training <= PS_SEARCH_QLORA; training++) {
        const bool is_there =
            training == PS_SEARCH_LORA ? r->lora_rank > 0 : r->quantize != PS_QUANTIZE_NONE;
        ps_search_change change = {.point = *self->from, .gpus = self->of->machine.gpus};
        bool fits;
        if (is_there || (ps_search_training)training <= self->from->method.training ||
            ps_search_training_optimizer(self->from->method.training) != NULL) {
            continue;
        }
        change.point.method.training = (ps_search_training)training;
        PS_TRY(look(self, self->of, &change, &fits, err));
    }
    return PS_OK;
}

/* ---- more GPUs ---- */

/* As it is; or else with gradients exchanged, and so divided, after every micro-batch. */
static ps_code look_ways(looking *self, const ps_search_case *changed,
                         const ps_search_change *change, bool *fits, ps_error *err)
{
    const ps_search_method *method = &change->point.method;
    ps_search_change divided = *change;
    PS_TRY(look(self, changed, change, fits, err));
    if (*fits || method->kind != PS_SEARCH_SCHEME || method->placement != PS_SEARCH_ON_GPU ||
        change->point.accumulate == 1 || !ps_search_divides_parameters(method->scheme)) {
        return PS_OK;
    }
    divided.point.method.syncs_always = true;
    return look(self, changed, &divided, fits, err);
}

/* One GPU becomes several by a scheme that divides everything; a pipeline or tensor degree stays. */
static ps_code look_gpus(looking *self, const ps_search_case *changed, uint32_t gpus, bool *fits,
                         ps_error *err)
{
    ps_search_change change = {.point = *self->from, .gpus = gpus};
    ps_search_method *method = &change.point.method;
    method->replicas = gpus / (method->tensor * method->pipeline);
    if (method->kind != PS_SEARCH_SINGLE) {
        return look_ways(self, changed, &change, fits, err);
    }
    method->kind = PS_SEARCH_SCHEME;
    method->placement = PS_SEARCH_ON_GPU;
    for (size_t i = 0; !*fits && ps_parallel_word_at(i) != NULL; i++) {
        method->scheme = (ps_parallel_scheme)(i + 1);
        if (ps_search_divides_parameters(method->scheme)) {
            PS_TRY(look_ways(self, changed, &change, fits, err));
        }
    }
    return PS_OK;
}

/*
 * Of A + B, B divided among the GPUs, twice as many leave A + B / 2: how many times as many have room,
 * a power of two. 0: not even all that there are, and nobody has to build the largest job to know.
 */
static uint32_t times_to_fit(const ps_search_outcome *now, uint64_t before, uint32_t times)
{
    const uint64_t saved = now->peak_bytes < before ? before - now->peak_bytes : 0;
    /* B / 2; what shrinks to less than half has nothing that stays */
    const uint64_t divided = saved < now->peak_bytes ? saved : now->peak_bytes;
    const uint64_t stays = now->peak_bytes - divided;
    uint32_t more = 2;
    while (times * more <= MOST_TIMES_GPUS && stays + divided / more > now->limit_bytes) {
        more *= 2;
    }
    return times * more <= MOST_TIMES_GPUS ? times * more : 0;
}

/* So many times the GPUs; PS_OK also where there is no such machine, which does not fit then. */
static ps_code look_times(looking *self, uint32_t times, bool *fits, ps_error *err)
{
    const ps_search_case *of = self->of;
    ps_search_case changed = *of;
    ps_error why = {0};
    const uint32_t gpus = of->machine.gpus * times;
    *fits = false;
    if (ps_model_machine_of(of->args, of->catalogue, gpus, &changed.machine, &why) != PS_OK) {
        self->last = (ps_search_outcome){.verdict = PS_SEARCH_REFUSED};
        return PS_OK;
    }
    ps_model_machine_set_memory(&changed.machine, ps_args_quantity(of->args, "memory"));
    const ps_code code = look_gpus(self, &changed, gpus, fits, err);
    ps_model_machine_fini(&changed.machine);
    return code;
}

/* What was skipped may do, too: memory need not follow the estimate. */
static ps_code look_at_half(looking *self, uint32_t times, ps_error *err)
{
    bool fits;
    const size_t last = --self->out->count;
    const ps_search_remedy larger = self->out->remedy[last];
    PS_TRY(look_times(self, times / 2, &fits, err));
    if (!fits) {
        self->out->remedy[last] = larger;
        self->out->count = last + 1;
    }
    return PS_OK;
}

static ps_code look_more_gpus(looking *self, const ps_search_outcome *outcome, ps_error *err)
{
    /* one GPU and a scheme over two have little in common */
    uint64_t before = self->from->method.kind == PS_SEARCH_SINGLE ? 0 : outcome->peak_bytes;
    uint32_t failed = 1;
    bool fits = false;
    for (uint32_t times = 2; times != 0 && self->out->count < self->most;) {
        PS_TRY(look_times(self, times, &fits, err));
        if (fits) {
            return times > 2 * failed ? look_at_half(self, times, err) : PS_OK;
        }
        if (self->last.verdict != PS_SEARCH_TOO_LARGE) {
            return PS_OK;
        }
        const uint32_t twice = 2 * times <= MOST_TIMES_GPUS ? 2 * times : 0;
        const uint32_t next = before > 0 ? times_to_fit(&self->last, before, times) : twice;
        before = next == twice ? self->last.peak_bytes : 0;
        failed = times;
        times = next;
    }
    return PS_OK;
}

/* The smallest change is one of what most would do: activations are recomputed, and not moved. */
static ps_search_point usual_point(const ps_search_case *of, const ps_search_point *from)
{
    ps_search_point point = *from;
    if (point.method.streams_activations) {
        point.method.streams_activations = false;
        point.method.recomputes = ps_search_case_space(of).has_recompute[1];
    }
    return point;
}

ps_code ps_search_find_remedies(const ps_search_case *of, const ps_search_trial *from, size_t most,
                                ps_search_remedies *out, ps_error *err)
{
    const ps_search_method *method = &from->point.method;
    const ps_search_point usual = usual_point(of, &from->point);
    looking self = {.of = of, .from = &from->point, .most = most, .out = out};
    *out = (ps_search_remedies){0};
    PS_TRY(look_host(&self, &from->outcome, err));
    self.from = &usual;
    if (method->kind != PS_SEARCH_MEGATRON && !ps_search_placement_setting(method->placement, 0)) {
        PS_TRY(look_optimizer(&self, err));
        PS_TRY(look_adapters(&self, err));
    }
    /* a policy for one GPU is one for one GPU */
    return method->kind == PS_SEARCH_POLICY ? PS_OK : look_more_gpus(&self, &from->outcome, err);
}

void ps_search_change_name(const ps_search_case *of, const ps_search_change *change,
                           char out[PS_SEARCH_NAME_BYTES])
{
    const ps_search_method *method = &change->point.method;
    const int64_t rank =
        of->recipe.recipe.lora_rank > 0 ? of->recipe.recipe.lora_rank : PS_SEARCH_LORA_RANK;
    if (change->host_bytes > 0) {
        (void)snprintf(out, PS_SEARCH_NAME_BYTES, "%llu GiB of host memory",
                       (unsigned long long)(change->host_bytes >> 30));
    } else if (change->gpus != of->machine.gpus) {
        (void)snprintf(out, PS_SEARCH_NAME_BYTES, "%u GPUs%s%s", change->gpus,
                       of->machine.gpus == 1 ? " by " : "",
                       of->machine.gpus == 1 ? ps_parallel_word_at((size_t)method->scheme - 1)
                                             : "");
    } else if (change->optimizer != NULL) {
        (void)snprintf(out, PS_SEARCH_NAME_BYTES, "--optimizer %s", change->optimizer);
    } else {
        (void)snprintf(out, PS_SEARCH_NAME_BYTES, "%s of rank %lld",
                       method->training == PS_SEARCH_QLORA ? "QLoRA" : "LoRA", (long long)rank);
    }
}
