/* SPDX-License-Identifier: MIT
 *
 * Micro-batches: which there are, and the largest that fits.
 */
#include "search/batches.h"

#include <inttypes.h>

#include "base/checked.h"
#include "base/memory.h"

/* ---- which there are ---- */

static ps_code list_divisors(int64_t whole, int64_t most, ps_search_sizes *out, ps_error *err)
{
    size_t capacity = 0;
    for (int64_t size = 1; size <= whole && size <= most; size++) {
        if (whole % size == 0) {
            PS_TRY(ps_grow((void **)&out->listed, &capacity, out->count + 1, (size_t)most + 1,
                           sizeof *out->listed, err));
            out->listed[out->count++] = size;
        }
    }
    return PS_OK;
}

static ps_code list_one(int64_t size, ps_search_sizes *out, ps_error *err)
{
    out->listed = ps_calloc(1, sizeof *out->listed);
    if (out->listed == NULL) {
        return ps_fail_nomem(err);
    }
    out->listed[0] = size;
    out->count = 1;
    return PS_OK;
}

static ps_code list_shares(const ps_search_batch_rule *rule, const ps_search_method *method,
                           ps_search_sizes *out, ps_error *err)
{
    if (rule->global_batch % method->replicas != 0) {
        return ps_fail(err, PS_USAGE,
                       "a global batch of %" PRId64 " does not divide among %" PRId64 " replicas",
                       rule->global_batch, method->replicas);
    }
    const int64_t share = rule->global_batch / method->replicas;
    if (rule->accumulate > 0 && share % rule->accumulate != 0) {
        return ps_fail(err, PS_USAGE,
                       "%" PRId64 " sequences of a replica are no multiple of %" PRId64
                       " micro-batches",
                       share, rule->accumulate);
    }
    if (rule->micro_batch > 0 && share % rule->micro_batch != 0) {
        return ps_fail(err, PS_USAGE,
                       "%" PRId64 " sequences of a replica are no multiple of a micro-batch of "
                       "%" PRId64,
                       share, rule->micro_batch);
    }
    if (rule->micro_batch > 0) {
        return list_one(rule->micro_batch, out, err);
    }
    return rule->accumulate > 0 ? list_one(share / rule->accumulate, out, err)
                                : list_divisors(share, rule->most, out, err);
}

/* Sequences of a step; 0: any. */
static int64_t global_batch(const ps_search_batch_rule *rule, const ps_search_method *method)
{
    return rule->is_usual && ps_search_has_one_micro_batch(method) ? 0 : rule->global_batch;
}

ps_code ps_search_sizes_of(const ps_search_batch_rule *rule, const ps_search_method *method,
                           ps_search_sizes *out, ps_error *err)
{
    *out = (ps_search_sizes){0};
    ps_code code = PS_OK;
    if (global_batch(rule, method) > 0) {
        code = list_shares(rule, method, out, err);
    } else if (rule->micro_batch > 0) {
        code = list_one(rule->micro_batch, out, err);
    } else {
        out->count = (size_t)rule->most;
    }
    if (code != PS_OK) {
        ps_search_sizes_fini(out);
    }
    return code;
}

void ps_search_sizes_fini(ps_search_sizes *self)
{
    ps_free(self->listed);
    *self = (ps_search_sizes){0};
}

int64_t ps_search_size_at(const ps_search_sizes *self, size_t i)
{
    return self->listed != NULL ? self->listed[i] : (int64_t)i + 1;
}

int64_t ps_search_accumulation(const ps_search_batch_rule *rule, const ps_search_method *method,
                               int64_t micro_batch)
{
    const int64_t each = method->replicas * micro_batch;
    if (global_batch(rule, method) > 0) {
        return rule->global_batch / each;
    }
    if (rule->accumulate > 0) {
        return rule->accumulate;
    }
    const int64_t least = rule->min_sequences > each ? (rule->min_sequences + each - 1) / each : 1;
    const int64_t full = method->pipeline > 1 ? PS_SEARCH_PIPELINE_DEPTH * method->pipeline : 1;
    return least > full ? least : full;
}

/* ---- the largest ---- */

/* A gap between a size that fits and one that does not. */
typedef struct gap {
    size_t low, high;
    uint64_t low_bytes, high_bytes, limit_bytes;
} gap;

/* How often the line through the ends is tried before the gap is halved. */
#define LINE_TRIES 3

/* Where the line through both ends meets the limit, inside the gap. */
static size_t guess(const gap *g)
{
    const uint64_t span = g->high - g->low;
    const uint64_t rise = g->high_bytes > g->low_bytes ? g->high_bytes - g->low_bytes : 0;
    const uint64_t room = g->limit_bytes - g->low_bytes;
    uint64_t steps = rise == 0 ? span / 2 : ps_mul_div_u64(room, span, rise);
    if (steps < 1) {
        steps = 1;
    }
    return g->low + (size_t)(steps > span - 1 ? span - 1 : steps);
}

static ps_code narrow(gap g, ps_search_ask ask, void *context, size_t *best, ps_error *err)
{
    for (unsigned tries = 0; g.high - g.low > 1; tries++) {
        const size_t middle = tries < LINE_TRIES ? guess(&g) : g.low + (g.high - g.low) / 2;
        ps_search_need need;
        PS_TRY(ask(context, middle, &need, err));
        if (need.is_possible && need.needed_bytes <= need.limit_bytes) {
            g.low = middle;
            g.low_bytes = need.needed_bytes;
        } else {
            g.high = middle;
            g.high_bytes = need.needed_bytes;
        }
    }
    *best = g.low;
    return PS_OK;
}

ps_code ps_search_largest(size_t count, size_t first, size_t skip, ps_search_ask ask, void *context,
                          size_t *best, ps_error *err)
{
    gap g = {0};
    *best = SIZE_MAX;
    for (size_t i = first; i < count;) {
        ps_search_need need;
        PS_TRY(ask(context, i, &need, err));
        g.limit_bytes = need.is_possible ? need.limit_bytes : g.limit_bytes;
        if (!need.is_possible || need.needed_bytes > need.limit_bytes) {
            g.high = i;
            g.high_bytes = need.needed_bytes;
            return *best == SIZE_MAX ? PS_OK : narrow(g, ask, context, best, err);
        }
        *best = g.low = i;
        g.low_bytes = need.needed_bytes;
        if (i + 1 == count) {
            return PS_OK;
        }
        size_t next = 2 * i + 1; /* sizes 1, 2, 4 ... when they are not listed */
        next = next < skip ? skip : next;
        if (skip >= count) {
            return PS_OK;
        }
        i = next < count ? next : count - 1;
    }
    return PS_OK;
}
