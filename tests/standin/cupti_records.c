/* SPDX-License-Identifier: MIT
 *
 * What the stand-in for CUDA does, as activity records.
 */
#include <stdatomic.h>
#include <unistd.h>

#include "standin/cupti.h"
#include "standin/cupti_layout.h"
#include "standin/door.h"

enum { FLAG_ASYNC = 1, MEMORY_ALLOCATED = 1, MEMORY_RELEASED = 2, CORE_CLOCK_KHZ = 1500000 };

/* The oldest form of each, one in between, and the newest. */
static const struct {
    uint8_t kind;
    uint16_t bytes[3]; /* layouts 11, 12, 13 */
} SIZES[] = {
    {CUPTI_MEMCPY, {64, 88, 96}},          {CUPTI_MEMSET, {64, 88, 88}},
    {CUPTI_DRIVER, {40, 40, 40}},          {CUPTI_RUNTIME, {40, 40, 40}},
    {CUPTI_DEVICE, {176, 184, 184}},       {CUPTI_KERNEL, {144, 208, 216}},
    {CUPTI_MEMCPY_PEER, {72, 88, 96}},     {CUPTI_EVENT, {24, 24, 56}},
    {CUPTI_SYNCHRONIZATION, {40, 40, 56}}, {CUPTI_MEMORY, {112, 120, 128}},
};

size_t cupti_record_bytes(uint32_t kind)
{
    const unsigned column = cupti_layout() == 11 ? 0 : cupti_layout() == 12 ? 1 : 2;
    for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++) {
        if (SIZES[i].kind == kind) {
            return SIZES[i].bytes[column];
        }
    }
    return 0;
}

static void put(uint32_t kind, const void *record)
{
    cupti_put(record, cupti_record_bytes(kind));
}

/* A context a device. */
static uint32_t context_of(uint32_t device)
{
    return device + 1;
}

static void put_call(uint32_t kind, const standin_called *call)
{
    const api_record record = {.kind = kind,
                               .id = call->id,
                               .start_ns = call->start_ns,
                               .end_ns = call->end_ns,
                               .process = (uint32_t)getpid(),
                               .thread = cupti_thread(),
                               .correlation = call->correlation,
                               .result = call->result};
    put(kind, &record);
}

static void called(const standin_called *call)
{
    if (cupti_wants_call(CUPTI_RUNTIME_DOMAIN, call->id)) {
        put_call(CUPTI_RUNTIME, call);
    }
}

static void kernel(const standin_work *work, const standin_launch *launch)
{
    if (!cupti_wants(CUPTI_KERNEL)) {
        return;
    }
    static _Atomic int64_t launches;
    kernel_record record = {.kind = CUPTI_KERNEL,
                            .registers = (uint16_t)launch->registers,
                            .start_ns = work->start_ns,
                            .end_ns = work->end_ns,
                            .completed_ns = work->end_ns,
                            .device = work->device,
                            .context = context_of(work->device),
                            .stream = work->stream,
                            .dynamic_shared_bytes = launch->shared_bytes,
                            .correlation = work->correlation,
                            .grid_id = ++launches,
                            .name = launch->name};
    for (size_t i = 0; i < 3; i++) {
        record.grid[i] = launch->grid[i];
        record.block[i] = launch->block[i];
    }
    put(CUPTI_KERNEL, &record);
}

static void peer_copy(const standin_work *work, const standin_copied *copied)
{
    const peer_copy_record record = {.kind = CUPTI_MEMCPY_PEER,
                                     .copy_kind = copied->kind,
                                     .from = copied->from,
                                     .to = copied->to,
                                     .flags = copied->is_async ? FLAG_ASYNC : 0,
                                     .bytes = copied->bytes,
                                     .start_ns = work->start_ns,
                                     .end_ns = work->end_ns,
                                     .device = work->device,
                                     .context = context_of(work->device),
                                     .stream = work->stream,
                                     .from_device = copied->from_device,
                                     .from_context = context_of(copied->from_device),
                                     .to_device = work->device,
                                     .to_context = context_of(work->device),
                                     .correlation = work->correlation};
    if (cupti_wants(CUPTI_MEMCPY_PEER)) {
        put(CUPTI_MEMCPY_PEER, &record);
    }
}

static void copy(const standin_work *work, const standin_copied *copied)
{
    if (copied->kind == STANDIN_PEER_TO_PEER) {
        peer_copy(work, copied);
        return;
    }
    const copy_record record = {.kind = CUPTI_MEMCPY,
                                .copy_kind = copied->kind,
                                .from = copied->from,
                                .to = copied->to,
                                .flags = copied->is_async ? FLAG_ASYNC : 0,
                                .bytes = copied->bytes,
                                .start_ns = work->start_ns,
                                .end_ns = work->end_ns,
                                .device = work->device,
                                .context = context_of(work->device),
                                .stream = work->stream,
                                .correlation = work->correlation,
                                .copies = 1};
    if (cupti_wants(CUPTI_MEMCPY)) {
        put(CUPTI_MEMCPY, &record);
    }
}

static void fill(const standin_work *work, uint64_t bytes, uint32_t value)
{
    const fill_record record = {.kind = CUPTI_MEMSET,
                                .value = value,
                                .bytes = bytes,
                                .start_ns = work->start_ns,
                                .end_ns = work->end_ns,
                                .device = work->device,
                                .context = context_of(work->device),
                                .stream = work->stream,
                                .correlation = work->correlation,
                                .memory_kind = STANDIN_DEVICE_MEMORY};
    if (cupti_wants(CUPTI_MEMSET)) {
        put(CUPTI_MEMSET, &record);
    }
}

static void memory(const standin_memory *change)
{
    const memory_record record = {.kind = CUPTI_MEMORY,
                                  .operation =
                                      change->is_release ? MEMORY_RELEASED : MEMORY_ALLOCATED,
                                  .memory_kind = change->kind,
                                  .correlation = change->correlation,
                                  .address = change->address,
                                  .bytes = change->bytes,
                                  .time_ns = change->time_ns,
                                  .process = (uint32_t)getpid(),
                                  .device = change->device,
                                  .context = context_of(change->device),
                                  .stream = STANDIN_NO_ID};
    if (cupti_wants(CUPTI_MEMORY)) {
        put(CUPTI_MEMORY, &record);
    }
}

static void recorded(const standin_order *order)
{
    const event_record record = {.kind = CUPTI_EVENT,
                                 .correlation = order->correlation,
                                 .context = context_of(order->device),
                                 .stream = order->stream,
                                 .event = order->event,
                                 .device = order->device,
                                 .device_time_ns = order->end_ns,
                                 .sync = order->sync};
    if (cupti_wants(CUPTI_EVENT)) {
        put(CUPTI_EVENT, &record);
    }
}

static void waited(const standin_order *order)
{
    const wait_record record = {.kind = CUPTI_SYNCHRONIZATION,
                                .type = order->type,
                                .start_ns = order->start_ns,
                                .end_ns = order->end_ns,
                                .correlation = order->correlation,
                                .context = context_of(order->device),
                                .stream = order->stream,
                                .event = order->event,
                                .sync = order->sync};
    if (cupti_wants(CUPTI_SYNCHRONIZATION)) {
        put(CUPTI_SYNCHRONIZATION, &record);
    }
}

/* Told once a device that was used. */
static void device(const standin_device *used)
{
    static _Atomic uint64_t told;
    const uint64_t bit = UINT64_C(1) << used->ordinal;
    if (!cupti_wants(CUPTI_DEVICE) || (atomic_fetch_or(&told, bit) & bit) != 0) {
        return;
    }
    const device_record record = {.kind = CUPTI_DEVICE,
                                  .memory_bytes = used->memory_bytes,
                                  .core_clock_khz = CORE_CLOCK_KHZ,
                                  .multiprocessors = used->multiprocessors,
                                  .compute_major = used->compute_major,
                                  .compute_minor = used->compute_minor,
                                  .ordinal = used->ordinal,
                                  .name = used->name,
                                  .is_visible = 1};
    put(CUPTI_DEVICE, &record);
}

static void call_back(standin_driver_call *call, uint32_t site, uint32_t *result)
{
    const callback_data data = {.site = site,
                                .name = call->name,
                                .parameters = call->parameters,
                                .result = result,
                                .correlation_data = &call->correlation_data,
                                .correlation = call->correlation};
    cupti_call_back(call->id, &data);
}

static void driver_begin(standin_driver_call *call)
{
    call_back(call, 0, NULL);
}

static void driver_end(standin_driver_call *call, uint32_t result, uint64_t end_ns)
{
    call_back(call, 1, &result);
    const standin_called record = {.id = call->id,
                                   .correlation = call->correlation,
                                   .result = result,
                                   .start_ns = call->start_ns,
                                   .end_ns = end_ns};
    if (cupti_wants_call(CUPTI_DRIVER_DOMAIN, call->id)) {
        put_call(CUPTI_DRIVER, &record);
    }
}

STANDIN_CUPTI extern const standin_cupti standin_cupti_door;
const standin_cupti standin_cupti_door = {.called = called,
                                          .kernel = kernel,
                                          .copy = copy,
                                          .fill = fill,
                                          .memory = memory,
                                          .recorded = recorded,
                                          .waited = waited,
                                          .device = device,
                                          .driver_begin = driver_begin,
                                          .driver_end = driver_end};
