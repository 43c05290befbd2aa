/* SPDX-License-Identifier: MIT
 *
 * Stage 3's coordinator of parameters: the order of modules, and what is fetched
 * and released by it.
 */
#include "base/memory.h"
#include "workload/scheme/zero3_gather_parts.h"

#define MAX_USES ((size_t)1 << 26)

/* ---- the order ---- */

static void note(ps_zero3_gather *self, const ps_zero3_module *module)
{
    if (ps_grow((void **)&self->order, &self->order_capacity, self->order_count + 1, MAX_USES,
                sizeof *self->order, NULL) != PS_OK ||
        ps_grow((void **)&self->use, &self->use_capacity, self->use_count + PS_MODULE_OWN, MAX_USES,
                sizeof *self->use, NULL) != PS_OK) {
        ps_eager_fail(self->scheme->e, PS_NOMEM, "out of memory");
        return;
    }
    for (int i = 0; i < PS_MODULE_OWN; i++) {
        if (module->own[i] != PS_UNITS_NONE) {
            self->use[self->use_count++] =
                (ps_zero3_use){.param = module->own[i], .step = self->order_count};
        }
    }
    self->order[self->order_count++] = *module;
}

void ps_zero3_gather_reset(ps_zero3_gather *self)
{
    ps_zero3_await_all(self);
    if (self->trace != PS_ZERO3_COMPLETE) {
        self->trace = self->trace == PS_ZERO3_INVALID ? PS_ZERO3_RECORDING : PS_ZERO3_COMPLETE;
    }
    for (size_t i = 0; i < self->units->member_count; i++) {
        self->param[i].asked_until = 0;
    }
    self->step = self->next_use = 0;
    self->whole_elements = 0;
}

static bool is_expected(const ps_zero3_gather *self, const ps_zero3_module *module)
{
    return self->step < self->order_count && self->order[self->step].own[0] == module->own[0] &&
           self->order[self->step].own[1] == module->own[1];
}

/* An order that is not kept is forgotten, and noted again in the next micro-batch. */
static void forget(ps_zero3_gather *self)
{
    self->trace = PS_ZERO3_INVALID;
    self->order_count = self->use_count = self->next_use = 0;
    ps_zero3_await_all(self);
}

/* ---- fetching ---- */

/* Uses of this module leave the queue: those that no earlier fetch has taken out. */
static void leave_queue(ps_zero3_gather *self, const ps_zero3_module *module)
{
    size_t fresh = 0;
    for (int i = 0; i < PS_MODULE_OWN; i++) {
        fresh += module->own[i] != PS_UNITS_NONE &&
                 self->param[module->own[i]].asked_until <= self->step;
    }
    for (; fresh > 0 && self->next_use < self->use_count; fresh--) {
        const ps_zero3_use *use = &self->use[self->next_use++];
        self->param[use->param].asked_until = use->step + 1;
    }
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static bool is_listed(const ps_zero3_gather *self, size_t count, size_t param)
{
    for (size_t i = 0; i < count; i++) {
        if (self->list[i] == param) {
            return true;
        }
    }
    return false;
}

static void prefetch(ps_zero3_gather *self)
{
    const ps_zero_settings *z = &self->scheme->settings->zero;
    const int64_t limit =
        least(z->max_live_parameters - self->whole_elements, z->prefetch_bucket_size);
    int64_t elements = 0;
    size_t count = 0;
    while (self->next_use < self->use_count && elements < limit) {
        const ps_zero3_use *use = &self->use[self->next_use++];
        ps_zero3_param *p = &self->param[use->param];
        p->asked_until = p->asked_until > use->step + 1 ? p->asked_until : use->step + 1;
        if (p->status == PS_ZERO3_AWAY && !is_listed(self, count, use->param)) {
            self->list[count++] = use->param;
            elements += ps_zero3_elements_of(self, use->param);
        }
    }
    ps_zero3_gather_listed(self, count);
}

/* Told where there is a host in the model. */
static void run_hooks(ps_zero3_gather *self)
{
    const ps_cpu_work hooks = {.name = "module_hook", .lane = PS_EAGER_MAIN, .hooks = 1};
    if (ps_zero_offloads(self->scheme)) {
        ps_op_cpu(self->scheme->e, &hooks);
    }
}

static bool is_known(const ps_zero3_gather *self, size_t param)
{
    return param != PS_UNITS_NONE && (self->knows_external || !ps_zero3_is_external(self, param));
}

void ps_zero3_fetch(ps_zero3_gather *self, const ps_zero3_module *module)
{
    size_t count = 0;
    run_hooks(self);
    if (ps_zero3_is_always_whole(self)) {
        for (int i = 0; i < PS_MODULE_OWN; i++) {
            if (module->own[i] != PS_UNITS_NONE && !ps_zero3_is_external(self, module->own[i])) {
                ps_zero3_await_sent(self, module->own[i], PS_EAGER_MAIN);
            }
        }
        return;
    }
    if (self->trace == PS_ZERO3_COMPLETE && !is_expected(self, module)) {
        forget(self);
    }
    if (self->trace == PS_ZERO3_RECORDING) {
        note(self, module);
    }
    for (int i = 0; i < PS_MODULE_OWN; i++) {
        if (is_known(self, module->own[i])) {
            self->list[count++] = module->own[i];
        }
    }
    ps_zero3_gather_listed(self, count);
    for (int i = 0; i < PS_MODULE_OWN; i++) {
        if (is_known(self, module->own[i])) {
            self->param[module->own[i]].is_active = true;
            if (self->param[module->own[i]].handle != 0) {
                ps_zero3_await_earlier(self);
                ps_zero3_await(self, module->own[i]);
                ps_zero3_note_fetched(self);
            }
        }
    }
    ps_op_join(self->scheme->e, PS_EAGER_MAIN, self->lane);
    if (self->trace == PS_ZERO3_COMPLETE) {
        leave_queue(self, module);
        prefetch(self);
    }
    self->step++;
}

/* ---- releasing ---- */

/* True when the order has the parameter again before max_reuse_distance elements are through. */
static bool is_reused(const ps_zero3_gather *self, size_t param)
{
    int64_t seen = 0;
    for (size_t step = self->step;
         step < self->order_count && seen < self->scheme->settings->zero.max_reuse_distance;
         step++) {
        for (int i = 0; i < PS_MODULE_OWN; i++) {
            const size_t own = self->order[step].own[i];
            if (own == param) {
                return true;
            }
            seen += own == PS_UNITS_NONE ? 0 : ps_zero3_elements_of(self, own);
        }
    }
    return false;
}

void ps_zero3_release(ps_zero3_gather *self, const ps_zero3_module *module)
{
    const bool is_complete = self->trace == PS_ZERO3_COMPLETE;
    for (int i = 0; i < PS_MODULE_OWN && !ps_zero3_is_always_whole(self); i++) {
        const size_t param = module->own[i];
        if (param == PS_UNITS_NONE) {
            continue;
        }
        ps_zero3_param *p = &self->param[param];
        p->is_active = false;
        if (!is_complete ||
            (!p->persists && p->asked_until <= self->step + 1 && !is_reused(self, param))) {
            ps_zero3_drop(self, param);
        }
    }
}

void ps_zero3_release_all(ps_zero3_gather *self)
{
    for (size_t i = 0; i < self->units->member_count; i++) {
        self->param[i].is_active = false;
        ps_zero3_await(self, i);
        ps_zero3_drop(self, i);
    }
}

void ps_zero3_fetch_persistent(ps_zero3_gather *self)
{
    for (size_t i = 0; i < self->units->member_count; i++) {
        if (self->param[i].persists && !ps_zero3_is_always_whole(self)) {
            self->list[0] = i;
            ps_zero3_gather_listed(self, 1);
            ps_zero3_await(self, i);
        }
    }
    ps_op_join(self->scheme->e, PS_EAGER_MAIN, self->lane);
}

/* ---- the model's own ---- */

static ps_zero3_module model_of(const ps_zero3_gather *self)
{
    const ps_tensor external = self->scheme->m->external;
    const size_t own = external == 0 ? PS_UNITS_NONE : ps_units_find(self->units, external);
    return (ps_zero3_module){{own, PS_UNITS_NONE}};
}

void ps_zero3_fetch_model(ps_zero3_gather *self)
{
    const ps_zero3_module model = model_of(self);
    ps_zero3_fetch(self, &model);
}

void ps_zero3_release_model(ps_zero3_gather *self)
{
    const ps_zero3_module model = model_of(self);
    ps_zero3_release(self, &model);
    ps_eager_clear(self->scheme->e, &self->external_copy);
}

void ps_zero3_fetch_container(ps_zero3_gather *self)
{
    const ps_zero3_module container = {{PS_UNITS_NONE, PS_UNITS_NONE}};
    ps_zero3_fetch(self, &container);
}

/* All parts come into one buffer, and from there into a tensor of their own. */
static void find_out(ps_zero3_gather *self, size_t param)
{
    ps_eager *e = self->scheme->e;
    const ps_dtype dtype = ps_zero_type(self->scheme);
    const int64_t padded = ps_zero3_part(self, param) * self->scheme->shards;
    const uint64_t bytes = (uint64_t)padded * ps_dtype_bytes(dtype);
    self->knows_external = true;
    ps_tensor flat = ps_scheme_make(self->scheme, padded, dtype, PS_ROLE_WORKSPACE);
    ps_scheme_collect(self->scheme, PS_COLLECTIVE_ALL_GATHER, PS_EAGER_MAIN,
                      ps_scheme_shard_axes(self->scheme), dtype, bytes);
    if (ps_zero3_is_always_whole(self)) {
        self->external_copy = ps_scheme_make(self->scheme, ps_zero3_elements_of(self, param), dtype,
                                             PS_ROLE_PARAMETER);
    } else {
        ps_eager_refill(e, ps_zero3_tensor_of(self, param),
                        ps_eager_bytes(e, ps_zero3_tensor_of(self, param)), PS_ROLE_PARAMETER);
        self->param[param].status = PS_ZERO3_WHOLE;
    }
    ps_scheme_kernel(self->scheme, "copy", 2 * bytes);
    ps_eager_clear(e, &flat);
}

void ps_zero3_use_external(ps_zero3_gather *self)
{
    const size_t param = model_of(self).own[0];
    if (!self->knows_external) {
        find_out(self, param);
    }
    ps_zero3_await_sent(self, param, PS_EAGER_MAIN);
}
