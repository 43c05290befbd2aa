/* SPDX-License-Identifier: MIT
 *
 * What the devices say of themselves. Settings: STANDIN_DEVICES, STANDIN_MEMORY_BYTES.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "standin/runtime.h"
#include "standin/standin.h"

enum {
    VERSION = 13000,
    COMPUTE_MAJOR = 9,
    COMPUTE_MINOR = 0,
    MULTIPROCESSORS = 132,
    WARP_THREADS = 32,
    BLOCK_THREADS = 1024,
    MULTIPROCESSOR_THREADS = 2048,
    MULTIPROCESSOR_BLOCKS = 32,
    MULTIPROCESSOR_REGISTERS = 65536,
    BLOCK_SHARED_BYTES = 49152,
    BLOCK_SHARED_OPTIN_BYTES = 232448,
    MULTIPROCESSOR_SHARED_BYTES = 233472,
    RESERVED_SHARED_BYTES = 1024,
    L2_BYTES = 52428800,
    BUS_BITS = 5120,
    GRID_X_MAX = 2147483647,
    GRID_YZ_MAX = 65535,
    PRIORITY_LEAST = 0,
    PRIORITY_GREATEST = -5
};
#define DEFAULT_MEMORY_BYTES (UINT64_C(80) << 30)

/* cudaDeviceProp of CUDA 13; `unused` are members nobody asked for yet. */
typedef struct device_properties {
    char name[256];
    unsigned char uuid[16];
    char luid[8];
    unsigned luid_mask;
    size_t total_bytes;
    size_t block_shared_bytes;
    int block_registers;
    int warp_threads;
    size_t pitch_bytes;
    int block_threads;
    int block_dim[3];
    int grid_dim[3];
    size_t constant_bytes;
    int major;
    int minor;
    size_t texture_alignment;
    size_t texture_pitch_alignment;
    int multiprocessors;
    int is_integrated;
    int can_map_host_memory;
    int unused_textures[41];
    int concurrent_kernels;
    int has_ecc;
    int pci_bus;
    int pci_device;
    int pci_domain;
    int unused_driver;
    int copy_engines;
    int unified_addressing;
    int bus_bits;
    int l2_bytes;
    int l2_persisting_bytes;
    int multiprocessor_threads;
    int stream_priorities;
    int unused_caches[2];
    size_t multiprocessor_shared_bytes;
    int multiprocessor_registers;
    int managed_memory;
    int unused_board[6];
    int unused_host_pointer;
    int cooperative_launch;
    size_t block_shared_optin_bytes;
    int unused_managed[2];
    int multiprocessor_blocks;
    int window_bytes;
    size_t reserved_shared_bytes;
    unsigned char unused[304];
} device_properties;

_Static_assert(sizeof(device_properties) == 1008, "size of cudaDeviceProp");
_Static_assert(offsetof(device_properties, concurrent_kernels) == 560, "place in cudaDeviceProp");
_Static_assert(offsetof(device_properties, reserved_shared_bytes) == 696,
               "place in cudaDeviceProp");

/* cudaDeviceAttr; what is not here is 0. */
static const struct {
    int attribute;
    int value;
} ATTRIBUTES[] = {
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
    {16, MULTIPROCESSORS},
    {31, 1}, /* concurrent kernels */
    {38, L2_BYTES},
    {39, MULTIPROCESSOR_THREADS},
    {40, 2}, /* copy engines */
    {41, 1}, /* unified addressing */
    {75, COMPUTE_MAJOR},
    {76, COMPUTE_MINOR},
    {78, 1}, /* stream priorities */
    {81, MULTIPROCESSOR_SHARED_BYTES},
    {82, MULTIPROCESSOR_REGISTERS},
    {83, 1}, /* managed memory */
    {95, 1}, /* cooperative launch */
    {97, BLOCK_SHARED_OPTIN_BYTES},
    {102, 1}, /* virtual memory management */
    {106, MULTIPROCESSOR_BLOCKS},
    {111, RESERVED_SHARED_BYTES},
};

static _Thread_local int current_device;

uint64_t standin_setting(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text == NULL || text[0] == '\0' ? otherwise : strtoull(text, NULL, 10);
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
    const standin_device used = {.ordinal = (uint32_t)device,
                                 .multiprocessors = MULTIPROCESSORS,
                                 .compute_major = COMPUTE_MAJOR,
                                 .compute_minor = COMPUTE_MINOR,
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

int cudaGetDeviceProperties(void *properties, int device)
{
    standin_enter(STANDIN_CALL_cudaGetDeviceProperties);
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
        .major = COMPUTE_MAJOR,
        .minor = COMPUTE_MINOR,
        .texture_alignment = 512,
        .texture_pitch_alignment = 32,
        .multiprocessors = MULTIPROCESSORS,
        .can_map_host_memory = 1,
        .concurrent_kernels = 1,
        .has_ecc = 1,
        .pci_bus = device + 1,
        .copy_engines = 2,
        .unified_addressing = 1,
        .bus_bits = BUS_BITS,
        .l2_bytes = L2_BYTES,
        .multiprocessor_threads = MULTIPROCESSOR_THREADS,
        .stream_priorities = 1,
        .multiprocessor_shared_bytes = MULTIPROCESSOR_SHARED_BYTES,
        .multiprocessor_registers = MULTIPROCESSOR_REGISTERS,
        .managed_memory = 1,
        .cooperative_launch = 1,
        .block_shared_optin_bytes = BLOCK_SHARED_OPTIN_BYTES,
        .multiprocessor_blocks = MULTIPROCESSOR_BLOCKS,
        .reserved_shared_bytes = RESERVED_SHARED_BYTES,
    };
    if (device < 0 || device >= standin_device_count()) {
        return standin_leave(standin_result(STANDIN_INVALID_DEVICE));
    }
    memcpy(p.name, device_name, sizeof device_name);
    p.uuid[0] = (unsigned char)(device + 1);
    memcpy(properties, &p, sizeof p);
    return standin_leave(STANDIN_SUCCESS);
}

int cudaDeviceGetAttribute(int *value, int attribute, int device)
{
    standin_enter(STANDIN_CALL_cudaDeviceGetAttribute);
    if (device < 0 || device >= standin_device_count()) {
        return standin_leave(standin_result(STANDIN_INVALID_DEVICE));
    }
    *value = 0;
    for (size_t i = 0; i < sizeof ATTRIBUTES / sizeof *ATTRIBUTES; i++) {
        if (ATTRIBUTES[i].attribute == attribute) {
            *value = ATTRIBUTES[i].value;
        }
    }
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
