/* SPDX-License-Identifier: MIT
 *
 * Device memory is an address and an account, never storage; pinned memory is
 * host memory that is remembered.
 */
#include <stdlib.h>
#include <string.h>

#include "standin/address_space.h"
#include "standin/runtime.h"
#include "standin/standin.h"

enum { ALLOCATIONS_MAX = 1 << 16, HOST_ALIGNMENT_BYTES = 4096 };

/* cudaPointerAttributes; cudaMemoryType. */
enum { MEMORY_UNREGISTERED = 0, MEMORY_HOST = 1, MEMORY_DEVICE = 2 };
typedef struct pointer_attributes {
    int type;
    int device;
    void *device_pointer;
    void *host_pointer;
    long unused[8];
} pointer_attributes;

typedef struct allocation {
    uint64_t address;
    uint64_t bytes;
    uint64_t wanted_bytes;
    int device;
    bool is_host;
    bool is_ours; /* host memory that cudaHostAlloc made */
} allocation;

/* Far below what the host maps, so that an address tells whose it is. */
#define DEVICE_BASE UINT64_C(0x7c0000000000)
static standin_address_space space = {.base = DEVICE_BASE, .chunk_count = 1 << 16};
static allocation allocations[ALLOCATIONS_MAX];
static size_t allocation_count;
static uint64_t used_bytes[STANDIN_DEVICES_MAX];

/* The allocation that `address` lies in, else NULL. */
static allocation *find(uint64_t address)
{
    for (size_t i = allocation_count; i-- > 0;) {
        if (address - allocations[i].address < allocations[i].bytes) {
            return &allocations[i];
        }
    }
    return NULL;
}

static bool remember(allocation made)
{
    if (allocation_count == ALLOCATIONS_MAX) {
        return false;
    }
    allocations[allocation_count++] = made;
    return true;
}

static void forget(allocation *gone)
{
    *gone = allocations[--allocation_count];
}

bool standin_take_bytes(int device, uint64_t bytes)
{
    if (bytes > standin_capacity_bytes() - used_bytes[device]) {
        return false;
    }
    used_bytes[device] += bytes;
    return true;
}

void standin_give_bytes(int device, uint64_t bytes)
{
    used_bytes[device] -= bytes;
}

int cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes)
{
    standin_enter(STANDIN_CALL_cudaMemGetInfo);
    standin_lock();
    *total_bytes = standin_capacity_bytes();
    *free_bytes = *total_bytes - used_bytes[standin_current_device()];
    standin_unlock();
    return standin_leave(STANDIN_SUCCESS);
}

/* Tells of an allocation that came or went. */
static void tell(const allocation *changed, bool is_release)
{
    const standin_cupti *to = standin_door();
    if (to == NULL) {
        return;
    }
    const standin_memory memory = {.correlation = standin_correlation(),
                                   .device = (uint32_t)changed->device,
                                   .kind =
                                       changed->is_host ? STANDIN_PINNED : STANDIN_DEVICE_MEMORY,
                                   .is_release = is_release,
                                   .address = changed->address,
                                   .bytes = changed->wanted_bytes,
                                   .time_ns = standin_now_ns()};
    standin_tell_device(to, changed->device);
    to->memory(&memory);
}

/* An address of `wanted_bytes` on `device`, else 0. */
static uint64_t allocate(int device, uint64_t wanted_bytes)
{
    const uint64_t bytes = standin_round_to_pages(wanted_bytes);
    if (allocation_count == ALLOCATIONS_MAX || !standin_take_bytes(device, bytes)) {
        return 0;
    }
    const uint64_t address = standin_place(&space, bytes);
    if (address == 0) {
        standin_give_bytes(device, bytes);
        return 0;
    }
    (void)remember((allocation){
        .address = address, .bytes = bytes, .wanted_bytes = wanted_bytes, .device = device});
    return address;
}

int cudaMalloc(void **out, size_t bytes)
{
    standin_enter(STANDIN_CALL_cudaMalloc);
    *out = NULL;
    if (bytes == 0) {
        return standin_leave(STANDIN_SUCCESS);
    }
    standin_lock();
    const uint64_t address = allocate(standin_current_device(), bytes);
    standin_unlock();
    if (address != 0) {
        const allocation made = {
            .address = address, .wanted_bytes = bytes, .device = standin_current_device()};
        tell(&made, false);
    }
    *out = (void *)(uintptr_t)address;
    return standin_leave(standin_result(address == 0 ? STANDIN_OUT_OF_MEMORY : STANDIN_SUCCESS));
}

int cudaFree(void *address)
{
    standin_enter(STANDIN_CALL_cudaFree);
    if (address == NULL) {
        return standin_leave(STANDIN_SUCCESS);
    }
    int error = STANDIN_INVALID_VALUE;
    allocation was;
    standin_lock();
    allocation *gone = find((uintptr_t)address);
    if (gone != NULL && !gone->is_host && gone->address == (uintptr_t)address) {
        was = *gone;
        standin_vacate(&space, gone->address, gone->bytes);
        standin_give_bytes(gone->device, gone->bytes);
        forget(gone);
        error = STANDIN_SUCCESS;
    }
    standin_unlock();
    if (error == STANDIN_SUCCESS) {
        tell(&was, true);
    }
    return standin_leave(standin_result(error));
}

static int pin(void *address, size_t bytes, bool is_ours)
{
    const allocation pinned = {.address = (uintptr_t)address,
                               .bytes = bytes,
                               .wanted_bytes = bytes,
                               .device = standin_current_device(),
                               .is_host = true,
                               .is_ours = is_ours};
    standin_lock();
    const bool is_known = remember(pinned);
    standin_unlock();
    if (is_known && is_ours) {
        tell(&pinned, false);
    }
    return is_known ? STANDIN_SUCCESS : STANDIN_OUT_OF_MEMORY;
}

int cudaHostAlloc(void **out, size_t bytes, unsigned flags)
{
    standin_enter(STANDIN_CALL_cudaHostAlloc);
    (void)flags;
    *out = NULL;
    if (posix_memalign(out, HOST_ALIGNMENT_BYTES, bytes) != 0) {
        return standin_leave(standin_result(STANDIN_OUT_OF_MEMORY));
    }
    return standin_leave(standin_result(pin(*out, bytes, true)));
}

int cudaHostRegister(void *address, size_t bytes, unsigned flags)
{
    standin_enter(STANDIN_CALL_cudaHostRegister);
    (void)flags;
    return standin_leave(standin_result(pin(address, bytes, false)));
}

static int unpin(void *address)
{
    int error = STANDIN_INVALID_VALUE;
    allocation was = {.is_ours = false};
    standin_lock();
    allocation *gone = find((uintptr_t)address);
    if (gone != NULL && gone->is_host) {
        was = *gone;
        forget(gone);
        error = STANDIN_SUCCESS;
    }
    standin_unlock();
    if (was.is_ours) {
        tell(&was, true);
        free(address);
    }
    return standin_result(error);
}

int cudaFreeHost(void *address)
{
    standin_enter(STANDIN_CALL_cudaFreeHost);
    return standin_leave(address == NULL ? STANDIN_SUCCESS : unpin(address));
}

int cudaHostUnregister(void *address)
{
    standin_enter(STANDIN_CALL_cudaHostUnregister);
    return standin_leave(unpin(address));
}

int cudaHostGetDevicePointer(void **out, void *address, unsigned flags)
{
    standin_enter(STANDIN_CALL_cudaHostGetDevicePointer);
    (void)flags;
    *out = address;
    return standin_leave(STANDIN_SUCCESS);
}

/* Where `address` lies; `device` is written for all but unregistered memory. */
static int memory_type(uint64_t address, int *device)
{
    standin_lock();
    const allocation *known = find(address);
    int type = MEMORY_UNREGISTERED;
    if (known != NULL) {
        type = known->is_host ? MEMORY_HOST : MEMORY_DEVICE;
        *device = known->device;
    } else if (standin_mapped_device(address) >= 0) {
        type = MEMORY_DEVICE;
        *device = standin_mapped_device(address);
    }
    standin_unlock();
    return type;
}

int cudaPointerGetAttributes(void *attributes, const void *address)
{
    standin_enter(STANDIN_CALL_cudaPointerGetAttributes);
    pointer_attributes found = {.device = -1};
    found.type = memory_type((uintptr_t)address, &found.device);
    void *same = (void *)(uintptr_t)address;
    found.device_pointer = found.type == MEMORY_UNREGISTERED ? NULL : same;
    found.host_pointer = found.type == MEMORY_DEVICE ? NULL : same;
    memcpy(attributes, &found, sizeof found);
    return standin_leave(STANDIN_SUCCESS);
}

static bool is_device(const void *address)
{
    int device;
    return memory_type((uintptr_t)address, &device) == MEMORY_DEVICE;
}

/* CUpti_ActivityMemoryKind of an address. */
static uint8_t told_kind(const void *address)
{
    int device;
    switch (memory_type((uintptr_t)address, &device)) {
    case MEMORY_DEVICE:
        return STANDIN_DEVICE_MEMORY;
    case MEMORY_HOST:
        return STANDIN_PINNED;
    default:
        return STANDIN_PAGEABLE;
    }
}

static int kind_by_address(const void *to, const void *from)
{
    const int to_device = is_device(to) ? STANDIN_HOST_TO_DEVICE : STANDIN_HOST_TO_HOST;
    return is_device(from) ? STANDIN_DEVICE_TO_HOST + to_device : to_device;
}

/* Begins a copy on its stream and tells of it. */
static standin_work start_copy(const standin_copied *copied, void *stream)
{
    enum { COPY_NS = 1000, BYTES_PER_NS = 32 };
    const standin_work work = standin_enqueue(stream, COPY_NS + copied->bytes / BYTES_PER_NS);
    const standin_cupti *to = standin_door();
    if (to != NULL) {
        to->copy(&work, copied);
    }
    return work;
}

/* What a copy of one word from the device finds: a count that a program's next steps depend on. */
static _Atomic uint32_t device_word;

/* For scripts, by its name: what is found from now on. */
STANDIN_API void standin_answer(uint32_t word);
void standin_answer(uint32_t word)
{
    device_word = word;
}

/* What a copy does to host memory. */
static void move(void *to, const void *from, size_t bytes, int kind)
{
    if (bytes == 0 || kind == STANDIN_HOST_TO_DEVICE || kind == STANDIN_DEVICE_TO_DEVICE) {
        return;
    }
    if (kind == STANDIN_DEVICE_TO_HOST && bytes == sizeof device_word) {
        const uint32_t word = device_word;
        memcpy(to, &word, sizeof word);
    } else if (kind == STANDIN_DEVICE_TO_HOST) {
        memset(to, 0, bytes);
    } else {
        memmove(to, from, bytes);
    }
}

static standin_work copy(void *to, const void *from, size_t bytes, int kind, void *stream,
                         bool is_async)
{
    static const uint8_t told[] = {STANDIN_HTOH, STANDIN_HTOD, STANDIN_DTOH, STANDIN_DTOD};
    const int known = kind == STANDIN_COPY_BY_ADDRESS ? kind_by_address(to, from) : kind;
    const standin_copied copied = {.bytes = bytes,
                                   .kind = told[known],
                                   .from = told_kind(from),
                                   .to = told_kind(to),
                                   .is_async = is_async};
    const standin_work work = start_copy(&copied, stream);
    move(to, from, bytes, known);
    return work;
}

int cudaMemcpyAsync(void *to, const void *from, size_t bytes, int kind, void *stream)
{
    standin_enter(STANDIN_CALL_cudaMemcpyAsync);
    (void)copy(to, from, bytes, kind, stream, true);
    return standin_leave(STANDIN_SUCCESS);
}

int cudaMemcpy(void *to, const void *from, size_t bytes, int kind)
{
    standin_enter(STANDIN_CALL_cudaMemcpy);
    standin_wait_until(copy(to, from, bytes, kind, NULL, false).end_ns);
    return standin_leave(STANDIN_SUCCESS);
}

int cudaMemcpyPeerAsync(void *to, int to_device, const void *from, int from_device, size_t bytes,
                        void *stream)
{
    (void)to;
    (void)from;
    const bool is_peer = to_device != from_device;
    const standin_copied copied = {.bytes = bytes,
                                   .kind = is_peer ? STANDIN_PEER_TO_PEER : STANDIN_DTOD,
                                   .from = STANDIN_DEVICE_MEMORY,
                                   .to = STANDIN_DEVICE_MEMORY,
                                   .is_async = true,
                                   .from_device = (uint32_t)from_device};
    standin_enter(STANDIN_CALL_cudaMemcpyPeerAsync);
    (void)start_copy(&copied, stream);
    return standin_leave(STANDIN_SUCCESS);
}

static void fill(void *at, int value, size_t bytes, void *stream)
{
    enum { FILL_NS = 1000 };
    const standin_work work = standin_enqueue(stream, FILL_NS);
    const standin_cupti *to = standin_door();
    if (to != NULL) {
        to->fill(&work, bytes, (uint32_t)value);
    }
    if (!is_device(at)) {
        memset(at, value, bytes);
    }
}

int cudaMemsetAsync(void *to, int value, size_t bytes, void *stream)
{
    standin_enter(STANDIN_CALL_cudaMemsetAsync);
    fill(to, value, bytes, stream);
    return standin_leave(STANDIN_SUCCESS);
}

int cudaMemset(void *to, int value, size_t bytes)
{
    standin_enter(STANDIN_CALL_cudaMemset);
    fill(to, value, bytes, NULL);
    return standin_leave(STANDIN_SUCCESS);
}
