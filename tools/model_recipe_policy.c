/* SPDX-License-Identifier: MIT
 *
 * Policies of a recipe: where parameters and their states lie, and how GPUs
 * train together.
 */
#include <stdio.h>
#include <string.h>

#include "model_recipe_parts.h"
#include "scheme_options.h"
#include "zo2_options.h"

#define POLICY_WORDS_BYTES 256

static const char *const policy_words[] = {
#define WORD(sym, word, doc) word,
    PS_TRAIN_POLICIES(WORD)
#undef WORD
};

const char *ps__recipe_policy_word(ps_train_policy policy)
{
    return policy_words[policy];
}

static bool find_policy(const char *word, ps_train_policy *out)
{
    for (size_t i = 0; i < sizeof policy_words / sizeof policy_words[0]; i++) {
        if (strcmp(word, policy_words[i]) == 0) {
            *out = (ps_train_policy)i;
            return true;
        }
    }
    return false;
}

static ps_code refuse_policy(const char *word, ps_error *err)
{
    char words[POLICY_WORDS_BYTES] = "none, zo2, lsp, zero-offload, megatron";
    for (size_t i = 0; ps_parallel_word_at(i) != NULL; i++) {
        const size_t used = strlen(words);
        (void)snprintf(words + used, sizeof words - used, ", %s", ps_parallel_word_at(i));
    }
    return ps_fail(err, PS_USAGE, "--policy \"%s\": expected one of %s", word, words);
}

static ps_code set_policy(ps_train_policy policy, ps_recipe *r, ps_error *err)
{
    if (policy != PS_TRAIN_POLICY_NONE && r->policy != PS_TRAIN_POLICY_NONE &&
        policy != r->policy) {
        return ps_fail(
            err, PS_USAGE,
            "--policy: zo2, gemini, lsp and zero-offload decide where parameters and their "
            "states lie: one of them");
    }
    r->policy = policy == PS_TRAIN_POLICY_NONE ? r->policy : policy;
    return PS_OK;
}

static ps_code set_scheme(ps_parallel_scheme scheme, ps_recipe *r, ps_error *err)
{
    if (r->parallel.scheme != PS_PARALLEL_NONE && scheme != r->parallel.scheme) {
        return ps_fail(err, PS_USAGE,
                       "--policy: %s and %s both say how GPUs train together: one "
                       "of them",
                       ps_parallel_word_at((size_t)r->parallel.scheme - 1),
                       ps_parallel_word_at((size_t)scheme - 1));
    }
    r->parallel.scheme = scheme;
    return PS_OK;
}

/* One word may say both where parameters lie and how GPUs share them: Gemini's chunks. */
static ps_code read_policy(const char *word, bool is_shared, ps_recipe *r, ps_error *err)
{
    const ps_parallel_scheme scheme = ps_parallel_scheme_of(word);
    const bool is_scheme = scheme != PS_PARALLEL_NONE && scheme < PS_PARALLEL_SCHEME_COUNT;
    ps_train_policy policy = PS_TRAIN_POLICY_NONE;
    const bool is_policy = find_policy(word, &policy);
    if (!is_policy && !is_scheme) {
        return refuse_policy(word, err);
    }
    if (scheme == PS_PARALLEL_GEMINI_CDP) {
        policy = PS_TRAIN_POLICY_GEMINI;
    }
    PS_TRY(set_policy(policy, r, err));
    return is_scheme && (is_shared || !is_policy) ? set_scheme(scheme, r, err) : PS_OK;
}

ps_code ps__recipe_read_policies(const ps_args *args, ps_recipe *r, ps_error *err)
{
    const bool is_shared = ps_args_has(args, "gpus") && ps_args_quantity(args, "gpus") > 1;
    for (size_t i = 0; i < ps_args_count(args, "policy"); i++) {
        PS_TRY(read_policy(ps_args_at(args, "policy", i), is_shared, r, err));
    }
    r->parallel.tensor_ranks = ps__recipe_number(args, "tp", 1);
    if (r->parallel.tensor_ranks > 1 && !is_shared) {
        return ps_fail(err, PS_USAGE, "--tp %lld needs as many --gpus, or a multiple",
                       (long long)r->parallel.tensor_ranks);
    }
    return r->policy == PS_TRAIN_POLICY_ZO2 ? ps_zo2_options_read(args, &r->zo2, err)
                                            : ps_scheme_options_read(args, r, err);
}
