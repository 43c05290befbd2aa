/* SPDX-License-Identifier: MIT
 *
 * DeepSpeed's ZeRO stage 3.
 *
 *   load      each parameter comes whole, is broadcast and divided; parts of trained ones are then
 *             laid into one buffer, and 32-bit copies of it are made by sub-groups
 *   forward   modules fetch and release their parameters: zero3_gather.h
 *   backward  so too; a gradient is copied into the bucket, which is reduced and scattered when the
 *             next one would not fit, and parts are copied or added into this rank's gradients.
 *             Every micro-batch's gradients are exchanged
 *   step      parameters go; norms; sub-group after sub-group: its gradients are flattened and made
 *             wide, the optimizer steps, the part is written back. Parameters that stay come again
 */
#include "workload/scheme/zero3.h"

#include "base/memory.h"

#define REDUCE_STREAM (PS_EAGER_GROUP + 1)

/* ---- moments of a step ---- */

/* The model with a head, and the model in it. */
static void begin_forward(ps_scheme *self)
{
    ps_zero3_gather *gather = &ps_zero3_of(self)->gather;
    ps_op_join(self->e, gather->lane, PS_EAGER_MAIN);
    if (!self->settings->zero.resets_in_backward) {
        ps_zero3_gather_reset(gather);
    }
    ps_zero3_fetch_model(gather);
    ps_zero3_fetch_container(gather);
}

static void end_forward(ps_scheme *self, ps_model_output *out)
{
    (void)out;
    if (self->m->external != 0) {
        ps_zero3_release_model(&ps_zero3_of(self)->gather);
    }
}

static void begin_backward(ps_scheme *self)
{
    if (self->m->external != 0) {
        ps_zero3_fetch_model(&ps_zero3_of(self)->gather);
    }
}

static void end_backward(ps_scheme *self)
{
    ps_zero3 *z = ps_zero3_of(self);
    if (self->settings->zero.resets_in_backward) {
        ps_zero3_gather_reset(&z->gather);
    }
    ps_zero3_reduce_rest(self);
    z->adds = true;
}

static void step(ps_scheme *self, ps_optimizer *optimizer)
{
    ps_zero3 *z = ps_zero3_of(self);
    ps_zero3_release_all(&z->gather);
    ps_zero3_step_groups(self, optimizer);
    ps_op_join(self->e, z->gather.lane, PS_EAGER_MAIN);
    ps_zero3_fetch_persistent(&z->gather);
    z->adds = false;
}

/* ---- making ---- */

static ps_code make_room(ps_scheme *self, ps_error *err)
{
    ps_zero3 *z = ps_zero3_of(self);
    const size_t count = self->m->parameter_count;
    PS_TRY(ps_units_create(&z->units, self->m, err));
    PS_TRY(ps_zero3_gather_init(&z->gather, self, &z->units, err));
    z->member_part = ps_scheme_calloc(self, z->units.member_count, sizeof *z->member_part);
    z->bucket.member = ps_scheme_calloc(self, count, sizeof *z->bucket.member);
    z->bucket.held = ps_scheme_calloc(self, count, sizeof *z->bucket.held);
    z->own_elements = ps_scheme_calloc(self, count, sizeof *z->own_elements);
    z->group = ps_scheme_calloc(self, count, sizeof *z->group);
    z->group_of = ps_scheme_calloc(self, count, sizeof *z->group_of);
    z->of = (ps_model){.e = self->e, .recipe = self->m->recipe, .family = self->m->family};
    z->of.parameter = ps_scheme_calloc(self, count, sizeof *z->of.parameter);
    z->of.shape = ps_scheme_calloc(self, count, sizeof *z->of.shape);
    return ps_eager_code(self->e, err);
}

static ps_code wrap(ps_scheme *self, ps_error *err)
{
    ps_zero3 *z = self->state = ps_scheme_calloc(self, 1, sizeof *z);
    if (z == NULL) {
        return ps_fail_nomem(err);
    }
    PS_TRY(make_room(self, err));
    z->bucket.lane = ps_zero_overlaps(self, true) ? REDUCE_STREAM : PS_EAGER_MAIN;
    self->runs = ps_eager_new_mark(self->e);
    z->bucket.scattered = ps_eager_new_mark(self->e);
    ps_zero3_divide(self);
    for (size_t unit = 0; unit < z->units.count; unit++) {
        ps_scheme_bring_buffers(self, (uint32_t)unit);
    }
    PS_TRY(ps_eager_code(self->e, err));
    ps_zero3_join_parts(self);
    ps_zero3_make_groups(self);
    ps_zero3_make_gradients(self);
    ps_zero3_lay_whole(self);
    self->of = &z->of;
    ps_zero3_hook_modules(self);
    ps_eager_set_grad_taker(self->e, ps_zero3_take_grad, self);
    ps_eager_set_inputs_first(self->e, true); /* DeepSpeed's linear, which saves no views */
    return PS_OK;
}

static void destroy(ps_scheme *self)
{
    ps_zero3 *z = ps_zero3_of(self);
    if (z != NULL) {
        ps_zero3_gather_fini(&z->gather);
        ps_units_fini(&z->units);
        ps_model_fini(&z->of);
        ps_offload_fini(&z->offload);
        ps_free(z->member_part);
        ps_free(z->bucket.member);
        ps_free(z->bucket.held);
        ps_free(z->own_elements);
        ps_free(z->group);
        ps_free(z->group_of);
        ps_free(z);
    }
}

const ps_scheme_ops ps_scheme_zero3 = {.check = ps_zero_check,
                                       .wrap = wrap,
                                       .destroy = destroy,
                                       .begin_forward = begin_forward,
                                       .end_forward = end_forward,
                                       .begin_backward = begin_backward,
                                       .end_backward = end_backward,
                                       .step = step,
                                       .has_masters = true};
