/* SPDX-License-Identifier: MIT
 *
 * The bucket of stage 3: gradients are copied into it until the next one would
 * not fit; then it is reduced and scattered, and parts go to this rank's own.
 *
 *   main lane    gradient ── gradient ── ...
 *   bucket lane      └─ copy    └─ copy    cat, div, reduce-scatter, parts: add or copy
 *
 * A gradient that does not fit into an empty bucket stays where it is until then.
 */
#include "workload/scheme/zero3.h"

static int64_t part_elements(const ps_zero3 *z, size_t in_bucket)
{
    return ps_zero3_part(&z->gather, z->bucket.member[in_bucket]);
}

/* ---- reduced ---- */

static bool scatters_in_line(const ps_scheme *self)
{
    return self->settings->zero.gathers_in_line && ps_zero_offloads(self) && self->shards > 1;
}

/*
 * What is scattered lies rank by rank, each parameter padded: a copy, but for one that fits. Its memory
 * is the reduce stream's, and the exchange runs on the communicator's own, behind what the reduce
 * stream has to do with earlier buckets: in line with the computation, which is not behind that, it
 * is known to be over when something of the bucket itself has gone to the host.
 */
static ps_tensor interleave(ps_scheme *self, int64_t padded)
{
    const ps_zero3_bucket *bucket = &ps_zero3_of(self)->bucket;
    if (bucket->count == 1 && padded == bucket->elements) {
        return 0;
    }
    const ps_eager_lane was = ps_eager_set_lane(self->e, bucket->lane);
    const ps_tensor out = ps_scheme_make(self, padded, ps_zero_type(self), PS_ROLE_WORKSPACE);
    ps_eager_share_with_runs(self->e, out, scatters_in_line(self) ? bucket->scattered : self->runs);
    (void)ps_eager_set_lane(self->e, was);
    ps_scheme_kernel(self, "cat", 2 * (uint64_t)padded * ps_dtype_bytes(ps_zero_type(self)));
    return out;
}

/* Of the buckets before, only so many are still on their way. */
static void await_earlier(ps_scheme *self)
{
    const uint32_t oldest = ps_zero3_of(self)->bucket.reduced[0];
    if (oldest != 0) {
        ps_op_wait_mark(self->e, oldest);
    }
}

static void note_reduced(ps_zero3_bucket *bucket, uint32_t mark)
{
    for (size_t i = 0; i + 1 < PS_ZERO3_AHEAD; i++) {
        bucket->reduced[i] = bucket->reduced[i + 1];
    }
    bucket->reduced[PS_ZERO3_AHEAD - 1] = mark;
}

/* ---- taken apart ---- */

/* Gradients of the bucket go to the host. */
static void offload_parts(ps_scheme *self, uint32_t mark)
{
    ps_zero3 *z = ps_zero3_of(self);
    for (size_t i = 0; i < z->bucket.count; i++) {
        const size_t trained = z->units.member[z->bucket.member[i]].trained;
        ps_offload_take_grad(&z->offload, z->group_of[trained], part_elements(z, i), z->adds,
                             self->syncs, mark);
        if (i == 0 && scatters_in_line(self)) {
            ps_op_mark(self->e, z->bucket.lane, z->bucket.scattered);
        }
    }
}

/* ... or are added to this rank's own. */
static void add_parts(ps_scheme *self, uint32_t mark)
{
    const ps_zero3 *z = ps_zero3_of(self);
    const uint64_t bytes = ps_dtype_bytes(ps_zero_type(self));
    for (size_t i = 0; i < z->bucket.count; i++) {
        ps_scheme_kernel(self, z->adds ? "add" : "copy",
                         (z->adds ? 3u : 2u) * (uint64_t)part_elements(z, i) * bytes);
    }
    ps_op_mark(self->e, z->bucket.lane, mark);
}

static void take_parts(ps_scheme *self)
{
    const uint32_t mark = ps_eager_new_mark(self->e);
    if (ps_zero_offloads(self)) {
        offload_parts(self, mark);
    } else {
        add_parts(self, mark);
    }
    note_reduced(&ps_zero3_of(self)->bucket, mark);
}

/* Those that found no room go when the bucket's lane has read them. */
static void empty(ps_scheme *self)
{
    ps_zero3_bucket *bucket = &ps_zero3_of(self)->bucket;
    for (size_t i = 0; i < bucket->held_count; i++) {
        ps_eager_share(self->e, bucket->held[i], bucket->lane);
        ps_eager_clear(self->e, &bucket->held[i]);
    }
    bucket->count = bucket->held_count = 0;
    bucket->elements = 0;
}

static void reduce(ps_scheme *self)
{
    const ps_zero3 *z = ps_zero3_of(self);
    const ps_eager_lane lane =
        self->settings->zero.gathers_in_line ? PS_EAGER_MAIN : z->bucket.lane;
    int64_t part = 0;
    if (z->bucket.count == 0) {
        return;
    }
    for (size_t i = 0; i < z->bucket.count; i++) {
        part += part_elements(z, i);
    }
    const int64_t padded = part * self->shards;
    const uint64_t bytes = (uint64_t)padded * ps_dtype_bytes(ps_zero_type(self));
    await_earlier(self);
    const ps_eager_lane was = ps_eager_set_lane(self->e, lane);
    ps_tensor by_rank = interleave(self, padded);
    ps_scheme_kernel(self, "div", 2 * bytes);
    ps_scheme_collect(self, PS_COLLECTIVE_REDUCE_SCATTER, lane, ps_scheme_shard_axes(self),
                      ps_zero_type(self), bytes);
    ps_op_join(self->e, z->bucket.lane, lane);
    (void)ps_eager_set_lane(self->e, z->bucket.lane);
    take_parts(self);
    ps_eager_clear(self->e, &by_rank);
    (void)ps_eager_set_lane(self->e, was);
    empty(self);
}

void ps_zero3_reduce_rest(ps_scheme *self)
{
    ps_zero3_bucket *bucket = &ps_zero3_of(self)->bucket;
    reduce(self);
    ps_op_join(self->e, PS_EAGER_MAIN, bucket->lane);
    if (ps_zero_offloads(self)) {
        ps_op_wait(self->e, bucket->lane);
    }
    for (size_t i = 0; i < PS_ZERO3_AHEAD; i++) {
        bucket->reduced[i] = 0;
    }
}

/* ---- filled ---- */

static void put(ps_scheme *self, ps_tensor owned, bool fits)
{
    ps_zero3_bucket *bucket = &ps_zero3_of(self)->bucket;
    if (!fits || bucket->buffer == 0) {
        bucket->held[bucket->held_count++] = owned;
        return;
    }
    const ps_eager_lane was = ps_eager_set_lane(self->e, bucket->lane);
    ps_scheme_kernel(self, "copy", 2 * ps_eager_bytes(self->e, owned));
    (void)ps_eager_set_lane(self->e, was);
    ps_eager_share(self->e, owned, bucket->lane);
    ps_eager_drop(self->e, owned);
}

void ps_zero3_take_grad(void *context, ps_tensor leaf, ps_tensor owned)
{
    ps_scheme *self = context;
    ps_zero3 *z = ps_zero3_of(self);
    ps_zero3_bucket *bucket = &z->bucket;
    const size_t member = ps_units_find(&z->units, leaf);
    const int64_t elements = ps_eager_elements(self->e, leaf);
    const int64_t limit = self->settings->zero.reduce_bucket_size;
    if (member == PS_UNITS_NONE) {
        ps_scheme_keep_grad(self, leaf, owned);
        return;
    }
    if (bucket->elements > 0 && bucket->elements + elements > limit) {
        reduce(self);
    }
    ps_op_join(self->e, bucket->lane, PS_EAGER_MAIN);
    put(self, owned, bucket->elements + elements <= limit);
    bucket->member[bucket->count++] = member;
    bucket->elements += elements;
}

/* ---- making ---- */

void ps_zero3_make_gradients(ps_scheme *self)
{
    ps_zero3 *z = ps_zero3_of(self);
    if (self->settings->zero.contiguous_gradients) {
        z->bucket.buffer = ps_scheme_make(self, self->settings->zero.reduce_bucket_size,
                                          ps_zero_type(self), PS_ROLE_WORKSPACE);
    }
    if (!ps_zero_offloads(self)) {
        z->grads = ps_scheme_make(self, ps_eager_elements(self->e, z->part), ps_zero_type(self),
                                  PS_ROLE_GRADIENT);
        ps_scheme_kernel(self, "fill", ps_eager_bytes(self->e, z->grads));
    }
}
