/* SPDX-License-Identifier: MIT
 *
 * Micro-batches of a step: one forward and one backward pass in turn, behind
 * as many forward passes as there are stages after this one.
 */
#include "workload/megatron/parts.h"

/* ---- one micro-batch ---- */

static ps__meg_micro *micro_of(ps__meg *self, int64_t number)
{
    return &self->micro[number % self->in_flight];
}

static void load(ps__meg *self, ps_tensor *input, ps_dtype dtype)
{
    const int64_t elements = self->tokens * self->recipe->context;
    *input = ps_eager_make(self->e, elements, dtype, PS_ROLE_INPUT);
    ps__meg_bytes(self, "copy", elements * (int64_t)ps_dtype_bytes(dtype));
}

/* Of the whole sequence, the context rank keeps its part. */
static void cut(ps__meg *self, ps_tensor *input, ps_dtype dtype)
{
    if (*input != 0 && self->recipe->context > 1) {
        ps_eager_assign(self->e, input, ps_eager_make(self->e, self->tokens, dtype, PS_ROLE_INPUT));
        ps__meg_bytes(self, "index", 2 * self->tokens * (int64_t)ps_dtype_bytes(dtype));
    }
}

static void load_batch(ps__meg *self, ps__meg_micro *micro)
{
    if (self->is_first) {
        load(self, &micro->ids, PS_DTYPE_I64);
    }
    if (self->is_last) {
        load(self, &micro->head.labels, PS_DTYPE_I64);
        load(self, &micro->head.mask, PS_DTYPE_F32);
    }
    if (self->is_first) {
        load(self, &micro->positions, PS_DTYPE_I64);
    }
    cut(self, &micro->ids, PS_DTYPE_I64);
    cut(self, &micro->head.labels, PS_DTYPE_I64);
    cut(self, &micro->head.mask, PS_DTYPE_F32);
    cut(self, &micro->positions, PS_DTYPE_I64);
}

static void begin_layer(ps__meg *self, int64_t number)
{
    self->layer = number;
    ps_eager_set_block(self->e, (uint32_t)number + 1);
}

static ps_tensor layer(ps__meg *self, ps__meg_micro *micro, int64_t number, ps_tensor x)
{
    if (self->recipe->recomputes) {
        micro->checkpoint[number] = ps_eager_hold(self->e, x);
    }
    x = self->program->layer(self, &micro->layer[number], x);
    if (self->recipe->recomputes) {
        ps__meg_drop_layer(self, &micro->layer[number]);
    }
    return x;
}

static ps_tensor layer_backward(ps__meg *self, ps__meg_micro *micro, int64_t number, ps_tensor grad)
{
    if (self->recipe->recomputes) {
        ps_eager_set_phase(self->e, PS_EAGER_FORWARD);
        ps_tensor again =
            self->program->layer(self, &micro->layer[number], micro->checkpoint[number]);
        micro->checkpoint[number] = 0;
        ps_eager_set_phase(self->e, PS_EAGER_BACKWARD);
        grad = self->program->layer_backward(self, &micro->layer[number], grad);
        ps_eager_clear(self->e, &again);
        return grad;
    }
    return self->program->layer_backward(self, &micro->layer[number], grad);
}

static void forward(ps__meg *self, ps__meg_micro *micro)
{
    ps_tensor x;
    ps_eager_set_phase(self->e, PS_EAGER_FORWARD);
    load_batch(self, micro);
    x = self->is_first ? self->program->embed(self, micro) : ps_eager_hold(self->e, micro->input);
    if (self->program->prepare != NULL) {
        self->program->prepare(self);
    }
    for (int64_t i = 0; i < self->layers; i++) {
        begin_layer(self, i);
        x = layer(self, micro, i, x);
    }
    ps_eager_set_block(self->e, 0);
    micro->output = self->is_last ? self->program->head(self, &micro->head, x) : x;
    ps_eager_clear(self->e, &micro->positions);
    /* the variable that held the last graph, and with it its leaf, has a new value */
    ps_eager_clear(self->e, &self->kept_input);
}

static void backward(ps__meg *self, ps__meg_micro *micro)
{
    ps_tensor grad;
    ps_eager_set_phase(self->e, PS_EAGER_BACKWARD);
    ps_eager_set_backward(self->e, true);
    grad = self->is_last ? self->program->head_backward(self, &micro->head)
                         : ps_eager_hold(self->e, self->output_grad);
    for (int64_t i = self->layers; i-- > 0;) {
        begin_layer(self, i);
        grad = layer_backward(self, micro, i, grad);
    }
    ps_eager_set_block(self->e, 0);
    if (self->is_first) {
        self->program->embed_backward(self, micro, grad);
    } else {
        ps_eager_assign(self->e, &self->input_grad, grad);
    }
    ps_eager_clear(self->e, &micro->output);
    ps_eager_assign(self->e, &self->kept_input, micro->input);
    micro->input = 0;
    ps_eager_set_backward(self->e, false);
}

/* ---- between stages ---- */

static ps_tensor receive(ps__meg *self)
{
    return ps__meg_make(self, self->slice * self->shape->hidden);
}

static void receive_input(ps__meg *self, ps__meg_micro *micro, bool sends_backward)
{
    if (!self->is_first && micro != NULL) {
        micro->input = receive(self);
    }
    ps__meg_transfer_run(self, &(ps__meg_transfer){.receives_forward = micro != NULL,
                                                   .sends_backward = sends_backward});
}

/* What was sent has done its work: the schedule takes its memory away and leaves the tensor. */
static void send_output(ps__meg *self, ps__meg_micro *micro, bool receives_backward)
{
    if (receives_backward && !self->is_last) {
        ps_eager_assign(self->e, &self->output_grad, receive(self));
    }
    ps__meg_transfer_run(
        self, &(ps__meg_transfer){.sends_forward = true, .receives_backward = receives_backward});
    if (!self->is_last) {
        ps_eager_assign(self->e, &micro->output, ps__meg_make(self, 1));
    }
}

void ps__meg_run_micro_batches(ps__meg *self)
{
    const int64_t count = self->recipe->micro_batches;
    const int64_t warm_up = self->in_flight - 1 < count ? self->in_flight - 1 : count;
    for (int64_t i = 0; i < warm_up; i++) {
        receive_input(self, micro_of(self, i), false);
        forward(self, micro_of(self, i));
        send_output(self, micro_of(self, i), false);
    }
    if (warm_up < count) {
        receive_input(self, micro_of(self, warm_up), false);
    }
    for (int64_t i = warm_up; i < count; i++) {
        forward(self, micro_of(self, i));
        send_output(self, micro_of(self, i), true);
        backward(self, micro_of(self, i - warm_up));
        receive_input(self, i + 1 < count ? micro_of(self, i + 1) : NULL, true);
    }
    for (int64_t i = count - warm_up; i < count; i++) {
        if (!self->is_last) {
            ps_eager_assign(self->e, &self->output_grad, receive(self));
        }
        ps__meg_transfer_run(self, &(ps__meg_transfer){.receives_backward = true});
        backward(self, micro_of(self, i));
        ps__meg_transfer_run(self, &(ps__meg_transfer){.sends_backward = true});
    }
    /* the schedule's variables end with it */
    ps_eager_clear(self->e, &self->kept_input);
    ps_eager_clear(self->e, &self->input_grad);
    ps_eager_clear(self->e, &self->output_grad);
}
