/* SPDX-License-Identifier: MIT
 *
 * Deep Optimizer States: each k-th sub-group visits the device, where its step
 * runs beside those of the host.
 *
 *   host      step 0 .. k-2 │ hand over │ wait for the visitor's states │ step k ..
 *   streams   states of the last visitor down, of the next one up; three, or one
 *   worker                  │ narrow 0 .. k-2, then up on a stream of their own
 *   device                              │ step of the visitor
 *
 * The first release had one stream for all states, waited for the device's
 * step, and sent the first bytes of each 32-bit copy up in place of narrow
 * ones. Nobody waits for the worker: what it was handed last is done beside
 * the next forward pass.
 */
#include "workload/scheme/offload.h"

/* half(), then a copy into pinned memory: 32 bits read, 16 written new, read, written. */
#define DOWN_CAST_BYTES 14

static bool has_one_stream(const ps_offload *self)
{
    return ps_offload_settings_of(self)->has_one_copy_stream;
}

static ps_eager_lane stream_of(const ps_offload *self, int state)
{
    return (ps_eager_lane)(PS_EAGER_STREAM + (has_one_stream(self) ? 0 : state));
}

static size_t stride_of(const ps_offload *self)
{
    return (size_t)ps_offload_settings_of(self)->update_stride;
}

/* ---- visitors ---- */

static void move_state(ps_offload *self, int state, ps_tensor host, bool is_up)
{
    const ps_host_copy copy = {.name = "copy",
                               .kind = is_up ? PS_COPY_HTOD : PS_COPY_DTOH,
                               .memory = PS_MEMORY_PINNED,
                               .lane = stream_of(self, state),
                               .bytes = ps_eager_bytes(self->scheme->e, host),
                               .from = is_up ? host : self->visitor[state],
                               .to = is_up ? self->visitor[state] : host};
    ps_op_join(self->scheme->e, copy.lane, PS_EAGER_MAIN);
    ps_op_host_copy(self->scheme->e, &copy);
}

static void leave_device(ps_offload *self)
{
    ps_offload_group *g = &self->group[self->visiting - 1];
    ps_offload_narrow_on_device(self->scheme, self->visitor[0], g->elements);
    for (int state = 0; state < PS_OFFLOAD_STATES; state++) {
        move_state(self, state, g->state[state], false);
    }
    ps_eager_clear(self->scheme->e, &g->wide_grad);
    self->visiting = 0;
}

/* Buffers of the last visitor serve one of the same size; else the optimizer holds them until it has
 * the new ones. */
static void make_room(ps_offload *self, int64_t elements)
{
    ps_scheme *s = self->scheme;
    if (self->visitor[0] != 0 && ps_eager_elements(s->e, self->visitor[0]) == elements) {
        return;
    }
    for (int state = 0; state < PS_OFFLOAD_STATES; state++) {
        self->last[state] = self->visitor[state];
        self->visitor[state] = ps_scheme_make(s, elements, PS_DTYPE_F32, PS_ROLE_OPTIMIZER_STATE);
    }
}

static void drop_last(ps_offload *self)
{
    for (int state = 0; state < PS_OFFLOAD_STATES; state++) {
        ps_eager_clear(self->scheme->e, &self->last[state]);
    }
}

static void widen_gradient(ps_offload *self, ps_offload_group *g)
{
    ps_scheme *s = self->scheme;
    if (g->narrow_grad == 0) {
        return;
    }
    /* one that no round followed still has that of the step before */
    ps_eager_assign(s->e, &g->wide_grad,
                    ps_scheme_make(s, g->elements, PS_DTYPE_F32, PS_ROLE_GRADIENT));
    ps_scheme_kernel(s, "copy",
                     ps_offload_narrow(s, g->elements) + ps_eager_bytes(s->e, g->wide_grad));
    ps_eager_touch(s->e, g->narrow_grad, false);
    ps_eager_touch(s->e, g->wide_grad, true);
    ps_eager_clear(s->e, &g->narrow_grad);
}

static void enter_device(ps_offload *self, size_t next)
{
    ps_scheme *s = self->scheme;
    ps_offload_group *g = &self->group[next];
    make_room(self, g->elements);
    widen_gradient(self, g);
    for (int state = 0; state < PS_OFFLOAD_STATES; state++) {
        if (g->is_resident) {
            ps_scheme_kernel(s, "copy", 2 * ps_eager_bytes(s->e, g->state[state]));
            ps_eager_touch(s->e, self->visitor[state], true);
        } else {
            move_state(self, state, g->state[state], true);
        }
    }
}

/* What was visiting goes, what visits next comes. */
static void exchange(ps_offload *self, size_t at)
{
    const size_t stride = stride_of(self), next = at + stride - 1;
    if (self->visiting != 0 && self->group[self->visiting - 1].is_resident) {
        self->visiting = 0;
    }
    if (self->visiting != 0) {
        leave_device(self);
    }
    if (next < self->count) {
        enter_device(self, next);
    }
}

static void step_visitor(ps_offload *self, size_t at)
{
    ps_scheme *s = self->scheme;
    ps_offload_group *g = &self->group[at];
    for (int state = 0; state < PS_OFFLOAD_STATES; state++) {
        ps_op_wait(s->e, stream_of(self, state));
    }
    drop_last(self);
    ps_scheme_kernel(s, "mul", 2 * ps_offload_wide(g->elements));
    ps_offload_step_on_device(s, self->visitor, g->wide_grad, g->elements);
    if (has_one_stream(self)) {
        ps_op_wait(s->e, PS_EAGER_MAIN);
    }
    self->visiting = at + 1;
}

/* ---- what the host steps over ---- */

static void send_narrow(ps_offload *self, ps_offload_group *g)
{
    g->sent = ps_eager_new_mark(self->scheme->e);
    const ps_host_copy up = {.name = "copy",
                             .kind = PS_COPY_HTOD,
                             .memory = PS_MEMORY_PINNED,
                             .lane = PS_OFFLOAD_NARROW_STREAM,
                             .bytes = ps_offload_narrow(self->scheme, g->elements),
                             .mark = g->sent,
                             .from = g->state[0],
                             .to = self->part};
    ps_op_host_copy(self->scheme->e, &up);
}

/* One that is resident was stepped on the device, and goes down and up for nothing. */
static void bounce(ps_offload *self, const ps_offload_group *g)
{
    ps_host_copy copy = {.name = "copy",
                         .kind = PS_COPY_DTOH,
                         .memory = PS_MEMORY_PINNED,
                         .lane = PS_OFFLOAD_NARROW_STREAM,
                         .bytes = ps_offload_narrow(self->scheme, g->elements),
                         .from = g->state[0]};
    ps_op_join(self->scheme->e, copy.lane, PS_EAGER_MAIN);
    ps_op_host_copy(self->scheme->e, &copy);
    copy.kind = PS_COPY_HTOD;
    copy.from = 0;
    copy.to = self->part;
    ps_op_host_copy(self->scheme->e, &copy);
}

static void hand_over(ps_offload *self, size_t first, size_t end)
{
    ps_eager *e = self->scheme->e;
    for (size_t i = first; i < end; i++) {
        ps_offload_group *g = &self->group[i];
        if (g->visits) {
            continue;
        }
        if (g->is_resident) {
            bounce(self, g);
            continue;
        }
        const ps_cpu_work cast = {.name = "down_cast",
                                  .memory = PS_MEMORY_PINNED,
                                  .lane = PS_EAGER_WORKER,
                                  .bytes = (uint64_t)g->elements * DOWN_CAST_BYTES,
                                  .mark = ps_eager_new_mark(e),
                                  .read = g->state[0]};
        ps_op_cpu(e, &cast);
        ps_op_join_mark(e, PS_OFFLOAD_NARROW_STREAM, cast.mark);
        send_narrow(self, g);
    }
}

static void step_at_home(ps_offload *self, size_t at)
{
    ps_offload_group *g = &self->group[at];
    if (g->is_resident) {
        ps_offload_step_on_device(self->scheme, g->state, g->grad, g->elements);
    } else {
        const ps_offload_host_step step = {.state = g->state,
                                           .grad = g->grad,
                                           .elements = g->elements,
                                           .memory = PS_MEMORY_PINNED,
                                           .lane = PS_EAGER_MAIN};
        ps_offload_step_on_host(self->scheme, &step);
    }
}

/* Sub-groups of a round are handed over together: by the last one before a visitor, or of all. */
static void after_step(ps_offload *self, size_t at)
{
    const size_t stride = stride_of(self);
    if (has_one_stream(self)) {
        if (self->group[at].is_resident) {
            bounce(self, &self->group[at]);
        } else {
            send_narrow(self, &self->group[at]);
        }
    } else if (at % stride + 2 == stride || at + 1 == self->count) {
        hand_over(self, at - at % stride, at + 1);
    }
}

void ps_offload_step_by_stride(ps_offload *self)
{
    self->visiting = 0; /* one that visited last is not written back in a later step */
    for (size_t i = 0; i < self->count; i++) {
        if (i % stride_of(self) == 0) {
            exchange(self, i);
        }
        if (self->group[i].visits) {
            step_visitor(self, i);
        } else {
            step_at_home(self, i);
            after_step(self, i);
        }
    }
    if (has_one_stream(self) && self->visiting == 0) {
        ps_op_wait(self->scheme->e, PS_EAGER_STREAM);
    }
}
