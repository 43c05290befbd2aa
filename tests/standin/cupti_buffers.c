/* SPDX-License-Identifier: MIT
 *
 * Every thread fills a buffer of its own, which the client lends when the
 * thread has a record and gets back when it is full or flushed.
 *
 * The client's callbacks are called without any lock: they may come back.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "standin/cupti.h"

/* A thread's place; the place and what is in its buffer go on to the next thread when it ends. */
typedef struct place {
    struct place *next;
    pthread_mutex_t lock;
    bool is_taken; /* guarded by places_lock */
    uint8_t *buffer;
    size_t bytes, used, records, most_records;
} place;

static pthread_mutex_t places_lock = PTHREAD_MUTEX_INITIALIZER;
static place *_Atomic places; /* grows at its head only */
static pthread_key_t place_of_thread;
static pthread_once_t key_made = PTHREAD_ONCE_INIT;
static _Atomic(cupti_request) request;
static _Atomic(cupti_complete) complete;
static _Atomic size_t dropped;

int cuptiActivityRegisterCallbacks(cupti_request on_request, cupti_complete on_complete)
{
    request = on_request;
    complete = on_complete;
    return CUPTI_OK;
}

int cuptiActivityGetNumDroppedRecords(void *context, uint32_t stream, size_t *count)
{
    (void)context;
    (void)stream;
    *count = atomic_exchange(&dropped, 0);
    return CUPTI_OK;
}

static void leave_place(void *left)
{
    place *self = left;
    (void)pthread_mutex_lock(&places_lock);
    self->is_taken = false;
    (void)pthread_mutex_unlock(&places_lock);
}

static void make_key(void)
{
    (void)pthread_key_create(&place_of_thread, leave_place);
}

static place *take_place(void)
{
    (void)pthread_mutex_lock(&places_lock);
    place *self = places;
    while (self != NULL && self->is_taken) {
        self = self->next;
    }
    if (self == NULL) {
        self = calloc(1, sizeof *self);
        if (self != NULL) {
            (void)pthread_mutex_init(&self->lock, NULL);
            self->next = places;
            places = self;
        }
    }
    if (self != NULL) {
        self->is_taken = true;
    }
    (void)pthread_mutex_unlock(&places_lock);
    return self;
}

static place *my_place(void)
{
    (void)pthread_once(&key_made, make_key);
    place *self = pthread_getspecific(place_of_thread);
    if (self == NULL) {
        self = take_place();
        (void)pthread_setspecific(place_of_thread, self);
    }
    return self;
}

/* Takes the buffer out of a place, if there is one. */
static void hand_over(place *self)
{
    (void)pthread_mutex_lock(&self->lock);
    uint8_t *buffer = self->buffer;
    const size_t bytes = self->bytes, used = self->used;
    self->buffer = NULL;
    (void)pthread_mutex_unlock(&self->lock);
    const cupti_complete tell = complete;
    if (buffer != NULL && tell != NULL) {
        tell(NULL, 0, buffer, bytes, used);
    }
}

/* False when there is no room. */
static bool append(place *self, const void *record, size_t bytes)
{
    (void)pthread_mutex_lock(&self->lock);
    const bool fits = self->buffer != NULL && bytes <= self->bytes - self->used &&
                      (self->most_records == 0 || self->records < self->most_records);
    if (fits) {
        memcpy(self->buffer + self->used, record, bytes);
        self->used += bytes;
        self->records++;
    }
    (void)pthread_mutex_unlock(&self->lock);
    return fits;
}

/* An empty buffer; only the place's own thread puts one there. */
static bool refill(place *self)
{
    uint8_t *buffer = NULL;
    size_t bytes = 0, most_records = 0;
    const cupti_request ask = request;
    if (ask != NULL) {
        ask(&buffer, &bytes, &most_records);
    }
    if (buffer == NULL || (uintptr_t)buffer % 8 != 0) {
        return false;
    }
    (void)pthread_mutex_lock(&self->lock);
    self->buffer = buffer;
    self->bytes = bytes;
    self->used = 0;
    self->records = 0;
    self->most_records = most_records;
    (void)pthread_mutex_unlock(&self->lock);
    return true;
}

void cupti_put(const void *record, size_t bytes)
{
    place *self = my_place();
    if (self == NULL) {
        dropped++;
        return;
    }
    if (append(self, record, bytes)) {
        return;
    }
    hand_over(self);
    if (!refill(self) || !append(self, record, bytes)) {
        dropped++;
    }
}

int cuptiActivityFlushAll(uint32_t flags)
{
    (void)flags; /* every record is complete when it is made */
    for (place *self = places; self != NULL; self = self->next) {
        hand_over(self);
    }
    return CUPTI_OK;
}

int cuptiActivityGetNextRecord(uint8_t *buffer, size_t valid_bytes, uint8_t **record)
{
    uint32_t kind;
    size_t at = 0;
    if (buffer == NULL || record == NULL) {
        return CUPTI_INVALID_PARAMETER;
    }
    if (*record != NULL) {
        memcpy(&kind, *record, sizeof kind);
        at = (size_t)(*record - buffer) + cupti_record_bytes(kind);
    }
    if (at + sizeof kind > valid_bytes) {
        return CUPTI_MAX_LIMIT_REACHED;
    }
    memcpy(&kind, buffer + at, sizeof kind);
    if (cupti_record_bytes(kind) == 0) {
        return CUPTI_INVALID_KIND;
    }
    *record = buffer + at;
    return CUPTI_OK;
}
