/* SPDX-License-Identifier: MIT
 *
 * CUPTI's activity records in their newest form (CUDA 13). Older forms of the
 * same record are shorter and equal as far as they go.
 */
#ifndef PS_STANDIN_CUPTI_LAYOUT_H
#define PS_STANDIN_CUPTI_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

typedef struct api_record {
    uint32_t kind;
    uint32_t id;
    uint64_t start_ns, end_ns;
    uint32_t process, thread;
    uint32_t correlation;
    uint32_t result;
} api_record;

typedef struct kernel_record {
    uint32_t kind;
    uint8_t cache_modes[2];
    uint16_t registers;
    uint32_t cache_partitions[2];
    uint64_t start_ns, end_ns, completed_ns;
    uint32_t device, context, stream;
    uint32_t grid[3], block[3];
    uint32_t static_shared_bytes, dynamic_shared_bytes;
    uint32_t local_memory_bytes[2];
    uint32_t correlation;
    int64_t grid_id;
    const char *name;
    uint64_t reserved;
    uint64_t queued_ns, submitted_ns;
    uint8_t launch_modes[4];
    uint32_t executed_shared_bytes;
    uint64_t graph_node;
    uint32_t shared_limit;
    uint32_t graph;
    uint64_t access_window;
    uint32_t channel[2];
    uint32_t cluster[4];
    uint64_t local_memory_total;
    uint32_t cluster_limits[2];
    uint64_t is_device_launched;
} kernel_record;

_Static_assert(sizeof(kernel_record) == 216, "CUpti_ActivityKernel10");
_Static_assert(offsetof(kernel_record, correlation) == 92, "place in CUpti_ActivityKernel10");
_Static_assert(offsetof(kernel_record, graph_node) == 144, "place in CUpti_ActivityKernel10");

typedef struct copy_record {
    uint32_t kind;
    uint8_t copy_kind, from, to, flags;
    uint64_t bytes;
    uint64_t start_ns, end_ns;
    uint32_t device, context, stream;
    uint32_t correlation;
    uint32_t runtime_correlation;
    uint32_t padding;
    uint64_t reserved;
    uint64_t graph_node;
    uint32_t graph, channel[2];
    uint32_t is_device_launched;
    uint64_t copies;
} copy_record;

_Static_assert(sizeof(copy_record) == 96, "CUpti_ActivityMemcpy6");

typedef struct peer_copy_record {
    uint32_t kind;
    uint8_t copy_kind, from, to, flags;
    uint64_t bytes;
    uint64_t start_ns, end_ns;
    uint32_t device, context, stream;
    uint32_t from_device, from_context, to_device, to_context;
    uint32_t correlation;
    uint64_t reserved;
    uint64_t graph_node;
    uint32_t graph, channel[2];
    uint32_t padding;
} peer_copy_record;

_Static_assert(sizeof(peer_copy_record) == 96, "CUpti_ActivityMemcpyPtoP4");

typedef struct fill_record {
    uint32_t kind;
    uint32_t value;
    uint64_t bytes;
    uint64_t start_ns, end_ns;
    uint32_t device, context, stream;
    uint32_t correlation;
    uint16_t flags, memory_kind;
    uint32_t padding;
    uint64_t reserved;
    uint64_t graph_node;
    uint32_t graph, channel[2];
    uint32_t is_device_launched;
} fill_record;

_Static_assert(sizeof(fill_record) == 88, "CUpti_ActivityMemset4");

typedef struct memory_record {
    uint32_t kind;
    uint32_t operation;
    uint32_t memory_kind;
    uint32_t correlation;
    uint64_t address, bytes, time_ns, caller;
    uint32_t process, device, context, stream;
    const char *name;
    uint32_t is_async, padding;
    uint32_t pool_type, pool_padding;
    uint64_t pool_address, pool_threshold, pool_bytes, pool_used_bytes;
    const char *source;
} memory_record;

_Static_assert(sizeof(memory_record) == 128, "CUpti_ActivityMemory4");

typedef struct wait_record {
    uint32_t kind;
    uint32_t type;
    uint64_t start_ns, end_ns;
    uint32_t correlation, context, stream, event;
    uint64_t sync;
    uint32_t result, padding;
} wait_record;

_Static_assert(sizeof(wait_record) == 56, "CUpti_ActivitySynchronization2");

typedef struct event_record {
    uint32_t kind;
    uint32_t correlation, context, stream, event;
    uint32_t padding;
    uint32_t device, device_padding;
    uint64_t reserved;
    uint64_t device_time_ns;
    uint64_t sync;
} event_record;

_Static_assert(sizeof(event_record) == 56, "CUpti_ActivityCudaEvent2");

typedef struct device_record {
    uint32_t kind, flags;
    uint64_t bandwidth, memory_bytes;
    uint32_t constant_bytes, l2_bytes, warp_threads, core_clock_khz;
    uint32_t copy_engines, multiprocessors;
    uint32_t limits[14];
    uint32_t compute_major, compute_minor;
    uint32_t ordinal, has_ecc;
    uint8_t uuid[16];
    const char *name;
    uint8_t is_visible, is_partitioned, reserved[6];
    uint32_t instance[2];
    uint8_t partition_uuid[16];
    uint32_t numa[2];
} device_record;

_Static_assert(sizeof(device_record) == 184, "CUpti_ActivityDevice5");
_Static_assert(offsetof(device_record, name) == 136, "place in CUpti_ActivityDevice5");

/* CUpti_CallbackData */
typedef struct callback_data {
    uint32_t site; /* 0 enter, 1 exit */
    const char *name;
    const void *parameters;
    void *result;
    const char *symbol;
    void *context;
    uint32_t context_id;
    uint64_t *correlation_data;
    uint32_t correlation;
} callback_data;

_Static_assert(sizeof(callback_data) == 72, "CUpti_CallbackData");

#endif
