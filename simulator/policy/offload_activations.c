/* SPDX-License-Identifier: MIT
 *
 * Activations of a recorded job wait in pinned host memory.
 *
 *   host      launch of copies ... wait ... alloc, launch of copies
 *   offload   ├ out ┤
 *   upload                                  ├ in ┤
 *   compute   out behind what the block wrote; memory goes before a task that waits for out;
 *             in behind what had the new memory before; the block's backward pass behind in
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "policy/offload_parts.h"

enum { UPLOAD = PS_HOST_UPLOAD, OFFLOAD = PS_HOST_OFFLOAD };

/* ---- a block goes ---- */

static ps_code offload_one(ps_offload_building *b, const ps_offload_group *group, size_t which,
                           ps_error *err)
{
    const uint32_t buffer = b->places->tensor[which].buffer;
    uint32_t launch, *copy = &b->copy[which];
    PS_TRY(ps__offload_call(b, &group->out, "cudaMemcpyAsync", PS_PHASE_FORWARD, &launch, err));
    PS_TRY(ps__offload_copy(b, OFFLOAD, b->plan->buffer.bytes[buffer], launch, copy, err));
    PS_TRY(ps__offload_buffer(b, buffer, PS_MEMORY_PINNED, &b->pinned[which], err));
    PS_TRY(ps__offload_request(b, PS_MEMOP_ALLOC, b->pinned[which], launch, group->out.memop, err));
    PS_TRY(ps__offload_tell(b, group->out.before, buffer, true, err));
    PS_TRY(ps__offload_tell(b, *copy, buffer, false, err));
    return ps__offload_tell(b, *copy, b->pinned[which], true, err);
}

static ps_code offload(ps_offload_building *b, const ps_offload_group *group, ps_error *err)
{
    const size_t end = group->first + group->count;
    uint32_t leave;
    for (size_t i = group->first; i < end; i++) {
        PS_TRY(offload_one(b, group, i, err));
    }
    PS_TRY(ps__offload_wait(b, b->copy[group->first], group->out.before, err));
    PS_TRY(ps__offload_call(b, &group->go, "cudaStreamWaitEvent", PS_PHASE_FORWARD, &leave, err));
    PS_TRY(ps__offload_wait(b, group->go.behind, b->copy[end - 1], err));
    for (size_t i = group->first; i < end; i++) {
        PS_TRY(ps__offload_request(b, PS_MEMOP_FREE, b->places->tensor[i].buffer, leave,
                                   group->go.memop, err));
    }
    return PS_OK;
}

/* ---- a block comes back ---- */

/* The old free is now that of the new memory, and behind it that of the host's. */
static ps_code upload_one(ps_offload_building *b, const ps_offload_group *group, size_t which,
                          ps_error *err)
{
    const ps_offload_tensor *tensor = &b->places->tensor[which];
    uint32_t launch, fresh, copy;
    PS_TRY(ps__offload_call(b, &group->in, "cudaMemcpyAsync", PS_PHASE_BACKWARD, &launch, err));
    PS_TRY(ps__offload_copy(b, UPLOAD, b->plan->buffer.bytes[tensor->buffer], launch, &copy, err));
    PS_TRY(ps__offload_buffer(b, tensor->buffer, PS_MEMORY_UNKNOWN, &fresh, err));
    PS_TRY(ps__offload_request(b, PS_MEMOP_ALLOC, fresh, launch, group->in.memop, err));
    b->plan->memop.buffer[tensor->free] = fresh;
    PS_TRY(ps__offload_request(b, PS_MEMOP_FREE, b->pinned[which],
                               b->plan->memop.task[tensor->free], tensor->free + 1, err));
    b->plan->memop.offset_ns[b->plan->memop.head.count - 1] =
        b->plan->memop.offset_ns[tensor->free];
    PS_TRY(ps__offload_tell(b, copy, b->pinned[which], false, err));
    PS_TRY(ps__offload_tell(b, copy, fresh, true, err));
    PS_TRY(ps__offload_tell(b, group->use.behind, fresh, false, err));
    if (tensor->last_reader > group->use.behind) {
        PS_TRY(ps__offload_tell(b, tensor->last_reader, fresh, false, err));
    }
    if (which == group->first) {
        PS_TRY(ps__offload_wait(b, copy, b->copy[group->first + group->count - 1], err));
        PS_TRY(ps__offload_wait(b, copy, group->in.before, err));
    }
    if (which + 1 == group->first + group->count) {
        PS_TRY(ps__offload_wait(b, group->use.behind, copy, err));
    }
    return PS_OK;
}

static ps_code upload(ps_offload_building *b, const ps_offload_group *group, ps_error *err)
{
    for (size_t i = group->first; i < group->first + group->count; i++) {
        PS_TRY(upload_one(b, group, i, err));
    }
    return PS_OK;
}

/* ---- in order ---- */

static int by_out(const void *a, const void *b)
{
    const uint32_t x = ((const ps_offload_group *)a)->out.before;
    const uint32_t y = ((const ps_offload_group *)b)->out.before;
    return x < y ? -1 : x > y ? 1 : 0;
}

static int by_in(const void *a, const void *b)
{
    const uint32_t x = ((const ps_offload_group *)a)->in.before;
    const uint32_t y = ((const ps_offload_group *)b)->in.before;
    return x < y ? -1 : x > y ? 1 : 0;
}

/* A new lane gets its tasks in the order in which they are added: first all that go, then all that
 * come, each in the order of the program. */
static ps_code move_groups(ps_offload_building *b, ps_error *err)
{
    const size_t count = b->places->group_count;
    ps_code code = PS_OK;
    ps_offload_group *sorted = ps_calloc(count, sizeof *sorted);
    if (sorted == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < count; i++) {
        sorted[i] = b->places->group[i];
    }
    qsort(sorted, count, sizeof *sorted, by_out);
    for (size_t i = 0; i < count && code == PS_OK; i++) {
        code = offload(b, &sorted[i], err);
    }
    qsort(sorted, count, sizeof *sorted, by_in);
    for (size_t i = 0; i < count && code == PS_OK; i++) {
        code = upload(b, &sorted[i], err);
    }
    ps_free(sorted);
    return code;
}

/* ---- all ---- */

static ps_code write_fact(ps_offload_building *b, ps_error *err)
{
    char text[256];
    uint64_t bytes = 0;
    for (size_t i = 0; i < b->places->tensor_count; i++) {
        bytes += b->plan->buffer.bytes[b->places->tensor[i].buffer];
    }
    (void)snprintf(text, sizeof text,
                   "%zu tensors of %zu block passes, %" PRIu64
                   " bytes, wait in pinned host memory; each is taken to be needed only in the "
                   "backward pass of the block that frees it",
                   b->places->tensor_count, b->places->group_count, bytes);
    return ps_plan_set_meta(b->plan, PS_PLAN_META_OFFLOAD_ACTIVATIONS, text, err);
}

ps_code ps__offload_activations(ps_offload_building *b, ps_error *err)
{
    b->pinned = ps_calloc(b->places->tensor_count, sizeof *b->pinned);
    b->copy = ps_calloc(b->places->tensor_count, sizeof *b->copy);
    if (b->pinned == NULL || b->copy == NULL) {
        return ps_fail_nomem(err);
    }
    PS_TRY(ps__offload_lane(b, "stream of uploads", &b->lane[UPLOAD], err));
    PS_TRY(ps__offload_lane(b, "stream of offloads", &b->lane[OFFLOAD], err));
    PS_TRY(ps__offload_name_node(b, err));
    PS_TRY(move_groups(b, err));
    return write_fact(b, err);
}
