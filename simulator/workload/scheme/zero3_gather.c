/* SPDX-License-Identifier: MIT
 *
 * Stage 3's coordinator of parameters: gathers under way.
 */
#include "base/memory.h"
#include "workload/scheme/zero3_gather_parts.h"

int64_t ps_zero3_part(const ps_zero3_gather *self, size_t param)
{
    return ps_scheme_share(ps_zero3_elements_of(self, param), self->scheme->shards);
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
void ps_zero3_await_sent(ps_zero3_gather *self, size_t param, ps_eager_lane lane)
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
    ps_eager_refill(e, ps_zero3_tensor_of(self, param), bytes, PS_ROLE_PARAMETER);
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
        if (!ps_zero3_is_external(self, self->list[i])) {
            ps_zero3_await_sent(self, self->list[i], self->lane);
        }
        part += (uint64_t)ps_zero3_part(self, self->list[i]);
        p->status = PS_ZERO3_IN_FLIGHT;
        p->handle = (size_t)(h - self->handle) + 1;
        p->next = i + 1 < count ? self->list[i + 1] + 1 : 0;
        self->whole_elements += ps_zero3_elements_of(self, self->list[i]);
    }
    const uint64_t whole = part * (uint64_t)self->scheme->shards;
    if (count == 1) {
        refill(self, self->list[0], whole * bytes);
        ps_eager_share_with_runs(e, ps_zero3_tensor_of(self, self->list[0]), self->scheme->runs);
        bring_up(self, 1, ps_zero3_tensor_of(self, self->list[0]));
    } else {
        h->flat = make_flat(self, (int64_t)whole);
        bring_up(self, count, h->flat);
        ps_scheme_kernel(self->scheme, "cat", 2 * part * bytes);
    }
    collect(self, whole * bytes);
}

/* Those of the list that are away. */
void ps_zero3_gather_listed(ps_zero3_gather *self, size_t count)
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
        const ps_tensor tensor = ps_zero3_tensor_of(self, at - 1);
        if (h->flat != 0) {
            refill(self, at - 1, ps_eager_bytes(e, tensor));
            ps_scheme_kernel(self->scheme, "cat", 2 * ps_eager_bytes(e, tensor));
        }
        self->param[at - 1].status = PS_ZERO3_WHOLE;
    }
    h->is_done = true;
}

/* The host is no more than so many parameters ahead of the stream that brings them. */
void ps_zero3_await_earlier(ps_zero3_gather *self)
{
    if (self->fetched[0] == 0) {
        for (size_t i = 0; i < PS_ZERO3_FETCHES; i++) {
            self->fetched[i] = ps_eager_new_mark(self->scheme->e);
        }
    }
    ps_op_wait_mark(self->scheme->e, self->fetched[self->turn]);
}

void ps_zero3_note_fetched(ps_zero3_gather *self)
{
    ps_op_mark(self->scheme->e, self->lane, self->fetched[self->turn]);
    self->turn = (self->turn + 1) % PS_ZERO3_FETCHES;
}

/* Somebody asks for a parameter that is or was under way. */
void ps_zero3_await(ps_zero3_gather *self, size_t param)
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

void ps_zero3_drop(ps_zero3_gather *self, size_t param)
{
    ps_zero3_param *p = &self->param[param];
    if (p->status == PS_ZERO3_WHOLE && !p->is_active) {
        ps_eager_share(self->scheme->e, ps_zero3_tensor_of(self, param), PS_EAGER_MAIN);
        ps_eager_empty(self->scheme->e, ps_zero3_tensor_of(self, param));
        p->status = PS_ZERO3_AWAY;
        self->whole_elements -= ps_zero3_elements_of(self, param);
    }
}

void ps_zero3_await_all(ps_zero3_gather *self)
{
    for (size_t i = 0; i < self->units->member_count; i++) {
        if (self->param[i].handle != 0) {
            ps_zero3_await(self, i);
            ps_zero3_drop(self, i);
        }
    }
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
        self->param[i].persists = ps_zero3_elements_of(self, i) <= threshold;
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
