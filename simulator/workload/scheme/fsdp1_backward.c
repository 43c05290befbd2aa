/* SPDX-License-Identifier: MIT
 *
 * Backward: a unit is gathered when backward reaches its output, the unit before
 * it right after (or behind its gradients). When all its gradients are there
 * they are put together, and reduced in the micro-batch that exchanges.
 */
#include "workload/scheme/fsdp1.h"

/* A parameter that is divided gets an empty gradient of its own size, into which the whole one's
 * place is put: its memory is there for a moment. */
static void show_whole_grads(ps_scheme *self, size_t which, bool was_none)
{
    const ps_fsdp1 *f = ps_fsdp1_of(self);
    for (size_t i = f->units.begin[which]; was_none && i < f->units.begin[which + 1]; i++) {
        const ps_unit_member *of = &f->units.member[i];
        if (of->trained == PS_UNITS_NONE) {
            continue;
        }
        const ps_tensor part = f->of.parameter[of->trained];
        if (of->shape.rows > 0 ||
            ps_eager_elements(self->e, part) < ps_eager_elements(self->e, of->tensor)) {
            ps_fsdp1_show(self, ps_eager_elements(self->e, part), ps_fsdp1_stored_type(self));
        }
    }
}

/*
 * Backward of the split, which was made before the unit ran and so comes after all its nodes;
 * AccumulateGrad of the flat parameter, and the hook behind it.
 */
static void post_backward(ps_scheme *self, size_t which)
{
    ps_fsdp1 *f = ps_fsdp1_of(self);
    ps_fsdp1_unit *u = &f->unit[which];
    if (u->come == 0) {
        return;
    }
    const bool was_none = u->grad == 0;
    ps_tensor flat =
        ps_fsdp1_flatten_grads(self, which); /* the node holds it until its hooks have run */
    u->come = 0;
    if (u->grad != 0) {
        ps_scheme_kernel(self, "add", 3 * ps_fsdp1_flat_bytes(self, u));
    } else {
        u->grad = flat;
        flat = 0;
    }
    ps_fsdp1_reshard(self, u, self->syncs || !self->settings->fsdp.keeps_gathered);
    if (self->settings->fsdp.backward_prefetch == PS_FSDP_BACKWARD_POST && f->turn_of[which] > 0) {
        ps_fsdp1_prefetch_for_backward(self, &f->unit[f->turn[f->turn_of[which] - 1]]);
    }
    if (!self->syncs) {
        show_whole_grads(self, which, was_none);
    } else if (!ps_eager_has_failed(self->e)) {
        ps_op_join(self->e, PS_FSDP1_POST_BACKWARD, PS_EAGER_MAIN);
        ps_fsdp1_reduce(self, u);
    }
    ps_eager_clear(self->e, &flat);
}

void ps_fsdp1_take_grad(void *context, ps_tensor leaf, ps_tensor owned)
{
    ps_scheme *self = context;
    ps_fsdp1 *f = ps_fsdp1_of(self);
    const size_t member = ps_units_find(&f->units, leaf);
    if (member == PS_UNITS_NONE) {
        ps_scheme_keep_grad(self, leaf, owned);
        return;
    }
    const size_t which = f->units.member[member].shape.block;
    f->piece[member] = owned;
    if (++f->unit[which].come == f->unit[which].trained && which > 0 &&
        !f->unit[which].is_entered) {
        post_backward(self, which);
    }
}

void ps_fsdp1_on_mark(void *context, uint32_t mark)
{
    ps_scheme *self = context;
    ps_fsdp1 *f = ps_fsdp1_of(self);
    bool is_entry;
    const size_t which = ps_fsdp_unit_of(mark, &is_entry);
    ps_fsdp1_unit *u = &f->unit[which];
    if (is_entry) {
        post_backward(self, which);
        return;
    }
    if (u->is_ready) {
        return;
    }
    if (u->needs_gather) {
        if (!u->is_prefetched) {
            ps_fsdp1_gather(self, u);
        }
        ps_op_join(self->e, PS_EAGER_MAIN, PS_FSDP1_UNSHARD);
    }
    u->needs_gather = false;
    u->is_ready = true;
    if (self->settings->fsdp.backward_prefetch == PS_FSDP_BACKWARD_PRE && f->turn_of[which] > 0) {
        ps_fsdp1_prefetch_for_backward(self, &f->unit[f->turn[f->turn_of[which] - 1]]);
    }
}

/* Parts of a unit's reduced gradient become those of the parameters that lie in this rank's part. */
static void show_grads(ps_scheme *self, size_t which)
{
    ps_fsdp1 *f = ps_fsdp1_of(self);
    for (size_t i = f->units.begin[which]; i < f->units.begin[which + 1]; i++) {
        const size_t trained = f->units.member[i].trained;
        if (trained == PS_UNITS_NONE || f->unit[which].own_grad == 0) {
            continue;
        }
        const ps_tensor parameter = f->of.parameter[trained];
        const int64_t elements = ps_eager_elements(self->e, parameter);
        if (elements > 0 && ps_eager_grad(self->e, parameter) == 0) {
            const ps_tensor view = ps_op_view_of(self->e, f->unit[which].own_grad, elements);
            if (view != 0) {
                ps_eager_set_grad(self->e, parameter, view);
            }
        }
    }
}

/* What backward did not come to is caught up with; the main lane waits, and all are freed. */
void ps_fsdp1_end_backward(void *context)
{
    ps_scheme *self = context;
    ps_fsdp1 *f = ps_fsdp1_of(self);
    for (size_t which = 0; which < f->units.count; which++) {
        post_backward(self, which);
    }
    if (self->syncs) {
        ps_op_join(self->e, PS_EAGER_MAIN, PS_FSDP1_POST_BACKWARD);
        if (self->replicas > 1) {
            ps_op_join(self->e, PS_EAGER_MAIN, PS_FSDP1_REDUCE);
        }
    }
    for (size_t which = 0; which < f->units.count; which++) {
        ps_fsdp1_unit *u = &f->unit[which];
        ps_fsdp1_reshard(self, u, self->syncs || !self->settings->fsdp.keeps_gathered);
        u->is_ready = u->needs_gather = false;
        if (self->syncs) {
            show_grads(self, which);
        }
    }
    ps_eager_clear(self->e, &f->reducing);
    ps_fsdp1_drop_freed(self);
}
