/* SPDX-License-Identifier: MIT
 *
 * Who brings weights, and lets them go.
 */
#include "workload/script/weights.h"

#include "base/memory.h"
#include "workload/eager/eager_parts.h"
#include "workload/eager/ops_host.h"
#include "workload/scheme/units.h"

/* Weights of one block. */
typedef struct held {
    bool goes; /* it is one of those that lie on the host */
    bool is_here, is_awaited;
    uint32_t mark; /* of its last copy */
} held;

struct ps_weights {
    ps_model *m;
    ps_eager *e;
    ps_units units;
    ps_tensor *host; /* per member; 0: it lies on the device */
    held *block;     /* per unit */
    uint32_t last;   /* block that goes */
    ps_model_hooks hooks;
};

/* ---- coming and going ---- */

static void bring(ps_weights *self, uint32_t block)
{
    held *b = &self->block[block];
    if (!b->goes || b->is_here) {
        return;
    }
    b->is_here = true;
    b->is_awaited = false;
    b->mark = b->mark != 0 ? b->mark : ps_eager_new_mark(self->e);
    for (size_t i = self->units.begin[block]; i < self->units.begin[block + 1]; i++) {
        if (self->host[i] != 0) {
            const ps_tensor tensor = self->units.member[i].tensor;
            ps_eager_refill(self->e, tensor, ps_eager_bytes(self->e, tensor), PS_ROLE_PARAMETER);
        }
    }
    /* what had that memory before may still be read */
    ps_op_join(self->e, PS_EAGER_UPLOAD, PS_EAGER_MAIN);
    for (size_t i = self->units.begin[block]; i < self->units.begin[block + 1]; i++) {
        const ps_tensor tensor = self->units.member[i].tensor;
        const ps_host_copy copy = {.name = "upload",
                                   .kind = PS_COPY_HTOD,
                                   .memory = PS_MEMORY_PINNED,
                                   .lane = PS_EAGER_UPLOAD,
                                   .bytes = ps_eager_bytes(self->e, tensor),
                                   .mark = b->mark,
                                   .from = self->host[i],
                                   .to = tensor};
        if (self->host[i] != 0) {
            ps_op_host_copy(self->e, &copy);
        }
    }
}

static void await(ps_weights *self, uint32_t block)
{
    held *b = &self->block[block];
    if (b->goes && !b->is_awaited) {
        ps_op_join_mark(self->e, PS_EAGER_MAIN, b->mark);
        b->is_awaited = true;
    }
}

/* The newest kernel is the last one that read them. */
static void let_go(ps_weights *self, uint32_t block)
{
    held *b = &self->block[block];
    if (!b->goes || !b->is_here) {
        return;
    }
    await(self, block); /* also what nobody used must have come before its memory goes */
    for (size_t i = self->units.begin[block]; i < self->units.begin[block + 1]; i++) {
        if (self->host[i] != 0) {
            ps_eager_touch(self->e, self->units.member[i].tensor, false);
            ps_eager_empty(self->e, self->units.member[i].tensor);
        }
    }
    b->is_here = false;
}

/* ---- forward ---- */

static ps_tensor enter_block(void *context, uint32_t block, ps_tensor owned)
{
    ps_weights *self = context;
    const int64_t ahead = self->m->recipe->streaming.prefetch;
    bring(self, block);
    await(self, block);
    for (uint32_t next = block + 1; next <= block + ahead && next < self->units.count; next++) {
        bring(self, next);
    }
    ps_eager_assign(self->e, &owned, ps_op_boundary(self->e, owned, 2 * block));
    return owned;
}

static void leave_block(void *context, uint32_t block, ps_tensor out)
{
    ps_weights *self = context;
    ps_eager_mark(self->e, out, 2 * block + 1);
    if (block != self->last || self->m->recipe->is_forward_only) {
        let_go(self, block);
    }
}

/* ---- backward ---- */

/* Odd marks: it comes to a block's output; even ones: it leaves by its input. */
static void on_mark(void *context, uint32_t mark)
{
    ps_weights *self = context;
    const uint32_t block = mark / 2;
    const int64_t ahead = self->m->recipe->streaming.prefetch;
    if (mark % 2 == 0) {
        let_go(self, block);
        return;
    }
    bring(self, block);
    await(self, block);
    for (uint32_t before = block - 1; before > 0 && before + ahead >= block; before--) {
        bring(self, before);
    }
}

/* A block whose input wants no gradient has no end of its own. */
static void end_backward(void *context)
{
    ps_weights *self = context;
    for (uint32_t block = 1; block < self->units.count; block++) {
        let_go(self, block);
    }
}

/* ---- all ---- */

ps_code ps_weights_check(const ps_recipe *r, ps_error *err)
{
    if (!r->streaming.parameters) {
        return PS_OK;
    }
    if (r->lora_rank == 0) {
        return ps_fail(err, PS_USAGE,
                       "--offload-parameters moves weights that are not trained: it needs --lora");
    }
    if (r->quantize != PS_QUANTIZE_NONE) {
        return ps_fail(err, PS_USAGE,
                       "weights of 4 bits lie with their scales, and are not offloaded");
    }
    if (r->policy != PS_TRAIN_POLICY_NONE || ps_parallel_is_on(&r->parallel)) {
        return ps_fail(err, PS_USAGE,
                       "weights are offloaded on one GPU with --policy none: others move or divide "
                       "them themselves");
    }
    return PS_OK;
}

static bool goes(const ps_weights *self, uint32_t block)
{
    const ps_streaming *s = &self->m->recipe->streaming;
    const int64_t blocks = (int64_t)self->units.count - 1;
    return block > s->keep_first && block <= blocks - s->keep_last;
}

/* Weights of a block that stays come to the device, others to the host. */
static void place(ps_weights *self, uint32_t block)
{
    held *b = &self->block[block];
    b->goes = block > 0 && goes(self, block);
    self->last = b->goes ? block : self->last;
    ps_eager_set_block(self->e, block);
    for (size_t i = self->units.begin[block]; i < self->units.begin[block + 1]; i++) {
        const ps_unit_member *member = &self->units.member[i];
        if (!ps_eager_is_away(self->e, member->tensor)) {
            continue;
        }
        if (!b->goes) {
            ps_eager_bring(self->e, member->tensor, PS_ROLE_PARAMETER);
            continue;
        }
        ps_eager_bring_empty(self->e, member->tensor);
        const ps_memory_kind was = ps_eager_set_memory(self->e, PS_MEMORY_PINNED);
        self->host[i] = ps_eager_make(self->e, ps_eager_elements(self->e, member->tensor),
                                      ps_eager_dtype(self->e, member->tensor), PS_ROLE_PARAMETER);
        (void)ps_eager_set_memory(self->e, was);
    }
    ps_eager_set_block(self->e, 0);
}

static ps_code prepare(ps_weights *self, ps_error *err)
{
    PS_TRY(ps_units_create(&self->units, self->m, err));
    self->host = ps_calloc(self->units.member_count + 1, sizeof *self->host);
    self->block = ps_calloc(self->units.count + 1, sizeof *self->block);
    if (self->host == NULL || self->block == NULL) {
        return ps_fail_nomem(err);
    }
    for (uint32_t block = 0; block < self->units.count; block++) {
        place(self, block);
    }
    self->hooks = (ps_model_hooks){.context = self, .enter = enter_block, .leave = leave_block};
    self->m->hooks = &self->hooks;
    ps_eager_set_mark_hook(self->e, on_mark, self);
    ps_eager_set_end_hook(self->e, end_backward, self);
    return PS_OK;
}

ps_code ps_weights_create(ps_model *m, ps_weights **out, ps_error *err)
{
    *out = NULL;
    if (!m->recipe->streaming.parameters) {
        return PS_OK;
    }
    ps_weights *self = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return ps_fail_nomem(err);
    }
    self->m = m;
    self->e = m->e;
    const ps_code code = prepare(self, err);
    if (code != PS_OK) {
        ps_weights_destroy(self);
        return code;
    }
    *out = self;
    return PS_OK;
}

void ps_weights_destroy(ps_weights *self)
{
    if (self == NULL) {
        return;
    }
    self->m->hooks = NULL;
    ps_units_fini(&self->units);
    ps_free(self->host);
    ps_free(self->block);
    ps_free(self);
}
