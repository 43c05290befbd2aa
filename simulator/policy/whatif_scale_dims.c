/* SPDX-License-Identifier: MIT
 *
 * What a tensor of a shape grows with.
 *
 *   1. Weights do not grow. Dimensions known as widths do not.
 *   2. The batch stands in one dimension: the one that is batch x sequence, or
 *      a multiple of it where no other is the batch itself, else the one equal
 *      to it, else a leading one it divides (batch x heads).
 *   3. The sequence stands in at most two: a dimension equal to it, one more
 *      or less (a class token, shifted labels), or S (S + 1) / 2 or
 *      S (S - 1) / 2 (pairs).
 */
#include <string.h>

#include "policy/whatif_scale_parts.h"

/* Hits by chance: one more than a very short sequence is any small number. */
#define LEAST_NEIGHBOUR 16u

typedef enum dim_kind {
    DIM_OPEN = 0,
    DIM_WIDTH,
    DIM_BATCH,
    DIM_SEQUENCE,
    DIM_TOKENS, /* batch x sequence */
    DIM_PAIRS,
} dim_kind;

typedef struct dims {
    const ps_scaling *scaling;
    const ps_shape *shape;
    uint32_t flags;
    dim_kind kind[PS_SHAPE_DIMS];
    ps_scaled_shape out;
} dims;

static void mark_widths(dims *self)
{
    const uint32_t n = self->shape->dim_count;
    const bool is_last = (self->flags & PS_EVIDENCE_FEATURE_LAST) != 0;
    const bool is_second = (self->flags & PS_EVIDENCE_FEATURE_1) != 0;
    if (is_last && n >= 2) {
        self->kind[n - 1] = DIM_WIDTH;
    } else if (is_second && n >= 3) {
        self->kind[1] = DIM_WIDTH;
    }
}

static void take(dims *self, uint32_t i, dim_kind kind, uint64_t new_dim)
{
    self->kind[i] = kind;
    self->out.new_dim[i] = new_dim;
}

/* value / old * new for a multiple of old */
static uint64_t in_step(uint64_t value, uint64_t old_value, uint64_t new_value)
{
    return ps_mul_div_u64(value, new_value, old_value);
}

static bool take_tokens(dims *self)
{
    const ps_scaling *s = self->scaling;
    uint64_t tokens, new_tokens;
    if (s->old_batch == 0 || s->old_sequence == 0 ||
        !ps_mul_u64(s->old_batch, s->old_sequence, &tokens) ||
        !ps_mul_u64(s->new_batch, s->new_sequence, &new_tokens)) {
        return false;
    }
    bool has_batch = false;
    for (uint32_t i = 0; i < self->shape->dim_count; i++) {
        has_batch = has_batch || (self->kind[i] == DIM_OPEN && self->shape->dim[i] == s->old_batch);
    }
    /* a dimension of its own tells more than one that is merely divisible, say a width */
    for (uint32_t i = 0; i < self->shape->dim_count; i++) {
        const uint64_t value = self->shape->dim[i];
        if (self->kind[i] == DIM_OPEN && tokens > 1 && value > 0 &&
            (value == tokens || (!has_batch && value % tokens == 0))) {
            take(self, i, DIM_TOKENS, in_step(value, tokens, new_tokens));
            return true;
        }
    }
    return false;
}

static bool take_batch(dims *self)
{
    const ps_scaling *s = self->scaling;
    const ps_shape *shape = self->shape;
    const uint32_t n = shape->dim_count;
    if (s->old_batch == 0) {
        return false;
    }
    if ((self->flags & PS_EVIDENCE_BATCHED) != 0 && self->kind[0] == DIM_OPEN &&
        shape->dim[0] > 0 && shape->dim[0] % s->old_batch == 0) {
        take(self, 0, DIM_BATCH, in_step(shape->dim[0], s->old_batch, s->new_batch));
        return true;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (self->kind[i] == DIM_OPEN && shape->dim[i] == s->old_batch) {
            take(self, i, DIM_BATCH, s->new_batch);
            return true;
        }
    }
    /* heads beside the batch: only in front, and only of what has more dimensions than a weight */
    const bool can_lead = n >= 3 || (self->flags & PS_EVIDENCE_DATA) != 0;
    for (uint32_t i = 0; i < 2 && i + 1 < n && can_lead; i++) {
        if (self->kind[i] == DIM_OPEN && shape->dim[i] > s->old_batch &&
            shape->dim[i] % s->old_batch == 0 && s->old_batch > 1) {
            take(self, i, DIM_BATCH, in_step(shape->dim[i], s->old_batch, s->new_batch));
            return true;
        }
    }
    return false;
}

static bool is_pairs(uint64_t value, uint64_t sequence, uint64_t next)
{
    return sequence > 2 && value == sequence * next / 2;
}

/* Sequence dimensions found, each worth one factor, pairs two. */
static uint32_t take_sequences(dims *self, uint32_t most, bool is_data)
{
    const ps_scaling *s = self->scaling;
    const uint64_t old_s = s->old_sequence, new_s = s->new_sequence;
    uint32_t found = 0;
    if (old_s == 0 || old_s > UINT32_MAX || new_s > UINT32_MAX) {
        return 0;
    }
    for (uint32_t k = self->shape->dim_count; k > 0 && found < most; k--) {
        const uint32_t i = k - 1;
        const uint64_t value = self->shape->dim[i];
        if (self->kind[i] != DIM_OPEN) {
            continue;
        }
        if (value == old_s && old_s > 1) {
            take(self, i, DIM_SEQUENCE, new_s);
            found++;
        } else if (old_s >= LEAST_NEIGHBOUR && is_data &&
                   (value == old_s + 1 || value == old_s - 1)) {
            take(self, i, DIM_SEQUENCE, value > old_s ? new_s + 1 : new_s - 1);
            found++;
        } else if (is_pairs(value, old_s, old_s + 1) || is_pairs(value, old_s, old_s - 1)) {
            const uint64_t next = value == old_s * (old_s + 1) / 2 ? new_s + 1 : new_s - 1;
            take(self, i, DIM_PAIRS, new_s * next / 2);
            found += 2;
        }
    }
    const uint64_t first = self->shape->dim[0];
    if (found == 0 && s->old_batch == 0 && (self->flags & PS_EVIDENCE_DATA) != 0 &&
        self->kind[0] == DIM_OPEN && first > 0 && old_s > 1 && first % old_s == 0) {
        take(self, 0, DIM_SEQUENCE, in_step(first, old_s, new_s)); /* tokens of an unknown batch */
        found++;
    }
    return found;
}

static ps_growth growth_of(bool has_batch, uint32_t sequences)
{
    if (sequences == 0) {
        return has_batch ? PS_GROWTH_BATCH : PS_GROWTH_FIXED;
    }
    if (sequences == 1) {
        return has_batch ? PS_GROWTH_BATCH_SEQUENCE : PS_GROWTH_SEQUENCE;
    }
    return has_batch ? PS_GROWTH_BATCH_SEQUENCE_SQUARED : PS_GROWTH_SEQUENCE_SQUARED;
}

static uint64_t product_of(const uint64_t *dim, uint32_t count)
{
    uint64_t product = 1;
    for (uint32_t i = 0; i < count; i++) {
        if (!ps_mul_u64(product, dim[i], &product)) {
            return UINT64_MAX;
        }
    }
    return product;
}

ps_scaled_shape ps__scaling_shape(const ps_scaling *scaling, const ps_shape *shape)
{
    dims self = {.scaling = scaling, .shape = shape};
    self.flags = ps__scaling_evidence_of(scaling, shape);
    memcpy(self.out.new_dim, shape->dim, sizeof self.out.new_dim);
    self.out.old_elements = self.out.new_elements = ps__shape_elements(shape);
    self.out.growth = PS_GROWTH_FIXED;
    const uint32_t not_weight = PS_EVIDENCE_DATA | PS_EVIDENCE_SCORES | PS_EVIDENCE_BATCHED;
    if ((self.flags & PS_EVIDENCE_WEIGHT) != 0 && (self.flags & not_weight) == 0) {
        return self.out;
    }
    mark_widths(&self);
    const bool has_tokens = take_tokens(&self);
    const bool has_batch = has_tokens || take_batch(&self);
    const uint32_t most = has_tokens ? 1 : 2;
    const uint32_t sequences =
        take_sequences(&self, has_tokens && (self.flags & PS_EVIDENCE_SCORES) == 0 ? 0 : most,
                       has_batch) +
        (has_tokens ? 1 : 0);
    self.out.growth = growth_of(has_batch, sequences);
    self.out.new_elements = product_of(self.out.new_dim, shape->dim_count);
    return self.out;
}
