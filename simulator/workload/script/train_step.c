/* SPDX-License-Identifier: MIT
 *
 * One step of a training script: with gradients that an optimizer finds,
 * with gradients that are applied as they come, or without any.
 */
#include "workload/eager/eager_parts.h"
#include "workload/script/clip_grad.h"
#include "workload/script/gemini.h"
#include "workload/script/train_script.h"
#include "workload/script/zo2.h"

static int64_t length_now(const ps_script *self)
{
    const ps_recipe *r = self->run->recipe;
    if (r->lengths == NULL) {
        return r->length;
    }
    return r->lengths[(size_t)self->micro_batch % r->length_count];
}

/* A tensor of the batch: the new one comes before the old one goes. */
static void fetch(ps_script *self, ps_tensor *variable)
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

void ps_script_drop_batch(ps_script *self)
{
    ps_eager_clear(self->m.e, &self->batch.ids);
    ps_eager_clear(self->m.e, &self->batch.mask);
    ps_eager_clear(self->m.e, &self->batch.labels);
}

static void fetch_batch(ps_script *self)
{
    const ps_recipe *r = self->run->recipe;
    if (!r->overlaps_batches) {
        ps_script_drop_batch(self);
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

/* @param syncs  gradients of this micro-batch are exchanged with other ranks */
static void run_forward(ps_script *self, bool syncs)
{
    ps_eager *e = self->m.e;
    ps_model_output out = {0};
    ps_eager_set_phase(e, PS_EAGER_FORWARD);
    fetch_batch(self);
    ps_eager_set_autocast(e, self->run->recipe->autocast);
    ps_scheme_begin_forward(self->scheme, syncs);
    self->m.family->forward(&self->m, &self->batch, &out);
    ps_scheme_end_forward(self->scheme, &out);
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

static void zero_grad(ps_script *self, ps_zero_grad here)
{
    if (self->run->recipe->zero_grad == here) {
        ps_eager_set_phase(self->m.e, PS_EAGER_ZERO);
        ps_optimizer_zero_grad(self->optimizer);
        ps_masters_drop_narrow(&self->masters);
        ps_scheme_grads_gone(self->scheme);
    }
}

static void run_backward(ps_script *self)
{
    ps_eager *e = self->m.e;
    ps_eager_set_phase(e, PS_EAGER_BACKWARD);
    ps_tensor root = self->run->recipe->scales_loss
                         ? ps_grad_scaler_scale(&self->scaler, e, self->loss)
                         : ps_eager_hold(e, self->loss);
    ps_scheme_begin_backward(self->scheme);
    ps_eager_backward(e, root);
    ps_scheme_end_backward(self->scheme);
    ps_lsp_end_backward(self->lsp);
    ps_zero_offload_end_backward(self->zero_offload);
    ps_eager_clear(e, &root);
    self->micro_batch++;
}

/* Whose gradients there are after backward. */
static const ps_model *graded(ps_script *self)
{
    return self->scheme == NULL ? &self->m : ps_scheme_trained(self->scheme);
}

static void step_scaled(ps_script *self)
{
    const bool unscales = ps_optimizer_unscales(self->optimizer);
    if (unscales) {
        ps_grad_scaler_lend(&self->scaler, graded(self));
    }
    ps_optimizer_step(self->optimizer);
    if (unscales) {
        ps_grad_scaler_take_back(&self->scaler, self->m.e);
    }
    ps_grad_scaler_update(&self->scaler, self->m.e);
}

/* Scaled gradients are unscaled before they are clipped, as PyTorch's examples do. */
static void run_optimizer(ps_script *self)
{
    const ps_recipe *r = self->run->recipe;
    const bool has_masters = self->masters.model != NULL;
    ps_eager_set_phase(self->m.e, PS_EAGER_OPTIMIZER);
    if (ps_scheme_step(self->scheme, self->optimizer)) {
        return;
    }
    ps_scheme_begin_step(self->scheme);
    if (r->scales_loss && (r->clips || !ps_optimizer_unscales(self->optimizer))) {
        ps_grad_scaler_unscale(&self->scaler, graded(self));
    }
    if (r->scales_loss) {
        ps_scheme_reduce_number(self->scheme); /* was any infinite, on any rank? */
    }
    if (has_masters) {
        ps_masters_take_grads(&self->masters);
    }
    if (r->clips) {
        ps_clip_grad_norm(has_masters ? &self->masters.of : graded(self), self->scheme);
    }
    if (r->policy == PS_TRAIN_POLICY_GEMINI) {
        ps_gemini_step(&self->m, self->micro_batch == r->accumulate);
    } else if (self->zero_offload != NULL) {
        ps_zero_offload_step(self->zero_offload);
    } else if (r->scales_loss) {
        step_scaled(self);
    } else {
        ps_optimizer_step(self->optimizer);
    }
    if (has_masters) {
        ps_masters_write_back(&self->masters);
    }
    ps_scheme_end_step(self->scheme);
}

/* What goes back to the driver waits for all that the device was given. */
static void wait_for_device(ps_eager *e)
{
    for (int lane = PS_EAGER_MAIN; lane < PS_EAGER_WORKER; lane++) {
        ps_op_wait(e, (ps_eager_lane)lane);
    }
    for (int lane = PS_EAGER_STREAM; lane < PS_WORKLOAD_LANE_COUNT; lane++) {
        ps_op_wait(e, (ps_eager_lane)lane);
    }
}

/* Between the parts of a step: the cache goes, and the host looks at its memory. */
static void pause(ps_script *self)
{
    const ps_recipe *r = self->run->recipe;
    ps_eager *e = self->m.e;
    const ps_eager_phase phase = ps_eager_phase_now(e);
    ps_eager_set_phase(e, PS_EAGER_LOAD); /* of no part */
    if (r->empties_cache) {
        wait_for_device(e);
        ps_eager_release_cache(e);
    }
    if (r->report_ns > 0) {
        const ps_cpu_work report = {
            .name = "report", .lane = PS_EAGER_MAIN, .dur_ns = r->report_ns};
        ps_op_cpu(e, &report);
    }
    ps_eager_set_phase(e, phase);
}

/* Who looks at memory also takes the time, of what the device has done. */
static void end_timer(ps_script *self)
{
    const ps_recipe *r = self->run->recipe;
    if (r->empties_cache || r->report_ns > 0) {
        ps_op_wait(self->m.e, PS_EAGER_MAIN);
    }
}

static void run_first_order(ps_script *self)
{
    zero_grad(self, PS_ZERO_GRAD_START);
    const ps_recipe *r = self->run->recipe;
    ps_hift_begin_step(self->hift, self->step);
    ps_lsp_begin_step(self->lsp, self->micro_batch / r->accumulate);
    for (int64_t i = 0; i < r->accumulate; i++) {
        pause(self);
        run_forward(self, r->parallel.syncs_always || i + 1 == r->accumulate);
        if (i == 0) {
            zero_grad(self, PS_ZERO_GRAD_BEFORE_BACKWARD);
        }
        end_timer(self);
        pause(self);
        pause(self);
        run_backward(self);
        end_timer(self);
        pause(self);
    }
    pause(self);
    run_optimizer(self);
    pause(self);
    zero_grad(self, PS_ZERO_GRAD_END);
}

/* ---- an update within backward ---- */

/* Clipping takes two passes: the first one's graph lives until the second one's loss is there. */
static void run_hooked(ps_script *self)
{
    ps_eager *e = self->m.e;
    run_forward(self, true);
    if (self->run->recipe->clips) {
        ps_optimizer_hook(self->optimizer, true);
        ps_eager_set_phase(e, PS_EAGER_BACKWARD);
        ps_eager_backward_retaining(e, self->loss);
        ps_optimizer_step(self->optimizer);
        run_forward(self, true);
    }
    ps_optimizer_hook(self->optimizer, false);
    ps_eager_set_phase(e, PS_EAGER_BACKWARD);
    ps_eager_backward(e, self->loss);
    ps_eager_set_phase(e, PS_EAGER_OPTIMIZER);
    ps_optimizer_step(self->optimizer);
    self->micro_batch++;
}

/* ---- no backward ---- */

static ps_tensor find_loss(ps_script *self)
{
    ps_eager *e = self->m.e;
    ps_model_output out = {0};
    ps_eager_set_phase(e, PS_EAGER_FORWARD);
    ps_eager_set_autocast(e, self->run->recipe->autocast);
    self->m.family->forward(&self->m, &self->batch, &out);
    const ps_tensor loss = ps_eager_hold(e, out.loss);
    ps_output_drop(&self->m, &out);
    ps_eager_set_autocast(e, PS_DTYPE_F32);
    return loss;
}

static void perturb(ps_script *self)
{
    ps_eager_set_phase(self->m.e, PS_EAGER_OPTIMIZER);
    ps_optimizer_perturb(self->optimizer);
}

/* (first - second) / (2 epsilon) goes to the host */
static void compare_losses(ps_eager *e)
{
    ps_tensor difference = ps_op_plain(e, "sub", 1, PS_DTYPE_F32);
    ps_tensor slope = ps_op_plain(e, "div", 1, PS_DTYPE_F32);
    ps_op_read_back(e, PS_DTYPE_F32);
    ps_eager_clear(e, &difference);
    ps_eager_clear(e, &slope);
}

/* MeZO: losses a little forth and a little back along a random direction, and back in between. */
static void run_zeroth_order(ps_script *self)
{
    ps_eager *e = self->m.e;
    const bool was_recording = ps_eager_set_grad_mode(e, false);
    ps_eager_set_phase(e, PS_EAGER_FORWARD);
    fetch_batch(self);
    if (self->run->recipe->policy == PS_TRAIN_POLICY_ZO2) {
        ps_zo2_step(self->zo2, &self->batch);
        (void)ps_eager_set_grad_mode(e, was_recording);
        self->micro_batch++;
        return;
    }
    perturb(self);
    const ps_tensor first = find_loss(self);
    perturb(self);
    ps_tensor second = find_loss(self);
    ps_eager_set_phase(e, PS_EAGER_OPTIMIZER);
    compare_losses(e);
    ps_optimizer_perturb(self->optimizer);
    ps_eager_clear(e, &second);
    ps_eager_assign(e, &self->loss, first);
    ps_optimizer_step(self->optimizer);
    (void)ps_eager_set_grad_mode(e, was_recording);
    self->micro_batch++;
}

/* torch.no_grad() around the forward pass, and nothing else. */
static void run_forward_alone(ps_script *self)
{
    const bool was_recording = ps_eager_set_grad_mode(self->m.e, false);
    run_forward(self, true);
    (void)ps_eager_set_grad_mode(self->m.e, was_recording);
    self->micro_batch++;
}

void ps_script_step(ps_script *self)
{
    if (self->run->recipe->is_forward_only) {
        run_forward_alone(self);
        return;
    }
    switch (ps_optimizer_way_of(self->run->recipe->optimizer)) {
    case PS_OPTIMIZER_AFTER_BACKWARD:
        run_first_order(self);
        return;
    case PS_OPTIMIZER_IN_BACKWARD:
        run_hooked(self);
        return;
    case PS_OPTIMIZER_ZEROTH_ORDER:
        run_zeroth_order(self);
        return;
    }
}
