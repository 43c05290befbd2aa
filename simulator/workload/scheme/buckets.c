/* SPDX-License-Identifier: MIT
 *
 * Buckets of gradients. Parameters that are trained share a type, so one bucket is open at a time.
 */
#include "workload/scheme/buckets.h"

#include "base/memory.h"

/* ---- parameters by their tensors ---- */

static void sift(size_t *index, size_t count, size_t at, const ps_tensor *key)
{
    for (size_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count && key[index[child]] < key[index[child + 1]]) {
            child++;
        }
        if (key[index[child]] <= key[index[at]]) {
            return;
        }
        const size_t other = index[at];
        index[at] = index[child];
        index[child] = other;
        at = child;
    }
}

static void sort(size_t *index, size_t count, const ps_tensor *key)
{
    for (size_t i = count / 2; i-- > 0;) {
        sift(index, count, i, key);
    }
    for (size_t end = count; end-- > 1;) {
        const size_t last = index[end];
        index[end] = index[0];
        index[0] = last;
        sift(index, end, 0, key);
    }
}

ps_code ps_buckets_create(ps_buckets *self, const ps_model *m, ps_error *err)
{
    const size_t room = m->parameter_count + 1;
    self->bucket = ps_calloc(room, sizeof *self->bucket);
    self->parameter = ps_calloc(room, sizeof *self->parameter);
    self->bucket_of = ps_calloc(room, sizeof *self->bucket_of);
    self->index = ps_calloc(room, sizeof *self->index);
    if (self->bucket == NULL || self->parameter == NULL || self->bucket_of == NULL ||
        self->index == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < m->parameter_count; i++) {
        self->index[i] = i;
    }
    sort(self->index, m->parameter_count, m->parameter);
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

size_t ps_buckets_find(const ps_buckets *self, const ps_model *m, ps_tensor leaf)
{
    size_t low = 0, high = m->parameter_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (m->parameter[self->index[middle]] < leaf) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < m->parameter_count && m->parameter[self->index[low]] == leaf ? self->index[low]
                                                                              : PS_BUCKETS_NONE;
}

/* ---- filling ---- */

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
