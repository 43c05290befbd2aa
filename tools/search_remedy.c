/* SPDX-License-Identifier: MIT
 *
 * What would make room for a family that does not fit.
 */
#include <stdio.h>
#include <string.h>

#include "search_report.h"

/* More GPUs than that are another project. */
#define MOST_TIMES_GPUS 8u

typedef struct looking {
    const ps_search_case *of;
    const ps_search_point *from;
    size_t most;
    ps_search_remedies *out;
} looking;

/* Tries one change; kept when it fits. */
static ps_code look(looking *self, const ps_search_case *changed, const ps_search_change *change,
                    bool *fits, ps_error *err)
{
    ps_search_outcome outcome;
    ps_search_case copy = *changed; /* the search's context is not const */
    *fits = false;
    if (self->out->count >= self->most) {
        return PS_OK;
    }
    PS_TRY(ps_search_case_evaluate(&copy, &change->point, false, &outcome, err));
    *fits = outcome.verdict == PS_SEARCH_FITS;
    if (*fits) {
        self->out->remedy[self->out->count++] =
            (ps_search_remedy){.change = *change, .outcome = outcome};
    }
    return PS_OK;
}

static ps_code look_optimizer(looking *self, ps_error *err)
{
    ps_search_case changed = *self->of;
    bool fits;
    if (strcmp(changed.recipe.recipe.optimizer, "adamw") != 0) {
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
        if (is_there || (ps_search_training)training <= self->from->method.training) {
            continue;
        }
        change.point.method.training = (ps_search_training)training;
        PS_TRY(look(self, self->of, &change, &fits, err));
    }
    return PS_OK;
}

/* ---- more GPUs ---- */

static bool shards(ps_parallel_scheme scheme)
{
    ps_parallel parallel = ps_parallel_default();
    parallel.scheme = scheme;
    parallel.ranks = 2;
    return ps_parallel_shards(&parallel);
}

/* One GPU becomes several by a scheme that divides everything; a pipeline or tensor degree stays. */
static ps_code look_gpus(looking *self, const ps_search_case *changed, uint32_t gpus, bool *fits,
                         ps_error *err)
{
    ps_search_change change = {.point = *self->from, .gpus = gpus};
    ps_search_method *method = &change.point.method;
    method->replicas = gpus / (method->tensor * method->pipeline);
    if (method->kind != PS_SEARCH_SINGLE) {
        return look(self, changed, &change, fits, err);
    }
    method->kind = PS_SEARCH_SCHEME;
    for (size_t i = 0; !*fits && ps_parallel_word_at(i) != NULL; i++) {
        method->scheme = (ps_parallel_scheme)(i + 1);
        if (shards(method->scheme)) {
            PS_TRY(look(self, changed, &change, fits, err));
        }
    }
    return PS_OK;
}

static ps_code look_more_gpus(looking *self, ps_error *err)
{
    const ps_search_case *of = self->of;
    bool fits = false;
    for (uint32_t times = 2; times <= MOST_TIMES_GPUS && !fits && self->out->count < self->most;
         times *= 2) {
        ps_search_case changed = *of;
        ps_error why = {0};
        const uint32_t gpus = of->machine.gpus * times;
        if (ps_model_machine_of(of->args, of->catalogue, gpus, &changed.machine, &why) != PS_OK) {
            return PS_OK; /* no such machine */
        }
        ps_model_machine_set_memory(&changed.machine, ps_args_quantity(of->args, "memory"));
        const ps_code code = look_gpus(self, &changed, gpus, &fits, err);
        ps_model_machine_fini(&changed.machine);
        PS_TRY(code);
    }
    return PS_OK;
}

ps_code ps_search_find_remedies(const ps_search_case *of, const ps_search_point *from, size_t most,
                                ps_search_remedies *out, ps_error *err)
{
    looking self = {.of = of, .from = from, .most = most, .out = out};
    *out = (ps_search_remedies){0};
    if (from->method.kind != PS_SEARCH_MEGATRON) {
        PS_TRY(look_optimizer(&self, err));
        PS_TRY(look_adapters(&self, err));
    }
    /* a policy for one GPU is one for one GPU */
    return from->method.kind == PS_SEARCH_POLICY ? PS_OK : look_more_gpus(&self, err);
}

void ps_search_change_name(const ps_search_case *of, const ps_search_change *change,
                           char out[PS_SEARCH_NAME_BYTES])
{
    const ps_search_method *method = &change->point.method;
    const int64_t rank =
        of->recipe.recipe.lora_rank > 0 ? of->recipe.recipe.lora_rank : PS_SEARCH_LORA_RANK;
    if (change->gpus != of->machine.gpus) {
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
