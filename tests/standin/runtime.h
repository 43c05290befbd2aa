/* SPDX-License-Identifier: MIT
 *
 * The part of the CUDA runtime that the stand-in answers, declared from its
 * documented binary interface so that nothing of the toolkit is needed to build
 * it. Enumerations are plain ints, handles untyped pointers.
 *
 * Nothing computes: a kernel does nothing, a copy from the device gives zeros,
 * and every query says that all work is complete. Work takes time on the clock
 * of its stream only, until a synchronisation waits for it.
 */
#ifndef PS_STANDIN_RUNTIME_H
#define PS_STANDIN_RUNTIME_H

#include <stddef.h>
#include <stdint.h>

#define STANDIN_API __attribute__((visibility("default")))

/* cudaError_t; the driver's CUresult has the same values for all but the last two. */
enum standin_error {
    STANDIN_SUCCESS = 0,
    STANDIN_INVALID_VALUE = 1,
    STANDIN_OUT_OF_MEMORY = 2,
    STANDIN_INVALID_DEVICE = 101,
    STANDIN_NOT_SUPPORTED = 801
};

enum standin_copy_kind {
    STANDIN_HOST_TO_HOST = 0,
    STANDIN_HOST_TO_DEVICE = 1,
    STANDIN_DEVICE_TO_HOST = 2,
    STANDIN_DEVICE_TO_DEVICE = 3,
    STANDIN_COPY_BY_ADDRESS = 4
};

typedef struct standin_dim3 {
    unsigned x, y, z;
} standin_dim3;

typedef void (*standin_host_function)(void *argument);
typedef void (*standin_stream_callback)(void *stream, int status, void *argument);

/* Devices and errors. */
STANDIN_API int cudaGetDeviceCount(int *count);
STANDIN_API int cudaGetDevice(int *device);
STANDIN_API int cudaSetDevice(int device);
STANDIN_API int cudaDeviceSynchronize(void);
STANDIN_API int cudaGetDeviceProperties(void *properties, int device);
STANDIN_API int cudaGetDeviceProperties_v2(void *properties, int device);
STANDIN_API int cudaDeviceGetAttribute(int *value, int attribute, int device);
STANDIN_API int cudaDeviceGetPCIBusId(char *text, int size, int device);
STANDIN_API int cudaDeviceCanAccessPeer(int *can, int device, int peer);
STANDIN_API int cudaDeviceGetStreamPriorityRange(int *least, int *greatest);
STANDIN_API int cudaDriverGetVersion(int *version);
STANDIN_API int cudaRuntimeGetVersion(int *version);
STANDIN_API int cudaGetLastError(void);
STANDIN_API int cudaPeekAtLastError(void);
STANDIN_API const char *cudaGetErrorName(int error);
STANDIN_API const char *cudaGetErrorString(int error);

/* Memory. */
STANDIN_API int cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes);
STANDIN_API int cudaMalloc(void **out, size_t bytes);
STANDIN_API int cudaFree(void *address);
STANDIN_API int cudaHostAlloc(void **out, size_t bytes, unsigned flags);
STANDIN_API int cudaFreeHost(void *address);
STANDIN_API int cudaHostRegister(void *address, size_t bytes, unsigned flags);
STANDIN_API int cudaHostUnregister(void *address);
STANDIN_API int cudaHostGetDevicePointer(void **out, void *address, unsigned flags);
STANDIN_API int cudaPointerGetAttributes(void *attributes, const void *address);
STANDIN_API int cudaMemcpy(void *to, const void *from, size_t bytes, int kind);
STANDIN_API int cudaMemcpyAsync(void *to, const void *from, size_t bytes, int kind, void *stream);
STANDIN_API int cudaMemcpyPeerAsync(void *to, int to_device, const void *from, int from_device,
                                    size_t bytes, void *stream);
STANDIN_API int cudaMemset(void *to, int value, size_t bytes);
STANDIN_API int cudaMemsetAsync(void *to, int value, size_t bytes, void *stream);

/* Streams and events. */
STANDIN_API int cudaStreamCreate(void **out);
STANDIN_API int cudaStreamCreateWithFlags(void **out, unsigned flags);
STANDIN_API int cudaStreamCreateWithPriority(void **out, unsigned flags, int priority);
STANDIN_API int cudaStreamDestroy(void *stream);
STANDIN_API int cudaStreamGetPriority(void *stream, int *priority);
STANDIN_API int cudaStreamSynchronize(void *stream);
STANDIN_API int cudaStreamQuery(void *stream);
STANDIN_API int cudaStreamWaitEvent(void *stream, void *event, unsigned flags);
STANDIN_API int cudaStreamIsCapturing(void *stream, int *status);
STANDIN_API int cudaStreamGetCaptureInfo(void *stream, int *status, unsigned long long *id);
STANDIN_API int cudaStreamGetCaptureInfo_v2(void *stream, int *status, unsigned long long *id,
                                            void **graph, const void **needed, size_t *count);
STANDIN_API int cudaStreamAddCallback(void *stream, standin_stream_callback callback,
                                      void *argument, unsigned flags);
STANDIN_API int cudaLaunchHostFunc(void *stream, standin_host_function function, void *argument);
STANDIN_API int cudaEventCreate(void **out);
STANDIN_API int cudaEventCreateWithFlags(void **out, unsigned flags);
STANDIN_API int cudaEventDestroy(void *event);
STANDIN_API int cudaEventRecord(void *event, void *stream);
STANDIN_API int cudaEventRecordWithFlags(void *event, void *stream, unsigned flags);
STANDIN_API int cudaEventQuery(void *event);
STANDIN_API int cudaEventSynchronize(void *event);
STANDIN_API int cudaEventElapsedTime(float *milliseconds, void *start, void *end);

/* Kernels; the underscored ones are what a compiled <<<...>>> calls. */
STANDIN_API void **__cudaRegisterFatBinary(void *binary);
STANDIN_API void __cudaRegisterFatBinaryEnd(void **handle);
STANDIN_API void __cudaUnregisterFatBinary(void **handle);
STANDIN_API char __cudaInitModule(void **handle);
STANDIN_API void __cudaRegisterFunction(void **handle, const char *host_function,
                                        char *device_function, const char *device_name);
STANDIN_API void __cudaRegisterVar(void **handle, char *host_variable);
STANDIN_API unsigned __cudaPushCallConfiguration(standin_dim3 grid, standin_dim3 block,
                                                 size_t shared_bytes, void *stream);
STANDIN_API int __cudaPopCallConfiguration(standin_dim3 *grid, standin_dim3 *block,
                                           size_t *shared_bytes, void **stream);
STANDIN_API int __cudaGetKernel(void **kernel, const void *function);
STANDIN_API int __cudaLaunchKernel(void *kernel, standin_dim3 grid, standin_dim3 block,
                                   void **arguments, size_t shared_bytes, void *stream);
STANDIN_API int cudaLaunchKernel(const void *function, standin_dim3 grid, standin_dim3 block,
                                 void **arguments, size_t shared_bytes, void *stream);
STANDIN_API int cudaLaunchKernelExC(const void *config, const void *function, void **arguments);
STANDIN_API int cudaFuncGetAttributes(void *attributes, const void *function);
STANDIN_API int cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
    int *blocks, const void *function, int block_threads, size_t shared_bytes, unsigned flags);
STANDIN_API int cudaGetSymbolAddress(void **out, const void *symbol);

/* The driver's functions, also handed out by name. */
STANDIN_API int cuMemAddressReserve(uint64_t *out, size_t bytes, size_t alignment, uint64_t wanted,
                                    unsigned long long flags);
STANDIN_API int cuMemAddressFree(uint64_t address, size_t bytes);
STANDIN_API int cuMemCreate(uint64_t *handle, size_t bytes, const void *properties,
                            unsigned long long flags);
STANDIN_API int cuMemRelease(uint64_t handle);
STANDIN_API int cuMemMap(uint64_t address, size_t bytes, size_t offset, uint64_t handle,
                         unsigned long long flags);
STANDIN_API int cuMemUnmap(uint64_t address, size_t bytes);
STANDIN_API int cuMemSetAccess(uint64_t address, size_t bytes, const void *access, size_t count);
STANDIN_API int cuMemGetAllocationGranularity(size_t *out, const void *properties, int option);
STANDIN_API int cuDeviceGet(int *device, int ordinal);
STANDIN_API int cuDeviceGetAttribute(int *value, int attribute, int device);
STANDIN_API int cuDevicePrimaryCtxGetState(int device, unsigned *flags, int *is_active);
STANDIN_API int cuDevicePrimaryCtxRetain(void **context, int device);
STANDIN_API int cuCtxGetCurrent(void **context);
STANDIN_API int cuGetErrorString(int error, const char **text);
STANDIN_API int cudaGetDriverEntryPointByVersion(const char *name, void **function,
                                                 unsigned version, unsigned long long flags,
                                                 int *status);
STANDIN_API int cudaGetDriverEntryPoint(const char *name, void **function, unsigned long long flags,
                                        int *status);

#endif
