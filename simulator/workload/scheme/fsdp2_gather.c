/* SPDX-License-Identifier: MIT
 *
 * Gathering: this rank's parts are copied into a buffer for all (copy-in lane),
 * gathered in place (gather lane), and copied out into the parameters (main
 * lane).
 */
#include "workload/scheme/fsdp2.h"

/* Holds no work: it remembers a moment of the main lane. */
#define EVENT (PS_EAGER_GROUP + 7)

/* [bytes] of this rank's parts as they are gathered. */
static uint64_t part_bytes(const ps_scheme *self, size_t which)
{
    const ps_fsdp2 *f = ps_fsdp2_of(self);
    uint64_t bytes = 0;
    for (size_t i = f->units.begin[which]; i < f->units.begin[which + 1]; i++) {
        bytes += ps_fsdp2_padded_bytes(self, i);
    }
    return bytes;
}

void ps_fsdp2_gather(ps_scheme *self, size_t which)
{
    ps_fsdp2 *f = ps_fsdp2_of(self);
    ps_fsdp2_unit *u = &f->unit[which];
    const uint64_t bytes = part_bytes(self, which), whole = bytes * (uint64_t)self->shards;
    if (u->is_gathered || u->buffer != 0 || bytes == 0) {
        return;
    }
    const ps_eager_lane was = ps_eager_set_lane(self->e, PS_FSDP2_COPY_IN);
    ps_tensor narrow = 0;
    if (self->settings->fsdp.has_param_dtype) {
        narrow = ps_scheme_make(self, (int64_t)bytes, PS_DTYPE_BOOL, PS_ROLE_TEMPORARY);
        ps_scheme_kernel(self, "_foreach_copy_", 3 * bytes);
    }
    u->buffer = ps_scheme_make(self, (int64_t)whole, PS_DTYPE_BOOL, PS_ROLE_WORKSPACE);
    ps_scheme_kernel(self, "all_gather_copy_in", 2 * bytes);
    ps_eager_touch(self->e, u->buffer, true);
    ps_eager_clear(self->e, &narrow);
    const ps_tensor first = f->units.member[f->units.begin[which]].tensor;
    ps_scheme_collect(self, PS_COLLECTIVE_ALL_GATHER, PS_FSDP2_GATHER, ps_scheme_shard_axes(self),
                      ps_eager_dtype(self->e, first), whole);
    ps_eager_touch(self->e, u->buffer, true);
    (void)ps_eager_set_lane(self->e, was);
}

/* The lanes of a gather wait for the copy-out that the event lane remembers. */
static void wait_for_event(ps_scheme *self)
{
    ps_op_join(self->e, PS_FSDP2_COPY_IN, EVENT);
    ps_op_join(self->e, PS_FSDP2_GATHER, EVENT);
}

void ps_fsdp2_drop_before(ps_scheme *self)
{
    ps_fsdp2 *f = ps_fsdp2_of(self);
    if (f->before != 0) {
        wait_for_event(self);
        ps_eager_clear(self->e, &f->before);
    }
}

/*
 * Kernels over the parts of many tensors are told what each of their blocks does: numbers of 64 bits
 * on the device, one a block of 2 KiB and `each` a tensor.
 */
void ps_fsdp2_tell_blocks(ps_scheme *self, const char *name, uint64_t moved_bytes, int64_t blocks,
                          int64_t numbers)
{
    ps_tensor told = ps_scheme_make(self, blocks + numbers, PS_DTYPE_I64, PS_ROLE_TEMPORARY);
    ps_scheme_kernel(self, name, moved_bytes);
    ps_eager_clear(self->e, &told);
}

int64_t ps_fsdp2_blocks_of(uint64_t bytes)
{
    enum { BLOCK_BYTES = 2048 };
    return ps_scheme_share((int64_t)bytes, BLOCK_BYTES);
}

static void copy_out(ps_scheme *self, size_t which)
{
    int64_t blocks = 0, count = 0;
    ps_fsdp2 *f = ps_fsdp2_of(self);
    const uint64_t shards = (uint64_t)self->shards;
    for (size_t i = f->units.begin[which]; i < f->units.begin[which + 1]; i++) {
        ps_eager_refill(self->e, f->units.member[i].tensor, ps_fsdp2_padded_bytes(self, i) * shards,
                        PS_ROLE_PARAMETER);
        blocks += ps_fsdp2_blocks_of(ps_fsdp2_padded_bytes(self, i));
        count++;
    }
    /* of each tensor: where it lies, its size, where it begins, and its first block */
    ps_fsdp2_tell_blocks(self, "split_with_sizes_copy", 2 * part_bytes(self, which) * shards,
                         blocks, 4 * count + 1);
    ps_eager_touch(self->e, f->unit[which].buffer, false);
    f->unit[which].is_gathered = true;
}

/* In forward a variable of the function that waits holds the buffer before to its end. */
void ps_fsdp2_await(ps_scheme *self, size_t which)
{
    ps_fsdp2 *f = ps_fsdp2_of(self);
    ps_fsdp2_unit *u = &f->unit[which];
    const bool is_forward = u->now == PS_FSDP2_FORWARD;
    if (u->buffer == 0) {
        return;
    }
    if (is_forward && f->before != 0) {
        wait_for_event(self);
    }
    ps_op_join(self->e, PS_EAGER_MAIN, PS_FSDP2_GATHER);
    copy_out(self, which);
    ps_op_join(self->e, EVENT, PS_EAGER_MAIN);
    if (is_forward) {
        ps_eager_assign(self->e, &f->before, u->buffer);
        u->buffer = 0;
        return;
    }
    wait_for_event(self);
    ps_eager_clear(self->e, &u->buffer);
}

void ps_fsdp2_reshard(ps_scheme *self, size_t which)
{
    ps_fsdp2 *f = ps_fsdp2_of(self);
    for (size_t i = f->units.begin[which]; i < f->units.begin[which + 1]; i++) {
        ps_eager_empty(self->e, f->units.member[i].tensor);
    }
    f->unit[which].is_gathered = false;
}
