/* SPDX-License-Identifier: MIT
 *
 * Marks wait in a small trace of their own.
 *
 * A mark that finds no room, or no memory, is counted; the program it comes
 * from is not told.
 */
#include "marks.h"

#include <pthread.h>

#include "base/memory.h"

struct ps_marks {
    pthread_mutex_t lock;
    ps_trace *rows;
    uint64_t dropped;
};

ps_marks *ps_marks_create(void)
{
    ps_marks *self = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return NULL;
    }
    self->rows = ps_trace_create();
    if (self->rows == NULL) {
        ps_free(self);
        return NULL;
    }
    (void)pthread_mutex_init(&self->lock, NULL);
    return self;
}

void ps_marks_destroy(ps_marks *self)
{
    if (self == NULL) {
        return;
    }
    ps_trace_destroy(self->rows);
    (void)pthread_mutex_destroy(&self->lock);
    ps_free(self);
}

static ps_code add_range(ps_trace *rows, const char *name, ps_range_category category, uint32_t tid,
                         ps_ns start_ns, ps_ns end_ns)
{
    size_t row;
    ps_str text;
    PS_TRY(ps_strings_put_z(rows->strings, name, &text, NULL));
    PS_TRY(ps_trace_add(rows, PS_TABLE_RANGE, &row, NULL));
    rows->range.start_ns[row] = start_ns;
    rows->range.dur_ns[row] = end_ns > start_ns ? end_ns - start_ns : 0;
    rows->range.tid[row] = tid;
    rows->range.category[row] = (uint8_t)category;
    rows->range.name[row] = text;
    return PS_OK;
}

void ps_marks_range(ps_marks *self, const char *name, ps_range_category category, uint32_t tid,
                    ps_ns start_ns, ps_ns end_ns)
{
    (void)pthread_mutex_lock(&self->lock);
    if (self->rows->range.head.count >= PS_MARKS_MAX_ROWS ||
        add_range(self->rows, name, category, tid, start_ns, end_ns) != PS_OK) {
        self->dropped++;
    }
    (void)pthread_mutex_unlock(&self->lock);
}

static ps_code add_driver_memory(ps_trace *rows, ps_ns time_ns, ps_driver_action action,
                                 uint32_t device, uint64_t addr, uint64_t bytes)
{
    size_t row;
    PS_TRY(ps_trace_add(rows, PS_TABLE_DRIVER_MEMORY, &row, NULL));
    rows->driver_memory.time_ns[row] = time_ns;
    rows->driver_memory.action[row] = (uint8_t)action;
    rows->driver_memory.kind[row] = PS_MEMORY_DEVICE;
    rows->driver_memory.device[row] = device;
    rows->driver_memory.bytes[row] = bytes;
    rows->driver_memory.addr[row] = addr;
    rows->driver_memory.stream[row] = UINT64_MAX;
    return PS_OK;
}

void ps_marks_driver_memory(ps_marks *self, ps_ns time_ns, ps_driver_action action, uint32_t device,
                            uint64_t addr, uint64_t bytes)
{
    (void)pthread_mutex_lock(&self->lock);
    if (self->rows->driver_memory.head.count >= PS_MARKS_MAX_ROWS ||
        add_driver_memory(self->rows, time_ns, action, device, addr, bytes) != PS_OK) {
        self->dropped++;
    }
    (void)pthread_mutex_unlock(&self->lock);
}

void ps_marks_fact(ps_marks *self, const char *key, const char *value)
{
    (void)pthread_mutex_lock(&self->lock);
    if (self->rows->meta.head.count >= PS_MARKS_MAX_ROWS ||
        ps_trace_set_meta(self->rows, key, value, NULL) != PS_OK) {
        self->dropped++;
    }
    (void)pthread_mutex_unlock(&self->lock);
}

void ps_marks_loss(ps_marks *self, const char *name, uint64_t count)
{
    (void)pthread_mutex_lock(&self->lock);
    if (ps_trace_add_loss(self->rows, name, count, NULL) != PS_OK) {
        self->dropped++;
    }
    (void)pthread_mutex_unlock(&self->lock);
}

bool ps_marks_swap(ps_marks *self, ps_trace **rows)
{
    (void)pthread_mutex_lock(&self->lock);
    if (self->dropped > 0 &&
        ps_trace_add_loss(self->rows, "dropped-marks", self->dropped, NULL) == PS_OK) {
        self->dropped = 0;
    }
    const bool has_rows = ps_trace_event_count(self->rows) > 0 ||
                          self->rows->driver_memory.head.count > 0 ||
                          self->rows->meta.head.count > 0 || self->rows->loss.head.count > 0;
    if (has_rows) {
        ps_trace *full = self->rows;
        self->rows = *rows;
        *rows = full;
    }
    (void)pthread_mutex_unlock(&self->lock);
    return has_rows;
}
