/* SPDX-License-Identifier: MIT
 *
 * Enough bandwidth.
 */
#include "policy/break_even.h"

#include <string.h>

#include "base/memory.h"
#include "policy/host_links.h"
#include "run/run.h"

/* More than any link has, and far from what integers hold. */
#define ENDLESS (UINT64_C(1) << 50)

/* Below it nobody asks. */
#define LEAST (UINT64_C(1) << 20)

/* A step may be longer by this part of the endless one; the answer is right to that part of it. */
#define TOLERANCE 100
#define ACCURACY 200

/* Columns that rates change. */
typedef struct columns {
    uint64_t *link_rate, *task_rate;
    int64_t *dur_ns;
    uint8_t *basis;
} columns;

typedef struct trial {
    ps_plan *plan;
    ps_break_even_of of;
    columns kept;
    ps_ns enough_ns; /* the longest step that will do */
} trial;

/* ---- the plan as it was ---- */

static columns of_plan(ps_plan *plan)
{
    return (columns){plan->link.bytes_per_s, plan->task.rate_bytes_per_s, plan->task.dur_ns,
                     plan->task.basis};
}

static void copy(const ps_plan *plan, const columns *to, const columns *from)
{
    const size_t links = plan->link.head.count, tasks = plan->task.head.count;
    if (links > 0) {
        memcpy(to->link_rate, from->link_rate, links * sizeof *to->link_rate);
    }
    if (tasks > 0) {
        memcpy(to->task_rate, from->task_rate, tasks * sizeof *to->task_rate);
        memcpy(to->dur_ns, from->dur_ns, tasks * sizeof *to->dur_ns);
        memcpy(to->basis, from->basis, tasks * sizeof *to->basis);
    }
}

static ps_code keep(trial *self, ps_error *err)
{
    const size_t links = self->plan->link.head.count, tasks = self->plan->task.head.count;
    columns *kept = &self->kept;
    const columns now = of_plan(self->plan);
    kept->link_rate = ps_calloc(links + 1, sizeof *kept->link_rate);
    kept->task_rate = ps_calloc(tasks + 1, sizeof *kept->task_rate);
    kept->dur_ns = ps_calloc(tasks + 1, sizeof *kept->dur_ns);
    kept->basis = ps_calloc(tasks + 1, sizeof *kept->basis);
    if (kept->link_rate == NULL || kept->task_rate == NULL || kept->dur_ns == NULL ||
        kept->basis == NULL) {
        return ps_fail_nomem(err);
    }
    copy(self->plan, kept, &now);
    return PS_OK;
}

static void restore(const trial *self)
{
    const columns now = of_plan(self->plan);
    copy(self->plan, &now, &self->kept);
}

static void forget(trial *self)
{
    ps_free(self->kept.link_rate);
    ps_free(self->kept.task_rate);
    ps_free(self->kept.dur_ns);
    ps_free(self->kept.basis);
}

/* ---- other rates ---- */

static uint64_t slot_of(const ps_slot_rates *slots)
{
    return slots->in_bytes_per_s > slots->out_bytes_per_s ? slots->in_bytes_per_s
                                                          : slots->out_bytes_per_s;
}

static ps_code rate_now(const trial *self, uint64_t *out, ps_error *err)
{
    const ps_plan *plan = self->plan;
    const ps_slot_rates slots = ps_host_links_slots(plan);
    const uint64_t rates[PS_BREAK_EVEN_COUNT] = {
        [PS_BREAK_EVEN_PCIE] = slot_of(&slots),
        [PS_BREAK_EVEN_HOST_MEMORY] = ps_host_links_memory(plan),
        [PS_BREAK_EVEN_CORES] = ps_host_links_threads(plan)};
    *out = rates[self->of];
    return *out > 0 ? PS_OK
                    : ps_fail(err, PS_USAGE, "break-even of %s: the plan does not use it",
                              ps_break_even_name(self->of));
}

static ps_code set_slots(ps_plan *plan, uint64_t rate, ps_error *err)
{
    const ps_slot_rates from = ps_host_links_slots(plan);
    const ps_slot_rates to = {.in_bytes_per_s = rate,
                              .out_bytes_per_s = rate,
                              .both_bytes_per_s =
                                  ps_mul_div_u64(from.both_bytes_per_s, rate, slot_of(&from))};
    return ps_host_links_set_slots(plan, &to, err);
}

static ps_code step_at(const trial *self, uint64_t rate, ps_ns *out, ps_error *err)
{
    restore(self);
    switch (self->of) {
    case PS_BREAK_EVEN_PCIE:
        PS_TRY(set_slots(self->plan, rate, err));
        break;
    case PS_BREAK_EVEN_HOST_MEMORY:
        PS_TRY(ps_host_links_set_memory(self->plan, rate, err));
        break;
    case PS_BREAK_EVEN_CORES:
        PS_TRY(ps_host_links_set_threads(self->plan, rate, err));
        break;
    case PS_BREAK_EVEN_COUNT:
        break;
    }
    return ps_run_step_time(self->plan, out, err);
}

/* ---- the search ---- */

static ps_code is_enough(const trial *self, uint64_t rate, bool *out, ps_error *err)
{
    ps_ns step;
    PS_TRY(step_at(self, rate, &step, err));
    *out = step <= self->enough_ns;
    return PS_OK;
}

/* By doubling or halving from `now`: *low is not enough (0: not looked at), *high is. */
static ps_code bracket(const trial *self, uint64_t now, uint64_t *low, uint64_t *high,
                       ps_error *err)
{
    bool enough;
    PS_TRY(is_enough(self, now, &enough, err));
    *low = enough ? 0 : now;
    *high = now;
    while (!enough) {
        *low = *high;
        *high = *high > ENDLESS / 2 ? ENDLESS : 2 * *high;
        if (*high == ENDLESS) {
            return PS_OK;
        }
        PS_TRY(is_enough(self, *high, &enough, err));
    }
    while (*low == 0 && *high > LEAST) {
        PS_TRY(is_enough(self, *high / 2, &enough, err));
        *(enough ? high : low) = *high / 2;
    }
    return PS_OK;
}

static ps_code search(trial *self, ps_result_break_even *out, ps_error *err)
{
    uint64_t now, low, high;
    ps_ns endless;
    PS_TRY(rate_now(self, &now, err));
    PS_TRY(step_at(self, ENDLESS, &endless, err));
    self->enough_ns = ps_time_add(endless, endless / TOLERANCE);
    PS_TRY(bracket(self, now, &low, &high, err));
    while (low > 0 && high - low > high / ACCURACY) {
        const uint64_t middle = low + (high - low) / 2;
        bool enough;
        PS_TRY(is_enough(self, middle, &enough, err));
        *(enough ? &high : &low) = middle;
    }
    *out = (ps_result_break_even){
        .is_known = true, .now_bytes_per_s = now, .least_bytes_per_s = high, .endless_ns = endless};
    return PS_OK;
}

ps_code ps_break_even(ps_plan *plan, ps_break_even_of of, ps_result_break_even *out, ps_error *err)
{
    trial self = {.plan = plan, .of = of};
    ps_code code = keep(&self, err);
    if (code == PS_OK) {
        code = search(&self, out, err);
        restore(&self);
    }
    forget(&self);
    return code;
}
