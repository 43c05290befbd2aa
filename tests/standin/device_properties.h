/* SPDX-License-Identifier: MIT
 *
 * cudaDeviceProp as CUDA 13 and as CUDA 12 lay it out; `unused` are members nobody asked for yet.
 */
#ifndef PS_STANDIN_DEVICE_PROPERTIES_H
#define PS_STANDIN_DEVICE_PROPERTIES_H

#include <stddef.h>

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

typedef struct device_properties_12 {
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
    int clock_khz;
    size_t constant_bytes;
    int major;
    int minor;
    size_t texture_alignment;
    size_t texture_pitch_alignment;
    int device_overlap;
    int multiprocessors;
    int unused_timeout;
    int is_integrated;
    int can_map_host_memory;
    int unused_textures[41];
    size_t surface_alignment;
    int concurrent_kernels;
    int has_ecc;
    int pci_bus;
    int pci_device;
    int pci_domain;
    int unused_driver;
    int copy_engines;
    int unified_addressing;
    int memory_clock_khz;
    int bus_bits;
    int l2_bytes;
    int l2_persisting_bytes;
    int multiprocessor_threads;
    int stream_priorities;
    int unused_caches[2];
    size_t multiprocessor_shared_bytes;
    int multiprocessor_registers;
    int managed_memory;
    int unused_board[7];
    int unused_host_pointer;
    int cooperative_launch;
    int unused_cooperative;
    size_t block_shared_optin_bytes;
    int unused_managed[2];
    int multiprocessor_blocks;
    int window_bytes;
    size_t reserved_shared_bytes;
    unsigned char unused[304];
} device_properties_12;

_Static_assert(sizeof(device_properties_12) == 1032, "size of CUDA 12's cudaDeviceProp");

#endif
