/* SPDX-License-Identifier: MIT
 *
 * Binary heap with positions. Events move by holes rather than by swaps.
 */
#include "engine/event_queue.h"

#include "base/memory.h"

ps_code ps_event_queue_init(ps_event_queue *self, size_t id_count, ps_error *err)
{
    self->count = 0;
    self->heap = ps_realloc(NULL, id_count, sizeof *self->heap);
    self->place = ps_calloc(id_count, sizeof *self->place);
    if (self->heap == NULL || self->place == NULL) {
        ps_event_queue_fini(self);
        return ps_fail_nomem(err);
    }
    return PS_OK;
}

void ps_event_queue_fini(ps_event_queue *self)
{
    ps_free(self->heap);
    ps_free(self->place);
    *self = (ps_event_queue){0};
}

static bool is_before(ps_event a, ps_event b)
{
    if (a.time != b.time) {
        return a.time < b.time;
    }
    if (a.rank != b.rank) {
        return a.rank < b.rank;
    }
    return a.id < b.id;
}

static void set(ps_event_queue *self, size_t at, ps_event event)
{
    self->heap[at] = event;
    self->place[event.id] = (uint32_t)at + 1;
}

static void sift_up(ps_event_queue *self, size_t at, ps_event event)
{
    while (at > 0) {
        const size_t parent = (at - 1) / 2;
        if (!is_before(event, self->heap[parent])) {
            break;
        }
        set(self, at, self->heap[parent]);
        at = parent;
    }
    set(self, at, event);
}

static void sift_down(ps_event_queue *self, size_t at, ps_event event)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= self->count) {
            break;
        }
        if (child + 1 < self->count && is_before(self->heap[child + 1], self->heap[child])) {
            child++;
        }
        if (!is_before(self->heap[child], event)) {
            break;
        }
        set(self, at, self->heap[child]);
        at = child;
    }
    set(self, at, event);
}

void ps_event_queue_put(ps_event_queue *self, ps_event event)
{
    const uint32_t place = self->place[event.id];
    if (place == 0) {
        self->count++;
        sift_up(self, self->count - 1, event);
    } else if (is_before(event, self->heap[place - 1])) {
        sift_up(self, place - 1, event);
    } else {
        sift_down(self, place - 1, event);
    }
}

void ps_event_queue_drop_first(ps_event_queue *self)
{
    self->place[self->heap[0].id] = 0;
    self->count--;
    if (self->count > 0) {
        sift_down(self, 0, self->heap[self->count]);
    }
}
