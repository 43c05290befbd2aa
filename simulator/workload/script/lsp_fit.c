/* SPDX-License-Identifier: MIT
 *
 * What LSP-Offload does every check_freq steps: gradients that were gathered on
 * the host come back one by one, and the projectors of each are fitted until
 * left.T @ left @ g @ right.T @ right is near g. It overlaps with nothing. How
 * the gradients were gathered is not told: those are steps like any other.
 */
#include "workload/script/lsp_parts.h"

/* `times` products one after the other, over the same memory. */
static void repeat_product(ps_lsp *self, int64_t m, int64_t n, int64_t k, int64_t times)
{
    const int64_t size[3] = {m, n, k};
    ps_op_product(self->e, "fit", ps_eager_dtype(self->e, self->linear[0].weight),
                  PS_OPERANDS_UNKNOWN, size, times);
}

/* Passes over something of `bytes` that all steps of a fit make. */
static void repeat_kernel(ps_lsp *self, uint64_t bytes, int64_t times)
{
    const ps_eager_kernel kernel = {
        .name = "fit", .moved_bytes = bytes * (uint64_t)times, .launches = (uint32_t)times};
    ps_op_tell(self->e, &kernel);
}

/*
 * One step computes ((left @ g) @ right.T), spreads it by left.T and right, compares, and goes back:
 * gradients of both projectors and of what lies between, none of g.
 */
static void tell_steps(ps_lsp *self, const ps_lsp_linear *of, int64_t times)
{
    enum { WIDE_PRODUCTS = 5, NARROW_PRODUCTS = 3, PASSES = 8 };
    const int64_t d = self->settings->compress_size;
    for (int i = 0; i < WIDE_PRODUCTS; i++) {
        repeat_product(self, of->in, of->out, d, times);
    }
    for (int i = 0; i < NARROW_PRODUCTS; i++) {
        repeat_product(self, of->in, d, d, times);
        repeat_product(self, of->out, d, d, times);
    }
    repeat_kernel(self, PASSES * ps_eager_bytes(self->e, of->weight), times);
    repeat_kernel(self,
                  PASSES * (ps_eager_bytes(self->e, of->left.value) +
                            ps_eager_bytes(self->e, of->right.value)),
                  times);
}

static void fit_one(ps_lsp *self, const ps_lsp_linear *of)
{
    ps_eager *e = self->e;
    ps_tensor gradient = ps_eager_make(e, of->in * of->out, PS_DTYPE_F32, PS_ROLE_TEMPORARY);
    const ps_host_copy copy = {.name = "gradient",
                               .kind = PS_COPY_HTOD,
                               .memory = PS_MEMORY_PAGEABLE,
                               .lane = PS_EAGER_MAIN,
                               .bytes = ps_eager_bytes(e, gradient),
                               .is_blocking = true,
                               .to = gradient};
    ps_op_host_copy(e, &copy);
    ps_tensor narrow = ps_op_copy_to(e, gradient, ps_eager_dtype(e, of->weight));
    ps_eager_clear(e, &gradient);
    tell_steps(self, of, self->settings->fit_steps);
    ps_eager_clear(e, &narrow);
}

void ps_lsp_fit(ps_lsp *self)
{
    ps_eager_set_phase(self->e, PS_EAGER_OPTIMIZER);
    for (uint32_t i = 0; i < self->count && !self->settings->sends_whole; i++) {
        fit_one(self, &self->linear[i]);
    }
}
