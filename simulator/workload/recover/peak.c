/* SPDX-License-Identifier: MIT
 *
 * What was live at the peak, by role; and roles and phases written into a plan.
 */
#include "base/memory.h"
#include "workload/recover/recover_parts.h"

/* Walks the requests of a device; calls nothing, returns live bytes by role after `stop` requests,
 * or with SIZE_MAX the number of requests after which most bytes are live. */
static size_t walk(const ps_structure *self, const ps_plan *plan, uint32_t device, size_t stop,
                   ps_role_bytes *out)
{
    uint64_t live = plan->device.base_live_bytes[device], highest = 0;
    size_t at = 0;
    *out = (ps_role_bytes){0};
    /* what the recording counts and never names was there before: the model's own */
    out->bytes[PS_ROLE_PARAMETER] = live;
    out->count[PS_ROLE_PARAMETER] = live > 0;
    for (size_t b = 0; b < plan->buffer.head.count; b++) {
        if (plan->buffer.device[b] == device && plan->buffer.role[b] == PS_ROLE_BEFORE) {
            live += plan->buffer.bytes[b];
            out->bytes[self->buffer[b].role] += plan->buffer.bytes[b];
            out->count[self->buffer[b].role]++;
        }
    }
    highest = live;
    for (size_t i = 0; i < plan->memop.head.count && i < stop; i++) {
        const uint32_t b = plan->memop.buffer[i];
        const uint8_t op = plan->memop.op[i];
        if (plan->memop.device[i] != device) {
            continue;
        }
        if (op == PS_MEMOP_ALLOC) {
            live += plan->buffer.bytes[b];
            out->bytes[self->buffer[b].role] += plan->buffer.bytes[b];
            out->count[self->buffer[b].role]++;
        } else if (op == PS_MEMOP_FREE || op == PS_MEMOP_FREE_REQUEST) {
            live -= plan->buffer.bytes[b];
            out->bytes[self->buffer[b].role] -= plan->buffer.bytes[b];
            out->count[self->buffer[b].role]--;
        }
        if (live > highest) {
            highest = live;
            at = i + 1;
        }
    }
    out->total_bytes = live;
    return at;
}

ps_role_bytes ps_structure_peak(const ps_structure *self, const ps_trace *trace,
                                const ps_plan *plan, uint32_t device)
{
    ps_role_bytes out;
    const size_t stop = walk(self, plan, device, SIZE_MAX, &out);
    (void)walk(self, plan, device, stop, &out);
    if (stop > 0) {
        const uint32_t row = self->buffer[plan->memop.buffer[stop - 1]].birth_row;
        out.time_ns = row == PS_STRUCTURE_NONE ? 0 : trace->memory.time_ns[row];
    }
    return out;
}

void ps_structure_label_plan(const ps_structure *self, ps_permille least, ps_plan *plan)
{
    for (size_t b = 0; b < self->buffer_count; b++) {
        if (plan->buffer.role[b] == PS_ROLE_UNKNOWN && self->buffer[b].confidence >= least) {
            plan->buffer.role[b] = (uint8_t)self->buffer[b].role;
        }
    }
}
