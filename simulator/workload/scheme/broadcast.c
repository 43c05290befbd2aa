/* SPDX-License-Identifier: MIT
 *
 * What rank 0 has goes to all, many tensors at a time: those of a type one
 * after the other until they have reached 250 MiB, the type of the first that
 * is left being next.
 */
#include "base/memory.h"
#include "workload/scheme/scheme_parts.h"

#define LIMIT_BYTES ((uint64_t)250 << 20)

/* A bucket: some of the tensors that are left, by their places in the list. */
typedef struct bucket {
    size_t *at;
    size_t count;
    uint64_t bytes;
    ps_dtype dtype;
} bucket;

/* @param first  that is left */
static void fill(const ps_scheme *self, const ps_tensor *list, size_t count, bool *is_sent,
                 size_t first, bucket *out)
{
    out->count = 0;
    out->bytes = 0;
    out->dtype = ps_eager_dtype(self->e, list[first]);
    for (size_t i = first; i < count && out->bytes < LIMIT_BYTES; i++) {
        if (!is_sent[i] && ps_eager_dtype(self->e, list[i]) == out->dtype) {
            is_sent[i] = true;
            out->at[out->count++] = i;
            out->bytes += ps_eager_bytes(self->e, list[i]);
        }
    }
}

/* Flattened, sent, copied back; a single tensor is its own flat one. Returns the flat one. */
static ps_tensor send(ps_scheme *self, const ps_tensor *list, const bucket *b, ps_tensor *before,
                      ps_eager_lane lane)
{
    ps_tensor flat = 0;
    if (b->count > 1) {
        flat = ps_scheme_make(self, (int64_t)(b->bytes / ps_dtype_bytes(b->dtype)), b->dtype,
                              PS_ROLE_TEMPORARY);
        ps_scheme_kernel(self, "cat", 2 * b->bytes);
    }
    ps_scheme_collect(self, PS_COLLECTIVE_BROADCAST, lane, ps_scheme_all_axes(self), b->dtype,
                      b->bytes);
    ps_eager_clear(self->e, before); /* two are under way at a time */
    ps_op_join(self->e, PS_EAGER_MAIN, lane);
    for (size_t i = 0; i < b->count && flat != 0; i++) {
        ps_scheme_kernel(self, "copy", 2 * ps_eager_bytes(self->e, list[b->at[i]]));
    }
    return flat;
}

void ps_scheme_broadcast(ps_scheme *self, const ps_tensor *list, size_t count, ps_eager_lane lane)
{
    bool *is_sent = ps_scheme_calloc(self, count, sizeof *is_sent);
    bucket b = {.at = ps_scheme_calloc(self, count, sizeof *b.at)};
    ps_tensor before = 0;
    for (size_t i = 0; i < count && !ps_eager_has_failed(self->e); i++) {
        if (!is_sent[i]) {
            fill(self, list, count, is_sent, i, &b);
            before = send(self, list, &b, &before, lane);
        }
    }
    ps_eager_clear(self->e, &before);
    ps_free(b.at);
    ps_free(is_sent);
}
