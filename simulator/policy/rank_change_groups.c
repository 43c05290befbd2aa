/* SPDX-License-Identifier: MIT
 *
 * Which groups of a recorded job are data-parallel, and whether another number
 * of ranks can be asked of them.
 */
#include <string.h>

#include "policy/rank_change_parts.h"
#include "trace/collective.h"

const char *ps__rank_change_text(const ps_rank_changing *self, ps_str id)
{
    return ps_strings_text(self->change->trace->strings, id);
}

uint64_t ps__rank_change_bytes(const ps_rank_changing *self, size_t row)
{
    const ps_collective_table *table = &self->change->trace->collective;
    const char *dtype = ps__rank_change_text(self, table->dtype[row]);
    const uint64_t elements = table->elements_in[row] > table->elements_out[row]
                                  ? table->elements_in[row]
                                  : table->elements_out[row];
    return ps_mul_div_u64(elements, ps_collective_dtype_bytes(dtype, strlen(dtype)), 1);
}

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

uint32_t ps__rank_change_size(const ps_rank_changing *self, size_t row)
{
    const uint32_t size = self->change->trace->collective.group_size[row];
    return size == 0 ? self->old_ranks : size;
}

static bool is_told(const ps_rank_changing *self, size_t row)
{
    const char *name = ps__rank_change_text(self, self->change->trace->collective.group[row]);
    for (size_t i = 0; i < self->change->group_count; i++) {
        if (strcmp(self->change->group[i], name) == 0 ||
            strcmp(self->change->group[i], "all") == 0) {
            return true;
        }
    }
    return false;
}

bool ps__rank_change_is_meant(const ps_rank_changing *self, size_t row)
{
    return self->change->group_count > 0 ? is_told(self, row)
                                         : ps__rank_change_size(self, row) == self->old_ranks;
}

/* Kinds whose sizes do not depend on how many ranks there are. */
ps_collective_op ps__rank_change_op(const char *kind)
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
static ps_code check_names(const ps_rank_changing *self, ps_error *err)
{
    const ps_collective_table *table = &self->change->trace->collective;
    for (size_t g = 0; g < self->change->group_count; g++) {
        bool is_there = strcmp(self->change->group[g], "all") == 0;
        for (size_t i = 0; i < table->head.count && !is_there; i++) {
            is_there =
                strcmp(self->change->group[g], ps__rank_change_text(self, table->group[i])) == 0;
        }
        if (!is_there) {
            return ps_fail(err, PS_USAGE, "no collective of a group \"%s\" is recorded",
                           self->change->group[g]);
        }
    }
    return PS_OK;
}

static ps_code check_row(const ps_rank_changing *self, size_t row, ps_error *err)
{
    const ps_collective_table *table = &self->change->trace->collective;
    const char *kind = ps__rank_change_text(self, table->kind[row]);
    const uint64_t old_size = ps__rank_change_size(self, row);
    if (old_size * self->change->ranks % self->old_ranks != 0) {
        return ps_fail(err, PS_USAGE,
                       "groups of %llu of %u ranks cannot become groups of a job of %u ranks",
                       (unsigned long long)old_size, self->old_ranks, self->change->ranks);
    }
    if (ps__rank_change_op(kind) == PS_COLLECTIVE_NONE) {
        return ps_fail(err, PS_USAGE,
                       "%s among data-parallel ranks: what is divided among them depends on how "
                       "many they are, and the recording does not tell how",
                       kind);
    }
    if (ps__rank_change_bytes(self, row) == 0) {
        return ps_fail(err, PS_USAGE,
                       "the recording does not tell how much its collectives move, so not what "
                       "others would take");
    }
    return PS_OK;
}

ps_code ps__rank_change_check(const ps_rank_changing *self, ps_error *err)
{
    const ps_trace *trace = self->change->trace;
    if (self->change->group_count == 0 && !shows_framework(trace)) {
        return ps_fail(err, PS_USAGE,
                       "the recording does not tell which of its groups train on data of their "
                       "own: --data-parallel-group NAME says so (all: every group)");
    }
    PS_TRY(check_names(self, err));
    for (size_t i = 0; i < trace->collective.head.count; i++) {
        if (ps__rank_change_is_meant(self, i)) {
            PS_TRY(check_row(self, i, err));
        }
    }
    return PS_OK;
}
