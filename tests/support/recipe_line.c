/* SPDX-License-Identifier: MIT
 *
 * Reading recipes.
 */
#include "support/recipe_line.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *value_of(const char *line, const char *key)
{
    static char value[RECIPE_WORD_BYTES];
    char wanted[64];
    (void)snprintf(wanted, sizeof wanted, " %s=", key);
    const char *at = strstr(line, wanted);
    if (at == NULL || sscanf(at + strlen(wanted), "%127s", value) != 1) {
        return "";
    }
    return value;
}

static bool is_on(const char *line, const char *key)
{
    return strcmp(value_of(line, key), "1") == 0;
}

static ps_attention_kind attention_of(const char *word)
{
    static const char *const words[] = {
#define PS_ATTENTION_WORD(sym, word, doc) word,
        PS_ATTENTIONS(PS_ATTENTION_WORD)
#undef PS_ATTENTION_WORD
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(words[i], word) == 0) {
            return (ps_attention_kind)i;
        }
    }
    return PS_ATTENTION_AUTO;
}

/* Names of modules between commas, that adapters go to. */
static size_t read_targets(const char *line, recipe_words *words)
{
    size_t count = 0;
    char *rest = NULL;
    (void)snprintf(words->targets, sizeof words->targets, "%s", value_of(line, "targets"));
    for (char *word = strtok_r(words->targets, ",", &rest); word != NULL && count < RECIPE_TARGETS;
         word = strtok_r(NULL, ",", &rest)) {
        words->target[count++] = word;
    }
    return count;
}

static void read_scheme(const char *line, ps_parallel *parallel)
{
    const char *word = value_of(line, "scheme");
    if (*word != '\0') {
        parallel->scheme = ps_parallel_scheme_of(word);
        parallel->ranks = strtoll(value_of(line, "ranks"), NULL, 10);
        parallel->ddp.gradient_as_bucket_view = is_on(line, "view");
        if (*value_of(line, "bucket") != '\0') {
            parallel->zero.reduce_bucket_size = strtoll(value_of(line, "bucket"), NULL, 10);
            parallel->zero.prefetch_bucket_size = strtoll(value_of(line, "prefetch"), NULL, 10);
            parallel->zero.param_persistence_threshold =
                strtoll(value_of(line, "persist"), NULL, 10);
            parallel->zero.has_overlap_comm = is_on(line, "overlap");
            parallel->zero.overlap_comm = true;
            parallel->zero.max_reuse_distance =
                is_on(line, "near") ? 0 : parallel->zero.max_reuse_distance;
        }
        if (is_on(line, "mixed")) {
            parallel->fsdp.has_param_dtype = true;
            parallel->fsdp.param_dtype = PS_DTYPE_BF16;
            parallel->fsdp.has_reduce_dtype = parallel->scheme == PS_PARALLEL_FSDP2;
            parallel->fsdp.reduce_dtype = PS_DTYPE_F32;
        }
        parallel->fsdp.gathers_unlimited = true;     /* as recorded */
        parallel->ddp.find_unused_parameters = true; /* as recorded */
        parallel->fsdp.keeps_gathered = is_on(line, "keep");
    }
}

ps_recipe recipe_of_line(const char *line, recipe_words *words)
{
    ps_recipe r = ps_recipe_default();
    const char *dtype = value_of(line, "dtype");
    r.parameters = strcmp(dtype, "bf16") == 0   ? PS_DTYPE_BF16
                   : strcmp(dtype, "fp16") == 0 ? PS_DTYPE_F16
                                                : PS_DTYPE_F32;
    r.autocast = strcmp(dtype, "amp-bf16") == 0   ? PS_DTYPE_BF16
                 : strcmp(dtype, "amp-fp16") == 0 ? PS_DTYPE_F16
                                                  : PS_DTYPE_F32;
    r.scales_loss = strcmp(dtype, "amp-fp16") == 0;
    r.batch = strtoll(value_of(line, "batch"), NULL, 10);
    r.length = strtoll(value_of(line, "length"), NULL, 10);
    r.steps = strtoll(value_of(line, "steps"), NULL, 10);
    r.attention = attention_of(value_of(line, "attention"));
    (void)snprintf(words->optimizer, sizeof words->optimizer, "%s", value_of(line, "optimizer"));
    r.optimizer = words->optimizer;
    const char *style = value_of(line, "style");
    /* recordings call "foreach" what the library does unasked */
    r.style = strcmp(style, "fused") == 0  ? PS_OPTIMIZER_FUSED
              : strcmp(style, "loop") == 0 ? PS_OPTIMIZER_LOOP
                                           : PS_OPTIMIZER_AUTO;
    r.overlaps_batches = true;
    r.has_mask = is_on(line, "masked");
    /* the stand-in computes nothing: torch.all(mask == 1) is true only where the recording says so */
    r.pads = !is_on(line, "unpadded");
    r.has_masters = is_on(line, "masters");
    r.hift.layers = strtoll(value_of(line, "hift"), NULL, 10);
    r.clips = is_on(line, "clip");
    r.is_forward_only = is_on(line, "forward");
    r.is_evaluating = is_on(line, "evaluating");
    r.accumulate = is_on(line, "accumulate") ? 2 : 1;
    r.checkpoint_every = is_on(line, "checkpoint") ? 1 : 0;
    r.checkpoints_attention = is_on(line, "checkpoint_attention");
    r.has_no_cache = r.checkpoint_every > 0 || r.checkpoints_attention;
    r.lora_rank = is_on(line, "lora") ? 8 : 0;
    r.has_lora_dropout = r.lora_rank > 0;
    r.lora_target = words->target;
    r.lora_target_count = read_targets(line, words);
    const char *quantize = value_of(line, "quantize");
    r.quantize = strcmp(quantize, "nf4") == 0          ? PS_QUANTIZE_NF4
                 : strcmp(quantize, "nf4-single") == 0 ? PS_QUANTIZE_NF4_SINGLE
                                                       : PS_QUANTIZE_NONE;
    r.begins_at_inputs = r.lora_rank > 0;
    read_scheme(line, &r.parallel);
    r.has_no_cache = r.has_no_cache || r.parallel.scheme != PS_PARALLEL_NONE;
    return r;
}
