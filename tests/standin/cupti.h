/* SPDX-License-Identifier: MIT
 *
 * What the files of the stand-in for CUPTI share: its functions, declared from
 * their documented binary interface. Enumerations are plain ints, handles
 * untyped pointers, records bytes.
 *
 *   cupti.c          what is enabled, and everything that is answered at once
 *   cupti_records.c  what happens -> records, in the layout that is asked for
 *   cupti_buffers.c  records -> the client's buffers, one a thread
 *
 * Settings: STANDIN_CUPTI_LAYOUT 11, 12 or 13 (sizes of records, and the
 * version); STANDIN_CUPTI_VERSION another version; STANDIN_CUPTI_BUSY=1 another client is there.
 */
#ifndef PS_STANDIN_CUPTI_H
#define PS_STANDIN_CUPTI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STANDIN_CUPTI __attribute__((visibility("default")))

/* CUptiResult */
enum {
    CUPTI_OK = 0,
    CUPTI_INVALID_PARAMETER = 1,
    CUPTI_INVALID_DEVICE = 2,
    CUPTI_MAX_LIMIT_REACHED = 12,
    CUPTI_INVALID_KIND = 21,
    CUPTI_NOT_SUPPORTED = 27,
    CUPTI_MULTIPLE_SUBSCRIBERS = 39
};

/* CUpti_CallbackDomain */
enum { CUPTI_DRIVER_DOMAIN = 1, CUPTI_RUNTIME_DOMAIN = 2 };

/* CUpti_ActivityKind */
enum {
    CUPTI_MEMCPY = 1,
    CUPTI_MEMSET = 2,
    CUPTI_DRIVER = 4,
    CUPTI_RUNTIME = 5,
    CUPTI_DEVICE = 8,
    CUPTI_KERNEL = 10,
    CUPTI_MEMCPY_PEER = 22,
    CUPTI_EVENT = 36,
    CUPTI_SYNCHRONIZATION = 38,
    CUPTI_MEMORY = 49,
    CUPTI_KINDS = 64
};

typedef void (*cupti_request)(uint8_t **buffer, size_t *bytes, size_t *most_records);
typedef void (*cupti_complete)(void *context, uint32_t stream, uint8_t *buffer, size_t bytes,
                               size_t valid_bytes);
typedef void (*cupti_callback)(void *user, int domain, uint32_t id, const void *data);

/* The functions, as the real library exports them. */
STANDIN_CUPTI int cuptiGetVersion(uint32_t *version);
STANDIN_CUPTI int cuptiGetTimestamp(uint64_t *ns);
STANDIN_CUPTI int cuptiGetResultString(int result, const char **text);
STANDIN_CUPTI int cuptiSubscribe(void **subscriber, cupti_callback callback, void *user);
STANDIN_CUPTI int cuptiUnsubscribe(void *subscriber);
STANDIN_CUPTI int cuptiEnableCallback(uint32_t enable, void *subscriber, int domain, uint32_t id);
STANDIN_CUPTI int cuptiEnableDomain(uint32_t enable, void *subscriber, int domain);
STANDIN_CUPTI int cuptiGetCallbackName(int domain, uint32_t id, const char **name);
STANDIN_CUPTI int cuptiSetThreadIdType(int type);
STANDIN_CUPTI int cuptiGetThreadIdType(int *type);
STANDIN_CUPTI int cuptiFinalize(void);
STANDIN_CUPTI int cuptiActivityEnable(int kind);
STANDIN_CUPTI int cuptiActivityDisable(int kind);
STANDIN_CUPTI int cuptiActivityEnableAndDump(int kind);
STANDIN_CUPTI int cuptiActivityEnableDriverApi(uint32_t id, uint8_t enable);
STANDIN_CUPTI int cuptiActivityEnableRuntimeApi(uint32_t id, uint8_t enable);
STANDIN_CUPTI int cuptiActivityEnableAllSyncRecords(uint8_t enable);
STANDIN_CUPTI int cuptiActivityEnableCudaEventDeviceTimestamps(uint8_t enable);
STANDIN_CUPTI int cuptiActivityPushExternalCorrelationId(int kind, uint64_t id);
STANDIN_CUPTI int cuptiActivityPopExternalCorrelationId(int kind, uint64_t *last);
STANDIN_CUPTI int cuptiActivityRegisterTimestampCallback(uint64_t (*callback)(void));
STANDIN_CUPTI int cuptiActivityRegisterCallbacks(cupti_request request, cupti_complete complete);
STANDIN_CUPTI int cuptiActivityFlushAll(uint32_t flags);
STANDIN_CUPTI int cuptiActivityGetNextRecord(uint8_t *buffer, size_t valid_bytes, uint8_t **record);
STANDIN_CUPTI int cuptiActivityGetNumDroppedRecords(void *context, uint32_t stream, size_t *count);
STANDIN_CUPTI int cuptiActivitySetAttribute(int attribute, size_t *bytes, void *value);
STANDIN_CUPTI int cuptiDeviceGetAttribute(int device, int attribute, size_t *bytes, void *value);

/* cupti.c */

/* 11, 12 or 13. */
unsigned cupti_layout(void);
bool cupti_wants(unsigned kind);
bool cupti_wants_call(int domain, uint32_t id);
/* Thread id as the client wants it. */
uint32_t cupti_thread(void);
/* Calls the subscriber back when it wants calls of this id; `data` is a CUpti_CallbackData. */
void cupti_call_back(uint32_t id, const void *data);

/* cupti_records.c */

/* [bytes] of a record of this kind; 0 unknown. */
size_t cupti_record_bytes(uint32_t kind);

/* cupti_buffers.c */

void cupti_put(const void *record, size_t bytes);

#endif
