/* SPDX-License-Identifier: MIT
 *
 * DeepSpeed's ZeRO stages 1 and 2.
 *
 *   load      parameters are broadcast one by one and copied into one flat buffer, padded to twice
 *             the number of ranks, as a device with room for both allows; a 32-bit copy is made of
 *             this rank's part of it
 *   stage 1   gradients stay as they are until the last micro-batch's backward is over, then go
 *             through the bucket one after the other
 *   stage 2   a gradient goes into the bucket when it comes. Every micro-batch's do, and are added to
 *             those before
 *   bucket    of fixed size, there from the first gradient of backward to its end; full, it is summed,
 *             and gradients of this rank's part are copied to their own buffer
 *   step      norms; this rank's gradients are flattened and made wide, the optimizer steps over one
 *             flat parameter, which is written back, and parts are gathered
 *
 * Sums go to all ranks in DeepSpeed's usual setting, of which each uses its own part; else bucket by
 * bucket to the rank whose part it is. A parameter may lie in two ranks' parts: what a rank keeps of
 * gradients depends on where its part begins.
 */
#include "workload/scheme/zero12.h"

#include "base/memory.h"

#define REDUCE_STREAM PS_EAGER_GROUP

/* ---- gradients ---- */

static size_t number_of(const ps_zero12 *z, ps_tensor leaf)
{
    return leaf < z->index_count ? z->index[leaf] - 1 : SIZE_MAX;
}

static void take_grad(void *context, ps_tensor leaf, ps_tensor owned)
{
    ps_scheme *self = context;
    const size_t parameter = number_of(ps_zero12_of(self), leaf);
    if (parameter == SIZE_MAX) {
        ps_scheme_keep_grad(self, leaf, owned);
        return;
    }
    ps_zero12_take(self, parameter, owned);
}

/* Stage 1's first gradient: nothing is put into the bucket yet. */
static void on_grad(void *context, ps_tensor leaf)
{
    ps_scheme *self = context;
    (void)leaf;
    if (self->syncs) {
        ps_zero12_make_buckets(self);
    }
}

static void pad(ps_scheme *self)
{
    ps_zero12 *z = ps_zero12_of(self);
    int64_t elements = z->part;
    for (size_t i = 0; i < z->own_count; i++) {
        elements -= z->own_elements[i];
    }
    if (elements > 0 && z->padding == 0) {
        z->padding = ps_scheme_make(self, elements, ps_zero_type(self), PS_ROLE_GRADIENT);
        ps_scheme_kernel(self, "fill", (uint64_t)elements * ps_zero12_element_bytes(self));
    }
}

static void add_all(ps_scheme *self)
{
    const ps_zero12 *z = ps_zero12_of(self);
    for (size_t i = 0; i < z->own_count; i++) {
        ps_scheme_kernel(self, "add",
                         3 * (uint64_t)z->own_elements[i] * ps_zero12_element_bytes(self));
    }
}

/* Stage 1: gradients go through the bucket in the order of parameters. */
static void take_all(ps_scheme *self)
{
    for (size_t i = 0; i < self->m->parameter_count; i++) {
        const ps_tensor leaf = self->m->parameter[i];
        const ps_tensor grad = ps_eager_hold(self->e, ps_eager_grad(self->e, leaf));
        ps_eager_forget_grad(self->e, leaf);
        if (grad != 0) {
            ps_zero12_take(self, i, grad);
        }
    }
}

static void end_backward(ps_scheme *self)
{
    ps_zero12 *z = ps_zero12_of(self);
    if (z->defers && !self->syncs) {
        return;
    }
    if (z->defers) {
        take_all(self);
    }
    ps_zero12_reduce_bucket(self);
    z->adds = true;
    if (ps_zero_offloads(self)) {
        ps_op_wait(self->e, z->lane);
    } else if (z->averaged != 0) {
        add_all(self);
        ps_eager_clear(self->e, &z->fresh);
    } else {
        z->averaged = z->fresh;
        z->fresh = 0;
    }
    if (!ps_zero_offloads(self)) {
        pad(self);
    }
    ps_eager_clear(self->e, &z->buffer[0]);
    ps_eager_clear(self->e, &z->buffer[1]);
}

/* ---- the step ---- */

/* This rank's gradients one behind the other, then in 32 bits; then the others go. */
static ps_tensor flatten(ps_scheme *self)
{
    ps_zero12 *z = ps_zero12_of(self);
    const uint64_t bytes = (uint64_t)z->part * ps_zero12_element_bytes(self);
    ps_tensor out = ps_scheme_make(self, z->part, ps_zero_type(self), PS_ROLE_GRADIENT);
    ps_scheme_kernel(self, "cat", 2 * bytes);
    if (ps_zero_type(self) != PS_DTYPE_F32) {
        const ps_tensor wide = ps_scheme_make(self, z->part, PS_DTYPE_F32, PS_ROLE_GRADIENT);
        ps_scheme_kernel(self, "copy", bytes + (uint64_t)z->part * ps_dtype_bytes(PS_DTYPE_F32));
        ps_eager_assign(self->e, &out, wide);
    }
    ps_eager_clear(self->e, &z->averaged);
    ps_eager_clear(self->e, &z->padding);
    return out;
}

static void step(ps_scheme *self, ps_optimizer *optimizer)
{
    ps_zero12 *z = ps_zero12_of(self);
    z->adds = false;
    if (ps_zero_offloads(self)) {
        ps_zero_norms(self, NULL, 0); /* each was taken when its gradient came */
        ps_op_wait(self->e, PS_EAGER_MAIN);
        ps_offload_flat_step(&z->offload, z->flat);
    } else {
        ps_zero_norms(self, z->own_elements, z->own_count);
        ps_zero_update(self, optimizer, z->of.parameter[0], flatten(self));
    }
    ps_scheme_collect(self, PS_COLLECTIVE_ALL_GATHER, PS_EAGER_MAIN, ps_scheme_all_axes(self),
                      ps_zero_type(self),
                      (uint64_t)(z->part * self->shards) * ps_zero12_element_bytes(self));
}

/* ---- making ---- */

static ps_code make_room(ps_scheme *self, ps_error *err)
{
    ps_zero12 *z = ps_zero12_of(self);
    const size_t count = self->m->parameter_count + 1;
    z->of = (ps_model){.e = self->e, .recipe = self->m->recipe, .family = self->m->family};
    z->of.parameter = ps_scheme_calloc(self, 1, sizeof *z->of.parameter);
    z->of.shape = ps_scheme_calloc(self, 1, sizeof *z->of.shape);
    z->begin = ps_scheme_calloc(self, count, sizeof *z->begin);
    for (size_t i = 0; i < self->m->parameter_count; i++) {
        const size_t tensor = self->m->parameter[i];
        z->index_count = tensor >= z->index_count ? tensor + 1 : z->index_count;
    }
    z->index = ps_scheme_calloc(self, z->index_count, sizeof *z->index);
    for (size_t i = 0; i < self->m->parameter_count && z->index != NULL; i++) {
        z->index[self->m->parameter[i]] = i + 1;
    }
    z->bucket = ps_scheme_calloc(self, count, sizeof *z->bucket);
    z->own_elements = ps_scheme_calloc(self, count, sizeof *z->own_elements);
    return ps_eager_code(self->e, err);
}

static int64_t largest(const ps_scheme *self)
{
    int64_t most = 0;
    for (size_t i = 0; i < self->m->parameter_count; i++) {
        most = ps_zero12_elements_of(self, i) > most ? ps_zero12_elements_of(self, i) : most;
    }
    return most;
}

static ps_code wrap(ps_scheme *self, bool defers, ps_error *err)
{
    ps_zero12 *z = self->state = ps_scheme_calloc(self, 1, sizeof *z);
    if (z == NULL) {
        return ps_fail_nomem(err);
    }
    z->defers = defers;
    PS_TRY(make_room(self, err));
    z->lane = !defers && ps_zero_overlaps(self, false) ? REDUCE_STREAM : PS_EAGER_MAIN;
    ps_zero12_load(self);
    PS_TRY(ps_eager_code(self->e, err));
    if (ps_zero_offloads(self)) {
        ps_offload_flat_make(&z->offload, self, z->part, largest(self));
    } else {
        z->of.parameter[0] = ps_zero_make_copy(self, z->part);
        z->of.shape[0] = (ps_parameter_shape){.columns = z->part};
        z->of.parameter_count = 1;
        ps_zero_show_gradient(self, z->part);
    }
    self->of = &z->of;
    if (defers) {
        ps_eager_set_grad_hook(self->e, on_grad, self);
    } else {
        ps_eager_set_grad_taker(self->e, take_grad, self);
    }
    return PS_OK;
}

static ps_code wrap_stage_1(ps_scheme *self, ps_error *err)
{
    return wrap(self, true, err);
}

static ps_code wrap_stage_2(ps_scheme *self, ps_error *err)
{
    return wrap(self, false, err);
}

static void destroy(ps_scheme *self)
{
    ps_zero12 *z = ps_zero12_of(self);
    if (z != NULL) {
        ps_model_fini(&z->of);
        ps_free(z->begin);
        ps_free(z->index);
        ps_free(z->bucket);
        ps_free(z->own_elements);
        ps_free(z);
    }
}

const ps_scheme_ops ps_scheme_zero1 = {.check = ps_zero_check,
                                       .wrap = wrap_stage_1,
                                       .destroy = destroy,
                                       .end_backward = end_backward,
                                       .step = step,
                                       .has_masters = true};

const ps_scheme_ops ps_scheme_zero2 = {.check = ps_zero_check,
                                       .wrap = wrap_stage_2,
                                       .destroy = destroy,
                                       .end_backward = end_backward,
                                       .step = step,
                                       .has_masters = true};
