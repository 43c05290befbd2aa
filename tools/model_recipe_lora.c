/* SPDX-License-Identifier: MIT
 *
 * Adapters of a recipe (LoRA), and weights of 4 bits below them (QLoRA).
 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "model_recipe_parts.h"

static ps_code need_lora(const ps_args *args, const char *option, ps_error *err)
{
    return ps_args_has(args, "lora") ? PS_OK : ps_fail(err, PS_USAGE, "--%s needs --lora", option);
}

static ps_code read_targets(const ps_args *args, ps_model_recipe *out, ps_error *err)
{
    const size_t count = ps_args_count(args, "lora-target");
    if (count == 0) {
        return PS_OK;
    }
    PS_TRY(need_lora(args, "lora-target", err));
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

static ps_code read_dropout(const ps_args *args, ps_recipe *r, ps_error *err)
{
    const char *text = ps_args_text(args, "lora-dropout");
    char *end = NULL;
    if (text == NULL) {
        return PS_OK;
    }
    PS_TRY(need_lora(args, "lora-dropout", err));
    const double share = strtod(text, &end);
    if (end == text || *end != '\0' || !(share >= 0.0 && share < 1.0)) {
        return ps_fail(err, PS_USAGE,
                       "--lora-dropout \"%s\": expected a share from 0 to below 1, such as 0.05",
                       text);
    }
    r->has_lora_dropout = share > 0.0;
    return PS_OK;
}

static ps_code read_dtype(const ps_args *args, ps_recipe *r, ps_error *err)
{
    const char *text = ps_args_text(args, "lora-dtype");
    if (text == NULL) {
        return PS_OK;
    }
    PS_TRY(need_lora(args, "lora-dtype", err));
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

ps_code ps__recipe_read_lora(const ps_args *args, ps_model_recipe *out, ps_error *err)
{
    PS_TRY(read_targets(args, out, err));
    PS_TRY(read_dropout(args, &out->recipe, err));
    return read_dtype(args, &out->recipe, err);
}

ps_code ps__recipe_read_quantize(const ps_args *args, ps_recipe *r, ps_error *err)
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
