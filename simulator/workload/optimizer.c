/* SPDX-License-Identifier: MIT
 *
 * What optimizers share.
 */
#include "workload/optimizer.h"

#include <string.h>

#include "base/memory.h"
#include "workload/eager_parts.h"

#define OPTIMIZER(symbol, word) extern const ps_optimizer_ops ps_optimizer_##symbol;
#include "workload/optimizers.def"
#undef OPTIMIZER

static const struct {
    const char *word;
    const ps_optimizer_ops *ops;
} known[] = {
#define OPTIMIZER(symbol, word) {word, &ps_optimizer_##symbol},
#include "workload/optimizers.def"
#undef OPTIMIZER
};

static const ps_optimizer_ops *find(const char *word)
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(known[i].word, word) == 0) {
            return known[i].ops;
        }
    }
    return NULL;
}

ps_code ps_optimizer_create(ps_eager *eager, const char *word, ps_optimizer_style style,
                            const ps_tensor *parameters, size_t count, ps_optimizer **out,
                            ps_error *err)
{
    const ps_optimizer_ops *ops = find(word);
    if (ops == NULL) {
        return ps_fail(err, PS_USAGE, "\"%s\" is no optimizer that is known", word);
    }
    ps_optimizer *self = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return ps_fail_nomem(err);
    }
    *self = (ps_optimizer){
        .e = eager, .ops = ops, .style = style, .parameter = parameters, .count = count};
    self->scratch = ps_calloc(count + 1, sizeof *self->scratch);
    if (self->scratch == NULL) {
        ps_optimizer_destroy(self);
        return ps_fail_nomem(err);
    }
    *out = self;
    return PS_OK;
}

void ps_optimizer_destroy(ps_optimizer *self)
{
    if (self != NULL) {
        ps_free(self->scratch);
        ps_free(self->own);
        ps_free(self);
    }
}

void ps_optimizer_step(ps_optimizer *self)
{
    if (!self->has_state) {
        self->ops->make_state(self);
        self->has_state = true;
    }
    self->ops->update(self);
}

void ps_optimizer_zero_grad(ps_optimizer *self)
{
    for (size_t i = 0; i < self->count; i++) {
        ps_eager_forget_grad(self->e, self->parameter[i]);
    }
}

ps_tensor ps_optimizer_state(ps_optimizer *self, size_t parameter)
{
    const ps_tensor like = self->parameter[parameter];
    const ps_tensor made = ps_eager_make(self->e, ps_eager_elements(self->e, like),
                                         ps_eager_dtype(self->e, like), PS_ROLE_OPTIMIZER_STATE);
    ps_op_kernel(self->e, "fill", ps_eager_bytes(self->e, like));
    return made;
}

uint64_t ps_optimizer_bytes(const ps_optimizer *self)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < self->count; i++) {
        bytes += ps_eager_bytes(self->e, self->parameter[i]);
    }
    return bytes;
}

void ps_optimizer_list(ps_optimizer *self)
{
    for (size_t i = 0; i < self->count; i++) {
        self->scratch[i] =
            ps_eager_make(self->e, ps_eager_elements(self->e, self->parameter[i]),
                          ps_eager_dtype(self->e, self->parameter[i]), PS_ROLE_TEMPORARY);
    }
}

void ps_optimizer_drop_list(ps_optimizer *self)
{
    for (size_t i = self->count; i-- > 0;) {
        ps_eager_clear(self->e, &self->scratch[i]);
    }
}
