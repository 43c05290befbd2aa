/* SPDX-License-Identifier: MIT
 *
 * A recorded job of several ranks with another number of them.
 */
#include "policy/rank_change.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "policy/rank_change_parts.h"
#include "policy/whatif_parts.h"

#define NS_PER_S UINT64_C(1000000000)
#define MAX_GROUP 65536u
#define NO_TASK UINT32_MAX

/* ---- what was recorded ---- */

uint32_t ps_recorded_ranks(const ps_trace *trace)
{
    const char *facts[] = {ps_trace_meta(trace, PS_META_WORLD_SIZE),
                           ps_trace_meta(trace, PS_META_MERGED)};
    uint32_t ranks = 1;
    for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++) {
        const unsigned long fact = facts[i] == NULL ? 0 : strtoul(facts[i], NULL, 10);
        ranks = fact > ranks && fact <= MAX_GROUP ? (uint32_t)fact : ranks;
    }
    for (size_t i = 0; i < trace->collective.head.count; i++) {
        const uint32_t size = trace->collective.group_size[i];
        ranks = size > ranks && size <= MAX_GROUP ? size : ranks;
    }
    return ranks;
}

/* Parts and rows are both in order of their recorded begin. */
static ps_code match_rows(ps_rank_changing *self, ps_error *err)
{
    const ps_plan *plan = self->plan;
    const ps_collective_table *table = &self->change->trace->collective;
    size_t row = 0;
    for (uint32_t i = 0; i < plan->task.head.count; i++) {
        if (plan->task.kind[i] != PS_TASK_COLLECTIVE) {
            continue;
        }
        const uint32_t device = plan->lane.device[plan->task.lane[i]];
        if (row == table->head.count || device == 0 ||
            plan->device.ordinal[device - 1] != table->device[row]) {
            return ps_fail(err, PS_BAD_INPUT, "the plan's collectives are not those of the trace");
        }
        self->task_of[row++] = i;
    }
    for (size_t i = 0; i < plan->dep.head.count; i++) {
        if (plan->dep.kind[i] == PS_DEP_END_AFTER_END &&
            plan->task.kind[plan->dep.before[i]] == PS_TASK_EXCHANGE) {
            self->exchange_of[plan->dep.task[i]] = plan->dep.before[i];
        }
    }
    return row == table->head.count
               ? PS_OK
               : ps_fail(err, PS_BAD_INPUT, "the plan has %zu of the trace's %zu collectives", row,
                         table->head.count);
}

/* ---- times ---- */

/* Distance of neighbours in a group "[0, 4, ...]"; 1 when it is not told. */
static uint32_t stride_of(const char *ranks)
{
    char *end;
    const char *first = strchr(ranks, '[');
    if (first == NULL) {
        return 1;
    }
    const unsigned long a = strtoul(first + 1, &end, 10);
    if (*end != ',') {
        return 1;
    }
    const unsigned long b = strtoul(end + 1, NULL, 10);
    return b > a && b - a < MAX_GROUP ? (uint32_t)(b - a) : 1;
}

/* [ns] of one collective; none among one rank. */
static ps_code model_time(const ps_rank_changing *self, size_t row, const ps_network *network,
                          uint32_t world, uint32_t size, ps_ns *out, ps_error *err)
{
    const ps_collective_table *table = &self->change->trace->collective;
    uint32_t stride = stride_of(ps__rank_change_text(self, table->ranks[row]));
    ps_exchange_cost cost;
    *out = 0;
    if (size < 2) {
        return PS_OK;
    }
    stride = (uint64_t)stride * (size - 1) < world ? stride : 1;
    for (uint32_t i = 0; i < size; i++) {
        self->rank[i] = i * stride;
    }
    const ps_exchange what = {.op =
                                  ps__rank_change_op(ps__rank_change_text(self, table->kind[row])),
                              .bytes = ps__rank_change_bytes(self, row),
                              .rank = self->rank,
                              .rank_count = size};
    PS_TRY(network->cost(network->context, &what, &cost, err));
    *out = ps_time_add(cost.latency_ns, cost.wire_bytes == 0
                                            ? 0
                                            : (ps_ns)ps_mul_div_u64(cost.wire_bytes, NS_PER_S,
                                                                    cost.rate_bytes_per_s));
    return PS_OK;
}

/* Of one rank alone: the shortest recorded part of a kind and size had nobody to wait for. */
static uint64_t key_of(const ps_rank_changing *self, size_t row)
{
    const ps_collective_table *table = &self->change->trace->collective;
    return (ps__rank_change_bytes(self, row) << 12 ^ table->kind[row]) *
               UINT64_C(0x9e3779b97f4a7c15) ^
           table->group[row];
}

static ps_code find_shortest(ps_rank_changing *self, ps_error *err)
{
    const ps_collective_table *table = &self->change->trace->collective;
    for (uint32_t i = 0; i < table->head.count; i++) {
        const uint32_t best = ps_idmap_get(&self->shortest, key_of(self, i));
        if (best == PS_IDMAP_NONE || table->dur_ns[i] < table->dur_ns[best]) {
            PS_TRY(ps_idmap_put(&self->shortest, key_of(self, i), i, err));
        }
    }
    return PS_OK;
}

static ps_ns scaled(ps_ns recorded, ps_ns old_ns, ps_ns new_ns)
{
    const uint64_t value =
        old_ns <= 0 ? 0 : ps_mul_div_u64((uint64_t)recorded, (uint64_t)new_ns, (uint64_t)old_ns);
    return value > INT64_MAX ? INT64_MAX : (ps_ns)value;
}

static ps_code change_row(ps_rank_changing *self, size_t row, ps_error *err)
{
    const ps_rank_change *change = self->change;
    const uint32_t part = self->task_of[row], exchange = self->exchange_of[part];
    const uint32_t task = exchange == NO_TASK ? part : exchange;
    const uint32_t old_size = ps__rank_change_size(self, row);
    const uint32_t new_size = (uint32_t)((uint64_t)old_size * change->ranks / self->old_ranks);
    ps_ns old_ns, new_ns;
    if (self->is_done[task]) {
        return PS_OK;
    }
    PS_TRY(model_time(self, row, change->recorded, self->old_ranks, old_size, &old_ns, err));
    PS_TRY(model_time(self, row, change->wanted, change->ranks, new_size, &new_ns, err));
    ps_ns *dur_ns = &self->plan->task.dur_ns[task];
    ps_ns transfer = *dur_ns;
    if (exchange == NO_TASK) {
        const uint32_t best = ps_idmap_get(&self->shortest, key_of(self, row));
        const ps_ns shortest = change->trace->collective.dur_ns[best];
        transfer = shortest < transfer ? shortest : transfer;
    }
    *dur_ns = ps_time_add(*dur_ns - transfer, scaled(transfer, old_ns, new_ns));
    self->plan->task.basis[task] = PS_BASIS_SCALED;
    self->is_done[task] = true;
    self->changed++;
    return PS_OK;
}

/* ---- all ---- */

static ps_code write_fact(const ps_rank_changing *self, ps_error *err)
{
    char text[160];
    (void)snprintf(text, sizeof text,
                   "%u ranks in place of %u: %zu transfers of data-parallel groups rescaled, "
                   "waiting as recorded",
                   self->change->ranks, self->old_ranks, self->changed);
    return ps_plan_set_meta(self->plan, PS_PLAN_META_RANK_CHANGE, text, err);
}

static ps_code change_all(ps_rank_changing *self, ps_error *err)
{
    PS_TRY(match_rows(self, err));
    PS_TRY(ps__rank_change_check(self, err));
    PS_TRY(find_shortest(self, err));
    for (size_t i = 0; i < self->change->trace->collective.head.count; i++) {
        if (ps__rank_change_is_meant(self, i)) {
            PS_TRY(change_row(self, i, err));
        }
    }
    return write_fact(self, err);
}

static ps_code change_ranks(ps_rank_changing *self, ps_error *err)
{
    const ps_rank_change *change = self->change;
    const size_t tasks = self->plan->task.head.count + 1;
    self->task_of = ps_calloc(change->trace->collective.head.count + 1, sizeof *self->task_of);
    self->exchange_of = ps_calloc(tasks, sizeof *self->exchange_of);
    self->is_done = ps_calloc(tasks, sizeof *self->is_done);
    self->rank = ps_calloc(change->ranks > self->old_ranks ? change->ranks : self->old_ranks,
                           sizeof *self->rank);
    if (self->task_of == NULL || self->exchange_of == NULL || self->is_done == NULL ||
        self->rank == NULL) {
        return ps_fail_nomem(err);
    }
    memset(self->exchange_of, 0xff, tasks * sizeof *self->exchange_of);
    return change_all(self, err);
}

ps_code ps__rank_change(ps_plan *plan, const ps_rank_change *change, ps_error *err)
{
    ps_rank_changing self = {
        .plan = plan, .change = change, .old_ranks = ps_recorded_ranks(change->trace)};
    if (change->ranks == self.old_ranks) {
        return PS_OK;
    }
    ps_idmap_init(&self.shortest);
    const ps_code code = change_ranks(&self, err);
    ps_idmap_fini(&self.shortest);
    ps_free(self.task_of);
    ps_free(self.exchange_of);
    ps_free(self.is_done);
    ps_free(self.rank);
    return code;
}
