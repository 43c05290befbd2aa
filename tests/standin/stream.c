/* SPDX-License-Identifier: MIT
 *
 * Streams with a clock of their own: work begins when it is asked for or when
 * the work before it ends, and an event holds the end of what was before it.
 * Nobody ever waits: every query says "complete".
 */
#include <stdlib.h>

#include "standin/runtime.h"
#include "standin/standin.h"

typedef struct stream {
    uint64_t end_ns; /* of the last work */
    int priority;
} stream;

typedef struct event {
    uint64_t time_ns;
} event;

/* The default stream of each device, under the handles 0, 1 and 2. */
static stream default_streams[STANDIN_DEVICES_MAX];

static stream *resolve(void *handle)
{
    return (uintptr_t)handle <= 2 ? &default_streams[standin_current_device()] : handle;
}

/* The caller holds the lock. */
static uint64_t begin_of_next(const stream *self)
{
    const uint64_t now_ns = standin_now_ns();
    return now_ns > self->end_ns ? now_ns : self->end_ns;
}

void standin_enqueue(void *handle, uint64_t duration_ns)
{
    stream *self = resolve(handle);
    standin_lock();
    self->end_ns = begin_of_next(self) + duration_ns;
    standin_unlock();
}

int cudaStreamCreateWithPriority(void **out, unsigned flags, int priority)
{
    (void)flags;
    standin_start();
    stream *made = calloc(1, sizeof *made);
    *out = made;
    if (made == NULL) {
        return standin_result(STANDIN_OUT_OF_MEMORY);
    }
    made->priority = priority;
    return STANDIN_SUCCESS;
}

int cudaStreamCreateWithFlags(void **out, unsigned flags)
{
    return cudaStreamCreateWithPriority(out, flags, 0);
}

int cudaStreamCreate(void **out)
{
    return cudaStreamCreateWithPriority(out, 0, 0);
}

int cudaStreamDestroy(void *handle)
{
    if ((uintptr_t)handle > 2) {
        free(handle);
    }
    return STANDIN_SUCCESS;
}

int cudaStreamGetPriority(void *handle, int *priority)
{
    *priority = resolve(handle)->priority;
    return STANDIN_SUCCESS;
}

int cudaStreamSynchronize(void *handle)
{
    (void)handle;
    standin_start();
    return STANDIN_SUCCESS;
}

int cudaStreamQuery(void *handle)
{
    (void)handle;
    return STANDIN_SUCCESS;
}

int cudaStreamWaitEvent(void *handle, void *awaited, unsigned flags)
{
    (void)flags;
    stream *self = resolve(handle);
    const event *until = awaited;
    standin_lock();
    if (until->time_ns > self->end_ns) {
        self->end_ns = until->time_ns;
    }
    standin_unlock();
    return STANDIN_SUCCESS;
}

int cudaStreamIsCapturing(void *handle, int *status)
{
    (void)handle;
    *status = 0;
    return STANDIN_SUCCESS;
}

int cudaStreamGetCaptureInfo(void *handle, int *status, unsigned long long *id)
{
    (void)handle;
    *status = 0;
    if (id != NULL) {
        *id = 0;
    }
    return STANDIN_SUCCESS;
}

int cudaStreamAddCallback(void *handle, standin_stream_callback callback, void *argument,
                          unsigned flags)
{
    (void)flags;
    callback(handle, STANDIN_SUCCESS, argument);
    return STANDIN_SUCCESS;
}

int cudaLaunchHostFunc(void *handle, standin_host_function function, void *argument)
{
    (void)handle;
    function(argument);
    return STANDIN_SUCCESS;
}

int cudaEventCreateWithFlags(void **out, unsigned flags)
{
    (void)flags;
    standin_start();
    *out = calloc(1, sizeof(event));
    return standin_result(*out == NULL ? STANDIN_OUT_OF_MEMORY : STANDIN_SUCCESS);
}

int cudaEventCreate(void **out)
{
    return cudaEventCreateWithFlags(out, 0);
}

int cudaEventDestroy(void *handle)
{
    free(handle);
    return STANDIN_SUCCESS;
}

int cudaEventRecordWithFlags(void *handle, void *on, unsigned flags)
{
    (void)flags;
    event *self = handle;
    standin_lock();
    self->time_ns = begin_of_next(resolve(on));
    standin_unlock();
    return STANDIN_SUCCESS;
}

int cudaEventRecord(void *handle, void *on)
{
    return cudaEventRecordWithFlags(handle, on, 0);
}

int cudaEventQuery(void *handle)
{
    (void)handle;
    return STANDIN_SUCCESS;
}

int cudaEventSynchronize(void *handle)
{
    (void)handle;
    return STANDIN_SUCCESS;
}

int cudaEventElapsedTime(float *milliseconds, void *start, void *end)
{
    const event *first = start;
    const event *last = end;
    const double elapsed_ns = (double)last->time_ns - (double)first->time_ns;
    *milliseconds = (float)(elapsed_ns / 1e6);
    return STANDIN_SUCCESS;
}
