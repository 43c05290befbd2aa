/* SPDX-License-Identifier: MIT
 *
 * From options to a recipe.
 */
#include "model_recipe.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "model_recipe_parts.h"

static size_t choice(const ps_args *args, const char *name)
{
    return ps_args_has(args, name) ? ps_args_choice(args, name) : 0;
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
    const size_t i = choice(args, "dtype");
    r->parameters = types[i].parameters;
    r->autocast = types[i].autocast;
    r->scales_loss = types[i].scales_loss;
    r->has_masters = i == BF16_FP32_MASTER;
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

static void read_plain(const ps_args *args, ps_recipe *r)
{
    r->batch = ps__recipe_number(args, "batch", 1);
    r->length = ps__recipe_number(args, "seq", 1024);
    r->steps = ps__recipe_number(args, "steps", ps_args_has(args, "hift") ? 0 : PS_MODEL_STEPS);
    r->accumulate = ps__recipe_number(args, "accumulate", 1);
    r->lora_rank = ps__recipe_number(args, "lora", 0);
    r->optimizer = ps_args_has(args, "optimizer") ? ps_args_text(args, "optimizer") : "adamw";
    r->style = (ps_optimizer_style)choice(args, "optimizer-kind");
    r->optimizer_rank = ps__recipe_number(args, "optimizer-rank", 0);
    r->zero_grad = (ps_zero_grad)choice(args, "zero-grad");
    r->attention = (ps_attention_kind)choice(args, "attention");
    r->keeps_output = !ps_args_has(args, "drop-output");
    r->is_evaluating = ps_args_has(args, "no-dropout");
    r->clips = ps_args_has(args, "clip");
    r->empties_cache = ps_args_has(args, "empty-cache");
    r->report_ns = ps__recipe_number(args, "report-time", 0);
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
    PS_TRY(ps__recipe_read_lora(args, out, err));
    PS_TRY(ps__recipe_read_policies(args, &out->recipe, err));
    PS_TRY(ps__recipe_read_quantize(args, &out->recipe, err));
    return ps__recipe_read_lengths(args, out, err);
}

void ps_model_recipe_fini(ps_model_recipe *self)
{
    ps_free(self->lengths);
    ps_free(self->targets);
    self->lengths = NULL;
    self->targets = NULL;
}

/* What says how ranks train together, how they differ, or what they offload, is asked of recorded
 * jobs too. */
static bool is_of_recordings(const ps_args *args, const char *option)
{
    const bool has_ranks = ps_args_has(args, "gpus");
    if (strcmp(option, "seed") == 0) {
        return ps_args_has(args, "jitter");
    }
    if (strcmp(option, "offload-activations") == 0 || strcmp(option, "offload-parameters") == 0) {
        return true;
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
        if (ps_args_has(args, rows[i].name) && !is_of_recordings(args, rows[i].name)) {
            return rows[i].name;
        }
    }
    return NULL;
}
