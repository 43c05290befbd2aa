/* SPDX-License-Identifier: MIT
 *
 * Allocations and frees of two workloads, side by side.
 */
#include <stdlib.h>

#include "accuracy/agreement/side.h"

/* A free: number of its allocation; an allocation: bytes. */
typedef struct request {
    bool is_free;
    uint64_t value;
} request;

static int by_value(const void *a, const void *b)
{
    const uint64_t x = ((const request *)a)->value, y = ((const request *)b)->value;
    return (x > y) - (x < y);
}

/* Tensors are numbered in the order of their allocation; frees between two allocations sorted. */
static size_t list(const ps_workload *w, request *out)
{
    size_t count = 0;
    for (size_t e = 0; e < w->event.head.count; e++) {
        const uint32_t ref = w->event.ref[e];
        if (w->event.kind[e] == PS_WORKLOAD_EVENT_ALLOC) {
            out[count++] = (request){false, w->tensor.bytes[ref]};
        } else if (w->event.kind[e] == PS_WORKLOAD_EVENT_FREE) {
            out[count++] = (request){true, ref};
        }
    }
    for (size_t begin = 0; begin < count;) {
        size_t end = begin;
        while (end < count && out[end].is_free) {
            end++;
        }
        qsort(&out[begin], end - begin, sizeof *out, by_value);
        begin = end + 1;
    }
    return count;
}

/* What the program drops at its end goes in any order, and the recording sees more of it go. */
static bool ends_alike(const request *a, size_t count, const request *b, size_t other)
{
    size_t next = 0;
    for (size_t i = 0; i < count; i++) {
        while (next < other && b[next].is_free && b[next].value < a[i].value) {
            next++;
        }
        if (!a[i].is_free || next == other || !b[next].is_free || b[next].value != a[i].value) {
            return false;
        }
        next++;
    }
    while (next < other && b[next].is_free) {
        next++;
    }
    return next == other;
}

bool events_agree(const ps_workload *model, const ps_workload *recorded, size_t *equal)
{
    request *a = calloc(model->event.head.count + 1, sizeof *a);
    request *b = calloc(recorded->event.head.count + 1, sizeof *b);
    size_t at = 0;
    bool agree = false;
    if (a != NULL && b != NULL) {
        const size_t count = list(model, a), other = list(recorded, b);
        while (at < count && at < other && a[at].is_free == b[at].is_free &&
               a[at].value == b[at].value) {
            at++;
        }
        agree = ends_alike(a + at, count - at, b + at, other - at);
    }
    free(a);
    free(b);
    *equal = at;
    return agree;
}
