/* SPDX-License-Identifier: MIT
 *
 * From options to a recipe.
 */
#include "model_recipe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "scheme_options.h"
#include "workload/script/lengths.h"
#include "zo2_options.h"

#define MAX_LENGTH 16777216
#define MAX_LENGTHS 4096u
#define POLICY_WORDS_BYTES 256

static int64_t number(const ps_args *args, const char *name, int64_t fallback)
{
    return ps_args_has(args, name) ? (int64_t)ps_args_quantity(args, name) : fallback;
}

static void read_types(const ps_args *args, ps_recipe *r)
{
    static const struct {
        ps_dtype parameters, autocast;
        bool scales_loss;
    } types[] = {
        {PS_DTYPE_F32, PS_DTYPE_F32, false}, {PS_DTYPE_BF16, PS_DTYPE_F32, false},
        {PS_DTYPE_F16, PS_DTYPE_F32, false}, {PS_DTYPE_F32, PS_DTYPE_BF16, false},
        {PS_DTYPE_F32, PS_DTYPE_F16, true},  {PS_DTYPE_BF16, PS_DTYPE_F32, false},
    };
    enum { BF16_FP32_MASTER = 5 };
    const size_t i = ps_args_has(args, "dtype") ? ps_args_choice(args, "dtype") : 0;
    r->parameters = types[i].parameters;
    r->autocast = types[i].autocast;
    r->scales_loss = types[i].scales_loss;
    r->has_masters = i == BF16_FP32_MASTER;
}

static size_t choice(const ps_args *args, const char *name)
{
    return ps_args_has(args, name) ? ps_args_choice(args, name) : 0;
}

static ps_code read_checkpoint(const ps_args *args, ps_recipe *r, ps_error *err)
{
    const char *text = ps_args_text(args, "checkpoint");
    if (text == NULL || strcmp(text, "none") == 0) {
        return PS_OK;
    }
    r->has_no_cache = true;
    if (strcmp(text, "full") == 0) {
        r->checkpoint_every = 1;
        return PS_OK;
    }
    if (strcmp(text, "attention") == 0) {
        r->checkpoints_attention = true;
        return PS_OK;
    }
    char *end = NULL;
    if (strncmp(text, "every=", 6) == 0) {
        r->checkpoint_every = strtoll(text + 6, &end, 10);
    }
    if (end == NULL || *end != '\0' || r->checkpoint_every < 1) {
        return ps_fail(
            err, PS_USAGE,
            "--checkpoint \"%s\": expected none, full, attention or every=K with K from 1 on",
            text);
    }
    return PS_OK;
}

static ps_code read_targets(const ps_args *args, ps_model_recipe *out, ps_error *err)
{
    const size_t count = ps_args_count(args, "lora-target");
    if (count == 0) {
        return PS_OK;
    }
    if (!ps_args_has(args, "lora")) {
        return ps_fail(err, PS_USAGE, "--lora-target needs --lora");
    }
    out->targets = ps_calloc(count, sizeof *out->targets);
    if (out->targets == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < count; i++) {
        out->targets[i] = ps_args_at(args, "lora-target", i);
    }
    out->recipe.lora_target = out->targets;
    out->recipe.lora_target_count = count;
    return PS_OK;
}

static ps_code read_lora_dropout(const ps_args *args, ps_recipe *r, ps_error *err)
{
    const char *text = ps_args_text(args, "lora-dropout");
    char *end = NULL;
    if (text == NULL) {
        return PS_OK;
    }
    if (!ps_args_has(args, "lora")) {
        return ps_fail(err, PS_USAGE, "--lora-dropout needs --lora");
    }
    const double share = strtod(text, &end);
    if (end == text || *end != '\0' || !(share >= 0.0 && share < 1.0)) {
        return ps_fail(err, PS_USAGE,
                       "--lora-dropout \"%s\": expected a share from 0 to below 1, such as 0.05",
                       text);
    }
    r->has_lora_dropout = share > 0.0;
    return PS_OK;
}

static ps_code read_lora_dtype(const ps_args *args, ps_recipe *r, ps_error *err)
{
    const char *text = ps_args_text(args, "lora-dtype");
    if (text == NULL) {
        return PS_OK;
    }
    if (!ps_args_has(args, "lora")) {
        return ps_fail(err, PS_USAGE, "--lora-dtype needs --lora");
    }
    if (strcmp(text, "fp32") != 0 && strcmp(text, "weights") != 0) {
        return ps_fail(err, PS_USAGE, "--lora-dtype \"%s\": expected fp32 or weights", text);
    }
    r->has_narrow_adapters = strcmp(text, "weights") == 0;
    if (r->has_narrow_adapters && ps_args_has(args, "quantize")) {
        return ps_fail(err, PS_USAGE,
                       "--lora-dtype weights: beside weights of 4 bits adapters have 32");
    }
    return PS_OK;
}

/* ---- policies ---- */

static const char *const policy_words[] = {
#define WORD(sym, word, doc) word,
    PS_TRAIN_POLICIES(WORD)
#undef WORD
};

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

static ps_code read_policies(const ps_args *args, ps_recipe *r, ps_error *err)
{
    const bool is_shared = ps_args_has(args, "gpus") && ps_args_quantity(args, "gpus") > 1;
    for (size_t i = 0; i < ps_args_count(args, "policy"); i++) {
        PS_TRY(read_policy(ps_args_at(args, "policy", i), is_shared, r, err));
    }
    r->parallel.tensor_ranks = number(args, "tp", 1);
    if (r->parallel.tensor_ranks > 1 && !is_shared) {
        return ps_fail(err, PS_USAGE, "--tp %lld needs as many --gpus, or a multiple",
                       (long long)r->parallel.tensor_ranks);
    }
    return r->policy == PS_TRAIN_POLICY_ZO2 ? ps_zo2_options_read(args, &r->zo2, err)
                                            : ps_scheme_options_read(args, r, err);
}

static ps_code read_quantize(const ps_args *args, ps_recipe *r, ps_error *err)
{
    static const ps_quantize kinds[] = {PS_QUANTIZE_NF4, PS_QUANTIZE_NF4_SINGLE};
    if (!ps_args_has(args, "quantize")) {
        return PS_OK;
    }
    if (!ps_args_has(args, "lora")) {
        return ps_fail(err, PS_USAGE,
                       "--quantize needs --lora: weights of 4 bits cannot be trained");
    }
    r->quantize = kinds[ps_args_choice(args, "quantize")];
    return PS_OK;
}

/* ---- lengths ---- */

static ps_code read_length_list(const char *text, ps_model_recipe *out, ps_error *err)
{
    size_t count = 0;
    for (const char *at = text; count < MAX_LENGTHS;) {
        char *end;
        const long long length = strtoll(at, &end, 10);
        if (end == at || length < 1 || length > MAX_LENGTH || (*end != ',' && *end != '\0')) {
            return ps_fail(err, PS_USAGE,
                           "--lengths \"%s\": expected whole numbers from 1 to %d between commas, "
                           "or draw",
                           text, MAX_LENGTH);
        }
        out->lengths[count++] = length;
        if (*end == '\0') {
            out->recipe.length_count = count;
            return PS_OK;
        }
        at = end + 1;
    }
    return ps_fail(err, PS_USAGE, "--lengths: more than %u lengths", MAX_LENGTHS);
}

static ps_code read_lengths(const ps_args *args, ps_model_recipe *out, ps_error *err)
{
    ps_recipe *r = &out->recipe;
    const char *text = ps_args_text(args, "lengths");
    if (text == NULL) {
        return PS_OK;
    }
    const bool is_drawn = strcmp(text, "draw") == 0;
    if (is_drawn && r->steps == 0) {
        return ps_fail(err, PS_USAGE, "--lengths draw: --hift needs --steps, one length for each");
    }
    const size_t drawn = (size_t)(r->steps * r->accumulate);
    out->lengths = ps_calloc(is_drawn ? drawn : MAX_LENGTHS, sizeof *out->lengths);
    if (out->lengths == NULL) {
        return ps_fail_nomem(err);
    }
    r->lengths = out->lengths;
    if (!is_drawn) {
        return read_length_list(text, out, err);
    }
    r->length_count = drawn;
    ps_lengths_draw(ps_args_quantity(args, "seed"), r->batch, r->length, out->lengths, drawn);
    return PS_OK;
}

/* ---- all ---- */

static void read_plain(const ps_args *args, ps_recipe *r)
{
    r->batch = number(args, "batch", 1);
    r->length = number(args, "seq", 1024);
    r->steps = number(args, "steps", ps_args_has(args, "hift") ? 0 : PS_MODEL_STEPS);
    r->accumulate = number(args, "accumulate", 1);
    r->lora_rank = number(args, "lora", 0);
    r->optimizer = ps_args_has(args, "optimizer") ? ps_args_text(args, "optimizer") : "adamw";
    r->style = (ps_optimizer_style)choice(args, "optimizer-kind");
    r->optimizer_rank = number(args, "optimizer-rank", 0);
    r->zero_grad = (ps_zero_grad)choice(args, "zero-grad");
    r->attention = (ps_attention_kind)choice(args, "attention");
    r->keeps_output = !ps_args_has(args, "drop-output");
    r->is_evaluating = ps_args_has(args, "no-dropout");
    r->clips = ps_args_has(args, "clip");
    r->empties_cache = ps_args_has(args, "empty-cache");
    r->report_ns = number(args, "report-time", 0);
    r->has_own_labels = true;
}

static void read_mask(const ps_args *args, ps_recipe *r)
{
    enum { AUTO, NONE, FULL, PADDED };
    const size_t mask = choice(args, "mask");
    r->has_mask = mask != NONE;
    r->pads = mask == PADDED || (mask == AUTO && r->batch > 1);
}

ps_code ps_model_recipe_read(const ps_args *args, ps_model_recipe *out, ps_error *err)
{
    *out = (ps_model_recipe){.recipe = ps_recipe_default()};
    read_plain(args, &out->recipe);
    read_types(args, &out->recipe);
    read_mask(args, &out->recipe);
    PS_TRY(read_checkpoint(args, &out->recipe, err));
    PS_TRY(ps_streaming_options_read(args, &out->recipe.streaming, err));
    PS_TRY(ps_hift_options_read(args, &out->recipe.hift, err));
    PS_TRY(read_targets(args, out, err));
    PS_TRY(read_lora_dropout(args, &out->recipe, err));
    PS_TRY(read_lora_dtype(args, &out->recipe, err));
    PS_TRY(read_policies(args, &out->recipe, err));
    PS_TRY(read_quantize(args, &out->recipe, err));
    return read_lengths(args, out, err);
}

static const char *type_word(const ps_recipe *r)
{
    if (r->autocast != PS_DTYPE_F32) {
        return r->autocast == PS_DTYPE_BF16 ? "fp32 under bf16 autocast"
                                            : "fp32 under fp16 autocast";
    }
    return r->has_masters                   ? "bf16 with fp32 copies"
           : r->parameters == PS_DTYPE_BF16 ? "bf16"
           : r->parameters == PS_DTYPE_F16  ? "fp16"
                                            : "fp32";
}

void ps_model_recipe_describe(const ps_recipe *r, char text[PS_RECIPE_TEXT_BYTES])
{
    text[0] = '\0';
    ps_text_append(text, PS_RECIPE_TEXT_BYTES, "%s, %.40s", type_word(r), r->optimizer);
    if (r->optimizer_rank > 0) {
        ps_text_append(text, PS_RECIPE_TEXT_BYTES, " of rank %lld", (long long)r->optimizer_rank);
    }
    if (r->lora_rank > 0) {
        ps_text_append(text, PS_RECIPE_TEXT_BYTES, ", LoRA of rank %lld%s", (long long)r->lora_rank,
                       r->quantize != PS_QUANTIZE_NONE ? " on weights of 4 bits" : "");
    }
    if (r->policy != PS_TRAIN_POLICY_NONE) {
        ps_text_append(text, PS_RECIPE_TEXT_BYTES, ", %s", policy_words[r->policy]);
    }
    if (ps_parallel_is_on(&r->parallel)) {
        ps_text_append(
            text, PS_RECIPE_TEXT_BYTES, ", %lld GPU%s by %s%s", (long long)r->parallel.ranks,
            r->parallel.ranks == 1 ? "" : "s", ps_parallel_word_at((size_t)r->parallel.scheme - 1),
            r->parallel.zero.offloads_optimizer ? " with its optimizer on the host" : "");
    }
    if (ps_parallel_tensor(&r->parallel) > 1) {
        ps_text_append(text, PS_RECIPE_TEXT_BYTES, ", tp %lld",
                       (long long)r->parallel.tensor_ranks);
    }
    if (r->checkpoint_every == 1) {
        ps_text_append(text, PS_RECIPE_TEXT_BYTES, ", every block recomputed");
    } else if (r->checkpoints_attention) {
        ps_text_append(text, PS_RECIPE_TEXT_BYTES, ", attention recomputed");
    } else if (r->checkpoint_every > 1) {
        ps_text_append(text, PS_RECIPE_TEXT_BYTES, ", each %lldth block recomputed",
                       (long long)r->checkpoint_every);
    }
    if (r->streaming.activations != PS_ACTIVATION_OFFLOAD_NONE) {
        ps_text_append(text, PS_RECIPE_TEXT_BYTES, ", activations on the host");
    }
    if (r->streaming.parameters) {
        ps_text_append(text, PS_RECIPE_TEXT_BYTES, ", frozen weights on the host");
    }
    if (r->hift.layers > 0) {
        ps_text_append(text, PS_RECIPE_TEXT_BYTES, ", %lld layer%s a step",
                       (long long)r->hift.layers, r->hift.layers == 1 ? "" : "s");
    }
    ps_text_append(text, PS_RECIPE_TEXT_BYTES, ", %lld x ", (long long)r->batch);
    if (r->lengths != NULL) {
        ps_text_append(text, PS_RECIPE_TEXT_BYTES, "up to ");
    }
    ps_text_append(text, PS_RECIPE_TEXT_BYTES, "%lld tokens", (long long)r->length);
    if (r->accumulate > 1) {
        ps_text_append(text, PS_RECIPE_TEXT_BYTES, ", %lld micro-batches a step",
                       (long long)r->accumulate);
    }
}

void ps_model_recipe_fini(ps_model_recipe *self)
{
    ps_free(self->lengths);
    ps_free(self->targets);
    self->lengths = NULL;
    self->targets = NULL;
}

/* What says how ranks train together, or how they differ, is asked of recorded jobs too. */
static bool is_of_ranks(const ps_args *args, const char *option)
{
    const bool has_ranks = ps_args_has(args, "gpus");
    if (strcmp(option, "seed") == 0) {
        return ps_args_has(args, "jitter");
    }
    if (strcmp(option, "offload-activations") == 0 || strcmp(option, "offload-parameters") == 0) {
        return true; /* of a recording, too */
    }
    if (strcmp(option, "offload-prefetch") == 0 || strcmp(option, "offload-keep-first") == 0 ||
        strcmp(option, "offload-keep-last") == 0) {
        return ps_args_has(args, "offload-parameters");
    }
    const bool is_setting = strcmp(option, "scheme-option") == 0;
    return (is_setting && ps_args_has(args, "offload-optimizer")) ||
           (has_ranks && (strcmp(option, "policy") == 0 || is_setting));
}

const char *ps_model_recipe_given(const ps_args *args)
{
    static const ps_option rows[] = {PS_MODEL_OPTION_ROWS};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (ps_args_has(args, rows[i].name) && !is_of_ranks(args, rows[i].name)) {
            return rows[i].name;
        }
    }
    return NULL;
}
