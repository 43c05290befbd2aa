/* SPDX-License-Identifier: MIT
 *
 * The space of methods and their names.
 */
#include "search/method.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"

#define MAX_METHODS 100000u

typedef struct listing {
    const ps_search_space *space;
    ps_search_method *method;
    size_t count, capacity;
} listing;

static ps_code add(listing *self, ps_search_method method, ps_error *err)
{
    for (int recomputes = 0; recomputes < 2; recomputes++) {
        if (!self->space->has_recompute[recomputes]) {
            continue;
        }
        PS_TRY(ps_grow((void **)&self->method, &self->capacity, self->count + 1, MAX_METHODS,
                       sizeof *self->method, err));
        method.recomputes = recomputes == 1;
        self->method[self->count++] = method;
    }
    return PS_OK;
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
        const ps_search_method method = {
            .kind = policies[i] == PS_TRAIN_POLICY_NONE ? PS_SEARCH_SINGLE : PS_SEARCH_POLICY,
            .policy = policies[i],
            .training = training,
            .tensor = 1,
            .pipeline = 1,
            .replicas = 1};
        /* gradients in a subspace train another model than whole ones do */
        const bool is_same = policies[i] != PS_TRAIN_POLICY_LSP || self->space->has_lsp ||
                             self->space->policy == PS_TRAIN_POLICY_LSP;
        /* adapters go with the GPU that holds everything */
        if (is_asked && is_same &&
            (training == PS_SEARCH_AS_ASKED || method.kind == PS_SEARCH_SINGLE)) {
            PS_TRY(add(self, method, err));
        }
    }
    return PS_OK;
}

/* Gemini's ways of sharing go with its chunks. */
static ps_train_policy policy_of(ps_parallel_scheme scheme)
{
    return scheme == PS_PARALLEL_GEMINI || scheme == PS_PARALLEL_GEMINI_CDP ? PS_TRAIN_POLICY_GEMINI
                                                                            : PS_TRAIN_POLICY_NONE;
}

/* Whoever divides parameters has gradients to divide as well, and keeps them whole between
 * micro-batches that are not exchanged. */
static bool divides_parameters(ps_parallel_scheme scheme)
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

static ps_code add_schemes(listing *self, ps_search_training training, ps_error *err)
{
    for (size_t i = 0; ps_parallel_word_at(i) != NULL; i++) {
        const ps_parallel_scheme scheme = (ps_parallel_scheme)(i + 1);
        ps_search_method method = {.kind = PS_SEARCH_SCHEME,
                                   .policy = policy_of(scheme),
                                   .scheme = scheme,
                                   .training = training,
                                   .tensor = 1,
                                   .pipeline = 1,
                                   .replicas = self->space->gpus};
        if (self->space->scheme != PS_PARALLEL_NONE && self->space->scheme != scheme) {
            continue;
        }
        if (self->space->tensor < 2) {
            PS_TRY(add(self, method, err));
        }
        if (scheme == PS_PARALLEL_GEMINI && self->space->tensor != 1) {
            PS_TRY(add_row_parallel(self, method, err));
        }
        if (divides_parameters(scheme)) {
            method.syncs_always = true;
            PS_TRY(add(self, method, err));
        }
    }
    return PS_OK;
}

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
        if (s->has_training[i]) {
            PS_TRY(s->gpus == 1 ? add_policies(self, (ps_search_training)i, err)
                                : add_schemes(self, (ps_search_training)i, err));
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

bool ps_search_is_family(const ps_search_method *a, const ps_search_method *b)
{
    return a->kind == b->kind && a->policy == b->policy && a->scheme == b->scheme &&
           a->training == b->training;
}

bool ps_search_is_method(const ps_search_method *a, const ps_search_method *b)
{
    return ps_search_is_family(a, b) && a->recomputes == b->recomputes &&
           a->syncs_always == b->syncs_always && a->tensor == b->tensor &&
           a->pipeline == b->pipeline && a->replicas == b->replicas;
}

static const char *policy_word(ps_train_policy policy)
{
    static const char *const words[] = {
#define POLICY(sym, word, doc) word,
        PS_TRAIN_POLICIES(POLICY)
#undef POLICY
    };
    return words[policy];
}

void ps_search_family_name(const ps_search_method *self, char out[PS_SEARCH_NAME_BYTES])
{
    static const char *const trainings[] = {"", " + LoRA", " + QLoRA"};
    const char *scheme = self->kind == PS_SEARCH_SINGLE     ? "single GPU"
                         : self->kind == PS_SEARCH_MEGATRON ? "megatron"
                         : self->kind == PS_SEARCH_POLICY
                             ? policy_word(self->policy)
                             : ps_parallel_word_at((size_t)self->scheme - 1);
    (void)snprintf(out, PS_SEARCH_NAME_BYTES, "%s%s", scheme, trainings[self->training]);
}

void ps_search_method_name(const ps_search_method *self, char out[PS_SEARCH_NAME_BYTES])
{
    ps_search_family_name(self, out);
    const size_t used = strlen(out);
    if (self->syncs_always) {
        (void)snprintf(out + used, PS_SEARCH_NAME_BYTES - used, " no_sync=false");
    }
    if (self->kind == PS_SEARCH_SCHEME && self->tensor > 1) {
        (void)snprintf(out + used, PS_SEARCH_NAME_BYTES - used, " tp %lld dp %lld",
                       (long long)self->tensor, (long long)self->replicas);
    }
    if (self->kind == PS_SEARCH_MEGATRON) {
        (void)snprintf(out + used, PS_SEARCH_NAME_BYTES - used, " tp %lld pp %lld dp %lld",
                       (long long)self->tensor, (long long)self->pipeline,
                       (long long)self->replicas);
    }
}
