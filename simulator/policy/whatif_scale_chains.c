/* SPDX-License-Identifier: MIT
 *
 * Which operators were open on a thread at a moment.
 *
 * Ranges come sorted by start; a stack a thread gives each its parent, and a
 * list a thread lets a moment be found by bisection.
 */
#include "base/memory.h"
#include "policy/whatif_scale_parts.h"

static ps_code find_threads(ps_scaling *self, ps_error *err)
{
    const ps_range_table *range = &self->trace->range;
    for (size_t i = 0; i < range->head.count; i++) {
        if (range->category[i] == PS_RANGE_OPERATOR &&
            ps_idmap_get(&self->thread_of_tid, range->tid[i]) == PS_IDMAP_NONE) {
            PS_TRY(ps_idmap_put(&self->thread_of_tid, range->tid[i], (uint32_t)self->thread_count++,
                                err));
        }
    }
    return PS_OK;
}

static uint32_t thread_of(const ps_scaling *self, size_t range)
{
    return ps_idmap_get(&self->thread_of_tid, self->trace->range.tid[range]);
}

/* A counting sort by thread keeps the order of starts within each. */
static void list_by_thread(ps_scaling *self)
{
    const ps_range_table *range = &self->trace->range;
    for (size_t i = 0; i < range->head.count; i++) {
        if (range->category[i] == PS_RANGE_OPERATOR) {
            self->thread_begin[thread_of(self, i) + 1]++;
        }
    }
    for (size_t t = 0; t < self->thread_count; t++) {
        self->thread_begin[t + 1] += self->thread_begin[t];
    }
    for (size_t i = range->head.count; i > 0; i--) {
        if (range->category[i - 1] == PS_RANGE_OPERATOR) {
            /* filled from behind: the ends move down to the begins */
            self->last_range[--self->thread_begin[thread_of(self, i - 1) + 1]] = (uint32_t)(i - 1);
        }
    }
    /* thread_begin[t + 1] is now the begin of thread t: shift back, and close the list */
    for (size_t t = 0; t < self->thread_count; t++) {
        self->thread_begin[t] = self->thread_begin[t + 1];
    }
}

static void find_parents(ps_scaling *self, size_t listed)
{
    const ps_range_table *range = &self->trace->range;
    for (size_t t = 0; t < self->thread_count; t++) {
        uint32_t open = PS_SCALING_NO_RANGE;
        const size_t end = t + 1 < self->thread_count ? self->thread_begin[t + 1] : listed;
        for (size_t place = self->thread_begin[t]; place < end; place++) {
            const uint32_t row = self->last_range[place];
            while (open != PS_SCALING_NO_RANGE &&
                   range->start_ns[open] + range->dur_ns[open] <= range->start_ns[row]) {
                open = self->parent[open];
            }
            self->parent[row] = open;
            open = row;
        }
    }
}

ps_code ps__scaling_read_chains(ps_scaling *self, ps_error *err)
{
    const size_t count = self->trace->range.head.count;
    PS_TRY(find_threads(self, err));
    self->parent = ps_calloc(count + 1, sizeof *self->parent);
    self->last_range = ps_calloc(count + 1, sizeof *self->last_range);
    self->thread_begin = ps_calloc(self->thread_count + 2, sizeof *self->thread_begin);
    self->born_old = ps_calloc(count + 1, sizeof *self->born_old);
    self->born_new = ps_calloc(count + 1, sizeof *self->born_new);
    if (self->parent == NULL || self->last_range == NULL || self->thread_begin == NULL ||
        self->born_old == NULL || self->born_new == NULL) {
        return ps_fail_nomem(err);
    }
    size_t listed = 0;
    for (size_t i = 0; i < count; i++) {
        listed += self->trace->range.category[i] == PS_RANGE_OPERATOR;
    }
    list_by_thread(self);
    self->thread_begin[self->thread_count] = (uint32_t)listed;
    find_parents(self, listed);
    return PS_OK;
}

uint32_t ps__scaling_open_at(const ps_scaling *self, uint64_t tid, ps_ns at, size_t *next)
{
    const ps_range_table *range = &self->trace->range;
    const uint32_t thread = ps_idmap_get(&self->thread_of_tid, tid);
    *next = SIZE_MAX;
    if (thread == PS_IDMAP_NONE) {
        return PS_SCALING_NO_RANGE;
    }
    size_t low = self->thread_begin[thread], high = self->thread_begin[thread + 1];
    const size_t begin = low;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (range->start_ns[self->last_range[mid]] <= at) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    *next = low;
    uint32_t open = low == begin ? PS_SCALING_NO_RANGE : self->last_range[low - 1];
    while (open != PS_SCALING_NO_RANGE && range->start_ns[open] + range->dur_ns[open] <= at) {
        open = self->parent[open];
    }
    return open;
}

uint32_t ps__scaling_range_of(const ps_scaling *self, uint64_t tid, size_t place)
{
    const uint32_t thread = ps_idmap_get(&self->thread_of_tid, tid);
    return thread == PS_IDMAP_NONE || place >= self->thread_begin[thread + 1]
               ? PS_SCALING_NO_RANGE
               : self->last_range[place];
}

uint32_t ps__scaling_maker_of(const ps_scaling *self, uint32_t open)
{
    uint32_t maker = open;
    while (maker != PS_SCALING_NO_RANGE && ps__scaling_shapes_of(self, maker) == NULL) {
        maker = self->parent[maker];
    }
    if (self->has_shapes || open == PS_SCALING_NO_RANGE) {
        return maker;
    }
    for (maker = open; self->parent[maker] != PS_SCALING_NO_RANGE;) {
        maker = self->parent[maker];
    }
    return maker;
}

uint32_t ps__scaling_maker_at(const ps_scaling *self, uint64_t tid, ps_ns at)
{
    size_t next;
    return ps__scaling_maker_of(self, ps__scaling_open_at(self, tid, at, &next));
}
