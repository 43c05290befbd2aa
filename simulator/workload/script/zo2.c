/* SPDX-License-Identifier: MIT
 *
 * The schedule of ZO2, as its released code issues it.
 */
#include "workload/script/zo2.h"

#include "base/checked.h"
#include "base/memory.h"
#include "workload/eager/eager_parts.h"
#include "workload/script/pinned.h"

enum { SIDES = 2 };

/* What a step's variables hold. */
typedef struct step {
    ps_model *m;
    const ps_dual_ops *ops;
    ps_dual_pass pass[SIDES];
    ps_tensor shared[PS_DUAL_SLOTS];
    size_t *by_block; /* numbers of parameters, those of a block together, in order */
    size_t *begin;    /* of each block in it, and its end; block 0 is none */
    bool updates;
} step;

/* ---- parameters of a module ---- */

/* Some parameters, by their numbers. */
typedef struct listed {
    const size_t *parameter;
    size_t count;
} listed;

static listed list_block(const step *self, int64_t index)
{
    const size_t *begin = &self->begin[index + 1];
    return (listed){self->by_block + begin[0], begin[1] - begin[0]};
}

/* Of a module outside blocks: `room` receives the numbers. */
static listed list_own(const step *self, const ps_tensor own[PS_DUAL_OWN], size_t room[PS_DUAL_OWN])
{
    const ps_model *m = self->m;
    listed out = {.parameter = room};
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

/* Counts the parameters of each block, then puts each behind those before it. */
static void sort_by_block(step *self)
{
    const ps_model *m = self->m;
    for (size_t i = 0; i < m->parameter_count; i++) {
        self->begin[m->shape[i].block + 1]++;
    }
    for (int64_t block = 1; block <= self->ops->block_count(m) + 1; block++) {
        self->begin[block] += self->begin[block - 1];
    }
    for (size_t i = 0; i < m->parameter_count; i++) {
        self->by_block[self->begin[m->shape[i].block]++] = i;
    }
    for (int64_t block = self->ops->block_count(m) + 1; block > 0; block--) {
        self->begin[block] = self->begin[block - 1];
    }
    self->begin[0] = 0;
}

/* ---- two passes through one module ---- */

/* The host waits until a queue is empty; what follows goes to `next`. */
static void wait_for(step *self, ps_eager_lane lane, ps_eager_lane next)
{
    const ps_eager_kernel wait = {.name = "synchronize", .kind = PS_KERNEL_WAIT};
    (void)ps_eager_set_lane(self->m->e, lane);
    ps_op_tell(self->m->e, &wait);
    (void)ps_eager_set_lane(self->m->e, next);
}

typedef struct call {
    ps_tensor (*module)(ps_model *m, const ps_dual_pass *pass);
    ps_tensor (*block)(ps_model *m, const ps_dual_pass *pass, int64_t index);
    int64_t index;
    int slot;
} call;

static ps_tensor run_one(step *self, const call *with, int side)
{
    const ps_dual_pass *pass = &self->pass[side];
    return with->block != NULL ? with->block(self->m, pass, with->index)
                               : with->module(self->m, pass);
}

static void assign_both(step *self, int slot, const ps_tensor made[SIDES])
{
    for (int side = 0; side < SIDES; side++) {
        ps_eager_assign(self->m->e, &self->pass[side].slot[slot], made[side]);
    }
}

static void run_dual(step *self, const call *with, listed own)
{
    ps_tensor made[SIDES];
    wait_for(self, PS_EAGER_COMPUTE, PS_EAGER_MAIN);
    wait_for(self, PS_EAGER_UPLOAD, PS_EAGER_COMPUTE);
    if (self->updates) {
        ps_zo2_update(self->m, own.parameter, own.count);
    }
    ps_zo2_perturb(self->m, own.parameter, own.count);
    made[0] = run_one(self, with, 0);
    ps_zo2_perturb(self->m, own.parameter, own.count);
    made[1] = run_one(self, with, 1);
    ps_zo2_perturb(self->m, own.parameter, own.count);
    (void)ps_eager_set_lane(self->m->e, PS_EAGER_MAIN);
    assign_both(self, with->slot, made);
}

static void run_stage(step *self, const ps_dual_stage *stage)
{
    const call with = {.module = stage->run, .slot = stage->slot};
    ps_tensor own[PS_DUAL_OWN] = {0};
    size_t room[PS_DUAL_OWN];
    if (stage->is_shared) {
        ps_eager_assign(self->m->e, &self->shared[stage->slot],
                        stage->run(self->m, &self->pass[0]));
    } else if (stage->own == NULL) {
        wait_for(self, PS_EAGER_COMPUTE, PS_EAGER_COMPUTE);
        const ps_tensor made[SIDES] = {run_one(self, &with, 0), run_one(self, &with, 1)};
        (void)ps_eager_set_lane(self->m->e, PS_EAGER_MAIN);
        assign_both(self, stage->slot, made);
    } else if (stage->own(self->m, own)) {
        run_dual(self, &with, list_own(self, own, room));
    }
}

static void run_stages(step *self, const ps_dual_stage *stage, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        run_stage(self, &stage[i]);
    }
}

/* ---- blocks ---- */

static void tell_copy(step *self, ps_tensor parameter, ps_kernel_kind kind, const char *name)
{
    const ps_eager_kernel copy = {.name = name,
                                  .kind = kind,
                                  .moved_bytes = ps_eager_bytes(self->m->e, parameter),
                                  .launches = 1};
    ps_op_tell(self->m->e, &copy);
}

/* module.to(device): one parameter after the other */
static void upload(step *self, int64_t index)
{
    ps_model *m = self->m;
    wait_for(self, PS_EAGER_UPLOAD, PS_EAGER_UPLOAD);
    ps_eager_set_block(m->e, (uint32_t)index + 1);
    const listed own = list_block(self, index);
    for (size_t i = 0; i < own.count; i++) {
        const ps_tensor parameter = m->parameter[own.parameter[i]];
        ps_eager_bring(m->e, parameter, PS_ROLE_PARAMETER);
        tell_copy(self, parameter, PS_KERNEL_UPLOAD, "upload");
    }
    ps_eager_set_block(m->e, 0);
    (void)ps_eager_set_lane(m->e, PS_EAGER_MAIN);
}

static void offload(step *self, int64_t index)
{
    ps_model *m = self->m;
    wait_for(self, PS_EAGER_OFFLOAD, PS_EAGER_MAIN);
    wait_for(self, PS_EAGER_COMPUTE, PS_EAGER_OFFLOAD);
    ps_eager_set_block(m->e, (uint32_t)index + 1);
    const listed own = list_block(self, index);
    for (size_t i = 0; i < own.count; i++) {
        const ps_tensor parameter = m->parameter[own.parameter[i]];
        tell_copy(self, parameter, PS_KERNEL_OFFLOAD, "offload");
        ps_eager_send_away(m->e, parameter);
    }
    ps_eager_set_block(m->e, 0);
    (void)ps_eager_set_lane(m->e, PS_EAGER_MAIN);
}

static void run_block(step *self, int64_t index)
{
    const call with = {.block = self->ops->block, .index = index, .slot = PS_DUAL_HIDDEN};
    ps_eager_set_block(self->m->e, (uint32_t)index + 1);
    run_dual(self, &with, list_block(self, index));
    ps_eager_set_block(self->m->e, 0);
}

static void run_blocks(step *self)
{
    const int64_t count = self->ops->block_count(self->m);
    upload(self, 0);
    for (int64_t i = 1; i < count; i++) {
        if (i >= 2) {
            offload(self, i - 2);
        }
        run_block(self, i - 1);
        upload(self, i);
    }
    if (count >= 2) {
        offload(self, count - 2);
    }
    run_block(self, count - 1);
    offload(self, count - 1);
}

/* ---- head and loss ---- */

enum { SHIFTED = 2, LABELS = 3, LOSS = 4 };

/* logits[..., :-1, :].contiguous(): a copy where there are several sequences */
static ps_tensor shift_logits(ps_model *m, const ps_dual_pass *pass)
{
    const ps_batch *batch = pass->batch;
    const ps_tensor logits = pass->slot[PS_DUAL_LOGITS];
    const int64_t classes = ps_eager_elements(m->e, logits) / (batch->batch * batch->length);
    const int64_t elements = batch->batch * (batch->length - 1) * classes;
    return batch->batch == 1 ? ps_op_view(m->e, logits, elements, false)
                             : ps_op_plain(m->e, "copy", elements, ps_eager_dtype(m->e, logits));
}

static ps_tensor shift_labels(ps_model *m, const ps_dual_pass *pass)
{
    const ps_batch *batch = pass->batch;
    const int64_t elements = batch->batch * (batch->length - 1);
    const ps_tensor labels = batch->labels != 0 ? batch->labels : batch->ids;
    return batch->batch == 1 ? ps_op_view(m->e, labels, elements, false)
                             : ps_op_plain(m->e, "copy", elements, PS_DTYPE_I64);
}

static ps_tensor find_loss(ps_model *m, const ps_dual_pass *pass)
{
    const int64_t rows = pass->batch->batch * (pass->batch->length - 1);
    const ps_tensor logits = pass->slot[SHIFTED];
    return ps_op_cross_entropy(m->e, logits, pass->slot[LABELS], rows,
                               ps_eager_elements(m->e, logits) / rows);
}

static const ps_dual_stage loss_stages[] = {{.run = shift_logits, .slot = SHIFTED},
                                            {.run = shift_labels, .slot = LABELS},
                                            {.run = find_loss, .slot = LOSS}};

/* (loss1 - loss2) / (2 epsilon) goes to the host */
static void find_slope(step *self)
{
    ps_eager *e = self->m->e;
    ps_tensor difference = ps_op_plain(e, "sub", 1, ps_eager_dtype(e, self->pass[0].slot[LOSS]));
    ps_tensor slope = ps_op_plain(e, "div", 1, ps_eager_dtype(e, self->pass[0].slot[LOSS]));
    ps_eager_clear(e, &difference);
    ps_eager_clear(e, &slope);
}

/* ---- a step ---- */

/* Local variables of the function that runs the blocks die: all but what it returns. */
static void leave_blocks(step *self)
{
    for (int i = 0; i < PS_DUAL_SLOTS; i++) {
        for (int side = 0; side < SIDES && i != PS_DUAL_HIDDEN; side++) {
            ps_eager_clear(self->m->e, &self->pass[side].slot[i]);
        }
        ps_eager_clear(self->m->e, &self->shared[i]);
    }
}

static void run_step(step *self)
{
    const ps_dual_ops *ops = self->ops;
    run_stages(self, ops->before, ops->before_count);
    run_blocks(self);
    run_stages(self, ops->after, ops->after_count);
    leave_blocks(self);
    run_stage(self, &ops->head);
    run_stages(self, loss_stages, sizeof loss_stages / sizeof loss_stages[0]);
    for (int i = PS_DUAL_HIDDEN; i < LOSS; i++) {
        for (int side = 0; side < SIDES; side++) {
            ps_eager_clear(self->m->e, &self->pass[side].slot[i]);
        }
    }
    for (ps_eager_lane lane = PS_EAGER_UPLOAD; lane <= PS_EAGER_COMPUTE; lane++) {
        wait_for(self, lane, PS_EAGER_MAIN);
    }
    if (!ps_eager_has_failed(self->m->e)) {
        find_slope(self);
    }
    ps_eager_clear(self->m->e, &self->pass[0].slot[LOSS]);
    ps_eager_clear(self->m->e, &self->pass[1].slot[LOSS]);
}

static void run_listed(step *self)
{
    if (self->by_block == NULL || self->begin == NULL) {
        ps_eager_fail(self->m->e, PS_NOMEM, "out of memory");
        return;
    }
    sort_by_block(self);
    ps_eager_set_phase(self->m->e, PS_EAGER_FORWARD);
    run_step(self);
}

void ps_zo2_step(ps_model *m, const ps_batch *batch, bool updates)
{
    step self = {.m = m, .ops = m->family->dual, .updates = updates};
    for (int side = 0; side < SIDES; side++) {
        self.pass[side] = (ps_dual_pass){.batch = batch, .shared = self.shared};
    }
    self.by_block = ps_calloc(m->parameter_count + 1, sizeof *self.by_block);
    self.begin = ps_calloc((size_t)self.ops->block_count(m) + 3, sizeof *self.begin);
    run_listed(&self);
    ps_free(self.by_block);
    ps_free(self.begin);
}

uint64_t ps_zo2_host_bytes(const ps_model *m)
{
    uint64_t total = 0;
    for (size_t i = 0; i < m->parameter_count; i++) {
        if (m->shape[i].block > 0 &&
            !ps_add_u64(total, ps_pinned_bytes(ps_eager_bytes(m->e, m->parameter[i])), &total)) {
            return UINT64_MAX;
        }
    }
    return total;
}

/* ---- what cannot be ---- */

static bool shares_head(const ps_model *m)
{
    ps_tensor head[PS_DUAL_OWN] = {0}, own[PS_DUAL_OWN] = {0};
    const ps_dual_ops *ops = m->family->dual;
    (void)ops->head.own(m, head);
    for (size_t i = 0; i < ops->before_count; i++) {
        if (ops->before[i].own != NULL && ops->before[i].own(m, own) && own[0] == head[0]) {
            return true;
        }
    }
    return false;
}

ps_code ps_zo2_check(const ps_model *m, ps_error *err)
{
    const ps_recipe *r = m->recipe;
    if (m->family->dual == NULL) {
        return ps_fail(err, PS_USAGE,
                       "zo2 needs a model that is described module by module: opt, not \"%s\"",
                       m->family->model_type);
    }
    if (r->lora_rank > 0) {
        return ps_fail(err, PS_USAGE, "zo2 moves whole blocks: adapters do not go with it");
    }
    if (r->autocast != PS_DTYPE_F32) {
        return ps_fail(err, PS_USAGE, "zo2 under autocast is not described: fp32, bf16 or fp16");
    }
    if (shares_head(m)) {
        return ps_fail(err, PS_USAGE,
                       "zo2 moves the head apart from the embedding: tie_word_embeddings must be "
                       "false in config.json");
    }
    return PS_OK;
}
