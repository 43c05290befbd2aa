/* SPDX-License-Identifier: MIT
 *
 * From options to a Megatron job.
 */
#include "megatron_case.h"

#include <stdio.h>
#include <string.h>

#include "model_recipe.h"
#include "workload/script/build.h"

#define TEXT_BYTES 256

#define DEFAULT_SEQUENCE 1024

static bool names(const ps_args *args, const char *policy)
{
    for (size_t i = 0; i < ps_args_count(args, "policy"); i++) {
        if (strcmp(ps_args_at(args, "policy", i), policy) == 0) {
            return true;
        }
    }
    return false;
}

/* Gemini shares modules in a way of its own, which needs --tp alone. */
bool ps_megatron_case_is(const ps_args *args)
{
    return names(args, "megatron") ||
           (ps_args_has(args, "tp") && !names(args, "gemini") && !names(args, "gemini-cdp")) ||
           ps_args_has(args, "pp") || ps_args_has(args, "cp") || ps_args_has(args, "ep");
}

static int64_t number(const ps_args *args, const char *name, int64_t fallback)
{
    return ps_args_has(args, name) ? (int64_t)ps_args_quantity(args, name) : fallback;
}

/* Options that say how another framework trains. */
static ps_code refuse_others(const ps_args *args, ps_error *err)
{
    static const char *const others[] = {
        "optimizer-kind", "optimizer-rank", "zero-grad", "attention",     "lora", "lora-target",
        "quantize",       "lengths",        "mask",      "scheme-option", "hift", "hift-order"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (ps_args_has(args, others[i])) {
            return ps_fail(err, PS_USAGE, "--%s is not one of Megatron's", others[i]);
        }
    }
    if (ps_args_has(args, "optimizer") && strcmp(ps_args_text(args, "optimizer"), "adamw") != 0) {
        return ps_fail(err, PS_USAGE, "--optimizer %.40s: Megatron's is adamw",
                       ps_args_text(args, "optimizer"));
    }
    for (size_t i = 0; i < ps_args_count(args, "policy"); i++) {
        if (strcmp(ps_args_at(args, "policy", i), "megatron") != 0) {
            return ps_fail(err, PS_USAGE,
                           "--policy %s does not go with Megatron's --tp, --pp, --cp, "
                           "--ep",
                           ps_args_at(args, "policy", i));
        }
    }
    return PS_OK;
}

static ps_code read_replicas(const ps_model_machine *machine, ps_megatron_recipe *r, ps_error *err)
{
    const int64_t shared = r->tensor * r->context * r->pipeline;
    if (machine->gpus % shared != 0) {
        return ps_fail(err, PS_USAGE, "--gpus %u is no multiple of --tp x --cp x --pp, %lld",
                       machine->gpus, (long long)shared);
    }
    r->data = machine->gpus / shared;
    return PS_OK;
}

static ps_code read_precision(const ps_args *args, ps_megatron_recipe *r, ps_error *err)
{
    enum { BF16 = 1, FP16 = 2, BF16_FP32_MASTER = 5 }; /* of --dtype */
    const size_t dtype = ps_args_has(args, "dtype") ? ps_args_choice(args, "dtype") : BF16;
    if (dtype != BF16 && dtype != FP16 && dtype != BF16_FP32_MASTER) {
        return ps_fail(err, PS_USAGE, "Megatron trains in bf16 or fp16 with copies of 32 bits");
    }
    r->dtype = dtype == FP16 ? PS_DTYPE_F16 : PS_DTYPE_BF16;
    return PS_OK;
}

static ps_code read_checkpoint(const ps_args *args, ps_megatron_recipe *r, ps_error *err)
{
    const char *text = ps_args_text(args, "checkpoint");
    if (text == NULL || strcmp(text, "none") == 0 || strcmp(text, "full") == 0) {
        r->recomputes = text != NULL && strcmp(text, "full") == 0;
        return PS_OK;
    }
    return ps_fail(err, PS_USAGE, "--checkpoint %s: of Megatron's layers none or all (full)", text);
}

/* The older program has no sequence parallelism, and every replica has the whole optimizer. */
static void choose_program(const ps_megatron_shape *shape, ps_megatron_recipe *r)
{
    if (shape->dialect == PS_MEGATRON_GPT) {
        r->is_sequence_parallel = false;
        r->shards_optimizer = false;
    }
}

ps_code ps_megatron_case_recipe(const ps_args *args, const ps_megatron_shape *shape,
                                ps_megatron_recipe *r, ps_error *err)
{
    *r = ps_megatron_recipe_default();
    choose_program(shape, r);
    r->micro_batch = number(args, "batch", 1);
    r->micro_batches = number(args, "accumulate", 1);
    r->sequence = number(args, "seq", DEFAULT_SEQUENCE);
    r->steps = number(args, "steps", PS_MODEL_STEPS);
    r->tensor = number(args, "tp", 1);
    r->context = number(args, "cp", 1);
    r->expert = number(args, "ep", 1);
    r->pipeline = number(args, "pp", 1);
    PS_TRY(refuse_others(args, err));
    PS_TRY(read_precision(args, r, err));
    return read_checkpoint(args, r, err);
}

/* ---- building ---- */

typedef struct building {
    ps_megatron_job job;
    char text[TEXT_BYTES];
} building;

static void describe(const ps_megatron_recipe *r, char text[TEXT_BYTES])
{
    (void)snprintf(text, TEXT_BYTES,
                   "%s with fp32 copies, Megatron: tp %lld, cp %lld, ep %lld, pp %lld, dp %lld, "
                   "%s%lld x %lld tokens, %lld micro-batches a step",
                   r->dtype == PS_DTYPE_F16 ? "fp16" : "bf16", (long long)r->tensor,
                   (long long)r->context, (long long)r->expert, (long long)r->pipeline,
                   (long long)r->data, r->recomputes ? "every layer recomputed, " : "",
                   (long long)r->micro_batch, (long long)r->sequence, (long long)r->micro_batches);
}

static ps_code build_rank(void *context, uint32_t rank, ps_workload **out, ps_error *err)
{
    const building *self = context;
    PS_TRY(ps_megatron_build(&self->job, rank, out, err));
    const ps_code code = ps_workload_set_meta(*out, PS_WORKLOAD_META_RECIPE, self->text, err);
    if (code != PS_OK) {
        ps_workload_destroy(*out);
    }
    return code;
}

ps_code ps_megatron_case_shape(const ps_model_config *config, const ps_args *args,
                               ps_megatron_shape *out, ps_error *err)
{
    return ps_megatron_shape_read(config, number(args, "layers", 0), out, err);
}

ps_code ps_megatron_case_build_recipe(const char *name, const ps_megatron_shape *shape,
                                      const ps_megatron_recipe *given,
                                      const ps_model_machine *machine, ps_ranks *out, ps_error *err)
{
    ps_megatron_recipe recipe = *given;
    building self;
    PS_TRY(read_replicas(machine, &recipe, err));
    self.job = (ps_megatron_job){
        .name = name, .shape = shape, .recipe = &recipe, .device = machine->device};
    describe(&recipe, self.text);
    return ps_ranks_build(machine->gpus, build_rank, &self, out, err);
}

ps_code ps_megatron_case_build(const ps_model_config *config, const ps_args *args,
                               const ps_model_machine *machine, ps_ranks *out, ps_error *err)
{
    ps_megatron_shape shape;
    ps_megatron_recipe recipe;
    PS_TRY(ps_megatron_case_shape(config, args, &shape, err));
    PS_TRY(ps_megatron_case_recipe(args, &shape, &recipe, err));
    return ps_megatron_case_build_recipe(ps_model_config_name(config), &shape, &recipe, machine,
                                         out, err);
}
