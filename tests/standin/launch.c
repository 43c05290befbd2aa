/* SPDX-License-Identifier: MIT
 *
 * Kernels are known by the address of their host stub; a launch takes time on
 * its stream and does nothing. Setting: STANDIN_KERNEL_NS.
 */
#include <stdlib.h>
#include <string.h>

#include "standin/runtime.h"
#include "standin/standin.h"

enum { KERNEL_NS = 2000, REGISTERS = 32, FIRST_NAMES = 1 << 10 };

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

/* Names of kernels by the address of the host stub: open addressing, less than half full. */
typedef struct kernel_name {
    const void *function; /* NULL: free */
    const char *name;
} kernel_name;

static kernel_name *names;
static size_t name_slots, name_count;

/* Slot of a function, or the free one it belongs into; there is a free one. */
static kernel_name *find_name(kernel_name *table, size_t slots, const void *function)
{
    size_t slot = (size_t)((uintptr_t)function * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (slots - 1);
    while (table[slot].function != NULL && table[slot].function != function) {
        slot = (slot + 1) & (slots - 1);
    }
    return &table[slot];
}

static bool grow_names(void)
{
    const size_t slots = name_slots == 0 ? FIRST_NAMES : 2 * name_slots;
    kernel_name *table = calloc(slots, sizeof *table);
    for (size_t i = 0; table != NULL && i < name_slots; i++) {
        if (names[i].function != NULL) {
            *find_name(table, slots, names[i].function) = names[i];
        }
    }
    if (table != NULL) {
        free(names);
        names = table;
        name_slots = slots;
    }
    return table != NULL;
}

static const char *name_of(const void *function)
{
    standin_lock();
    const char *name = name_slots == 0 ? NULL : find_name(names, name_slots, function)->name;
    standin_unlock();
    return name != NULL ? name : "unknown_kernel";
}

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

void __cudaRegisterFunction(void **handle, const char *host_function, char *device_function,
                            const char *device_name)
{
    (void)handle;
    (void)device_function;
    standin_lock();
    if (2 * name_count < name_slots || grow_names()) {
        kernel_name *slot = find_name(names, name_slots, host_function);
        name_count += slot->function == NULL;
        *slot = (kernel_name){.function = host_function, .name = device_name};
    }
    standin_unlock();
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
    standin_enter(STANDIN_CALL___cudaGetKernel);
    *kernel = (void *)(uintptr_t)function;
    return standin_leave(STANDIN_SUCCESS);
}

int __cudaLaunchKernel(void *kernel, standin_dim3 grid, standin_dim3 block, void **arguments,
                       size_t shared_bytes, void *stream)
{
    standin_enter(STANDIN_CALL___cudaLaunchKernel);
    return standin_leave(cudaLaunchKernel(kernel, grid, block, arguments, shared_bytes, stream));
}

/* Work on the stream, and its record for whoever listens. */
static void launch(const standin_launch *what, void *stream)
{
    const standin_work work =
        standin_enqueue(stream, standin_setting("STANDIN_KERNEL_NS", KERNEL_NS));
    const standin_cupti *to = standin_door();
    if (to != NULL) {
        to->kernel(&work, what);
    }
}

void standin_launch_product(const char *name, void *stream)
{
    standin_enter(STANDIN_CALL_cudaLaunchKernel);
    const standin_launch what = {
        .name = name, .grid = {1, 1, 1}, .block = {1, 1, 1}, .registers = REGISTERS};
    launch(&what, stream);
    (void)standin_leave(STANDIN_SUCCESS);
}

int cudaLaunchKernel(const void *function, standin_dim3 grid, standin_dim3 block, void **arguments,
                     size_t shared_bytes, void *stream)
{
    standin_enter(STANDIN_CALL_cudaLaunchKernel);
    (void)arguments;
    const standin_launch what = {.name = name_of(function),
                                 .grid = {grid.x, grid.y, grid.z},
                                 .block = {block.x, block.y, block.z},
                                 .registers = REGISTERS,
                                 .shared_bytes = (uint32_t)shared_bytes};
    launch(&what, stream);
    return standin_leave(STANDIN_SUCCESS);
}

int cudaLaunchKernelExC(const void *config, const void *function, void **arguments)
{
    standin_enter(STANDIN_CALL_cudaLaunchKernelExC);
    launch_config how;
    memcpy(&how, config, sizeof how);
    return standin_leave(
        cudaLaunchKernel(function, how.grid, how.block, arguments, how.shared_bytes, how.stream));
}

int cudaFuncGetAttributes(void *attributes, const void *function)
{
    standin_enter(STANDIN_CALL_cudaFuncGetAttributes);
    (void)function;
    const function_attributes found = {.block_threads = 1024,
                                       .registers = REGISTERS,
                                       .ptx_version = 90,
                                       .binary_version = 90,
                                       .dynamic_shared_bytes = 49152};
    memcpy(attributes, &found, sizeof found);
    return standin_leave(STANDIN_SUCCESS);
}

int cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *blocks, const void *function,
                                                           int block_threads, size_t shared_bytes,
                                                           unsigned flags)
{
    standin_enter(STANDIN_CALL_cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags);
    (void)function;
    (void)shared_bytes;
    (void)flags;
    *blocks = block_threads > 0 && block_threads < 2048 ? 2048 / block_threads : 1;
    return standin_leave(STANDIN_SUCCESS);
}

int cudaGetSymbolAddress(void **out, const void *symbol)
{
    standin_enter(STANDIN_CALL_cudaGetSymbolAddress);
    *out = (void *)(uintptr_t)symbol;
    return standin_leave(STANDIN_SUCCESS);
}
