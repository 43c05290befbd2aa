/* SPDX-License-Identifier: MIT
 *
 * What DeepSpeed's stages share.
 */
#include "workload/scheme/zero.h"

#define DOUBLE PS_DTYPE_I64 /* numbers of 64 bits: only their size matters */

ps_code ps_zero_check(const ps_recipe *r, ps_error *err)
{
    const ps_parallel *p = &r->parallel;
    const ps_zero_settings *z = &p->zero;
    if (p->shard_ranks > 0 && p->shard_ranks != p->ranks) {
        return ps_fail(err, PS_USAGE,
                       "zero divides among all ranks: copies of shards are fsdp's (hybrid)");
    }
    if (r->quantize != PS_QUANTIZE_NONE) {
        return ps_fail(err, PS_USAGE, "weights of 4 bits do not go into zero's flat buffers");
    }
    if (r->policy != PS_TRAIN_POLICY_NONE) {
        return ps_fail(err, PS_USAGE,
                       "a policy that places parameters leaves none for zero to divide");
    }
    if (r->autocast != PS_DTYPE_F32) {
        return ps_fail(err, PS_USAGE,
                       "zero converts the model itself: 16-bit or 32-bit weights, no autocast");
    }
    if (r->scales_loss) {
        return ps_fail(err, PS_USAGE, "zero scales the loss itself: no GradScaler");
    }
    if (z->reduce_bucket_size < 1 || z->sub_group_size < 1 || z->prefetch_bucket_size < 0 ||
        z->param_persistence_threshold < 0 || z->max_live_parameters < 0 ||
        z->max_reuse_distance < 0) {
        return ps_fail(err, PS_USAGE, "sizes of zero's buckets must be positive");
    }
    return PS_OK;
}

bool ps_zero_overlaps(const ps_scheme *self, bool usual)
{
    const ps_zero_settings *z = &self->settings->zero;
    return z->has_overlap_comm ? z->overlap_comm : usual;
}

ps_tensor ps_zero_make_copy(ps_scheme *self, int64_t elements)
{
    const ps_dtype type = ps_zero_type(self);
    const uint64_t bytes = (uint64_t)elements * ps_dtype_bytes(type);
    ps_tensor clone = ps_scheme_make(
        self, elements, type, type == PS_DTYPE_F32 ? PS_ROLE_OPTIMIZER_STATE : PS_ROLE_TEMPORARY);
    ps_scheme_kernel(self, "copy", 2 * bytes);
    if (type == PS_DTYPE_F32) {
        return clone;
    }
    const ps_tensor wide = ps_scheme_make(self, elements, PS_DTYPE_F32, PS_ROLE_OPTIMIZER_STATE);
    ps_scheme_kernel(self, "copy", bytes + (uint64_t)elements * ps_dtype_bytes(PS_DTYPE_F32));
    ps_eager_clear(self->e, &clone);
    return wide;
}

void ps_zero_show_gradient(ps_scheme *self, int64_t elements)
{
    ps_tensor zeros = ps_scheme_make(self, elements, PS_DTYPE_F32, PS_ROLE_TEMPORARY);
    ps_scheme_kernel(self, "fill", (uint64_t)elements * ps_dtype_bytes(PS_DTYPE_F32));
    ps_eager_clear(self->e, &zeros);
}

void ps_zero_sum_number(ps_scheme *self)
{
    const ps_dtype type = PS_DTYPE_F32;
    const ps_collective over_parts = {.name = "all_reduce",
                                      .op = PS_COLLECTIVE_ALL_REDUCE,
                                      .lane = PS_EAGER_MAIN,
                                      .axes = PS_PARALLEL_TENSOR_AXIS,
                                      .dtype = type,
                                      .bytes = ps_dtype_bytes(type),
                                      .mark = self->runs};
    ps_scheme_collect(self, PS_COLLECTIVE_ALL_REDUCE, PS_EAGER_MAIN, ps_scheme_all_axes(self), type,
                      ps_dtype_bytes(type));
    if (self->tensor > 1) {
        ps_op_collective(self->e, &over_parts);
    }
}

void ps_zero_norms(ps_scheme *self, const int64_t *elements, size_t count)
{
    const uint64_t narrow = ps_dtype_bytes(ps_zero_type(self)), wide = ps_dtype_bytes(DOUBLE);
    for (size_t i = 0; i < count; i++) {
        ps_tensor copy = ps_scheme_make(self, elements[i], DOUBLE, PS_ROLE_TEMPORARY);
        ps_scheme_kernel(self, "copy", (uint64_t)elements[i] * (narrow + wide));
        ps_scheme_kernel(self, "linalg_vector_norm", (uint64_t)elements[i] * wide);
        ps_eager_clear(self->e, &copy);
    }
    ps_zero_sum_number(self);
}

void ps_zero_update(ps_scheme *self, ps_optimizer *optimizer, ps_tensor copy, ps_tensor grad)
{
    if (ps_eager_has_failed(self->e) || grad == 0) {
        return;
    }
    const uint64_t bytes = ps_eager_bytes(self->e, grad);
    ps_eager_set_grad(self->e, copy, grad);
    ps_scheme_kernel(self, "mul", 2 * bytes); /* unscaled and clipped */
    ps_optimizer_step(optimizer);
    ps_eager_forget_grad(self->e, copy);
    ps_scheme_kernel(self, "copy",
                     bytes + (uint64_t)ps_eager_elements(self->e, copy) *
                                 ps_dtype_bytes(ps_zero_type(self)));
}
