/* SPDX-License-Identifier: MIT
 *
 * Vector clocks of a plan, for some lanes at a time.
 *
 *   clock of a moment, column of a lane: how many moments of that lane come
 *   before it or are it; start and end of its k-th task (from 0) are numbers
 *   2k + 1 and 2k + 2
 *
 * A lane's moments lie in one line, so one number a lane says all of it.
 */
#include <string.h>

#include "base/memory.h"
#include "plan/plan_order.h"

/* Clocks of the lanes first .. first + width - 1 of a list of lanes. */
typedef struct clocks {
    const ps_plan_order *order;
    uint32_t *column; /* per lane: its column among those listed, or NONE */
    uint32_t listed;  /* lanes */
    uint32_t first, width;
    uint32_t *row; /* per moment: width numbers */
} clocks;

/* ---- making them ---- */

static uint32_t *row_of(const clocks *self, ps_plan_moment moment)
{
    return self->row + (size_t)moment * self->width;
}

static void learn(const clocks *self, ps_plan_moment moment, ps_plan_moment from)
{
    uint32_t *mine = row_of(self, moment);
    const uint32_t *theirs = row_of(self, from);
    for (uint32_t i = 0; i < self->width; i++) {
        mine[i] = theirs[i] > mine[i] ? theirs[i] : mine[i];
    }
}

static void learn_from_deps(const clocks *self, ps_plan_moment moment)
{
    const ps_plan_dep_table *dep = &self->order->plan->dep;
    const uint32_t task = moment / 2;
    const bool is_end = moment % 2 == 1;
    for (uint32_t i = self->order->first_dep[task]; i < self->order->first_dep[task + 1]; i++) {
        const uint8_t kind = dep->kind[i];
        const bool holds_end = kind == PS_DEP_END_AFTER_END || kind == PS_DEP_END_AFTER_START;
        const bool awaits_end = kind == PS_DEP_START_AFTER_END || kind == PS_DEP_END_AFTER_END;
        if (holds_end == is_end) {
            learn(self, moment,
                  awaits_end ? ps_end_of(dep->before[i]) : ps_start_of(dep->before[i]));
        }
    }
}

static uint32_t number_of(const ps_plan_order *order, ps_plan_moment moment)
{
    return order->position[moment / 2] * 2 + moment % 2 + 1;
}

static void make_row(const clocks *self, ps_plan_moment moment)
{
    const ps_plan_order *order = self->order;
    const uint32_t task = moment / 2;
    const uint32_t lane = order->plan->task.lane[task];
    const uint32_t column = self->column[lane];
    if (moment % 2 == 1) {
        learn(self, moment, ps_start_of(task));
    } else if (order->position[task] > 0) {
        learn(self, moment,
              ps_end_of(order->lane_task[order->lane_begin[lane] + order->position[task] - 1]));
    }
    learn_from_deps(self, moment);
    if (column >= self->first && column - self->first < self->width) {
        row_of(self, moment)[column - self->first] = number_of(order, moment);
    }
}

static void make_rows(clocks *self)
{
    const size_t moments = self->order->plan->task.head.count * 2;
    memset(self->row, 0, moments * self->width * sizeof *self->row);
    for (size_t i = 0; i < moments; i++) {
        make_row(self, self->order->sequence[i]);
    }
}

/* ---- reading them ---- */

static bool is_covered(const clocks *self, ps_plan_moment before)
{
    const uint32_t column = self->column[self->order->plan->task.lane[before / 2]];
    return column >= self->first && column - self->first < self->width;
}

static bool knows(const clocks *self, ps_plan_moment after, ps_plan_moment before)
{
    const uint32_t column = self->column[self->order->plan->task.lane[before / 2]];
    return row_of(self, after)[column - self->first] >= number_of(self->order, before);
}

/* Along a lane what is known only grows. */
static uint32_t search_lane(const clocks *self, const ps_order_search *what)
{
    const ps_plan_order *order = self->order;
    uint32_t low = order->lane_begin[what->lane];
    uint32_t high = order->lane_begin[what->lane + 1];
    const uint32_t end = high;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (knows(self, ps_start_of(order->lane_task[middle]), what->moment)) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low < end ? order->lane_task[low] : PS_ORDER_NONE;
}

/* ---- chunks of lanes ---- */

static ps_code begin(clocks *self, const ps_plan_order *order, ps_error *err)
{
    const size_t lanes = order->plan->lane.head.count;
    *self = (clocks){.order = order};
    self->column = ps_calloc(lanes, sizeof *self->column);
    if (self->column == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < lanes; i++) {
        self->column[i] = PS_ORDER_NONE;
    }
    return PS_OK;
}

static void want(clocks *self, ps_plan_moment before)
{
    uint32_t *column = &self->column[self->order->plan->task.lane[before / 2]];
    if (*column == PS_ORDER_NONE) {
        *column = self->listed++;
    }
}

/* As many lanes at a time as the memory allows. */
static ps_code reserve(clocks *self, ps_error *err)
{
    const size_t moments = self->order->plan->task.head.count * 2;
    const size_t fitting = PS_ORDER_CLOCK_BYTES / sizeof *self->row / (moments > 0 ? moments : 1);
    self->width = fitting < 1 ? 1 : fitting < self->listed ? (uint32_t)fitting : self->listed;
    self->row = ps_calloc(moments * self->width, sizeof *self->row);
    return self->row == NULL ? ps_fail_nomem(err) : PS_OK;
}

static void finish(clocks *self)
{
    ps_free(self->column);
    ps_free(self->row);
}

ps_code ps_plan_order_ask(const ps_plan_order *self, ps_order_question *question, size_t count,
                          ps_error *err)
{
    clocks with;
    PS_TRY(begin(&with, self, err));
    for (size_t i = 0; i < count; i++) {
        want(&with, question[i].before);
    }
    const ps_code code = reserve(&with, err);
    for (; code == PS_OK && with.first < with.listed; with.first += with.width) {
        make_rows(&with);
        for (size_t i = 0; i < count; i++) {
            if (is_covered(&with, question[i].before)) {
                question[i].holds = knows(&with, question[i].after, question[i].before);
            }
        }
    }
    finish(&with);
    return code;
}

ps_code ps_plan_order_search(const ps_plan_order *self, ps_order_search *search, size_t count,
                             ps_error *err)
{
    clocks with;
    PS_TRY(begin(&with, self, err));
    for (size_t i = 0; i < count; i++) {
        want(&with, search[i].moment);
    }
    const ps_code code = reserve(&with, err);
    for (; code == PS_OK && with.first < with.listed; with.first += with.width) {
        make_rows(&with);
        for (size_t i = 0; i < count; i++) {
            if (is_covered(&with, search[i].moment)) {
                search[i].task = search_lane(&with, &search[i]);
            }
        }
    }
    finish(&with);
    return code;
}
