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
#include "base/memory.h"
#include "workload/scheme/fsdp.h"
#include "workload/scheme/units.h"

#define UNSHARD PS_EAGER_GROUP
#define PRE_UNSHARD (PS_EAGER_GROUP + 1)
#define POST_BACKWARD (PS_EAGER_GROUP + 2)
#define REDUCE (PS_EAGER_GROUP + 3)
#define FREED (PS_EAGER_GROUP + 6) /* and the next: moments of the main lane, turn by turn */

enum { IN_FLIGHT = 2, ALIGNMENT_BYTES = 16 };

typedef struct unit {
    ps_tensor flat;     /* empty while the unit is not gathered */
    ps_tensor shard;    /* this rank's part */
    ps_tensor grad;     /* flat, of micro-batches that are not exchanged too */
    ps_tensor own_grad; /* this rank's part of it, reduced */
    int64_t elements;   /* of the flat tensor, padded */
    int64_t padding;
    size_t trained, come;         /* gradients that it has, and those that are there */
    bool is_prefetched, is_ready; /* gathered ahead; backward has reached it */
    bool needs_gather;            /* for backward */
    bool is_entered;              /* by a tensor that wants a gradient */
} unit;

typedef struct fsdp1 {
    ps_units units;
    ps_model of;
    unit *unit;
    int64_t *begin;         /* of each member in its flat tensor */
    ps_tensor *piece;       /* gradient of each member, until all of its unit are there */
    size_t *turn, *turn_of; /* units in the order of forward */
    size_t turn_count;
    bool knows_order;
    ps_tensor freed[IN_FLIGHT]; /* memory of units that were freed, the oldest first */
    size_t freed_count, freed_turn;
    ps_tensor reducing; /* the last flat gradient that went into a reduce-scatter */
} fsdp1;

static fsdp1 *own(const ps_scheme *self)
{
    return self->state;
}

static ps_dtype stored_type(const ps_scheme *self)
{
    const ps_fsdp_settings *s = &self->settings->fsdp;
    return s->has_param_dtype ? s->stored_dtype : ps_eager_dtype(self->e, own(self)->unit[0].flat);
}

static uint64_t flat_bytes(const ps_scheme *self, const unit *u)
{
    return (uint64_t)u->elements * ps_dtype_bytes(ps_eager_dtype(self->e, u->flat));
}

/* ---- memory that goes back late ---- */

/* The host waits for the oldest unit that was freed, and its memory goes. */
static void wait_for_oldest(ps_scheme *self)
{
    fsdp1 *f = own(self);
    const ps_eager_kernel wait = {.name = "synchronize", .kind = PS_KERNEL_WAIT};
    const size_t oldest = (f->freed_turn + IN_FLIGHT - f->freed_count) % IN_FLIGHT;
    const ps_eager_lane was = ps_eager_set_lane(self->e, (ps_eager_lane)(FREED + oldest));
    ps_op_tell(self->e, &wait);
    (void)ps_eager_set_lane(self->e, was);
    ps_eager_clear(self->e, &f->freed[0]);
    f->freed[0] = f->freed[1];
    f->freed[1] = 0;
    f->freed_count--;
}

static void drop_freed(ps_scheme *self)
{
    fsdp1 *f = own(self);
    for (; f->freed_count > 0; f->freed_count--) {
        ps_eager_clear(self->e, &f->freed[0]);
        f->freed[0] = f->freed[1];
        f->freed[1] = 0;
    }
}

static void reshard(ps_scheme *self, unit *u, bool frees)
{
    fsdp1 *f = own(self);
    u->is_prefetched = false;
    if (!frees || ps_eager_is_empty(self->e, u->flat)) {
        return;
    }
    if (self->settings->fsdp.gathers_unlimited) {
        ps_eager_empty(self->e, u->flat);
        return;
    }
    if (f->freed_count == IN_FLIGHT) {
        wait_for_oldest(self);
    }
    ps_op_join(self->e, (ps_eager_lane)(FREED + f->freed_turn), PS_EAGER_MAIN);
    f->freed_turn = (f->freed_turn + 1) % IN_FLIGHT;
    f->freed[f->freed_count++] = ps_eager_take_out(self->e, u->flat);
}

/* ---- gathering ---- */

static ps_tensor make_narrow(ps_scheme *self, const unit *u)
{
    const ps_eager_lane was = ps_eager_set_lane(self->e, PRE_UNSHARD);
    const ps_tensor narrow = ps_scheme_make(self, u->elements / self->shards,
                                            ps_eager_dtype(self->e, u->flat), PS_ROLE_TEMPORARY);
    ps_scheme_kernel(self, "copy",
                     ps_eager_bytes(self->e, u->shard) + ps_eager_bytes(self->e, narrow));
    (void)ps_eager_set_lane(self->e, was);
    ps_op_join(self->e, UNSHARD, PRE_UNSHARD);
    return narrow;
}

static void gather(ps_scheme *self, unit *u)
{
    fsdp1 *f = own(self);
    if (u->elements == 0 || !ps_eager_is_empty(self->e, u->flat)) {
        return;
    }
    ps_tensor narrow = self->settings->fsdp.has_param_dtype ? make_narrow(self, u) : 0;
    if (f->freed_count == IN_FLIGHT) {
        wait_for_oldest(self);
    }
    const ps_eager_lane was = ps_eager_set_lane(self->e, UNSHARD);
    ps_eager_refill(self->e, u->flat, flat_bytes(self, u), PS_ROLE_PARAMETER);
    ps_scheme_collect(self, PS_COLLECTIVE_ALL_GATHER, UNSHARD, ps_scheme_shard_axes(self),
                      ps_eager_dtype(self->e, u->flat), flat_bytes(self, u));
    (void)ps_eager_set_lane(self->e, was);
    ps_eager_clear(self->e, &narrow);
}

static void prefetch(ps_scheme *self, unit *u)
{
    if (!u->is_prefetched) {
        gather(self, u);
        u->is_prefetched = true;
    }
}

/* Backward may have been there already. */
static void prefetch_for_backward(ps_scheme *self, unit *u)
{
    if (u->needs_gather) {
        prefetch(self, u);
    }
}

/* ---- forward ---- */

static void enter(ps_scheme *self, size_t which)
{
    fsdp1 *f = own(self);
    unit *u = &f->unit[which];
    if (!u->is_prefetched) {
        gather(self, u);
    }
    ps_op_join(self->e, PS_EAGER_MAIN, UNSHARD);
    /* the root comes first in the order of calls, blocks follow in that of their numbers */
    if (self->settings->fsdp.forward_prefetch && f->knows_order && which + 1 < f->units.count) {
        prefetch(self, &f->unit[which + 1]);
    }
}

static void leave(ps_scheme *self, size_t which, ps_tensor out, bool frees)
{
    fsdp1 *f = own(self);
    reshard(self, &f->unit[which], frees);
    f->unit[which].needs_gather = true;
    f->turn_of[which] = f->turn_count;
    f->turn[f->turn_count++] = which;
    ps_eager_mark(self->e, out, ps_fsdp_mark(which, false));
}

/* A reduced gradient goes when forward finds that none of its parts is left. */
static void forget_grads(ps_scheme *self)
{
    fsdp1 *f = own(self);
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

static void show(ps_scheme *self, int64_t elements, ps_dtype dtype)
{
    ps_tensor made = ps_scheme_make(self, elements, dtype, PS_ROLE_TEMPORARY);
    ps_eager_clear(self->e, &made);
}

/* Before the first forward each unit's tensors are made once, and lose their memory at once. */
static void make_tensors(ps_scheme *self)
{
    const fsdp1 *f = own(self);
    const ps_fsdp_settings *s = &self->settings->fsdp;
    for (size_t which = 0; which < f->units.count; which++) {
        const unit *u = &f->unit[which];
        if (s->has_param_dtype) {
            show(self, u->elements / self->shards, s->param_dtype);
        }
        show(self, u->elements, ps_eager_dtype(self->e, u->flat));
        if (s->has_param_dtype) {
            show(self, u->elements, s->stored_dtype);
        }
    }
}

static void begin_forward(ps_scheme *self)
{
    own(self)->turn_count = 0;
    if (!own(self)->knows_order) {
        make_tensors(self);
    }
    ps_op_join(self->e, UNSHARD, PS_EAGER_MAIN);
    ps_op_join(self->e, PRE_UNSHARD, PS_EAGER_MAIN);
    forget_grads(self);
    enter(self, 0);
}

static void end_forward(ps_scheme *self, ps_model_output *out)
{
    leave(self, 0, out->loss, false);
    own(self)->knows_order = true;
}

static ps_tensor enter_block(void *context, uint32_t block, ps_tensor owned)
{
    ps_scheme *self = context;
    enter(self, block);
    own(self)->unit[block].is_entered = ps_eager_requires_grad(self->e, owned);
    ps_eager_assign(self->e, &owned, ps_op_boundary(self->e, owned, ps_fsdp_mark(block, true)));
    return owned;
}

static void leave_block(void *context, uint32_t block, ps_tensor out)
{
    ps_scheme *self = context;
    leave(self, block, out, !self->settings->fsdp.keeps_gathered);
}

/* ---- gradients ---- */

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

static void add_own(ps_scheme *self, unit *u, ps_tensor out)
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
static void reduce(ps_scheme *self, unit *u)
{
    fsdp1 *f = own(self);
    const ps_fsdp_settings *s = &self->settings->fsdp;
    const int64_t before = factor_before(self->settings->ranks);
    const ps_eager_lane was = ps_eager_set_lane(self->e, POST_BACKWARD);
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
    ps_scheme_collect(self, PS_COLLECTIVE_REDUCE_SCATTER, POST_BACKWARD, ps_scheme_shard_axes(self),
                      type, ps_eager_bytes(self->e, in));
    if (self->replicas > 1) {
        ps_scheme_collect(self, PS_COLLECTIVE_ALL_REDUCE, REDUCE, ps_scheme_replica_axes(self),
                          type, ps_eager_bytes(self->e, out));
        (void)ps_eager_set_lane(self->e, REDUCE);
    }
    divide(self, self->settings->ranks / before, out);
    if (type != stored_type(self)) {
        ps_eager_assign(self->e, &out, retype(self, out, stored_type(self), PS_ROLE_GRADIENT));
    }
    add_own(self, u, out);
    ps_eager_clear(self->e, &in);
    if (s->gathers_unlimited) {
        ps_eager_clear(self->e, &f->reducing); /* as all that the host does not wait for */
    }
    (void)ps_eager_set_lane(self->e, was);
}

/* Backward of the split: pieces, and zeros where there are none, are put together. */
static ps_tensor flatten(ps_scheme *self, size_t which)
{
    fsdp1 *f = own(self);
    const unit *u = &f->unit[which];
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
    ps_scheme_kernel(self, "cat", 2 * flat_bytes(self, u));
    for (size_t i = begin; i < end; i++) {
        ps_eager_clear(self->e, &f->piece[i]);
    }
    ps_eager_clear(self->e, &zeros);
    return out;
}

/* A parameter that is divided gets an empty gradient of its own size, into which the whole one's
 * place is put: its memory is there for a moment. */
static void show_whole_grads(ps_scheme *self, size_t which, bool was_none)
{
    const fsdp1 *f = own(self);
    for (size_t i = f->units.begin[which]; was_none && i < f->units.begin[which + 1]; i++) {
        const ps_unit_member *of = &f->units.member[i];
        if (of->trained == PS_UNITS_NONE) {
            continue;
        }
        const ps_tensor part = f->of.parameter[of->trained];
        if (of->shape.rows > 0 ||
            ps_eager_elements(self->e, part) < ps_eager_elements(self->e, of->tensor)) {
            show(self, ps_eager_elements(self->e, part), stored_type(self));
        }
    }
}

/*
 * Backward of the split, which was made before the unit ran and so comes after all its nodes;
 * AccumulateGrad of the flat parameter, and the hook behind it.
 */
static void post_backward(ps_scheme *self, size_t which)
{
    fsdp1 *f = own(self);
    unit *u = &f->unit[which];
    if (u->come == 0) {
        return;
    }
    const bool was_none = u->grad == 0;
    ps_tensor flat = flatten(self, which); /* the node holds it until its hooks have run */
    u->come = 0;
    if (u->grad != 0) {
        ps_scheme_kernel(self, "add", 3 * flat_bytes(self, u));
    } else {
        u->grad = flat;
        flat = 0;
    }
    reshard(self, u, self->syncs || !self->settings->fsdp.keeps_gathered);
    if (self->settings->fsdp.backward_prefetch == PS_FSDP_BACKWARD_POST && f->turn_of[which] > 0) {
        prefetch_for_backward(self, &f->unit[f->turn[f->turn_of[which] - 1]]);
    }
    if (!self->syncs) {
        show_whole_grads(self, which, was_none);
    } else if (!ps_eager_has_failed(self->e)) {
        ps_op_join(self->e, POST_BACKWARD, PS_EAGER_MAIN);
        reduce(self, u);
    }
    ps_eager_clear(self->e, &flat);
}

static void take_grad(void *context, ps_tensor leaf, ps_tensor owned)
{
    ps_scheme *self = context;
    fsdp1 *f = own(self);
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

/* ---- backward ---- */

static void on_mark(void *context, uint32_t mark)
{
    ps_scheme *self = context;
    fsdp1 *f = own(self);
    bool is_entry;
    const size_t which = ps_fsdp_unit_of(mark, &is_entry);
    unit *u = &f->unit[which];
    if (is_entry) {
        post_backward(self, which);
        return;
    }
    if (u->is_ready) {
        return;
    }
    if (u->needs_gather) {
        if (!u->is_prefetched) {
            gather(self, u);
        }
        ps_op_join(self->e, PS_EAGER_MAIN, UNSHARD);
    }
    u->needs_gather = false;
    u->is_ready = true;
    if (self->settings->fsdp.backward_prefetch == PS_FSDP_BACKWARD_PRE && f->turn_of[which] > 0) {
        prefetch_for_backward(self, &f->unit[f->turn[f->turn_of[which] - 1]]);
    }
}

/* Parts of a unit's reduced gradient become those of the parameters that lie in this rank's part. */
static void show_grads(ps_scheme *self, size_t which)
{
    fsdp1 *f = own(self);
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
static void end_backward(void *context)
{
    ps_scheme *self = context;
    fsdp1 *f = own(self);
    for (size_t which = 0; which < f->units.count; which++) {
        post_backward(self, which);
    }
    if (self->syncs) {
        ps_op_join(self->e, PS_EAGER_MAIN, POST_BACKWARD);
        if (self->replicas > 1) {
            ps_op_join(self->e, PS_EAGER_MAIN, REDUCE);
        }
    }
    for (size_t which = 0; which < f->units.count; which++) {
        unit *u = &f->unit[which];
        reshard(self, u, self->syncs || !self->settings->fsdp.keeps_gathered);
        u->is_ready = u->needs_gather = false;
        if (self->syncs) {
            show_grads(self, which);
        }
    }
    ps_eager_clear(self->e, &f->reducing);
    drop_freed(self);
}

/* ---- making ---- */

static int64_t round_up(int64_t value, int64_t to)
{
    return ps_scheme_share(value, to) * to;
}

/* Where members lie in a unit's flat tensor, and how long that is. */
static void measure(ps_scheme *self, size_t which)
{
    fsdp1 *f = own(self);
    unit *u = &f->unit[which];
    int64_t at = 0, held = 0;
    bool is_trained = false;
    for (size_t i = f->units.begin[which]; i < f->units.begin[which + 1]; i++) {
        const ps_tensor tensor = f->units.member[i].tensor;
        const ps_dtype type = ps_eager_dtype(self->e, tensor);
        at = round_up(at, ALIGNMENT_BYTES / (int64_t)ps_dtype_bytes(type));
        f->begin[i] = at;
        at += ps_eager_elements(self->e, tensor);
        held += ps_eager_elements(self->e, tensor);
        is_trained = is_trained || f->units.member[i].trained != PS_UNITS_NONE;
    }
    /* parts of a flat tensor that wants a gradient want theirs, frozen or not */
    for (size_t i = f->units.begin[which]; is_trained && i < f->units.begin[which + 1]; i++) {
        ps_eager_require_grad(self->e, f->units.member[i].tensor);
        u->trained++;
    }
    u->elements = round_up(at, self->shards);
    u->padding = u->elements - held;
}

/* Elements of a member in this rank's part. */
static int64_t shared(const ps_scheme *self, const unit *u, size_t member)
{
    const fsdp1 *f = own(self);
    const int64_t part = u->elements / self->shards, low = self->place * part, high = low + part;
    const int64_t begin = f->begin[member] > low ? f->begin[member] : low;
    int64_t end = f->begin[member] + ps_eager_elements(self->e, f->units.member[member].tensor);
    end = end < high ? end : high;
    return end > begin ? end - begin : 0;
}

static void make_views(ps_scheme *self, size_t which)
{
    fsdp1 *f = own(self);
    const unit *u = &f->unit[which];
    for (size_t i = f->units.begin[which]; i < f->units.begin[which + 1] && u->shard != 0; i++) {
        const size_t trained = f->units.member[i].trained;
        if (trained != PS_UNITS_NONE) {
            const int64_t elements = shared(self, u, i);
            f->of.parameter[trained] = ps_op_view_of(self->e, u->shard, elements);
            f->of.shape[trained] =
                (ps_parameter_shape){.columns = elements, .block = (uint32_t)which};
        }
    }
}

/* Parameters of a unit, and its buffers behind them, come to the device. Returns how many. */
static size_t bring(ps_scheme *self, size_t which, ps_tensor *list)
{
    fsdp1 *f = own(self);
    const ps_fsdp_settings *s = &self->settings->fsdp;
    size_t count = 0;
    for (size_t i = f->units.begin[which]; i < f->units.begin[which + 1]; i++) {
        const ps_tensor tensor = f->units.member[i].tensor;
        ps_eager_retype(self->e, tensor,
                        s->has_param_dtype ? s->stored_dtype : ps_eager_dtype(self->e, tensor));
        ps_eager_bring(self->e, tensor, PS_ROLE_PARAMETER);
        list[count++] = tensor;
    }
    ps_scheme_bring_buffers(self, (uint32_t)which);
    for (size_t i = 0; i < self->m->buffer_count; i++) {
        if (self->m->buffer_block[i] == which) {
            list[count++] = self->m->buffer[i];
        }
    }
    return count;
}

/* Parameters become parts of a flat tensor, of which this rank keeps a part. */
static void flatten_parameters(ps_scheme *self, size_t which, const ps_tensor *list)
{
    fsdp1 *f = own(self);
    unit *u = &f->unit[which];
    const ps_fsdp_settings *s = &self->settings->fsdp;
    const size_t count = f->units.begin[which + 1] - f->units.begin[which];
    const ps_dtype type = ps_eager_dtype(self->e, list[0]);
    u->flat = ps_scheme_make(self, u->elements, type, PS_ROLE_PARAMETER);
    ps_scheme_kernel(self, "cat", 2 * ps_eager_bytes(self->e, u->flat));
    u->shard = ps_scheme_make(self, u->elements / self->shards, type, PS_ROLE_PARAMETER);
    ps_scheme_kernel(self, "copy", 2 * ps_eager_bytes(self->e, u->shard));
    for (size_t i = 0; i < count; i++) {
        ps_eager_send_away(self->e, list[i]);
        ps_eager_lay_into(self->e, list[i], u->flat);
        ps_eager_retype(self->e, list[i], s->has_param_dtype ? s->param_dtype : type);
    }
    ps_eager_empty(self->e, u->flat);
    ps_eager_retype(self->e, u->flat, s->has_param_dtype ? s->param_dtype : type);
}

/* A unit comes to the device, is broadcast, flattened, and divided. */
static void shard(ps_scheme *self, size_t which)
{
    const fsdp1 *f = own(self);
    ps_tensor *list = ps_scheme_calloc(
        self, f->units.begin[which + 1] - f->units.begin[which] + self->m->buffer_count,
        sizeof *list);
    if (list == NULL) {
        return;
    }
    ps_scheme_broadcast(self, list, bring(self, which, list), UNSHARD);
    if (f->units.begin[which + 1] > f->units.begin[which]) {
        flatten_parameters(self, which, list);
        make_views(self, which);
    }
    ps_free(list);
}

static ps_code check_types(const ps_scheme *self, ps_error *err)
{
    const fsdp1 *f = own(self);
    for (size_t i = 1; i < f->units.member_count; i++) {
        if (ps_eager_dtype(self->e, f->units.member[i].tensor) !=
            ps_eager_dtype(self->e, f->units.member[0].tensor)) {
            return ps_fail(err, PS_USAGE,
                           "fsdp1 flattens parameters of one type: adapters have 32 bits, so must "
                           "the weights beside them");
        }
    }
    return PS_OK;
}

static ps_code make_room(ps_scheme *self, ps_error *err)
{
    fsdp1 *f = own(self);
    PS_TRY(ps_units_create(&f->units, self->m, err));
    f->unit = ps_scheme_calloc(self, f->units.count, sizeof *f->unit);
    f->turn = ps_scheme_calloc(self, f->units.count + 1, sizeof *f->turn);
    f->turn_of = ps_scheme_calloc(self, f->units.count + 1, sizeof *f->turn_of);
    f->begin = ps_scheme_calloc(self, f->units.member_count, sizeof *f->begin);
    f->piece = ps_scheme_calloc(self, f->units.member_count, sizeof *f->piece);
    PS_TRY(ps_fsdp_make_model(self, &f->of, err));
    PS_TRY(ps_eager_code(self->e, err));
    return check_types(self, err);
}

static ps_code wrap(ps_scheme *self, ps_error *err)
{
    fsdp1 *f = self->state = ps_scheme_calloc(self, 1, sizeof *f);
    if (f == NULL) {
        return ps_fail_nomem(err);
    }
    PS_TRY(make_room(self, err));
    for (size_t turn = 1; turn <= f->units.count; turn++) {
        const size_t which = turn % f->units.count; /* blocks, then the rest */
        ps_eager_set_block(self->e, (uint32_t)which);
        measure(self, which);
        shard(self, which);
    }
    ps_eager_set_block(self->e, 0);
    self->is_uneven = true; /* an optimizer's states are those of the parameters in a rank's part */
    self->of = &f->of;
    self->hooks.enter = enter_block;
    self->hooks.leave = leave_block;
    self->m->hooks = &self->hooks;
    ps_eager_set_mark_hook(self->e, on_mark, self);
    ps_eager_set_end_hook(self->e, end_backward, self);
    ps_eager_set_grad_taker(self->e, take_grad, self);
    return PS_OK;
}

static void destroy(ps_scheme *self)
{
    fsdp1 *f = own(self);
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
