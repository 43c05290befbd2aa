/* SPDX-License-Identifier: MIT
 *
 * Start-up: parameters one by one in module order, then the flat buffers they
 * move into, filled from the last parameter on.
 */
#include "base/checked.h"
#include "base/memory.h"
#include "workload/megatron/parts.h"

#define MAX_PARAMETERS ((size_t)1 << 22)
#define VOCABULARY_UNIT 128 /* words a tensor rank has are a multiple of it */
#define BUFFER_UNIT 64      /* a parameter begins at a multiple of so many elements */
#define BUFFER_END_UNIT 128 /* and a buffer ends at one of this and of its replicas */

static int64_t round_up(int64_t value, int64_t unit)
{
    return (value + unit - 1) / unit * unit;
}

/* ---- figures ---- */

static ps_code check_divides(const char *what, int64_t whole, int64_t parts, ps_error *err)
{
    if (whole % parts != 0) {
        return ps_fail(err, PS_USAGE, "%lld %s do not divide into %lld parts", (long long)whole,
                       what, (long long)parts);
    }
    return PS_OK;
}

static ps_code check_counts(const ps_megatron_recipe *r, ps_error *err)
{
    if (r->micro_batch < 1 || r->micro_batches < 1 || r->sequence < 1 || r->steps < 1) {
        return ps_fail(err, PS_USAGE,
                       "sequences, micro-batches, tokens and steps must be positive");
    }
    if (r->dtype != PS_DTYPE_BF16 && r->dtype != PS_DTYPE_F16) {
        return ps_fail(err, PS_USAGE, "parameters of 16 bits are modelled, no others");
    }
    return PS_OK;
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

/* Latent attention and experts on one tensor rank and one context rank. */
static ps_code check_experts(const ps__meg *self, ps_error *err)
{
    const ps_megatron_recipe *r = self->recipe;
    const ps_megatron_shape *shape = self->shape;
    const bool is_special = shape->latent.kv_rank > 0 || shape->experts.count > 0;
    if (is_special && (r->tensor > 1 || r->context > 1)) {
        return ps_fail(err, PS_USAGE,
                       "latent attention and experts are not modelled together with "
                       "tensor or context parallelism");
    }
    if (shape->experts.count == 0 && r->expert > 1) {
        return ps_fail(err, PS_USAGE, "a model without experts has none to divide");
    }
    return check_divides("experts", shape->experts.count, r->expert, err);
}

ps_code ps__meg_figures(ps__meg *self, ps_error *err)
{
    const ps_megatron_recipe *r = self->recipe;
    const ps_megatron_shape *shape = self->shape;
    PS_TRY(check_counts(r, err));
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
    const int64_t words = shape->vocabulary + (self->program->adds_document_end ? 1 : 0);
    self->vocabulary = round_up(words, VOCABULARY_UNIT * r->tensor) / r->tensor;
    self->layers = shape->layers / r->pipeline;
    self->first_layer = self->layers * self->grid.place[PS__MEG_PIPELINE];
    self->is_first = self->grid.place[PS__MEG_PIPELINE] == 0;
    self->is_last = self->grid.place[PS__MEG_PIPELINE] == r->pipeline - 1;
    const int64_t behind = r->pipeline - self->grid.place[PS__MEG_PIPELINE];
    self->in_flight = behind < r->micro_batches ? behind : r->micro_batches;
    return PS_OK;
}

/* ---- parameters ---- */

void ps__meg_add_parameter(ps__meg *self, int64_t rows, int64_t columns, bool is_expert)
{
    if (ps_grow((void **)&self->parameter, &self->parameter_capacity, self->parameter_count + 1,
                MAX_PARAMETERS, sizeof *self->parameter, NULL) != PS_OK) {
        ps_eager_fail(self->e, PS_NOMEM, "out of memory");
        return;
    }
    ps__meg_parameter *p = &self->parameter[self->parameter_count++];
    *p = (ps__meg_parameter){
        .elements = rows * columns, .is_matrix = rows > 1, .is_expert = is_expert};
    p->own = ps_eager_make(self->e, p->elements, self->dtype, PS_ROLE_PARAMETER);
    ps__meg_kernel(self, "init", p->elements);
}

void ps__meg_make_parameters(ps__meg *self)
{
    self->program->make_beginning(self);
    for (int64_t i = 0; i < self->layers; i++) {
        self->program->make_layer(self, i);
    }
    self->program->make_end(self);
}

/* ---- buffers ---- */

static int64_t lcm(int64_t a, int64_t b)
{
    int64_t x = a, y = b;
    while (y != 0) {
        const int64_t rest = x % y;
        x = y;
        y = rest;
    }
    return a / x * b;
}

static void lay_out(ps__meg *self, ps__meg_buffer *buffer, bool is_expert)
{
    int64_t end = 0;
    for (size_t i = self->parameter_count; i-- > 0;) {
        ps__meg_parameter *p = &self->parameter[i];
        if (p->is_expert == is_expert) {
            p->begin = round_up(end, BUFFER_UNIT);
            end = p->begin + p->elements;
        }
    }
    const int64_t replicas = ps__meg_grid_size(&self->grid, buffer->axes);
    buffer->elements = round_up(end, lcm(replicas, BUFFER_END_UNIT));
}

/* Parameters move into the buffer one after the other. */
static void move_parameters(ps__meg *self, ps__meg_buffer *buffer, bool is_expert)
{
    for (size_t i = self->parameter_count; i-- > 0 && buffer->parameters != 0;) {
        ps__meg_parameter *p = &self->parameter[i];
        if (p->is_expert == is_expert) {
            ps__meg_kernel(self, "copy", 2 * p->elements);
            ps_eager_clear(self->e, &p->own);
        }
    }
}

static void fill(ps__meg *self, ps__meg_buffer *buffer, bool is_expert)
{
    if (buffer->elements == 0) {
        return;
    }
    const ps_eager_lane was = ps_eager_set_lane(self->e, PS__MEG_LANE_DATA);
    if (self->recipe->shards_optimizer) { /* or else parameters stay where they are */
        buffer->parameters =
            ps_eager_make(self->e, buffer->elements, self->dtype, PS_ROLE_PARAMETER);
        ps__meg_kernel(self, "fill", buffer->elements);
    }
    buffer->gradients =
        ps_eager_make(self->e, buffer->elements, self->grad_dtype, PS_ROLE_GRADIENT);
    ps__meg_bytes(self, "fill", buffer->elements * (int64_t)ps_dtype_bytes(self->grad_dtype));
    move_parameters(self, buffer, is_expert);
    (void)ps_eager_set_lane(self->e, was);
}

void ps__meg_make_buffers(ps__meg *self)
{
    self->buffer[PS__MEG_DENSE] =
        (ps__meg_buffer){.axes = PS__MEG_REPLICAS, .lane = PS__MEG_LANE_DATA};
    self->buffer[PS__MEG_EXPERTS] =
        (ps__meg_buffer){.axes = PS__MEG_EXPERT_REPLICAS, .lane = PS__MEG_LANE_EXPERT_DATA};
    for (int i = 0; i < PS__MEG_BUFFERS; i++) {
        lay_out(self, &self->buffer[i], i == PS__MEG_EXPERTS);
        fill(self, &self->buffer[i], i == PS__MEG_EXPERTS);
    }
}
