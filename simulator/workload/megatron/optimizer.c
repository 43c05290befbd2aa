/* SPDX-License-Identifier: MIT
 *
 * Adam over 32-bit copies of the parameters. Divided over replicas, each rank
 * keeps the states of one contiguous part of each buffer, and so of pieces of
 * parameters; gradients are scattered there and parameters gathered from there.
 */
#include "base/memory.h"
#include "workload/megatron/parts.h"

#define MAX_PIECES ((size_t)1 << 22)

/* ---- states ---- */

static void add_piece(ps__meg *self, int64_t elements)
{
    if (ps_grow((void **)&self->piece, &self->piece_capacity, self->piece_count + 1, MAX_PIECES,
                sizeof *self->piece, NULL) != PS_OK) {
        ps_eager_fail(self->e, PS_NOMEM, "out of memory");
        return;
    }
    ps__meg_piece *piece = &self->piece[self->piece_count++];
    ps_tensor clone = ps__meg_make(self, elements);
    ps__meg_kernel(self, "copy", 2 * elements);
    *piece = (ps__meg_piece){
        .elements = elements,
        .main = ps_eager_make(self->e, elements, PS_DTYPE_F32, PS_ROLE_OPTIMIZER_STATE)};
    ps__meg_bytes(self, "cast", 6 * elements);
    ps_eager_clear(self->e, &clone);
}

/* The rank's part of a buffer: elements begin .. end - 1. */
static void part_of(const ps__meg *self, const ps__meg_buffer *buffer, int64_t *begin, int64_t *end)
{
    const int64_t replicas = ps__meg_grid_size(&self->grid, buffer->axes);
    const int64_t place = ps__meg_grid_place(&self->grid, buffer->axes);
    *begin = self->recipe->shards_optimizer ? place * (buffer->elements / replicas) : 0;
    *end = self->recipe->shards_optimizer ? *begin + buffer->elements / replicas : buffer->elements;
}

static void make_group(ps__meg *self, bool is_expert, bool is_matrix)
{
    int64_t begin, end;
    part_of(self, &self->buffer[is_expert ? PS__MEG_EXPERTS : PS__MEG_DENSE], &begin, &end);
    for (size_t i = 0; i < self->parameter_count; i++) {
        /* buffers are walked from their beginning, which is the last parameter */
        const size_t at = self->recipe->shards_optimizer ? self->parameter_count - 1 - i : i;
        const ps__meg_parameter *p = &self->parameter[at];
        if (p->is_expert != is_expert || p->is_matrix != is_matrix) {
            continue;
        }
        const int64_t from = p->begin > begin ? p->begin : begin;
        const int64_t to = p->begin + p->elements < end ? p->begin + p->elements : end;
        if (from < to) {
            add_piece(self, to - from);
        }
    }
}

void ps__meg_make_optimizer(ps__meg *self)
{
    for (int experts = 0; experts < PS__MEG_BUFFERS; experts++) {
        make_group(self, experts != 0, true);
        make_group(self, experts != 0, false);
    }
}

/* ---- a step ---- */

/* Of an element. */
static int64_t grad_bytes(const ps__meg *self)
{
    return (int64_t)ps_dtype_bytes(self->grad_dtype);
}

void ps__meg_begin_step(ps__meg *self)
{
    for (int i = 0; i < PS__MEG_BUFFERS; i++) {
        if (self->buffer[i].elements > 0) {
            ps__meg_bytes(self, "fill", grad_bytes(self) * self->buffer[i].elements);
        }
    }
}

static void reduce_gradients(ps__meg *self, const ps__meg_buffer *buffer)
{
    const bool is_sharded = self->recipe->shards_optimizer;
    if (buffer->elements == 0) {
        return;
    }
    if (self->recipe->checks_gradients) {
        ps_tensor norm = ps__meg_make_as(self, 1, PS_DTYPE_F32);
        ps__meg_bytes(self, "norm", grad_bytes(self) * buffer->elements);
        ps__meg_wait(self);
        ps_eager_clear(self->e, &norm);
    }
    /* experts see the tokens of all replicas, also where nobody else has the same experts */
    if (ps__meg_grid_size(&self->grid, self->buffer[PS__MEG_DENSE].axes) > 1) {
        ps__meg_bytes(self, "scale", 2 * grad_bytes(self) * buffer->elements);
    }
    if (ps__meg_grid_size(&self->grid, buffer->axes) == 1) {
        return;
    }
    ps__meg_start(self, is_sharded ? "reduce_scatter" : "all_reduce",
                  is_sharded ? PS_COLLECTIVE_REDUCE_SCATTER : PS_COLLECTIVE_ALL_REDUCE,
                  buffer->lane, buffer->axes, (uint64_t)(grad_bytes(self) * buffer->elements));
    ps__meg_await(self, buffer->lane);
}

/* Tensor ranks saw parts of the sequence: what each has whole is summed, through one flat copy. */
void ps__meg_sum_whole_gradients(ps__meg *self)
{
    int64_t elements = 0;
    for (size_t i = 0; i < self->parameter_count; i++) {
        elements += self->parameter[i].is_whole ? self->parameter[i].elements : 0;
    }
    if (!self->is_sequence_parallel || elements == 0) {
        return;
    }
    ps_tensor flat = ps__meg_make_as(self, elements, self->grad_dtype);
    ps__meg_bytes(self, "cat", 2 * grad_bytes(self) * elements);
    ps__meg_start(self, "all_reduce", PS_COLLECTIVE_ALL_REDUCE, PS__MEG_LANE_TENSOR,
                  1u << PS__MEG_TENSOR, (uint64_t)(grad_bytes(self) * elements));
    ps__meg_await(self, PS__MEG_LANE_TENSOR);
    ps__meg_bytes(self, "copy", 2 * grad_bytes(self) * elements);
    ps_eager_clear(self->e, &flat);
}

static void gather_parameters(ps__meg *self, const ps__meg_buffer *buffer)
{
    if (buffer->elements == 0 || ps__meg_grid_size(&self->grid, buffer->axes) == 1 ||
        !self->recipe->shards_optimizer) {
        return;
    }
    ps__meg_start(self, "all_gather", PS_COLLECTIVE_ALL_GATHER, buffer->lane, buffer->axes,
                  (uint64_t)buffer->elements * ps_dtype_bytes(self->dtype));
    ps__meg_await(self, buffer->lane);
}

static int64_t owned_elements(const ps__meg *self)
{
    int64_t elements = 0;
    for (size_t i = 0; i < self->piece_count; i++) {
        elements += self->piece[i].elements;
    }
    return elements;
}

/* Means and variances appear when the first step needs them. */
static void need_states(ps__meg *self)
{
    for (size_t i = 0; i < self->piece_count; i++) {
        ps__meg_piece *piece = &self->piece[i];
        if (piece->mean == 0) {
            piece->mean =
                ps_eager_make(self->e, piece->elements, PS_DTYPE_F32, PS_ROLE_OPTIMIZER_STATE);
            ps__meg_bytes(self, "fill", 4 * piece->elements);
            piece->variance =
                ps_eager_make(self->e, piece->elements, PS_DTYPE_F32, PS_ROLE_OPTIMIZER_STATE);
            ps__meg_bytes(self, "fill", 4 * piece->elements);
        }
    }
}

/* Gradients in 32 bits, where the buffer has 16. */
static void widen_gradients(ps__meg *self)
{
    for (size_t i = 0; i < self->piece_count && self->grad_dtype != PS_DTYPE_F32; i++) {
        ps__meg_piece *piece = &self->piece[i];
        piece->gradient = ps_eager_make(self->e, piece->elements, PS_DTYPE_F32, PS_ROLE_GRADIENT);
        ps__meg_bytes(self, "unscale", 6 * piece->elements);
    }
}

static void update(ps__meg *self)
{
    const int64_t owned = owned_elements(self);
    widen_gradients(self);
    if (self->recipe->clips) {
        ps_tensor norm = ps__meg_make_as(self, 1, PS_DTYPE_F32);
        ps__meg_bytes(self, "norm", 4 * owned);
        ps__meg_wait(self);
        ps__meg_bytes(self, "scale", 8 * owned);
        ps_eager_clear(self->e, &norm);
    }
    need_states(self);
    ps__meg_bytes(self, "adam", 28 * owned);
    ps__meg_bytes(self, "cast", 6 * owned);
    for (size_t i = 0; i < self->piece_count; i++) {
        ps_eager_clear(self->e, &self->piece[i].gradient);
    }
}

void ps__meg_end_step(ps__meg *self)
{
    ps_eager_set_phase(self->e, PS_EAGER_OPTIMIZER);
    for (int i = 0; i < PS__MEG_BUFFERS; i++) {
        reduce_gradients(self, &self->buffer[i]);
    }
    if (self->program->finish_gradients != NULL) {
        self->program->finish_gradients(self);
    }
    update(self);
    for (int i = 0; i < PS__MEG_BUFFERS; i++) {
        gather_parameters(self, &self->buffer[i]);
    }
}
