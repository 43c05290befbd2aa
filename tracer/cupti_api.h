/* SPDX-License-Identifier: MIT
 *
 * The functions of libcupti that the tracer calls, found at run time.
 *
 * The copy that the process already has is used (PyTorch brings its own), for
 * two copies fight over the driver; else the loader's. Nothing here needs
 * CUPTI's headers.
 */
#ifndef PS_TRACER_CUPTI_API_H
#define PS_TRACER_CUPTI_API_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* CUptiResult */
#define PS_CUPTI_SUCCESS 0
#define PS_CUPTI_ERROR_MAX_LIMIT_REACHED 12
#define PS_CUPTI_ERROR_MULTIPLE_SUBSCRIBERS 39

/* cuptiGetVersion: CUDA 11.0, the first with these records; 12.9, from which request callbacks may give no buffer */
#define PS_CUPTI_LEAST_VERSION 13u

/* CUpti_CallbackDomain */
#define PS_CUPTI_DOMAIN_DRIVER 1u
#define PS_CUPTI_DOMAIN_RUNTIME 2u

typedef void (*ps_cupti_request_fn)(uint8_t **buffer, size_t *size, size_t *max_records);
typedef void (*ps_cupti_complete_fn)(void *context, uint32_t stream, uint8_t *buffer, size_t size,
                                     size_t valid_size);
typedef void (*ps_cupti_callback_fn)(void *user, uint32_t domain, uint32_t id, const void *data);

/* X(member, symbol, is_required, parameters): all return a CUptiResult */
#define PS_CUPTI_FUNCTIONS(X)                                                          \
    X(get_version, cuptiGetVersion, 1, (uint32_t *))                                   \
    X(get_timestamp, cuptiGetTimestamp, 1, (uint64_t *))                               \
    X(get_result_string, cuptiGetResultString, 0, (int, const char **))                \
    X(subscribe, cuptiSubscribe, 1, (void **, ps_cupti_callback_fn, void *))           \
    X(unsubscribe, cuptiUnsubscribe, 0, (void *))                                      \
    X(enable_callback, cuptiEnableCallback, 0, (uint32_t, void *, uint32_t, uint32_t)) \
    X(get_callback_name, cuptiGetCallbackName, 0, (uint32_t, uint32_t, const char **)) \
    X(set_thread_id_type, cuptiSetThreadIdType, 0, (int))                              \
    X(register_callbacks, cuptiActivityRegisterCallbacks, 1,                           \
      (ps_cupti_request_fn, ps_cupti_complete_fn))                                     \
    X(enable, cuptiActivityEnable, 1, (uint32_t))                                      \
    X(disable, cuptiActivityDisable, 1, (uint32_t))                                    \
    X(enable_and_dump, cuptiActivityEnableAndDump, 0, (uint32_t))                      \
    X(enable_driver_api, cuptiActivityEnableDriverApi, 0, (uint32_t, uint8_t))         \
    X(enable_runtime_api, cuptiActivityEnableRuntimeApi, 0, (uint32_t, uint8_t))       \
    X(enable_all_syncs, cuptiActivityEnableAllSyncRecords, 0, (uint8_t))               \
    X(next_record, cuptiActivityGetNextRecord, 1, (uint8_t *, size_t, uint8_t **))     \
    X(flush_all, cuptiActivityFlushAll, 1, (uint32_t))                                 \
    X(dropped, cuptiActivityGetNumDroppedRecords, 1, (void *, uint32_t, size_t *))     \
    X(set_attribute, cuptiActivitySetAttribute, 0, (int, size_t *, void *))            \
    X(device_attribute, cuptiDeviceGetAttribute, 0, (int, int, size_t *, void *))

typedef struct ps_cupti_api {
#define X(member, symbol, required, parameters) int(*member) parameters;
    PS_CUPTI_FUNCTIONS(X)
#undef X
    void *library;
    uint32_t version; /* as cuptiGetVersion says */
} ps_cupti_api;

/**
 * Finds libcupti.
 *
 * @param path  a library to prefer when the process has none yet; NULL none
 * @return PS_OK · PS_NOT_FOUND no library · PS_UNSUPPORTED older than CUDA 11.0, or incomplete
 */
ps_code ps_cupti_load(const char *path, ps_cupti_api *out, ps_error *err) PS_MUST_USE;

/** CUPTI's own words for a result. */
const char *ps_cupti_result_text(const ps_cupti_api *self, int result);

#endif
