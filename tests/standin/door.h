/* SPDX-License-Identifier: MIT
 *
 * How the stand-in for CUDA tells the stand-in for CUPTI what happens.
 *
 * CUPTI is a library of its own, as the real one, and may not be there: it
 * exports one table, which is looked up when the library is in the process.
 * Times are Unix ns.
 */
#ifndef PS_STANDIN_DOOR_H
#define PS_STANDIN_DOOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STANDIN_DOOR "standin_cupti_door"

enum standin_call_id {
#define STANDIN_RUNTIME_CALL(name, version, id) STANDIN_CALL_##name = (id),
#include "standin/calls.def"
#undef STANDIN_RUNTIME_CALL
#define STANDIN_DRIVER_CALL(name, id) STANDIN_CALL_##name = (id),
#include "standin/calls.def"
#undef STANDIN_DRIVER_CALL
};

/* CUpti_ActivityMemoryKind */
enum { STANDIN_PAGEABLE = 1, STANDIN_PINNED = 2, STANDIN_DEVICE_MEMORY = 3 };

/* CUpti_ActivityMemcpyKind */
enum {
    STANDIN_HTOD = 1,
    STANDIN_DTOH = 2,
    STANDIN_DTOD = 8,
    STANDIN_HTOH = 9,
    STANDIN_PEER_TO_PEER = 10
};

/* CUpti_ActivitySynchronizationType */
enum {
    STANDIN_WAIT_EVENT = 1,
    STANDIN_WAIT_STREAM_EVENT = 2,
    STANDIN_WAIT_STREAM = 3,
    STANDIN_WAIT_DEVICE = 4
};

#define STANDIN_NO_ID UINT32_MAX

typedef struct standin_called {
    uint32_t id, correlation, result;
    uint64_t start_ns, end_ns;
} standin_called;

/* Work of the device: where, when, by which call. */
typedef struct standin_work {
    uint32_t correlation, device, stream;
    uint64_t start_ns, end_ns;
} standin_work;

typedef struct standin_launch {
    const char *name; /* lives as long as the process */
    uint32_t grid[3], block[3];
    uint32_t registers, shared_bytes;
} standin_launch;

typedef struct standin_copied {
    uint64_t bytes;
    uint8_t kind, from, to;
    bool is_async;
    uint32_t from_device; /* peer copies */
} standin_copied;

typedef struct standin_memory {
    uint32_t correlation, device;
    uint32_t kind;
    bool is_release;
    uint64_t address, bytes, time_ns;
} standin_memory;

/* A recording of an event, or a wait; `sync` names the recording, `event` the event. */
typedef struct standin_order {
    uint32_t type; /* of a wait */
    uint32_t correlation, device, stream, event;
    uint64_t sync;
    uint64_t start_ns, end_ns;
} standin_order;

typedef struct standin_device {
    uint32_t ordinal, multiprocessors, compute_major, compute_minor;
    uint64_t memory_bytes;
    const char *name;
} standin_device;

/* One call of the driver, at its beginning and its end. */
typedef struct standin_driver_call {
    uint32_t id, correlation;
    const char *name;
    const void *parameters; /* the arguments, laid out as a struct */
    uint64_t start_ns;
    uint64_t correlation_data; /* the subscriber's, from begin to end */
} standin_driver_call;

typedef struct standin_cupti {
    void (*called)(const standin_called *call);
    void (*kernel)(const standin_work *work, const standin_launch *launch);
    void (*copy)(const standin_work *work, const standin_copied *copy);
    void (*fill)(const standin_work *work, uint64_t bytes, uint32_t value);
    void (*memory)(const standin_memory *memory);
    void (*recorded)(const standin_order *order);
    void (*waited)(const standin_order *order);
    void (*device)(const standin_device *device);
    void (*driver_begin)(standin_driver_call *call);
    void (*driver_end)(standin_driver_call *call, uint32_t result, uint64_t end_ns);
} standin_cupti;

#endif
