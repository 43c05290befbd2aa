/* SPDX-License-Identifier: MIT
 *
 * ZeRO-Offload: gradients leave as they come, the host steps, weights come back.
 */
#include "workload/script/zero_offload.h"

#include <string.h>

#include "base/memory.h"
#include "workload/eager/eager_parts.h"
#include "workload/eager/ops.h"
#include "workload/eager/ops_host.h"

/* Bytes of host memory for each parameter: 32-bit copy and two moments are read and written; what
 * crosses the link is read as a gradient and written as a weight. */
enum { STATE_BYTES = 3 * 2 * 4, TIMES_TRANSFERRED = 2 };

/* Gradients whose copies may still run while the device computes on. */
#define LEAVING 4

/* Steps whose gradients the host may have at once: this one's arrive, the last one's are used. */
#define SIDES 2

struct ps_zero_offload {
    ps_model *m;
    ps_eager *e;
    ps_dtype transfer;
    ps_tensor state[3];      /* of the host, all parameters: 32-bit copy, moments */
    ps_tensor buffer[SIDES]; /* what crosses the link: gradients, then weights */
    ps_tensor leaving[LEAVING];
    uint32_t leaving_mark[LEAVING];
    size_t left;              /* gradients that have left, over the whole run */
    uint32_t upd_mark[SIDES]; /* of the host's work on a side */
    uint64_t steps;
    int64_t micro_batch; /* of the step, whose backward is next or runs */
    bool has_begun;      /* the first gradient of that backward has come */
    bool is_delayed;
};

static int side_of(const ps_zero_offload *self, uint64_t step)
{
    return self->is_delayed ? (int)(step % SIDES) : 0;
}

/* ---- backward ---- */

/* The device may use a gradient's memory again when its copy is done. */
static void let_go_later(ps_zero_offload *self, ps_tensor owned)
{
    const size_t at = self->left % LEAVING;
    self->leaving[at] = owned;
    self->left++;
}

static uint32_t make_room(ps_zero_offload *self)
{
    const size_t at = self->left % LEAVING;
    if (self->leaving[at] != 0) {
        ps_op_join_mark(self->e, PS_EAGER_MAIN, self->leaving_mark[at]);
        ps_eager_clear(self->e, &self->leaving[at]);
    }
    return self->leaving_mark[at];
}

/* What earlier micro-batches of the step have left on the host comes back and is added. */
static void add_earlier(ps_zero_offload *self, ps_tensor grad)
{
    ps_eager *e = self->e;
    if (self->micro_batch == 0) {
        return;
    }
    if (!self->has_begun) {
        ps_op_join(e, PS_EAGER_MAIN, PS_EAGER_OFFLOAD);
    }
    self->has_begun = true;
    /* a slice of the buffer that no other copy of this backward touches: it is not told as a whole */
    ps_tensor earlier =
        ps_eager_make(e, ps_eager_elements(e, grad), self->transfer, PS_ROLE_TEMPORARY);
    const ps_host_copy copy = {.name = "earlier",
                               .kind = PS_COPY_HTOD,
                               .memory = PS_MEMORY_PINNED,
                               .lane = PS_EAGER_MAIN,
                               .bytes = ps_eager_bytes(e, earlier),
                               .to = earlier};
    ps_op_host_copy(e, &copy);
    ps_op_add_into(e, grad, earlier);
    ps_eager_touch(e, earlier, false);
    ps_eager_touch(e, grad, true);
    ps_eager_clear(e, &earlier);
}

static void take_gradient(void *context, ps_tensor leaf, ps_tensor owned)
{
    ps_zero_offload *self = context;
    ps_eager *e = self->e;
    const uint32_t mark = make_room(self);
    (void)leaf;
    if (ps_eager_dtype(e, owned) != self->transfer) {
        ps_eager_assign(e, &owned, ps_op_copy_to(e, owned, self->transfer));
        ps_eager_touch(e, owned, true);
    }
    add_earlier(self, owned);
    ps_op_join(e, PS_EAGER_OFFLOAD, PS_EAGER_MAIN);
    const ps_host_copy copy = {.name = "offload",
                               .kind = PS_COPY_DTOH,
                               .memory = PS_MEMORY_PINNED,
                               .lane = PS_EAGER_OFFLOAD,
                               .bytes = ps_eager_bytes(e, owned),
                               .mark = mark,
                               .from = owned,
                               .to = self->buffer[side_of(self, self->steps)]};
    ps_op_host_copy(e, &copy);
    let_go_later(self, owned);
}

void ps_zero_offload_end_backward(ps_zero_offload *self)
{
    if (self != NULL) {
        self->micro_batch++;
        self->has_begun = false;
    }
}

/* ---- the step ---- */

static void update(ps_zero_offload *self, ps_eager_lane lane, int side)
{
    const uint64_t bytes =
        self->m->trained_elements *
        (STATE_BYTES + TIMES_TRANSFERRED * (uint64_t)ps_dtype_bytes(self->transfer));
    const ps_cpu_work adam = {.name = "cpu_adam",
                              .lane = lane,
                              .bytes = bytes,
                              .mark = self->upd_mark[side],
                              .read = self->buffer[side],
                              .written = self->buffer[side]};
    ps_op_cpu(self->e, &adam);
    for (int i = 0; i < 3; i++) {
        ps_eager_touch(self->e, self->state[i], true);
    }
}

/* A weight comes in its own type, or in another beside it that a kernel of the same queue narrows. */
static void upload_one(ps_zero_offload *self, ps_tensor parameter, int side)
{
    ps_eager *e = self->e;
    const int64_t elements = ps_eager_elements(e, parameter);
    const bool is_narrowed = ps_eager_dtype(e, parameter) != self->transfer;
    ps_tensor arrived = is_narrowed ? ps_eager_make(e, elements, self->transfer, PS_ROLE_TEMPORARY)
                                    : ps_eager_hold(e, parameter);
    const ps_host_copy copy = {.name = "upload",
                               .kind = PS_COPY_HTOD,
                               .memory = PS_MEMORY_PINNED,
                               .lane = PS_EAGER_UPLOAD,
                               .bytes = ps_eager_bytes(e, arrived),
                               .from = self->buffer[side],
                               .to = arrived};
    ps_op_host_copy(e, &copy);
    if (is_narrowed) {
        ps_op_kernel_by(e, "copy", PS_ACCESS_STRIDED,
                        ps_eager_bytes(e, arrived) + ps_eager_bytes(e, parameter),
                        ps_eager_elements(e, parameter));
        ps_eager_touch(e, arrived, false);
        ps_eager_touch(e, parameter, true);
    }
    ps_eager_clear(e, &arrived);
}

/* Both directions are used one after the other; no kernel uses weights meanwhile. */
static void upload(ps_zero_offload *self, int side)
{
    ps_eager *e = self->e;
    ps_op_join(e, PS_EAGER_UPLOAD, PS_EAGER_OFFLOAD);
    ps_op_join(e, PS_EAGER_UPLOAD, PS_EAGER_MAIN);
    ps_op_join_mark(e, PS_EAGER_UPLOAD, self->upd_mark[side]);
    const ps_eager_lane was = ps_eager_set_lane(e, PS_EAGER_UPLOAD);
    for (size_t i = 0; i < self->m->parameter_count; i++) {
        ps_eager_set_block(e, self->m->shape[i].block);
        upload_one(self, self->m->parameter[i], side);
    }
    ps_eager_set_block(e, 0);
    (void)ps_eager_set_lane(e, was);
    ps_op_join(e, PS_EAGER_MAIN, PS_EAGER_UPLOAD);
}

void ps_zero_offload_step(ps_zero_offload *self)
{
    const int side = side_of(self, self->steps);
    if (!self->is_delayed) {
        ps_op_wait(self->e, PS_EAGER_OFFLOAD);
        update(self, PS_EAGER_MAIN, side);
        upload(self, side);
    } else {
        ps_op_join(self->e, PS_EAGER_WORKER, PS_EAGER_OFFLOAD);
        if (self->steps > 0) {
            upload(self, side_of(self, self->steps - 1));
        }
        update(self, PS_EAGER_WORKER, side);
    }
    self->steps++;
    self->micro_batch = 0;
}

/* ---- making ---- */

ps_code ps_zero_offload_check(const ps_recipe *r, ps_error *err)
{
    if (strcmp(r->optimizer, "adam") != 0 && strcmp(r->optimizer, "adamw") != 0) {
        return ps_fail(err, PS_USAGE,
                       "zero-offload steps by the host's Adam: --optimizer adam or adamw, not "
                       "\"%s\"",
                       r->optimizer);
    }
    if (r->autocast != PS_DTYPE_F32 || r->scales_loss || r->lora_rank > 0 || r->clips) {
        return ps_fail(
            err, PS_USAGE,
            "zero-offload with autocast, adapters or clipped gradients is not described");
    }
    return PS_OK;
}

static void place(ps_zero_offload *self)
{
    ps_eager *e = self->e;
    const int64_t elements = (int64_t)self->m->trained_elements;
    const ps_memory_kind was = ps_eager_set_memory(e, PS_MEMORY_PINNED);
    for (int i = 0; i < 3; i++) {
        self->state[i] = ps_eager_make(e, elements, PS_DTYPE_F32, PS_ROLE_OPTIMIZER_STATE);
    }
    for (int side = 0; side < (self->is_delayed ? SIDES : 1); side++) {
        self->buffer[side] = ps_eager_make(e, elements, self->transfer, PS_ROLE_GRADIENT);
        self->upd_mark[side] = ps_eager_new_mark(e);
    }
    (void)ps_eager_set_memory(e, was);
    const ps_cpu_work begin = {.name = "host_state",
                               .lane = PS_EAGER_MAIN,
                               .bytes = 3 * ps_eager_bytes(e, self->state[0]),
                               .written = self->state[0]};
    ps_op_cpu(e, &begin);
    ps_eager_touch(e, self->state[1], true);
    ps_eager_touch(e, self->state[2], true);
    for (size_t i = 0; i < LEAVING; i++) {
        self->leaving_mark[i] = ps_eager_new_mark(e);
    }
    ps_eager_set_grad_taker(e, take_gradient, self);
}

ps_code ps_zero_offload_create(ps_model *m, ps_zero_offload **out, ps_error *err)
{
    const ps_zero_offload_settings *s = &m->recipe->offload.zero;
    ps_zero_offload *self = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return ps_fail_nomem(err);
    }
    *self = (ps_zero_offload){.m = m, .e = m->e, .is_delayed = s->is_delayed};
    self->transfer = s->has_transfer ? s->transfer : m->recipe->parameters;
    *out = self;
    place(self);
    return ps_eager_code(m->e, err);
}

void ps_zero_offload_destroy(ps_zero_offload *self)
{
    ps_free(self);
}
