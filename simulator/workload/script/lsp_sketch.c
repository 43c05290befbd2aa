/* SPDX-License-Identifier: MIT
 *
 * Projectors of LSP-Offload: d x wide, with r numbers in each column, kept as
 * numbers and rows (8 bytes each) and made dense for every use.
 */
#include "workload/script/lsp_parts.h"

enum { INDEX_BYTES = 8 };

ps_lsp_sketch ps_lsp_sketch_make(ps_lsp *self, ps_dtype dtype, int64_t wide)
{
    const int64_t elements = wide * self->settings->nnz;
    ps_lsp_sketch made = {.wide = wide};
    made.index = ps_eager_make(self->e, elements, PS_DTYPE_I64, PS_ROLE_PARAMETER);
    made.value = ps_eager_make(self->e, elements, dtype, PS_ROLE_PARAMETER);
    ps_op_kernel(self->e, "projector",
                 ps_eager_bytes(self->e, made.index) + ps_eager_bytes(self->e, made.value));
    return made;
}

/* zeros(d, wide).scatter_(0, index, value) */
static ps_tensor make_dense(ps_lsp *self, const ps_lsp_sketch *of)
{
    const ps_dtype dtype = ps_eager_dtype(self->e, of->value);
    const uint64_t entries = (uint64_t)ps_eager_elements(self->e, of->value);
    const ps_tensor out = ps_op_result(self->e, self->settings->compress_size * of->wide, dtype);
    ps_op_kernel(self->e, "fill", ps_eager_bytes(self->e, out));
    ps_op_kernel(self->e, "scatter", entries * (INDEX_BYTES + 2 * ps_dtype_bytes(dtype)));
    return out;
}

static ps_tensor multiply(ps_lsp *self, ps_dtype dtype, int64_t m, int64_t n, int64_t k)
{
    const int64_t size[3] = {m, n, k};
    return ps_op_multiply(self->e, dtype, PS_OPERANDS_UNKNOWN, size);
}

ps_tensor ps_lsp_compress_left(ps_lsp *self, const ps_lsp_linear *of, ps_tensor x)
{
    ps_eager *e = self->e;
    if (self->settings->sends_whole) {
        return ps_op_view_of(e, x, ps_eager_elements(e, x));
    }
    ps_tensor dense = make_dense(self, &of->left);
    const ps_tensor out = multiply(self, ps_eager_dtype(e, x), self->settings->compress_size,
                                   ps_eager_elements(e, x) / of->in, of->in);
    ps_eager_clear(e, &dense);
    return out;
}

ps_tensor ps_lsp_compress_right(ps_lsp *self, const ps_lsp_linear *of, ps_tensor grad)
{
    ps_eager *e = self->e;
    const ps_dtype dtype = ps_eager_dtype(e, grad);
    const int64_t d = self->settings->compress_size;
    const int64_t rows = ps_eager_elements(e, grad) / of->out;
    if (self->settings->sends_whole) {
        const int64_t size[3] = {of->in, of->out, rows};
        return ps_op_multiply(e, dtype, PS_OPERANDS_NT, size);
    }
    ps_tensor dense = make_dense(self, &of->right);
    ps_tensor narrow = multiply(self, dtype, rows, d, of->out);
    ps_eager_clear(e, &dense);
    const ps_tensor out = multiply(self, dtype, d, d, rows);
    ps_eager_clear(e, &narrow);
    return out;
}

/* From the narrower side: (left.T @ difference) @ right, or left.T @ (difference @ right). */
ps_tensor ps_lsp_spread(ps_lsp *self, const ps_lsp_linear *of, ps_tensor narrow)
{
    ps_eager *e = self->e;
    const ps_dtype dtype = ps_eager_dtype(e, narrow);
    const int64_t d = self->settings->compress_size;
    if (self->settings->sends_whole) {
        return ps_eager_hold(e, narrow);
    }
    ps_tensor left = make_dense(self, &of->left), right = make_dense(self, &of->right);
    ps_tensor half = of->in > of->out ? multiply(self, dtype, d, of->out, d)
                                      : multiply(self, dtype, of->in, d, d);
    const ps_tensor out = multiply(self, dtype, of->in, of->out, d);
    ps_eager_clear(e, &half);
    ps_eager_clear(e, &left);
    ps_eager_clear(e, &right);
    return out;
}
