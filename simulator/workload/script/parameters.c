/* SPDX-License-Identifier: MIT
 *
 * Parameters by making the modules and nothing else.
 */
#include "workload/script/parameters.h"

#include <string.h>

#include "base/memory.h"

/* Requests that nobody is interested in. */
static ps_code ignore_alloc(void *context, uint32_t buffer, uint64_t bytes, ps_role role,
                            ps_error *err)
{
    (void)context, (void)buffer, (void)bytes, (void)role, (void)err;
    return PS_OK;
}

static ps_code ignore_free(void *context, uint32_t buffer, ps_error *err)
{
    (void)context, (void)buffer, (void)err;
    return PS_OK;
}

static ps_code ignore_kernel(void *context, const ps_eager_kernel *kernel, ps_error *err)
{
    (void)context, (void)kernel, (void)err;
    return PS_OK;
}

static void ignore_rename(void *context, uint32_t buffer, ps_role role)
{
    (void)context, (void)buffer, (void)role;
}

static ps_code copy(const ps_model *m, ps_parameters *out, ps_error *err)
{
    *out = (ps_parameters){.count = m->every_count};
    out->shape = ps_calloc(m->every_count + 1, sizeof *out->shape);
    if (out->shape == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < m->every_count; i++) {
        out->shape[i] = m->every_shape[i];
        out->block_count =
            m->every_shape[i].block > out->block_count ? m->every_shape[i].block : out->block_count;
    }
    return PS_OK;
}

ps_code ps_parameters_list(const ps_model_config *config, ps_parameters *out, ps_error *err)
{
    const ps_eager_sink sink = {.alloc = ignore_alloc,
                                .free = ignore_free,
                                .kernel = ignore_kernel,
                                .rename = ignore_rename};
    ps_recipe recipe = ps_recipe_default();
    ps_model m = {.recipe = &recipe};
    *out = (ps_parameters){0};
    recipe.length = 1; /* no model is too short for that */
    PS_TRY(ps_family_of(config, &m.family, err));
    m.e = ps_eager_create(&sink);
    if (m.e == NULL) {
        return ps_fail_nomem(err);
    }
    ps_code code = m.family->create(&m, config, err);
    if (code == PS_OK) {
        code = ps_eager_code(m.e, err);
    }
    if (code == PS_OK) {
        code = copy(&m, out, err);
    }
    m.family->destroy(&m);
    ps_model_fini(&m);
    ps_eager_destroy(m.e);
    return code;
}

void ps_parameters_fini(ps_parameters *self)
{
    ps_free(self->shape);
    *self = (ps_parameters){0};
}

int64_t ps_parameter_elements(const ps_parameter_shape *self)
{
    return (self->rows > 0 ? self->rows : 1) * self->columns;
}
