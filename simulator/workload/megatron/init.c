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
    self->dtype = r->dtype;
    self->is_sequence_parallel = r->is_sequence_parallel && r->tensor > 1;
    self->tokens = r->micro_batch * (r->sequence / r->context);
    self->slice = self->is_sequence_parallel ? self->tokens / r->tensor : self->tokens;
    self->heads = shape->heads / r->tensor;
    self->kv_heads = shape->kv_heads / r->tensor;
    self->ffn = shape->ffn / r->tensor;
    /* the tokenizer has one word more: the end of a document */
    self->vocabulary = round_up(shape->vocabulary + 1, VOCABULARY_UNIT * r->tensor) / r->tensor;
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

static void make_layer(ps__meg *self)
{
    const ps_megatron_shape *shape = self->shape;
    const int64_t hidden = shape->hidden, head = shape->head;
    ps__meg_add_parameter(self, hidden, self->heads * head, false); /* projection comes first */
    ps__meg_add_parameter(self, 1, hidden, false);
    ps__meg_add_parameter(self, (self->heads + 2 * self->kv_heads) * head, hidden, false);
    ps__meg_add_parameter(self, 1, hidden, false);
    ps__meg_add_parameter(self, 2 * self->ffn, hidden, false);
    ps__meg_add_parameter(self, hidden, self->ffn, false);
}

void ps__meg_make_parameters(ps__meg *self)
{
    const int64_t hidden = self->shape->hidden;
    if (self->is_first) {
        ps__meg_add_parameter(self, self->vocabulary, hidden, false);
    }
    self->inverse_frequencies =
        ps_eager_make(self->e, self->shape->head / 2, PS_DTYPE_F32, PS_ROLE_WORKSPACE);
    for (int64_t i = 0; i < self->layers; i++) {
        make_layer(self);
    }
    if (self->is_last) {
        ps__meg_add_parameter(self, 1, hidden, false);
        ps__meg_add_parameter(self, self->vocabulary, hidden, false);
    }
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

static void fill(ps__meg *self, ps__meg_buffer *buffer, bool is_expert)
{
    if (buffer->elements == 0) {
        return;
    }
    const ps_eager_lane was = ps_eager_set_lane(self->e, PS__MEG_LANE_DATA);
    buffer->parameters = ps_eager_make(self->e, buffer->elements, self->dtype, PS_ROLE_PARAMETER);
    ps__meg_kernel(self, "fill", buffer->elements);
    buffer->gradients = ps_eager_make(self->e, buffer->elements, PS_DTYPE_F32, PS_ROLE_GRADIENT);
    ps__meg_bytes(self, "fill", buffer->elements * 4);
    for (size_t i = self->parameter_count; i-- > 0;) {
        ps__meg_parameter *p = &self->parameter[i];
        if (p->is_expert == is_expert) {
            ps__meg_kernel(self, "copy", 2 * p->elements);
            ps_eager_clear(self->e, &p->own);
        }
    }
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
