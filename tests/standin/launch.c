/* SPDX-License-Identifier: MIT
 *
 * Kernels are known by the address of their host stub; a launch takes time on
 * its stream and does nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "standin/runtime.h"
#include "standin/standin.h"

enum { KERNEL_NS = 2000 };

/* cudaFuncAttributes */
typedef struct function_attributes {
    size_t shared_bytes;
    size_t constant_bytes;
    size_t local_bytes;
    int block_threads;
    int registers;
    int ptx_version;
    int binary_version;
    int cache_mode;
    int dynamic_shared_bytes;
    int unused[24];
} function_attributes;

_Static_assert(sizeof(function_attributes) == 144, "size of cudaFuncAttributes");

/* cudaLaunchConfig_t, as far as it is read. */
typedef struct launch_config {
    standin_dim3 grid;
    standin_dim3 block;
    size_t shared_bytes;
    void *stream;
} launch_config;

typedef struct call_configuration {
    standin_dim3 grid;
    standin_dim3 block;
    size_t shared_bytes;
    void *stream;
} call_configuration;

static _Thread_local call_configuration pushed;
static void *binary_handle;

void **__cudaRegisterFatBinary(void *binary)
{
    (void)binary;
    return &binary_handle;
}

void __cudaRegisterFatBinaryEnd(void **handle)
{
    (void)handle;
}

void __cudaUnregisterFatBinary(void **handle)
{
    (void)handle;
}

char __cudaInitModule(void **handle)
{
    (void)handle;
    return 1;
}

void __cudaRegisterFunction(void **handle, const char *host_function)
{
    (void)handle;
    (void)host_function;
}

void __cudaRegisterVar(void **handle, char *host_variable)
{
    (void)handle;
    (void)host_variable;
}

unsigned __cudaPushCallConfiguration(standin_dim3 grid, standin_dim3 block, size_t shared_bytes,
                                     void *stream)
{
    pushed = (call_configuration){
        .grid = grid, .block = block, .shared_bytes = shared_bytes, .stream = stream};
    return 0;
}

int __cudaPopCallConfiguration(standin_dim3 *grid, standin_dim3 *block, size_t *shared_bytes,
                               void **stream)
{
    *grid = pushed.grid;
    *block = pushed.block;
    *shared_bytes = pushed.shared_bytes;
    *stream = pushed.stream;
    return STANDIN_SUCCESS;
}

int __cudaGetKernel(void **kernel, const void *function)
{
    *kernel = (void *)(uintptr_t)function;
    return STANDIN_SUCCESS;
}

int __cudaLaunchKernel(void *kernel, standin_dim3 grid, standin_dim3 block, void **arguments,
                       size_t shared_bytes, void *stream)
{
    return cudaLaunchKernel(kernel, grid, block, arguments, shared_bytes, stream);
}

int cudaLaunchKernel(const void *function, standin_dim3 grid, standin_dim3 block, void **arguments,
                     size_t shared_bytes, void *stream)
{
    (void)function;
    (void)grid;
    (void)block;
    (void)arguments;
    (void)shared_bytes;
    standin_start();
    standin_enqueue(stream, KERNEL_NS);
    return STANDIN_SUCCESS;
}

int cudaLaunchKernelExC(const void *config, const void *function, void **arguments)
{
    launch_config how;
    memcpy(&how, config, sizeof how);
    return cudaLaunchKernel(function, how.grid, how.block, arguments, how.shared_bytes, how.stream);
}

int cudaFuncGetAttributes(void *attributes, const void *function)
{
    (void)function;
    const function_attributes found = {.block_threads = 1024,
                                       .registers = 32,
                                       .ptx_version = 90,
                                       .binary_version = 90,
                                       .dynamic_shared_bytes = 49152};
    memcpy(attributes, &found, sizeof found);
    return STANDIN_SUCCESS;
}

int cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *blocks, const void *function,
                                                           int block_threads, size_t shared_bytes,
                                                           unsigned flags)
{
    (void)function;
    (void)shared_bytes;
    (void)flags;
    *blocks = block_threads > 0 && block_threads < 2048 ? 2048 / block_threads : 1;
    return STANDIN_SUCCESS;
}

int cudaGetSymbolAddress(void **out, const void *symbol)
{
    *out = (void *)(uintptr_t)symbol;
    return STANDIN_SUCCESS;
}
