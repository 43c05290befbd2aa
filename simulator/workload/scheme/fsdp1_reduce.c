/* SPDX-License-Identifier: MIT
 *
 * Gradients of a unit are copied into a flat one, which is reduced and scattered
 * in the post-backward lane.
 */
#include "workload/scheme/fsdp1.h"

/* How much of the division by the number of ranks comes before the sum: about its root. */
static int64_t factor_before(int64_t ranks)
{
    int64_t factor = 1;
    while (ranks % factor == 0 && ranks / factor > factor) {
        factor *= 2;
    }
    return factor;
}

static void divide(ps_scheme *self, int64_t by, ps_tensor what)
{
    if (by > 1) {
        ps_scheme_kernel(self, "div", 2 * ps_eager_bytes(self->e, what));
    }
}

static void add_own(ps_scheme *self, ps_fsdp1_unit *u, ps_tensor out)
{
    if (u->own_grad != 0) {
        ps_scheme_kernel(self, "add", 3 * ps_eager_bytes(self->e, out));
        ps_eager_drop(self->e, out);
        return;
    }
    u->own_grad = out;
}

static ps_tensor retype(ps_scheme *self, ps_tensor of, ps_dtype type, ps_role role)
{
    const ps_tensor out = ps_scheme_make(self, ps_eager_elements(self->e, of), type, role);
    ps_scheme_kernel(self, "copy", ps_eager_bytes(self->e, of) + ps_eager_bytes(self->e, out));
    return out;
}

/* In the post-backward lane; the flat gradient stays until the next one is there. */
void ps_fsdp1_reduce(ps_scheme *self, ps_fsdp1_unit *u)
{
    ps_fsdp1 *f = ps_fsdp1_of(self);
    const ps_fsdp_settings *s = &self->settings->fsdp;
    const int64_t before = factor_before(self->settings->ranks);
    const ps_eager_lane was = ps_eager_set_lane(self->e, PS_FSDP1_POST_BACKWARD);
    ps_eager_clear(self->e, &f->reducing);
    f->reducing = u->grad;
    u->grad = 0;
    ps_tensor in = ps_eager_hold(self->e, f->reducing);
    if (s->has_reduce_dtype && s->reduce_dtype != ps_eager_dtype(self->e, in)) {
        ps_eager_assign(self->e, &in, retype(self, in, s->reduce_dtype, PS_ROLE_WORKSPACE));
    }
    const ps_dtype type = ps_eager_dtype(self->e, in);
    ps_tensor out = ps_scheme_make(self, u->elements / self->shards, type, PS_ROLE_GRADIENT);
    divide(self, before, in);
    ps_scheme_collect(self, PS_COLLECTIVE_REDUCE_SCATTER, PS_FSDP1_POST_BACKWARD,
                      ps_scheme_shard_axes(self), type, ps_eager_bytes(self->e, in));
    if (self->replicas > 1) {
        ps_scheme_collect(self, PS_COLLECTIVE_ALL_REDUCE, PS_FSDP1_REDUCE,
                          ps_scheme_replica_axes(self), type, ps_eager_bytes(self->e, out));
        (void)ps_eager_set_lane(self->e, PS_FSDP1_REDUCE);
    }
    divide(self, self->settings->ranks / before, out);
    if (type != ps_fsdp1_stored_type(self)) {
        ps_eager_assign(self->e, &out,
                        retype(self, out, ps_fsdp1_stored_type(self), PS_ROLE_GRADIENT));
    }
    add_own(self, u, out);
    ps_eager_clear(self->e, &in);
    if (s->gathers_unlimited) {
        ps_eager_clear(self->e, &f->reducing); /* as all that the host does not wait for */
    }
    (void)ps_eager_set_lane(self->e, was);
}

/* Backward of the split: pieces, and zeros where there are none, are put together. */
ps_tensor ps_fsdp1_flatten_grads(ps_scheme *self, size_t which)
{
    ps_fsdp1 *f = ps_fsdp1_of(self);
    const ps_fsdp1_unit *u = &f->unit[which];
    const ps_dtype type = ps_eager_dtype(self->e, u->flat);
    const size_t begin = f->units.begin[which], end = f->units.begin[which + 1];
    ps_tensor zeros =
        u->padding == 0 ? 0 : ps_scheme_make(self, u->padding, type, PS_ROLE_TEMPORARY);
    for (size_t i = begin; i < end; i++) {
        if (f->piece[i] == 0) {
            const int64_t elements = ps_eager_elements(self->e, f->units.member[i].tensor);
            f->piece[i] = ps_scheme_make(self, elements, type, PS_ROLE_TEMPORARY);
            ps_scheme_kernel(self, "fill", (uint64_t)elements * ps_dtype_bytes(type));
        }
    }
    const ps_tensor out = ps_scheme_make(self, u->elements, type, PS_ROLE_GRADIENT);
    ps_scheme_kernel(self, "cat", 2 * ps_fsdp1_flat_bytes(self, u));
    for (size_t i = begin; i < end; i++) {
        ps_eager_clear(self->e, &f->piece[i]);
    }
    ps_eager_clear(self->e, &zeros);
    return out;
}
