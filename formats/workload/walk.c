/* SPDX-License-Identifier: MIT
 *
 * Memory of the device and work over a range of events.
 */
#include "workload/walk.h"

#include <string.h>

#include "base/checked.h"

void ps_workload_walk_init(ps_workload_walk *self, const ps_workload *workload)
{
    *self = (ps_workload_walk){.workload = workload};
}

static void pass_event(ps_workload_walk *self, uint32_t event)
{
    const ps_workload *workload = self->workload;
    const uint8_t kind = workload->event.kind[event];
    const uint32_t ref = workload->event.ref[event];
    if (kind == PS_WORKLOAD_EVENT_OP || kind == PS_WORKLOAD_EVENT_RELEASE_CACHE ||
        ps_memory_is_host(workload->tensor.memory[ref])) {
        return;
    }
    const uint64_t bytes = workload->tensor.bytes[ref];
    uint64_t *role_bytes = &self->live.role_bytes[workload->tensor.role[ref]];
    if (kind == PS_WORKLOAD_EVENT_ALLOC) {
        self->live.total_bytes += bytes; /* the checker has seen that it fits */
        *role_bytes += bytes;
    } else {
        self->live.total_bytes -= bytes;
        *role_bytes -= bytes;
    }
}

ps_live_peak ps_workload_walk_to(ps_workload_walk *self, uint32_t event)
{
    ps_live_peak peak = {self->live, self->next_event};
    for (; self->next_event < event; self->next_event++) {
        pass_event(self, self->next_event);
        if (self->live.total_bytes > peak.live.total_bytes) {
            peak = (ps_live_peak){self->live, self->next_event};
        }
    }
    return peak;
}

static uint64_t add_saturating(uint64_t a, uint64_t b)
{
    uint64_t sum;
    return ps_add_u64(a, b, &sum) ? sum : UINT64_MAX;
}

void ps_workload_work(const ps_workload *workload, uint32_t begin, uint32_t end,
                      ps_work_sum sums[PS_WORKLOAD_PHASE_COUNT][PS_OP_KIND_COUNT])
{
    const ps_workload_op_table *op = &workload->op;
    memset(sums, 0, sizeof(ps_work_sum) * PS_WORKLOAD_PHASE_COUNT * PS_OP_KIND_COUNT);
    for (uint32_t i = begin; i < end; i++) {
        if (workload->event.kind[i] != PS_WORKLOAD_EVENT_OP) {
            continue;
        }
        const uint32_t row = workload->event.ref[i];
        ps_work_sum *sum = &sums[op->phase[row]][op->kind[row]];
        sum->count++;
        sum->launches = add_saturating(sum->launches, op->launches[row]);
        sum->flop = add_saturating(sum->flop, op->flop[row]);
        sum->moved_bytes = add_saturating(sum->moved_bytes, op->moved_bytes[row]);
        sum->dur_ns = ps_time_add(sum->dur_ns, op->dur_ns[row]);
    }
}
