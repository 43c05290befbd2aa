/* SPDX-License-Identifier: MIT
 *
 * Ranks whose threads are bound to no socket. They run on all cores, and what
 * they touch first lies on all sockets: their memory is one pool, of which
 * threads that may be far from what they read reach a share, and less with
 * every doubling of the ranks, which have a thread a core each. A pinned
 * tensor lies on the one socket where its thread was when it asked: of those
 * streamed at a time the socket that has the most keeps the others waiting.
 * An optimizer's step streams four of them a rank, work in place one.
 *
 *   pool   = sockets x stream x unbound-share x unbound-crowding ^ log2(ranks)
 *   pinned = stream x tensors / E[of the fullest socket], at most the pool;
 *            each rank's part of that for one tensor a rank
 */
#include "cluster/cluster_store.h"

#define TENSORS_A_RANK 4u /* weights, two moments and gradients of the sub-group that steps */
#define MAX_TENSORS (TENSORS_A_RANK * PS_NODE_MAX_GPUS)
#define CERTAIN (UINT64_C(1) << 30) /* a probability of 1 */

/* value x share ^ log2(count); between powers of two in proportion. */
static uint64_t crowded(uint64_t value, uint64_t share, uint32_t count)
{
    uint32_t whole = 1;
    while (whole * 2 <= count) {
        value = ps_mul_div_u64(value, share, PS_RATIO_ONE);
        whole *= 2;
    }
    const uint64_t lost = ps_mul_div_u64(PS_RATIO_ONE - share, count - whole, whole);
    return ps_mul_div_u64(value, PS_RATIO_ONE - lost, PS_RATIO_ONE);
}

/* One more tensor chooses among `sockets`: probabilities of how many the first of them has. */
static void choose(uint64_t *has, uint32_t tensors, uint32_t sockets)
{
    for (uint32_t i = tensors; i > 0; i--) {
        has[i] = (has[i] * (sockets - 1) + has[i - 1]) / sockets;
    }
    has[0] = has[0] * (sockets - 1) / sockets;
}

/* The first of `sockets` takes its tensors, at most so many: probabilities of what is left. */
static void fill_one(const uint64_t *left, uint64_t *after, uint32_t tensors, uint32_t sockets,
                     uint32_t most)
{
    uint64_t has[MAX_TENSORS + 1] = {CERTAIN};
    for (uint32_t j = 0; j <= tensors; j++) {
        after[j] = 0;
    }
    for (uint32_t j = 0; j <= tensors; j++) {
        if (j > 0) {
            choose(has, j, sockets);
        }
        for (uint32_t i = 0; i <= j && i <= most; i++) {
            after[j - i] += left[j] * has[i] / CERTAIN; /* neither is above CERTAIN */
        }
    }
}

/* Probability that no socket has more than so many. */
static uint64_t fits(uint32_t tensors, uint32_t sockets, uint32_t most)
{
    uint64_t left[2][MAX_TENSORS + 1] = {{0}};
    left[0][tensors] = CERTAIN;
    for (uint32_t s = 0; s < sockets; s++) {
        fill_one(left[s % 2], left[(s + 1) % 2], tensors, sockets - s, most);
    }
    return left[sockets % 2][0] < CERTAIN ? left[sockets % 2][0] : CERTAIN;
}

/* Expected tensors of the socket that has the most, in parts of CERTAIN. */
static uint64_t fullest(uint32_t tensors, uint32_t sockets)
{
    const uint32_t even = (tensors + sockets - 1) / sockets; /* it has no less */
    uint64_t sum = even * CERTAIN, within = 0;
    for (uint32_t most = even; most < tensors && within + tensors < CERTAIN; most++) {
        within = fits(tensors, sockets, most);
        sum += CERTAIN - within;
    }
    return sum;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* What sockets give to so many pinned tensors, each on one of them. */
static uint64_t scattered(uint64_t stream, uint32_t tensors, uint32_t sockets)
{
    return ps_mul_div_u64(stream * tensors, CERTAIN, fullest(tensors, sockets));
}

ps_code ps_kind_unbind(ps_kind_reader *self)
{
    ps_node_kind *kind = &self->cluster->kind;
    const uint32_t used = self->gpus < kind->gpus ? self->gpus : kind->gpus;
    const uint32_t ranks = used > 0 ? used : 1;
    const uint64_t stream = kind->memory_bytes_per_s;
    ps_stated share, crowding;
    if (!ps_figure_table_get(self->table, self->thing, "unbound-share", &share) ||
        !ps_figure_table_get(self->table, self->thing, "unbound-crowding", &crowding)) {
        return ps_fail(self->err, PS_USAGE,
                       "nothing is known of ranks that are not bound on %.80s (unbound-share, "
                       "unbound-crowding)",
                       ps_figure_table_name(self->table, self->thing));
    }
    kind->memory_bytes_per_s = crowded(
        ps_mul_div_u64(kind->sockets * stream, share.value, PS_RATIO_ONE), crowding.value, ranks);
    kind->pinned_bytes_per_s =
        least(scattered(stream, TENSORS_A_RANK * ranks, kind->sockets), kind->memory_bytes_per_s);
    kind->lone_bytes_per_s =
        least(scattered(stream, ranks, kind->sockets) / ranks, kind->memory_bytes_per_s);
    kind->cores *= kind->sockets;
    kind->sockets = 1;
    return PS_OK;
}
