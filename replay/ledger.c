/* SPDX-License-Identifier: MIT
 *
 * Books and memory of a run, see ledger.h.
 */
#include "replay/ledger.h"

#include <string.h>

#include "base/memory.h"

ps_code ps_replay_ledger_init(ps_replay_ledger *self, const ps_plan *plan, uint64_t memory_scale,
                              ps_replay_device *devices, ps_error *err)
{
    const size_t device_count = plan->device.head.count;
    *self = (ps_replay_ledger){.plan = plan, .memory_scale = memory_scale, .devices = devices};
    self->buffers = ps_calloc(plan->buffer.head.count, sizeof *self->buffers);
    self->is_live = ps_calloc(plan->buffer.head.count, sizeof *self->is_live);
    self->bases = ps_calloc(device_count, sizeof *self->bases);
    self->live_bytes = ps_calloc(device_count, sizeof *self->live_bytes);
    self->held_bytes = ps_calloc(device_count, sizeof *self->held_bytes);
    self->real_bytes = ps_calloc(device_count, sizeof *self->real_bytes);
    if (self->buffers == NULL || self->is_live == NULL || self->bases == NULL ||
        self->live_bytes == NULL || self->held_bytes == NULL || self->real_bytes == NULL) {
        ps_replay_ledger_fini(self);
        return ps_fail_nomem(err);
    }
    return PS_OK;
}

void ps_replay_ledger_attach(ps_replay_ledger *self, const ps_backend_ops *ops, ps_backend *backend)
{
    self->ops = ops;
    self->backend = backend;
}

/* Takes memory and books it as held. */
static ps_code take(ps_replay_ledger *self, uint32_t device, uint64_t plan_bytes,
                    ps_backend_memory *out, ps_error *err)
{
    ps_replay_device *record = &self->devices[device];
    const uint64_t real =
        plan_bytes / self->memory_scale + (plan_bytes % self->memory_scale != 0 ? 1u : 0u);
    uint64_t held;
    if (!ps_add_u64(self->held_bytes[device], plan_bytes, &held)) {
        return ps_fail(err, PS_LIMIT, "device %u: live bytes exceed 64 bits", device);
    }
    *out = (ps_backend_memory){.bytes = real};
    if (self->ops != NULL && real > 0) {
        const ps_code code = self->ops->allocate(self->backend, device, real, out, err);
        if (code != PS_OK) {
            *out = (ps_backend_memory){0};
            return code;
        }
    }
    self->held_bytes[device] = held;
    self->real_bytes[device] += real;
    if (held > record->peak_held_bytes) {
        record->peak_held_bytes = held;
    }
    if (self->real_bytes[device] > record->peak_real_bytes) {
        record->peak_real_bytes = self->real_bytes[device];
    }
    return PS_OK;
}

static void give(ps_replay_ledger *self, uint32_t device, ps_backend_memory *memory)
{
    if (self->ops != NULL && memory->bytes > 0) {
        self->ops->release(self->backend, device, *memory);
    }
    self->real_bytes[device] -= memory->bytes;
    *memory = (ps_backend_memory){0};
}

/* The program has it. live <= held, so it cannot overflow. */
static void add_live(ps_replay_ledger *self, uint32_t device, uint64_t plan_bytes, size_t memop)
{
    ps_replay_device *record = &self->devices[device];
    self->live_bytes[device] += plan_bytes;
    if (self->live_bytes[device] > record->peak_live_bytes) {
        record->peak_live_bytes = self->live_bytes[device];
        record->peak_memop = memop;
    }
}

static ps_code take_buffer(ps_replay_ledger *self, uint32_t buffer, size_t memop, ps_error *err)
{
    const uint32_t device = self->plan->buffer.device[buffer];
    const uint64_t bytes = self->plan->buffer.bytes[buffer];
    PS_TRY(take(self, device, bytes, &self->buffers[buffer], err));
    add_live(self, device, bytes, memop);
    self->is_live[buffer] = true;
    return PS_OK;
}

/* The program is done with a buffer. */
static void end_live(ps_replay_ledger *self, uint32_t buffer)
{
    if (self->is_live[buffer]) {
        const uint32_t device = self->plan->buffer.device[buffer];
        self->live_bytes[device] -= self->plan->buffer.bytes[buffer];
        self->is_live[buffer] = false;
        self->devices[device].free_count++;
    }
}

/* Nobody uses it any more. */
static void give_buffer(ps_replay_ledger *self, uint32_t buffer)
{
    const uint32_t device = self->plan->buffer.device[buffer];
    self->held_bytes[device] -= self->plan->buffer.bytes[buffer];
    give(self, device, &self->buffers[buffer]);
}

static ps_code take_origin(ps_replay_ledger *self, ps_error *err)
{
    const ps_plan *plan = self->plan;
    for (size_t d = 0; d < plan->device.head.count; d++) {
        const uint64_t bytes = plan->device.base_live_bytes[d];
        PS_TRY(take(self, (uint32_t)d, bytes, &self->bases[d], err));
        add_live(self, (uint32_t)d, bytes, SIZE_MAX);
    }
    for (size_t b = 0; b < plan->block.head.count; b++) {
        if (plan->block.buffer[b] != 0) {
            PS_TRY(take_buffer(self, plan->block.buffer[b] - 1, SIZE_MAX, err));
        }
    }
    for (size_t b = 0; b < plan->buffer.head.count; b++) {
        /* those that blocks hold are taken already */
        if (plan->buffer.role[b] == PS_ROLE_BEFORE && !self->is_live[b]) {
            PS_TRY(take_buffer(self, (uint32_t)b, SIZE_MAX, err));
        }
    }
    return PS_OK;
}

ps_code ps_replay_ledger_open(ps_replay_ledger *self, ps_error *err)
{
    const size_t device_count = self->plan->device.head.count;
    for (size_t d = 0; d < device_count; d++) {
        self->devices[d].peak_memop = SIZE_MAX;
    }
    PS_TRY(take_origin(self, err));
    for (size_t d = 0; d < device_count; d++) {
        self->devices[d].origin_live_bytes = self->live_bytes[d];
        self->devices[d].end_live_bytes = self->live_bytes[d];
    }
    return PS_OK;
}

ps_code ps_replay_ledger_apply(ps_replay_ledger *self, uint32_t memop, ps_error *err)
{
    const uint32_t device = self->plan->memop.device[memop];
    const uint32_t buffer = self->plan->memop.buffer[memop];
    ps_replay_device *record = &self->devices[device];
    if (ps_plan_memop_is_of_host(self->plan, memop)) {
        return PS_OK; /* takes nothing of a device */
    }
    switch ((ps_memop)self->plan->memop.op[memop]) {
    case PS_MEMOP_ALLOC:
        PS_TRY(take_buffer(self, buffer, memop, err));
        record->alloc_count++;
        break;
    case PS_MEMOP_FREE:
    case PS_MEMOP_FREE_COMPLETE: /* ends the life, too, of one whose request is not in the plan */
        end_live(self, buffer);
        give_buffer(self, buffer);
        break;
    case PS_MEMOP_FREE_REQUEST:
        end_live(self, buffer);
        break;
    case PS_MEMOP_RELEASE_CACHE: /* real memory is not cached: it went back with each free */
        record->release_cache_count++;
        break;
    case PS_MEMOP_OOM:
        record->oom_count++;
        if (self->plan->buffer.bytes[buffer] > record->oom_bytes) {
            record->oom_bytes = self->plan->buffer.bytes[buffer];
        }
        break;
    case PS_MEMOP_PLACE: /* where segments lay and pools ended is the allocator model's concern */
    case PS_MEMOP_PLACE_PAGES:
    case PS_MEMOP_POOL_DEAD:
    case PS_MEMOP_COUNT:
        break;
    }
    record->end_live_bytes = self->live_bytes[device];
    return PS_OK;
}

void ps_replay_ledger_fini(ps_replay_ledger *self)
{
    for (size_t b = 0;
         self->buffers != NULL && self->real_bytes != NULL && b < self->plan->buffer.head.count;
         b++) {
        give(self, self->plan->buffer.device[b], &self->buffers[b]);
    }
    for (size_t d = 0;
         self->bases != NULL && self->real_bytes != NULL && d < self->plan->device.head.count;
         d++) {
        give(self, (uint32_t)d, &self->bases[d]);
    }
    ps_free(self->buffers);
    ps_free(self->is_live);
    ps_free(self->bases);
    ps_free(self->live_bytes);
    ps_free(self->held_bytes);
    ps_free(self->real_bytes);
    memset(self, 0, sizeof *self);
}

static ps_code run_books(ps_replay_ledger *ledger, uint64_t *peak_bytes, ps_error *err)
{
    PS_TRY(ps_replay_ledger_open(ledger, err));
    for (size_t m = 0; m < ledger->plan->memop.head.count; m++) {
        PS_TRY(ps_replay_ledger_apply(ledger, (uint32_t)m, err));
    }
    for (size_t d = 0; d < ledger->plan->device.head.count; d++) {
        peak_bytes[d] = ledger->devices[d].peak_real_bytes;
    }
    return PS_OK;
}

ps_code ps_replay_ledger_forecast(const ps_plan *plan, uint64_t memory_scale, uint64_t *peak_bytes,
                                  ps_error *err)
{
    ps_replay_ledger ledger = {0};
    ps_replay_device *devices = ps_calloc(plan->device.head.count, sizeof *devices);
    ps_code code = devices == NULL
                       ? ps_fail_nomem(err)
                       : ps_replay_ledger_init(&ledger, plan, memory_scale, devices, err);
    if (code == PS_OK) {
        code = run_books(&ledger, peak_bytes, err);
    }
    ps_replay_ledger_fini(&ledger);
    ps_free(devices);
    return code;
}
