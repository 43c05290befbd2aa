/* SPDX-License-Identifier: MIT
 *
 * Gradients clipped by their norm: a norm a gradient, the norm of the norms, and one factor.
 */
#include "workload/script/clip_grad.h"

#include "base/memory.h"
#include "workload/eager/eager_parts.h"

/* Elements that one block of a kernel over lists takes; each leaves one partial norm of 32 bits. */
#define ELEMENTS_A_BLOCK ((int64_t)1 << 16)

/* The gradients there are. */
typedef struct gradients {
    size_t count;
    int64_t longest;
    uint64_t bytes;
    ps_dtype dtype; /* of the last one: parameters that are trained share a type */
} gradients;

static gradients look_at(const ps_model *m)
{
    gradients found = {.dtype = PS_DTYPE_F32};
    for (size_t i = 0; i < m->parameter_count; i++) {
        const ps_tensor grad = ps_eager_grad(m->e, m->parameter[i]);
        if (grad != 0) {
            const int64_t elements = ps_eager_elements(m->e, grad);
            found.count++;
            found.longest = elements > found.longest ? elements : found.longest;
            found.bytes += ps_eager_bytes(m->e, grad);
            found.dtype = ps_eager_dtype(m->e, grad);
        }
    }
    return found;
}

/* _foreach_norm: partial norms of every gradient, as many as the longest has, then one each */
static void norms_of(ps_eager *e, const gradients *of, ps_tensor *norm)
{
    const int64_t blocks = (of->longest + ELEMENTS_A_BLOCK - 1) / ELEMENTS_A_BLOCK;
    ps_tensor partial = ps_op_plain(e, "fill", (int64_t)of->count * blocks, PS_DTYPE_F32);
    for (size_t i = 0; i < of->count; i++) {
        norm[i] = ps_op_result(e, 1, of->dtype);
    }
    ps_op_kernel(e, "_foreach_norm", of->bytes);
    ps_op_kernel(e, "_foreach_norm", ps_eager_bytes(e, partial));
    ps_eager_clear(e, &partial);
}

static ps_tensor total_norm(ps_eager *e, const gradients *of, ps_tensor *norm)
{
    norms_of(e, of, norm);
    ps_tensor stacked = ps_op_plain(e, "cat", (int64_t)of->count, of->dtype);
    const ps_tensor total = ps_op_plain(e, "linalg_vector_norm", 1, of->dtype);
    ps_eager_clear(e, &stacked);
    for (size_t i = of->count; i-- > 0;) {
        ps_eager_clear(e, &norm[i]);
    }
    return total;
}

/* least(limit / (total + small number), 1), and every gradient times that */
static void scale_all(ps_eager *e, const gradients *of)
{
    ps_tensor sum = ps_op_plain(e, "add", 1, of->dtype);
    ps_tensor inverse = ps_op_plain(e, "reciprocal", 1, of->dtype);
    ps_tensor factor = ps_op_plain(e, "mul", 1, of->dtype);
    ps_eager_clear(e, &inverse);
    ps_eager_clear(e, &sum);
    ps_tensor clamped = ps_op_plain(e, "clamp", 1, of->dtype);
    ps_op_kernel(e, "_foreach_mul_", 2 * of->bytes);
    ps_eager_clear(e, &factor);
    ps_eager_clear(e, &clamped);
}

void ps_clip_grad_norm(const ps_model *m, ps_scheme *scheme)
{
    const gradients of = look_at(m);
    if (of.count == 0) {
        return;
    }
    ps_tensor *norm = ps_calloc(of.count, sizeof *norm);
    if (norm == NULL) {
        ps_eager_fail(m->e, PS_NOMEM, "out of memory");
        return;
    }
    ps_tensor total = total_norm(m->e, &of, norm);
    ps_scheme_reduce_number(scheme);
    scale_all(m->e, &of);
    ps_eager_clear(m->e, &total);
    ps_free(norm);
}
