/* SPDX-License-Identifier: MIT
 *
 * Streams with a clock of their own: work begins when it is asked for or when
 * the work before it ends, and an event holds the end of what was before it.
 * Every query says "complete"; who synchronises waits until the clock is there.
 */
#include <stdatomic.h>
#include <stdlib.h>

#include "standin/runtime.h"
#include "standin/standin.h"

/* CUPTI's ids of streams: the default one, and the first of the others. */
enum { DEFAULT_STREAM_ID = 7, FIRST_STREAM_ID = 13 };

typedef struct stream {
    uint64_t end_ns; /* of the last work */
    int priority;
    int device;
    uint32_t id;
} stream;

typedef struct event {
    uint64_t time_ns;
    uint64_t sync; /* of its last recording; 0 none */
    uint32_t id;
} event;

/* The default stream of each device, under the handles 0, 1 and 2. */
static stream default_streams[STANDIN_DEVICES_MAX];
static uint64_t device_end_ns[STANDIN_DEVICES_MAX];

static stream *resolve(void *handle)
{
    if ((uintptr_t)handle > 2) {
        return handle;
    }
    stream *self = &default_streams[standin_current_device()];
    standin_lock();
    self->device = standin_current_device();
    self->id = DEFAULT_STREAM_ID;
    standin_unlock();
    return self;
}

/* The caller holds the lock. */
static uint64_t begin_of_next(const stream *self)
{
    const uint64_t now_ns = standin_now_ns();
    return now_ns > self->end_ns ? now_ns : self->end_ns;
}

standin_work standin_enqueue(void *handle, uint64_t duration_ns)
{
    stream *self = resolve(handle);
    standin_work work = {
        .correlation = standin_correlation(), .device = (uint32_t)self->device, .stream = self->id};
    standin_lock();
    work.start_ns = begin_of_next(self);
    work.end_ns = work.start_ns + duration_ns;
    self->end_ns = work.end_ns;
    if (device_end_ns[self->device] < work.end_ns) {
        device_end_ns[self->device] = work.end_ns;
    }
    standin_unlock();
    const standin_cupti *to = standin_door();
    if (to != NULL) {
        standin_tell_device(to, self->device);
    }
    return work;
}

/* ---- streams ---- */

int cudaStreamCreateWithPriority(void **out, unsigned flags, int priority)
{
    (void)flags;
    static _Atomic uint32_t ids = FIRST_STREAM_ID;
    standin_enter(STANDIN_CALL_cudaStreamCreateWithPriority);
    stream *made = calloc(1, sizeof *made);
    *out = made;
    if (made == NULL) {
        return standin_leave(standin_result(STANDIN_OUT_OF_MEMORY));
    }
    made->priority = priority;
    made->device = standin_current_device();
    made->id = ids++;
    return standin_leave(STANDIN_SUCCESS);
}

int cudaStreamCreateWithFlags(void **out, unsigned flags)
{
    standin_enter(STANDIN_CALL_cudaStreamCreateWithFlags);
    return standin_leave(cudaStreamCreateWithPriority(out, flags, 0));
}

int cudaStreamCreate(void **out)
{
    standin_enter(STANDIN_CALL_cudaStreamCreate);
    return standin_leave(cudaStreamCreateWithPriority(out, 0, 0));
}

int cudaStreamDestroy(void *handle)
{
    standin_enter(STANDIN_CALL_cudaStreamDestroy);
    if ((uintptr_t)handle > 2) {
        free(handle);
    }
    return standin_leave(STANDIN_SUCCESS);
}

int cudaStreamGetPriority(void *handle, int *priority)
{
    standin_enter(STANDIN_CALL_cudaStreamGetPriority);
    *priority = resolve(handle)->priority;
    return standin_leave(STANDIN_SUCCESS);
}

int cudaStreamQuery(void *handle)
{
    (void)handle;
    standin_enter(STANDIN_CALL_cudaStreamQuery);
    return standin_leave(STANDIN_SUCCESS);
}

int cudaStreamIsCapturing(void *handle, int *status)
{
    (void)handle;
    standin_enter(STANDIN_CALL_cudaStreamIsCapturing);
    *status = 0;
    return standin_leave(STANDIN_SUCCESS);
}

int cudaStreamGetCaptureInfo(void *handle, int *status, unsigned long long *id)
{
    (void)handle;
    standin_enter(STANDIN_CALL_cudaStreamGetCaptureInfo);
    *status = 0;
    if (id != NULL) {
        *id = 0;
    }
    return standin_leave(STANDIN_SUCCESS);
}

int cudaStreamGetCaptureInfo_v2(void *handle, int *status, unsigned long long *id, void **graph,
                                const void **needed, size_t *count)
{
    standin_enter(STANDIN_CALL_cudaStreamGetCaptureInfo);
    if (graph != NULL) {
        *graph = NULL;
    }
    if (needed != NULL) {
        *needed = NULL;
    }
    if (count != NULL) {
        *count = 0;
    }
    return standin_leave(cudaStreamGetCaptureInfo(handle, status, id));
}

int cudaStreamAddCallback(void *handle, standin_stream_callback callback, void *argument,
                          unsigned flags)
{
    (void)flags;
    standin_enter(STANDIN_CALL_cudaStreamAddCallback);
    callback(handle, STANDIN_SUCCESS, argument);
    return standin_leave(STANDIN_SUCCESS);
}

int cudaLaunchHostFunc(void *handle, standin_host_function function, void *argument)
{
    (void)handle;
    standin_enter(STANDIN_CALL_cudaLaunchHostFunc);
    function(argument);
    return standin_leave(STANDIN_SUCCESS);
}

/* ---- waits ---- */

/* Tells of a wait that began at `start_ns` and ends now. */
static void tell_wait(standin_order order, uint64_t start_ns)
{
    const standin_cupti *to = standin_door();
    order.correlation = standin_correlation();
    order.start_ns = start_ns;
    order.end_ns = standin_now_ns();
    if (to != NULL) {
        to->waited(&order);
    }
}

int cudaDeviceSynchronize(void)
{
    standin_enter(STANDIN_CALL_cudaDeviceSynchronize);
    const uint64_t start_ns = standin_now_ns();
    const int device = standin_current_device();
    standin_lock();
    const uint64_t end_ns = device_end_ns[device];
    standin_unlock();
    standin_wait_until(end_ns);
    tell_wait((standin_order){.type = STANDIN_WAIT_DEVICE,
                              .device = (uint32_t)device,
                              .stream = STANDIN_NO_ID,
                              .event = STANDIN_NO_ID},
              start_ns);
    return standin_leave(STANDIN_SUCCESS);
}

int cudaStreamSynchronize(void *handle)
{
    standin_enter(STANDIN_CALL_cudaStreamSynchronize);
    const uint64_t start_ns = standin_now_ns();
    const stream *self = resolve(handle);
    standin_lock();
    const uint64_t end_ns = self->end_ns;
    standin_unlock();
    standin_wait_until(end_ns);
    tell_wait((standin_order){.type = STANDIN_WAIT_STREAM,
                              .device = (uint32_t)self->device,
                              .stream = self->id,
                              .event = STANDIN_NO_ID},
              start_ns);
    return standin_leave(STANDIN_SUCCESS);
}

int cudaStreamWaitEvent(void *handle, void *awaited, unsigned flags)
{
    (void)flags;
    standin_enter(STANDIN_CALL_cudaStreamWaitEvent);
    const uint64_t start_ns = standin_now_ns();
    stream *self = resolve(handle);
    standin_lock();
    const event until = *(const event *)awaited;
    if (until.time_ns > self->end_ns) {
        self->end_ns = until.time_ns;
    }
    standin_unlock();
    tell_wait((standin_order){.type = STANDIN_WAIT_STREAM_EVENT,
                              .device = (uint32_t)self->device,
                              .stream = self->id,
                              .event = until.id,
                              .sync = until.sync},
              start_ns);
    return standin_leave(STANDIN_SUCCESS);
}

int cudaEventSynchronize(void *handle)
{
    standin_enter(STANDIN_CALL_cudaEventSynchronize);
    const uint64_t start_ns = standin_now_ns();
    standin_lock();
    const event until = *(const event *)handle;
    standin_unlock();
    standin_wait_until(until.time_ns);
    tell_wait((standin_order){.type = STANDIN_WAIT_EVENT,
                              .device = (uint32_t)standin_current_device(),
                              .stream = STANDIN_NO_ID,
                              .event = until.id,
                              .sync = until.sync},
              start_ns);
    return standin_leave(STANDIN_SUCCESS);
}

/* ---- events ---- */

int cudaEventCreateWithFlags(void **out, unsigned flags)
{
    (void)flags;
    static _Atomic uint32_t ids = 1;
    standin_enter(STANDIN_CALL_cudaEventCreateWithFlags);
    event *made = calloc(1, sizeof *made);
    *out = made;
    if (made == NULL) {
        return standin_leave(standin_result(STANDIN_OUT_OF_MEMORY));
    }
    made->id = ids++;
    return standin_leave(STANDIN_SUCCESS);
}

int cudaEventCreate(void **out)
{
    standin_enter(STANDIN_CALL_cudaEventCreate);
    return standin_leave(cudaEventCreateWithFlags(out, 0));
}

int cudaEventDestroy(void *handle)
{
    standin_enter(STANDIN_CALL_cudaEventDestroy);
    free(handle);
    return standin_leave(STANDIN_SUCCESS);
}

int cudaEventRecordWithFlags(void *handle, void *on, unsigned flags)
{
    (void)flags;
    static _Atomic uint64_t syncs = 1;
    event *self = handle;
    standin_enter(STANDIN_CALL_cudaEventRecordWithFlags);
    const stream *recorded = resolve(on);
    standin_lock();
    self->time_ns = begin_of_next(recorded);
    self->sync = syncs++;
    const event now = *self;
    standin_unlock();
    const standin_cupti *to = standin_door();
    if (to != NULL) {
        const standin_order order = {.correlation = standin_correlation(),
                                     .device = (uint32_t)recorded->device,
                                     .stream = recorded->id,
                                     .event = now.id,
                                     .sync = now.sync,
                                     .end_ns = now.time_ns};
        to->recorded(&order);
    }
    return standin_leave(STANDIN_SUCCESS);
}

int cudaEventRecord(void *handle, void *on)
{
    standin_enter(STANDIN_CALL_cudaEventRecord);
    return standin_leave(cudaEventRecordWithFlags(handle, on, 0));
}

int cudaEventQuery(void *handle)
{
    (void)handle;
    standin_enter(STANDIN_CALL_cudaEventQuery);
    return standin_leave(STANDIN_SUCCESS);
}

int cudaEventElapsedTime(float *milliseconds, void *start, void *end)
{
    standin_enter(STANDIN_CALL_cudaEventElapsedTime);
    const event *first = start;
    const event *last = end;
    const double elapsed_ns = (double)last->time_ns - (double)first->time_ns;
    *milliseconds = (float)(elapsed_ns / 1e6);
    return standin_leave(STANDIN_SUCCESS);
}
