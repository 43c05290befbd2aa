/* SPDX-License-Identifier: MIT
 *
 * Buckets of gradients. Parameters that are trained share a type, so one bucket is open at a time.
 */
#include "workload/scheme/buckets.h"

#include "base/memory.h"

ps_code ps_buckets_create(ps_buckets *self, const ps_model *m, ps_error *err)
{
    const size_t room = m->parameter_count + 1;
    for (size_t i = 0; i < m->parameter_count; i++) {
        self->index_count =
            m->parameter[i] >= self->index_count ? (size_t)m->parameter[i] + 1 : self->index_count;
    }
    self->bucket = ps_calloc(room, sizeof *self->bucket);
    self->parameter = ps_calloc(room, sizeof *self->parameter);
    self->bucket_of = ps_calloc(room, sizeof *self->bucket_of);
    self->index = ps_calloc(self->index_count + 1, sizeof *self->index);
    if (self->bucket == NULL || self->parameter == NULL || self->bucket_of == NULL ||
        self->index == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < m->parameter_count; i++) {
        self->index[m->parameter[i]] = i + 1;
    }
    return PS_OK;
}

void ps_buckets_fini(ps_buckets *self)
{
    ps_free(self->bucket);
    ps_free(self->parameter);
    ps_free(self->bucket_of);
    ps_free(self->index);
    *self = (ps_buckets){0};
}

size_t ps_buckets_find(const ps_buckets *self, ps_tensor leaf)
{
    return leaf < self->index_count && self->index[leaf] > 0 ? self->index[leaf] - 1
                                                             : PS_BUCKETS_NONE;
}

void ps_buckets_fill(ps_buckets *self, const ps_model *m, const size_t *order, size_t count,
                     const uint64_t limit[2])
{
    bool is_open = false;
    self->count = 0;
    for (size_t i = 0; i < count; i++) {
        const size_t parameter = order == NULL ? i : order[i];
        const ps_tensor tensor = m->parameter[parameter];
        if (!is_open) {
            self->bucket[self->count++] =
                (ps_bucket){.first = i, .dtype = ps_eager_dtype(m->e, tensor)};
        }
        ps_bucket *open = &self->bucket[self->count - 1];
        open->parameter_count++;
        open->elements += ps_eager_elements(m->e, tensor);
        self->parameter[i] = parameter;
        self->bucket_of[parameter] = self->count - 1;
        is_open = (uint64_t)open->elements * ps_dtype_bytes(open->dtype) <
                  limit[self->count == 1 ? 0 : 1];
    }
}

void ps_buckets_reverse(ps_buckets *self)
{
    for (size_t i = 0; i < self->count / 2; i++) {
        const ps_bucket other = self->bucket[i];
        self->bucket[i] = self->bucket[self->count - 1 - i];
        self->bucket[self->count - 1 - i] = other;
    }
    for (size_t b = 0; b < self->count; b++) {
        for (size_t i = 0; i < self->bucket[b].parameter_count; i++) {
            self->bucket_of[self->parameter[self->bucket[b].first + i]] = b;
        }
    }
}
