/* SPDX-License-Identifier: MIT
 *
 * Gathering: memory is taken and filled in the unshard lane. With mixed precision
 * a narrow copy of the shard is made before, in a lane of its own.
 *
 * Memory that another lane still reads goes back late: the host waits until the
 * unit before the last that was freed is not read any more.
 */
#include "workload/scheme/fsdp1.h"

#define FREED (PS_EAGER_GROUP + 6) /* and the next: moments of the main lane, turn by turn */

/* The host waits for the oldest unit that was freed, and its memory goes. */
static void wait_for_oldest(ps_scheme *self)
{
    ps_fsdp1 *f = ps_fsdp1_of(self);
    const ps_eager_kernel wait = {.name = "synchronize", .kind = PS_KERNEL_WAIT};
    const size_t oldest =
        (f->freed_turn + PS_FSDP1_IN_FLIGHT - f->freed_count) % PS_FSDP1_IN_FLIGHT;
    const ps_eager_lane was = ps_eager_set_lane(self->e, (ps_eager_lane)(FREED + oldest));
    ps_op_tell(self->e, &wait);
    (void)ps_eager_set_lane(self->e, was);
    ps_eager_clear(self->e, &f->freed[0]);
    f->freed[0] = f->freed[1];
    f->freed[1] = 0;
    f->freed_count--;
}

void ps_fsdp1_drop_freed(ps_scheme *self)
{
    ps_fsdp1 *f = ps_fsdp1_of(self);
    for (; f->freed_count > 0; f->freed_count--) {
        ps_eager_clear(self->e, &f->freed[0]);
        f->freed[0] = f->freed[1];
        f->freed[1] = 0;
    }
}

void ps_fsdp1_reshard(ps_scheme *self, ps_fsdp1_unit *u, bool frees)
{
    ps_fsdp1 *f = ps_fsdp1_of(self);
    u->is_prefetched = false;
    if (!frees || ps_eager_is_empty(self->e, u->flat)) {
        return;
    }
    if (self->settings->fsdp.gathers_unlimited) {
        ps_eager_empty(self->e, u->flat);
        return;
    }
    if (f->freed_count == PS_FSDP1_IN_FLIGHT) {
        wait_for_oldest(self);
    }
    ps_op_join(self->e, (ps_eager_lane)(FREED + f->freed_turn), PS_EAGER_MAIN);
    f->freed_turn = (f->freed_turn + 1) % PS_FSDP1_IN_FLIGHT;
    f->freed[f->freed_count++] = ps_eager_take_out(self->e, u->flat);
}

static ps_tensor make_narrow(ps_scheme *self, const ps_fsdp1_unit *u)
{
    const ps_eager_lane was = ps_eager_set_lane(self->e, PS_FSDP1_PRE_UNSHARD);
    const ps_tensor narrow = ps_scheme_make(self, u->elements / self->shards,
                                            ps_eager_dtype(self->e, u->flat), PS_ROLE_TEMPORARY);
    ps_scheme_kernel(self, "copy",
                     ps_eager_bytes(self->e, u->shard) + ps_eager_bytes(self->e, narrow));
    (void)ps_eager_set_lane(self->e, was);
    ps_op_join(self->e, PS_FSDP1_UNSHARD, PS_FSDP1_PRE_UNSHARD);
    return narrow;
}

void ps_fsdp1_gather(ps_scheme *self, ps_fsdp1_unit *u)
{
    ps_fsdp1 *f = ps_fsdp1_of(self);
    if (u->elements == 0 || !ps_eager_is_empty(self->e, u->flat)) {
        return;
    }
    ps_tensor narrow = self->settings->fsdp.has_param_dtype ? make_narrow(self, u) : 0;
    if (f->freed_count == PS_FSDP1_IN_FLIGHT) {
        wait_for_oldest(self);
    }
    const ps_eager_lane was = ps_eager_set_lane(self->e, PS_FSDP1_UNSHARD);
    ps_eager_refill(self->e, u->flat, ps_fsdp1_flat_bytes(self, u), PS_ROLE_PARAMETER);
    ps_scheme_collect(self, PS_COLLECTIVE_ALL_GATHER, PS_FSDP1_UNSHARD, ps_scheme_shard_axes(self),
                      ps_eager_dtype(self->e, u->flat), ps_fsdp1_flat_bytes(self, u));
    (void)ps_eager_set_lane(self->e, was);
    ps_eager_clear(self->e, &narrow);
}

void ps_fsdp1_prefetch(ps_scheme *self, ps_fsdp1_unit *u)
{
    if (!u->is_prefetched) {
        ps_fsdp1_gather(self, u);
        u->is_prefetched = true;
    }
}

/* Backward may have been there already. */
void ps_fsdp1_prefetch_for_backward(ps_scheme *self, ps_fsdp1_unit *u)
{
    if (u->needs_gather) {
        ps_fsdp1_prefetch(self, u);
    }
}
