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
#include "base/memory.h"
#include "workload/scheme/fsdp.h"
#include "workload/scheme/scheme_parts.h"
#include "workload/scheme/units.h"

/* Lanes beside the main one; EVENT holds no work: it remembers a moment of the main lane. */
#define COPY_IN PS_EAGER_GROUP
#define GATHER (PS_EAGER_GROUP + 1)
#define SCATTER (PS_EAGER_GROUP + 2)
#define REDUCE (PS_EAGER_GROUP + 3)
#define EVENT (PS_EAGER_GROUP + 7)

typedef enum moment { IDLE, FORWARD, PRE_BACKWARD, POST_BACKWARD } moment;

typedef struct unit {
    moment now;
    bool is_gathered; /* its parameters are whole */
    ps_tensor buffer; /* of a gather that nobody has awaited */
    ps_tensor kept;   /* what an all-reduce was given, until backward ends */
    size_t order;     /* its turn in forward */
} unit;

/* One parameter's part on this rank. */
typedef struct part {
    ps_tensor padded;      /* as large as the first rank's */
    ps_tensor accumulated; /* of a gradient that was not exchanged, in the type of the exchange */
    int64_t padded_elements;
} part;

typedef struct fsdp2 {
    ps_units units;
    ps_model of;
    unit *unit;
    part *part;   /* of each member */
    size_t *turn; /* units in the order of forward */
    size_t turn_count;
    ps_tensor before;   /* buffer of the last gather of forward */
    ps_tensor reducing; /* buffer of the last reduce-scatter of backward */
} fsdp2;

static fsdp2 *own(const ps_scheme *self)
{
    return self->state;
}

static uint64_t padded_bytes(const ps_scheme *self, size_t member)
{
    const fsdp2 *f = own(self);
    return (uint64_t)f->part[member].padded_elements *
           ps_dtype_bytes(ps_eager_dtype(self->e, f->units.member[member].tensor));
}

/* ---- gathering ---- */

/* [bytes] of this rank's parts as they are gathered. */
static uint64_t part_bytes(const ps_scheme *self, size_t which)
{
    const fsdp2 *f = own(self);
    uint64_t bytes = 0;
    for (size_t i = f->units.begin[which]; i < f->units.begin[which + 1]; i++) {
        bytes += padded_bytes(self, i);
    }
    return bytes;
}

static void gather(ps_scheme *self, size_t which)
{
    fsdp2 *f = own(self);
    unit *u = &f->unit[which];
    const uint64_t bytes = part_bytes(self, which), whole = bytes * (uint64_t)self->shards;
    if (u->is_gathered || u->buffer != 0 || bytes == 0) {
        return;
    }
    const ps_eager_lane was = ps_eager_set_lane(self->e, COPY_IN);
    ps_tensor narrow = 0;
    if (self->settings->fsdp.has_param_dtype) {
        narrow = ps_scheme_make(self, (int64_t)bytes, PS_DTYPE_BOOL, PS_ROLE_TEMPORARY);
        ps_scheme_kernel(self, "_foreach_copy_", 3 * bytes);
    }
    u->buffer = ps_scheme_make(self, (int64_t)whole, PS_DTYPE_BOOL, PS_ROLE_WORKSPACE);
    ps_scheme_kernel(self, "all_gather_copy_in", 2 * bytes);
    ps_eager_touch(self->e, u->buffer, true);
    ps_eager_clear(self->e, &narrow);
    const ps_tensor first = f->units.member[f->units.begin[which]].tensor;
    ps_scheme_collect(self, PS_COLLECTIVE_ALL_GATHER, GATHER, ps_scheme_shard_axes(self),
                      ps_eager_dtype(self->e, first), whole);
    ps_eager_touch(self->e, u->buffer, true);
    (void)ps_eager_set_lane(self->e, was);
}

/* The lanes of a gather wait for the copy-out that the event lane remembers. */
static void wait_for_event(ps_scheme *self)
{
    ps_op_join(self->e, COPY_IN, EVENT);
    ps_op_join(self->e, GATHER, EVENT);
}

static void drop_before(ps_scheme *self)
{
    fsdp2 *f = own(self);
    if (f->before != 0) {
        wait_for_event(self);
        ps_eager_clear(self->e, &f->before);
    }
}

/*
 * Kernels over the parts of many tensors are told what each of their blocks does: numbers of 64 bits
 * on the device, one a block of 2 KiB and `each` a tensor.
 */
static void tell_blocks(ps_scheme *self, const char *name, uint64_t moved_bytes, int64_t blocks,
                        int64_t numbers)
{
    ps_tensor told = ps_scheme_make(self, blocks + numbers, PS_DTYPE_I64, PS_ROLE_TEMPORARY);
    ps_scheme_kernel(self, name, moved_bytes);
    ps_eager_clear(self->e, &told);
}

static int64_t blocks_of(uint64_t bytes)
{
    enum { BLOCK_BYTES = 2048 };
    return ps_scheme_share((int64_t)bytes, BLOCK_BYTES);
}

static void copy_out(ps_scheme *self, size_t which)
{
    int64_t blocks = 0, count = 0;
    fsdp2 *f = own(self);
    const uint64_t shards = (uint64_t)self->shards;
    for (size_t i = f->units.begin[which]; i < f->units.begin[which + 1]; i++) {
        ps_eager_refill(self->e, f->units.member[i].tensor, padded_bytes(self, i) * shards,
                        PS_ROLE_PARAMETER);
        blocks += blocks_of(padded_bytes(self, i));
        count++;
    }
    /* of each tensor: where it lies, its size, where it begins, and its first block */
    tell_blocks(self, "split_with_sizes_copy", 2 * part_bytes(self, which) * shards, blocks,
                4 * count + 1);
    ps_eager_touch(self->e, f->unit[which].buffer, false);
    f->unit[which].is_gathered = true;
}

/* In forward a variable of the function that waits holds the buffer before to its end. */
static void await(ps_scheme *self, size_t which)
{
    fsdp2 *f = own(self);
    unit *u = &f->unit[which];
    const bool is_forward = u->now == FORWARD;
    if (u->buffer == 0) {
        return;
    }
    if (is_forward && f->before != 0) {
        wait_for_event(self);
    }
    ps_op_join(self->e, PS_EAGER_MAIN, GATHER);
    copy_out(self, which);
    ps_op_join(self->e, EVENT, PS_EAGER_MAIN);
    if (is_forward) {
        ps_eager_assign(self->e, &f->before, u->buffer);
        u->buffer = 0;
        return;
    }
    wait_for_event(self);
    ps_eager_clear(self->e, &u->buffer);
}

static void reshard(ps_scheme *self, size_t which)
{
    fsdp2 *f = own(self);
    for (size_t i = f->units.begin[which]; i < f->units.begin[which + 1]; i++) {
        ps_eager_empty(self->e, f->units.member[i].tensor);
    }
    f->unit[which].is_gathered = false;
}

/* ---- forward ---- */

static void enter(ps_scheme *self, size_t which)
{
    own(self)->unit[which].now = FORWARD;
    gather(self, which);
    await(self, which);
}

/* @param out  whose backward is this unit's; 0: none comes */
static void leave(ps_scheme *self, size_t which, ps_tensor out, bool reshards)
{
    fsdp2 *f = own(self);
    if (reshards) {
        reshard(self, which);
    }
    f->unit[which].order = f->turn_count;
    f->turn[f->turn_count++] = which;
    f->unit[which].now = IDLE;
    ps_eager_mark(self->e, out, ps_fsdp_mark(which, false));
}

static void begin_forward(ps_scheme *self)
{
    own(self)->turn_count = 0;
    ps_op_join(self->e, COPY_IN, PS_EAGER_MAIN);
    ps_op_join(self->e, GATHER, PS_EAGER_MAIN);
    enter(self, 0);
}

static void end_forward(ps_scheme *self, ps_model_output *out)
{
    leave(self, 0, out->loss, false);
    drop_before(self);
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

/* ---- gradients ---- */

static ps_dtype stored_type(const ps_scheme *self, size_t member)
{
    const ps_fsdp_settings *s = &self->settings->fsdp;
    return s->has_param_dtype ? s->stored_dtype
                              : ps_eager_dtype(self->e, own(self)->units.member[member].tensor);
}

static ps_dtype reduced_type(const ps_scheme *self, size_t member)
{
    const ps_fsdp_settings *s = &self->settings->fsdp;
    return s->has_reduce_dtype ? s->reduce_dtype
                               : ps_eager_dtype(self->e, own(self)->units.member[member].tensor);
}

/* A gradient of an earlier micro-batch waits in the type of the exchange; this one is added to it. */
static void add_accumulated(ps_scheme *self, size_t member)
{
    fsdp2 *f = own(self);
    const ps_tensor leaf = f->units.member[member].tensor;
    if (f->part[member].accumulated != 0 && ps_eager_grad(self->e, leaf) != 0) {
        ps_scheme_kernel(self, "add",
                         2 * ps_eager_bytes(self->e, f->part[member].accumulated) +
                             ps_eager_bytes(self->e, leaf));
        ps_eager_forget_grad(self->e, leaf);
    }
}

static void accumulate(ps_scheme *self, size_t member)
{
    fsdp2 *f = own(self);
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
    const fsdp2 *f = own(self);
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
    const fsdp2 *f = own(self);
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
    fsdp2 *f = own(self);
    const ps_tensor out = ps_scheme_make(self, elements, type, PS_ROLE_WORKSPACE);
    uint64_t bytes = (uint64_t)elements * ps_dtype_bytes(type);
    int64_t blocks = 0, count = 0;
    for (size_t i = f->units.begin[which]; i < f->units.begin[which + 1]; i++) {
        if (has_grad(self, i)) {
            bytes += ps_eager_bytes(self->e, f->units.member[i].tensor);
            blocks += blocks_of((uint64_t)f->part[i].padded_elements * ps_dtype_bytes(type));
            count++;
        }
    }
    /* of each tensor: where it lies, its size, its part's, and that in blocks; where both begin */
    tell_blocks(self, "chunk_cat", bytes, blocks, 6 * count + 2);
    ps_eager_touch(self->e, out, true);
    return out;
}

/* Parts of `out` become the gradients of this rank's parts, or are added to them. */
static void view_out(ps_scheme *self, size_t which, const bool *has, ps_tensor out)
{
    fsdp2 *f = own(self);
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
        return SCATTER;
    }
    ps_scheme_collect(self, PS_COLLECTIVE_ALL_REDUCE, REDUCE, ps_scheme_replica_axes(self),
                      ps_eager_dtype(self->e, out), ps_eager_bytes(self->e, out));
    ps_eager_touch(self->e, out, true);
    own(self)->unit[which].kept = ps_eager_hold(self->e, out);
    return REDUCE;
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
    fsdp2 *f = own(self);
    const ps_tensor in = f->reducing;
    const ps_dtype type = ps_eager_dtype(self->e, in);
    ps_op_join(self->e, SCATTER, PS_EAGER_MAIN);
    const ps_eager_lane was = ps_eager_set_lane(self->e, SCATTER);
    ps_tensor out =
        ps_scheme_make(self, ps_eager_elements(self->e, in) / self->shards, type, PS_ROLE_GRADIENT);
    divide(self, in);
    ps_scheme_collect(self, PS_COLLECTIVE_REDUCE_SCATTER, SCATTER, ps_scheme_shard_axes(self), type,
                      ps_eager_bytes(self->e, in));
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
    fsdp2 *f = own(self);
    if (f->reducing != 0) {
        ps_op_join(self->e, PS_EAGER_MAIN, SCATTER);
        ps_eager_clear(self->e, &f->reducing);
    }
}

static void reduce(ps_scheme *self, size_t which)
{
    fsdp2 *f = own(self);
    size_t example = 0;
    const size_t begin = f->units.begin[which], count = f->units.begin[which + 1] - begin;
    const int64_t elements = part_of_grads(self, which, &example) * self->shards;
    bool *has = elements == 0 ? NULL : ps_scheme_calloc(self, count, sizeof *has);
    reshard(self, which);
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

/* ---- backward ---- */

static void post_backward(ps_scheme *self, size_t which)
{
    fsdp2 *f = own(self);
    f->unit[which].now = POST_BACKWARD;
    for (size_t i = f->units.begin[which]; i < f->units.begin[which + 1]; i++) {
        add_accumulated(self, i);
    }
    if (self->syncs) {
        reduce(self, which);
        return;
    }
    reshard(self, which);
    for (size_t i = f->units.begin[which]; i < f->units.begin[which + 1]; i++) {
        accumulate(self, i);
    }
}

static void pre_backward(ps_scheme *self, size_t which)
{
    fsdp2 *f = own(self);
    unit *u = &f->unit[which];
    if (u->now == PRE_BACKWARD) {
        return;
    }
    u->now = PRE_BACKWARD;
    gather(self, which);
    await(self, which);
    if (u->order > 0) {
        gather(self, f->turn[u->order - 1]);
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
    fsdp2 *f = own(self);
    for (size_t i = 0; i < f->units.count; i++) {
        if (f->unit[i].now != POST_BACKWARD) {
            post_backward(self, i);
        }
        f->unit[i].now = IDLE;
    }
    ps_op_join(self->e, PS_EAGER_MAIN, SCATTER);
    if (self->replicas > 1) {
        ps_op_join(self->e, PS_EAGER_MAIN, REDUCE);
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
    fsdp2 *f = own(self);
    const ps_unit_member *of = &f->units.member[member];
    const bool is_matrix = of->shape.rows > 0;
    const int64_t rows = is_matrix ? of->shape.rows : ps_eager_elements(self->e, of->tensor);
    const int64_t columns = is_matrix ? of->shape.columns : 1,
                  most = ps_scheme_share(rows, self->shards);
    const int64_t left = rows - self->place * most;
    const int64_t mine = left < 0 ? 0 : left < most ? left : most;
    part *p = &f->part[member];
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
    fsdp2 *f = own(self);
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
    fsdp2 *f = self->state = ps_scheme_calloc(self, 1, sizeof *f);
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
    fsdp2 *f = own(self);
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
