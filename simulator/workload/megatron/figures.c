/* SPDX-License-Identifier: MIT
 *
 * Figures of a rank: what shape, recipe and place in the grid make of the
 * model, and what cannot be.
 */
#include "workload/megatron/parts.h"

#define VOCABULARY_UNIT 128 /* words a tensor rank has are a multiple of it */

static ps_code check_divides(const char *what, int64_t whole, int64_t parts, ps_error *err)
{
    if (whole % parts != 0) {
        return ps_fail(err, PS_USAGE, "%lld %s do not divide into %lld parts", (long long)whole,
                       what, (long long)parts);
    }
    return PS_OK;
}

static ps_code check_range(const char *what, int64_t value, int64_t max, ps_error *err)
{
    if (value < 1 || value > max) {
        return ps_fail(err, PS_USAGE, "%lld %s: expected 1 to %lld", (long long)value, what,
                       (long long)max);
    }
    return PS_OK;
}

/* Limits that keep every product of these figures, in flop and bytes, within 64 bits. */
#define MAX_TOKENS ((int64_t)1 << 22)
#define MAX_SEQUENCE ((int64_t)1 << 20)
#define MAX_WIDTH ((int64_t)1 << 18)
#define MAX_VOCABULARY ((int64_t)1 << 22)
#define MAX_LAYERS ((int64_t)1 << 14)
#define MAX_GROUP_TOKENS ((int64_t)1 << 25) /* that ranks send to an expert */
#define MAX_PASSES ((int64_t)1 << 20)       /* of layers, in all steps */

static ps_code check_recipe(const ps_megatron_recipe *r, int64_t layers, ps_error *err)
{
    PS_TRY(check_range("tokens of a sequence", r->sequence, MAX_SEQUENCE, err));
    PS_TRY(
        check_range("sequences of a micro-batch", r->micro_batch, MAX_TOKENS / r->sequence, err));
    PS_TRY(check_range("steps", r->steps, MAX_PASSES, err));
    PS_TRY(check_range("micro-batches", r->micro_batches, MAX_PASSES / r->steps, err));
    if (layers * r->micro_batches > MAX_PASSES / r->steps) {
        return ps_fail(err, PS_LIMIT, "more than %lld passes through layers",
                       (long long)MAX_PASSES);
    }
    if (r->dtype != PS_DTYPE_BF16 && r->dtype != PS_DTYPE_F16) {
        return ps_fail(err, PS_USAGE, "parameters of 16 bits are modelled, no others");
    }
    return PS_OK;
}

static ps_code check_shape(const ps_megatron_shape *shape, ps_error *err)
{
    const ps_megatron_latent *latent = &shape->latent;
    const ps_megatron_experts *experts = &shape->experts;
    PS_TRY(check_range("layers", shape->layers, MAX_LAYERS, err));
    PS_TRY(check_range("words", shape->vocabulary, MAX_VOCABULARY, err));
    PS_TRY(check_range("hidden elements", shape->hidden, MAX_WIDTH, err));
    PS_TRY(check_range("elements of the feed-forward", shape->ffn, MAX_WIDTH, err));
    PS_TRY(check_range("heads", shape->heads, MAX_WIDTH, err));
    PS_TRY(check_range("heads of keys", shape->kv_heads, shape->heads, err));
    PS_TRY(check_range("elements of a head", shape->head, MAX_WIDTH / shape->heads, err));
    if (latent->kv_rank != 0) {
        const int64_t head = MAX_WIDTH / shape->heads;
        PS_TRY(check_range("elements of latent keys and values", latent->kv_rank, MAX_WIDTH, err));
        PS_TRY(check_range("elements of latent queries", latent->q_rank, MAX_WIDTH, err));
        PS_TRY(check_range("rotary elements of a head", latent->rotary_head, head, err));
        PS_TRY(check_range("elements of a head of values", latent->value_head, head, err));
    }
    if (experts->count != 0) {
        PS_TRY(check_range("experts", experts->count, MAX_LAYERS, err));
        PS_TRY(check_range("experts of a token", experts->chosen, experts->count, err));
        PS_TRY(check_range("elements of an expert", experts->ffn, MAX_WIDTH, err));
        PS_TRY(check_range("elements of shared experts and one more", experts->shared_ffn + 1,
                           MAX_WIDTH, err));
    }
    return shape->dialect == PS_MEGATRON_GPT
               ? check_range("positions", shape->positions, MAX_VOCABULARY, err)
               : PS_OK;
}

/* What the older program does not have. */
static ps_code check_program(const ps__meg *self, ps_error *err)
{
    const ps_megatron_recipe *r = self->recipe;
    if (self->program != &ps__meg_gpt_program) {
        return PS_OK;
    }
    if (r->context > 1 || r->expert > 1 || (r->is_sequence_parallel && r->tensor > 1)) {
        return ps_fail(err, PS_USAGE,
                       "a GPT is trained without context, expert and sequence parallelism");
    }
    if (r->sequence > self->shape->positions) {
        return ps_fail(err, PS_USAGE, "a sequence of %lld tokens: the model has positions for %lld",
                       (long long)r->sequence, (long long)self->shape->positions);
    }
    return PS_OK;
}

/* What latent attention and experts are not modelled with. */
static ps_code check_special(const ps__meg *self, ps_error *err)
{
    const ps_megatron_recipe *r = self->recipe;
    const ps_megatron_experts *experts = &self->shape->experts;
    if (self->shape->latent.kv_rank == 0 && experts->count == 0) {
        return PS_OK;
    }
    if (r->context > 1) {
        return ps_fail(err, PS_USAGE,
                       "latent attention and experts are not modelled together with context "
                       "parallelism");
    }
    if (r->tensor > 1 && !r->is_sequence_parallel) {
        return ps_fail(err, PS_USAGE,
                       "latent attention and experts over tensor ranks need sequence parallelism");
    }
    PS_TRY(check_divides("elements of an expert", experts->ffn, r->tensor, err));
    return check_divides("elements of shared experts", experts->shared_ffn, r->tensor, err);
}

static ps_code check_experts(const ps__meg *self, ps_error *err)
{
    const ps_megatron_recipe *r = self->recipe;
    const ps_megatron_shape *shape = self->shape;
    PS_TRY(check_special(self, err));
    if (shape->experts.count == 0 && r->expert > 1) {
        return ps_fail(err, PS_USAGE, "a model without experts has none to divide");
    }
    if (r->micro_batch * r->sequence > MAX_GROUP_TOKENS / r->expert) {
        return ps_fail(err, PS_LIMIT, "more than %lld tokens go to one expert",
                       (long long)MAX_GROUP_TOKENS);
    }
    return check_divides("experts", shape->experts.count, r->expert, err);
}

ps_code ps__meg_figures(ps__meg *self, ps_error *err)
{
    const ps_megatron_recipe *r = self->recipe;
    const ps_megatron_shape *shape = self->shape;
    PS_TRY(check_shape(shape, err));
    PS_TRY(check_recipe(r, shape->layers, err));
    PS_TRY(check_divides("layers", shape->layers, r->pipeline, err));
    PS_TRY(check_divides("heads", shape->heads, r->tensor * r->context, err));
    PS_TRY(check_divides("heads of keys", shape->kv_heads, r->tensor * r->context, err));
    PS_TRY(check_divides("elements of the feed-forward", shape->ffn, r->tensor, err));
    PS_TRY(check_divides("tokens", r->sequence, r->tensor * r->context, err));
    self->program = shape->dialect == PS_MEGATRON_GPT ? &ps__meg_gpt_program : &ps__meg_core;
    PS_TRY(check_program(self, err));
    PS_TRY(check_experts(self, err));
    self->dtype = r->dtype;
    self->grad_dtype = self->program->gradients == PS_DTYPE_F16 ? r->dtype : PS_DTYPE_F32;
    self->is_sequence_parallel = r->is_sequence_parallel && r->tensor > 1;
    self->tokens = r->micro_batch * (r->sequence / r->context);
    self->slice = self->is_sequence_parallel ? self->tokens / r->tensor : self->tokens;
    self->heads = shape->heads / r->tensor;
    self->kv_heads = shape->kv_heads / r->tensor;
    self->ffn = shape->ffn / r->tensor;
    const int64_t unit = VOCABULARY_UNIT * r->tensor;
    const int64_t words = shape->vocabulary + (self->program->adds_document_end ? 1 : 0);
    self->vocabulary = (words + unit - 1) / unit * VOCABULARY_UNIT;
    self->layers = shape->layers / r->pipeline;
    self->first_layer = self->layers * self->grid.place[PS__MEG_PIPELINE];
    self->is_first = self->grid.place[PS__MEG_PIPELINE] == 0;
    self->is_last = self->grid.place[PS__MEG_PIPELINE] == r->pipeline - 1;
    const int64_t behind = r->pipeline - self->grid.place[PS__MEG_PIPELINE];
    self->in_flight = behind < r->micro_batches ? behind : r->micro_batches;
    return PS_OK;
}
