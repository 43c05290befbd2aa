/* SPDX-License-Identifier: MIT
 *
 * torch.nn.parallel.DistributedDataParallel: every rank has all parameters, and
 * gradients go through buckets.
 *
 *   wrap           parameters and buffers are broadcast, coalesced up to 250 MiB at a time; buckets
 *   1st iteration  one bucket of all parameters: nothing overlaps; the order in which gradients
 *                  become ready is noted
 *   next forward   buckets of that order in place of the first, which goes before they come
 *   backward       a gradient is copied into its bucket and divided; a full bucket is reduced in
 *                  the communicator's lane, in the order of the buckets
 *   its end        the main lane waits; gradients are copied back, unless they are the bucket
 *
 * A bucket closes when it has reached its size after a parameter was added. Buckets stay.
 */
#include "base/memory.h"
#include "workload/scheme/buckets.h"
#include "workload/scheme/scheme_parts.h"

#define COMMUNICATOR PS_EAGER_GROUP

typedef struct ddp {
    ps_buckets buckets;
    ps_tensor *buffer; /* of each bucket */
    ps_tensor *view;   /* of each parameter in it, while its gradient lies there */
    size_t *pending;   /* of each bucket: gradients that have not come */
    size_t *ready;     /* parameters in the order of their first gradients */
    size_t ready_count;
    size_t next; /* bucket to reduce */
    bool is_rebuilt;
    bool syncs_buffers; /* forward begins with them: a synchronised backward came before */
    ps_tensor used;     /* find_unused_parameters: a number for each parameter */
} ddp;

static ddp *own(ps_scheme *self)
{
    return self->state;
}

static ps_code check(const ps_recipe *r, ps_error *err)
{
    const ps_parallel *p = &r->parallel;
    if (p->shard_ranks > 0 && p->shard_ranks != p->ranks) {
        return ps_fail(err, PS_USAGE, "ddp shards nothing: every rank has a copy of all");
    }
    if (r->policy != PS_TRAIN_POLICY_NONE) {
        return ps_fail(err, PS_USAGE, "ddp with a policy that places parameters is not described");
    }
    if (p->ddp.bucket_cap_mib < 0) {
        return ps_fail(err, PS_USAGE, "the size of a bucket must be positive");
    }
    return PS_OK;
}

/* ---- buckets ---- */

static void drop_buffers(ps_scheme *self)
{
    ddp *d = own(self);
    for (size_t i = 0; i < self->m->parameter_count; i++) {
        ps_eager_clear(self->e, &d->view[i]);
    }
    for (size_t i = 0; i < d->buckets.count; i++) {
        ps_eager_clear(self->e, &d->buffer[i]);
    }
}

static void make_buffers(ps_scheme *self)
{
    ddp *d = own(self);
    const ps_role role =
        self->settings->ddp.gradient_as_bucket_view ? PS_ROLE_GRADIENT : PS_ROLE_WORKSPACE;
    for (size_t i = 0; i < d->buckets.count; i++) {
        const ps_bucket *b = &d->buckets.bucket[i];
        d->buffer[i] = ps_scheme_make(self, b->elements, b->dtype, role);
        d->pending[i] = b->parameter_count;
    }
    d->next = 0;
}

/* 25 MiB after a first of 1, unless somebody gave a size */
static void limits_of(const ps_ddp_settings *settings, uint64_t limit[2])
{
    enum { MIB = 1 << 20, FIRST = 1, USUAL = 25 };
    const uint64_t given = (uint64_t)settings->bucket_cap_mib * MIB;
    limit[0] = given > 0 ? given : (uint64_t)FIRST * MIB;
    limit[1] = given > 0 ? given : (uint64_t)USUAL * MIB;
}

static void first_buckets(ps_scheme *self)
{
    ddp *d = own(self);
    uint64_t limit[2] = {UINT64_MAX, UINT64_MAX};
    if (self->settings->ddp.find_unused_parameters) {
        limits_of(&self->settings->ddp, limit);
    }
    ps_buckets_fill(&d->buckets, self->m, NULL, self->m->parameter_count, limit);
    ps_buckets_reverse(&d->buckets);
    make_buffers(self);
}

/* What rank 0 saw first decides: it tells the others. */
static void rebuild(ps_scheme *self)
{
    ddp *d = own(self);
    uint64_t limit[2];
    limits_of(&self->settings->ddp, limit);
    drop_buffers(self);
    ps_buckets_fill(&d->buckets, self->m, d->ready, d->ready_count, limit);
    const uint64_t number_bytes = 4;
    const uint64_t told = (uint64_t)d->ready_count + 1;
    ps_tensor numbers =
        ps_scheme_make(self, (int64_t)(told * number_bytes), PS_DTYPE_BOOL, PS_ROLE_TEMPORARY);
    ps_scheme_collect(self, PS_COLLECTIVE_BROADCAST, COMMUNICATOR, ps_scheme_all_axes(self),
                      PS_DTYPE_BOOL, told * number_bytes);
    ps_op_join(self->e, PS_EAGER_MAIN, COMMUNICATOR);
    ps_eager_clear(self->e, &numbers);
    make_buffers(self);
    d->is_rebuilt = true;
}

/* ---- gradients ---- */

static void reduce(ps_scheme *self, size_t bucket)
{
    const ddp *d = own(self);
    const ps_bucket *b = &d->buckets.bucket[bucket];
    ps_scheme_collect(self, PS_COLLECTIVE_ALL_REDUCE, COMMUNICATOR, ps_scheme_all_axes(self),
                      b->dtype, (uint64_t)b->elements * ps_dtype_bytes(b->dtype));
    ps_eager_touch(self->e, d->buffer[bucket], true);
}

/* All that are full, in their order. */
static void reduce_full(ps_scheme *self)
{
    ddp *d = own(self);
    while (d->next < d->buckets.count && d->pending[d->next] == 0) {
        reduce(self, d->next++);
    }
}

/* The copy divides by the number of ranks as it goes. */
static void fill_in(ps_scheme *self, size_t parameter)
{
    ddp *d = own(self);
    const ps_tensor leaf = self->m->parameter[parameter], grad = ps_eager_grad(self->e, leaf);
    const uint64_t bytes = ps_eager_bytes(self->e, leaf);
    const ps_tensor buffer = d->buffer[d->buckets.bucket_of[parameter]];
    if (grad == d->view[parameter] && grad != 0) {
        ps_scheme_kernel(self, "div", 2 * bytes); /* it lies there since the last micro-batch */
        ps_eager_touch(self->e, buffer, true);
        return;
    }
    ps_scheme_kernel(self, "mul", 2 * bytes);
    ps_eager_touch(self->e, buffer, true);
    if (!self->settings->ddp.gradient_as_bucket_view) {
        return;
    }
    ps_eager_clear(self->e, &d->view[parameter]);
    const ps_tensor view = ps_op_view_of(self->e, buffer, ps_eager_elements(self->e, leaf));
    if (view != 0) {
        d->view[parameter] = ps_eager_hold(self->e, view);
        ps_eager_forget_grad(self->e, leaf);
        ps_eager_set_grad(self->e, leaf, view);
    }
}

static void on_grad(void *context, ps_tensor leaf)
{
    ps_scheme *self = context;
    ddp *d = own(self);
    const size_t parameter = ps_buckets_find(&d->buckets, leaf);
    if (!self->syncs || parameter == PS_BUCKETS_NONE) {
        return;
    }
    if (!d->is_rebuilt && d->ready_count < self->m->parameter_count) {
        d->ready[d->ready_count++] = parameter;
    }
    fill_in(self, parameter);
    const size_t bucket = d->buckets.bucket_of[parameter];
    if (--d->pending[bucket] == 0) {
        reduce_full(self);
    }
}

static void copy_back(ps_scheme *self, const ps_bucket *bucket)
{
    const ddp *d = own(self);
    for (size_t i = 0; i < bucket->parameter_count; i++) {
        const size_t parameter = d->buckets.parameter[bucket->first + i];
        ps_scheme_kernel(self, "copy", 2 * ps_eager_bytes(self->e, self->m->parameter[parameter]));
        ps_eager_touch(self->e, d->buffer[d->buckets.bucket_of[parameter]], false);
    }
}

/* Parameters that this rank has no gradient of are still reduced; then everything is waited for. */
static void end_backward(void *context)
{
    ps_scheme *self = context;
    ddp *d = own(self);
    if (!self->syncs) {
        return;
    }
    for (size_t i = d->next; i < d->buckets.count; i++) {
        d->pending[i] = 0;
    }
    reduce_full(self);
    if (d->used != 0) {
        ps_scheme_collect(self, PS_COLLECTIVE_ALL_REDUCE, COMMUNICATOR, ps_scheme_all_axes(self),
                          PS_DTYPE_BOOL, ps_eager_bytes(self->e, d->used));
    }
    for (size_t i = 0; i < d->buckets.count; i++) {
        ps_op_join(self->e, PS_EAGER_MAIN, COMMUNICATOR);
        if (!self->settings->ddp.gradient_as_bucket_view) {
            copy_back(self, &d->buckets.bucket[i]);
        }
        d->pending[i] = d->buckets.bucket[i].parameter_count;
    }
    d->next = 0;
}

/* ---- forward ---- */

static void begin_forward(ps_scheme *self)
{
    ddp *d = own(self);
    const bool is_seen = d->ready_count > 0;
    if (self->syncs && is_seen && !d->is_rebuilt && !self->settings->ddp.find_unused_parameters) {
        rebuild(self);
    }
    if (d->syncs_buffers) {
        ps_scheme_broadcast(self, self->m->buffer, self->m->buffer_count, COMMUNICATOR);
    }
    d->syncs_buffers = self->syncs;
}

/* What backward may leave unused is given out as copies, which tell the reducer where it begins. */
static void end_forward(ps_scheme *self, ps_model_output *out)
{
    if (!self->settings->ddp.find_unused_parameters) {
        return;
    }
    const ps_tensor loss = ps_op_copy(self->e, out->loss);
    const ps_tensor logits = ps_op_copy(self->e, out->logits);
    ps_eager_assign(self->e, &out->loss, loss);
    ps_eager_assign(self->e, &out->logits, logits);
}

/* ---- making ---- */

/* Parameters, then buffers. */
static void sync_states(ps_scheme *self)
{
    const ps_model *m = self->m;
    ps_tensor *list = ps_scheme_calloc(self, m->every_count + m->buffer_count, sizeof *list);
    for (size_t i = 0; i < m->every_count && list != NULL; i++) {
        list[i] = m->every[i];
    }
    for (size_t i = 0; i < m->buffer_count && list != NULL; i++) {
        list[m->every_count + i] = m->buffer[i];
    }
    if (list != NULL) {
        ps_scheme_broadcast(self, list, m->every_count + m->buffer_count, COMMUNICATOR);
    }
    ps_free(list);
}

static ps_code wrap(ps_scheme *self, ps_error *err)
{
    ps_model *m = self->m;
    ddp *d = self->state = ps_scheme_calloc(self, 1, sizeof *d);
    if (d == NULL) {
        return ps_fail_nomem(err);
    }
    PS_TRY(ps_buckets_create(&d->buckets, m, err));
    d->buffer = ps_scheme_calloc(self, m->parameter_count, sizeof *d->buffer);
    d->view = ps_scheme_calloc(self, m->parameter_count, sizeof *d->view);
    d->pending = ps_scheme_calloc(self, m->parameter_count, sizeof *d->pending);
    d->ready = ps_scheme_calloc(self, m->parameter_count, sizeof *d->ready);
    PS_TRY(ps_eager_code(self->e, err));
    d->syncs_buffers = true;
    sync_states(self);
    first_buckets(self);
    if (self->settings->ddp.find_unused_parameters) {
        enum { NUMBER_BYTES = 4 };
        d->used = ps_scheme_make(self, (int64_t)m->parameter_count * NUMBER_BYTES, PS_DTYPE_BOOL,
                                 PS_ROLE_WORKSPACE);
    }
    ps_eager_set_grad_hook(self->e, on_grad, self);
    ps_eager_set_end_hook(self->e, end_backward, self);
    return PS_OK;
}

static void destroy(ps_scheme *self)
{
    ddp *d = own(self);
    if (d != NULL) {
        ps_buckets_fini(&d->buckets);
        ps_free(d->buffer);
        ps_free(d->view);
        ps_free(d->pending);
        ps_free(d->ready);
        ps_free(d);
    }
}

const ps_scheme_ops ps_scheme_ddp = {.check = check,
                                     .wrap = wrap,
                                     .destroy = destroy,
                                     .begin_forward = begin_forward,
                                     .end_forward = end_forward};
