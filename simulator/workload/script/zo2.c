/* SPDX-License-Identifier: MIT
 *
 * The schedule of ZO2, as its released code issues it.
 */
#include "base/memory.h"
#include "workload/eager/eager_parts.h"
#include "workload/eager/ops.h"
#include "workload/script/zo2_parts.h"

/* ---- blocks ---- */

/* Counts the parameters of each block, then puts each behind those before it. */
static void sort_by_block(ps_zo2 *self)
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

/* Every block comes and goes once; the next one comes while one is visited. */
static void visit_blocks(ps_zo2 *self, void (*visit)(ps_zo2 *self, int64_t index))
{
    const int64_t count = self->ops->block_count(self->m);
    ps_zo2_upload(self, 0);
    for (int64_t i = 1; i < count; i++) {
        if (i >= 2) {
            ps_zo2_offload(self, i - 2);
        }
        visit(self, i - 1);
        ps_zo2_upload(self, i);
    }
    if (count >= 2) {
        ps_zo2_offload(self, count - 2);
    }
    visit(self, count - 1);
    ps_zo2_offload(self, count - 1);
    self->is_pinned = !self->with->is_serial;
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

static const ps_dual_stage shifted_loss[] = {{.run = shift_logits, .slot = SHIFTED},
                                             {.run = shift_labels, .slot = LABELS},
                                             {.run = find_loss, .slot = LOSS}};

static void run_loss(ps_zo2 *self)
{
    const ps_dual_stage own = {.run = self->ops->loss, .slot = LOSS};
    if (self->ops->loss != NULL) {
        ps_zo2_run_stages(self, &own, 1);
    } else {
        ps_zo2_run_stages(self, shifted_loss, sizeof shifted_loss / sizeof shifted_loss[0]);
    }
}

/* (loss1 - loss2) / (2 epsilon) goes to the host */
static void find_slope(ps_zo2 *self)
{
    ps_eager *e = self->m->e;
    const ps_dtype dtype = ps_eager_dtype(e, self->pass[0].slot[LOSS]);
    ps_tensor difference = ps_op_plain(e, "sub", 1, dtype);
    ps_tensor slope = ps_op_plain(e, "div", 1, dtype);
    ps_op_read_back(e, dtype);
    ps_eager_clear(e, &difference);
    ps_eager_clear(e, &slope);
}

/* ---- a step ---- */

/* Local variables of the function that runs the blocks die: all but what it returns. */
static void leave_blocks(ps_zo2 *self)
{
    for (int i = 0; i < PS_DUAL_SLOTS; i++) {
        for (int side = 0; side < PS_ZO2_SIDES && i != PS_DUAL_HIDDEN; side++) {
            ps_eager_clear(self->m->e, &self->pass[side].slot[i]);
        }
        ps_eager_clear(self->m->e, &self->shared[i]);
    }
}

static void wait_for_all(ps_zo2 *self)
{
    for (ps_eager_lane lane = PS_EAGER_UPLOAD; lane <= PS_EAGER_COMPUTE; lane++) {
        ps_zo2_wait(self, lane);
    }
    ps_zo2_let_go(self);
}

static void leave_pass(ps_zo2 *self)
{
    for (int i = PS_DUAL_HIDDEN; i < LOSS; i++) {
        for (int side = 0; side < PS_ZO2_SIDES; side++) {
            ps_eager_clear(self->m->e, &self->pass[side].slot[i]);
        }
    }
}

/* The update of this step, at once: every block comes a second time. */
static void update_apart(ps_zo2 *self)
{
    const ps_dual_ops *ops = self->ops;
    ps_zo2_update_stages(self, ops->before, ops->before_count);
    visit_blocks(self, ps_zo2_update_block);
    ps_zo2_update_stages(self, ops->after, ops->after_count);
    ps_zo2_update_stages(self, &ops->head, 1);
    wait_for_all(self);
}

static void run_step(ps_zo2 *self)
{
    const ps_dual_ops *ops = self->ops;
    ps_zo2_run_stages(self, ops->before, ops->before_count);
    visit_blocks(self, ps_zo2_run_block);
    ps_zo2_run_stages(self, ops->after, ops->after_count);
    leave_blocks(self);
    ps_zo2_run_stages(self, &ops->head, 1);
    run_loss(self);
    leave_pass(self);
    wait_for_all(self);
    if (!ps_eager_has_failed(self->m->e)) {
        find_slope(self);
    }
    ps_eager_clear(self->m->e, &self->pass[0].slot[LOSS]);
    ps_eager_clear(self->m->e, &self->pass[1].slot[LOSS]);
    if (self->with->updates_apart) {
        update_apart(self);
    }
}

void ps_zo2_step(ps_zo2 *self, const ps_batch *batch)
{
    for (int side = 0; side < PS_ZO2_SIDES; side++) {
        self->pass[side] =
            (ps_dual_pass){.batch = batch, .shared = self->shared, .beside = &self->beside[side]};
    }
    self->updates = self->steps++ > 0 && !self->with->updates_apart;
    ps_eager_set_phase(self->m->e, PS_EAGER_FORWARD);
    run_step(self);
}

/* ---- the run ---- */

/* As they were loaded: each in pageable memory of the host. */
static void lie_on_host(ps_zo2 *self)
{
    ps_model *m = self->m;
    const ps_memory_kind was = ps_eager_set_memory(m->e, PS_MEMORY_PAGEABLE);
    for (size_t i = 0; i < m->parameter_count; i++) {
        const int64_t block = (int64_t)m->shape[i].block - 1;
        if (block >= 0 && ps_zo2_offloads(self->with, block)) {
            self->host[i] = ps_eager_make(m->e, ps_eager_elements(m->e, m->parameter[i]),
                                          self->host_dtype, PS_ROLE_PARAMETER);
        }
    }
    (void)ps_eager_set_memory(m->e, was);
}

static ps_dtype host_dtype_of(const ps_recipe *r)
{
    if (r->zo2.has_host_dtype) {
        return r->zo2.host_dtype;
    }
    return r->autocast != PS_DTYPE_F32 ? PS_DTYPE_F16 : r->parameters;
}

ps_code ps_zo2_create(ps_model *m, const ps_zo2_driver *driver, ps_zo2 **out, ps_error *err)
{
    ps_zo2 *self = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return ps_fail_nomem(err);
    }
    *self = (ps_zo2){.m = m,
                     .ops = m->family->dual,
                     .with = &m->recipe->zo2,
                     .driver = *driver,
                     .host_dtype = host_dtype_of(m->recipe),
                     .leaving = PS_ZO2_NO_BLOCK};
    self->host = ps_calloc(m->parameter_count + 1, sizeof *self->host);
    self->by_block = ps_calloc(m->parameter_count + 1, sizeof *self->by_block);
    self->begin = ps_calloc((size_t)self->ops->block_count(m) + 3, sizeof *self->begin);
    if (self->host == NULL || self->by_block == NULL || self->begin == NULL) {
        ps_zo2_destroy(self);
        return ps_fail_nomem(err);
    }
    sort_by_block(self);
    lie_on_host(self);
    *out = self;
    return PS_OK;
}

void ps_zo2_destroy(ps_zo2 *self)
{
    if (self == NULL) {
        return;
    }
    ps_free(self->host);
    ps_free(self->by_block);
    ps_free(self->begin);
    ps_free(self);
}
