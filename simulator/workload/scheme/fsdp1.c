/* SPDX-License-Identifier: MIT
 *
 * torch.distributed.fsdp.FullyShardedDataParallel around every block and the
 * model, with use_orig_params: the parameters of a unit are one flat tensor,
 * each at a multiple of 16 bytes, padded to a multiple of the ranks.
 *
 *   gather    the host waits until the unit before the last that was freed is not read any more;
 *             then memory is taken and filled in the unshard lane. With mixed precision a narrow copy
 *             of the shard is made before, in a lane of its own
 *   forward   a unit is freed behind it; the root stays
 *   backward  a unit is gathered when backward reaches its output, the unit before it right after
 *             (or behind its gradients). Its gradients, when all are there, are copied into a flat
 *             one, which is reduced and scattered in the post-backward lane
 *
 * A unit with one trained parameter has gradients of all: the flat tensor wants one.
 *
 * Memory that another lane still reads goes back late: a gathered unit's when the host has waited
 * for it, a flat gradient's when the next unit's is there.
 */
#include "workload/scheme/fsdp1.h"
#include "base/memory.h"

/* ---- forward ---- */

static void enter(ps_scheme *self, size_t which)
{
    ps_fsdp1 *f = ps_fsdp1_of(self);
    ps_fsdp1_unit *u = &f->unit[which];
    if (!u->is_prefetched) {
        ps_fsdp1_gather(self, u);
    }
    ps_op_join(self->e, PS_EAGER_MAIN, PS_FSDP1_UNSHARD);
    /* the root comes first in the order of calls, blocks follow in that of their numbers */
    if (self->settings->fsdp.forward_prefetch && f->knows_order && which + 1 < f->units.count) {
        ps_fsdp1_prefetch(self, &f->unit[which + 1]);
    }
}

static void leave(ps_scheme *self, size_t which, ps_tensor out, bool frees)
{
    ps_fsdp1 *f = ps_fsdp1_of(self);
    ps_fsdp1_reshard(self, &f->unit[which], frees);
    f->unit[which].needs_gather = true;
    f->turn_of[which] = f->turn_count;
    f->turn[f->turn_count++] = which;
    ps_eager_mark(self->e, out, ps_fsdp_mark(which, false));
}

/* A reduced gradient goes when forward finds that none of its parts is left. */
static void forget_grads(ps_scheme *self)
{
    ps_fsdp1 *f = ps_fsdp1_of(self);
    for (size_t which = 0; which < f->units.count; which++) {
        bool is_left = false;
        for (size_t i = f->units.begin[which]; i < f->units.begin[which + 1]; i++) {
            const size_t trained = f->units.member[i].trained;
            is_left = is_left || (trained != PS_UNITS_NONE &&
                                  ps_eager_grad(self->e, f->of.parameter[trained]) != 0);
        }
        if (!is_left) {
            ps_eager_clear(self->e, &f->unit[which].own_grad);
        }
    }
}

void ps_fsdp1_show(ps_scheme *self, int64_t elements, ps_dtype dtype)
{
    ps_tensor made = ps_scheme_make(self, elements, dtype, PS_ROLE_TEMPORARY);
    ps_eager_clear(self->e, &made);
}

/* Before the first forward each unit's tensors are made once, and lose their memory at once. */
static void make_tensors(ps_scheme *self)
{
    const ps_fsdp1 *f = ps_fsdp1_of(self);
    const ps_fsdp_settings *s = &self->settings->fsdp;
    for (size_t which = 0; which < f->units.count; which++) {
        const ps_fsdp1_unit *u = &f->unit[which];
        if (s->has_param_dtype) {
            ps_fsdp1_show(self, u->elements / self->shards, s->param_dtype);
        }
        ps_fsdp1_show(self, u->elements, ps_eager_dtype(self->e, u->flat));
        if (s->has_param_dtype) {
            ps_fsdp1_show(self, u->elements, s->stored_dtype);
        }
    }
}

static void begin_forward(ps_scheme *self)
{
    ps_fsdp1_of(self)->turn_count = 0;
    if (!ps_fsdp1_of(self)->knows_order) {
        make_tensors(self);
    }
    ps_op_join(self->e, PS_FSDP1_UNSHARD, PS_EAGER_MAIN);
    ps_op_join(self->e, PS_FSDP1_PRE_UNSHARD, PS_EAGER_MAIN);
    forget_grads(self);
    enter(self, 0);
}

static void end_forward(ps_scheme *self, ps_model_output *out)
{
    leave(self, 0, out->loss, false);
    ps_fsdp1_of(self)->knows_order = true;
}

static ps_tensor enter_block(void *context, uint32_t block, ps_tensor owned)
{
    ps_scheme *self = context;
    enter(self, block);
    ps_fsdp1_of(self)->unit[block].is_entered = ps_eager_requires_grad(self->e, owned);
    ps_eager_assign(self->e, &owned, ps_op_boundary(self->e, owned, ps_fsdp_mark(block, true)));
    return owned;
}

static void leave_block(void *context, uint32_t block, ps_tensor out)
{
    ps_scheme *self = context;
    leave(self, block, out, !self->settings->fsdp.keeps_gathered);
}

/* ---- making ---- */

static ps_code make_room(ps_scheme *self, ps_error *err)
{
    ps_fsdp1 *f = ps_fsdp1_of(self);
    PS_TRY(ps_units_create(&f->units, self->m, err));
    f->unit = ps_scheme_calloc(self, f->units.count, sizeof *f->unit);
    f->turn = ps_scheme_calloc(self, f->units.count + 1, sizeof *f->turn);
    f->turn_of = ps_scheme_calloc(self, f->units.count + 1, sizeof *f->turn_of);
    f->begin = ps_scheme_calloc(self, f->units.member_count, sizeof *f->begin);
    f->piece = ps_scheme_calloc(self, f->units.member_count, sizeof *f->piece);
    PS_TRY(ps_fsdp_make_model(self, &f->of, err));
    PS_TRY(ps_eager_code(self->e, err));
    return ps_fsdp1_check_types(self, err);
}

static ps_code wrap(ps_scheme *self, ps_error *err)
{
    ps_fsdp1 *f = self->state = ps_scheme_calloc(self, 1, sizeof *f);
    if (f == NULL) {
        return ps_fail_nomem(err);
    }
    PS_TRY(make_room(self, err));
    for (size_t turn = 1; turn <= f->units.count; turn++) {
        const size_t which = turn % f->units.count; /* blocks, then the rest */
        ps_eager_set_block(self->e, (uint32_t)which);
        ps_fsdp1_flatten_unit(self, which);
    }
    ps_eager_set_block(self->e, 0);
    self->is_uneven = true; /* an optimizer's states are those of the parameters in a rank's part */
    self->of = &f->of;
    self->hooks.enter = enter_block;
    self->hooks.leave = leave_block;
    self->m->hooks = &self->hooks;
    ps_eager_set_mark_hook(self->e, ps_fsdp1_on_mark, self);
    ps_eager_set_end_hook(self->e, ps_fsdp1_end_backward, self);
    ps_eager_set_grad_taker(self->e, ps_fsdp1_take_grad, self);
    return PS_OK;
}

static void destroy(ps_scheme *self)
{
    ps_fsdp1 *f = ps_fsdp1_of(self);
    if (f != NULL) {
        ps_units_fini(&f->units);
        ps_model_fini(&f->of);
        ps_free(f->unit);
        ps_free(f->turn);
        ps_free(f->turn_of);
        ps_free(f->begin);
        ps_free(f->piece);
        ps_free(f);
    }
}

const ps_scheme_ops ps_scheme_fsdp1 = {.check = ps_fsdp_check,
                                       .wrap = wrap,
                                       .destroy = destroy,
                                       .begin_forward = begin_forward,
                                       .end_forward = end_forward,
                                       .has_local_norms = true};
