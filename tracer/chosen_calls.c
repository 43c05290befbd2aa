/* SPDX-License-Identifier: MIT
 *
 * Callback ids of calls with and without a row: cupti_driver_cbid.h, cupti_runtime_cbid.h.
 */
#include "chosen_calls.h"

const uint32_t ps_work_driver_calls[] = {
    307, 442, /* cuLaunchKernel and its per-thread stream variant; so below */
    477, 478, /* cuLaunchCooperativeKernel */
    514, 515, /* cuGraphLaunch */
    652, 653, /* cuLaunchKernelEx */
};
const size_t ps_work_driver_call_count =
    sizeof ps_work_driver_calls / sizeof ps_work_driver_calls[0];

const uint32_t ps_quiet_runtime_calls[] = {
    10,  11,                      /* cudaGetLastError, cudaPeekAtLastError */
    15,                           /* cudaFuncGetAttributes */
    16,  17,                      /* cudaSetDevice, cudaGetDevice */
    138,                          /* cudaEventQuery: the allocator polls */
    151, 200,                     /* cudaPointerGetAttributes, cudaDeviceGetAttribute */
    207, 210, 251,                /* cudaOccupancyMaxActiveBlocksPerMultiprocessor */
    317, 318,                     /* cudaStreamIsCapturing */
    324, 325, 409, 410, 461, 462, /* cudaStreamGetCaptureInfo */
};
const size_t ps_quiet_runtime_call_count =
    sizeof ps_quiet_runtime_calls / sizeof ps_quiet_runtime_calls[0];

static bool contains(const uint32_t *list, size_t count, uint32_t id)
{
    for (size_t i = 0; i < count; i++) {
        if (list[i] == id) {
            return true;
        }
    }
    return false;
}

bool ps_is_chosen_call(ps_call_api api, uint32_t id)
{
    return api == PS_API_RUNTIME
               ? !contains(ps_quiet_runtime_calls, ps_quiet_runtime_call_count, id)
               : contains(ps_work_driver_calls, ps_work_driver_call_count, id);
}
