/* SPDX-License-Identifier: MIT
 *
 * What the options of `plan` say.
 */
#include "search_case.h"

#include <stdio.h>
#include <string.h>

#include "model_case.h"
#include "workload/optimizer/optimizer.h"

/* Tokens of a step on each GPU where nobody says how many: 128 Ki on eight, as fine-tuning has. All
 * methods then do the same in a step, and none is faster for having less to exchange. */
#define USUAL_TOKENS 16384

/* Sequences of a micro-batch beyond which no speed is gained that a search would find. */
#define MOST_SEQUENCES 512

static int64_t number(const ps_args *args, const char *name, int64_t fallback)
{
    return ps_args_has(args, name) ? (int64_t)ps_args_quantity(args, name) : fallback;
}

/* ---- the recipe ---- */

/* 16 bits, as nearly everybody fine-tunes: bf16 where the GPU multiplies it. */
static void choose_dtype(ps_search_case *self)
{
    const bool is_given = ps_args_has(self->args, "dtype");
    const bool has_bf16 =
        self->machine.device.capability == 0 || self->machine.device.capability >= 80;
    self->dtype = is_given ? ps_args_text(self->args, "dtype") : has_bf16 ? "bf16" : "fp16";
    if (!is_given) {
        self->recipe.recipe.parameters = has_bf16 ? PS_DTYPE_BF16 : PS_DTYPE_F16;
        self->megatron.dtype = self->recipe.recipe.parameters;
    }
}

static void read_megatron(ps_search_case *self)
{
    ps_error why = {0};
    ps_code code = ps_megatron_case_shape(self->config, self->args, &self->shape, &why);
    if (code == PS_OK) {
        code = ps_megatron_case_recipe(self->args, &self->shape, &self->megatron, &why);
    }
    self->has_megatron = code == PS_OK;
    (void)snprintf(self->no_megatron, sizeof self->no_megatron, "%.300s", why.message);
}

static ps_code check(const ps_search_case *self, ps_error *err)
{
    const ps_args *args = self->args;
    if (ps_args_has(args, "global-batch") && ps_args_has(args, "min-tokens")) {
        return ps_fail(err, PS_USAGE,
                       "--global-batch and --min-tokens both say how large a step is: one of them");
    }
    if (ps_args_has(args, "lengths")) {
        return ps_fail(err, PS_USAGE, "--lengths: a search trains on sequences of one length");
    }
    if (ps_args_has(args, "hift")) {
        return ps_fail(err, PS_USAGE,
                       "--hift: steps of different groups take different times: simulate it");
    }
    return self->has_megatron || !ps_megatron_case_is(args)
               ? PS_OK
               : ps_fail(err, PS_USAGE, "%s", self->no_megatron);
}

ps_code ps_search_case_read(const char *input, const ps_args *args, const ps_catalogue *catalogue,
                            ps_search_case *out, ps_error *err)
{
    *out = (ps_search_case){
        .args = args, .catalogue = catalogue, .margin = ps_args_quantity(args, "margin")};
    PS_TRY(ps_model_case_config(input, &out->config, err));
    PS_TRY(ps_model_machine_read(args, catalogue, &out->machine, err));
    ps_model_machine_set_memory(&out->machine, ps_args_quantity(args, "memory"));
    if (!ps_megatron_case_is(args)) {
        PS_TRY(ps_model_recipe_read(args, &out->recipe, err));
    }
    read_megatron(out);
    choose_dtype(out);
    return check(out, err);
}

void ps_search_case_fini(ps_search_case *self)
{
    ps_model_recipe_fini(&self->recipe);
    ps_model_machine_fini(&self->machine);
    ps_model_config_destroy(self->config);
    *self = (ps_search_case){0};
}

/* ---- where things may lie ---- */

static bool has_disks(const ps_cluster *cluster)
{
    const ps_rank_host host = ps_cluster_host(cluster, 0);
    return host.read_bytes_per_s > 0 && host.write_bytes_per_s > 0;
}

/* What was said of the optimizer's place is kept. */
static bool is_placed(const ps_args *args)
{
    static const char *const keys[] = {"offload_", "update_stride", "delayed_param_update"};
    for (size_t i = 0; i < ps_args_count(args, "scheme-option"); i++) {
        for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
            if (strncmp(ps_args_at(args, "scheme-option", i), keys[k], strlen(keys[k])) == 0) {
                return true;
            }
        }
    }
    return false;
}

/* The host steps by Adam, over weights of 16 bits. */
static bool has_host_optimizer(const ps_search_case *self)
{
    const ps_recipe *r = &self->recipe.recipe;
    const bool is_adam = r->optimizer != NULL &&
                         (strcmp(r->optimizer, "adam") == 0 || strcmp(r->optimizer, "adamw") == 0);
    return is_adam && r->parameters != PS_DTYPE_F32 && !r->has_masters && !is_placed(self->args);
}

static void set_places(const ps_search_case *self, bool has_backward, ps_search_space *space)
{
    const ps_args *args = self->args;
    const ps_recipe *r = &self->recipe.recipe;
    space->has_host_optimizer = has_host_optimizer(self);
    space->has_disks = has_disks(self->machine.cluster);
    space->has_host_parameters = !ps_args_has(args, "offload-parameters");
    space->has_host_activations = has_backward && !ps_args_has(args, "offload-activations");
    space->has_adapters = r->lora_rank > 0;
    space->is_quantized = r->quantize != PS_QUANTIZE_NONE;
}

/* ---- what is searched ---- */

static bool allows(const ps_args *args, const char *word)
{
    for (size_t i = 0; i < ps_args_count(args, "allow"); i++) {
        if (strcmp(ps_args_at(args, "allow", i), word) == 0) {
            return true;
        }
    }
    return false;
}

ps_search_space ps_search_case_space(const ps_search_case *self)
{
    const ps_args *args = self->args;
    const ps_recipe *r = &self->recipe.recipe;
    /* without a backward pass nothing is recomputed */
    const bool has_backward =
        r->optimizer == NULL || ps_optimizer_way_of(r->optimizer) != PS_OPTIMIZER_ZEROTH_ORDER;
    const bool is_open = has_backward && !ps_args_has(args, "checkpoint");
    ps_search_space space = {
        .gpus = self->machine.gpus,
        .has_training = {true, allows(args, "lora"), allows(args, "qlora"), allows(args, "lomo"),
                         allows(args, "mezo")},
        .has_recompute = {true, is_open},
        .has_lsp = allows(args, "lsp"),
        .only_megatron = ps_megatron_case_is(args),
        .policy = r->policy,
        .scheme = r->parallel.scheme,
        .tensor = number(args, "tp", 0),
        .pipeline = number(args, "pp", 0),
    };
    space.only_others = r->parallel.scheme != PS_PARALLEL_NONE || r->policy != PS_TRAIN_POLICY_NONE;
    set_places(self, has_backward, &space);
    if (self->has_megatron) {
        space.heads = self->shape.heads;
        space.layers = self->shape.layers;
    }
    return space;
}

static int64_t round_up(int64_t whole, int64_t part)
{
    return whole / part + (whole % part != 0);
}

static int64_t usual_batch(const ps_search_case *self)
{
    static const char *const sizes[] = {"global-batch", "min-tokens", "batch", "accumulate"};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        if (ps_args_has(self->args, sizes[i])) {
            return 0;
        }
    }
    const char *optimizer = self->recipe.recipe.optimizer;
    if (optimizer != NULL && ps_optimizer_way_of(optimizer) != PS_OPTIMIZER_AFTER_BACKWARD) {
        return 0; /* it leaves no gradients to accumulate: any step of one micro-batch */
    }
    return round_up(USUAL_TOKENS, ps_search_case_length(self)) * self->machine.gpus;
}

ps_search_batch_rule ps_search_case_rule(const ps_search_case *self)
{
    const ps_args *args = self->args;
    const int64_t length = ps_search_case_length(self);
    const int64_t tokens = number(args, "min-tokens", 0);
    return (ps_search_batch_rule){
        .global_batch = number(args, "global-batch", usual_batch(self)),
        .is_usual = !ps_args_has(args, "global-batch"),
        .min_sequences = round_up(tokens, length),
        .micro_batch = number(args, "batch", 0),
        .accumulate = number(args, "accumulate", 0),
        .most = MOST_SEQUENCES,
    };
}

int64_t ps_search_case_length(const ps_search_case *self)
{
    return number(self->args, "seq", 1024);
}
