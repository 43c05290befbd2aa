/* SPDX-License-Identifier: MIT
 *
 * The backend that does nothing: no time passes, no memory is taken. What
 * remains is the harness itself, its order and its books, which is what the
 * tests of the harness need and what a quick look at a plan's memory needs.
 */
#include "base/memory.h"
#include "replay/backend.h"

struct ps_backend {
    uint32_t task_count; /* bound for a check on submit */
};

static ps_code null_open(const ps_backend_setup *setup, ps_backend **out, ps_error *err)
{
    ps_backend *self = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return ps_fail_nomem(err);
    }
    self->task_count = (uint32_t)setup->plan->task.head.count;
    *out = self;
    return PS_OK;
}

static void null_close(ps_backend *self)
{
    ps_free(self);
}

static ps_code null_allocate(ps_backend *self, uint32_t device, uint64_t bytes,
                             ps_backend_memory *out, ps_error *err)
{
    (void)self;
    (void)device;
    (void)err;
    *out = (ps_backend_memory){.bytes = bytes};
    return PS_OK;
}

static void null_release(ps_backend *self, uint32_t device, ps_backend_memory memory)
{
    (void)self;
    (void)device;
    (void)memory;
}

/* Every byte counts as moved, in no time. */
static ps_code null_submit(ps_backend *self, uint32_t lane, const ps_backend_work *work,
                           ps_backend_answer *answer, ps_backend_ticket *ticket,
                           ps_backend_result *result, ps_error *err)
{
    (void)lane;
    (void)ticket;
    if (work->task >= self->task_count) {
        return ps_fail(err, PS_INTERNAL, "work for task %u of %u", work->task, self->task_count);
    }
    *answer = PS_BACKEND_DONE;
    *result = (ps_backend_result){.moved_bytes = work->bytes};
    return PS_OK;
}

extern const ps_backend_ops ps_backend_null;
const ps_backend_ops ps_backend_null = {
    .abi = PS_BACKEND_ABI,
    .name = "null",
    .summary = "order and byte accounting only, no time passes",
    .capabilities = PS_BACKEND_COPIES | PS_BACKEND_FILLS | PS_BACKEND_COLLECTIVES,
    .open = null_open,
    .close = null_close,
    .allocate = null_allocate,
    .release = null_release,
    .submit = null_submit,
};
