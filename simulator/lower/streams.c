/* SPDX-License-Identifier: MIT
 *
 * Waits between streams.
 *
 * Recorded ones (cuda_sync "Stream Wait Event") name both sides. Without them
 * the host calls still show the idiom of every framework: record an event on
 * the stream just launched on, make another stream wait for it, launch there.
 * So the task awaited is the last one launched before the record, and the
 * task that waits is the next one launched on another stream. A guess that
 * contradicts the recorded times (the awaited task ended after the waiting one
 * began) is moved back along the awaited stream to the last task that fits.
 */
#include <string.h>

#include "base/memory.h"
#include "lower/lowering.h"

#define MAX_PENDING 64u

typedef struct pending_wait {
    uint32_t awaited;   /* device task */
    uint32_t wait_lane; /* lane that waits; PS_NONE: any other than the awaited one's */
    uint8_t origin;
} pending_wait;

/* Where the calls of one process have come to. */
typedef struct stream_walk {
    uint32_t last_launched;
    uint32_t recorded; /* task that the newest event record stands behind */
    pending_wait pending[MAX_PENDING];
    size_t pending_count;
} stream_walk;

typedef struct launches {
    uint32_t *first_of_launch; /* per host task: first device task it launched, or PS_NONE */
    uint32_t *next_of_launch;  /* per device task: next one of the same launch */
    uint32_t *sync_row;        /* per host task: its recorded stream-wait row, or PS_NONE */
    stream_walk *walk;         /* per process */
} launches;

static uint32_t lane_of(const ps_lowering *self, uint32_t device, uint64_t stream)
{
    const ps_plan_lane_table *lane = &self->plan->lane;
    for (uint32_t i = 0; i < lane->head.count; i++) {
        if (lane->kind[i] == PS_LANE_STREAM && lane->number[i] == stream &&
            lane->device[i] == device + 1) {
            return i;
        }
    }
    return PS_NONE;
}

/* Last task of a lane launched by host task `latest` or before. */
static uint32_t last_launched_by(const ps_lowering *self, uint32_t lane, uint32_t latest)
{
    const lane_queue *queue = &self->queue[lane];
    size_t low = 0, high = queue->count;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        const uint32_t launch = self->launch[queue->task[mid] - self->host_count];
        if (launch == PS_NONE || launch <= latest) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low > 0 ? queue->task[low - 1] : PS_NONE;
}

static void add_pending(stream_walk *walk, uint32_t awaited, uint32_t wait_lane, uint8_t origin)
{
    if (awaited != PS_NONE && walk->pending_count < MAX_PENDING) {
        walk->pending[walk->pending_count++] = (pending_wait){awaited, wait_lane, origin};
    }
}

static void see_recorded_wait(const ps_lowering *self, stream_walk *walk, uint32_t sync)
{
    const ps_sync_table *table = &self->trace->sync;
    const uint32_t device = ps__lower_device_row(self, table->device[sync]);
    const uint32_t wait_lane = lane_of(self, device, table->stream[sync]);
    const uint32_t record_lane = lane_of(self, device, table->record_stream[sync]);
    const uint32_t record =
        ps_idmap_get(&self->host_of_correlation, table->record_correlation[sync]);
    if (wait_lane != PS_NONE && record_lane != PS_NONE && record != PS_NONE) {
        add_pending(walk, last_launched_by(self, record_lane, record), wait_lane, PS_DEP_RECORDED);
    }
}

/* Moves an inferred wait back until it agrees with the recorded times. */
static uint32_t fit_to_times(const ps_lowering *self, uint32_t awaited, ps_ns start)
{
    const lane_queue *queue = &self->queue[self->plan->task.lane[awaited]];
    if (self->rec_end[awaited] <= start) {
        return awaited;
    }
    size_t low = 0, high = queue->count; /* first task of the lane that ends after the start */
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (self->rec_end[queue->task[mid]] <= start) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low > 0 ? queue->task[low - 1] : PS_NONE;
}

static void settle_waits(ps_lowering *self, stream_walk *walk, uint32_t task)
{
    const uint32_t lane = self->plan->task.lane[task];
    const size_t i = task - self->host_count;
    size_t kept = 0;
    for (size_t p = 0; p < walk->pending_count; p++) {
        const pending_wait wait = walk->pending[p];
        const uint32_t awaited_lane = self->plan->task.lane[wait.awaited];
        if (wait.wait_lane == awaited_lane) {
            continue; /* a stream that waits for itself waits for nothing: it is in order */
        }
        const bool is_mine =
            wait.wait_lane == PS_NONE ? lane != awaited_lane : lane == wait.wait_lane;
        if (!is_mine) {
            walk->pending[kept++] = wait;
            continue;
        }
        const uint32_t awaited = fit_to_times(self, wait.awaited, self->rec_start[task]);
        if (awaited != PS_NONE && awaited != task &&
            (self->cross[i] == PS_NONE || self->rec_end[awaited] > self->rec_end[self->cross[i]])) {
            self->cross[i] = awaited;
            self->cross_origin[i] = wait.origin;
        }
    }
    walk->pending_count = kept;
}

static bool is_call(const char *name, const char *what)
{
    return strstr(name, what) != NULL;
}

static void see_host_task(ps_lowering *self, const launches *all, uint32_t host)
{
    const uint32_t task = all->first_of_launch[host];
    stream_walk *walk = &all->walk[ps__lower_process(self, self->plan->task.lane[host])];
    if (task != PS_NONE) {
        settle_waits(self, walk, task);
        for (uint32_t t = task; t != PS_NONE; t = all->next_of_launch[t - self->host_count]) {
            walk->last_launched = t;
        }
        return;
    }
    const char *name = ps_strings_text(self->plan->strings, self->plan->task.name[host]);
    if (all->sync_row[host] != PS_NONE) {
        see_recorded_wait(self, walk, all->sync_row[host]);
    } else if (is_call(name, "EventRecord")) {
        walk->recorded = walk->last_launched;
    } else if (is_call(name, "StreamWaitEvent")) {
        add_pending(walk, walk->recorded, PS_NONE, PS_DEP_INFERRED);
    }
}

static void link_launches(const ps_lowering *self, launches *all)
{
    const size_t devices = self->plan->task.head.count - self->host_count;
    memset(all->first_of_launch, 0xff, self->host_count * sizeof *all->first_of_launch);
    memset(all->next_of_launch, 0xff, devices * sizeof *all->next_of_launch);
    memset(all->sync_row, 0xff, self->host_count * sizeof *all->sync_row);
    for (uint32_t i = 0; i < self->process_count; i++) {
        all->walk[i].last_launched = all->walk[i].recorded = PS_NONE;
    }
    for (size_t i = devices; i > 0; i--) {
        const uint32_t launch = self->launch[i - 1];
        if (launch != PS_NONE) {
            all->next_of_launch[i - 1] = all->first_of_launch[launch];
            all->first_of_launch[launch] = (uint32_t)(self->host_count + i - 1);
        }
    }
    const ps_sync_table *sync = &self->trace->sync;
    for (size_t i = 0; i < sync->head.count; i++) {
        const uint32_t host = ps_idmap_get(&self->host_of_correlation, sync->correlation[i]);
        if (sync->kind[i] == PS_SYNC_STREAM_WAIT && host != PS_NONE) {
            all->sync_row[host] = (uint32_t)i;
        }
    }
}

ps_code ps__lower_streams(ps_lowering *self, ps_error *err)
{
    const size_t devices = self->plan->task.head.count - self->host_count;
    PS_TRY(ps_grow((void **)&self->cross, &self->cross_capacity, devices + 1, PS_TABLE_MAX_ROWS,
                   sizeof *self->cross, err));
    PS_TRY(ps_grow((void **)&self->cross_origin, &self->cross_origin_capacity, devices + 1,
                   PS_TABLE_MAX_ROWS, sizeof *self->cross_origin, err));
    memset(self->cross, 0xff, (devices + 1) * sizeof *self->cross);
    launches all = {
        .first_of_launch = ps_calloc(self->host_count + 1, sizeof(uint32_t)),
        .next_of_launch = ps_calloc(devices + 1, sizeof(uint32_t)),
        .sync_row = ps_calloc(self->host_count + 1, sizeof(uint32_t)),
        .walk = ps_calloc(self->process_count, sizeof(stream_walk)),
    };
    ps_code code = PS_OK;
    if (all.first_of_launch == NULL || all.next_of_launch == NULL || all.sync_row == NULL ||
        all.walk == NULL) {
        code = ps_fail_nomem(err);
    } else {
        link_launches(self, &all);
        for (uint32_t host = 0; host < self->host_count; host++) {
            see_host_task(self, &all, host);
        }
    }
    ps_free(all.first_of_launch);
    ps_free(all.next_of_launch);
    ps_free(all.sync_row);
    ps_free(all.walk);
    return code;
}
