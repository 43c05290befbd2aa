/* SPDX-License-Identifier: MIT
 *
 * Two passes through one module.
 */
#include "workload/eager/eager_parts.h"
#include "workload/script/zo2_parts.h"

typedef struct call {
    ps_tensor (*module)(ps_model *m, const ps_dual_pass *pass);
    bool is_block; /* in its place */
    int64_t index;
    int slot, beside; /* of the results; beside 0: one result */
} call;

/* Of a module outside blocks: `room` receives the numbers. */
static ps_zo2_listed list_own(const ps_zo2 *self, const ps_tensor own[PS_DUAL_OWN],
                              size_t room[PS_DUAL_OWN])
{
    const ps_model *m = self->m;
    ps_zo2_listed out = {.parameter = room};
    for (size_t i = 0; i < m->parameter_count && out.count < PS_DUAL_OWN; i++) {
        for (int j = 0; j < PS_DUAL_OWN; j++) {
            if (own[j] != 0 && m->parameter[i] == own[j]) {
                room[out.count++] = i;
                break;
            }
        }
    }
    return out;
}

/* Under autocast each pass has its own: the parameters were moved in between. */
static ps_tensor run_one(ps_zo2 *self, const call *with, int side)
{
    const ps_dual_pass *pass = &self->pass[side];
    ps_eager_set_autocast(self->m->e, self->m->recipe->autocast);
    const ps_tensor out =
        with->is_block ? self->ops->block(self->m, pass, with->index) : with->module(self->m, pass);
    ps_eager_set_autocast(self->m->e, PS_DTYPE_F32);
    return out;
}

static void assign_both(ps_zo2 *self, const call *with, const ps_tensor made[PS_ZO2_SIDES])
{
    for (int side = 0; side < PS_ZO2_SIDES; side++) {
        ps_eager_assign(self->m->e, &self->pass[side].slot[with->slot], made[side]);
        if (with->beside != 0) {
            ps_eager_assign(self->m->e, &self->pass[side].slot[with->beside], self->beside[side]);
            self->beside[side] = 0;
        }
    }
}

/* The module's parameters are there, and the computation before it is done. */
static void enter_module(ps_zo2 *self)
{
    ps_zo2_wait(self, PS_EAGER_COMPUTE);
    ps_zo2_wait(self, PS_EAGER_UPLOAD);
    ps_zo2_enter(self, PS_EAGER_COMPUTE);
}

static void run_dual(ps_zo2 *self, const call *with, ps_zo2_listed own)
{
    ps_tensor made[PS_ZO2_SIDES];
    enter_module(self);
    if (self->updates) {
        ps_zo2_update(self->m, own.parameter, own.count);
    }
    ps_zo2_perturb(self->m, own.parameter, own.count);
    made[0] = run_one(self, with, 0);
    ps_zo2_perturb(self->m, own.parameter, own.count);
    made[1] = run_one(self, with, 1);
    ps_zo2_perturb(self->m, own.parameter, own.count);
    ps_zo2_enter(self, PS_EAGER_MAIN);
    assign_both(self, with, made);
}

/* A function has no parameters, and nothing to wait for but its arguments. */
static void run_function(ps_zo2 *self, const call *with)
{
    ps_tensor made[PS_ZO2_SIDES];
    ps_zo2_wait(self, PS_EAGER_COMPUTE);
    ps_zo2_enter(self, PS_EAGER_COMPUTE);
    made[0] = run_one(self, with, 0);
    made[1] = run_one(self, with, 1);
    ps_zo2_enter(self, PS_EAGER_MAIN);
    assign_both(self, with, made);
}

static void run_stage(ps_zo2 *self, const ps_dual_stage *stage)
{
    const call with = {.module = stage->run, .slot = stage->slot, .beside = stage->beside_slot};
    ps_tensor own[PS_DUAL_OWN] = {0};
    size_t room[PS_DUAL_OWN];
    if (stage->is_shared) {
        ps_eager_assign(self->m->e, &self->shared[stage->slot],
                        stage->run(self->m, &self->pass[0]));
    } else if (stage->own == NULL) {
        run_function(self, &with);
    } else if (stage->own(self->m, own)) {
        run_dual(self, &with, list_own(self, own, room));
    }
}

void ps_zo2_run_stages(ps_zo2 *self, const ps_dual_stage *stage, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        run_stage(self, &stage[i]);
    }
}

void ps_zo2_run_block(ps_zo2 *self, int64_t index)
{
    const call with = {.is_block = true, .index = index, .slot = PS_DUAL_HIDDEN};
    ps_eager_set_block(self->m->e, (uint32_t)index + 1);
    run_dual(self, &with, ps_zo2_list_block(self, index));
    ps_eager_set_block(self->m->e, 0);
}

/* ---- the update alone ---- */

static void update_listed(ps_zo2 *self, ps_zo2_listed own)
{
    enter_module(self);
    ps_zo2_update(self->m, own.parameter, own.count);
    ps_zo2_enter(self, PS_EAGER_MAIN);
}

void ps_zo2_update_block(ps_zo2 *self, int64_t index)
{
    ps_eager_set_block(self->m->e, (uint32_t)index + 1);
    update_listed(self, ps_zo2_list_block(self, index));
    ps_eager_set_block(self->m->e, 0);
}

void ps_zo2_update_stages(ps_zo2 *self, const ps_dual_stage *stage, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ps_tensor own[PS_DUAL_OWN] = {0};
        size_t room[PS_DUAL_OWN];
        if (stage[i].own != NULL && stage[i].own(self->m, own)) {
            update_listed(self, list_own(self, own, room));
        }
    }
}
