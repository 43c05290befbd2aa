/* SPDX-License-Identifier: MIT
 *
 * Names of methods, and which are alike.
 */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "search/method.h"

bool ps_search_is_family(const ps_search_method *a, const ps_search_method *b)
{
    return a->kind == b->kind && a->policy == b->policy && a->scheme == b->scheme &&
           a->training == b->training && ps_search_placement_is_family(a->placement, b->placement);
}

static bool has_same_degrees(const ps_search_method *a, const ps_search_method *b)
{
    return a->tensor == b->tensor && a->pipeline == b->pipeline && a->replicas == b->replicas;
}

bool ps_search_is_method(const ps_search_method *a, const ps_search_method *b)
{
    return ps_search_is_family(a, b) && a->placement == b->placement &&
           a->recomputes == b->recomputes && a->streams_activations == b->streams_activations &&
           a->syncs_always == b->syncs_always && has_same_degrees(a, b);
}

/* Everything on the one GPU, before ZeRO with its states elsewhere. */
static bool is_without_framework(const ps_search_method *a, const ps_search_method *b)
{
    return a->kind == PS_SEARCH_SINGLE && a->placement == PS_SEARCH_ON_GPU &&
           b->kind == PS_SEARCH_SCHEME && b->replicas == 1 && b->placement != PS_SEARCH_ON_GPU;
}

bool ps_search_is_faster(const ps_search_method *a, const ps_search_method *b)
{
    const bool is_alike = a->kind == b->kind && a->policy == b->policy && a->scheme == b->scheme;
    const bool moves_less =
        ps_search_placement_is_faster(a->placement, b->placement) || is_without_framework(a, b);
    const bool moves_same = a->placement == b->placement && a->syncs_always == b->syncs_always;
    return (is_alike || is_without_framework(a, b)) && a->training == b->training &&
           has_same_degrees(a, b) && (moves_less || moves_same) && a->recomputes <= b->recomputes &&
           a->streams_activations <= b->streams_activations && !ps_search_is_method(a, b);
}

bool ps_search_is_smaller(const ps_search_method *a, const ps_search_method *b)
{
    return ps_search_is_family(a, b) && has_same_degrees(a, b) &&
           ps_search_placement_is_smaller(a->placement, b->placement) &&
           a->recomputes >= b->recomputes && a->streams_activations >= b->streams_activations;
}

const char *ps_search_training_optimizer(ps_search_training self)
{
    return self == PS_SEARCH_LOMO ? "lomo" : self == PS_SEARCH_MEZO ? "mezo" : NULL;
}

bool ps_search_has_one_micro_batch(const ps_search_method *self)
{
    return ps_search_training_optimizer(self->training) != NULL;
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
    static const char *const trainings[] = {"", " + LoRA", " + QLoRA", " + LOMO", " + MeZO"};
    const char *placement = ps_search_placement_family(self->placement);
    const char *scheme = self->kind == PS_SEARCH_SINGLE     ? "single GPU"
                         : self->kind == PS_SEARCH_MEGATRON ? "megatron"
                         : self->kind == PS_SEARCH_POLICY
                             ? policy_word(self->policy)
                             : ps_parallel_word_at((size_t)self->scheme - 1);
    out[0] = '\0';
    ps_text_append(out, PS_SEARCH_NAME_BYTES, "%s%s", scheme, trainings[self->training]);
    if (placement != NULL) {
        ps_text_append(out, PS_SEARCH_NAME_BYTES, " + %s", placement);
    }
}

void ps_search_method_name(const ps_search_method *self, char out[PS_SEARCH_NAME_BYTES])
{
    const char *member = ps_search_placement_member(self->placement);
    ps_search_family_name(self, out);
    if (member != NULL) {
        ps_text_append(out, PS_SEARCH_NAME_BYTES, " %s", member);
    }
    if (self->syncs_always) {
        ps_text_append(out, PS_SEARCH_NAME_BYTES, " no_sync=false");
    }
    if (self->kind == PS_SEARCH_SCHEME && self->tensor > 1) {
        ps_text_append(out, PS_SEARCH_NAME_BYTES, " tp %lld dp %lld", (long long)self->tensor,
                       (long long)self->replicas);
    }
    if (self->kind == PS_SEARCH_MEGATRON) {
        ps_text_append(out, PS_SEARCH_NAME_BYTES, " tp %lld pp %lld dp %lld",
                       (long long)self->tensor, (long long)self->pipeline,
                       (long long)self->replicas);
    }
    if (self->streams_activations) {
        ps_text_append(out, PS_SEARCH_NAME_BYTES, " + activations on host");
    }
}
