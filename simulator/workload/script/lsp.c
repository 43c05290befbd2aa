/* SPDX-License-Identifier: MIT
 *
 * LSP-Offload: what it runs with, what each linear module has, and when its
 * gradient is taken.
 */
#include "workload/script/lsp.h"

#include <string.h>

#include "base/memory.h"
#include "workload/script/lsp_parts.h"

/* Beyond what anybody has trained with; sizes and arithmetic stay within 64 bits. */
#define MAX_COMPRESS_SIZE 16384
#define MAX_FIT_STEPS 10000
/* Names of modules: one bit each. */
#define MAX_LISTED 64

ps_offload_settings ps_offload_settings_default(void)
{
    return (ps_offload_settings){.lsp = {.compress_size = 1024, .nnz = 8, .fit_steps = 100}};
}

int64_t ps_lsp_elements(const ps_lsp *self, uint32_t linear)
{
    const ps_lsp_linear *of = &self->linear[linear];
    const int64_t d = self->settings->compress_size;
    return self->settings->sends_whole ? of->in * of->out : d * d;
}

/* ---- moments of linear modules ---- */

static void enter(void *context, uint32_t number)
{
    ps_lsp *self = context;
    const bool was_recording = ps_eager_set_grad_mode(self->e, false);
    ps_lsp_run_queue(self, &self->linear[number].before_forward);
    (void)ps_eager_set_grad_mode(self->e, was_recording);
}

static ps_tensor keep(void *context, uint32_t number, ps_tensor x)
{
    ps_lsp *self = context;
    return ps_lsp_compress_left(self, &self->linear[number], x);
}

/* The gradient in 32 bits, in a tensor of its own where it is not in them already. */
static void stage(ps_lsp *self, ps_lsp_linear *of, ps_tensor owned)
{
    ps_eager *e = self->e;
    of->staged = ps_op_result(e, ps_eager_elements(e, owned), PS_DTYPE_F32);
    const ps_eager_kernel cast = {.name = "copy",
                                  .moved_bytes =
                                      ps_eager_bytes(e, owned) + ps_eager_bytes(e, of->staged),
                                  .launches = 1,
                                  .mark = of->staged_mark};
    ps_op_tell(e, &cast);
    ps_eager_touch(e, of->staged, true);
    ps_eager_drop(e, owned);
}

static void take(void *context, uint32_t number, ps_tensor kept, ps_tensor grad)
{
    ps_lsp *self = context;
    ps_lsp_linear *of = &self->linear[number];
    const ps_tensor small = ps_lsp_compress_right(self, of, grad);
    stage(self, of, small);
    ps_eager_drop(self->e, kept);
    if (!ps_lsp_schedule(self, number)) {
        ps_eager_fail(self->e, PS_NOMEM, "out of memory");
        return;
    }
    ps_lsp_run_queue(self, &of->after_backward);
}

/* ---- the policy ---- */

ps_code ps_lsp_check(const ps_recipe *r, ps_error *err)
{
    static const char *const optimizers[] = {"none", "adamw", "adam", "sgd"};
    const ps_lsp_settings *s = &r->offload.lsp;
    bool is_known = false;
    for (size_t i = 0; i < sizeof optimizers / sizeof optimizers[0]; i++) {
        is_known = is_known || strcmp(r->optimizer, optimizers[i]) == 0;
    }
    if (!is_known) {
        return ps_fail(err, PS_USAGE,
                       "lsp brings Adam for linear modules; for the rest it goes with --optimizer "
                       "adamw, adam, sgd or none, not \"%s\"",
                       r->optimizer);
    }
    if (r->autocast != PS_DTYPE_F32 || r->scales_loss || r->lora_rank > 0 || r->clips) {
        return ps_fail(err, PS_USAGE,
                       "lsp with autocast, adapters or clipped gradients is not described");
    }
    if (s->compress_size < 1 || s->compress_size > MAX_COMPRESS_SIZE || s->nnz < 1 ||
        s->nnz > s->compress_size) {
        return ps_fail(err, PS_USAGE,
                       "lsp needs compress_size from 1 to %d, and nnz from 1 to that",
                       MAX_COMPRESS_SIZE);
    }
    if (s->fit_steps < 1 || s->fit_steps > MAX_FIT_STEPS) {
        return ps_fail(err, PS_USAGE, "lsp needs fit_steps from 1 to %d", MAX_FIT_STEPS);
    }
    if (s->is_ideal && s->is_zero) {
        return ps_fail(err, PS_USAGE, "lsp: zero=true is the released code's, not the ideal's");
    }
    if (s->fcfs_process_delay > s->fcfs_h2d_delay || s->fcfs_h2d_delay > s->fcfs_upd_delay ||
        s->lcfs_h2d_delay > s->lcfs_process_delay) {
        return s->is_ideal ? PS_OK
                           : ps_fail(err, PS_USAGE,
                                     "lsp: what comes later cannot be delayed less: "
                                     "fcfs_process_delay <= fcfs_h2d_delay <= fcfs_upd_delay, "
                                     "lcfs_h2d_delay <= lcfs_process_delay");
    }
    return PS_OK;
}

/* Of the host: one pinned buffer for gradient and difference, two moments of ordinary memory. */
static void place_on_host(ps_lsp *self, uint32_t number)
{
    ps_eager *e = self->e;
    ps_lsp_linear *of = &self->linear[number];
    const int64_t elements = ps_lsp_elements(self, number);
    const ps_memory_kind was = ps_eager_set_memory(e, PS_MEMORY_PINNED);
    of->pinned = ps_eager_make(e, elements, PS_DTYPE_F32, PS_ROLE_GRADIENT);
    (void)ps_eager_set_memory(e, PS_MEMORY_PAGEABLE);
    for (int i = 0; i < 2; i++) {
        of->moment[i] = ps_eager_make(e, elements, PS_DTYPE_F32, PS_ROLE_OPTIMIZER_STATE);
    }
    (void)ps_eager_set_memory(e, was);
    const ps_cpu_work zeros = {.name = "zeros",
                               .lane = PS_EAGER_MAIN,
                               .bytes = 2 * ps_eager_bytes(e, of->moment[0]),
                               .written = of->moment[0]};
    ps_op_cpu(e, &zeros);
    ps_eager_touch(e, of->moment[1], true);
}

static void place(ps_lsp *self, uint32_t number)
{
    const ps_linear_site *site = &self->m->linear[number];
    ps_lsp_linear *of = &self->linear[number];
    const ps_dtype dtype = ps_eager_dtype(self->e, site->weight);
    *of = (ps_lsp_linear){
        .weight = site->weight, .in = site->in, .out = site->out, .block = site->block};
    of->staged_mark = ps_eager_new_mark(self->e);
    of->off_mark = ps_eager_new_mark(self->e);
    of->upd_mark = ps_eager_new_mark(self->e);
    of->upl_mark = ps_eager_new_mark(self->e);
    if (!self->settings->sends_whole) {
        of->left = ps_lsp_sketch_make(self, dtype, of->in);
        of->right = ps_lsp_sketch_make(self, dtype, of->out);
    }
    place_on_host(self, number);
}

/* Each name of the list is some module's. */
static ps_code check_list(const ps_model *m, ps_error *err)
{
    unsigned number = 0;
    for (const char *at = m->recipe->offload.lsp.modules; at != NULL; number++) {
        const char *comma = strchr(at, ',');
        const int length = comma == NULL ? (int)strlen(at) : (int)(comma - at);
        if (number >= MAX_LISTED) {
            return ps_fail(err, PS_USAGE, "lsp: modules has more than %d names", MAX_LISTED);
        }
        if ((m->chosen >> number & 1) == 0) {
            return ps_fail(err, PS_USAGE, "lsp: a \"%s\" has no linear module \"%.*s\"",
                           m->family->model_type, length, at);
        }
        at = comma == NULL ? NULL : comma + 1;
    }
    return PS_OK;
}

ps_code ps_lsp_create(ps_model *m, ps_lsp **out, ps_error *err)
{
    if (m->linear_count == 0 && m->recipe->offload.lsp.modules == NULL) {
        return ps_fail(err, PS_USAGE, "lsp: a \"%s\" has no linear modules", m->family->model_type);
    }
    PS_TRY(check_list(m, err));
    ps_lsp *self = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return ps_fail_nomem(err);
    }
    *self = (ps_lsp){.m = m, .e = m->e, .settings = &m->recipe->offload.lsp};
    *out = self;
    self->linear = ps_calloc(m->linear_count, sizeof *self->linear);
    if (self->linear == NULL) {
        return ps_fail_nomem(err);
    }
    self->count = (uint32_t)m->linear_count;
    self->applied_mark = ps_eager_new_mark(m->e);
    self->function = (ps_linear_function){.context = self,
                                          .enters_first = self->settings->is_ideal,
                                          .enter = enter,
                                          .keep = keep,
                                          .take = take};
    m->function = &self->function;
    for (uint32_t i = 0; i < self->count; i++) {
        place(self, i);
    }
    return ps_eager_code(m->e, err);
}

void ps_lsp_destroy(ps_lsp *self)
{
    if (self == NULL) {
        return;
    }
    for (uint32_t i = 0; i < self->count; i++) {
        ps_lsp_queue_fini(&self->linear[i].before_forward);
        ps_lsp_queue_fini(&self->linear[i].after_backward);
    }
    ps_free(self->linear);
    ps_free(self);
}

void ps_lsp_begin_step(ps_lsp *self, int64_t number)
{
    if (self != NULL && self->settings->check_freq > 0 && number > 0 &&
        number % self->settings->check_freq == 0) {
        ps_lsp_fit(self);
    }
}

void ps_lsp_end_backward(ps_lsp *self)
{
    if (self != NULL) {
        ps_lsp_run_end(self);
    }
}
