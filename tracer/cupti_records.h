/* SPDX-License-Identifier: MIT
 *
 * The layout of CUPTI's activity records, as offsets.
 *
 * The record structs of CUDA 11, 12 and 13 only grow at their ends: one set
 * of offsets reads all of them, provided that nothing beyond a record's own
 * size is read. So no CUPTI header is needed to build, and one library serves
 * every version. tests/unit/tracer/test_cupti_layout.c holds the offsets
 * against the installed headers where there are any.
 */
#ifndef PS_TRACER_CUPTI_RECORDS_H
#define PS_TRACER_CUPTI_RECORDS_H

#include <stdint.h>

/* X(symbol, kind, least size [bytes]) : CUpti_ActivityKind; the size is that of the oldest layout */
#define PS_CUPTI_KINDS(X)           \
    X(MEMCPY, 1, 64)                \
    X(MEMSET, 2, 64)                \
    X(DRIVER, 4, 40)                \
    X(RUNTIME, 5, 40)               \
    X(DEVICE, 8, 144)               \
    X(CONCURRENT_KERNEL, 10, 144)   \
    X(MARKER, 12, 56)               \
    X(OVERHEAD, 17, 40)             \
    X(MEMCPY2, 22, 72)              \
    X(CUDA_EVENT, 36, 24)           \
    X(SYNCHRONIZATION, 38, 40)      \
    X(EXTERNAL_CORRELATION, 39, 24) \
    X(MEMORY2, 49, 112)

typedef enum ps_cupti_kind {
#define X(symbol, kind, bytes) PS_CUPTI_##symbol = (kind),
    PS_CUPTI_KINDS(X)
#undef X
} ps_cupti_kind;

/* X(struct, field, offset [bytes]) of every field read, named as in cupti_activity.h */
#define PS_CUPTI_FIELDS(X)                                  \
    X(CUpti_ActivityMemory2, memoryOperationType, 4)        \
    X(CUpti_ActivityMemory2, memoryKind, 8)                 \
    X(CUpti_ActivityMemory2, correlationId, 12)             \
    X(CUpti_ActivityMemory2, address, 16)                   \
    X(CUpti_ActivityMemory2, bytes, 24)                     \
    X(CUpti_ActivityMemory2, timestamp, 32)                 \
    X(CUpti_ActivityMemory2, deviceId, 52)                  \
    X(CUpti_ActivityMemory2, contextId, 56)                 \
    X(CUpti_ActivityMemory2, streamId, 60)                  \
    X(CUpti_ActivityMemory2, isAsync, 72)                   \
    X(CUpti_ActivityMemory2, memoryPoolConfig.address, 88)  \
    X(CUpti_ActivityMemcpy4, copyKind, 4)                   \
    X(CUpti_ActivityMemcpy4, srcKind, 5)                    \
    X(CUpti_ActivityMemcpy4, dstKind, 6)                    \
    X(CUpti_ActivityMemcpy4, bytes, 8)                      \
    X(CUpti_ActivityMemcpy4, start, 16)                     \
    X(CUpti_ActivityMemcpy4, end, 24)                       \
    X(CUpti_ActivityMemcpy4, deviceId, 32)                  \
    X(CUpti_ActivityMemcpy4, contextId, 36)                 \
    X(CUpti_ActivityMemcpy4, streamId, 40)                  \
    X(CUpti_ActivityMemcpy4, correlationId, 44)             \
    X(CUpti_ActivityMemcpyPtoP2, copyKind, 4)               \
    X(CUpti_ActivityMemcpyPtoP2, srcKind, 5)                \
    X(CUpti_ActivityMemcpyPtoP2, dstKind, 6)                \
    X(CUpti_ActivityMemcpyPtoP2, bytes, 8)                  \
    X(CUpti_ActivityMemcpyPtoP2, start, 16)                 \
    X(CUpti_ActivityMemcpyPtoP2, end, 24)                   \
    X(CUpti_ActivityMemcpyPtoP2, deviceId, 32)              \
    X(CUpti_ActivityMemcpyPtoP2, contextId, 36)             \
    X(CUpti_ActivityMemcpyPtoP2, streamId, 40)              \
    X(CUpti_ActivityMemcpyPtoP2, srcDeviceId, 44)           \
    X(CUpti_ActivityMemcpyPtoP2, dstDeviceId, 52)           \
    X(CUpti_ActivityMemcpyPtoP2, correlationId, 60)         \
    X(CUpti_ActivityMemset2, bytes, 8)                      \
    X(CUpti_ActivityMemset2, start, 16)                     \
    X(CUpti_ActivityMemset2, end, 24)                       \
    X(CUpti_ActivityMemset2, deviceId, 32)                  \
    X(CUpti_ActivityMemset2, contextId, 36)                 \
    X(CUpti_ActivityMemset2, streamId, 40)                  \
    X(CUpti_ActivityMemset2, correlationId, 44)             \
    X(CUpti_ActivityKernel4, registersPerThread, 6)         \
    X(CUpti_ActivityKernel4, start, 16)                     \
    X(CUpti_ActivityKernel4, end, 24)                       \
    X(CUpti_ActivityKernel4, deviceId, 40)                  \
    X(CUpti_ActivityKernel4, contextId, 44)                 \
    X(CUpti_ActivityKernel4, streamId, 48)                  \
    X(CUpti_ActivityKernel4, gridX, 52)                     \
    X(CUpti_ActivityKernel4, gridY, 56)                     \
    X(CUpti_ActivityKernel4, gridZ, 60)                     \
    X(CUpti_ActivityKernel4, blockX, 64)                    \
    X(CUpti_ActivityKernel4, blockY, 68)                    \
    X(CUpti_ActivityKernel4, blockZ, 72)                    \
    X(CUpti_ActivityKernel4, staticSharedMemory, 76)        \
    X(CUpti_ActivityKernel4, dynamicSharedMemory, 80)       \
    X(CUpti_ActivityKernel4, correlationId, 92)             \
    X(CUpti_ActivityKernel4, name, 104)                     \
    X(CUpti_ActivityKernel5, graphNodeId, 144)              \
    X(CUpti_ActivityAPI, cbid, 4)                           \
    X(CUpti_ActivityAPI, start, 8)                          \
    X(CUpti_ActivityAPI, end, 16)                           \
    X(CUpti_ActivityAPI, processId, 24)                     \
    X(CUpti_ActivityAPI, threadId, 28)                      \
    X(CUpti_ActivityAPI, correlationId, 32)                 \
    X(CUpti_ActivityExternalCorrelation, externalId, 8)     \
    X(CUpti_ActivityExternalCorrelation, correlationId, 16) \
    X(CUpti_ActivityMarker2, flags, 4)                      \
    X(CUpti_ActivityMarker2, timestamp, 8)                  \
    X(CUpti_ActivityMarker2, id, 16)                        \
    X(CUpti_ActivityMarker2, objectKind, 20)                \
    X(CUpti_ActivityMarker2, objectId.pt.threadId, 28)      \
    X(CUpti_ActivityMarker2, name, 40)                      \
    X(CUpti_ActivitySynchronization, type, 4)               \
    X(CUpti_ActivitySynchronization, start, 8)              \
    X(CUpti_ActivitySynchronization, end, 16)               \
    X(CUpti_ActivitySynchronization, correlationId, 24)     \
    X(CUpti_ActivitySynchronization, contextId, 28)         \
    X(CUpti_ActivitySynchronization, streamId, 32)          \
    X(CUpti_ActivitySynchronization, cudaEventId, 36)       \
    X(CUpti_ActivitySynchronization2, cudaEventSyncId, 40)  \
    X(CUpti_ActivityCudaEvent, correlationId, 4)            \
    X(CUpti_ActivityCudaEvent, streamId, 12)                \
    X(CUpti_ActivityCudaEvent, eventId, 16)                 \
    X(CUpti_ActivityCudaEvent2, cudaEventSyncId, 48)        \
    X(CUpti_ActivityOverhead, overheadKind, 4)              \
    X(CUpti_ActivityOverhead, objectKind, 8)                \
    X(CUpti_ActivityOverhead, objectId.pt.threadId, 16)     \
    X(CUpti_ActivityOverhead, start, 24)                    \
    X(CUpti_ActivityOverhead, end, 32)                      \
    X(CUpti_ActivityDevice4, globalMemorySize, 16)          \
    X(CUpti_ActivityDevice4, coreClockRate, 36)             \
    X(CUpti_ActivityDevice4, numMultiprocessors, 44)        \
    X(CUpti_ActivityDevice4, computeCapabilityMajor, 104)   \
    X(CUpti_ActivityDevice4, computeCapabilityMinor, 108)   \
    X(CUpti_ActivityDevice4, id, 112)                       \
    X(CUpti_ActivityDevice4, name, 136)

/* Ids that CUPTI writes when there is none. */
#define PS_CUPTI_NO_ID UINT32_MAX

/* CUpti_ActivityMarker2.flags */
#define PS_CUPTI_MARKER_INSTANT 1u
#define PS_CUPTI_MARKER_START 2u
#define PS_CUPTI_MARKER_END 4u

/* CUpti_ActivityObjectKind: the only one whose union holds a thread */
#define PS_CUPTI_OBJECT_THREAD 2u

/* CUpti_ActivityMemoryOperationType */
#define PS_CUPTI_MEMORY_ALLOCATION 1u
#define PS_CUPTI_MEMORY_RELEASE 2u

#endif
