/* SPDX-License-Identifier: MIT
 *
 * The loop that trains.
 */
#include "workload/train.h"

#include "base/memory.h"
#include "workload/clip_grad.h"
#include "workload/eager_parts.h"
#include "workload/grad_scaler.h"
#include "workload/optimizer.h"

/* What the script's variables hold. */
typedef struct script {
    const ps_training *run;
    ps_model m;
    ps_optimizer *optimizer;
    ps_grad_scaler scaler;
    ps_batch batch;
    ps_model_output output; /* of the last forward, while the script keeps it */
    ps_tensor loss;
    int64_t micro_batch; /* number over the whole run */
} script;

static int64_t length_now(const script *self)
{
    const ps_recipe *r = self->run->recipe;
    if (r->lengths == NULL) {
        return r->length;
    }
    return r->lengths[(size_t)self->micro_batch % r->length_count];
}

/* A tensor of the batch: the new one comes before the old one goes. */
static void fetch(script *self, ps_tensor *variable)
{
    const int64_t elements = self->batch.batch * self->batch.length;
    const ps_tensor made = ps_eager_make(self->m.e, elements, PS_DTYPE_I64, PS_ROLE_INPUT);
    const ps_eager_kernel copy = {.name = "copy",
                                  .kind = PS_KERNEL_COPY,
                                  .moved_bytes = (uint64_t)elements * ps_dtype_bytes(PS_DTYPE_I64),
                                  .launches = 1};
    ps_op_tell(self->m.e, &copy);
    ps_eager_assign(self->m.e, variable, made);
}

static void drop_batch(script *self)
{
    ps_eager_clear(self->m.e, &self->batch.ids);
    ps_eager_clear(self->m.e, &self->batch.mask);
    ps_eager_clear(self->m.e, &self->batch.labels);
}

static void fetch_batch(script *self)
{
    const ps_recipe *r = self->run->recipe;
    if (!r->overlaps_batches) {
        drop_batch(self);
    }
    self->batch.batch = r->batch;
    self->batch.length = length_now(self);
    fetch(self, &self->batch.ids);
    /* the dictionary of the last batch went when the one with the new ids was made */
    ps_eager_clear(self->m.e, &self->batch.mask);
    ps_eager_clear(self->m.e, &self->batch.labels);
    if (r->has_mask) {
        fetch(self, &self->batch.mask);
    }
    if (r->has_own_labels) {
        fetch(self, &self->batch.labels);
    }
}

static void run_forward(script *self)
{
    ps_eager *e = self->m.e;
    ps_model_output out = {0};
    ps_eager_set_phase(e, PS_EAGER_FORWARD);
    fetch_batch(self);
    ps_eager_set_autocast(e, self->run->recipe->autocast);
    self->m.family->forward(&self->m, &self->batch, &out);
    if (self->run->recipe->keeps_output) {
        ps_output_drop(&self->m, &self->output);
        self->output = out;
        ps_eager_assign(e, &self->loss, ps_eager_hold(e, out.loss));
    } else {
        const ps_tensor loss = ps_eager_hold(e, out.loss);
        ps_output_drop(&self->m, &out);
        ps_eager_assign(e, &self->loss, loss);
    }
    ps_eager_set_autocast(e, PS_DTYPE_F32);
}

static void zero_grad(script *self, ps_zero_grad here)
{
    if (self->run->recipe->zero_grad == here) {
        ps_eager_set_phase(self->m.e, PS_EAGER_ZERO);
        ps_optimizer_zero_grad(self->optimizer);
    }
}

static void run_backward(script *self)
{
    ps_eager *e = self->m.e;
    ps_eager_set_phase(e, PS_EAGER_BACKWARD);
    ps_tensor root = self->run->recipe->scales_loss
                         ? ps_grad_scaler_scale(&self->scaler, e, self->loss)
                         : ps_eager_hold(e, self->loss);
    ps_eager_backward(e, root);
    ps_eager_clear(e, &root);
    self->micro_batch++;
}

/* Scaled gradients are unscaled before they are clipped, as PyTorch's examples do. */
static void run_optimizer(script *self)
{
    const ps_recipe *r = self->run->recipe;
    ps_eager_set_phase(self->m.e, PS_EAGER_OPTIMIZER);
    if (r->scales_loss) {
        ps_grad_scaler_unscale(&self->scaler, &self->m);
    }
    if (r->clips) {
        ps_clip_grad_norm(&self->m);
    }
    ps_optimizer_step(self->optimizer);
    if (r->scales_loss) {
        ps_grad_scaler_update(&self->scaler, self->m.e);
    }
}

static void run_step(script *self)
{
    zero_grad(self, PS_ZERO_GRAD_START);
    for (int64_t i = 0; i < self->run->recipe->accumulate; i++) {
        run_forward(self);
        if (i == 0) {
            zero_grad(self, PS_ZERO_GRAD_BEFORE_BACKWARD);
        }
        run_backward(self);
    }
    run_optimizer(self);
    zero_grad(self, PS_ZERO_GRAD_END);
}

static ps_code tell_step(const script *self, int64_t number, bool is_end, ps_error *err)
{
    const ps_train_marks *marks = &self->run->marks;
    return marks->step == NULL ? PS_OK : marks->step(marks->context, number, is_end, err);
}

/* The script's variables go; the model and the optimizer stay. */
static void end_script(script *self)
{
    ps_eager *e = self->m.e;
    ps_output_drop(&self->m, &self->output);
    ps_eager_clear(e, &self->loss);
    ps_grad_scaler_end(&self->scaler, e);
    drop_batch(self);
}

static ps_code run_steps(script *self, ps_error *err)
{
    const ps_train_marks *marks = &self->run->marks;
    ps_eager *e = self->m.e;
    PS_TRY(ps_eager_code(e, err));
    if (marks->loaded != NULL) {
        PS_TRY(marks->loaded(marks->context, &self->m, err));
    }
    for (int64_t step = 0; step < self->run->recipe->steps; step++) {
        PS_TRY(tell_step(self, step, false, err));
        run_step(self);
        PS_TRY(ps_eager_code(e, err));
        PS_TRY(tell_step(self, step, true, err));
    }
    end_script(self);
    return ps_eager_code(e, err);
}

static ps_code run_script(script *self, ps_error *err)
{
    const ps_recipe *r = self->run->recipe;
    ps_model *m = &self->m;
    ps_eager_set_workspace(m->e, self->run->device.workspace_bytes);
    ps_eager_set_device(m->e, self->run->device.sm_count, self->run->device.threads_per_sm);
    if (self->run->device.capability > 0) {
        ps_eager_set_capability(m->e, self->run->device.capability);
    }
    if (self->run->device.release > 0) {
        ps_eager_set_release(m->e, self->run->device.release);
    }
    PS_TRY(m->family->create(m, self->run->config, err));
    PS_TRY(ps_eager_code(m->e, err));
    if (m->parameter_count == 0) {
        return ps_fail(err, PS_USAGE, "nothing is trained: no module takes the adapters");
    }
    PS_TRY(ps_optimizer_create(m->e, r->optimizer, r->style, m->parameter, m->parameter_count,
                               &self->optimizer, err));
    return run_steps(self, err);
}

static ps_code check_recipe(const ps_recipe *r, ps_error *err)
{
    if (r->batch < 1 || r->length < 1 || r->steps < 1 || r->accumulate < 1 || r->lora_rank < 0) {
        return ps_fail(
            err, PS_USAGE,
            "batch, sequence length, steps and micro-batches of a step must be positive");
    }
    if (r->lengths != NULL && r->length_count == 0) {
        return ps_fail(err, PS_USAGE, "a list of lengths without a length");
    }
    return PS_OK;
}

ps_code ps_train(const ps_training *run, ps_error *err)
{
    script self = {.run = run, .m = {.recipe = run->recipe, .family = run->family}};
    PS_TRY(check_recipe(run->recipe, err));
    self.m.e = ps_eager_create(&run->sink);
    if (self.m.e == NULL) {
        return ps_fail_nomem(err);
    }
    const ps_code code = run_script(&self, err);
    ps_free(self.output.kept);
    ps_optimizer_destroy(self.optimizer);
    run->family->destroy(&self.m);
    ps_free(self.m.parameter);
    ps_eager_destroy(self.m.e);
    return code;
}
