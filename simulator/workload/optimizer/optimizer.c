/* SPDX-License-Identifier: MIT
 *
 * What optimizers share.
 */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "cost/host.h"
#include "workload/optimizer/optimizer_parts.h"

#define OPTIMIZER(symbol, word) extern const ps_optimizer_ops ps_optimizer_##symbol;
#include "workload/optimizer/optimizers.def"
#undef OPTIMIZER

static const struct {
    const char *word;
    const ps_optimizer_ops *ops;
} known[] = {
#define OPTIMIZER(symbol, word) {word, &ps_optimizer_##symbol},
#include "workload/optimizer/optimizers.def"
#undef OPTIMIZER
};

#define WORDS_BYTES 256

/* "adamw, adam, sgd" */
static void list_words(char text[WORDS_BYTES])
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < sizeof known / sizeof known[0] && used < WORDS_BYTES; i++) {
        const int wrote =
            snprintf(text + used, WORDS_BYTES - used, "%s%s", i == 0 ? "" : ", ", known[i].word);
        used += wrote > 0 ? (size_t)wrote : 0;
    }
}

static const ps_optimizer_ops *find(const char *word)
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(known[i].word, word) == 0) {
            return known[i].ops;
        }
    }
    return NULL;
}

const char *ps_optimizer_word_at(size_t index)
{
    return index < sizeof known / sizeof known[0] ? known[index].word : NULL;
}

static ps_code check_rank(const ps_optimizer *self, ps_error *err)
{
    const ps_recipe *r = self->m->recipe;
    if (r->optimizer_rank < 0) {
        return ps_fail(err, PS_USAGE, "the rank of an optimizer must be positive");
    }
    if (r->optimizer_rank > 0 && !self->ops->has_rank) {
        return ps_fail(err, PS_USAGE, "\"%s\" has no rank", r->optimizer);
    }
    return PS_OK;
}

static ps_code choose_style(ps_optimizer *self, ps_error *err)
{
    static const char *const words[] = {"auto", "foreach", "fused", "loop"};
    const ps_recipe *r = self->m->recipe;
    self->style = r->style == PS_OPTIMIZER_AUTO ? self->ops->usual : r->style;
    if ((self->ops->styles & (1u << self->style)) == 0) {
        return ps_fail(err, PS_USAGE, "\"%s\" has no kind \"%s\"", r->optimizer,
                       words[self->style]);
    }
    return PS_OK;
}

static ps_code make_room(ps_optimizer *self, ps_error *err)
{
    const size_t count = self->m->parameter_count + 1;
    self->active = ps_calloc(count, sizeof *self->active);
    self->numel = ps_calloc(count, sizeof *self->numel);
    self->has_state = ps_calloc(count, sizeof *self->has_state);
    self->kept = ps_calloc(count, sizeof *self->kept);
    self->norm = ps_calloc(count, sizeof *self->norm);
    self->list[0] = ps_calloc(count, sizeof *self->list[0]);
    self->list[1] = ps_calloc(count, sizeof *self->list[1]);
    if (self->active == NULL || self->numel == NULL || self->has_state == NULL ||
        self->kept == NULL || self->norm == NULL || self->list[0] == NULL ||
        self->list[1] == NULL) {
        return ps_fail_nomem(err);
    }
    return PS_OK;
}

static ps_code prepare(ps_optimizer *self, ps_error *err)
{
    PS_TRY(choose_style(self, err));
    PS_TRY(check_rank(self, err));
    PS_TRY(make_room(self, err));
    for (size_t i = 0; self->ops->begins_at_once && i < self->m->parameter_count; i++) {
        (void)ps_optimizer_begins(self, i);
        self->ops->make_state(self, i);
    }
    return ps_eager_code(self->e, err);
}

ps_code ps_optimizer_create(const ps_model *m, ps_optimizer **out, ps_error *err)
{
    const ps_optimizer_ops *ops = find(m->recipe->optimizer);
    if (ops == NULL) {
        char words[WORDS_BYTES];
        list_words(words);
        return ps_fail(err, PS_USAGE, "there is no optimizer \"%.40s\": %s", m->recipe->optimizer,
                       words);
    }
    ps_optimizer *self = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return ps_fail_nomem(err);
    }
    *self = (ps_optimizer){.e = m->e, .m = m, .ops = ops};
    const ps_code code = prepare(self, err);
    if (code != PS_OK) {
        ps_optimizer_destroy(self);
        return code;
    }
    *out = self;
    return PS_OK;
}

void ps_optimizer_destroy(ps_optimizer *self)
{
    if (self != NULL) {
        ps_free(self->active);
        ps_free(self->numel);
        ps_free(self->has_state);
        ps_free(self->kept);
        ps_free(self->norm);
        ps_free(self->list[0]);
        ps_free(self->list[1]);
        ps_free(self->state);
        ps_free(self);
    }
}

ps_optimizer_way ps_optimizer_way_of(const char *word)
{
    const ps_optimizer_ops *ops = find(word);
    return ops == NULL ? PS_OPTIMIZER_AFTER_BACKWARD : ops->way;
}

bool ps_optimizer_can_leave(const char *word)
{
    const ps_optimizer_ops *ops = find(word);
    return ops != NULL && ops->can_leave;
}

void ps_optimizer_place_on_host(ps_optimizer *self)
{
    self->is_on_host = true;
}

bool ps_optimizer_unscales(const ps_optimizer *self)
{
    return self->style == PS_OPTIMIZER_FUSED;
}

/* Parameters without a gradient are passed over: they get no state either. */
static void list_active(ps_optimizer *self)
{
    const bool wants_grad = self->ops->way != PS_OPTIMIZER_ZEROTH_ORDER;
    self->active_count = 0;
    for (size_t i = 0; i < self->m->parameter_count; i++) {
        const ps_tensor parameter = self->m->parameter[i];
        if (!wants_grad || ps_eager_grad(self->e, parameter) != 0) {
            self->numel[self->active_count] = (uint64_t)ps_eager_elements(self->e, parameter);
            self->active[self->active_count++] = i;
        }
    }
}

void ps_optimizer_step(ps_optimizer *self)
{
    list_active(self);
    ps_optimizer_bring_states(self);
    for (size_t i = 0; self->ops->make_state != NULL && i < self->active_count; i++) {
        if (ps_optimizer_begins(self, self->active[i])) {
            self->ops->make_state(self, self->active[i]);
        }
    }
    self->ops->update(self);
    if (self->ops->finish != NULL) {
        self->ops->finish(self);
    }
    ps_optimizer_send_states(self);
    self->steps++;
}

void ps_optimizer_perturb(ps_optimizer *self)
{
    list_active(self);
    self->ops->perturb(self);
}

static void hook(void *context)
{
    ps_optimizer *self = context;
    list_active(self);
    self->ops->update(self);
}

void ps_optimizer_hook(ps_optimizer *self, bool gathers_norms)
{
    self->gathers_norms = gathers_norms;
    self->ops->begin(self);
    ps_eager_set_leaf_hook(self->e, hook, self);
}

void ps_optimizer_zero_grad(ps_optimizer *self)
{
    for (size_t i = 0; !self->ops->keeps_grads && i < self->m->parameter_count; i++) {
        ps_eager_forget_grad(self->e, self->m->parameter[i]);
    }
}

/* ---- states ---- */

bool ps_optimizer_begins(ps_optimizer *self, size_t parameter)
{
    const bool had = self->has_state[parameter];
    self->has_state[parameter] = true;
    self->making = parameter;
    return !had;
}

ps_tensor ps_optimizer_keep(ps_optimizer *self, int64_t elements, ps_dtype dtype)
{
    const ps_tensor made = ps_eager_make(self->e, elements, dtype, PS_ROLE_OPTIMIZER_STATE);
    ps_op_kernel(self->e, "fill", (uint64_t)elements * ps_dtype_bytes(dtype));
    ps_optimizer_note_state(self, made);
    return made;
}

ps_tensor ps_optimizer_keep_like(ps_optimizer *self, size_t parameter)
{
    const ps_tensor like = ps_optimizer_parameter(self, parameter);
    return ps_optimizer_keep(self, ps_eager_elements(self->e, like), ps_eager_dtype(self->e, like));
}

/* ---- temporaries ---- */

ps_tensor ps_optimizer_like(ps_optimizer *self, size_t parameter)
{
    const ps_tensor like = ps_optimizer_parameter(self, parameter);
    return ps_eager_make(self->e, ps_eager_elements(self->e, like), ps_eager_dtype(self->e, like),
                         PS_ROLE_TEMPORARY);
}

void ps_optimizer_list(ps_optimizer *self, int which)
{
    for (size_t i = 0; i < self->active_count; i++) {
        self->list[which][i] = ps_optimizer_like(self, self->active[i]);
    }
}

void ps_optimizer_drop_list(ps_optimizer *self, int which)
{
    for (size_t i = self->active_count; i-- > 0;) {
        ps_eager_clear(self->e, &self->list[which][i]);
    }
}

/* ---- kernels ---- */

static uint64_t active_bytes(const ps_optimizer *self)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < self->active_count; i++) {
        bytes += ps_eager_bytes(self->e, ps_optimizer_parameter(self, self->active[i]));
    }
    return bytes;
}

/* PyTorch's usual builds pass kernels at most 4 KiB: those for CUDA 13 alone pass more. */
static uint32_t launches_of(const ps_optimizer *self, const ps_foreach *call)
{
    uint64_t launches = 0;
    const ps_cost_foreach list = {.numel = self->numel,
                                  .count = self->active_count,
                                  .depth = call->lists,
                                  .has_scalars = call->has_scalars};
    if (ps_cost_foreach_launches(&list, &launches, NULL) != PS_OK) {
        ps_eager_fail(self->e, PS_INTERNAL, "a multi-tensor call of too many lists");
    }
    return launches < UINT32_MAX ? (uint32_t)launches : UINT32_MAX;
}

void ps_optimizer_calls(ps_optimizer *self, const ps_foreach *call, size_t count)
{
    const uint64_t bytes = active_bytes(self);
    for (size_t i = 0; i < count && bytes > 0; i++) {
        const ps_eager_kernel kernel = {.name = call[i].name,
                                        .moved_bytes = call[i].passes * bytes,
                                        .launches = launches_of(self, &call[i])};
        ps_op_tell(self->e, &kernel);
    }
}

void ps_optimizer_count_steps(ps_optimizer *self)
{
    /* counters are 32-bit scalars: read and written, and one block each */
    enum { COUNTER_BYTES = 8, TENSORS_A_LAUNCH = 110 };
    const ps_eager_kernel kernel = {
        .name = "foreach_add",
        .moved_bytes = COUNTER_BYTES * self->active_count,
        .launches = (uint32_t)((self->active_count + TENSORS_A_LAUNCH - 1) / TENSORS_A_LAUNCH)};
    if (self->active_count > 0) {
        ps_op_tell(self->e, &kernel);
    }
}

void ps_optimizer_passes(ps_optimizer *self, size_t parameter, const ps_foreach *call, size_t count)
{
    const uint64_t bytes = ps_eager_bytes(self->e, ps_optimizer_parameter(self, parameter));
    for (size_t i = 0; i < count; i++) {
        ps_op_kernel(self->e, call[i].name, call[i].passes * bytes);
    }
}

void ps_optimizer_each(ps_optimizer *self, void (*step)(ps_optimizer *self, size_t parameter))
{
    for (size_t i = 0; i < self->active_count; i++) {
        step(self, self->active[i]);
    }
}
