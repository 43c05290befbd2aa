/* SPDX-License-Identifier: MIT
 *
 * torch.distributed.fsdp.fully_shard on every block and on the model: each
 * parameter is divided along its first dimension, each part padded to the size
 * of the first, and a unit's parameters are gathered by one collective.
 *
 *   gather    this rank's parts are copied into a buffer for all (copy-in lane), gathered in place
 *             (gather lane), and copied out into the parameters (main lane)
 *   forward   the buffer of a unit is kept until the next unit's gather has been issued and awaited:
 *             the host runs ahead, so that the next gather runs beside this unit's computation
 *   backward  a unit is gathered when backward reaches its output, and the unit before it right
 *             after; buffers go at once. When backward leaves its input, gradients are copied into
 *             one buffer, parameters go, and the buffer is reduced and scattered (scatter lane)
 *   root      parameters outside blocks stay from forward to the end of backward
 */
#include "workload/scheme/fsdp2.h"

#include "base/memory.h"

/* ---- forward ---- */

static void enter(ps_scheme *self, size_t which)
{
    ps_fsdp2_of(self)->unit[which].now = PS_FSDP2_FORWARD;
    ps_fsdp2_gather(self, which);
    ps_fsdp2_await(self, which);
}

/* @param out  whose backward is this unit's; 0: none comes */
static void leave(ps_scheme *self, size_t which, ps_tensor out, bool reshards)
{
    ps_fsdp2 *f = ps_fsdp2_of(self);
    if (reshards) {
        ps_fsdp2_reshard(self, which);
    }
    f->unit[which].order = f->turn_count;
    f->turn[f->turn_count++] = which;
    f->unit[which].now = PS_FSDP2_IDLE;
    ps_eager_mark(self->e, out, ps_fsdp_mark(which, false));
}

static void begin_forward(ps_scheme *self)
{
    ps_fsdp2_of(self)->turn_count = 0;
    ps_op_join(self->e, PS_FSDP2_COPY_IN, PS_EAGER_MAIN);
    ps_op_join(self->e, PS_FSDP2_GATHER, PS_EAGER_MAIN);
    enter(self, 0);
}

static void end_forward(ps_scheme *self, ps_model_output *out)
{
    leave(self, 0, out->loss, false);
    ps_fsdp2_drop_before(self);
}

static ps_tensor enter_block(void *context, uint32_t block, ps_tensor owned)
{
    ps_scheme *self = context;
    enter(self, block);
    ps_eager_assign(self->e, &owned, ps_op_boundary(self->e, owned, ps_fsdp_mark(block, true)));
    return owned;
}

static void leave_block(void *context, uint32_t block, ps_tensor out)
{
    ps_scheme *self = context;
    leave(self, block, out, !self->settings->fsdp.keeps_gathered);
}

/* ---- backward ---- */

static void post_backward(ps_scheme *self, size_t which)
{
    ps_fsdp2 *f = ps_fsdp2_of(self);
    f->unit[which].now = PS_FSDP2_POST_BACKWARD;
    for (size_t i = f->units.begin[which]; i < f->units.begin[which + 1]; i++) {
        ps_fsdp2_add_accumulated(self, i);
    }
    if (self->syncs) {
        ps_fsdp2_reduce(self, which);
        return;
    }
    ps_fsdp2_reshard(self, which);
    for (size_t i = f->units.begin[which]; i < f->units.begin[which + 1]; i++) {
        ps_fsdp2_accumulate(self, i);
    }
}

static void pre_backward(ps_scheme *self, size_t which)
{
    ps_fsdp2 *f = ps_fsdp2_of(self);
    ps_fsdp2_unit *u = &f->unit[which];
    if (u->now == PS_FSDP2_PRE_BACKWARD) {
        return;
    }
    u->now = PS_FSDP2_PRE_BACKWARD;
    ps_fsdp2_gather(self, which);
    ps_fsdp2_await(self, which);
    if (u->order > 0) {
        ps_fsdp2_gather(self, f->turn[u->order - 1]);
    }
}

static void on_mark(void *context, uint32_t mark)
{
    bool is_entry;
    const size_t which = ps_fsdp_unit_of(mark, &is_entry);
    if (is_entry) {
        post_backward(context, which);
    } else {
        pre_backward(context, which);
    }
}

/* Units whose input wants no gradient are through now; then the main lane waits for all. */
static void end_backward(void *context)
{
    ps_scheme *self = context;
    ps_fsdp2 *f = ps_fsdp2_of(self);
    for (size_t i = 0; i < f->units.count; i++) {
        if (f->unit[i].now != PS_FSDP2_POST_BACKWARD) {
            post_backward(self, i);
        }
        f->unit[i].now = PS_FSDP2_IDLE;
    }
    ps_op_join(self->e, PS_EAGER_MAIN, PS_FSDP2_SCATTER);
    if (self->replicas > 1) {
        ps_op_join(self->e, PS_EAGER_MAIN, PS_FSDP2_REDUCE);
    }
    for (size_t i = 0; i < f->units.count; i++) {
        ps_eager_clear(self->e, &f->unit[i].kept);
        ps_eager_clear(self->e, &f->unit[i].buffer);
    }
    ps_eager_clear(self->e, &f->reducing);
}

/* ---- making ---- */

/* A parameter's part: rows of this rank, behind them what pads them to the first rank's. */
static void make_part(ps_scheme *self, size_t member)
{
    ps_fsdp2 *f = ps_fsdp2_of(self);
    const ps_unit_member *of = &f->units.member[member];
    const bool is_matrix = of->shape.rows > 0;
    const int64_t rows = is_matrix ? of->shape.rows : ps_eager_elements(self->e, of->tensor);
    const int64_t columns = is_matrix ? of->shape.columns : 1,
                  most = ps_scheme_share(rows, self->shards);
    const int64_t left = rows - self->place * most;
    const int64_t mine = left < 0 ? 0 : left < most ? left : most;
    ps_fsdp2_part *p = &f->part[member];
    self->is_uneven = self->is_uneven || rows % self->shards != 0;
    p->padded_elements = most * columns;
    p->padded = ps_scheme_make(self, p->padded_elements, ps_eager_dtype(self->e, of->tensor),
                               PS_ROLE_PARAMETER);
    ps_scheme_kernel(self, "fill", ps_eager_bytes(self->e, p->padded));
    ps_scheme_kernel(self, "copy", 2 * ps_eager_bytes(self->e, p->padded));
    if (of->trained != PS_UNITS_NONE && p->padded != 0) {
        f->of.parameter[of->trained] = ps_op_view_of(self->e, p->padded, mine * columns);
        f->of.shape[of->trained] = of->shape;
        f->of.shape[of->trained].rows = is_matrix ? mine : 0;
        f->of.shape[of->trained].columns = is_matrix ? columns : mine;
    }
}

/* A unit comes to the device, is divided, and goes. */
static void shard(ps_scheme *self, size_t which)
{
    ps_fsdp2 *f = ps_fsdp2_of(self);
    const size_t begin = f->units.begin[which], end = f->units.begin[which + 1];
    const ps_fsdp_settings *s = &self->settings->fsdp;
    ps_eager_set_block(self->e, (uint32_t)which);
    for (size_t i = begin; i < end; i++) {
        if (s->has_param_dtype) {
            ps_eager_retype(self->e, f->units.member[i].tensor, s->stored_dtype);
        }
        ps_eager_bring(self->e, f->units.member[i].tensor, PS_ROLE_PARAMETER);
    }
    ps_scheme_bring_buffers(self, (uint32_t)which);
    for (size_t i = begin; i < end; i++) {
        make_part(self, i);
    }
    for (size_t i = begin; i < end; i++) {
        ps_eager_empty(self->e, f->units.member[i].tensor);
        if (s->has_param_dtype) {
            ps_eager_retype(self->e, f->units.member[i].tensor, s->param_dtype);
        }
    }
    ps_eager_set_block(self->e, 0);
}

static ps_code wrap(ps_scheme *self, ps_error *err)
{
    ps_fsdp2 *f = self->state = ps_scheme_calloc(self, 1, sizeof *f);
    if (f == NULL) {
        return ps_fail_nomem(err);
    }
    PS_TRY(ps_units_create(&f->units, self->m, err));
    f->unit = ps_scheme_calloc(self, f->units.count, sizeof *f->unit);
    f->turn = ps_scheme_calloc(self, f->units.count + 1, sizeof *f->turn);
    f->part = ps_scheme_calloc(self, f->units.member_count, sizeof *f->part);
    PS_TRY(ps_fsdp_make_model(self, &f->of, err));
    PS_TRY(ps_eager_code(self->e, err));
    for (size_t which = 1; which <= f->units.count; which++) {
        shard(self, which % f->units.count); /* blocks, then the rest */
    }
    self->of = &f->of;
    self->hooks.enter = enter_block;
    self->hooks.leave = leave_block;
    self->m->hooks = &self->hooks;
    ps_eager_set_mark_hook(self->e, on_mark, self);
    ps_eager_set_end_hook(self->e, end_backward, self);
    return PS_OK;
}

static void destroy(ps_scheme *self)
{
    ps_fsdp2 *f = ps_fsdp2_of(self);
    if (f != NULL) {
        ps_units_fini(&f->units);
        ps_model_fini(&f->of);
        ps_free(f->unit);
        ps_free(f->turn);
        ps_free(f->part);
        ps_free(f);
    }
}

const ps_scheme_ops ps_scheme_fsdp2 = {.check = ps_fsdp_check,
                                       .wrap = wrap,
                                       .destroy = destroy,
                                       .begin_forward = begin_forward,
                                       .end_forward = end_forward,
                                       .has_local_norms = true};
