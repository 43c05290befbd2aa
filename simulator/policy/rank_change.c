/* SPDX-License-Identifier: MIT
 *
 * A recorded job of several ranks with another number of them.
 */
#include "policy/rank_change.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/idmap.h"
#include "base/memory.h"
#include "job/network.h"
#include "policy/whatif_parts.h"
#include "trace/collective.h"

#define NS_PER_S UINT64_C(1000000000)
#define MAX_GROUP 65536u
#define NO_TASK UINT32_MAX

typedef struct changing {
    ps_plan *plan;
    const ps_rank_change *change;
    uint32_t old_ranks;
    uint32_t *task_of;     /* per collective of the trace: its part */
    uint32_t *exchange_of; /* per task: the exchange that it ends with, or NO_TASK */
    bool *is_done;         /* per task: exchanges that were changed */
    ps_idmap shortest;     /* kind and size -> row whose part is the shortest */
    uint32_t *rank;        /* room for the ranks of a group */
    size_t changed;
} changing;

static const char *text_of(const changing *self, ps_str id)
{
    return ps_strings_text(self->change->trace->strings, id);
}

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
static ps_code match_rows(changing *self, ps_error *err)
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

static uint64_t bytes_of(const changing *self, size_t row)
{
    const ps_collective_table *table = &self->change->trace->collective;
    const char *dtype = text_of(self, table->dtype[row]);
    const uint64_t elements = table->elements_in[row] > table->elements_out[row]
                                  ? table->elements_in[row]
                                  : table->elements_out[row];
    return ps_mul_div_u64(elements, ps_collective_dtype_bytes(dtype, strlen(dtype)), 1);
}

/* ---- which groups are data-parallel ---- */

static bool shows_framework(const ps_trace *trace)
{
    for (size_t i = 0; i < trace->range.head.count; i++) {
        const char *name = ps_strings_text(trace->strings, trace->range.name[i]);
        if (strncmp(name, "torch.distributed.ddp.reducer", 29) == 0 ||
            strncmp(name, "DistributedDataParallel.forward", 31) == 0) {
            return true;
        }
    }
    return false;
}

static uint32_t size_of(const changing *self, size_t row)
{
    const uint32_t size = self->change->trace->collective.group_size[row];
    return size == 0 ? self->old_ranks : size;
}

static bool is_told(const changing *self, size_t row)
{
    const char *name = text_of(self, self->change->trace->collective.group[row]);
    for (size_t i = 0; i < self->change->group_count; i++) {
        if (strcmp(self->change->group[i], name) == 0 ||
            strcmp(self->change->group[i], "all") == 0) {
            return true;
        }
    }
    return false;
}

static bool is_data_parallel(const changing *self, size_t row)
{
    return self->change->group_count > 0 ? is_told(self, row)
                                         : size_of(self, row) == self->old_ranks;
}

/* Kinds whose sizes do not depend on how many ranks there are. */
static ps_collective_op op_of(const char *kind)
{
    static const struct {
        const char *kind;
        ps_collective_op op;
    } ops[] = {{"all-reduce", PS_COLLECTIVE_ALL_REDUCE},
               {"broadcast", PS_COLLECTIVE_BROADCAST},
               {"reduce", PS_COLLECTIVE_REDUCE}};
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        if (strcmp(kind, ops[i].kind) == 0) {
            return ops[i].op;
        }
    }
    return PS_COLLECTIVE_NONE;
}

/* Every group asked for is there. */
static ps_code check_names(const changing *self, ps_error *err)
{
    const ps_collective_table *table = &self->change->trace->collective;
    for (size_t g = 0; g < self->change->group_count; g++) {
        bool is_there = strcmp(self->change->group[g], "all") == 0;
        for (size_t i = 0; i < table->head.count && !is_there; i++) {
            is_there = strcmp(self->change->group[g], text_of(self, table->group[i])) == 0;
        }
        if (!is_there) {
            return ps_fail(err, PS_USAGE, "no collective of a group \"%s\" is recorded",
                           self->change->group[g]);
        }
    }
    return PS_OK;
}

static ps_code check_row(const changing *self, size_t row, ps_error *err)
{
    const ps_collective_table *table = &self->change->trace->collective;
    const char *kind = text_of(self, table->kind[row]);
    const uint64_t old_size = size_of(self, row);
    if (old_size * self->change->ranks % self->old_ranks != 0) {
        return ps_fail(err, PS_USAGE,
                       "groups of %llu of %u ranks cannot become groups of a job of %u ranks",
                       (unsigned long long)old_size, self->old_ranks, self->change->ranks);
    }
    if (op_of(kind) == PS_COLLECTIVE_NONE) {
        return ps_fail(err, PS_USAGE,
                       "%s among data-parallel ranks: what is divided among them depends on how "
                       "many they are, and the recording does not tell how",
                       kind);
    }
    if (bytes_of(self, row) == 0) {
        return ps_fail(err, PS_USAGE,
                       "the recording does not tell how much its collectives move, so not what "
                       "others would take");
    }
    return PS_OK;
}

static ps_code check_groups(const changing *self, ps_error *err)
{
    const ps_trace *trace = self->change->trace;
    if (self->change->group_count == 0 && !shows_framework(trace)) {
        return ps_fail(err, PS_USAGE,
                       "the recording does not tell which of its groups train on data of their "
                       "own: --data-parallel-group NAME says so (all: every group)");
    }
    PS_TRY(check_names(self, err));
    for (size_t i = 0; i < trace->collective.head.count; i++) {
        if (is_data_parallel(self, i)) {
            PS_TRY(check_row(self, i, err));
        }
    }
    return PS_OK;
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
static ps_code model_time(const changing *self, size_t row, const ps_network *network,
                          uint32_t world, uint32_t size, ps_ns *out, ps_error *err)
{
    const ps_collective_table *table = &self->change->trace->collective;
    uint32_t stride = stride_of(text_of(self, table->ranks[row]));
    ps_exchange_cost cost;
    *out = 0;
    if (size < 2) {
        return PS_OK;
    }
    stride = (uint64_t)stride * (size - 1) < world ? stride : 1;
    for (uint32_t i = 0; i < size; i++) {
        self->rank[i] = i * stride;
    }
    const ps_exchange what = {.op = op_of(text_of(self, table->kind[row])),
                              .bytes = bytes_of(self, row),
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
static uint64_t key_of(const changing *self, size_t row)
{
    const ps_collective_table *table = &self->change->trace->collective;
    return (bytes_of(self, row) << 12 ^ table->kind[row]) * UINT64_C(0x9e3779b97f4a7c15) ^
           table->group[row];
}

static ps_code find_shortest(changing *self, ps_error *err)
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

static ps_code change_row(changing *self, size_t row, ps_error *err)
{
    const ps_rank_change *change = self->change;
    const uint32_t part = self->task_of[row], exchange = self->exchange_of[part];
    const uint32_t task = exchange == NO_TASK ? part : exchange;
    const uint32_t old_size = size_of(self, row);
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

static ps_code write_fact(const changing *self, ps_error *err)
{
    char text[160];
    (void)snprintf(text, sizeof text,
                   "%u ranks in place of %u: %zu transfers of data-parallel groups rescaled, "
                   "waiting as recorded",
                   self->change->ranks, self->old_ranks, self->changed);
    return ps_plan_set_meta(self->plan, PS_PLAN_META_RANK_CHANGE, text, err);
}

static ps_code change_all(changing *self, ps_error *err)
{
    PS_TRY(match_rows(self, err));
    PS_TRY(check_groups(self, err));
    PS_TRY(find_shortest(self, err));
    for (size_t i = 0; i < self->change->trace->collective.head.count; i++) {
        if (is_data_parallel(self, i)) {
            PS_TRY(change_row(self, i, err));
        }
    }
    return write_fact(self, err);
}

static ps_code change_ranks(changing *self, ps_error *err)
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
    changing self = {.plan = plan, .change = change, .old_ranks = ps_recorded_ranks(change->trace)};
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
