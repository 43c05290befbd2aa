/* SPDX-License-Identifier: MIT
 *
 * LSP-Offload: what is done with a gradient: offloaded, used by the host's Adam,
 * uploaded as a difference, and applied.
 */
#include "workload/script/lsp_parts.h"

#define WORKER PS_EAGER_WORKER

/* Bytes of host memory for each element. The fused Adam reads and writes gradient (which becomes the
 * difference) and two moments; the check for numbers that are none reads the gradient once more, and
 * its flags stay in the caches. */
enum { ADAM_BYTES = 6 * 4, CHECK_BYTES = 4, ITEM_BYTES = 8 };

/* isnan(x).sum().item(): the host waits for the lane, whose work it does not want to find broken */
static void check_finite(ps_lsp *self, ps_eager_lane lane, ps_tensor tensor)
{
    ps_eager *e = self->e;
    const int64_t elements = ps_eager_elements(e, tensor);
    const ps_eager_lane was = ps_eager_set_lane(e, lane);
    ps_tensor flags = ps_op_result(e, elements, PS_DTYPE_BOOL);
    ps_op_kernel(e, "isnan", ps_eager_bytes(e, tensor) + ps_eager_bytes(e, flags));
    ps_eager_touch(e, tensor, false);
    ps_tensor sum = ps_op_result(e, 1, PS_DTYPE_I64);
    ps_op_kernel(e, "sum", ps_eager_bytes(e, flags));
    ps_eager_touch(e, sum, true);
    const ps_host_copy item = {.name = "item",
                               .kind = PS_COPY_DTOH,
                               .memory = PS_MEMORY_PAGEABLE,
                               .lane = lane,
                               .bytes = ITEM_BYTES,
                               .is_blocking = true,
                               .from = sum};
    ps_op_host_copy(e, &item);
    ps_eager_clear(e, &sum);
    ps_eager_clear(e, &flags);
    (void)ps_eager_set_lane(e, was);
}

/* The device may use a gradient's memory again when its copy is done, some gradients later. */
static void let_go_later(ps_lsp *self, ps_tensor owned, uint32_t mark)
{
    const size_t at = self->left++ % PS_LSP_STAGED;
    if (self->leaving[at] != 0) {
        ps_op_join_mark(self->e, PS_EAGER_MAIN, self->leaving_mark[at]);
        ps_eager_clear(self->e, &self->leaving[at]);
    }
    self->leaving[at] = owned;
    self->leaving_mark[at] = mark;
}

static void offload(ps_lsp *self, ps_lsp_linear *of)
{
    ps_op_join_mark(self->e, PS_EAGER_OFFLOAD, of->staged_mark);
    if (!self->settings->is_ideal) {
        check_finite(self, PS_EAGER_OFFLOAD, of->staged);
    }
    const ps_host_copy copy = {.name = "offload",
                               .kind = PS_COPY_DTOH,
                               .memory = PS_MEMORY_PINNED,
                               .lane = PS_EAGER_OFFLOAD,
                               .bytes = ps_eager_bytes(self->e, of->staged),
                               .mark = of->off_mark,
                               .from = of->staged,
                               .to = of->pinned};
    ps_op_host_copy(self->e, &copy);
    if (self->settings->is_ideal) {
        let_go_later(self, of->staged, of->off_mark);
        of->staged = 0;
    } else {
        ps_eager_clear(self->e, &of->staged); /* as released: while the copy still runs */
    }
}

static void update(ps_lsp *self, ps_lsp_linear *of)
{
    const bool is_ideal = self->settings->is_ideal;
    const uint64_t elements = (uint64_t)ps_eager_elements(self->e, of->pinned);
    if (is_ideal) {
        ps_op_join_mark(self->e, WORKER, of->off_mark);
    } else {
        ps_op_wait_mark(self->e, of->off_mark);
    }
    const ps_cpu_work adam = {.name = "fused_adam",
                              .lane = is_ideal ? WORKER : PS_EAGER_MAIN,
                              .bytes =
                                  elements * (uint64_t)(ADAM_BYTES + (is_ideal ? 0 : CHECK_BYTES)),
                              .mark = of->upd_mark,
                              .read = of->pinned,
                              .written = of->pinned};
    ps_op_cpu(self->e, &adam);
    ps_eager_touch(self->e, of->moment[0], true);
    ps_eager_touch(self->e, of->moment[1], true);
}

static void upload(ps_lsp *self, ps_lsp_linear *of)
{
    ps_eager *e = self->e;
    if (self->settings->is_ideal) {
        ps_op_join_mark(e, PS_EAGER_UPLOAD, of->upd_mark);
        ps_op_join_mark(e, PS_EAGER_UPLOAD, self->applied_mark); /* whose memory may come again */
    }
    const ps_eager_lane was = ps_eager_set_lane(e, PS_EAGER_UPLOAD);
    of->delta = ps_eager_make(e, ps_eager_elements(e, of->pinned), PS_DTYPE_F32, PS_ROLE_TEMPORARY);
    (void)ps_eager_set_lane(e, was);
    const ps_host_copy copy = {.name = "upload",
                               .kind = PS_COPY_HTOD,
                               .memory = PS_MEMORY_PINNED,
                               .lane = PS_EAGER_UPLOAD,
                               .bytes = ps_eager_bytes(e, of->pinned),
                               .mark = of->upl_mark,
                               .from = of->pinned,
                               .to = of->delta};
    ps_op_host_copy(e, &copy);
}

/* weight.add_(spread(delta.to(weight.dtype))) */
static void apply(ps_lsp *self, ps_lsp_linear *of)
{
    ps_eager *e = self->e;
    if (!self->settings->is_ideal) {
        check_finite(self, PS_EAGER_MAIN, of->delta);
    }
    ps_op_join_mark(e, PS_EAGER_MAIN, of->upl_mark);
    ps_tensor narrow = ps_op_copy_to(e, of->delta, ps_eager_dtype(e, of->weight));
    ps_eager_touch(e, of->delta, false);
    ps_tensor whole = ps_lsp_spread(self, of, narrow);
    const ps_eager_kernel add = {.name = "apply",
                                 .moved_bytes = 3 * ps_eager_bytes(e, of->weight),
                                 .launches = 1,
                                 .mark = self->applied_mark};
    ps_op_tell(e, &add);
    ps_eager_touch(e, of->weight, true);
    ps_eager_clear(e, &whole);
    ps_eager_clear(e, &narrow);
    ps_eager_clear(e, &of->delta);
}

void ps_lsp_do(ps_lsp *self, ps_lsp_item item)
{
    ps_lsp_linear *of = &self->linear[item.linear];
    const uint32_t block = ps_eager_block_now(self->e);
    ps_eager_set_block(self->e, of->block);
    switch (item.act) {
    case PS_LSP_OFF:
        offload(self, of);
        break;
    case PS_LSP_UPD:
        update(self, of);
        break;
    case PS_LSP_UPL:
        upload(self, of);
        break;
    case PS_LSP_APP:
        apply(self, of);
        break;
    }
    ps_eager_set_block(self->e, block);
}
