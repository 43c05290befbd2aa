/* SPDX-License-Identifier: MIT
 *
 * AdamW over lists of tensors.
 */
#include "workload/adamw.h"

#include "base/memory.h"
#include "workload/eager_parts.h"

struct ps_adamw {
    ps_eager *e;
    const ps_tensor *parameter;
    size_t count;
    bool has_state;
    ps_tensor *root; /* while a step runs */
};

ps_adamw *ps_adamw_create(ps_eager *eager, const ps_tensor *parameters, size_t count)
{
    ps_adamw *self = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return NULL;
    }
    *self = (ps_adamw){.e = eager, .parameter = parameters, .count = count};
    self->root = ps_calloc(count, sizeof *self->root);
    if (self->root == NULL) {
        ps_adamw_destroy(self);
        return NULL;
    }
    return self;
}

void ps_adamw_destroy(ps_adamw *self)
{
    if (self != NULL) {
        ps_free(self->root);
        ps_free(self);
    }
}

/* exp_avg and exp_avg_sq of each parameter; the step counters live on the host */
static void make_state(ps_adamw *self)
{
    for (size_t i = 0; i < self->count; i++) {
        for (int moment = 0; moment < 2; moment++) {
            (void)ps_eager_make(self->e, ps_eager_elements(self->e, self->parameter[i]),
                                ps_eager_dtype(self->e, self->parameter[i]),
                                PS_ROLE_OPTIMIZER_STATE);
            ps_op_kernel(self->e, "fill", ps_eager_bytes(self->e, self->parameter[i]));
        }
    }
}

void ps_adamw_step(ps_adamw *self)
{
    uint64_t bytes = 0;
    if (!self->has_state) {
        make_state(self);
        self->has_state = true;
    }
    for (size_t i = 0; i < self->count; i++) {
        self->root[i] = ps_op_result(self->e, ps_eager_elements(self->e, self->parameter[i]),
                                     ps_eager_dtype(self->e, self->parameter[i]));
        bytes += ps_eager_bytes(self->e, self->parameter[i]);
    }
    /* lerp of the first moment, two passes over the second, root, division, bias, update */
    ps_op_kernel(self->e, "foreach_adamw", 16 * bytes);
    for (size_t i = self->count; i-- > 0;) {
        ps_eager_clear(self->e, &self->root[i]);
    }
}

void ps_adamw_zero_grad(ps_adamw *self)
{
    for (size_t i = 0; i < self->count; i++) {
        ps_eager_forget_grad(self->e, self->parameter[i]);
    }
}
