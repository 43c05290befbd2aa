/* SPDX-License-Identifier: MIT
 *
 * Modules of stage 3: where forward and backward come to one and leave it, its
 * parameters are fetched and released.
 *
 *   forward    in ── fetch ── module ── release ── out
 *               │ mark                         mark │
 *   backward   release ◄───── module ◄────────── fetch
 */
#include "workload/scheme/zero3.h"

static ps_zero3_module module_of(const ps_scheme *self, const ps_tensor tensor[PS_MODULE_OWN])
{
    ps_zero3_module out;
    for (int i = 0; i < PS_MODULE_OWN; i++) {
        out.own[i] =
            tensor[i] == 0 ? PS_UNITS_NONE : ps_units_find(&ps_zero3_of(self)->units, tensor[i]);
    }
    return out;
}

/* A mark has the number of the module's weight; the rest of it is looked up there. */
typedef enum side { BEFORE_BACKWARD = 1, AFTER_BACKWARD = 2 } side;

static uint32_t mark_of(const ps_zero3_module *module, side at)
{
    return (uint32_t)module->own[0] * 2 + (uint32_t)at;
}

static ps_tensor use(void *context, const ps_tensor tensor[PS_MODULE_OWN], ps_tensor owned)
{
    ps_scheme *self = context;
    ps_zero3 *z = ps_zero3_of(self);
    const ps_zero3_module module = module_of(self, tensor);
    if (module.own[0] == PS_UNITS_NONE || ps_eager_is_skipping(self->e)) {
        return owned;
    }
    if (tensor[0] == self->m->external) {
        ps_zero3_use_external(&z->gather);
        return owned;
    }
    z->units.member[module.own[0]].partner = module.own[1];
    ps_zero3_fetch(&z->gather, &module);
    ps_eager_assign(self->e, &owned,
                    ps_op_boundary(self->e, owned, mark_of(&module, AFTER_BACKWARD)));
    return owned;
}

static void unuse(void *context, const ps_tensor tensor[PS_MODULE_OWN], ps_tensor out)
{
    ps_scheme *self = context;
    const ps_zero3_module module = module_of(self, tensor);
    if (module.own[0] == PS_UNITS_NONE || ps_eager_is_skipping(self->e) ||
        tensor[0] == self->m->external) {
        return;
    }
    ps_eager_mark(self->e, out, mark_of(&module, BEFORE_BACKWARD));
    ps_zero3_release(&ps_zero3_of(self)->gather, &module);
}

static void on_mark(void *context, uint32_t mark)
{
    ps_zero3 *z = ps_zero3_of(context);
    const size_t first = (mark - 1) / 2;
    const ps_zero3_module module = {{first, z->units.member[first].partner}};
    if (mark % 2 == BEFORE_BACKWARD) {
        ps_zero3_fetch(&z->gather, &module);
    } else {
        ps_zero3_release(&z->gather, &module);
    }
}

static ps_tensor enter_block(void *context, uint32_t block, ps_tensor owned)
{
    (void)block;
    ps_zero3_fetch_container(&ps_zero3_of(context)->gather);
    return owned;
}

/* A model asks for both hooks of blocks. */
static void leave_block(void *context, uint32_t block, ps_tensor out)
{
    (void)context;
    (void)block;
    (void)out;
}

void ps_zero3_hook_modules(ps_scheme *self)
{
    self->hooks.enter = enter_block;
    self->hooks.leave = leave_block;
    self->hooks.use = use;
    self->hooks.unuse = unuse;
    self->m->hooks = &self->hooks;
    ps_eager_set_mark_hook(self->e, on_mark, self);
}
