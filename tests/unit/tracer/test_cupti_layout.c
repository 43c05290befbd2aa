/* SPDX-License-Identifier: MIT
 *
 * The offsets, sizes and numbers that the tracer carries, against CUPTI's own
 * headers. Built only where those are installed.
 */
#include "support/test.h"

#include <string.h>

#include <cuda.h>
#include <cupti_activity.h>
#include <cupti_driver_cbid.h>
#include <cupti_runtime_cbid.h>
#include <cupti_version.h>

#include "chosen_calls.h"
#include "cupti_records.h"
#include "support/cupti_stream.h"

static void every_field_lies_where_the_header_has_it(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t offset, expected;
    } fields[] = {
#define X(type, field, at) {#type "." #field, offsetof(type, field), (at)},
        PS_CUPTI_FIELDS(X)
#undef X
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (fields[i].offset != fields[i].expected) {
            fail_msg("%s lies at %zu, not at %zu", fields[i].name, fields[i].offset,
                     fields[i].expected);
        }
    }
}

static void every_kind_has_the_number_of_the_header(void **state)
{
    (void)state;
#define X(symbol, kind, bytes) assert_int_equal(CUPTI_ACTIVITY_KIND_##symbol, kind);
    PS_CUPTI_KINDS(X)
#undef X
}

/* Fields behind the oldest layout, read only when a record is long enough. */
static bool is_optional(const char *type)
{
    return strcmp(type, "CUpti_ActivityKernel5") == 0 ||
           strcmp(type, "CUpti_ActivitySynchronization2") == 0 ||
           strcmp(type, "CUpti_ActivityCudaEvent2") == 0;
}

static void fields_of_every_layout_fit_into_the_least_size(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        size_t end;
    } fields[] = {
#define X(type, field, at) {#type, (at) + sizeof(((type *)0)->field)},
        PS_CUPTI_FIELDS(X)
#undef X
    };
    static const struct {
        const char *type;
        size_t least;
    } least[] = {
        {"CUpti_ActivityMemory2", 112},
        {"CUpti_ActivityMemcpy4", 64},
        {"CUpti_ActivityMemcpyPtoP2", 72},
        {"CUpti_ActivityMemset2", 64},
        {"CUpti_ActivityKernel4", 144},
        {"CUpti_ActivityAPI", 40},
        {"CUpti_ActivityExternalCorrelation", 24},
        {"CUpti_ActivityMarker2", 56},
        {"CUpti_ActivitySynchronization", 40},
        {"CUpti_ActivityCudaEvent", 24},
        {"CUpti_ActivityOverhead", 40},
        {"CUpti_ActivityDevice4", 144},
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        bool is_known = is_optional(fields[i].type);
        for (size_t j = 0; j < sizeof least / sizeof least[0]; j++) {
            if (strcmp(least[j].type, fields[i].type) == 0) {
                is_known = true;
                assert_true(fields[i].end <= least[j].least);
            }
        }
        assert_true(is_known);
    }
}

static void made_up_records_have_the_sizes_of_the_header(void **state)
{
    (void)state;
    /* structs that later headers keep; the least sizes are those of the oldest layout */
    assert_int_equal(cupti_record_bytes(CUPTI_11, PS_CUPTI_MEMORY2), sizeof(CUpti_ActivityMemory2));
    assert_int_equal(cupti_record_bytes(CUPTI_11, PS_CUPTI_CONCURRENT_KERNEL),
                     sizeof(CUpti_ActivityKernel4));
    for (cupti_layout layout = CUPTI_11; layout <= CUPTI_13; layout++) {
        assert_int_equal(cupti_record_bytes(layout, PS_CUPTI_RUNTIME), sizeof(CUpti_ActivityAPI));
        assert_int_equal(cupti_record_bytes(layout, PS_CUPTI_DRIVER), sizeof(CUpti_ActivityAPI));
        assert_int_equal(cupti_record_bytes(layout, PS_CUPTI_MARKER),
                         sizeof(CUpti_ActivityMarker2));
        assert_int_equal(cupti_record_bytes(layout, PS_CUPTI_EXTERNAL_CORRELATION),
                         sizeof(CUpti_ActivityExternalCorrelation));
    }
    assert_int_equal(cupti_record_bytes(CUPTI_13, PS_CUPTI_SYNCHRONIZATION),
                     sizeof(CUpti_ActivitySynchronization2));
    assert_int_equal(cupti_record_bytes(CUPTI_13, PS_CUPTI_CUDA_EVENT),
                     sizeof(CUpti_ActivityCudaEvent2));
#if CUPTI_API_VERSION >= 130000
    assert_int_equal(cupti_record_bytes(CUPTI_13, PS_CUPTI_MEMORY2), sizeof(CUpti_ActivityMemory4));
    assert_int_equal(cupti_record_bytes(CUPTI_13, PS_CUPTI_MEMCPY), sizeof(CUpti_ActivityMemcpy6));
    assert_int_equal(cupti_record_bytes(CUPTI_13, PS_CUPTI_MEMCPY2),
                     sizeof(CUpti_ActivityMemcpyPtoP4));
    assert_int_equal(cupti_record_bytes(CUPTI_13, PS_CUPTI_MEMSET), sizeof(CUpti_ActivityMemset4));
    assert_int_equal(cupti_record_bytes(CUPTI_13, PS_CUPTI_OVERHEAD),
                     sizeof(CUpti_ActivityOverhead3));
    assert_int_equal(cupti_record_bytes(CUPTI_13, PS_CUPTI_DEVICE), sizeof(CUpti_ActivityDevice5));
#endif
}

static void flags_and_values_are_those_of_the_header(void **state)
{
    (void)state;
    assert_int_equal(PS_CUPTI_MARKER_INSTANT, CUPTI_ACTIVITY_FLAG_MARKER_INSTANTANEOUS);
    assert_int_equal(PS_CUPTI_MARKER_START, CUPTI_ACTIVITY_FLAG_MARKER_START);
    assert_int_equal(PS_CUPTI_MARKER_END, CUPTI_ACTIVITY_FLAG_MARKER_END);
    assert_int_equal(PS_CUPTI_OBJECT_THREAD, CUPTI_ACTIVITY_OBJECT_THREAD);
    assert_int_equal(PS_CUPTI_MEMORY_ALLOCATION, CUPTI_ACTIVITY_MEMORY_OPERATION_TYPE_ALLOCATION);
    assert_int_equal(PS_CUPTI_MEMORY_RELEASE, CUPTI_ACTIVITY_MEMORY_OPERATION_TYPE_RELEASE);
    assert_true(PS_CUPTI_NO_ID == CUPTI_SYNCHRONIZATION_INVALID_VALUE);
    assert_int_equal(PS_SYNC_EVENT, CUPTI_ACTIVITY_SYNCHRONIZATION_TYPE_EVENT_SYNCHRONIZE);
    assert_int_equal(PS_SYNC_STREAM_WAIT, CUPTI_ACTIVITY_SYNCHRONIZATION_TYPE_STREAM_WAIT_EVENT);
    assert_int_equal(PS_SYNC_STREAM, CUPTI_ACTIVITY_SYNCHRONIZATION_TYPE_STREAM_SYNCHRONIZE);
    assert_int_equal(PS_SYNC_DEVICE, CUPTI_ACTIVITY_SYNCHRONIZATION_TYPE_CONTEXT_SYNCHRONIZE);
    assert_int_equal(PS_MEMORY_PAGEABLE, CUPTI_ACTIVITY_MEMORY_KIND_PAGEABLE);
    assert_int_equal(PS_MEMORY_PINNED, CUPTI_ACTIVITY_MEMORY_KIND_PINNED);
    assert_int_equal(PS_MEMORY_DEVICE, CUPTI_ACTIVITY_MEMORY_KIND_DEVICE);
    assert_int_equal(PS_MEMORY_ARRAY, CUPTI_ACTIVITY_MEMORY_KIND_ARRAY);
    assert_int_equal(PS_MEMORY_MANAGED, CUPTI_ACTIVITY_MEMORY_KIND_MANAGED);
}

#define RUNTIME(call) CUPTI_RUNTIME_TRACE_CBID_##call
#define DRIVER(call) CUPTI_DRIVER_TRACE_CBID_##call

static void work_driver_calls_are_the_launches(void **state)
{
    (void)state;
    static const uint32_t expected[] = {
        DRIVER(cuLaunchKernel),
        DRIVER(cuLaunchKernel_ptsz),
        DRIVER(cuLaunchCooperativeKernel),
        DRIVER(cuLaunchCooperativeKernel_ptsz),
        DRIVER(cuGraphLaunch),
        DRIVER(cuGraphLaunch_ptsz),
        DRIVER(cuLaunchKernelEx),
        DRIVER(cuLaunchKernelEx_ptsz),
    };
    assert_int_equal(ps_work_driver_call_count, sizeof expected / sizeof expected[0]);
    for (size_t i = 0; i < ps_work_driver_call_count; i++) {
        assert_int_equal(ps_work_driver_calls[i], expected[i]);
        assert_true(ps_is_chosen_call(PS_API_DRIVER, expected[i]));
    }
    assert_false(ps_is_chosen_call(PS_API_DRIVER, DRIVER(cuMemAlloc_v2)));
    /* the watched calls, whose numbers test_virtual_memory.c repeats */
    assert_int_equal(DRIVER(cuMemCreate), 549);
    assert_int_equal(DRIVER(cuMemRelease), 550);
    assert_int_equal(DRIVER(cuMemMap), 551);
    assert_int_equal(DRIVER(cuMemUnmap), 552);
    assert_false(ps_is_chosen_call(PS_API_DRIVER, DRIVER(cuCtxGetCurrent)));
}

static void quiet_runtime_calls_only_ask(void **state)
{
    (void)state;
    static const uint32_t expected[] = {
        RUNTIME(cudaGetLastError_v3020),
        RUNTIME(cudaPeekAtLastError_v3020),
        RUNTIME(cudaFuncGetAttributes_v3020),
        RUNTIME(cudaSetDevice_v3020),
        RUNTIME(cudaGetDevice_v3020),
        RUNTIME(cudaEventQuery_v3020),
        RUNTIME(cudaPointerGetAttributes_v4000),
        RUNTIME(cudaDeviceGetAttribute_v5000),
        RUNTIME(cudaOccupancyMaxActiveBlocksPerMultiprocessor_v6000),
        RUNTIME(cudaOccupancyMaxActiveBlocksPerMultiprocessor_v6050),
        RUNTIME(cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags_v7000),
        RUNTIME(cudaStreamIsCapturing_v10000),
        RUNTIME(cudaStreamIsCapturing_ptsz_v10000),
        RUNTIME(cudaStreamGetCaptureInfo_v10010),
        RUNTIME(cudaStreamGetCaptureInfo_ptsz_v10010),
        RUNTIME(cudaStreamGetCaptureInfo_v2_v11030),
        RUNTIME(cudaStreamGetCaptureInfo_v2_ptsz_v11030),
        RUNTIME(cudaStreamGetCaptureInfo_v12030),
        RUNTIME(cudaStreamGetCaptureInfo_ptsz_v12030),
    };
    static const uint32_t loud[] = {
        RUNTIME(cudaLaunchKernel_v7000),
        RUNTIME(cudaMemcpyAsync_v3020),
        RUNTIME(cudaMemsetAsync_v3020),
        RUNTIME(cudaEventRecord_v3020),
        RUNTIME(cudaEventSynchronize_v3020),
        RUNTIME(cudaStreamWaitEvent_v3020),
        RUNTIME(cudaStreamSynchronize_v3020),
        RUNTIME(cudaDeviceSynchronize_v3020),
        RUNTIME(cudaMalloc_v3020),
        RUNTIME(cudaFree_v3020),
        RUNTIME(cudaGraphLaunch_v10000),
        RUNTIME(cudaLaunchKernelExC_v11060),
    };
    assert_int_equal(ps_quiet_runtime_call_count, sizeof expected / sizeof expected[0]);
    for (size_t i = 0; i < ps_quiet_runtime_call_count; i++) {
        assert_int_equal(ps_quiet_runtime_calls[i], expected[i]);
        assert_false(ps_is_chosen_call(PS_API_RUNTIME, expected[i]));
    }
    for (size_t i = 0; i < sizeof loud / sizeof loud[0]; i++) {
        assert_true(ps_is_chosen_call(PS_API_RUNTIME, loud[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_lies_where_the_header_has_it),
        cmocka_unit_test(every_kind_has_the_number_of_the_header),
        cmocka_unit_test(fields_of_every_layout_fit_into_the_least_size),
        cmocka_unit_test(made_up_records_have_the_sizes_of_the_header),
        cmocka_unit_test(flags_and_values_are_those_of_the_header),
        cmocka_unit_test(work_driver_calls_are_the_launches),
        cmocka_unit_test(quiet_runtime_calls_only_ask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
