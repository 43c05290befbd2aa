/* SPDX-License-Identifier: MIT
 *
 * Flows through time. Changes at one instant are collected and the rates of
 * the connected parts they touch decided once, when the clock is about to
 * move; a part that nothing touched costs nothing.
 */
#include "engine/links.h"

#include "base/memory.h"
#include "engine/fair_share.h"
#include "engine/links_state.h"

#define NS_PER_S UINT64_C(1000000000)

/* [bits] of NS_PER_S */
#define NS_PER_S_BITS 30u

/*
 * Work and rates stay below 2^126, so that what a rate moves up to the end of
 * its flow, at most the work left and one more nanosecond of the rate, fits.
 */
#define WORK_BITS 126u

static unsigned choose_fraction_bits(const ps_engine_input *in)
{
    uint64_t largest = 1;
    for (size_t i = 0; i < in->transfer_count; i++) {
        const uint64_t bytes = in->bytes[in->transfer_task[i]];
        largest = bytes > largest ? bytes : largest;
    }
    const unsigned size_bits = 64u - (unsigned)__builtin_clzll(largest);
    const unsigned for_work = WORK_BITS - NS_PER_S_BITS - size_bits;
    const unsigned for_rates = WORK_BITS - 64u;
    return for_work < for_rates ? for_work : for_rates;
}

static ps_u128 scaled_rate(const ps_links *self, uint64_t bytes_per_s)
{
    return (ps_u128)bytes_per_s << self->fraction_bits;
}

/* One flow per task that has rows and bytes. */
static void make_flows(ps_links *self)
{
    const ps_engine_input *in = self->input;
    self->fraction_bits = choose_fraction_bits(in);
    for (size_t i = 0; i < in->task_count; i++) {
        self->flow_of_task[i] = PS_LINKS_NONE;
    }
    for (size_t first = 0; first < in->transfer_count;) {
        const uint32_t task = in->transfer_task[first];
        size_t end = first;
        while (end < in->transfer_count && in->transfer_task[end] == task) {
            self->flow_of_row[end] = (uint32_t)self->flow_count;
            end++;
        }
        if (in->bytes[task] > 0) {
            const uint64_t cap = in->rate_bytes_per_s[task];
            self->flow[self->flow_count] = (ps_flow){
                .left = ((ps_u128)in->bytes[task] * NS_PER_S) << self->fraction_bits,
                .cap = cap > 0 ? scaled_rate(self, cap) : ~(ps_u128)0,
                .task = task,
                .first_row = (uint32_t)first,
                .end_row = (uint32_t)end,
            };
            self->flow_of_task[task] = (uint32_t)self->flow_count;
            self->flow_count++;
        }
        first = end;
    }
    for (size_t i = 0; i < in->link_count; i++) {
        self->link[i] = (ps_link){.capacity = scaled_rate(self, in->link_bytes_per_s[i]),
                                  .head = PS_LINKS_NONE};
    }
}

static ps_code allocate(ps_links *self, ps_error *err)
{
    const size_t rows = self->input->transfer_count;
    const size_t links = self->input->link_count;
    /* all is written before it is read */
    self->flow = ps_realloc(NULL, rows, sizeof *self->flow);
    self->flow_of_task = ps_realloc(NULL, self->input->task_count, sizeof *self->flow_of_task);
    self->link = ps_realloc(NULL, links, sizeof *self->link);
    self->next = ps_realloc(NULL, rows, sizeof *self->next);
    self->prev = ps_realloc(NULL, rows, sizeof *self->prev);
    self->flow_of_row = ps_realloc(NULL, rows, sizeof *self->flow_of_row);
    self->dirty = ps_realloc(NULL, links, sizeof *self->dirty);
    self->part_link = ps_realloc(NULL, links, sizeof *self->part_link);
    self->part_flow = ps_realloc(NULL, rows, sizeof *self->part_flow);
    if (self->flow == NULL || self->flow_of_task == NULL || self->link == NULL ||
        self->next == NULL || self->prev == NULL || self->flow_of_row == NULL ||
        self->dirty == NULL || self->part_link == NULL || self->part_flow == NULL) {
        return ps_fail_nomem(err);
    }
    return ps_event_queue_init(&self->queue, rows, err);
}

ps_code ps_links_create(const ps_engine_input *input, ps_links **out, ps_error *err)
{
    ps_links *self = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return ps_fail_nomem(err);
    }
    self->input = input;
    if (input->transfer_count > 0) {
        const ps_code code = allocate(self, err);
        if (code != PS_OK) {
            ps_links_destroy(self);
            return code;
        }
        make_flows(self);
    }
    *out = self;
    return PS_OK;
}

void ps_links_destroy(ps_links *self)
{
    if (self == NULL) {
        return;
    }
    ps_free(self->flow);
    ps_free(self->flow_of_task);
    ps_free(self->link);
    ps_free(self->next);
    ps_free(self->prev);
    ps_free(self->flow_of_row);
    ps_free(self->dirty);
    ps_free(self->part_link);
    ps_free(self->part_flow);
    ps_event_queue_fini(&self->queue);
    ps_free(self);
}

bool ps_links_has_flow(const ps_links *self, uint32_t task)
{
    return self->flow_of_task != NULL && self->flow_of_task[task] != PS_LINKS_NONE;
}

void ps_links_start(ps_links *self, uint32_t task, ps_ns at)
{
    ps_event_queue_put(
        &self->queue,
        (ps_event){.time = at, .rank = PS_EVENT_TRANSFER_STARTS, .id = self->flow_of_task[task]});
}

static void make_dirty(ps_links *self, uint32_t link)
{
    if (!self->link[link].is_dirty) {
        self->link[link].is_dirty = true;
        self->dirty[self->dirty_count] = link;
        self->dirty_count++;
    }
}

/* Puts a flow on the lists of its links; it gets a rate before the clock moves. */
static void admit(ps_links *self, uint32_t flow)
{
    self->flow[flow].since = self->now;
    for (uint32_t row = self->flow[flow].first_row; row < self->flow[flow].end_row; row++) {
        const uint32_t link = self->input->transfer_link[row];
        self->prev[row] = PS_LINKS_NONE;
        self->next[row] = self->link[link].head;
        if (self->next[row] != PS_LINKS_NONE) {
            self->prev[self->next[row]] = row;
        }
        self->link[link].head = row;
        make_dirty(self, link);
    }
}

static void release(ps_links *self, uint32_t flow)
{
    for (uint32_t row = self->flow[flow].first_row; row < self->flow[flow].end_row; row++) {
        const uint32_t link = self->input->transfer_link[row];
        const uint32_t before = self->prev[row];
        const uint32_t after = self->next[row];
        if (before != PS_LINKS_NONE) {
            self->next[before] = after;
        } else {
            self->link[link].head = after;
        }
        if (after != PS_LINKS_NONE) {
            self->prev[after] = before;
        }
        make_dirty(self, link);
    }
}

/*
 * Links and flows that a link is connected with through moving flows, into
 * part_link and part_flow.
 */
static size_t collect_part(ps_links *self, uint32_t from, size_t *flow_count)
{
    size_t links = 1;
    self->part_link[0] = from;
    self->link[from].mark = self->round;
    *flow_count = 0;
    for (size_t i = 0; i < links; i++) {
        for (uint32_t row = self->link[self->part_link[i]].head; row != PS_LINKS_NONE;
             row = self->next[row]) {
            ps_flow *flow = &self->flow[self->flow_of_row[row]];
            if (flow->mark == self->round) {
                continue;
            }
            flow->mark = self->round;
            self->part_flow[*flow_count] = self->flow_of_row[row];
            ++*flow_count;
            for (uint32_t other = flow->first_row; other < flow->end_row; other++) {
                const uint32_t link = self->input->transfer_link[other];
                if (self->link[link].mark != self->round) {
                    self->link[link].mark = self->round;
                    self->part_link[links] = link;
                    links++;
                }
            }
        }
    }
    return links;
}

/* Takes over a new rate from now on: books what the old one moved, and schedules the end. */
static void change_rate(ps_links *self, uint32_t id)
{
    ps_flow *flow = &self->flow[id];
    if (flow->rate == flow->share) {
        return;
    }
    /* now is not after the flow's end, so this is at most left + rate: no overflow */
    const ps_u128 moved = flow->rate * (ps_u128)(uint64_t)(self->now - flow->since);
    flow->left -= moved < flow->left ? moved : flow->left;
    flow->rate = flow->share;
    flow->since = self->now;
    const ps_u128 needed_ns = flow->left / flow->rate + (flow->left % flow->rate != 0 ? 1 : 0);
    const ps_ns needed = needed_ns < PS_TIME_NEVER ? (ps_ns)needed_ns : PS_TIME_NEVER;
    ps_event_queue_put(&self->queue, (ps_event){.time = ps_time_add(self->now, needed),
                                                .rank = PS_EVENT_TRANSFER_ENDS,
                                                .id = id});
}

/* Decides the rates again wherever a flow started or ended at this instant. */
static void refill(ps_links *self)
{
    self->round++;
    for (size_t i = 0; i < self->dirty_count; i++) {
        const uint32_t from = self->dirty[i];
        self->link[from].is_dirty = false;
        if (self->link[from].mark == self->round || self->link[from].head == PS_LINKS_NONE) {
            continue;
        }
        size_t flows;
        const size_t links = collect_part(self, from, &flows);
        ps_fair_share(self, links, flows);
        for (size_t k = 0; k < links; k++) {
            for (uint32_t row = self->link[self->part_link[k]].head; row != PS_LINKS_NONE;
                 row = self->next[row]) {
                change_rate(self, self->flow_of_row[row]);
            }
        }
    }
    self->dirty_count = 0;
}

bool ps_links_next_end(ps_links *self, uint32_t *task, ps_ns *at)
{
    for (;;) {
        if (self->dirty_count > 0 &&
            (self->queue.count == 0 || ps_event_queue_first(&self->queue).time > self->now)) {
            refill(self);
        }
        if (self->queue.count == 0) {
            return false;
        }
        const ps_event event = ps_event_queue_first(&self->queue);
        ps_event_queue_drop_first(&self->queue);
        self->now = event.time;
        *task = self->flow[event.id].task;
        *at = event.time;
        if (event.time == PS_TIME_NEVER) {
            return true;
        }
        if (event.rank == PS_EVENT_TRANSFER_ENDS) {
            release(self, event.id);
            return true;
        }
        admit(self, event.id);
    }
}
