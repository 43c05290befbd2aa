/* SPDX-License-Identifier: MIT
 *
 * The side of the description: the workload that is built of it, and, by a
 * second run of the same script, its memory when phases begin, which a workload
 * does not tell.
 */
#include <stdlib.h>

#include "accuracy/agreement/side.h"

typedef struct reading {
    side *out;
    const ps_eager *e; /* known once the model is loaded */
    ps_eager_phase last;
    size_t step; /* number + 1 of the step that runs */
    uint64_t live_bytes;
    bool is_arriving; /* nothing but the first batch came since its forward began */
    uint64_t *bytes;  /* of each buffer */
    size_t count, capacity;
} reading;

static void read_moment(reading *self, moment at)
{
    if (self->step >= 1 && self->step <= STEPS_MAX) {
        self->out->live_bytes[self->step - 1][at] = self->live_bytes;
    }
}

/* Before a request or kernel of another phase: the phase before it has ended. */
static void pass_phase(reading *self)
{
    const ps_eager_phase now = self->e == NULL ? PS_EAGER_LOAD : ps_eager_phase_now(self->e);
    if (now == self->last) {
        return;
    }
    if (self->last == PS_EAGER_FORWARD) {
        read_moment(self, MOMENT_FORWARD);
    } else if (self->last == PS_EAGER_BACKWARD) {
        read_moment(self, MOMENT_BACKWARD);
    } else if (self->last == PS_EAGER_OPTIMIZER) {
        read_moment(self, MOMENT_OPTIMIZER);
    }
    self->is_arriving = now == PS_EAGER_FORWARD && self->last == PS_EAGER_LOAD;
    self->last = now;
}

static ps_code grow(reading *self, ps_error *err)
{
    const size_t capacity = self->capacity == 0 ? 1024 : 2 * self->capacity;
    uint64_t *grown = realloc(self->bytes, capacity * sizeof *grown);
    if (grown == NULL) {
        return ps_fail_nomem(err);
    }
    self->bytes = grown;
    self->capacity = capacity;
    return PS_OK;
}

static ps_code on_alloc(void *context, uint32_t buffer, uint64_t bytes, ps_role role, ps_error *err)
{
    reading *self = context;
    pass_phase(self);
    if (self->count == self->capacity) {
        PS_TRY(grow(self, err));
    }
    self->bytes[buffer] = bytes;
    self->count++;
    self->live_bytes += bytes;
    self->is_arriving = self->is_arriving && role == PS_ROLE_INPUT;
    if (self->is_arriving) {
        read_moment(self, MOMENT_LOADED);
    }
    return PS_OK;
}

static ps_code on_free(void *context, uint32_t buffer, ps_error *err)
{
    reading *self = context;
    (void)err;
    pass_phase(self);
    self->live_bytes -= self->bytes[buffer];
    return PS_OK;
}

static ps_code on_kernel(void *context, const ps_eager_kernel *kernel, ps_error *err)
{
    (void)kernel;
    (void)err;
    pass_phase(context);
    return PS_OK;
}

static void on_rename(void *context, uint32_t buffer, ps_role role)
{
    (void)context;
    (void)buffer;
    (void)role;
}

static ps_code on_loaded(void *context, const ps_model *m, ps_error *err)
{
    (void)err;
    ((reading *)context)->e = m->e;
    return PS_OK;
}

static ps_code on_step(void *context, int64_t number, bool is_end, ps_error *err)
{
    reading *self = context;
    (void)err;
    if (!is_end) {
        self->step = (size_t)number + 1;
    } else if (self->last == PS_EAGER_OPTIMIZER) { /* there was nothing to give back */
        read_moment(self, MOMENT_OPTIMIZER);
    }
    return PS_OK;
}

static ps_code read_memory(const ps_build *what, side *out, ps_error *err)
{
    reading self = {.out = out};
    ps_training run = {.config = what->config,
                       .recipe = what->recipe,
                       .device = what->device,
                       .sink = {.context = &self,
                                .alloc = on_alloc,
                                .free = on_free,
                                .kernel = on_kernel,
                                .rename = on_rename},
                       .marks = {.context = &self, .loaded = on_loaded, .step = on_step}};
    PS_TRY(ps_family_of(what->config, &run.family, err));
    const ps_code code = ps_train(&run, err);
    free(self.bytes);
    return code;
}

ps_code side_of_model(const ps_build *what, side *out, ps_error *err)
{
    PS_TRY(ps_build_workload(what, &out->workload, err));
    PS_TRY(side_count(out, err));
    return read_memory(what, out, err);
}
