/* SPDX-License-Identifier: MIT
 *
 * Buffers between CUPTI and the writer; a lock held for a few instructions.
 */
#include "buffers.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"

#define LEAST_BUFFERS 2u

typedef struct entry {
    unsigned char *data; /* PS_BUFFER_BYTES, allocated at first use */
    struct entry *next;
    size_t valid_bytes;
} entry;

/* Room for a few hundred records; kept for the next time when it comes back. */
typedef struct spare {
    struct spare *next;
    unsigned char data[PS_SPARE_BYTES];
} spare;

struct ps_buffers {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    bool is_woken, is_closed;
    size_t count;
    entry *entries;
    entry *free, *full_first, *full_last;
    spare *spares; /* not lent */
    uint64_t dropped;
};

ps_buffers *ps_buffers_create(uint64_t budget_bytes)
{
    ps_buffers *self = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return NULL;
    }
    const uint64_t affordable = budget_bytes / PS_BUFFER_BYTES;
    self->count = affordable < LEAST_BUFFERS ? LEAST_BUFFERS : (size_t)affordable;
    self->entries = ps_calloc(self->count, sizeof *self->entries);
    if (self->entries == NULL) {
        ps_free(self);
        return NULL;
    }
    for (size_t i = self->count; i-- > 0;) {
        self->entries[i].next = self->free;
        self->free = &self->entries[i];
    }
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&self->filled, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    (void)pthread_mutex_init(&self->lock, NULL);
    return self;
}

void ps_buffers_destroy(ps_buffers *self)
{
    if (self == NULL) {
        return;
    }
    for (size_t i = 0; i < self->count; i++) {
        ps_free(self->entries[i].data);
    }
    while (self->spares != NULL) {
        spare *next = self->spares->next;
        ps_free(self->spares);
        self->spares = next;
    }
    (void)pthread_cond_destroy(&self->filled);
    (void)pthread_mutex_destroy(&self->lock);
    ps_free(self->entries);
    ps_free(self);
}

/* As many spares exist as were ever lent at once: CUPTI holds one a recording thread. */
static unsigned char *lend_spare(ps_buffers *self, size_t *bytes)
{
    (void)pthread_mutex_lock(&self->lock);
    spare *extra = self->spares;
    self->spares = extra != NULL ? extra->next : NULL;
    (void)pthread_mutex_unlock(&self->lock);
    if (extra == NULL) {
        extra = ps_calloc(1, sizeof *extra);
    }
    *bytes = extra != NULL ? sizeof extra->data : 0;
    return extra != NULL ? extra->data : NULL;
}

/* Gives an entry its memory, or the entry back. Other threads search all entries meanwhile. */
static bool furnish(ps_buffers *self, entry *buffer)
{
    unsigned char *data = ps_calloc(PS_BUFFER_BYTES, 1);
    (void)pthread_mutex_lock(&self->lock);
    buffer->data = data;
    if (data == NULL) {
        buffer->next = self->free;
        self->free = buffer;
    }
    (void)pthread_mutex_unlock(&self->lock);
    return data != NULL;
}

unsigned char *ps_buffers_lend(ps_buffers *self, size_t *bytes)
{
    (void)pthread_mutex_lock(&self->lock);
    entry *buffer = self->free;
    if (buffer != NULL) {
        self->free = buffer->next;
    }
    (void)pthread_mutex_unlock(&self->lock);
    if (buffer == NULL || (buffer->data == NULL && !furnish(self, buffer))) {
        return lend_spare(self, bytes);
    }
    *bytes = PS_BUFFER_BYTES;
    return buffer->data;
}

static entry *find_entry(ps_buffers *self, const unsigned char *data)
{
    for (size_t i = 0; i < self->count; i++) {
        if (self->entries[i].data == data) {
            return &self->entries[i];
        }
    }
    return NULL;
}

static void queue_entry(ps_buffers *self, entry *buffer, size_t valid_bytes)
{
    buffer->valid_bytes = valid_bytes;
    buffer->next = NULL;
    if (self->full_last != NULL) {
        self->full_last->next = buffer;
    } else {
        self->full_first = buffer;
    }
    self->full_last = buffer;
}

bool ps_buffers_hand_in(ps_buffers *self, unsigned char *data, size_t valid_bytes)
{
    (void)pthread_mutex_lock(&self->lock);
    entry *buffer = find_entry(self, data);
    if (buffer != NULL && self->is_closed) {
        buffer->next = self->free;
        self->free = buffer;
    } else if (buffer != NULL) {
        queue_entry(self, buffer, valid_bytes);
        (void)pthread_cond_signal(&self->filled);
    }
    (void)pthread_mutex_unlock(&self->lock);
    return buffer != NULL;
}

void ps_buffers_drop(ps_buffers *self, unsigned char *data, uint64_t record_count)
{
    spare *extra = (spare *)(void *)(data - offsetof(spare, data));
    (void)pthread_mutex_lock(&self->lock);
    self->dropped += record_count;
    extra->next = self->spares;
    self->spares = extra;
    (void)pthread_mutex_unlock(&self->lock);
}

uint64_t ps_buffers_take_dropped(ps_buffers *self)
{
    (void)pthread_mutex_lock(&self->lock);
    const uint64_t count = self->dropped;
    self->dropped = 0;
    (void)pthread_mutex_unlock(&self->lock);
    return count;
}

static ps_full_buffer take_now(ps_buffers *self)
{
    if (self->full_first != NULL) {
        entry *buffer = self->full_first;
        self->full_first = buffer->next;
        self->full_last = self->full_first == NULL ? NULL : self->full_last;
        return (ps_full_buffer){buffer->data, buffer->valid_bytes};
    }
    return (ps_full_buffer){0};
}

static struct timespec after(int64_t wait_ns)
{
    struct timespec at;
    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    const int64_t ns = at.tv_nsec + wait_ns;
    at.tv_sec += (time_t)(ns / 1000000000);
    at.tv_nsec = (long)(ns % 1000000000);
    return at;
}

ps_full_buffer ps_buffers_take(ps_buffers *self, int64_t wait_ns)
{
    const struct timespec until = after(wait_ns);
    int waited = 0;
    (void)pthread_mutex_lock(&self->lock);
    ps_full_buffer buffer = take_now(self);
    while (buffer.data == NULL && wait_ns > 0 && waited == 0 && !self->is_woken) {
        waited = pthread_cond_timedwait(&self->filled, &self->lock, &until);
        buffer = take_now(self);
    }
    self->is_woken = false;
    (void)pthread_mutex_unlock(&self->lock);
    return buffer;
}

size_t ps_buffers_count(const ps_buffers *self)
{
    return self->count;
}

void ps_buffers_give_back(ps_buffers *self, ps_full_buffer buffer)
{
    (void)pthread_mutex_lock(&self->lock);
    entry *back = find_entry(self, buffer.data);
    if (back != NULL) {
        back->next = self->free;
        self->free = back;
    }
    (void)pthread_mutex_unlock(&self->lock);
}

void ps_buffers_close(ps_buffers *self)
{
    (void)pthread_mutex_lock(&self->lock);
    self->is_closed = true;
    (void)pthread_mutex_unlock(&self->lock);
}

void ps_buffers_wake(ps_buffers *self)
{
    (void)pthread_mutex_lock(&self->lock);
    self->is_woken = true;
    (void)pthread_cond_signal(&self->filled);
    (void)pthread_mutex_unlock(&self->lock);
}
