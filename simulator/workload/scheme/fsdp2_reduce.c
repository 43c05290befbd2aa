/* SPDX-License-Identifier: MIT
 *
 * Gradients: those of a unit are copied into one buffer, which is reduced and
 * scattered (scatter lane), and summed over replicas (reduce lane).
 */
#include "base/memory.h"
#include "workload/scheme/fsdp2.h"

static ps_dtype stored_type(const ps_scheme *self, size_t member)
{
    const ps_fsdp_settings *s = &self->settings->fsdp;
    return s->has_param_dtype
               ? s->stored_dtype
               : ps_eager_dtype(self->e, ps_fsdp2_of(self)->units.member[member].tensor);
}

static ps_dtype reduced_type(const ps_scheme *self, size_t member)
{
    const ps_fsdp_settings *s = &self->settings->fsdp;
    return s->has_reduce_dtype
               ? s->reduce_dtype
               : ps_eager_dtype(self->e, ps_fsdp2_of(self)->units.member[member].tensor);
}

/* A gradient of an earlier micro-batch waits in the type of the exchange; this one is added to it. */
void ps_fsdp2_add_accumulated(ps_scheme *self, size_t member)
{
    ps_fsdp2 *f = ps_fsdp2_of(self);
    const ps_tensor leaf = f->units.member[member].tensor;
    if (f->part[member].accumulated != 0 && ps_eager_grad(self->e, leaf) != 0) {
        ps_scheme_kernel(self, "add",
                         2 * ps_eager_bytes(self->e, f->part[member].accumulated) +
                             ps_eager_bytes(self->e, leaf));
        ps_eager_forget_grad(self->e, leaf);
    }
}

void ps_fsdp2_accumulate(ps_scheme *self, size_t member)
{
    ps_fsdp2 *f = ps_fsdp2_of(self);
    const ps_tensor leaf = f->units.member[member].tensor, grad = ps_eager_grad(self->e, leaf);
    const ps_dtype type = reduced_type(self, member);
    if (grad == 0 || ps_eager_dtype(self->e, grad) == type) {
        return;
    }
    f->part[member].accumulated =
        ps_scheme_make(self, ps_eager_elements(self->e, leaf), type, PS_ROLE_GRADIENT);
    ps_scheme_kernel(self, "copy",
                     ps_eager_bytes(self->e, leaf) +
                         ps_eager_bytes(self->e, f->part[member].accumulated));
    ps_eager_forget_grad(self->e, leaf);
}

/* Borrowed; 0: none. */
static ps_tensor grad_of(const ps_scheme *self, size_t member)
{
    const ps_fsdp2 *f = ps_fsdp2_of(self);
    return f->part[member].accumulated != 0
               ? f->part[member].accumulated
               : ps_eager_grad(self->e, f->units.member[member].tensor);
}

static bool has_grad(const ps_scheme *self, size_t member)
{
    return grad_of(self, member) != 0;
}

/* Elements of this rank's part of the gradients of a unit, and a member that has one. */
static int64_t part_of_grads(const ps_scheme *self, size_t which, size_t *example)
{
    const ps_fsdp2 *f = ps_fsdp2_of(self);
    int64_t elements = 0;
    for (size_t i = f->units.begin[which]; i < f->units.begin[which + 1]; i++) {
        if (has_grad(self, i)) {
            elements += f->part[i].padded_elements;
            *example = i;
        }
    }
    return elements;
}

/* chunk_cat: all gradients of the unit, part by part; then they go */
static ps_tensor copy_in(ps_scheme *self, size_t which, int64_t elements, ps_dtype type)
{
    ps_fsdp2 *f = ps_fsdp2_of(self);
    const ps_tensor out = ps_scheme_make(self, elements, type, PS_ROLE_WORKSPACE);
    uint64_t bytes = (uint64_t)elements * ps_dtype_bytes(type);
    int64_t blocks = 0, count = 0;
    for (size_t i = f->units.begin[which]; i < f->units.begin[which + 1]; i++) {
        if (has_grad(self, i)) {
            bytes += ps_eager_bytes(self->e, f->units.member[i].tensor);
            blocks +=
                ps_fsdp2_blocks_of((uint64_t)f->part[i].padded_elements * ps_dtype_bytes(type));
            count++;
        }
    }
    /* of each tensor: where it lies, its size, its part's, and that in blocks; where both begin */
    ps_fsdp2_tell_blocks(self, "chunk_cat", bytes, blocks, 6 * count + 2);
    ps_eager_touch(self->e, out, true);
    return out;
}

/* Parts of `out` become the gradients of this rank's parts, or are added to them. */
static void view_out(ps_scheme *self, size_t which, const bool *has, ps_tensor out)
{
    ps_fsdp2 *f = ps_fsdp2_of(self);
    for (size_t i = f->units.begin[which]; i < f->units.begin[which + 1]; i++) {
        const size_t trained = f->units.member[i].trained;
        if (!has[i - f->units.begin[which]] || trained == PS_UNITS_NONE) {
            continue;
        }
        const ps_tensor leaf = f->of.parameter[trained];
        if (ps_eager_grad(self->e, leaf) != 0) {
            ps_scheme_kernel(self, "add", 3 * ps_eager_bytes(self->e, leaf));
            continue;
        }
        const ps_tensor view = ps_op_view_of(self->e, out, ps_eager_elements(self->e, leaf));
        if (view != 0) {
            ps_eager_set_grad(self->e, leaf, view);
        }
    }
}

static ps_eager_lane all_reduce(ps_scheme *self, size_t which, ps_tensor out)
{
    if (self->replicas == 1) {
        return PS_FSDP2_SCATTER;
    }
    ps_scheme_collect(self, PS_COLLECTIVE_ALL_REDUCE, PS_FSDP2_REDUCE, ps_scheme_replica_axes(self),
                      ps_eager_dtype(self->e, out), ps_eager_bytes(self->e, out));
    ps_eager_touch(self->e, out, true);
    ps_fsdp2_of(self)->unit[which].kept = ps_eager_hold(self->e, out);
    return PS_FSDP2_REDUCE;
}

/* Numbers of 16 bits with 5 of an exponent are divided before and after. */
static void divide(ps_scheme *self, ps_tensor what)
{
    if (ps_eager_dtype(self->e, what) == PS_DTYPE_F16) {
        ps_scheme_kernel(self, "div", 2 * ps_eager_bytes(self->e, what));
        ps_eager_touch(self->e, what, true);
    }
}

static void exchange(ps_scheme *self, size_t which, const bool *has, size_t example)
{
    ps_fsdp2 *f = ps_fsdp2_of(self);
    const ps_tensor in = f->reducing;
    const ps_dtype type = ps_eager_dtype(self->e, in);
    ps_op_join(self->e, PS_FSDP2_SCATTER, PS_EAGER_MAIN);
    const ps_eager_lane was = ps_eager_set_lane(self->e, PS_FSDP2_SCATTER);
    ps_tensor out =
        ps_scheme_make(self, ps_eager_elements(self->e, in) / self->shards, type, PS_ROLE_GRADIENT);
    divide(self, in);
    ps_scheme_collect(self, PS_COLLECTIVE_REDUCE_SCATTER, PS_FSDP2_SCATTER,
                      ps_scheme_shard_axes(self), type, ps_eager_bytes(self->e, in));
    ps_eager_touch(self->e, in, false);
    ps_eager_touch(self->e, out, true);
    (void)ps_eager_set_lane(self->e, all_reduce(self, which, out));
    divide(self, out);
    if (stored_type(self, example) != type) {
        const ps_tensor wide = ps_scheme_make(self, ps_eager_elements(self->e, out),
                                              stored_type(self, example), PS_ROLE_GRADIENT);
        ps_scheme_kernel(self, "copy",
                         ps_eager_bytes(self->e, out) + ps_eager_bytes(self->e, wide));
        ps_eager_assign(self->e, &out, wide);
    }
    view_out(self, which, has, out);
    ps_eager_clear(self->e, &out);
    (void)ps_eager_set_lane(self->e, was);
}

/* The buffer of the reduce-scatter before lives until this one's: main waits for it. */
static void drop_reducing(ps_scheme *self)
{
    ps_fsdp2 *f = ps_fsdp2_of(self);
    if (f->reducing != 0) {
        ps_op_join(self->e, PS_EAGER_MAIN, PS_FSDP2_SCATTER);
        ps_eager_clear(self->e, &f->reducing);
    }
}

void ps_fsdp2_reduce(ps_scheme *self, size_t which)
{
    ps_fsdp2 *f = ps_fsdp2_of(self);
    size_t example = 0;
    const size_t begin = f->units.begin[which], count = f->units.begin[which + 1] - begin;
    const int64_t elements = part_of_grads(self, which, &example) * self->shards;
    bool *has = elements == 0 ? NULL : ps_scheme_calloc(self, count, sizeof *has);
    ps_fsdp2_reshard(self, which);
    if (has == NULL) {
        return;
    }
    drop_reducing(self);
    f->reducing = copy_in(self, which, elements, reduced_type(self, example));
    ps_tensor last = 0; /* which a variable of the function that reduces holds to its end */
    for (size_t i = 0; i < count; i++) {
        has[i] = has_grad(self, begin + i);
        if (has[i]) {
            ps_eager_assign(self->e, &last, ps_eager_hold(self->e, grad_of(self, begin + i)));
        }
    }
    for (size_t i = 0; i < count; i++) {
        ps_eager_clear(self->e, &f->part[begin + i].accumulated);
        ps_eager_forget_grad(self->e, f->units.member[begin + i].tensor);
    }
    if (!ps_eager_has_failed(self->e)) {
        exchange(self, which, has, example);
    }
    ps_eager_clear(self->e, &last);
    ps_free(has);
}
