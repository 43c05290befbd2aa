/* SPDX-License-Identifier: MIT
 *
 * The bucket: of fixed size; full, it is summed, and gradients of this rank's part
 * are copied to their own buffer, or go to the host.
 */
#include "workload/scheme/zero12.h"

/* Slices of a bucket that belong to one rank after the other; consecutive ones of a rank are one. */
static void reduce_to_owners(ps_scheme *self)
{
    const ps_zero12 *z = ps_zero12_of(self);
    int64_t owner = -1, elements = 0;
    for (size_t i = 0; i < z->bucket_count; i++) {
        const size_t parameter = z->bucket[i];
        for (int64_t rank = z->begin[parameter] / z->part;
             rank < self->shards && ps_zero12_shared(z, parameter, rank) > 0; rank++) {
            if (rank != owner) {
                ps_scheme_collect(self, PS_COLLECTIVE_REDUCE, z->lane, ps_scheme_all_axes(self),
                                  ps_zero_type(self),
                                  (uint64_t)elements * ps_zero12_element_bytes(self));
                elements = 0;
            }
            owner = rank;
            elements += ps_zero12_shared(z, parameter, rank);
        }
    }
    ps_scheme_collect(self, PS_COLLECTIVE_REDUCE, z->lane, ps_scheme_all_axes(self),
                      ps_zero_type(self), (uint64_t)elements * ps_zero12_element_bytes(self));
}

/* Slices of a bucket: neighbours of one rank are one. */
static size_t count_slices(const ps_scheme *self)
{
    const ps_zero12 *z = ps_zero12_of(self);
    int64_t owner = -1;
    size_t count = 0;
    for (size_t i = 0; i < z->bucket_count; i++) {
        const size_t parameter = z->bucket[i];
        for (int64_t rank = z->begin[parameter] / z->part;
             rank < self->shards && ps_zero12_shared(z, parameter, rank) > 0; rank++) {
            count += rank != owner;
            owner = rank;
        }
    }
    return count;
}

/* Several slices are put together, summed, and copied back where they are wanted. */
static void reduce_flat(ps_scheme *self)
{
    ps_zero12 *z = ps_zero12_of(self);
    const uint64_t bytes = (uint64_t)z->bucket_elements * ps_zero12_element_bytes(self);
    ps_tensor flat = 0;
    if (count_slices(self) > 1) {
        flat = ps_scheme_make(self, z->bucket_elements, ps_zero_type(self), PS_ROLE_WORKSPACE);
        ps_scheme_kernel(self, "cat", 2 * bytes);
    }
    ps_scheme_collect(self, PS_COLLECTIVE_ALL_REDUCE, z->lane, ps_scheme_all_axes(self),
                      ps_zero_type(self), bytes);
    for (size_t i = 0; i < z->bucket_count && flat != 0; i++) {
        const int64_t elements = ps_zero12_shared(z, z->bucket[i], self->place);
        if (elements > 0) {
            ps_scheme_kernel(self, "copy", 2 * (uint64_t)elements * ps_zero12_element_bytes(self));
        }
    }
    ps_eager_clear(self->e, &flat);
}

/* ... or to the host. */
static void send_mine(ps_scheme *self)
{
    ps_zero12 *z = ps_zero12_of(self);
    for (size_t i = 0; i < z->bucket_count; i++) {
        const int64_t elements = ps_zero12_shared(z, z->bucket[i], self->place);
        if (elements > 0) {
            ps_offload_flat_take_grad(&z->offload, elements, z->adds, self->syncs);
        }
    }
}

/* Gradients of parameters that lie in this rank's part, all of each, move to a buffer of their own. */
static void keep_mine(ps_scheme *self)
{
    ps_zero12 *z = ps_zero12_of(self);
    for (size_t i = 0; i < z->bucket_count; i++) {
        if (!ps_zero12_is_mine(self, z->bucket[i])) {
            continue;
        }
        if (z->fresh == 0) {
            int64_t elements = 0;
            for (size_t j = 0; j < self->m->parameter_count; j++) {
                elements += ps_zero12_is_mine(self, j) ? ps_zero12_elements_of(self, j) : 0;
            }
            z->fresh = ps_scheme_make(self, elements, ps_zero_type(self), PS_ROLE_GRADIENT);
        }
        ps_scheme_kernel(self, "copy",
                         2 * (uint64_t)ps_zero12_elements_of(self, z->bucket[i]) *
                             ps_zero12_element_bytes(self));
    }
}

void ps_zero12_reduce_bucket(ps_scheme *self)
{
    ps_zero12 *z = ps_zero12_of(self);
    if (z->bucket_count == 0) {
        return;
    }
    ps_op_join(self->e, z->lane, PS_EAGER_MAIN);
    const ps_eager_lane was = ps_eager_set_lane(self->e, z->lane);
    ps_scheme_kernel(self, "div", 2 * (uint64_t)z->bucket_elements * ps_zero12_element_bytes(self));
    if (self->settings->zero.reduces_to_owners) {
        reduce_to_owners(self);
    } else {
        reduce_flat(self);
    }
    if (ps_zero_offloads(self)) {
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
    ps_zero12 *z = ps_zero12_of(self);
    const int64_t elements = ps_zero12_elements_of(self, parameter);
    if (z->bucket_elements + elements > self->settings->zero.reduce_bucket_size) {
        ps_zero12_reduce_bucket(self);
    }
    z->bucket[z->bucket_count++] = parameter;
    z->bucket_elements += elements;
}

/* Buckets are made when the first gradient of a backward pass comes. */
void ps_zero12_make_buckets(ps_scheme *self)
{
    ps_zero12 *z = ps_zero12_of(self);
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

void ps_zero12_take(ps_scheme *self, size_t parameter, ps_tensor owned)
{
    ps_zero12 *z = ps_zero12_of(self);
    ps_zero12_make_buckets(self);
    put(self, parameter);
    if (ps_zero12_elements_of(self, parameter) > self->settings->zero.reduce_bucket_size ||
        z->buffer[0] == 0) {
        z->large = owned;
        ps_zero12_reduce_bucket(self);
        return;
    }
    ps_scheme_kernel(self, "copy", 2 * ps_eager_bytes(self->e, owned));
    ps_eager_drop(self->e, owned);
}
