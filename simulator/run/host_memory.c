/* SPDX-License-Identifier: MIT
 *
 * Host memory that the process of one device asks for.
 *
 *   pinned    PyTorch's cache of page-locked memory: a request is rounded up to a power of two,
 *             served by a free block of just that size, else by a new one, which never goes back
 *   pageable  the system's: pages that live
 *   storage   files on the node's disks: not memory, counted beside it
 *
 * A pinned block that copies may still read is not free before they are done; that they are is
 * taken for granted here, because plans that reuse memory too early are refused elsewhere.
 */
#include "base/memory.h"
#include "run/run_parts.h"

#define SIZES 64u
#define PAGE_BYTES 4096u

typedef struct pools {
    uint64_t free_blocks[SIZES]; /* by the logarithm of their size */
    uint64_t pinned_bytes;       /* held by the cache */
    uint64_t pageable_bytes, storage_bytes;
    ps_result_host *out;
} pools;

static unsigned size_of(uint64_t bytes)
{
    unsigned size = 0;
    while (size + 1 < SIZES && (UINT64_C(1) << size) < bytes) {
        size++;
    }
    return size;
}

static uint64_t pages_of(uint64_t bytes)
{
    const uint64_t pages = bytes / PAGE_BYTES + (bytes % PAGE_BYTES != 0);
    return pages > UINT64_MAX / PAGE_BYTES ? UINT64_MAX : pages * PAGE_BYTES;
}

static void note(pools *self)
{
    ps_result_host *out = self->out;
    const uint64_t all = self->pinned_bytes + self->pageable_bytes;
    out->peak_pinned_bytes = self->pinned_bytes; /* never falls */
    out->peak_pageable_bytes = self->pageable_bytes > out->peak_pageable_bytes
                                   ? self->pageable_bytes
                                   : out->peak_pageable_bytes;
    out->peak_storage_bytes = self->storage_bytes > out->peak_storage_bytes
                                  ? self->storage_bytes
                                  : out->peak_storage_bytes;
    out->peak_bytes = all > out->peak_bytes ? all : out->peak_bytes;
}

static void take(pools *self, uint8_t memory, uint64_t bytes)
{
    const unsigned size = size_of(bytes);
    if (memory == PS_MEMORY_STORAGE) {
        self->storage_bytes += pages_of(bytes);
    } else if (memory != PS_MEMORY_PINNED) {
        self->pageable_bytes += pages_of(bytes);
    } else if (self->free_blocks[size] > 0) {
        self->free_blocks[size]--;
    } else {
        self->pinned_bytes += UINT64_C(1) << size;
    }
    note(self);
}

static void give(pools *self, uint8_t memory, uint64_t bytes)
{
    if (memory == PS_MEMORY_PINNED) {
        self->free_blocks[size_of(bytes)]++;
    } else if (memory == PS_MEMORY_STORAGE) {
        self->storage_bytes -= pages_of(bytes);
    } else {
        self->pageable_bytes -= pages_of(bytes);
    }
}

static void apply(pools *self, const ps_plan *plan, size_t row)
{
    const ps_memop op = (ps_memop)plan->memop.op[row];
    const uint32_t buffer = plan->memop.buffer[row];
    const uint64_t bytes = plan->buffer.bytes[buffer];
    if (bytes == 0) {
        return;
    }
    if (op == PS_MEMOP_ALLOC) {
        take(self, plan->buffer.memory[buffer], bytes);
    } else if (op == PS_MEMOP_FREE || op == PS_MEMOP_FREE_COMPLETE) {
        give(self, plan->buffer.memory[buffer], bytes);
    }
}

void ps__run_host_memory(const ps_plan *plan, uint32_t device, ps_result_host *out)
{
    pools self = {.out = out};
    const uint32_t node = plan->device.node[device];
    *out = (ps_result_host){.is_used = node != 0};
    const ps_run_rows rows = ps__run_memops_of(plan, device);
    for (size_t row = rows.first; row < rows.end; row++) {
        if (plan->memop.device[row] == device && ps_plan_memop_is_of_host(plan, row)) {
            out->is_used = true;
            apply(&self, plan, row);
        }
    }
}

/* Ranks of a node do the same whether one stands for them or not. */
static uint64_t of_node(const ps_plan *plan, const ps_result *result, uint32_t node)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < result->device_count; i++) {
        if (plan->device.node[i] == node + 1) {
            const uint64_t ranks = plan->device.node_ranks[i] > 1 ? plan->device.node_ranks[i] : 1;
            bytes += ranks * (result->device[i].host.peak_bytes + plan->node.base_bytes[node]);
        }
    }
    return bytes;
}

ps_code ps__run_nodes(const ps_plan *plan, ps_result *out, ps_error *err)
{
    const size_t count = plan->node.head.count;
    out->node = ps_calloc(count, sizeof *out->node);
    if (out->node == NULL) {
        return ps_fail_nomem(err);
    }
    out->node_count = count;
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t capacity = plan->node.capacity_bytes[i], peak = of_node(plan, out, i);
        out->node[i] = (ps_result_node){.name = plan->node.name[i],
                                        .capacity_bytes = capacity,
                                        .peak_bytes = peak,
                                        .fits = capacity == 0 || peak <= capacity};
    }
    return PS_OK;
}
