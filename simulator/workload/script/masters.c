/* SPDX-License-Identifier: MIT
 *
 * 32-bit copies of 16-bit parameters.
 */
#include "workload/script/masters.h"

#include "base/memory.h"
#include "workload/eager/eager_parts.h"
#include "workload/optimizer/optimizer.h"

ps_code ps_masters_check(const ps_recipe *r, ps_error *err)
{
    if (!r->has_masters) {
        return PS_OK;
    }
    if (r->parameters == PS_DTYPE_F32) {
        return ps_fail(err, PS_USAGE, "weights of 32 bits need no copies of 32 bits");
    }
    if (r->lora_rank > 0) {
        return ps_fail(err, PS_USAGE,
                       "adapters have 32 bits already: nothing is left to keep copies of");
    }
    if (r->policy != PS_TRAIN_POLICY_NONE) {
        return ps_fail(err, PS_USAGE, "a policy that places parameters keeps copies of its own");
    }
    if (ps_optimizer_way_of(r->optimizer) != PS_OPTIMIZER_AFTER_BACKWARD) {
        return ps_fail(err, PS_USAGE, "\"%s\" has no gradients to give to copies of the weights",
                       r->optimizer);
    }
    return PS_OK;
}

/* param.detach().clone().float() */
static ps_tensor make_copy(ps_eager *e, ps_tensor of)
{
    const int64_t elements = ps_eager_elements(e, of);
    ps_tensor clone = ps_eager_make(e, elements, ps_eager_dtype(e, of), PS_ROLE_TEMPORARY);
    ps_op_kernel(e, "copy", 2 * ps_eager_bytes(e, of));
    const ps_tensor wide = ps_eager_make(e, elements, PS_DTYPE_F32, PS_ROLE_OPTIMIZER_STATE);
    ps_op_kernel(e, "copy", ps_eager_bytes(e, of) + ps_eager_bytes(e, wide));
    ps_eager_clear(e, &clone);
    return wide;
}

ps_code ps_masters_make(ps_masters *self, const ps_model *model, ps_error *err)
{
    *self = (ps_masters){.model = model, .of = {.e = model->e, .recipe = model->recipe}};
    self->of.parameter = ps_calloc(model->parameter_count, sizeof *self->of.parameter);
    if (self->of.parameter == NULL) {
        return ps_fail_nomem(err);
    }
    self->of.shape = model->shape; /* borrowed */
    self->of.parameter_count = model->parameter_count;
    for (size_t i = 0; i < model->parameter_count; i++) {
        self->of.parameter[i] = make_copy(model->e, model->parameter[i]);
    }
    return ps_eager_code(model->e, err);
}

void ps_masters_take_grads(ps_masters *self)
{
    ps_eager *e = self->of.e;
    for (size_t i = 0; i < self->of.parameter_count; i++) {
        const ps_tensor parameter = self->model->parameter[i], grad = ps_eager_grad(e, parameter);
        if (grad == 0 || ps_eager_has_failed(e)) {
            continue;
        }
        const ps_tensor wide =
            ps_eager_make(e, ps_eager_elements(e, grad), PS_DTYPE_F32, PS_ROLE_GRADIENT);
        ps_op_kernel(e, "copy", ps_eager_bytes(e, grad) + ps_eager_bytes(e, wide));
        if (wide != 0) {
            ps_eager_forget_grad(e, self->of.parameter[i]);
            ps_eager_set_grad(e, self->of.parameter[i], wide);
        }
        ps_eager_forget_grad(e, parameter);
    }
}

void ps_masters_write_back(ps_masters *self)
{
    ps_eager *e = self->of.e;
    for (size_t i = 0; i < self->of.parameter_count; i++) {
        ps_op_kernel(e, "copy",
                     ps_eager_bytes(e, self->of.parameter[i]) +
                         ps_eager_bytes(e, self->model->parameter[i]));
    }
}

void ps_masters_fini(ps_masters *self)
{
    ps_free(self->of.parameter);
    self->of.parameter = NULL;
}
