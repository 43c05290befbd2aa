/* SPDX-License-Identifier: MIT
 *
 * Linear modules of TransformerEngine: products, what they keep, and how
 * tensor ranks share them.
 */
#include "base/memory.h"
#include "workload/megatron/parts.h"

/* cuBLAS as TransformerEngine calls it works in memory of its own, from compute capability 9.0 on
 * this much, and a piece for alignment. */
#define WORKSPACE_BYTES ((INT64_C(32) << 20) + 1024)
#define SMALL_WORKSPACE_BYTES (INT64_C(4) << 20)
#define CAPABILITY_OF_LARGE_WORKSPACE 90
#define MAX_SHAPES ((size_t)1 << 16)

ps_tensor ps__meg_make_workspace(ps__meg *self)
{
    const bool is_large = ps_eager_capability(self->e) >= CAPABILITY_OF_LARGE_WORKSPACE;
    return ps_eager_make(self->e, is_large ? WORKSPACE_BYTES : SMALL_WORKSPACE_BYTES, PS_DTYPE_BOOL,
                         PS_ROLE_WORKSPACE);
}

void ps__meg_product(ps__meg *self, const char *name, const int64_t size[4],
                     ps_operand_layout layout)
{
    const uint64_t m = (uint64_t)size[0], n = (uint64_t)size[1], k = (uint64_t)size[2];
    const uint64_t item = ps_dtype_bytes(self->dtype), batch = (uint64_t)size[3];
    const ps_eager_kernel kernel = {.name = name,
                                    .kind = PS_KERNEL_MATMUL,
                                    .dtype = self->dtype,
                                    .flop = 2 * m * n * k * batch,
                                    .moved_bytes = (m * k + k * n + m * n) * item * batch,
                                    .m = m,
                                    .n = n,
                                    .k = k,
                                    .batch = batch,
                                    .launches = 1,
                                    .layout = layout};
    ps_op_tell(self->e, &kernel);
}

void ps__meg_weight_product(ps__meg *self, const char *name, const int64_t size[4])
{
    const uint64_t m = (uint64_t)size[0], n = (uint64_t)size[1], k = (uint64_t)size[2];
    const uint64_t batch = (uint64_t)size[3], item = ps_dtype_bytes(self->dtype);
    const uint64_t result = 2 * ps_dtype_bytes(self->grad_dtype); /* read and written */
    const ps_eager_kernel kernel = {
        .name = name,
        .kind = PS_KERNEL_MATMUL,
        .dtype = self->dtype,
        .flop = 2 * m * n * k * batch,
        .moved_bytes = ((m * k + k * n) * item + m * n * result) * batch,
        .m = m,
        .n = n,
        .k = k,
        .batch = batch,
        .launches = 1,
        .layout = self->grad_dtype == PS_DTYPE_F32 ? PS_OPERANDS_NT_WIDE : PS_OPERANDS_NT};
    ps_op_tell(self->e, &kernel);
}

ps_tensor ps__meg_linear(ps__meg *self, const char *name, int64_t rows, int64_t in, int64_t out)
{
    if (self->program == &ps__meg_core && self->gemm_workspace == 0) {
        self->gemm_workspace = ps__meg_make_workspace(self);
    }
    const ps_tensor result = ps__meg_make(self, rows * out);
    ps__meg_product(self, name, (int64_t[]){rows, out, in, 1}, PS_OPERANDS_TN);
    return result;
}

ps_tensor ps__meg_linear_input(ps__meg *self, const char *name, int64_t rows, int64_t in,
                               int64_t out)
{
    const ps_tensor result = ps__meg_make(self, rows * in);
    ps__meg_product(self, name, (int64_t[]){rows, in, out, 1}, PS_OPERANDS_NN);
    return result;
}

void ps__meg_stand_in(ps__meg *self, int64_t rows, int64_t columns)
{
    if (self->program != &ps__meg_core) {
        return;
    }
    for (size_t i = 0; i < self->dummy_count; i++) {
        if (self->dummy[i].rows == rows && self->dummy[i].columns == columns) {
            return;
        }
    }
    if (ps_grow((void **)&self->dummy, &self->dummy_capacity, self->dummy_count + 1, MAX_SHAPES,
                sizeof *self->dummy, NULL) != PS_OK) {
        ps_eager_fail(self->e, PS_NOMEM, "out of memory");
        return;
    }
    self->dummy[self->dummy_count++] = (ps__meg_dummy){
        rows, columns, ps_eager_make(self->e, rows * columns, self->dtype, PS_ROLE_GRADIENT)};
}

void ps__meg_linear_weight(ps__meg *self, const char *name, int64_t rows, int64_t in, int64_t out)
{
    ps__meg_weight_product(self, name, (int64_t[]){out, in, rows, 1});
}

/* ---- norm and columns ---- */

ps_tensor ps__meg_norm_linear(ps__meg *self, ps__meg_norm *kept, ps_tensor x, int64_t in,
                              int64_t out)
{
    ps__meg_norm_forward(self, kept, x, self->slice, in);
    ps_tensor whole = ps__meg_gather(self, kept->output, in);
    const ps_tensor result = ps__meg_linear(self, "linear", self->tokens, in, out);
    ps_eager_clear(self->e, &whole);
    return result;
}

ps_tensor ps__meg_norm_linear_backward(ps__meg *self, ps__meg_norm *kept, ps_tensor grad,
                                       int64_t in, int64_t out)
{
    ps_tensor whole = ps__meg_start_gather(self, kept->output, in);
    ps_tensor full = ps__meg_linear_input(self, "linear_backward", self->tokens, in, out);
    if (self->is_sequence_parallel) {
        ps__meg_await(self, PS__MEG_LANE_TENSOR);
    }
    ps_tensor part = ps__meg_start_reduce(self, full, in);
    ps__meg_linear_weight(self, "linear_weight", self->tokens, in, out);
    ps_eager_clear(self->e, &whole);
    ps_eager_clear(self->e, &kept->output);
    if (self->recipe->tensor > 1) {
        ps__meg_await(self, PS__MEG_LANE_TENSOR);
    }
    const ps_tensor result = ps__meg_norm_backward(self, self->slice, in);
    ps_eager_clear(self->e, &part);
    ps__meg_stand_in(self, out, in);
    /* a variable of the function, and what autograd holds, go with the function's end */
    ps_eager_clear(self->e, &full);
    ps_eager_clear(self->e, &grad);
    ps__meg_norm_drop(self, kept);
    return result;
}

/* ---- columns alone ---- */

ps_tensor ps__meg_column_linear(ps__meg *self, ps_tensor x, int64_t in, int64_t out)
{
    ps_tensor whole = ps__meg_gather(self, x, in);
    const ps_tensor result = ps__meg_linear(self, "linear", self->tokens, in, out);
    ps_eager_clear(self->e, &whole);
    return result;
}

ps_tensor ps__meg_column_linear_backward(ps__meg *self, ps_tensor x, ps_tensor grad, int64_t in,
                                         int64_t out)
{
    ps_tensor whole = ps__meg_start_gather(self, x, in);
    ps_tensor full = ps__meg_linear_input(self, "linear_backward", self->tokens, in, out);
    if (self->is_sequence_parallel) {
        ps__meg_await(self, PS__MEG_LANE_TENSOR);
    }
    const ps_tensor part = ps__meg_start_reduce(self, full, in);
    ps__meg_linear_weight(self, "linear_weight", self->tokens, in, out);
    ps_eager_clear(self->e, &whole);
    if (self->recipe->tensor > 1) {
        ps__meg_await(self, PS__MEG_LANE_TENSOR);
    }
    ps__meg_stand_in(self, out, in);
    ps_eager_clear(self->e, &full);
    ps_eager_drop(self->e, grad);
    return part;
}

/* ---- rows ---- */

ps_tensor ps__meg_row_linear(ps__meg *self, int64_t in)
{
    const int64_t hidden = self->shape->hidden;
    const ps_tensor full = ps__meg_linear(self, "linear", self->tokens, in, hidden);
    return ps__meg_reduce(self, full, hidden);
}

ps_tensor ps__meg_row_linear_backward(ps__meg *self, ps_tensor grad, int64_t in)
{
    const int64_t hidden = self->shape->hidden;
    ps_tensor whole = ps__meg_gather(self, grad, hidden);
    const ps_tensor result =
        ps__meg_linear_input(self, "linear_backward", self->tokens, in, hidden);
    ps__meg_linear_weight(self, "linear_weight", self->tokens, in, hidden);
    ps_eager_clear(self->e, &whole);
    ps__meg_stand_in(self, hidden, in);
    return result;
}
