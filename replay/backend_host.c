/* SPDX-License-Identifier: MIT
 *
 * The backend that runs anywhere: this machine's memory stands for every
 * device's, its cores move the bytes.
 *
 *   buffer     real memory, every page written when it is allocated
 *   copy       memcpy between two windows of the lane, piece by piece: one
 *              stands for the host side, one for the device side
 *   fill       memset of the device window
 *   kernel, collective   a stand-in: waits its length (replay/pace.h)
 *
 * Buffers of at least a few pages are mapped by themselves and kept for the
 * next one of their size (replay/host_cache.h); smaller ones come from the
 * heap, since a page each would falsify a plan of many small buffers.
 *
 * All devices share the machine's memory, and their copies its bandwidth.
 */
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "replay/backend.h"
#include "replay/host_cache.h"
#include "replay/host_memory.h"
#include "replay/pace.h"

/* [bytes] from which a buffer is mapped by itself. */
#define MAP_MIN_BYTES ((uint64_t)64 << 10)

/* [bytes] windows of all lanes together, and the bounds of one: large against caches when lanes
 * are few, so that copies reach memory; bounded when lanes are many. */
#define WINDOWS_TOTAL_BYTES ((size_t)512 << 20)
#define WINDOW_MIN_BYTES ((size_t)64 << 10)
#define WINDOW_MAX_BYTES ((size_t)32 << 20)

/* Part of the available memory that may be taken; the rest is left to windows and to others. */
#define USABLE_PERCENT 85u

typedef struct host_lane {
    unsigned char *host_side, *device_side; /* windows; NULL until the first copy */
    size_t at;                              /* where in the windows the next piece lies */
} host_lane;

struct ps_backend {
    const atomic_bool *stop;
    ps_replay_pace pace;
    size_t page_bytes, window_bytes, lane_count;
    host_lane *lanes;
    ps_host_cache *cache;
};

static void host_close(ps_backend *self)
{
    if (self == NULL) {
        return;
    }
    for (size_t i = 0; self->lanes != NULL && i < self->lane_count; i++) {
        ps_free(self->lanes[i].host_side);
        ps_free(self->lanes[i].device_side);
    }
    ps_free(self->lanes);
    ps_host_cache_destroy(self->cache);
    ps_free(self);
}

static ps_code host_available(ps_backend *self, uint32_t device, uint64_t *bytes, ps_error *err)
{
    (void)self;
    (void)device;
    uint64_t available = 0;
    PS_TRY(ps_replay_host_memory(&available, err));
    *bytes = available / 100 * USABLE_PERCENT;
    return PS_OK;
}

/* What may be taken in all; a machine that does not say is asked for nothing it could refuse. */
static ps_code open_cache(ps_backend *self, ps_error *err)
{
    uint64_t usable = 0;
    PS_TRY(host_available(self, 0, &usable, err));
    self->cache = ps_host_cache_create(usable, self->page_bytes);
    return self->cache == NULL ? ps_fail_nomem(err) : PS_OK;
}

static ps_code host_open(const ps_backend_setup *setup, ps_backend **out, ps_error *err)
{
    ps_backend *self = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return ps_fail_nomem(err);
    }
    self->stop = setup->stop;
    self->lane_count = setup->plan->lane.head.count;
    self->lanes = ps_calloc(self->lane_count, sizeof *self->lanes);
    if (self->lanes == NULL) {
        host_close(self);
        return ps_fail_nomem(err);
    }
    const size_t share = WINDOWS_TOTAL_BYTES / 2 / (self->lane_count == 0 ? 1 : self->lane_count);
    self->window_bytes = share < WINDOW_MIN_BYTES   ? WINDOW_MIN_BYTES
                         : share > WINDOW_MAX_BYTES ? WINDOW_MAX_BYTES
                                                    : share;
    const long page = sysconf(_SC_PAGESIZE);
    self->page_bytes = page > 0 ? (size_t)page : 4096;
    const ps_code code = open_cache(self, err);
    if (code != PS_OK) {
        host_close(self);
        return code;
    }
    self->pace = ps_replay_pace_calibrate();
    *out = self;
    return PS_OK;
}

static ps_ns host_now(ps_backend *self)
{
    (void)self;
    return ps_replay_clock_ns();
}

static ps_code host_allocate(ps_backend *self, uint32_t device, uint64_t bytes,
                             ps_backend_memory *out, ps_error *err)
{
    if (bytes > SIZE_MAX / 2) {
        return ps_fail(err, PS_DEVICE_FULL, "a buffer of %llu bytes", (unsigned long long)bytes);
    }
    void *block = bytes >= MAP_MIN_BYTES ? ps_host_cache_take(self->cache, (size_t)bytes)
                                         : ps_calloc((size_t)bytes, 1);
    if (block == NULL) {
        return ps_fail(err, PS_DEVICE_FULL,
                       "device %u: the machine has no memory for a buffer of %llu bytes", device,
                       (unsigned long long)bytes);
    }
    if (bytes < MAP_MIN_BYTES) {
        memset(block, 1, (size_t)bytes); /* what the heap hands out may not be there yet */
    }
    *out = (ps_backend_memory){.handle = block, .bytes = bytes};
    return PS_OK;
}

static void host_release(ps_backend *self, uint32_t device, ps_backend_memory memory)
{
    (void)device;
    if (memory.bytes >= MAP_MIN_BYTES) {
        ps_host_cache_put(self->cache, memory.handle, (size_t)memory.bytes);
    } else {
        ps_free(memory.handle);
    }
}

/* The device side is the later one: where it is, both are. */
static ps_code open_windows(const ps_backend *self, host_lane *lane, ps_error *err)
{
    if (lane->device_side != NULL) {
        return PS_OK;
    }
    unsigned char *host = ps_calloc(self->window_bytes, 1);
    unsigned char *device = ps_calloc(self->window_bytes, 1);
    if (host == NULL || device == NULL) {
        ps_free(host);
        ps_free(device);
        return ps_fail_nomem(err);
    }
    memset(host, 1, self->window_bytes); /* pages are there before time is taken */
    memset(device, 1, self->window_bytes);
    lane->host_side = host;
    lane->device_side = device;
    return PS_OK;
}

/* The kind decides who is read: a copy that ends on the host reads the device side. */
static void move_piece(host_lane *lane, const ps_backend_work *work, size_t bytes)
{
    unsigned char *host = lane->host_side + lane->at, *device = lane->device_side + lane->at;
    if (work->kind == PS_TASK_MEMSET) {
        memset(device, (int)(work->task & 0xff), bytes);
    } else if (work->copy_kind == PS_COPY_DTOH) {
        memcpy(host, device, bytes);
    } else {
        memcpy(device, host, bytes);
    }
}

static ps_code move_bytes(ps_backend *self, host_lane *lane, const ps_backend_work *work,
                          ps_backend_result *result, ps_error *err)
{
    PS_TRY(open_windows(self, lane, err));
    const ps_ns begin = ps_replay_clock_ns();
    uint64_t left = work->bytes;
    while (left > 0 && !atomic_load_explicit(self->stop, memory_order_relaxed)) {
        if (lane->at == self->window_bytes) {
            lane->at = 0;
        }
        const size_t room = self->window_bytes - lane->at;
        const size_t piece = left < room ? (size_t)left : room;
        move_piece(lane, work, piece);
        lane->at += piece;
        left -= piece;
    }
    result->moved_bytes = work->bytes - left;
    result->move_ns = ps_replay_clock_ns() - begin;
    return PS_OK;
}

static ps_code host_submit(ps_backend *self, uint32_t lane_row, const ps_backend_work *work,
                           ps_backend_answer *answer, ps_backend_ticket *ticket,
                           ps_backend_result *result, ps_error *err)
{
    (void)ticket;
    host_lane *lane = &self->lanes[lane_row];
    ps_backend_result done = {.start_ns = ps_replay_clock_ns()};
    const ps_ns own_end = ps_time_add(done.start_ns, work->dur_ns);
    if (work->bytes > 0 && !work->moves_after) {
        PS_TRY(move_bytes(self, lane, work, &done, err));
    }
    /* given up: what is left of the work does not matter */
    (void)ps_replay_pace_until(&self->pace, own_end, self->stop);
    if (work->bytes > 0 && work->moves_after) {
        PS_TRY(move_bytes(self, lane, work, &done, err));
    }
    done.end_ns = ps_replay_clock_ns();
    *result = done;
    *answer = PS_BACKEND_DONE;
    return PS_OK;
}

extern const ps_backend_ops ps_backend_host;
const ps_backend_ops ps_backend_host = {
    .abi = PS_BACKEND_ABI,
    .name = "host",
    .summary = "threads, real memory and copies of this machine",
    .capabilities = PS_BACKEND_TIMED | PS_BACKEND_COPIES | PS_BACKEND_FILLS |
                    PS_BACKEND_COLLECTIVES | PS_BACKEND_SHARED_MEMORY,
    .open = host_open,
    .close = host_close,
    .now = host_now,
    .available = host_available,
    .allocate = host_allocate,
    .release = host_release,
    .submit = host_submit,
};
