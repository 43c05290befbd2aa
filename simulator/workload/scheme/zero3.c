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
#include "base/memory.h"
#include "workload/scheme/offload.h"
#include "workload/scheme/zero3_gather.h"

#define REDUCE_STREAM (PS_EAGER_GROUP + 1)
#define PS_ZERO3_AHEAD 3 /* buckets that the host hands over before it waits for the first */

/* Trained parameters that step together. */
typedef struct sub_group {
    size_t first, count; /* among trained ones, in the order of the model */
    int64_t elements;    /* of this rank's parts */
} sub_group;

typedef struct zero3 {
    ps_units units;
    ps_zero3_gather gather;
    bool has_gather;
    ps_model of; /* the 32-bit copies */
    sub_group *group;
    ps_tensor part;         /* of all trained parameters */
    ps_tensor *frozen_part; /* of each member */
    ps_tensor bucket, grads;
    ps_tensor *held;        /* gradients that found no room in the bucket */
    int64_t *part_elements; /* of gradients in the bucket; elsewhere of trained parameters */
    size_t held_count, bucket_count;
    int64_t bucket_elements;
    ps_eager_lane lane;
    bool adds;          /* a micro-batch of the step came before */
    ps_offload offload; /* where the optimizer is the host's: in place of `of` and `grads` */
    size_t *group_of;   /* of each trained parameter */
    size_t *in_bucket;  /* trained parameters whose gradients are there */
    uint32_t scattered; /* mark: part of the newest bucket has gone to the host */
    uint32_t reduced[PS_ZERO3_AHEAD]; /* marks of the newest buckets, the newest last */
} zero3;

static zero3 *own(const ps_scheme *self)
{
    return self->state;
}

static bool offloads(const ps_scheme *self)
{
    return self->settings->zero.offloads_optimizer;
}

static int64_t part_of(const ps_scheme *self, int64_t elements)
{
    return ps_scheme_share(elements, self->shards);
}

static int64_t trained_part(const ps_scheme *self, size_t trained)
{
    return part_of(self, ps_eager_elements(self->e, self->m->parameter[trained]));
}

/* ---- modules ---- */

static ps_zero3_module module_of(const ps_scheme *self, const ps_tensor tensor[PS_MODULE_OWN])
{
    ps_zero3_module out;
    for (int i = 0; i < PS_MODULE_OWN; i++) {
        out.own[i] = tensor[i] == 0 ? PS_UNITS_NONE : ps_units_find(&own(self)->units, tensor[i]);
    }
    return out;
}

/* A mark has the number of the module's weight; the rest of it is looked up there. */
typedef enum side { BEFORE_BACKWARD = 1, AFTER_BACKWARD = 2 } side;

static uint32_t mark_of(const ps_zero3_module *module, side at)
{
    return (uint32_t)module->own[0] * 2 + (uint32_t)at;
}

static ps_tensor use(void *context, const ps_tensor tensor[PS_MODULE_OWN], ps_tensor owned)
{
    ps_scheme *self = context;
    const ps_zero3_module module = module_of(self, tensor);
    if (module.own[0] == PS_UNITS_NONE || ps_eager_is_skipping(self->e)) {
        return owned;
    }
    if (tensor[0] == self->m->external) {
        ps_zero3_use_external(&own(self)->gather);
        return owned;
    }
    own(self)->units.member[module.own[0]].partner = module.own[1];
    ps_zero3_fetch(&own(self)->gather, &module);
    ps_eager_assign(self->e, &owned,
                    ps_op_boundary(self->e, owned, mark_of(&module, AFTER_BACKWARD)));
    return owned;
}

static void unuse(void *context, const ps_tensor tensor[PS_MODULE_OWN], ps_tensor out)
{
    ps_scheme *self = context;
    const ps_zero3_module module = module_of(self, tensor);
    if (module.own[0] == PS_UNITS_NONE || ps_eager_is_skipping(self->e) ||
        tensor[0] == self->m->external) {
        return;
    }
    ps_eager_mark(self->e, out, mark_of(&module, BEFORE_BACKWARD));
    ps_zero3_release(&own(self)->gather, &module);
}

static void on_mark(void *context, uint32_t mark)
{
    ps_scheme *self = context;
    zero3 *z = own(self);
    const size_t first = (mark - 1) / 2;
    const ps_zero3_module module = {{first, z->units.member[first].partner}};
    if (mark % 2 == BEFORE_BACKWARD) {
        ps_zero3_fetch(&z->gather, &module);
    } else {
        ps_zero3_release(&z->gather, &module);
    }
}

static const ps_zero3_module container = {{PS_UNITS_NONE, PS_UNITS_NONE}};

static ps_tensor enter_block(void *context, uint32_t block, ps_tensor owned)
{
    (void)block;
    ps_zero3_fetch(&own(context)->gather, &container);
    return owned;
}

static void leave_block(void *context, uint32_t block, ps_tensor out)
{
    (void)context;
    (void)block;
    (void)out;
}

/* The model with a head, and the model in it. */
static void begin_forward(ps_scheme *self)
{
    ps_op_join(self->e, own(self)->gather.lane, PS_EAGER_MAIN);
    if (!self->settings->zero.resets_in_backward) {
        ps_zero3_gather_reset(&own(self)->gather);
    }
    ps_zero3_fetch_model(&own(self)->gather);
    ps_zero3_fetch(&own(self)->gather, &container);
}

static void end_forward(ps_scheme *self, ps_model_output *out)
{
    (void)out;
    if (self->m->external != 0) {
        ps_zero3_release_model(&own(self)->gather);
    }
}

static void begin_backward(ps_scheme *self)
{
    if (self->m->external != 0) {
        ps_zero3_fetch_model(&own(self)->gather);
    }
}

/* ---- gradients ---- */

static bool scatters_in_line(const ps_scheme *self)
{
    return self->settings->zero.gathers_in_line && offloads(self) && self->shards > 1;
}

/*
 * What is scattered lies rank by rank, each parameter padded: a copy, but for one that fits. Its memory
 * is the reduce stream's, and the exchange runs on the communicator's own, behind what the reduce
 * stream has to do with earlier buckets: in line with the computation, which is not behind that, it
 * is known to be over when something of the bucket itself has gone to the host.
 */
static ps_tensor interleave(ps_scheme *self, int64_t padded)
{
    const zero3 *z = own(self);
    if (z->bucket_count == 1 && padded == z->bucket_elements) {
        return 0;
    }
    const ps_eager_lane was = ps_eager_set_lane(self->e, z->lane);
    const ps_tensor out = ps_scheme_make(self, padded, ps_zero_type(self), PS_ROLE_WORKSPACE);
    ps_eager_share_with_runs(self->e, out, scatters_in_line(self) ? z->scattered : self->runs);
    (void)ps_eager_set_lane(self->e, was);
    ps_scheme_kernel(self, "cat", 2 * (uint64_t)padded * ps_dtype_bytes(ps_zero_type(self)));
    return out;
}

/* Of the buckets before, only so many are still on their way. */
static void await_earlier(ps_scheme *self)
{
    if (own(self)->reduced[0] != 0) {
        ps_op_wait_mark(self->e, own(self)->reduced[0]);
    }
}

/* Gradients of the bucket go to the host. */
static void offload_bucket(ps_scheme *self, uint32_t mark)
{
    zero3 *z = own(self);
    for (size_t i = 0; i < z->bucket_count; i++) {
        ps_offload_take_grad(&z->offload, z->group_of[z->in_bucket[i]], z->part_elements[i],
                             z->adds, self->syncs, mark);
        if (i == 0 && scatters_in_line(self)) {
            ps_op_mark(self->e, z->lane, z->scattered);
        }
    }
}

/* ... or are added to this rank's own. */
static void add_bucket(ps_scheme *self, uint32_t mark)
{
    const zero3 *z = own(self);
    const uint64_t bytes = ps_dtype_bytes(ps_zero_type(self));
    for (size_t i = 0; i < z->bucket_count; i++) {
        ps_scheme_kernel(self, z->adds ? "add" : "copy",
                         (z->adds ? 3u : 2u) * (uint64_t)z->part_elements[i] * bytes);
    }
    ps_op_mark(self->e, z->lane, mark);
}

static void take_bucket(ps_scheme *self)
{
    zero3 *z = own(self);
    const uint32_t mark = ps_eager_new_mark(self->e);
    if (offloads(self)) {
        offload_bucket(self, mark);
    } else {
        add_bucket(self, mark);
    }
    for (size_t i = 0; i + 1 < PS_ZERO3_AHEAD; i++) {
        z->reduced[i] = z->reduced[i + 1];
    }
    z->reduced[PS_ZERO3_AHEAD - 1] = mark;
}

static void reduce_bucket(ps_scheme *self)
{
    zero3 *z = own(self);
    const uint64_t bytes = ps_dtype_bytes(ps_zero_type(self));
    int64_t part = 0;
    if (z->bucket_count == 0) {
        return;
    }
    for (size_t i = 0; i < z->bucket_count; i++) {
        part += z->part_elements[i];
    }
    await_earlier(self);
    const ps_eager_lane lane = self->settings->zero.gathers_in_line ? PS_EAGER_MAIN : z->lane;
    const ps_eager_lane was = ps_eager_set_lane(self->e, lane);
    const uint64_t padded = (uint64_t)(part * self->shards);
    ps_tensor lies = interleave(self, part * self->shards);
    ps_scheme_kernel(self, "div", 2 * padded * bytes);
    ps_scheme_collect(self, PS_COLLECTIVE_REDUCE_SCATTER, lane, ps_scheme_shard_axes(self),
                      ps_zero_type(self), padded * bytes);
    ps_op_join(self->e, z->lane, lane);
    (void)ps_eager_set_lane(self->e, z->lane);
    take_bucket(self);
    ps_eager_clear(self->e, &lies);
    (void)ps_eager_set_lane(self->e, was);
    for (size_t i = 0; i < z->held_count; i++) {
        ps_eager_share(self->e, z->held[i], z->lane);
        ps_eager_clear(self->e, &z->held[i]);
    }
    z->bucket_count = z->held_count = 0;
    z->bucket_elements = 0;
}

/* A gradient that does not fit into an empty bucket stays where it is. */
static void take_grad(void *context, ps_tensor leaf, ps_tensor owned)
{
    ps_scheme *self = context;
    zero3 *z = own(self);
    const int64_t elements = ps_eager_elements(self->e, leaf);
    const int64_t limit = self->settings->zero.reduce_bucket_size;
    if (ps_units_find(&z->units, leaf) == PS_UNITS_NONE) {
        ps_scheme_keep_grad(self, leaf, owned);
        return;
    }
    if (z->bucket_elements > 0 && z->bucket_elements + elements > limit) {
        reduce_bucket(self);
    }
    ps_op_join(self->e, z->lane, PS_EAGER_MAIN);
    if (z->bucket != 0 && z->bucket_elements + elements <= limit) {
        const ps_eager_lane was = ps_eager_set_lane(self->e, z->lane);
        ps_scheme_kernel(self, "copy", 2 * ps_eager_bytes(self->e, owned));
        (void)ps_eager_set_lane(self->e, was);
        ps_eager_share(self->e, owned, z->lane);
        ps_eager_drop(self->e, owned);
    } else {
        z->held[z->held_count++] = owned;
    }
    z->in_bucket[z->bucket_count] = z->units.member[ps_units_find(&z->units, leaf)].trained;
    z->part_elements[z->bucket_count++] = part_of(self, elements);
    z->bucket_elements += elements;
}

static void end_backward(ps_scheme *self)
{
    zero3 *z = own(self);
    if (self->settings->zero.resets_in_backward) {
        ps_zero3_gather_reset(&z->gather);
    }
    reduce_bucket(self);
    ps_op_join(self->e, PS_EAGER_MAIN, z->lane);
    if (offloads(self)) {
        ps_op_wait(self->e, z->lane);
    }
    for (size_t i = 0; i < PS_ZERO3_AHEAD; i++) {
        z->reduced[i] = 0;
    }
    z->adds = true;
}

/* ---- the step ---- */

static void step_group(ps_scheme *self, ps_optimizer *optimizer, size_t which)
{
    const zero3 *z = own(self);
    const sub_group *g = &z->group[which];
    const uint64_t bytes = (uint64_t)g->elements * ps_dtype_bytes(ps_zero_type(self));
    ps_tensor flat = ps_op_view_of(self->e, z->grads, g->elements);
    if (g->count > 1) {
        ps_eager_assign(self->e, &flat,
                        ps_scheme_make(self, g->elements, ps_zero_type(self), PS_ROLE_GRADIENT));
        ps_scheme_kernel(self, "cat", 2 * bytes);
    }
    ps_tensor grad = flat;
    if (ps_zero_type(self) != PS_DTYPE_F32) {
        grad = ps_scheme_make(self, g->elements, PS_DTYPE_F32, PS_ROLE_GRADIENT);
        ps_scheme_kernel(self, "copy",
                         bytes + (uint64_t)g->elements * ps_dtype_bytes(PS_DTYPE_F32));
        ps_eager_clear(self->e, &flat);
    }
    ps_zero_update(self, optimizer, z->of.parameter[which], grad);
}

/* Norms were taken when gradients came: sub-group by sub-group they become one of all ranks. */
static void step_offloaded(ps_scheme *self)
{
    zero3 *z = own(self);
    for (size_t i = 0; i < z->offload.count; i++) {
        ps_zero_sum_number(self);
        ps_op_wait(self->e, PS_EAGER_MAIN);
    }
    if (self->settings->zero.update_stride > 0) {
        ps_offload_step_by_stride(&z->offload);
        for (size_t i = 0; i < z->units.member_count; i++) {
            const size_t trained = z->units.member[i].trained;
            z->gather.param[i].sent =
                trained == PS_UNITS_NONE ? 0 : z->offload.group[z->group_of[trained]].sent;
        }
    } else {
        ps_offload_step(&z->offload);
    }
}

static void step_all(ps_scheme *self, ps_optimizer *optimizer)
{
    zero3 *z = own(self);
    if (offloads(self)) {
        step_offloaded(self);
        return;
    }
    for (size_t i = 0; i < self->m->parameter_count; i++) {
        z->part_elements[i] = trained_part(self, i);
    }
    ps_zero_norms(self, z->part_elements, self->m->parameter_count);
    for (size_t i = 0; i < z->of.parameter_count; i++) {
        step_group(self, optimizer, i);
    }
}

static void step(ps_scheme *self, ps_optimizer *optimizer)
{
    zero3 *z = own(self);
    ps_zero3_release_all(&z->gather);
    step_all(self, optimizer);
    ps_op_join(self->e, z->gather.lane, PS_EAGER_MAIN);
    ps_zero3_fetch_persistent(&z->gather);
    z->adds = false;
}

/* ---- making ---- */

/* zero.Init: a parameter is whole, the same on all ranks, then a part of it. */
static void divide(ps_scheme *self, size_t member, ps_tensor *part)
{
    const ps_tensor tensor = own(self)->units.member[member].tensor;
    ps_eager_retype(self->e, tensor, ps_zero_type(self));
    ps_eager_bring(self->e, tensor, PS_ROLE_PARAMETER);
    ps_scheme_collect(self, PS_COLLECTIVE_BROADCAST, PS_EAGER_MAIN, ps_scheme_all_axes(self),
                      ps_zero_type(self), ps_eager_bytes(self->e, tensor));
    *part = ps_scheme_make(self, part_of(self, ps_eager_elements(self->e, tensor)),
                           ps_zero_type(self), PS_ROLE_PARAMETER);
    ps_scheme_kernel(self, "copy", 2 * ps_eager_bytes(self->e, *part));
    ps_eager_empty(self->e, tensor);
}

/* Parts of trained parameters go to the host one by one and come back as one. */
static void defragment(ps_scheme *self)
{
    zero3 *z = own(self);
    int64_t elements = 0;
    for (size_t i = 0; i < z->units.member_count; i++) {
        if (z->units.member[i].trained != PS_UNITS_NONE) {
            elements += ps_eager_elements(self->e, z->frozen_part[i]);
            ps_scheme_copy_host(self, ps_eager_bytes(self->e, z->frozen_part[i]));
            ps_eager_clear(self->e, &z->frozen_part[i]);
        }
    }
    const bool stays = self->settings->zero.offloads_parameters;
    const ps_memory_kind was = ps_eager_memory_now(self->e);
    (void)ps_eager_set_memory(self->e, stays ? PS_MEMORY_PINNED : was);
    z->part = ps_scheme_make(self, elements, ps_zero_type(self), PS_ROLE_PARAMETER);
    (void)ps_eager_set_memory(self->e, was);
    z->gather.host_part = stays ? z->part : 0;
    if (!stays) {
        ps_scheme_copy_host(self, ps_eager_bytes(self->e, z->part));
    }
}

/* Parameters in their order, until a group has reached its size. */
static void group(ps_scheme *self)
{
    zero3 *z = own(self);
    bool is_open = false;
    for (size_t i = 0; i < self->m->parameter_count; i++) {
        if (!is_open) {
            z->group[z->of.parameter_count++] = (sub_group){.first = i};
        }
        sub_group *g = &z->group[z->of.parameter_count - 1];
        g->count++;
        g->elements += trained_part(self, i);
        is_open = g->elements < self->settings->zero.sub_group_size;
    }
}

static void make_bucket(ps_scheme *self)
{
    if (self->settings->zero.contiguous_gradients) {
        own(self)->bucket = ps_scheme_make(self, self->settings->zero.reduce_bucket_size,
                                           ps_zero_type(self), PS_ROLE_WORKSPACE);
    }
}

/* One rank has all of every parameter, always: they lie in the one buffer. */
static void lay_whole(ps_scheme *self)
{
    const zero3 *z = own(self);
    if (self->shards > 1 || self->settings->zero.offloads_parameters) {
        return;
    }
    for (size_t i = 0; i < z->units.member_count; i++) {
        const ps_unit_member *member = &z->units.member[i];
        ps_eager_send_away(self->e, member->tensor);
        ps_eager_lay_into(self->e, member->tensor,
                          member->trained == PS_UNITS_NONE ? z->frozen_part[i] : z->part);
    }
}

/* Sub-groups' states lie on the host, but for those that TwinFlow leaves on the device. */
static void make_offloaded(ps_scheme *self)
{
    zero3 *z = own(self);
    const size_t count = z->of.parameter_count;
    z->of.parameter_count = 0; /* the script's optimizer has nothing to step over */
    z->offload.scheme = self;
    z->offload.count = count;
    z->offload.group = ps_scheme_calloc(self, count, sizeof *z->offload.group);
    for (size_t i = 0; i < count && z->offload.group != NULL; i++) {
        z->offload.group[i].elements = z->group[i].elements;
        for (size_t k = 0; k < z->group[i].count; k++) {
            z->group_of[z->group[i].first + k] = i;
        }
    }
    if (z->offload.group != NULL) {
        ps_offload_make(&z->offload, z->part);
    }
    make_bucket(self);
    lay_whole(self);
}

static void make_optimizer_side(ps_scheme *self)
{
    zero3 *z = own(self);
    int64_t most = 0;
    defragment(self);
    group(self);
    if (offloads(self)) {
        make_offloaded(self);
        return;
    }
    for (size_t i = 0; i < z->of.parameter_count; i++) {
        z->of.parameter[i] = ps_zero_make_copy(self, z->group[i].elements);
        z->of.shape[i] = (ps_parameter_shape){.columns = z->group[i].elements};
        most = z->group[i].elements > most ? z->group[i].elements : most;
    }
    ps_zero_show_gradient(self, most);
    make_bucket(self);
    z->grads = ps_scheme_make(self, ps_eager_elements(self->e, z->part), ps_zero_type(self),
                              PS_ROLE_GRADIENT);
    ps_scheme_kernel(self, "fill", ps_eager_bytes(self->e, z->grads));
}

static ps_code make_room(ps_scheme *self, ps_error *err)
{
    zero3 *z = own(self);
    const size_t count = self->m->parameter_count;
    PS_TRY(ps_units_create(&z->units, self->m, err));
    z->has_gather = true;
    PS_TRY(ps_zero3_gather_init(&z->gather, self, &z->units, err));
    z->of = (ps_model){.e = self->e, .recipe = self->m->recipe, .family = self->m->family};
    z->of.parameter = ps_scheme_calloc(self, count, sizeof *z->of.parameter);
    z->of.shape = ps_scheme_calloc(self, count, sizeof *z->of.shape);
    z->group = ps_scheme_calloc(self, count, sizeof *z->group);
    z->held = ps_scheme_calloc(self, count, sizeof *z->held);
    z->group_of = ps_scheme_calloc(self, count, sizeof *z->group_of);
    z->in_bucket = ps_scheme_calloc(self, count, sizeof *z->in_bucket);
    z->part_elements = ps_scheme_calloc(self, count, sizeof *z->part_elements);
    z->frozen_part = ps_scheme_calloc(self, z->units.member_count, sizeof *z->frozen_part);
    return ps_eager_code(self->e, err);
}

static ps_code wrap(ps_scheme *self, ps_error *err)
{
    zero3 *z = self->state = ps_scheme_calloc(self, 1, sizeof *z);
    if (z == NULL) {
        return ps_fail_nomem(err);
    }
    PS_TRY(make_room(self, err));
    z->lane = ps_zero_overlaps(self, true) ? REDUCE_STREAM : PS_EAGER_MAIN;
    self->runs = ps_eager_new_mark(self->e);
    z->scattered = ps_eager_new_mark(self->e);
    for (size_t i = 0; i < self->m->every_count; i++) { /* as they are made */
        const size_t member = ps_units_find(&z->units, self->m->every[i]);
        ps_eager_set_block(self->e, self->m->every_shape[i].block);
        divide(self, member, &z->frozen_part[member]);
    }
    ps_eager_set_block(self->e, 0);
    for (size_t unit = 0; unit < z->units.count; unit++) {
        ps_scheme_bring_buffers(self, (uint32_t)unit);
    }
    PS_TRY(ps_eager_code(self->e, err));
    make_optimizer_side(self);
    self->of = &z->of;
    self->hooks.enter = enter_block;
    self->hooks.leave = leave_block;
    self->hooks.use = use;
    self->hooks.unuse = unuse;
    self->m->hooks = &self->hooks;
    ps_eager_set_mark_hook(self->e, on_mark, self);
    ps_eager_set_grad_taker(self->e, take_grad, self);
    ps_eager_set_inputs_first(self->e, true); /* DeepSpeed's linear, which saves no views */
    return PS_OK;
}

static void destroy(ps_scheme *self)
{
    zero3 *z = own(self);
    if (z != NULL) {
        if (z->has_gather) {
            ps_zero3_gather_fini(&z->gather);
        }
        ps_units_fini(&z->units);
        ps_model_fini(&z->of);
        ps_offload_fini(&z->offload);
        ps_free(z->group);
        ps_free(z->group_of);
        ps_free(z->in_bucket);
        ps_free(z->held);
        ps_free(z->part_elements);
        ps_free(z->frozen_part);
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
