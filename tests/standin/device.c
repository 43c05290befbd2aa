/* SPDX-License-Identifier: MIT
 *
 * What the devices say of themselves. Settings: STANDIN_DEVICES, STANDIN_MEMORY_BYTES,
 * STANDIN_CAPABILITY (as 8.6), STANDIN_MULTIPROCESSORS.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "standin/device_properties.h"
#include "standin/runtime.h"
#include "standin/standin.h"

enum {
    VERSION = 13000,
    MULTIPROCESSORS = 132,
    WARP_THREADS = 32,
    BLOCK_THREADS = 1024,
    MULTIPROCESSOR_REGISTERS = 65536,
    BLOCK_SHARED_BYTES = 49152,
    RESERVED_SHARED_BYTES = 1024,
    L2_BYTES = 52428800,
    CLOCK_KHZ = 1980000,
    BUS_BITS = 5120,
    GRID_X_MAX = 2147483647,
    GRID_YZ_MAX = 65535,
    PRIORITY_LEAST = 0,
    PRIORITY_GREATEST = -5
};
#define DEFAULT_MEMORY_BYTES (UINT64_C(80) << 30)

/* What depends on the compute capability. */
typedef struct architecture {
    int major, minor;
    int multiprocessor_threads, multiprocessor_blocks;
    int multiprocessor_shared_bytes;
} architecture;

static const architecture ARCHITECTURES[] = {
    {7, 0, 2048, 32, 98304},   {7, 5, 1024, 16, 65536},   {8, 0, 2048, 32, 167936},
    {8, 6, 1536, 16, 102400},  {8, 9, 1536, 24, 102400},  {9, 0, 2048, 32, 233472},
    {10, 0, 2048, 32, 233472}, {12, 0, 1536, 24, 102400},
};
enum {
    ARCHITECTURE_COUNT = sizeof ARCHITECTURES / sizeof *ARCHITECTURES,
    DEFAULT_ARCHITECTURE = 5
};

static _Thread_local int current_device;

uint64_t standin_setting(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text == NULL || text[0] == '\0' ? otherwise : strtoull(text, NULL, 10);
}

/* The architecture that the setting names, else the default one. */
static architecture used_architecture(void)
{
    const char *text = getenv("STANDIN_CAPABILITY");
    for (size_t i = 0; text != NULL && i < ARCHITECTURE_COUNT; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "%d.%d", ARCHITECTURES[i].major, ARCHITECTURES[i].minor);
        if (strcmp(name, text) == 0) {
            return ARCHITECTURES[i];
        }
    }
    return ARCHITECTURES[DEFAULT_ARCHITECTURE];
}

static int multiprocessors(void)
{
    return (int)standin_setting("STANDIN_MULTIPROCESSORS", MULTIPROCESSORS);
}

int standin_device_count(void)
{
    const uint64_t count = standin_setting("STANDIN_DEVICES", 1);
    return count > STANDIN_DEVICES_MAX ? STANDIN_DEVICES_MAX : (int)count;
}

uint64_t standin_capacity_bytes(void)
{
    return standin_setting("STANDIN_MEMORY_BYTES", DEFAULT_MEMORY_BYTES);
}

int standin_current_device(void)
{
    return current_device;
}

static const char device_name[] = "Stand-in GPU";

void standin_tell_device(const standin_cupti *to, int device)
{
    const architecture built = used_architecture();
    const standin_device used = {.ordinal = (uint32_t)device,
                                 .multiprocessors = (uint32_t)multiprocessors(),
                                 .compute_major = (uint32_t)built.major,
                                 .compute_minor = (uint32_t)built.minor,
                                 .memory_bytes = standin_capacity_bytes(),
                                 .name = device_name};
    to->device(&used);
}

int cudaGetDeviceCount(int *count)
{
    standin_enter(STANDIN_CALL_cudaGetDeviceCount);
    *count = standin_device_count();
    return standin_leave(STANDIN_SUCCESS);
}

int cudaGetDevice(int *device)
{
    standin_enter(STANDIN_CALL_cudaGetDevice);
    *device = current_device;
    return standin_leave(STANDIN_SUCCESS);
}

int cudaSetDevice(int device)
{
    standin_enter(STANDIN_CALL_cudaSetDevice);
    if (device < 0 || device >= standin_device_count()) {
        return standin_leave(standin_result(STANDIN_INVALID_DEVICE));
    }
    current_device = device;
    return standin_leave(STANDIN_SUCCESS);
}

static bool is_device(int device)
{
    return device >= 0 && device < standin_device_count();
}

static device_properties describe(int device)
{
    const architecture built = used_architecture();
    device_properties p = {
        .total_bytes = standin_capacity_bytes(),
        .block_shared_bytes = BLOCK_SHARED_BYTES,
        .block_registers = MULTIPROCESSOR_REGISTERS,
        .warp_threads = WARP_THREADS,
        .pitch_bytes = GRID_X_MAX,
        .block_threads = BLOCK_THREADS,
        .block_dim = {BLOCK_THREADS, BLOCK_THREADS, 64},
        .grid_dim = {GRID_X_MAX, GRID_YZ_MAX, GRID_YZ_MAX},
        .constant_bytes = 65536,
        .major = built.major,
        .minor = built.minor,
        .texture_alignment = 512,
        .texture_pitch_alignment = 32,
        .multiprocessors = multiprocessors(),
        .can_map_host_memory = 1,
        .concurrent_kernels = 1,
        .has_ecc = 1,
        .pci_bus = device + 1,
        .copy_engines = 2,
        .unified_addressing = 1,
        .bus_bits = BUS_BITS,
        .l2_bytes = L2_BYTES,
        .multiprocessor_threads = built.multiprocessor_threads,
        .stream_priorities = 1,
        .multiprocessor_shared_bytes = (size_t)built.multiprocessor_shared_bytes,
        .multiprocessor_registers = MULTIPROCESSOR_REGISTERS,
        .managed_memory = 1,
        .cooperative_launch = 1,
        .block_shared_optin_bytes =
            (size_t)(built.multiprocessor_shared_bytes - RESERVED_SHARED_BYTES),
        .multiprocessor_blocks = built.multiprocessor_blocks,
        .reserved_shared_bytes = RESERVED_SHARED_BYTES,
    };
    memcpy(p.name, device_name, sizeof device_name);
    p.uuid[0] = (unsigned char)(device + 1);
    return p;
}

int cudaGetDeviceProperties(void *properties, int device)
{
    standin_enter(STANDIN_CALL_cudaGetDeviceProperties);
    if (!is_device(device)) {
        return standin_leave(standin_result(STANDIN_INVALID_DEVICE));
    }
    const device_properties p = describe(device);
    memcpy(properties, &p, sizeof p);
    return standin_leave(STANDIN_SUCCESS);
}

/* What programs built for CUDA 12 call under the name of the one above. */
int cudaGetDeviceProperties_v2(void *properties, int device)
{
    standin_enter(STANDIN_CALL_cudaGetDeviceProperties);
    if (!is_device(device)) {
        return standin_leave(standin_result(STANDIN_INVALID_DEVICE));
    }
    const device_properties p = describe(device);
    device_properties_12 old = {
        .total_bytes = p.total_bytes,
        .block_shared_bytes = p.block_shared_bytes,
        .block_registers = p.block_registers,
        .warp_threads = p.warp_threads,
        .pitch_bytes = p.pitch_bytes,
        .block_threads = p.block_threads,
        .clock_khz = CLOCK_KHZ,
        .constant_bytes = p.constant_bytes,
        .major = p.major,
        .minor = p.minor,
        .texture_alignment = p.texture_alignment,
        .texture_pitch_alignment = p.texture_pitch_alignment,
        .device_overlap = 1,
        .multiprocessors = p.multiprocessors,
        .can_map_host_memory = p.can_map_host_memory,
        .surface_alignment = p.texture_alignment,
        .concurrent_kernels = p.concurrent_kernels,
        .has_ecc = p.has_ecc,
        .pci_bus = p.pci_bus,
        .copy_engines = p.copy_engines,
        .unified_addressing = p.unified_addressing,
        .memory_clock_khz = CLOCK_KHZ,
        .bus_bits = p.bus_bits,
        .l2_bytes = p.l2_bytes,
        .multiprocessor_threads = p.multiprocessor_threads,
        .stream_priorities = p.stream_priorities,
        .multiprocessor_shared_bytes = p.multiprocessor_shared_bytes,
        .multiprocessor_registers = p.multiprocessor_registers,
        .managed_memory = p.managed_memory,
        .cooperative_launch = p.cooperative_launch,
        .block_shared_optin_bytes = p.block_shared_optin_bytes,
        .multiprocessor_blocks = p.multiprocessor_blocks,
        .reserved_shared_bytes = p.reserved_shared_bytes,
    };
    memcpy(old.name, p.name, sizeof old.name);
    memcpy(old.uuid, p.uuid, sizeof old.uuid);
    memcpy(old.block_dim, p.block_dim, sizeof old.block_dim);
    memcpy(old.grid_dim, p.grid_dim, sizeof old.grid_dim);
    memcpy(properties, &old, sizeof old);
    return standin_leave(STANDIN_SUCCESS);
}

/* cudaDeviceAttr; what is not here is 0. */
static int attribute_value(int attribute)
{
    const architecture built = used_architecture();
    const struct {
        int attribute, value;
    } known[] = {
        {1, BLOCK_THREADS},
        {2, BLOCK_THREADS},
        {3, BLOCK_THREADS},
        {4, 64},
        {5, GRID_X_MAX},
        {6, GRID_YZ_MAX},
        {7, GRID_YZ_MAX},
        {8, BLOCK_SHARED_BYTES},
        {10, WARP_THREADS},
        {12, MULTIPROCESSOR_REGISTERS},
        {16, multiprocessors()},
        {31, 1}, /* concurrent kernels */
        {38, L2_BYTES},
        {39, built.multiprocessor_threads},
        {40, 2}, /* copy engines */
        {41, 1}, /* unified addressing */
        {75, built.major},
        {76, built.minor},
        {78, 1}, /* stream priorities */
        {81, built.multiprocessor_shared_bytes},
        {82, MULTIPROCESSOR_REGISTERS},
        {83, 1}, /* managed memory */
        {95, 1}, /* cooperative launch */
        {97, built.multiprocessor_shared_bytes - RESERVED_SHARED_BYTES},
        {102, 1}, /* virtual memory management */
        {106, built.multiprocessor_blocks},
        {111, RESERVED_SHARED_BYTES},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (known[i].attribute == attribute) {
            return known[i].value;
        }
    }
    return 0;
}

int cudaDeviceGetAttribute(int *value, int attribute, int device)
{
    standin_enter(STANDIN_CALL_cudaDeviceGetAttribute);
    if (!is_device(device)) {
        return standin_leave(standin_result(STANDIN_INVALID_DEVICE));
    }
    *value = attribute_value(attribute);
    return standin_leave(STANDIN_SUCCESS);
}

int cudaDeviceGetPCIBusId(char *text, int size, int device)
{
    standin_enter(STANDIN_CALL_cudaDeviceGetPCIBusId);
    (void)snprintf(text, (size_t)size, "0000:%02x:00.0", (unsigned)device + 1);
    return standin_leave(STANDIN_SUCCESS);
}

int cudaDeviceCanAccessPeer(int *can, int device, int peer)
{
    standin_enter(STANDIN_CALL_cudaDeviceCanAccessPeer);
    *can = device != peer;
    return standin_leave(STANDIN_SUCCESS);
}

int cudaDeviceGetStreamPriorityRange(int *least, int *greatest)
{
    standin_enter(STANDIN_CALL_cudaDeviceGetStreamPriorityRange);
    if (least != NULL) {
        *least = PRIORITY_LEAST;
    }
    if (greatest != NULL) {
        *greatest = PRIORITY_GREATEST;
    }
    return standin_leave(STANDIN_SUCCESS);
}

int cudaDriverGetVersion(int *version)
{
    standin_enter(STANDIN_CALL_cudaDriverGetVersion);
    *version = VERSION;
    return standin_leave(STANDIN_SUCCESS);
}

int cudaRuntimeGetVersion(int *version)
{
    standin_enter(STANDIN_CALL_cudaRuntimeGetVersion);
    *version = VERSION;
    return standin_leave(STANDIN_SUCCESS);
}
