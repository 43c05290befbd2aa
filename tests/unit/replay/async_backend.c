/* SPDX-License-Identifier: MIT
 *
 * The queueing test backend, see async_backend.h.
 */
#include "unit/replay/async_backend.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "replay/pace.h"

#define QUEUE_LENGTH 4u
#define MAX_EVENTS 16u

typedef struct item {
    ps_backend_work work;
    ps_backend_event after[MAX_EVENTS];
} item;

typedef struct lane {
    struct ps_backend *backend;
    pthread_t thread;
    item queue[QUEUE_LENGTH];
    uint64_t submitted, finished; /* tickets are 1, 2, ... */
    ps_backend_result *results;   /* per ticket - 1 */
} lane;

struct ps_backend {
    const atomic_bool *stop;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool is_closing;
    bool has_failed;
    size_t lane_count;
    lane *lanes;
    async_observed observed;
};

static async_observed last_observed;
static uint32_t fail_task = UINT32_MAX;
static bool is_holding;

async_observed async_backend_observed(void)
{
    return last_observed;
}

void async_backend_fail_at(uint32_t task)
{
    fail_task = task;
}

void async_backend_hold(bool hold)
{
    is_holding = hold;
}

static bool is_held(const ps_backend *self)
{
    return is_holding && (self->observed.busy == 0 || self->observed.followed == 0);
}

static bool is_given_up(const ps_backend *self)
{
    return self->is_closing || atomic_load_explicit(self->stop, memory_order_relaxed);
}

/* Nobody signals `stop`: look again now and then. Caller holds the mutex. */
static void wait_changed(ps_backend *self)
{
    struct timespec at;
    (void)clock_gettime(CLOCK_REALTIME, &at);
    at.tv_nsec += 5000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_nsec -= 1000000000;
        at.tv_sec++;
    }
    (void)pthread_cond_timedwait(&self->changed, &self->mutex, &at);
}

static bool events_are_over(const ps_backend *self, const item *next)
{
    for (size_t i = 0; i < next->work.after_count; i++) {
        if (self->lanes[next->after[i].lane].finished < next->after[i].ticket) {
            return false;
        }
    }
    return true;
}

static void *run_queue(void *argument)
{
    lane *self = argument;
    ps_backend *backend = self->backend;
    const ps_replay_pace pace = {.spin_ns = 20000};
    ps_ns previous_end = 0;
    (void)pthread_mutex_lock(&backend->mutex);
    while (!is_given_up(backend)) {
        const item next = self->queue[self->finished % QUEUE_LENGTH];
        if (self->finished == self->submitted || is_held(backend) ||
            !events_are_over(backend, &next)) {
            wait_changed(backend);
            continue;
        }
        (void)pthread_mutex_unlock(&backend->mutex);
        ps_backend_result result = {.moved_bytes = next.work.bytes, .move_ns = 1};
        (void)ps_replay_pace_until(&pace, previous_end + next.work.gap_ns, backend->stop);
        result.start_ns = ps_replay_clock_ns();
        (void)ps_replay_pace_until(&pace, result.start_ns + next.work.dur_ns, backend->stop);
        result.end_ns = previous_end = ps_replay_clock_ns();
        (void)pthread_mutex_lock(&backend->mutex);
        backend->has_failed = backend->has_failed || next.work.task == fail_task;
        self->results[self->finished++] = result;
        (void)pthread_cond_broadcast(&backend->changed);
    }
    (void)pthread_mutex_unlock(&backend->mutex);
    return NULL;
}

static ps_code async_open(const ps_backend_setup *setup, ps_backend **out, ps_error *err)
{
    (void)err;
    ps_backend *self = calloc(1, sizeof *self);
    self->stop = setup->stop;
    (void)pthread_mutex_init(&self->mutex, NULL);
    (void)pthread_cond_init(&self->changed, NULL);
    self->lane_count = setup->plan->lane.head.count;
    self->lanes = calloc(self->lane_count + 1, sizeof *self->lanes);
    for (size_t i = 0; i < self->lane_count; i++) {
        self->lanes[i].backend = self;
        self->lanes[i].results =
            calloc(setup->plan->task.head.count + 1, sizeof *self->lanes[i].results);
        (void)pthread_create(&self->lanes[i].thread, NULL, run_queue, &self->lanes[i]);
    }
    *out = self;
    return PS_OK;
}

static void async_close(ps_backend *self)
{
    if (self == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&self->mutex);
    self->is_closing = true;
    (void)pthread_cond_broadcast(&self->changed);
    (void)pthread_mutex_unlock(&self->mutex);
    for (size_t i = 0; i < self->lane_count; i++) {
        (void)pthread_join(self->lanes[i].thread, NULL);
        free(self->lanes[i].results);
    }
    last_observed = self->observed;
    (void)pthread_cond_destroy(&self->changed);
    (void)pthread_mutex_destroy(&self->mutex);
    free(self->lanes);
    free(self);
}

static ps_ns async_now(ps_backend *self)
{
    (void)self;
    return ps_replay_clock_ns();
}

static ps_code async_allocate(ps_backend *self, uint32_t device, uint64_t bytes,
                              ps_backend_memory *out, ps_error *err)
{
    (void)device;
    (void)err;
    (void)pthread_mutex_lock(&self->mutex);
    self->observed.live_buffers++;
    (void)pthread_mutex_unlock(&self->mutex);
    *out = (ps_backend_memory){.bytes = bytes};
    return PS_OK;
}

static void async_release(ps_backend *self, uint32_t device, ps_backend_memory memory)
{
    (void)device;
    (void)memory;
    (void)pthread_mutex_lock(&self->mutex);
    self->observed.live_buffers--;
    (void)pthread_mutex_unlock(&self->mutex);
}

/* Caller holds the mutex. */
static ps_code put_item(ps_backend *self, lane *to, const ps_backend_work *work, ps_error *err)
{
    item *next = &to->queue[to->submitted % QUEUE_LENGTH];
    if (work->after_count > MAX_EVENTS) {
        return ps_fail(err, PS_INTERNAL, "%zu events", work->after_count);
    }
    for (size_t i = 0; i < work->after_count; i++) {
        const ps_backend_event *event = &work->after[i];
        if (event->ticket == 0 || event->ticket > self->lanes[event->lane].submitted) {
            return ps_fail(err, PS_INTERNAL, "task %u follows work that was never submitted",
                           work->task);
        }
        next->after[i] = *event;
    }
    next->work = *work;
    to->submitted++;
    self->observed.submitted++;
    self->observed.followed += work->after_count;
    const size_t queued = (size_t)(to->submitted - to->finished);
    self->observed.most_queued =
        queued > self->observed.most_queued ? queued : self->observed.most_queued;
    (void)pthread_cond_broadcast(&self->changed);
    return PS_OK;
}

static ps_code async_submit(ps_backend *self, uint32_t row, const ps_backend_work *work,
                            ps_backend_answer *answer, ps_backend_ticket *ticket,
                            ps_backend_result *result, ps_error *err)
{
    (void)result;
    lane *to = &self->lanes[row];
    ps_code code = PS_OK;
    (void)pthread_mutex_lock(&self->mutex);
    if (to->submitted - to->finished == QUEUE_LENGTH) {
        *answer = PS_BACKEND_BUSY;
        self->observed.busy++;
    } else {
        code = put_item(self, to, work, err);
        *answer = PS_BACKEND_QUEUED;
        *ticket = to->submitted;
    }
    (void)pthread_mutex_unlock(&self->mutex);
    return code;
}

static ps_code async_wait(ps_backend *self, uint32_t row, ps_backend_ticket ticket,
                          ps_backend_result *result, ps_error *err)
{
    const lane *of = &self->lanes[row];
    ps_code code = PS_OK;
    (void)pthread_mutex_lock(&self->mutex);
    while (of->finished < ticket && !is_given_up(self)) {
        wait_changed(self);
    }
    if (self->has_failed) {
        code = ps_fail(err, PS_IO, "the device fell off the bus");
    }
    if (of->finished >= ticket) {
        *result = of->results[ticket - 1];
    }
    (void)pthread_mutex_unlock(&self->mutex);
    return code;
}

#define ASYNC_OPS(ops_name, more)                                                               \
    {                                                                                           \
        .abi = PS_BACKEND_ABI, .name = (ops_name), .summary = "queues work, for tests",         \
        .capabilities = PS_BACKEND_TIMED | PS_BACKEND_COPIES | PS_BACKEND_FILLS |               \
                        PS_BACKEND_COLLECTIVES | PS_BACKEND_ASYNC | (more),                     \
        .open = async_open, .close = async_close, .now = async_now, .allocate = async_allocate, \
        .release = async_release, .submit = async_submit, .wait = async_wait                    \
    }

const ps_backend_ops async_backend = ASYNC_OPS("async", 0u);
const ps_backend_ops ordered_backend = ASYNC_OPS("ordered", PS_BACKEND_ORDERED);
