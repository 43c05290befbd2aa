/* SPDX-License-Identifier: MIT
 *
 * The driver functions that PyTorch asks the runtime for by name: memory as
 * pages that are made, mapped into a reserved range of addresses and released.
 */
#include <stdlib.h>
#include <string.h>

#include "standin/address_space.h"
#include "standin/runtime.h"
#include "standin/standin.h"

enum { MAPPINGS_MAX = 1 << 17 };

/* CUmemAllocationProp, as far as it is read. */
typedef struct page_properties {
    int type;
    int handle_types;
    int location_type;
    int location_device;
} page_properties;

/* One cuMemCreate; lives until it is released and unmapped as often as it was mapped. */
typedef struct pages {
    uint64_t bytes;
    int device;
    int references;
} pages;

typedef struct mapping {
    uint64_t address;
    pages *pages;
} mapping;

/* Reserved ranges are as large as the device; a range of 16 TiB holds hundreds of them. */
#define RESERVED_BASE UINT64_C(0x600000000000)
static standin_address_space space = {.base = RESERVED_BASE, .chunk_count = 1 << 19};
static mapping mappings[MAPPINGS_MAX];
static size_t mapping_count;

int standin_mapped_device(uint64_t address)
{
    for (size_t i = mapping_count; i-- > 0;) {
        if (address - mappings[i].address < mappings[i].pages->bytes) {
            return mappings[i].pages->device;
        }
    }
    return -1;
}

#define ENTER_DRIVER(name, parameters) standin_enter_driver(STANDIN_CALL_##name, #name, parameters)

static void drop_reference(pages *self)
{
    if (--self->references == 0) {
        standin_give_bytes(self->device, self->bytes);
        free(self);
    }
}

int cuMemAddressReserve(uint64_t *out, size_t bytes, size_t alignment, uint64_t wanted,
                        unsigned long long flags)
{
    (void)alignment;
    (void)wanted;
    (void)flags;
    standin_lock();
    *out = standin_place(&space, standin_round_to_pages(bytes));
    standin_unlock();
    return *out == 0 ? STANDIN_OUT_OF_MEMORY : STANDIN_SUCCESS;
}

int cuMemAddressFree(uint64_t address, size_t bytes)
{
    standin_lock();
    standin_vacate(&space, address, standin_round_to_pages(bytes));
    standin_unlock();
    return STANDIN_SUCCESS;
}

static int create_pages(uint64_t *handle, size_t bytes, const void *properties)
{
    page_properties wanted;
    memcpy(&wanted, properties, sizeof wanted);
    const int device = wanted.location_device;
    if (bytes == 0 || bytes % STANDIN_PAGE_BYTES != 0 || device < 0 ||
        device >= standin_device_count()) {
        return STANDIN_INVALID_VALUE;
    }
    pages *made = malloc(sizeof *made);
    standin_lock();
    const bool is_there = made != NULL && standin_take_bytes(device, bytes);
    standin_unlock();
    if (!is_there) {
        free(made);
        return STANDIN_OUT_OF_MEMORY;
    }
    *made = (pages){.bytes = bytes, .device = device, .references = 1};
    *handle = (uintptr_t)made;
    return STANDIN_SUCCESS;
}

int cuMemCreate(uint64_t *handle, size_t bytes, const void *properties, unsigned long long flags)
{
    const struct {
        uint64_t *handle;
        size_t bytes;
        const void *properties;
        unsigned long long flags;
    } parameters = {handle, bytes, properties, flags};
    standin_driver_call call = ENTER_DRIVER(cuMemCreate, &parameters);
    return standin_leave_driver(&call, create_pages(handle, bytes, properties));
}

static int release_pages(uint64_t handle)
{
    standin_lock();
    drop_reference((pages *)(uintptr_t)handle);
    standin_unlock();
    return STANDIN_SUCCESS;
}

int cuMemRelease(uint64_t handle)
{
    const struct {
        uint64_t handle;
    } parameters = {handle};
    standin_driver_call call = ENTER_DRIVER(cuMemRelease, &parameters);
    return standin_leave_driver(&call, release_pages(handle));
}

static int map_pages(uint64_t address, size_t bytes, size_t offset, uint64_t handle)
{
    pages *mapped = (pages *)(uintptr_t)handle;
    int error = STANDIN_INVALID_VALUE;
    standin_lock();
    if (offset == 0 && bytes == mapped->bytes && mapping_count < MAPPINGS_MAX) {
        mapped->references++;
        mappings[mapping_count++] = (mapping){.address = address, .pages = mapped};
        error = STANDIN_SUCCESS;
    }
    standin_unlock();
    return error;
}

int cuMemMap(uint64_t address, size_t bytes, size_t offset, uint64_t handle,
             unsigned long long flags)
{
    const struct {
        uint64_t address;
        size_t bytes, offset;
        uint64_t handle;
        unsigned long long flags;
    } parameters = {address, bytes, offset, handle, flags};
    standin_driver_call call = ENTER_DRIVER(cuMemMap, &parameters);
    return standin_leave_driver(&call, map_pages(address, bytes, offset, handle));
}

static int unmap_pages(uint64_t address, size_t bytes)
{
    int error = STANDIN_INVALID_VALUE;
    standin_lock();
    for (size_t i = mapping_count; i-- > 0;) {
        if (mappings[i].address - address < bytes) {
            drop_reference(mappings[i].pages);
            mappings[i] = mappings[--mapping_count];
            error = STANDIN_SUCCESS;
        }
    }
    standin_unlock();
    return error;
}

int cuMemUnmap(uint64_t address, size_t bytes)
{
    const struct {
        uint64_t address;
        size_t bytes;
    } parameters = {address, bytes};
    standin_driver_call call = ENTER_DRIVER(cuMemUnmap, &parameters);
    return standin_leave_driver(&call, unmap_pages(address, bytes));
}

int cuMemSetAccess(uint64_t address, size_t bytes, const void *access, size_t count)
{
    const struct {
        uint64_t address;
        size_t bytes;
        const void *access;
        size_t count;
    } parameters = {address, bytes, access, count};
    standin_driver_call call = ENTER_DRIVER(cuMemSetAccess, &parameters);
    return standin_leave_driver(&call, STANDIN_SUCCESS);
}

int cuMemGetAllocationGranularity(size_t *out, const void *properties, int option)
{
    (void)properties;
    (void)option;
    *out = STANDIN_PAGE_BYTES;
    return STANDIN_SUCCESS;
}

int cuDeviceGet(int *device, int ordinal)
{
    *device = ordinal;
    return STANDIN_SUCCESS;
}

/* CUdevice_attribute 128: memory handles for other machines; the rest is numbered as in the runtime. */
int cuDeviceGetAttribute(int *value, int attribute, int device)
{
    return cudaDeviceGetAttribute(value, attribute, device);
}

/* Primary contexts: the address of a device's entry here. */
static int contexts[STANDIN_DEVICES_MAX];

int cuDevicePrimaryCtxGetState(int device, unsigned *flags, int *is_active)
{
    (void)device;
    *flags = 0;
    *is_active = 1;
    return STANDIN_SUCCESS;
}

int cuDevicePrimaryCtxRetain(void **context, int device)
{
    *context = &contexts[device];
    return STANDIN_SUCCESS;
}

int cuCtxGetCurrent(void **context)
{
    return cuDevicePrimaryCtxRetain(context, standin_current_device());
}

int cuGetErrorString(int error, const char **text)
{
    *text = cudaGetErrorString(error);
    return STANDIN_SUCCESS;
}

static int refuse(void)
{
    return STANDIN_NOT_SUPPORTED;
}

typedef void (*any_function)(void);
#define NAMED(name)               \
    {                             \
#name, (any_function)name \
    }
static const struct {
    const char *name;
    any_function function;
} FUNCTIONS[] = {
    NAMED(cuMemAddressReserve),
    NAMED(cuMemAddressFree),
    NAMED(cuMemCreate),
    NAMED(cuMemRelease),
    NAMED(cuMemMap),
    NAMED(cuMemUnmap),
    NAMED(cuMemSetAccess),
    NAMED(cuMemGetAllocationGranularity),
    NAMED(cuDeviceGet),
    NAMED(cuDeviceGetAttribute),
    NAMED(cuDevicePrimaryCtxGetState),
    NAMED(cuDevicePrimaryCtxRetain),
    NAMED(cuCtxGetCurrent),
    NAMED(cuGetErrorString),
};

int cudaGetDriverEntryPointByVersion(const char *name, void **function, unsigned version,
                                     unsigned long long flags, int *status)
{
    standin_enter(STANDIN_CALL_cudaGetDriverEntryPointByVersion);
    (void)version;
    (void)flags;
    any_function found = (any_function)refuse;
    for (size_t i = 0; i < sizeof FUNCTIONS / sizeof *FUNCTIONS; i++) {
        if (strcmp(FUNCTIONS[i].name, name) == 0) {
            found = FUNCTIONS[i].function;
        }
    }
    memcpy(function, &found, sizeof found);
    if (status != NULL) {
        *status = 0;
    }
    return standin_leave(STANDIN_SUCCESS);
}

int cudaGetDriverEntryPoint(const char *name, void **function, unsigned long long flags,
                            int *status)
{
    standin_enter(STANDIN_CALL_cudaGetDriverEntryPoint);
    return standin_leave(cudaGetDriverEntryPointByVersion(name, function, 0, flags, status));
}
