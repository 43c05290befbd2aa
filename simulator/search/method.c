/* SPDX-License-Identifier: MIT
 *
 * The space of methods.
 */
#include "search/method.h"

#include "base/memory.h"

#define MAX_METHODS 100000u

typedef struct listing {
    const ps_search_space *space;
    ps_search_method *method;
    size_t count, capacity;
} listing;

static ps_code add_recomputes(listing *self, ps_search_method method, ps_error *err)
{
    for (int recomputes = 0; recomputes < 2; recomputes++) {
        const bool has_backward = method.training != PS_SEARCH_MEZO;
        if (has_backward ? !self->space->has_recompute[recomputes] : recomputes == 1) {
            continue;
        }
        PS_TRY(ps_grow((void **)&self->method, &self->capacity, self->count + 1, MAX_METHODS,
                       sizeof *self->method, err));
        method.recomputes = recomputes == 1;
        self->method[self->count++] = method;
    }
    return PS_OK;
}

/* Activations may wait on the host where the framework leaves that to the script, and where it is
 * not the tier beyond the host that decides how fast a step is. */
static bool can_stream(const ps_search_space *space, const ps_search_method *method)
{
    return space->has_host_activations && method->policy == PS_TRAIN_POLICY_NONE &&
           method->kind != PS_SEARCH_MEGATRON && method->training != PS_SEARCH_MEZO &&
           ps_search_placement_member(method->placement) == NULL &&
           !ps_search_placement_has_disks(method->placement);
}

static ps_code add(listing *self, ps_search_method method, ps_error *err)
{
    PS_TRY(add_recomputes(self, method, err));
    if (!can_stream(self->space, &method)) {
        return PS_OK;
    }
    method.streams_activations = true;
    return add_recomputes(self, method, err);
}

/* ---- one GPU ---- */

static bool trains_adapters(const ps_search_space *space, ps_search_training training)
{
    return training == PS_SEARCH_LORA || training == PS_SEARCH_QLORA ||
           (training == PS_SEARCH_AS_ASKED && space->has_adapters);
}

/* Weights of 4 bits stay: they lie with their scales. */
static bool can_move_parameters(const ps_search_space *space, ps_search_training training)
{
    return space->has_host_parameters && trains_adapters(space, training) &&
           training != PS_SEARCH_QLORA && !space->is_quantized;
}

/* True when a search should look at it: gradients in a subspace train another model than whole ones
 * do, adapters go with the GPU that holds everything, and ZO2 with steps without gradients. */
static bool is_of_interest(const ps_search_space *space, const ps_search_method *method)
{
    switch (method->policy) {
    case PS_TRAIN_POLICY_NONE:
        return true;
    case PS_TRAIN_POLICY_ZO2:
        return method->training ==
               (space->has_training[PS_SEARCH_MEZO] ? PS_SEARCH_MEZO : PS_SEARCH_AS_ASKED);
    case PS_TRAIN_POLICY_LSP:
        return method->training == PS_SEARCH_AS_ASKED &&
               (space->has_lsp || space->policy == PS_TRAIN_POLICY_LSP);
    case PS_TRAIN_POLICY_GEMINI:
    case PS_TRAIN_POLICY_ZERO_OFFLOAD:
        break;
    }
    return method->training == PS_SEARCH_AS_ASKED;
}

static ps_code add_policies(listing *self, ps_search_training training, ps_error *err)
{
    static const ps_train_policy policies[] = {
#define POLICY(sym, word, doc) PS_TRAIN_POLICY_##sym,
        PS_TRAIN_POLICIES(POLICY)
#undef POLICY
    };
    for (size_t i = 0; i < sizeof policies / sizeof policies[0]; i++) {
        const bool is_asked =
            self->space->policy == PS_TRAIN_POLICY_NONE || self->space->policy == policies[i];
        ps_search_method method = {.kind = policies[i] == PS_TRAIN_POLICY_NONE ? PS_SEARCH_SINGLE
                                                                               : PS_SEARCH_POLICY,
                                   .policy = policies[i],
                                   .training = training,
                                   .tensor = 1,
                                   .pipeline = 1,
                                   .replicas = 1};
        if (!is_asked || !is_of_interest(self->space, &method)) {
            continue;
        }
        PS_TRY(add(self, method, err));
        if (method.kind == PS_SEARCH_SINGLE && can_move_parameters(self->space, training)) {
            method.placement = PS_SEARCH_FROZEN_ON_HOST;
            PS_TRY(add(self, method, err));
        }
    }
    return PS_OK;
}

/* ---- schemes ---- */

/* Gemini's ways of sharing go with its chunks. */
static ps_train_policy policy_of(ps_parallel_scheme scheme)
{
    return scheme == PS_PARALLEL_GEMINI || scheme == PS_PARALLEL_GEMINI_CDP ? PS_TRAIN_POLICY_GEMINI
                                                                            : PS_TRAIN_POLICY_NONE;
}

/* Whoever divides parameters has gradients to divide as well, and keeps them whole between
 * micro-batches that are not exchanged. */
bool ps_search_divides_parameters(ps_parallel_scheme scheme)
{
    ps_parallel parallel = ps_parallel_default();
    parallel.scheme = scheme;
    parallel.ranks = 2;
    return ps_parallel_shards(&parallel);
}

static bool is_degree(int64_t degree, int64_t asked, int64_t of, int64_t whole)
{
    return (asked == 0 || degree == asked) && of % degree == 0 &&
           (asked != 0 || whole == 0 || whole % degree == 0);
}

/* With Gemini ranks may also share each linear module: LLMem's TP, alone or with data parallelism. */
static ps_code add_row_parallel(listing *self, ps_search_method method, ps_error *err)
{
    const ps_search_space *s = self->space;
    for (int64_t tensor = 2; tensor <= s->gpus; tensor++) {
        if (is_degree(tensor, s->tensor, s->gpus, s->heads)) {
            method.tensor = tensor;
            method.replicas = s->gpus / tensor;
            PS_TRY(add(self, method, err));
        }
    }
    return PS_OK;
}

/* States, and with stage 3 parameters, in the host's memory or on its disks. Adapters have states so
 * small that nothing would be won. */
static ps_code add_placements(listing *self, ps_search_method method, ps_error *err)
{
    const ps_search_space *s = self->space;
    if (!s->has_host_optimizer || method.training != PS_SEARCH_AS_ASKED || s->has_adapters) {
        return PS_OK;
    }
    for (int i = PS_SEARCH_ON_GPU + 1; i < PS_SEARCH_PLACEMENT_COUNT; i++) {
        method.placement = (ps_search_placement)i;
        if (ps_search_placement_is_of(method.placement, method.scheme) &&
            (s->has_disks || !ps_search_placement_has_disks(method.placement))) {
            PS_TRY(add(self, method, err));
        }
    }
    return PS_OK;
}

/* On the GPUs alone. */
static ps_code add_divided(listing *self, ps_search_method method, ps_error *err)
{
    if (self->space->tensor < 2) {
        PS_TRY(add(self, method, err));
    }
    if (method.scheme == PS_PARALLEL_GEMINI && self->space->tensor != 1) {
        PS_TRY(add_row_parallel(self, method, err));
    }
    if (ps_search_divides_parameters(method.scheme) && method.replicas > 1) {
        method.syncs_always = true;
        PS_TRY(add(self, method, err));
    }
    return PS_OK;
}

static ps_code add_schemes(listing *self, ps_search_training training, ps_error *err)
{
    const ps_search_space *s = self->space;
    for (size_t i = 0; ps_parallel_word_at(i) != NULL; i++) {
        const ps_parallel_scheme scheme = (ps_parallel_scheme)(i + 1);
        const ps_search_method method = {.kind = PS_SEARCH_SCHEME,
                                         .policy = policy_of(scheme),
                                         .scheme = scheme,
                                         .training = training,
                                         .tensor = 1,
                                         .pipeline = 1,
                                         .replicas = s->gpus};
        const bool is_asked = s->scheme == scheme;
        if (s->scheme != PS_PARALLEL_NONE && !is_asked) {
            continue;
        }
        /* one GPU divides nothing: it has schemes for what they put on the host */
        if (s->gpus > 1 || is_asked) {
            PS_TRY(add_divided(self, method, err));
        }
        if (s->tensor < 2) {
            PS_TRY(add_placements(self, method, err));
        }
    }
    return PS_OK;
}

/* ---- Megatron ---- */

static ps_code add_megatron(listing *self, ps_error *err)
{
    const ps_search_space *s = self->space;
    for (int64_t tensor = 1; tensor <= s->gpus; tensor++) {
        if (!is_degree(tensor, s->tensor, s->gpus, s->heads)) {
            continue;
        }
        for (int64_t pipeline = 1; pipeline <= s->gpus / tensor; pipeline++) {
            if (!is_degree(pipeline, s->pipeline, s->gpus / tensor, s->layers)) {
                continue;
            }
            PS_TRY(add(self,
                       (ps_search_method){.kind = PS_SEARCH_MEGATRON,
                                          .tensor = tensor,
                                          .pipeline = pipeline,
                                          .replicas = s->gpus / tensor / pipeline},
                       err));
        }
    }
    return PS_OK;
}

static ps_code add_all(listing *self, ps_error *err)
{
    const ps_search_space *s = self->space;
    for (int i = 0; i < PS_SEARCH_TRAINING_COUNT && !s->only_megatron; i++) {
        const ps_search_training training = (ps_search_training)i;
        if (!s->has_training[i]) {
            continue;
        }
        if (s->gpus == 1 && s->scheme == PS_PARALLEL_NONE) {
            PS_TRY(add_policies(self, training, err));
        }
        /* LOMO and MeZO leave no gradients that ranks could exchange */
        const bool has_gradients = ps_search_training_optimizer(training) == NULL;
        if (has_gradients && (s->policy == PS_TRAIN_POLICY_NONE || s->gpus > 1)) {
            PS_TRY(add_schemes(self, training, err));
        }
    }
    return s->gpus == 1 || s->only_others || !s->has_training[PS_SEARCH_AS_ASKED]
               ? PS_OK
               : add_megatron(self, err);
}

ps_code ps_search_methods(const ps_search_space *space, ps_search_method **out, size_t *count,
                          ps_error *err)
{
    listing self = {.space = space};
    const ps_code code = add_all(&self, err);
    if (code != PS_OK) {
        ps_free(self.method);
        return code;
    }
    *out = self.method;
    *count = self.count;
    return PS_OK;
}
