/* SPDX-License-Identifier: MIT
 *
 * States of an optimizer on the host. A step brings and sends them in its own
 * thread: tensor.to(device), tensor.to("cpu"), which wait.
 */
#include "base/memory.h"
#include "workload/eager/ops.h"
#include "workload/eager/ops_host.h"
#include "workload/optimizer/optimizer_parts.h"

void ps_optimizer_note_state(ps_optimizer *self, ps_tensor made)
{
    if (!self->is_on_host || made == 0) {
        return;
    }
    if (ps_eager_elements(self->e, made) == 1) {
        return; /* a counter of steps stays */
    }
    if (ps_grow((void **)&self->state, &self->state_capacity, self->state_count + 1,
                (size_t)1 << 26, sizeof *self->state, NULL) != PS_OK) {
        ps_eager_fail(self->e, PS_NOMEM, "out of memory");
        return;
    }
    self->state[self->state_count++] =
        (ps_optimizer_state){.parameter = self->making, .device = made};
}

static bool is_active(const ps_optimizer *self, const ps_optimizer_state *of)
{
    return ps_eager_grad(self->e, ps_optimizer_parameter(self, of->parameter)) != 0;
}

static void copy(ps_optimizer *self, const ps_optimizer_state *of, ps_copy_kind kind)
{
    const bool is_up = kind == PS_COPY_HTOD;
    const ps_host_copy how = {.name = is_up ? "upload" : "offload",
                              .kind = kind,
                              .memory = PS_MEMORY_PAGEABLE,
                              .lane = PS_EAGER_MAIN,
                              .bytes = ps_eager_bytes(self->e, of->device),
                              .is_blocking = true,
                              .from = is_up ? of->host : of->device,
                              .to = is_up ? of->device : of->host};
    ps_op_host_copy(self->e, &how);
}

void ps_optimizer_bring_states(ps_optimizer *self)
{
    for (size_t i = 0; i < self->state_count; i++) {
        const ps_optimizer_state *of = &self->state[i];
        if (is_active(self, of)) {
            ps_eager_refill(self->e, of->device, ps_eager_bytes(self->e, of->device),
                            PS_ROLE_OPTIMIZER_STATE);
            copy(self, of, PS_COPY_HTOD);
        }
    }
}

static void make_host(ps_optimizer *self, ps_optimizer_state *of)
{
    const ps_memory_kind was = ps_eager_set_memory(self->e, PS_MEMORY_PAGEABLE);
    of->host = ps_eager_make(self->e, ps_eager_elements(self->e, of->device),
                             ps_eager_dtype(self->e, of->device), PS_ROLE_OPTIMIZER_STATE);
    (void)ps_eager_set_memory(self->e, was);
}

void ps_optimizer_send_states(ps_optimizer *self)
{
    if (!self->is_on_host) {
        return;
    }
    for (size_t i = 0; i < self->state_count; i++) { /* the newest kernel wrote them */
        if (is_active(self, &self->state[i])) {
            ps_eager_touch(self->e, self->state[i].device, true);
        }
    }
    for (size_t i = 0; i < self->state_count; i++) {
        ps_optimizer_state *of = &self->state[i];
        if (is_active(self, of)) {
            if (of->host == 0) {
                make_host(self, of);
            }
            copy(self, of, PS_COPY_DTOH);
        }
    }
    for (size_t i = 0; i < self->state_count; i++) {
        if (is_active(self, &self->state[i])) {
            ps_eager_empty(self->e, self->state[i].device);
        }
    }
    ps_eager_release_cache(self->e);
}
