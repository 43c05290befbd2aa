/* SPDX-License-Identifier: MIT */
#include "standin/standin.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "standin/runtime.h"

static pthread_mutex_t state_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t started = PTHREAD_ONCE_INIT;
static _Thread_local bool is_injecting; /* the injected library may call the runtime */
static _Thread_local int last_error;

/* The driver loads the library when it is initialised and calls this function of it. */
static void inject(void)
{
    const char *path = getenv("CUDA_INJECTION64_PATH");
    standin_look_for_cupti();
    if (path == NULL || path[0] == '\0') {
        return;
    }
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        (void)fprintf(stderr, "stand-in: %s\n", dlerror());
        return;
    }
    int (*initialize)(void) = NULL;
    void *symbol = dlsym(library, "InitializeInjection");
    memcpy(&initialize, &symbol, sizeof initialize);
    if (initialize != NULL) {
        is_injecting = true;
        (void)initialize();
        is_injecting = false;
    }
    standin_look_for_cupti();
}

void standin_start(void)
{
    if (!is_injecting) {
        (void)pthread_once(&started, inject);
    }
}

void standin_lock(void)
{
    (void)pthread_mutex_lock(&state_lock);
}

void standin_unlock(void)
{
    (void)pthread_mutex_unlock(&state_lock);
}

uint64_t standin_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

void standin_wait_until(uint64_t time_ns)
{
    const uint64_t now_ns = standin_now_ns();
    if (time_ns > now_ns) {
        const uint64_t left_ns = time_ns - now_ns;
        const struct timespec left = {.tv_sec = (time_t)(left_ns / UINT64_C(1000000000)),
                                      .tv_nsec = (long)(left_ns % UINT64_C(1000000000))};
        (void)nanosleep(&left, NULL);
    }
}

int standin_result(int error)
{
    if (error != STANDIN_SUCCESS) {
        last_error = error;
    }
    return error;
}

int cudaGetLastError(void)
{
    standin_enter(STANDIN_CALL_cudaGetLastError);
    const int error = last_error;
    last_error = STANDIN_SUCCESS;
    return standin_leave(error);
}

int cudaPeekAtLastError(void)
{
    standin_enter(STANDIN_CALL_cudaPeekAtLastError);
    return standin_leave(last_error);
}

const char *cudaGetErrorName(int error)
{
    switch (error) {
    case STANDIN_SUCCESS:
        return "cudaSuccess";
    case STANDIN_INVALID_VALUE:
        return "cudaErrorInvalidValue";
    case STANDIN_OUT_OF_MEMORY:
        return "cudaErrorMemoryAllocation";
    case STANDIN_INVALID_DEVICE:
        return "cudaErrorInvalidDevice";
    case STANDIN_NOT_SUPPORTED:
        return "cudaErrorNotSupported";
    default:
        return "cudaErrorUnknown";
    }
}

const char *cudaGetErrorString(int error)
{
    switch (error) {
    case STANDIN_SUCCESS:
        return "no error";
    case STANDIN_INVALID_VALUE:
        return "invalid argument";
    case STANDIN_OUT_OF_MEMORY:
        return "out of memory";
    case STANDIN_INVALID_DEVICE:
        return "invalid device ordinal";
    case STANDIN_NOT_SUPPORTED:
        return "operation not supported by the stand-in";
    default:
        return "unknown error";
    }
}
