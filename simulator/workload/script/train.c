/* SPDX-License-Identifier: MIT
 *
 * The loop that trains.
 */
#include "base/memory.h"
#include "workload/model/quantized.h"
#include "workload/script/gemini.h"
#include "workload/script/train_script.h"

static ps_code tell_step(const ps_script *self, int64_t number, bool is_end, ps_error *err)
{
    const ps_train_marks *marks = &self->run->marks;
    return marks->step == NULL ? PS_OK : marks->step(marks->context, number, is_end, err);
}

static ps_code tell_loaded(const ps_script *self, ps_error *err)
{
    const ps_train_marks *marks = &self->run->marks;
    return marks->loaded == NULL ? PS_OK : marks->loaded(marks->context, &self->m, err);
}

/* The script's variables go; the model and the optimizer stay. */
static void end_script(ps_script *self)
{
    ps_eager *e = self->m.e;
    ps_output_drop(&self->m, &self->output);
    ps_eager_clear(e, &self->loss);
    ps_grad_scaler_end(&self->scaler, e);
    ps_script_drop_batch(self);
}

/* What the policy adds to a loaded model: the host's side. */
static ps_code place_on_host(ps_script *self, ps_error *err)
{
    switch (self->run->recipe->policy) {
    case PS_TRAIN_POLICY_LSP:
        return ps_lsp_create(&self->m, &self->lsp, err);
    case PS_TRAIN_POLICY_ZERO_OFFLOAD:
        return ps_zero_offload_create(&self->m, &self->zero_offload, err);
    case PS_TRAIN_POLICY_NONE:
    case PS_TRAIN_POLICY_ZO2:
    case PS_TRAIN_POLICY_GEMINI:
        break;
    }
    return PS_OK;
}

/* In the second cycle every group finds its states. */
static int64_t count_steps(const ps_script *self)
{
    const int64_t steps = self->run->recipe->steps;
    return steps == 0 ? 2 * ps_hift_groups(self->hift) : steps;
}

static ps_code run_steps(ps_script *self, ps_error *err)
{
    ps_eager *e = self->m.e;
    PS_TRY(ps_eager_code(e, err));
    if (self->scheme == NULL) {
        PS_TRY(tell_loaded(self, err));
        PS_TRY(place_on_host(self, err));
    }
    if (self->m.recipe->policy == PS_TRAIN_POLICY_ZO2) {
        const ps_zo2_driver driver = {self->run->device.malloc_ns, self->run->device.free_ns};
        PS_TRY(ps_zo2_create(&self->m, &driver, &self->zo2, err));
    }
    const int64_t steps = count_steps(self);
    for (int64_t step = 0; step < steps; step++) {
        PS_TRY(tell_step(self, step, false, err));
        self->step = step;
        ps_script_step(self);
        PS_TRY(ps_eager_code(e, err));
        PS_TRY(tell_step(self, step, true, err));
    }
    end_script(self);
    return ps_eager_code(e, err);
}

/* Beyond a table of positions an embedding has no row. */
static ps_code check_lengths(const ps_recipe *r, const ps_model *m, ps_error *err)
{
    int64_t longest = r->lengths == NULL ? r->length : 0;
    for (size_t i = 0; r->lengths != NULL && i < r->length_count; i++) {
        longest = r->lengths[i] > longest ? r->lengths[i] : longest;
    }
    if (m->longest == 0 || longest <= m->longest) {
        return PS_OK;
    }
    return ps_fail(err, PS_USAGE, "a sequence of %lld tokens: the model has positions for %lld",
                   (long long)longest, (long long)m->longest);
}

/* What the scheme does, it does to a loaded model. */
static ps_code wrap(ps_script *self, ps_error *err)
{
    const ps_train_marks *marks = &self->run->marks;
    ps_scheme_axis axis[PS_SCHEME_AXES];
    PS_TRY(ps_eager_code(self->m.e, err));
    PS_TRY(tell_loaded(self, err));
    PS_TRY(ps_scheme_create(&self->m, &self->scheme, err));
    const size_t count = ps_scheme_axes(self->scheme, axis);
    return marks->ranks == NULL ? PS_OK : marks->ranks(marks->context, axis, count, err);
}

/*
 * Gemini makes ColoParameters of parameters, on one GPU too, and so activations are ColoTensors. Its
 * Python beside a plain operation's, in calls of one: ColoTensor, its hooks and GeminiDDP of
 * Colossal-AI 0.3.0 timed on a CPU, blocks of six families: tools/dev/measure_gemini_python.py.
 */
static const ps_eager_python gemini_python = {.parameters = 12, .backward = 59, .function = 7};

static void begin_gemini(ps_eager *e)
{
    ps_eager_set_reentrant(e, true); /* PyTorch 2.0 */
    (void)ps_eager_set_subclass(e, true);
    ps_eager_set_python(e, &gemini_python);
}

static ps_code run_script(ps_script *self, ps_error *err)
{
    ps_model *m = &self->m;
    ps_eager_set_workspace(m->e, self->run->device.workspace_bytes);
    ps_eager_set_device(m->e, self->run->device.sm_count, self->run->device.threads_per_sm);
    if (self->run->device.capability > 0) {
        ps_eager_set_capability(m->e, self->run->device.capability);
    }
    if (self->run->device.release > 0) {
        ps_eager_set_release(m->e, self->run->device.release);
    }
    if (self->run->recipe->policy == PS_TRAIN_POLICY_GEMINI) {
        begin_gemini(m->e);
    }
    if (self->run->recipe->checkpoints_attention && !m->family->recomputes_attention) {
        return ps_fail(err, PS_USAGE, "attention alone is not recomputed in a \"%s\"",
                       m->family->model_type);
    }
    PS_TRY(m->family->create(m, self->run->config, err));
    ps_quantized_prepare(m);
    PS_TRY(ps_eager_code(m->e, err));
    PS_TRY(check_lengths(self->run->recipe, m, err));
    if (m->parameter_count == 0) {
        return ps_fail(
            err, PS_USAGE,
            "nothing is trained: the model has no module of the names that adapters go to");
    }
    if (m->recipe->policy == PS_TRAIN_POLICY_ZO2) {
        PS_TRY(ps_zo2_check(m, err));
    }
    if (m->recipe->policy == PS_TRAIN_POLICY_GEMINI && !ps_parallel_is_on(&m->recipe->parallel)) {
        PS_TRY(ps_gemini_place(m, err));
    }
    if (ps_parallel_is_on(&m->recipe->parallel)) {
        PS_TRY(wrap(self, err));
        m = ps_scheme_trained(self->scheme);
    }
    if (m->recipe->has_masters && !ps_scheme_has_masters(self->scheme)) {
        PS_TRY(ps_masters_make(&self->masters, m, err));
        m = &self->masters.of;
    }
    PS_TRY(ps_weights_create(&self->m, &self->weights, err));
    PS_TRY(ps_activations_create(&self->m, &self->activations, err));
    PS_TRY(ps_optimizer_create(m, &self->optimizer, err));
    PS_TRY(ps_hift_create(&self->m, &self->hift, err));
    if (self->hift != NULL) {
        ps_optimizer_place_on_host(self->optimizer);
    }
    return run_steps(self, err);
}

/* Some losses leave out the last position of each sequence, and need another. */
static bool has_single_tokens(const ps_recipe *r)
{
    for (size_t i = 0; r->lengths != NULL && i < r->length_count; i++) {
        if (r->lengths[i] < 2) {
            return true;
        }
    }
    return r->lengths == NULL && r->length < 2;
}

static ps_code check_recipe(const ps_recipe *r, ps_error *err)
{
    const int64_t least_steps = r->hift.layers > 0 ? 0 : 1;
    if (r->batch < 1 || r->length < 1 || r->steps < least_steps || r->hift.layers < 0 ||
        r->accumulate < 1 || r->lora_rank < 0) {
        return ps_fail(
            err, PS_USAGE,
            "batch, sequence length, steps and micro-batches of a step must be positive");
    }
    if ((r->policy == PS_TRAIN_POLICY_ZO2 || r->policy == PS_TRAIN_POLICY_GEMINI) &&
        has_single_tokens(r)) {
        return ps_fail(err, PS_USAGE,
                       "zo2 and gemini need sequences of 2 tokens: labels are shifted by one");
    }
    if (r->lengths != NULL && r->length_count == 0) {
        return ps_fail(err, PS_USAGE, "a list of lengths without a length");
    }
    if (r->checkpoints_attention && r->checkpoint_every > 0) {
        return ps_fail(err, PS_USAGE, "blocks are recomputed whole, or their attention alone");
    }
    PS_TRY(ps_scheme_check(r, err));
    PS_TRY(ps_masters_check(r, err));
    PS_TRY(ps_activations_check(r, err));
    PS_TRY(ps_weights_check(r, err));
    PS_TRY(ps_hift_check(r, err));
    return ps_quantized_check(r, err);
}

/* Policies whose optimizer is the host's. */
static ps_code check_offload(const ps_recipe *r, ps_error *err)
{
    const bool is_lsp = r->policy == PS_TRAIN_POLICY_LSP;
    if (ps_parallel_is_on(&r->parallel)) {
        return ps_fail(err, PS_USAGE, "%s is for one GPU", is_lsp ? "lsp" : "zero-offload");
    }
    if (r->is_forward_only || r->quantize != PS_QUANTIZE_NONE) {
        return ps_fail(err, PS_USAGE, "%s trains the weights themselves",
                       is_lsp ? "lsp" : "zero-offload");
    }
    return is_lsp ? ps_lsp_check(r, err) : ps_zero_offload_check(r, err);
}

/* What an optimizer does in place of the usual step leaves no room for some things. */
static ps_code adjust_recipe(ps_recipe *r, ps_error *err)
{
    const ps_optimizer_way way = ps_optimizer_way_of(r->optimizer);
    const bool is_zo2 = r->policy == PS_TRAIN_POLICY_ZO2;
    if (is_zo2 && way != PS_OPTIMIZER_ZEROTH_ORDER) {
        return ps_fail(err, PS_USAGE,
                       "zo2 takes steps without gradients: it needs --optimizer mezo, not \"%s\"",
                       r->optimizer);
    }
    if (r->policy == PS_TRAIN_POLICY_GEMINI) {
        PS_TRY(ps_gemini_check(r, err));
        r->shifts_logits = true; /* the library it was released for: transformers 4.29 */
        if (r->attention == PS_ATTENTION_AUTO) {
            r->attention = PS_ATTENTION_EAGER;
        }
    }
    if (r->policy == PS_TRAIN_POLICY_LSP || r->policy == PS_TRAIN_POLICY_ZERO_OFFLOAD) {
        PS_TRY(check_offload(r, err));
    }
    /* modules see the type in which parameters are gathered */
    if (ps_parallel_is_on(&r->parallel) && r->parallel.fsdp.has_param_dtype &&
        (r->parallel.scheme == PS_PARALLEL_FSDP1 || r->parallel.scheme == PS_PARALLEL_FSDP2)) {
        r->parallel.fsdp.stored_dtype = r->parameters;
        r->parameters = r->parallel.fsdp.param_dtype;
    }
    if (way == PS_OPTIMIZER_AFTER_BACKWARD) {
        return PS_OK;
    }
    if (r->accumulate > 1) {
        return ps_fail(err, PS_USAGE, "\"%s\" has no gradients to accumulate: 1 micro-batch a step",
                       r->optimizer);
    }
    if (r->scales_loss) {
        return ps_fail(err, PS_USAGE, "\"%s\" does not work with a scaled loss", r->optimizer);
    }
    if (way == PS_OPTIMIZER_ZEROTH_ORDER) {
        if (r->clips) {
            return ps_fail(err, PS_USAGE, "\"%s\" has no gradients to clip", r->optimizer);
        }
        /* losses are those of a model that is evaluated; ZO2 leaves that to the script */
        r->is_evaluating = r->is_evaluating || !is_zo2;
        r->checkpoint_every = 0; /* which recomputes nothing */
        r->checkpoints_attention = false;
    }
    return PS_OK;
}

ps_code ps_train(const ps_training *given, ps_error *err)
{
    ps_training adjusted = *given;
    const ps_training *run = &adjusted;
    ps_recipe recipe = *given->recipe;
    adjusted.recipe = &recipe;
    ps_script self = {.run = run, .m = {.recipe = &recipe, .family = run->family}};
    PS_TRY(check_recipe(&recipe, err));
    PS_TRY(adjust_recipe(&recipe, err));
    self.m.e = ps_eager_create(&run->sink);
    if (self.m.e == NULL) {
        return ps_fail_nomem(err);
    }
    if (run->marks.begun != NULL) {
        run->marks.begun(run->marks.context, self.m.e);
    }
    const ps_code code = run_script(&self, err);
    ps_free(self.output.kept);
    ps_zo2_destroy(self.zo2);
    ps_optimizer_destroy(self.optimizer);
    ps_hift_destroy(self.hift);
    ps_activations_destroy(self.activations);
    ps_weights_destroy(self.weights);
    run->family->destroy(&self.m);
    ps_scheme_destroy(self.scheme);
    ps_lsp_destroy(self.lsp);
    ps_zero_offload_destroy(self.zero_offload);
    ps_model_fini(&self.m);
    ps_masters_fini(&self.masters);
    ps_eager_destroy(self.m.e);
    return code;
}
