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
#include "base/memory.h"
#include "workload/scheme/offload_flat.h"

#define REDUCE_STREAM PS_EAGER_GROUP

typedef struct zero12 {
    bool defers; /* stage 1: gradients are exchanged when all of a step are there */
    ps_model of; /* one 32-bit copy */
    ps_tensor flat;
    int64_t part;        /* elements of a rank's part */
    int64_t *begin;      /* of each trained parameter in the flat buffer, and its end */
    ps_tensor buffer[2]; /* stage 2: buckets, from backward's beginning to its end */
    ps_tensor large;     /* stage 2: a gradient larger than the bucket */
    size_t *index;       /* by tensor: number of the trained parameter it is + 1; 0 none */
    size_t index_count;
    size_t *bucket; /* parameters in it */
    size_t bucket_count;
    int64_t bucket_elements;
    ps_tensor fresh;       /* stage 2: gradients of this rank's parameters, of this backward */
    ps_tensor averaged;    /* ... of those before */
    ps_tensor padding;     /* behind the last rank's */
    int64_t *own_elements; /* of this rank's parameters, those in its part */
    size_t own_count;
    ps_eager_lane lane;
    ps_offload_flat offload; /* where the optimizer is the host's: in place of `of` and gradients */
    bool adds;               /* a micro-batch of the step came before */
} zero12;

static zero12 *own(const ps_scheme *self)
{
    return self->state;
}

/* Elements of a parameter in a rank's part. */
static int64_t shared(const zero12 *z, size_t parameter, int64_t rank)
{
    const int64_t low = rank * z->part, high = low + z->part;
    const int64_t begin = z->begin[parameter] > low ? z->begin[parameter] : low;
    const int64_t end = z->begin[parameter + 1] < high ? z->begin[parameter + 1] : high;
    return end > begin ? end - begin : 0;
}

static bool is_mine(const ps_scheme *self, size_t parameter)
{
    return shared(own(self), parameter, self->place) > 0;
}

static uint64_t element_bytes(const ps_scheme *self)
{
    return ps_dtype_bytes(ps_zero_type(self));
}

static int64_t elements_of(const ps_scheme *self, size_t parameter)
{
    return ps_eager_elements(self->e, self->m->parameter[parameter]);
}

/* ---- sums ---- */

/* Slices of a bucket that belong to one rank after the other; consecutive ones of a rank are one. */
static void reduce_to_owners(ps_scheme *self)
{
    const zero12 *z = own(self);
    int64_t owner = -1, elements = 0;
    for (size_t i = 0; i < z->bucket_count; i++) {
        const size_t parameter = z->bucket[i];
        for (int64_t rank = z->begin[parameter] / z->part;
             rank < self->shards && shared(z, parameter, rank) > 0; rank++) {
            if (rank != owner) {
                ps_scheme_collect(self, PS_COLLECTIVE_REDUCE, z->lane, ps_scheme_all_axes(self),
                                  ps_zero_type(self), (uint64_t)elements * element_bytes(self));
                elements = 0;
            }
            owner = rank;
            elements += shared(z, parameter, rank);
        }
    }
    ps_scheme_collect(self, PS_COLLECTIVE_REDUCE, z->lane, ps_scheme_all_axes(self),
                      ps_zero_type(self), (uint64_t)elements * element_bytes(self));
}

/* Slices of a bucket: neighbours of one rank are one. */
static size_t count_slices(const ps_scheme *self)
{
    const zero12 *z = own(self);
    int64_t owner = -1;
    size_t count = 0;
    for (size_t i = 0; i < z->bucket_count; i++) {
        const size_t parameter = z->bucket[i];
        for (int64_t rank = z->begin[parameter] / z->part;
             rank < self->shards && shared(z, parameter, rank) > 0; rank++) {
            count += rank != owner;
            owner = rank;
        }
    }
    return count;
}

/* Several slices are put together, summed, and copied back where they are wanted. */
static void reduce_flat(ps_scheme *self)
{
    zero12 *z = own(self);
    const uint64_t bytes = (uint64_t)z->bucket_elements * element_bytes(self);
    ps_tensor flat = 0;
    if (count_slices(self) > 1) {
        flat = ps_scheme_make(self, z->bucket_elements, ps_zero_type(self), PS_ROLE_WORKSPACE);
        ps_scheme_kernel(self, "cat", 2 * bytes);
    }
    ps_scheme_collect(self, PS_COLLECTIVE_ALL_REDUCE, z->lane, ps_scheme_all_axes(self),
                      ps_zero_type(self), bytes);
    for (size_t i = 0; i < z->bucket_count && flat != 0; i++) {
        const int64_t elements = shared(z, z->bucket[i], self->place);
        if (elements > 0) {
            ps_scheme_kernel(self, "copy", 2 * (uint64_t)elements * element_bytes(self));
        }
    }
    ps_eager_clear(self->e, &flat);
}

static bool offloads(const ps_scheme *self)
{
    return self->settings->zero.offloads_optimizer;
}

/* ... or to the host. */
static void send_mine(ps_scheme *self)
{
    zero12 *z = own(self);
    for (size_t i = 0; i < z->bucket_count; i++) {
        const int64_t elements = shared(z, z->bucket[i], self->place);
        if (elements > 0) {
            ps_offload_flat_take_grad(&z->offload, elements, z->adds, self->syncs);
        }
    }
}

/* Gradients of parameters that lie in this rank's part, all of each, move to a buffer of their own. */
static void keep_mine(ps_scheme *self)
{
    zero12 *z = own(self);
    for (size_t i = 0; i < z->bucket_count; i++) {
        if (!is_mine(self, z->bucket[i])) {
            continue;
        }
        if (z->fresh == 0) {
            int64_t elements = 0;
            for (size_t j = 0; j < self->m->parameter_count; j++) {
                elements += is_mine(self, j) ? elements_of(self, j) : 0;
            }
            z->fresh = ps_scheme_make(self, elements, ps_zero_type(self), PS_ROLE_GRADIENT);
        }
        ps_scheme_kernel(self, "copy",
                         2 * (uint64_t)elements_of(self, z->bucket[i]) * element_bytes(self));
    }
}

static void reduce_bucket(ps_scheme *self)
{
    zero12 *z = own(self);
    if (z->bucket_count == 0) {
        return;
    }
    ps_op_join(self->e, z->lane, PS_EAGER_MAIN);
    const ps_eager_lane was = ps_eager_set_lane(self->e, z->lane);
    ps_scheme_kernel(self, "div", 2 * (uint64_t)z->bucket_elements * element_bytes(self));
    if (self->settings->zero.reduces_to_owners) {
        reduce_to_owners(self);
    } else {
        reduce_flat(self);
    }
    if (offloads(self)) {
        send_mine(self);
    } else {
        keep_mine(self);
    }
    (void)ps_eager_set_lane(self->e, was);
    ps_op_join(self->e, PS_EAGER_MAIN, z->lane);
    ps_eager_clear(self->e, &z->large);
    z->bucket_count = 0;
    z->bucket_elements = 0;
}

static void put(ps_scheme *self, size_t parameter)
{
    zero12 *z = own(self);
    const int64_t elements = elements_of(self, parameter);
    if (z->bucket_elements + elements > self->settings->zero.reduce_bucket_size) {
        reduce_bucket(self);
    }
    z->bucket[z->bucket_count++] = parameter;
    z->bucket_elements += elements;
}

/* ---- gradients ---- */

/* Buckets are made when the first gradient of a backward pass comes. */
static void make_buckets(ps_scheme *self)
{
    zero12 *z = own(self);
    const ps_zero_settings *s = &self->settings->zero;
    if (z->buffer[0] != 0 || !s->contiguous_gradients) {
        return;
    }
    z->buffer[0] =
        ps_scheme_make(self, s->reduce_bucket_size, ps_zero_type(self), PS_ROLE_WORKSPACE);
    if (z->lane != PS_EAGER_MAIN) {
        z->buffer[1] =
            ps_scheme_make(self, s->reduce_bucket_size, ps_zero_type(self), PS_ROLE_WORKSPACE);
    }
}

static size_t number_of(const zero12 *z, ps_tensor leaf)
{
    return leaf < z->index_count ? z->index[leaf] - 1 : SIZE_MAX;
}

static void take(ps_scheme *self, size_t parameter, ps_tensor owned)
{
    zero12 *z = own(self);
    make_buckets(self);
    put(self, parameter);
    if (elements_of(self, parameter) > self->settings->zero.reduce_bucket_size ||
        z->buffer[0] == 0) {
        z->large = owned;
        reduce_bucket(self);
        return;
    }
    ps_scheme_kernel(self, "copy", 2 * ps_eager_bytes(self->e, owned));
    ps_eager_drop(self->e, owned);
}

static void take_grad(void *context, ps_tensor leaf, ps_tensor owned)
{
    ps_scheme *self = context;
    const size_t parameter = number_of(own(self), leaf);
    if (parameter == SIZE_MAX) {
        ps_scheme_keep_grad(self, leaf, owned);
        return;
    }
    take(self, parameter, owned);
}

/* Stage 1's first gradient: nothing is put into the bucket yet. */
static void on_grad(void *context, ps_tensor leaf)
{
    ps_scheme *self = context;
    (void)leaf;
    if (self->syncs) {
        make_buckets(self);
    }
}

static void pad(ps_scheme *self)
{
    zero12 *z = own(self);
    int64_t elements = z->part;
    for (size_t i = 0; i < z->own_count; i++) {
        elements -= z->own_elements[i];
    }
    if (elements > 0 && z->padding == 0) {
        z->padding = ps_scheme_make(self, elements, ps_zero_type(self), PS_ROLE_GRADIENT);
        ps_scheme_kernel(self, "fill", (uint64_t)elements * element_bytes(self));
    }
}

static void add_all(ps_scheme *self)
{
    const zero12 *z = own(self);
    for (size_t i = 0; i < z->own_count; i++) {
        ps_scheme_kernel(self, "add", 3 * (uint64_t)z->own_elements[i] * element_bytes(self));
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
            take(self, i, grad);
        }
    }
}

static void end_backward(ps_scheme *self)
{
    zero12 *z = own(self);
    if (z->defers && !self->syncs) {
        return;
    }
    if (z->defers) {
        take_all(self);
    }
    reduce_bucket(self);
    z->adds = true;
    if (offloads(self)) {
        ps_op_wait(self->e, z->lane);
    } else if (z->averaged != 0) {
        add_all(self);
        ps_eager_clear(self->e, &z->fresh);
    } else {
        z->averaged = z->fresh;
        z->fresh = 0;
    }
    if (!offloads(self)) {
        pad(self);
    }
    ps_eager_clear(self->e, &z->buffer[0]);
    ps_eager_clear(self->e, &z->buffer[1]);
}

/* ---- the step ---- */

/* This rank's gradients one behind the other, then in 32 bits; then the others go. */
static ps_tensor flatten(ps_scheme *self)
{
    zero12 *z = own(self);
    const uint64_t bytes = (uint64_t)z->part * element_bytes(self);
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
    zero12 *z = own(self);
    z->adds = false;
    if (offloads(self)) {
        ps_zero_norms(self, NULL, 0); /* each was taken when its gradient came */
        ps_op_wait(self->e, PS_EAGER_MAIN);
        ps_offload_flat_step(&z->offload, z->flat);
    } else {
        ps_zero_norms(self, z->own_elements, z->own_count);
        ps_zero_update(self, optimizer, z->of.parameter[0], flatten(self));
    }
    ps_scheme_collect(self, PS_COLLECTIVE_ALL_GATHER, PS_EAGER_MAIN, ps_scheme_all_axes(self),
                      ps_zero_type(self), (uint64_t)(z->part * self->shards) * element_bytes(self));
}

/* ---- making ---- */

/* model.bfloat16(), and what rank 0 has goes to all */
static void convert(ps_scheme *self)
{
    ps_model *m = self->m;
    for (size_t i = 0; i < m->every_count; i++) {
        if (ps_eager_dtype(self->e, m->every[i]) != ps_zero_type(self)) {
            const ps_tensor narrow = ps_scheme_make(self, ps_eager_elements(self->e, m->every[i]),
                                                    ps_zero_type(self), PS_ROLE_PARAMETER);
            ps_scheme_kernel(self, "copy",
                             ps_eager_bytes(self->e, m->every[i]) +
                                 ps_eager_bytes(self->e, narrow));
            ps_eager_set_data(self->e, m->every[i], narrow);
        }
    }
    for (size_t i = 0; i < m->every_count; i++) {
        ps_scheme_collect(self, PS_COLLECTIVE_BROADCAST, PS_EAGER_MAIN, ps_scheme_all_axes(self),
                          ps_zero_type(self), ps_eager_bytes(self->e, m->every[i]));
    }
}

/* Whether the device holds the flat buffer beside what is there: by default it does. */
static bool has_room(const ps_scheme *self, uint64_t flat_bytes)
{
    const uint64_t has = self->settings->zero.device_bytes;
    uint64_t live = flat_bytes;
    for (size_t i = 0; i < self->m->every_count; i++) {
        live += ps_eager_bytes(self->e, self->m->every[i]);
    }
    return has == 0 || live <= has;
}

/* Trained parameters are copied one behind the other, and become places of the copy. Where there is
 * no room for both they go to the host, are joined there, and come back as one. */
static void lay_flat(ps_scheme *self)
{
    ps_model *m = self->m;
    zero12 *z = own(self);
    const int64_t elements = z->part * self->shards;
    const uint64_t bytes = (uint64_t)elements * ps_dtype_bytes(ps_zero_type(self));
    const bool is_here = has_room(self, bytes);
    ps_eager_release_cache(self->e);
    for (size_t i = 0; i < m->parameter_count && !is_here; i++) {
        ps_eager_send_away(self->e, m->parameter[i]);
    }
    if (!is_here) {
        ps_eager_release_cache(self->e);
    }
    z->flat = ps_scheme_make(self, elements, ps_zero_type(self), PS_ROLE_PARAMETER);
    if (is_here) {
        ps_scheme_kernel(self, "cat", 2 * bytes);
    } else {
        ps_scheme_copy_host(self, bytes);
    }
    for (size_t i = 0; i < m->parameter_count; i++) {
        ps_eager_send_away(self->e, m->parameter[i]);
        ps_eager_lay_into(self->e, m->parameter[i], z->flat);
    }
}

static void measure(ps_scheme *self)
{
    zero12 *z = own(self);
    const int64_t alignment = 2 * self->shards;
    const size_t count = self->m->parameter_count;
    for (size_t i = 0; i < count; i++) {
        z->begin[i + 1] = z->begin[i] + elements_of(self, i);
    }
    z->part = ps_scheme_share(z->begin[count], alignment) * 2;
    for (size_t i = 0; i < count; i++) {
        if (is_mine(self, i)) {
            z->own_elements[z->own_count++] = shared(z, i, self->place);
        }
    }
    self->is_uneven = true;
}

static ps_code make_room(ps_scheme *self, ps_error *err)
{
    zero12 *z = own(self);
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
        most = elements_of(self, i) > most ? elements_of(self, i) : most;
    }
    return most;
}

static ps_code wrap(ps_scheme *self, bool defers, ps_error *err)
{
    zero12 *z = self->state = ps_scheme_calloc(self, 1, sizeof *z);
    if (z == NULL) {
        return ps_fail_nomem(err);
    }
    z->defers = defers;
    PS_TRY(make_room(self, err));
    z->lane = !defers && ps_zero_overlaps(self, false) ? REDUCE_STREAM : PS_EAGER_MAIN;
    convert(self);
    measure(self);
    lay_flat(self);
    PS_TRY(ps_eager_code(self->e, err));
    if (offloads(self)) {
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
    zero12 *z = own(self);
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
