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
    standin_start();
    standin_lock();
    *total_bytes = standin_capacity_bytes();
    *free_bytes = *total_bytes - used_bytes[standin_current_device()];
    standin_unlock();
    return STANDIN_SUCCESS;
}

/* An address of `bytes` on `device`, else 0. */
static uint64_t allocate(int device, uint64_t bytes)
{
    if (allocation_count == ALLOCATIONS_MAX || !standin_take_bytes(device, bytes)) {
        return 0;
    }
    const uint64_t address = standin_place(&space, bytes);
    if (address == 0) {
        standin_give_bytes(device, bytes);
        return 0;
    }
    (void)remember((allocation){.address = address, .bytes = bytes, .device = device});
    return address;
}

int cudaMalloc(void **out, size_t bytes)
{
    standin_start();
    *out = NULL;
    if (bytes == 0) {
        return STANDIN_SUCCESS;
    }
    standin_lock();
    const uint64_t address = allocate(standin_current_device(), standin_round_to_pages(bytes));
    standin_unlock();
    *out = (void *)(uintptr_t)address;
    return standin_result(address == 0 ? STANDIN_OUT_OF_MEMORY : STANDIN_SUCCESS);
}

int cudaFree(void *address)
{
    standin_start();
    if (address == NULL) {
        return STANDIN_SUCCESS;
    }
    int error = STANDIN_INVALID_VALUE;
    standin_lock();
    allocation *gone = find((uintptr_t)address);
    if (gone != NULL && !gone->is_host && gone->address == (uintptr_t)address) {
        standin_vacate(&space, gone->address, gone->bytes);
        standin_give_bytes(gone->device, gone->bytes);
        forget(gone);
        error = STANDIN_SUCCESS;
    }
    standin_unlock();
    return standin_result(error);
}

static int pin(void *address, size_t bytes, bool is_ours)
{
    standin_lock();
    const bool is_known = remember((allocation){.address = (uintptr_t)address,
                                                .bytes = bytes,
                                                .device = standin_current_device(),
                                                .is_host = true,
                                                .is_ours = is_ours});
    standin_unlock();
    return is_known ? STANDIN_SUCCESS : STANDIN_OUT_OF_MEMORY;
}

int cudaHostAlloc(void **out, size_t bytes, unsigned flags)
{
    (void)flags;
    standin_start();
    *out = NULL;
    if (posix_memalign(out, HOST_ALIGNMENT_BYTES, bytes) != 0) {
        return standin_result(STANDIN_OUT_OF_MEMORY);
    }
    return standin_result(pin(*out, bytes, true));
}

int cudaHostRegister(void *address, size_t bytes, unsigned flags)
{
    (void)flags;
    standin_start();
    return standin_result(pin(address, bytes, false));
}

static int unpin(void *address)
{
    int error = STANDIN_INVALID_VALUE;
    bool is_ours = false;
    standin_lock();
    allocation *gone = find((uintptr_t)address);
    if (gone != NULL && gone->is_host) {
        is_ours = gone->is_ours;
        forget(gone);
        error = STANDIN_SUCCESS;
    }
    standin_unlock();
    if (is_ours) {
        free(address);
    }
    return standin_result(error);
}

int cudaFreeHost(void *address)
{
    return address == NULL ? STANDIN_SUCCESS : unpin(address);
}

int cudaHostUnregister(void *address)
{
    return unpin(address);
}

int cudaHostGetDevicePointer(void **out, void *address, unsigned flags)
{
    (void)flags;
    *out = address;
    return STANDIN_SUCCESS;
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
    standin_start();
    pointer_attributes found = {.device = -1};
    found.type = memory_type((uintptr_t)address, &found.device);
    void *same = (void *)(uintptr_t)address;
    found.device_pointer = found.type == MEMORY_UNREGISTERED ? NULL : same;
    found.host_pointer = found.type == MEMORY_DEVICE ? NULL : same;
    memcpy(attributes, &found, sizeof found);
    return STANDIN_SUCCESS;
}

static bool is_device(const void *address)
{
    int device;
    return memory_type((uintptr_t)address, &device) == MEMORY_DEVICE;
}

int cudaMemcpyAsync(void *to, const void *from, size_t bytes, int kind, void *stream)
{
    enum { COPY_NS = 1000 };
    const bool by_address = kind == STANDIN_COPY_BY_ADDRESS;
    standin_start();
    standin_enqueue(stream, COPY_NS + bytes / 32);
    if (bytes == 0 || kind == STANDIN_HOST_TO_DEVICE || kind == STANDIN_DEVICE_TO_DEVICE ||
        (by_address && is_device(to))) {
        return STANDIN_SUCCESS;
    }
    if (kind == STANDIN_DEVICE_TO_HOST || (by_address && is_device(from))) {
        memset(to, 0, bytes);
    } else {
        memmove(to, from, bytes);
    }
    return STANDIN_SUCCESS;
}

int cudaMemcpy(void *to, const void *from, size_t bytes, int kind)
{
    return cudaMemcpyAsync(to, from, bytes, kind, NULL);
}

int cudaMemcpyPeerAsync(void *to, int to_device, const void *from, int from_device, size_t bytes,
                        void *stream)
{
    (void)to_device;
    (void)from_device;
    return cudaMemcpyAsync(to, from, bytes, STANDIN_DEVICE_TO_DEVICE, stream);
}

int cudaMemsetAsync(void *to, int value, size_t bytes, void *stream)
{
    enum { FILL_NS = 1000 };
    standin_start();
    standin_enqueue(stream, FILL_NS);
    if (!is_device(to)) {
        memset(to, value, bytes);
    }
    return STANDIN_SUCCESS;
}

int cudaMemset(void *to, int value, size_t bytes)
{
    return cudaMemsetAsync(to, value, bytes, NULL);
}
