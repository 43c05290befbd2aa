/* SPDX-License-Identifier: MIT
 *
 * 32-bit copies of 16-bit parameters.
 */
#include "workload/script/masters.h"

#include "base/memory.h"
#include "workload/eager/eager_parts.h"
#include "workload/eager/ops_host.h"
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
    ps_op_kernel_by(e, "copy", PS_ACCESS_STRIDED, ps_eager_bytes(e, of) + ps_eager_bytes(e, wide),
                    elements);
    ps_eager_clear(e, &clone);
    return wide;
}

/* ---- on the host ---- */

static void move(ps_masters *self, size_t i, ps_copy_kind kind)
{
    const ps_tensor on_device = self->of.parameter[i];
    const bool is_up = kind == PS_COPY_HTOD;
    const ps_host_copy how = {.name = is_up ? "upload" : "offload",
                              .kind = kind,
                              .memory = PS_MEMORY_PAGEABLE,
                              .lane = PS_EAGER_MAIN,
                              .bytes = ps_eager_bytes(self->of.e, on_device),
                              .is_blocking = true,
                              .from = is_up ? self->host[i] : on_device,
                              .to = is_up ? on_device : self->host[i]};
    if (is_up) {
        ps_eager_refill(self->of.e, on_device, how.bytes, PS_ROLE_OPTIMIZER_STATE);
    }
    ps_op_host_copy(self->of.e, &how);
    if (!is_up) {
        ps_eager_empty(self->of.e, on_device);
    }
}

static void place_on_host(ps_masters *self, size_t i)
{
    ps_eager *e = self->of.e;
    const ps_tensor wide = self->of.parameter[i];
    const ps_memory_kind was = ps_eager_set_memory(e, PS_MEMORY_PAGEABLE);
    self->host[i] =
        ps_eager_make(e, ps_eager_elements(e, wide), PS_DTYPE_F32, PS_ROLE_OPTIMIZER_STATE);
    (void)ps_eager_set_memory(e, was);
    move(self, i, PS_COPY_DTOH);
}

/* The last group's copies are still here, and go although they may be wanted again. */
static void change_group(ps_masters *self)
{
    for (size_t i = 0; i < self->of.parameter_count; i++) {
        if (!ps_eager_is_empty(self->of.e, self->of.parameter[i])) {
            move(self, i, PS_COPY_DTOH);
        }
    }
    for (size_t i = 0; i < self->of.parameter_count; i++) {
        if (ps_eager_grad(self->of.e, self->model->parameter[i]) != 0) {
            move(self, i, PS_COPY_HTOD);
        }
    }
}

/* ---- all ---- */

ps_code ps_masters_make(ps_masters *self, const ps_model *model, ps_error *err)
{
    *self = (ps_masters){.model = model, .of = {.e = model->e, .recipe = model->recipe}};
    self->of.parameter = ps_calloc(model->parameter_count, sizeof *self->of.parameter);
    if (self->of.parameter == NULL) {
        return ps_fail_nomem(err);
    }
    self->of.shape = model->shape; /* borrowed */
    self->of.parameter_count = model->parameter_count;
    if (model->recipe->hift.layers > 0) {
        self->host = ps_calloc(model->parameter_count, sizeof *self->host);
        if (self->host == NULL) {
            return ps_fail_nomem(err);
        }
    }
    for (size_t i = 0; i < model->parameter_count; i++) {
        self->of.parameter[i] = make_copy(model->e, model->parameter[i]);
        if (self->host != NULL) {
            place_on_host(self, i);
        }
    }
    return ps_eager_code(model->e, err);
}

void ps_masters_take_grads(ps_masters *self)
{
    ps_eager *e = self->of.e;
    if (self->host != NULL) {
        change_group(self);
    }
    for (size_t i = 0; i < self->of.parameter_count; i++) {
        const ps_tensor parameter = self->model->parameter[i], grad = ps_eager_grad(e, parameter);
        if (grad == 0 || ps_eager_has_failed(e)) {
            continue;
        }
        const ps_tensor wide =
            ps_eager_make(e, ps_eager_elements(e, grad), PS_DTYPE_F32, PS_ROLE_GRADIENT);
        ps_op_kernel_by(e, "copy", PS_ACCESS_STRIDED,
                        ps_eager_bytes(e, grad) + ps_eager_bytes(e, wide),
                        ps_eager_elements(e, grad));
        if (wide != 0) {
            ps_eager_forget_grad(e, self->of.parameter[i]);
            ps_eager_set_grad(e, self->of.parameter[i], wide);
        }
        if (self->host == NULL) {
            ps_eager_forget_grad(e, parameter);
        }
    }
}

static void write_back(ps_masters *self, size_t i)
{
    ps_eager *e = self->of.e;
    ps_op_kernel_by(e, "copy", PS_ACCESS_STRIDED,
                    ps_eager_bytes(e, self->of.parameter[i]) +
                        ps_eager_bytes(e, self->model->parameter[i]),
                    ps_eager_elements(e, self->model->parameter[i]));
}

void ps_masters_write_back(ps_masters *self)
{
    ps_eager *e = self->of.e;
    for (size_t i = 0; i < self->of.parameter_count; i++) {
        if (self->host == NULL) {
            write_back(self, i);
        } else if (!ps_eager_is_empty(e, self->of.parameter[i])) {
            ps_eager_touch(e, self->of.parameter[i], true); /* by the newest kernel, of the step */
            ps_eager_forget_grad(e, self->of.parameter[i]);
            write_back(self, i);
        }
    }
}

void ps_masters_drop_narrow(ps_masters *self)
{
    for (size_t i = 0; self->host != NULL && i < self->of.parameter_count; i++) {
        ps_eager_forget_grad(self->of.e, self->model->parameter[i]);
    }
}

void ps_masters_fini(ps_masters *self)
{
    ps_free(self->of.parameter);
    ps_free(self->host);
    self->of.parameter = NULL;
    self->host = NULL;
}
