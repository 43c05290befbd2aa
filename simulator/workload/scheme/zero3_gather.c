/* SPDX-License-Identifier: MIT
 *
 * Stage 3's coordinator of parameters.
 */
#include "workload/scheme/zero3_gather.h"

#include "base/memory.h"

#define MAX_USES ((size_t)1 << 26)

static ps_tensor tensor_of(const ps_zero3_gather *self, size_t param)
{
    return self->units->member[param].tensor;
}

/* What the host still sends of it is waited for where it is used. */
static bool is_external(const ps_zero3_gather *self, size_t param)
{
    return tensor_of(self, param) == self->scheme->m->external;
}

static int64_t elements_of(const ps_zero3_gather *self, size_t param)
{
    return ps_eager_elements(self->scheme->e, tensor_of(self, param));
}

int64_t ps_zero3_part(const ps_zero3_gather *self, size_t param)
{
    return ps_scheme_share(elements_of(self, param), self->scheme->shards);
}

/* ---- gathers ---- */

static size_t free_handle(const ps_zero3_gather *self)
{
    size_t slot = 0;
    while (self->handle[slot].first != 0) {
        slot++;
    }
    return slot;
}

/* One rank has everything whole, unless it lies on the host. */
static bool is_always_whole(const ps_zero3_gather *self)
{
    return self->scheme->shards == 1 && !self->scheme->settings->zero.offloads_parameters;
}

/* Parts that lie on the host come up one by one. */
static void bring_up(ps_zero3_gather *self, size_t count, ps_tensor to)
{
    const uint64_t bytes = ps_dtype_bytes(ps_zero_type(self->scheme));
    for (size_t i = 0; i < count && self->scheme->settings->zero.offloads_parameters; i++) {
        const ps_host_copy up = {.name = "copy",
                                 .kind = PS_COPY_HTOD,
                                 .memory = PS_MEMORY_PINNED,
                                 .lane = self->lane,
                                 .bytes = (uint64_t)ps_zero3_part(self, self->list[i]) * bytes,
                                 .from = self->host_part,
                                 .to = to};
        ps_op_host_copy(self->scheme->e, &up);
    }
}

/* Nothing reads a parameter that is still on its way from the host's step. */
static void await_sent(ps_zero3_gather *self, size_t param, ps_eager_lane lane)
{
    if (self->param[param].sent != 0) {
        ps_op_join_mark(self->scheme->e, lane, self->param[param].sent);
        self->param[param].sent = 0;
    }
}

static void collect(ps_zero3_gather *self, uint64_t bytes)
{
    ps_scheme_collect(self->scheme, PS_COLLECTIVE_ALL_GATHER, self->lane,
                      ps_scheme_shard_axes(self->scheme), ps_zero_type(self->scheme), bytes);
}

/* Memory of gathers is always that of their stream: computation on another uses it too. */
static void refill(ps_zero3_gather *self, size_t param, uint64_t bytes)
{
    ps_eager *e = self->scheme->e;
    const ps_eager_lane was = ps_eager_set_lane(e, self->memory_lane);
    ps_eager_refill(e, tensor_of(self, param), bytes, PS_ROLE_PARAMETER);
    (void)ps_eager_set_lane(e, was);
}

/* ... and exchanges run on a stream of the communicator's own. */
static ps_tensor make_flat(ps_zero3_gather *self, int64_t elements)
{
    ps_eager *e = self->scheme->e;
    const ps_eager_lane was = ps_eager_set_lane(e, self->memory_lane);
    const ps_tensor flat =
        ps_scheme_make(self->scheme, elements, ps_zero_type(self->scheme), PS_ROLE_WORKSPACE);
    ps_eager_share_with_runs(e, flat, self->scheme->runs);
    (void)ps_eager_set_lane(e, was);
    return flat;
}

/* One: into its place. More: parts are put together, gathered, and taken apart when asked for. */
static void launch(ps_zero3_gather *self, size_t count)
{
    ps_eager *e = self->scheme->e;
    const uint64_t bytes = ps_dtype_bytes(ps_zero_type(self->scheme));
    ps_zero3_handle *h = &self->handle[free_handle(self)];
    uint64_t part = 0;
    *h = (ps_zero3_handle){.first = self->list[0] + 1, .pending = count};
    for (size_t i = 0; i < count; i++) {
        ps_zero3_param *p = &self->param[self->list[i]];
        if (!is_external(self, self->list[i])) {
            await_sent(self, self->list[i], self->lane);
        }
        part += (uint64_t)ps_zero3_part(self, self->list[i]);
        p->status = PS_ZERO3_IN_FLIGHT;
        p->handle = (size_t)(h - self->handle) + 1;
        p->next = i + 1 < count ? self->list[i + 1] + 1 : 0;
        self->whole_elements += elements_of(self, self->list[i]);
    }
    const uint64_t whole = part * (uint64_t)self->scheme->shards;
    if (count == 1) {
        refill(self, self->list[0], whole * bytes);
        ps_eager_share_with_runs(e, tensor_of(self, self->list[0]), self->scheme->runs);
        bring_up(self, 1, tensor_of(self, self->list[0]));
    } else {
        h->flat = make_flat(self, (int64_t)whole);
        bring_up(self, count, h->flat);
        ps_scheme_kernel(self->scheme, "cat", 2 * part * bytes);
    }
    collect(self, whole * bytes);
}

/* Those of the list that are away. */
static void gather(ps_zero3_gather *self, size_t count)
{
    size_t away = 0;
    for (size_t i = 0; i < count; i++) {
        if (self->param[self->list[i]].status == PS_ZERO3_AWAY) {
            self->list[away++] = self->list[i];
        }
    }
    if (away > 0 && !ps_eager_has_failed(self->scheme->e)) {
        const ps_eager_lane was = ps_eager_set_lane(self->scheme->e, self->lane);
        launch(self, away);
        (void)ps_eager_set_lane(self->scheme->e, was);
    }
}

static void take_apart(ps_zero3_gather *self, ps_zero3_handle *h)
{
    ps_eager *e = self->scheme->e;
    for (size_t at = h->first; at != 0; at = self->param[at - 1].next) {
        const ps_tensor tensor = tensor_of(self, at - 1);
        if (h->flat != 0) {
            refill(self, at - 1, ps_eager_bytes(e, tensor));
            ps_scheme_kernel(self->scheme, "cat", 2 * ps_eager_bytes(e, tensor));
        }
        self->param[at - 1].status = PS_ZERO3_WHOLE;
    }
    h->is_done = true;
}

/* The host is no more than so many parameters ahead of the stream that brings them. */
static void await_earlier(ps_zero3_gather *self)
{
    if (self->fetched[0] == 0) {
        for (size_t i = 0; i < PS_ZERO3_FETCHES; i++) {
            self->fetched[i] = ps_eager_new_mark(self->scheme->e);
        }
    }
    ps_op_wait_mark(self->scheme->e, self->fetched[self->turn]);
}

static void note_fetched(ps_zero3_gather *self)
{
    ps_op_mark(self->scheme->e, self->lane, self->fetched[self->turn]);
    self->turn = (self->turn + 1) % PS_ZERO3_FETCHES;
}

/* Somebody asks for a parameter that is or was under way. */
static void await(ps_zero3_gather *self, size_t param)
{
    ps_zero3_param *p = &self->param[param];
    if (p->handle == 0) {
        return;
    }
    ps_zero3_handle *h = &self->handle[p->handle - 1];
    const ps_eager_lane was = ps_eager_set_lane(self->scheme->e, self->lane);
    p->handle = 0;
    if (!h->is_done) {
        take_apart(self, h);
    }
    if (--h->pending == 0) {
        ps_eager_clear(self->scheme->e, &h->flat);
        h->first = 0;
    }
    (void)ps_eager_set_lane(self->scheme->e, was);
}

static void drop(ps_zero3_gather *self, size_t param)
{
    ps_zero3_param *p = &self->param[param];
    if (p->status == PS_ZERO3_WHOLE && !p->is_active) {
        ps_eager_share(self->scheme->e, tensor_of(self, param), PS_EAGER_MAIN);
        ps_eager_empty(self->scheme->e, tensor_of(self, param));
        p->status = PS_ZERO3_AWAY;
        self->whole_elements -= elements_of(self, param);
    }
}

static void await_all(ps_zero3_gather *self)
{
    for (size_t i = 0; i < self->units->member_count; i++) {
        if (self->param[i].handle != 0) {
            await(self, i);
            drop(self, i);
        }
    }
}

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
    await_all(self);
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
    await_all(self);
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
            elements += elements_of(self, use->param);
        }
    }
    gather(self, count);
}

/* Told where there is a host in the model. */
static void run_hooks(ps_zero3_gather *self)
{
    const ps_cpu_work hooks = {.name = "module_hook", .lane = PS_EAGER_MAIN, .hooks = 1};
    if (self->scheme->settings->zero.offloads_optimizer) {
        ps_op_cpu(self->scheme->e, &hooks);
    }
}

static bool is_known(const ps_zero3_gather *self, size_t param)
{
    return param != PS_UNITS_NONE && (self->knows_external || !is_external(self, param));
}

void ps_zero3_fetch(ps_zero3_gather *self, const ps_zero3_module *module)
{
    size_t count = 0;
    run_hooks(self);
    if (is_always_whole(self)) {
        for (int i = 0; i < PS_MODULE_OWN; i++) {
            if (module->own[i] != PS_UNITS_NONE && !is_external(self, module->own[i])) {
                await_sent(self, module->own[i], PS_EAGER_MAIN);
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
    gather(self, count);
    for (int i = 0; i < PS_MODULE_OWN; i++) {
        if (is_known(self, module->own[i])) {
            self->param[module->own[i]].is_active = true;
            if (self->param[module->own[i]].handle != 0) {
                await_earlier(self);
                await(self, module->own[i]);
                note_fetched(self);
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
            seen += own == PS_UNITS_NONE ? 0 : elements_of(self, own);
        }
    }
    return false;
}

void ps_zero3_release(ps_zero3_gather *self, const ps_zero3_module *module)
{
    const bool is_complete = self->trace == PS_ZERO3_COMPLETE;
    for (int i = 0; i < PS_MODULE_OWN && !is_always_whole(self); i++) {
        const size_t param = module->own[i];
        if (param == PS_UNITS_NONE) {
            continue;
        }
        ps_zero3_param *p = &self->param[param];
        p->is_active = false;
        if (!is_complete ||
            (!p->persists && p->asked_until <= self->step + 1 && !is_reused(self, param))) {
            drop(self, param);
        }
    }
}

void ps_zero3_release_all(ps_zero3_gather *self)
{
    for (size_t i = 0; i < self->units->member_count; i++) {
        self->param[i].is_active = false;
        await(self, i);
        drop(self, i);
    }
}

void ps_zero3_fetch_persistent(ps_zero3_gather *self)
{
    for (size_t i = 0; i < self->units->member_count; i++) {
        if (self->param[i].persists && !is_always_whole(self)) {
            self->list[0] = i;
            gather(self, 1);
            await(self, i);
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
    if (is_always_whole(self)) {
        self->external_copy =
            ps_scheme_make(self->scheme, elements_of(self, param), dtype, PS_ROLE_PARAMETER);
    } else {
        ps_eager_refill(e, tensor_of(self, param), ps_eager_bytes(e, tensor_of(self, param)),
                        PS_ROLE_PARAMETER);
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
    await_sent(self, param, PS_EAGER_MAIN);
}

/* ---- making ---- */

ps_code ps_zero3_gather_init(ps_zero3_gather *self, ps_scheme *scheme, ps_units *units,
                             ps_error *err)
{
    const int64_t threshold = scheme->settings->zero.param_persistence_threshold;
    *self = (ps_zero3_gather){.scheme = scheme, .units = units};
    self->memory_lane = ps_zero_overlaps(scheme, true) ? PS_EAGER_GROUP : PS_EAGER_MAIN;
    self->trace = scheme->settings->zero.resets_in_backward ? PS_ZERO3_RECORDING : PS_ZERO3_INVALID;
    self->lane = scheme->settings->zero.gathers_in_line ? PS_EAGER_MAIN : self->memory_lane;
    self->param = ps_calloc(units->member_count + 1, sizeof *self->param);
    self->handle = ps_calloc(units->member_count + 1, sizeof *self->handle);
    self->list = ps_calloc(units->member_count + 1, sizeof *self->list);
    if (self->param == NULL || self->handle == NULL || self->list == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < units->member_count; i++) {
        self->param[i].persists = elements_of(self, i) <= threshold;
    }
    return PS_OK;
}

void ps_zero3_gather_fini(ps_zero3_gather *self)
{
    ps_free(self->param);
    ps_free(self->handle);
    ps_free(self->list);
    ps_free(self->order);
    ps_free(self->use);
    *self = (ps_zero3_gather){0};
}
