/* SPDX-License-Identifier: MIT
 *
 * New sizes of buffers.
 *
 * Recorded shapes tell a buffer's size to the byte: it is that of a tensor the
 * operators at its birth, or those right after it, were given or made. Only a
 * size that fits the block counts: a block is the request rounded up to 512
 * bytes, and a large one may hold up to a mebibyte more, when the rest was not
 * worth splitting off.
 *
 * Without shapes the bytes themselves tell: what the recorded sequence squared
 * divides and a softmax made, what the sequence divides, what the batch
 * divides. Sizes of parameters never grow.
 */
#include <string.h>

#include "base/memory.h"
#include "policy/whatif_scale_parts.h"

/* Rules of PyTorch's caching allocator: blocks are multiples of 512 bytes; what is left of a block
 * of more than 1 MiB is split off only when it is more than 1 MiB. */
#define BLOCK_UNIT 512u
#define LARGE_BYTES 1048576u

/* A new tensor is used within so many operators, or its shape stays unknown. */
#define LOOK_AHEAD 48u

/* A role surer than this outweighs what shapes say. */
#define SURE_ROLE 800u

typedef struct buffer_stage {
    ps_scaling *scaling;
    ps_idmap score_bytes; /* sizes that a softmax made */
    ps_idmap fixed_bytes; /* sizes of parameters */
    bool is_block;        /* recorded sizes are blocks */
} buffer_stage;

typedef enum fit {
    FIT_NONE,
    FIT_LOOSE, /* fits a block that was not split */
    FIT_EXACT,
} fit;

static fit fit_of(const buffer_stage *self, uint64_t wanted, uint64_t bytes)
{
    if (wanted == 0 || wanted > bytes) {
        return FIT_NONE;
    }
    if (!self->is_block) {
        return wanted == bytes ? FIT_EXACT : FIT_NONE;
    }
    if (bytes - wanted < BLOCK_UNIT) {
        return FIT_EXACT;
    }
    return bytes > LARGE_BYTES && bytes - wanted <= LARGE_BYTES ? FIT_LOOSE : FIT_NONE;
}

/* The best explanation so far. */
typedef struct candidate {
    fit fit;
    ps_growth growth;
    uint64_t new_bytes;
} candidate;

static void consider(const buffer_stage *self, const ps_shape *shape, uint64_t element_bytes,
                     uint64_t bytes, candidate *best)
{
    uint64_t wanted, new_bytes;
    if (element_bytes == 0 || !ps_mul_u64(ps__shape_elements(shape), element_bytes, &wanted)) {
        return;
    }
    const fit found = fit_of(self, wanted, bytes);
    if (found <= best->fit) {
        return;
    }
    const ps_scaled_shape scaled = ps__scaling_shape(self->scaling, shape);
    if (ps_mul_u64(scaled.new_elements, element_bytes, &new_bytes)) {
        *best = (candidate){.fit = found, .growth = scaled.growth, .new_bytes = new_bytes};
    }
}

/* A tensor as given, then of the other element sizes that casts and masks make. */
static void consider_types(const buffer_stage *self, const ps_shape *shape, uint64_t bytes,
                           candidate *best)
{
    static const uint64_t sizes[] = {4, 2, 1, 8};
    consider(self, shape, shape->element_bytes, bytes, best);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        consider(self, shape, sizes[i], bytes, best);
    }
}

static const char *operator_name(const ps_scaling *self, uint32_t range)
{
    const char *name = ps_strings_text(self->trace->strings, self->trace->range.name[range]);
    return strncmp(name, "aten::", 6) == 0 ? name + 6 : name;
}

/* What a product makes: rows of the one by columns of the other. */
static void consider_product(const buffer_stage *self, uint32_t range, const ps_shapes *shapes,
                             uint64_t bytes, candidate *best)
{
    const char *name = operator_name(self->scaling, range);
    const bool is_added = strcmp(name, "addmm") == 0 || strcmp(name, "baddbmm") == 0;
    const bool is_linear = strcmp(name, "linear") == 0;
    if ((!is_added && !is_linear && strcmp(name, "mm") != 0 && strcmp(name, "bmm") != 0) ||
        shapes->count < (is_added ? 3u : 2u)) {
        return;
    }
    const ps_shape *left = &shapes->tensor[is_added], *right = &shapes->tensor[is_added + 1];
    ps_shape product = *left;
    if (left->dim_count == 0 || right->dim_count < 2) {
        return;
    }
    const ps_scaled_shape l = ps__scaling_shape(self->scaling, left);
    const ps_scaled_shape r = ps__scaling_shape(self->scaling, right);
    const uint32_t last = left->dim_count - 1;
    const uint32_t width = is_linear ? 0 : right->dim_count - 1;
    product.dim[last] = right->dim[width];
    uint64_t wanted, new_bytes = l.new_elements;
    if (!ps_mul_u64(ps__shape_elements(&product), left->element_bytes, &wanted) ||
        fit_of(self, wanted, bytes) <= best->fit || l.new_dim[last] == 0) {
        return;
    }
    new_bytes = ps_mul_div_u64(new_bytes, r.new_dim[width], l.new_dim[last]);
    const ps_scaled_shape made = ps__scaling_shape(self->scaling, &product);
    *best = (candidate){.fit = fit_of(self, wanted, bytes),
                        .growth = made.growth,
                        .new_bytes = new_bytes * left->element_bytes};
    if (made.new_elements != new_bytes) {
        best->growth = l.growth;
    }
}

static void consider_range(const buffer_stage *self, uint32_t range, uint64_t bytes,
                           candidate *best)
{
    const ps_shapes *shapes = ps__scaling_shapes_of(self->scaling, range);
    if (shapes == NULL) {
        return;
    }
    consider_product(self, range, shapes, bytes, best);
    for (uint32_t i = 0; i < shapes->count; i++) {
        consider_types(self, &shapes->tensor[i], bytes, best);
    }
}

static candidate explain_by_shape(const buffer_stage *self, uint32_t row, uint64_t bytes,
                                  bool looks_ahead, uint32_t *maker)
{
    const ps_scaling *scaling = self->scaling;
    const ps_memory_table *memory = &scaling->trace->memory;
    candidate best = {.fit = FIT_NONE};
    size_t next;
    uint32_t open = ps__scaling_open_at(scaling, memory->tid[row], memory->time_ns[row], &next);
    *maker = ps__scaling_maker_of(scaling, open);
    for (; open != PS_SCALING_NO_RANGE && best.fit != FIT_EXACT; open = scaling->parent[open]) {
        consider_range(self, open, bytes, &best);
    }
    for (size_t i = 0; looks_ahead && i < LOOK_AHEAD && next != SIZE_MAX && best.fit != FIT_EXACT;
         i++) {
        const uint32_t later = ps__scaling_range_of(scaling, memory->tid[row], next + i);
        if (later == PS_SCALING_NO_RANGE) {
            break;
        }
        consider_range(self, later, bytes, &best);
    }
    return best;
}

/* ---- sizes alone ---- */

static const char *label_of(const ps_scaling *self, size_t b)
{
    return ps_strings_text(self->plan->strings, self->plan->buffer.label[b]);
}

static bool is_scores_text(const char *text)
{
    return strstr(text, "softmax") != NULL && strstr(text, "log_softmax") == NULL &&
           strstr(text, "cross_entropy") == NULL && strstr(text, "loss") == NULL;
}

static bool is_model_role(ps_role role)
{
    return role == PS_ROLE_PARAMETER || role == PS_ROLE_GRADIENT || role == PS_ROLE_OPTIMIZER_STATE;
}

static ps_code note_sizes(buffer_stage *self, ps_error *err)
{
    const ps_scaling *scaling = self->scaling;
    const ps_structure *structure = scaling->change->structure;
    for (size_t b = 0; b < structure->buffer_count; b++) {
        const uint64_t bytes = scaling->plan->buffer.bytes[b];
        const uint32_t row = structure->buffer[b].birth_row;
        const ps_str stack = row == PS_STRUCTURE_NONE ? 0 : scaling->trace->memory.stack[row];
        if (is_model_role(structure->buffer[b].role)) {
            PS_TRY(ps_idmap_put(&self->fixed_bytes, bytes, 1, err));
        }
        if (is_scores_text(label_of(scaling, b)) ||
            (stack != 0 && is_scores_text(ps_strings_text(scaling->trace->strings, stack)))) {
            PS_TRY(ps_idmap_put(&self->score_bytes, bytes, 1, err));
        }
    }
    return PS_OK;
}

/* Largest multiple of `unit` that the allocator would have rounded to `bytes`; 0: there is none. */
static uint64_t multiple_in(const buffer_stage *self, uint64_t bytes, uint64_t unit)
{
    if (unit == 0 || unit > bytes) {
        return 0;
    }
    const uint64_t multiple = bytes - bytes % unit;
    return self->is_block ? (bytes - multiple < BLOCK_UNIT ? multiple : 0)
                          : (multiple == bytes ? multiple : 0);
}

/* Does divisibility by `unit` say anything, or would nearly every block pass? */
static bool is_telling(const buffer_stage *self, uint64_t unit)
{
    return !self->is_block || unit >= 4 * BLOCK_UNIT;
}

/* Candidate growths of sizes, strongest claim first. */
static const ps_growth claims[] = {
    PS_GROWTH_BATCH_SEQUENCE_SQUARED,
    PS_GROWTH_SEQUENCE_SQUARED,
    PS_GROWTH_BATCH_SEQUENCE,
    PS_GROWTH_SEQUENCE,
    PS_GROWTH_BATCH,
};

static uint64_t unit_of(const ps_scaling *self, ps_growth growth, bool is_new)
{
    const uint64_t b = is_new ? self->new_batch : self->old_batch;
    const uint64_t s = is_new ? self->new_sequence : self->old_sequence;
    switch (growth) {
    case PS_GROWTH_BATCH:
        return b;
    case PS_GROWTH_SEQUENCE:
        return s;
    case PS_GROWTH_BATCH_SEQUENCE:
        return ps_mul_div_u64(b, s, 1);
    case PS_GROWTH_BATCH_SEQUENCE_SQUARED:
        return ps_mul_div_u64(ps_mul_div_u64(b, s, 1), s, 1);
    case PS_GROWTH_SEQUENCE_SQUARED:
        return ps_mul_div_u64(s, s, 1);
    case PS_GROWTH_UNKNOWN:
    case PS_GROWTH_FIXED:
    case PS_GROWTH_UNDECIDED:
    case PS_GROWTH_COUNT:
        break;
    }
    return 0;
}

static candidate grow_as(const buffer_stage *self, ps_growth growth, uint64_t bytes)
{
    const uint64_t old_unit = unit_of(self->scaling, growth, false);
    const uint64_t new_unit = unit_of(self->scaling, growth, true);
    if (old_unit == 0 || new_unit == 0) {
        return (candidate){.fit = FIT_EXACT, .growth = PS_GROWTH_FIXED, .new_bytes = bytes};
    }
    const uint64_t multiple = multiple_in(self, bytes, old_unit);
    return (candidate){
        .fit = FIT_EXACT,
        .growth = growth,
        .new_bytes = ps_mul_div_u64(multiple == 0 ? bytes : multiple, new_unit, old_unit),
    };
}

static bool is_squared(ps_growth growth)
{
    return growth == PS_GROWTH_BATCH_SEQUENCE_SQUARED || growth == PS_GROWTH_SEQUENCE_SQUARED;
}

static candidate explain_by_size(const buffer_stage *self, size_t b, uint64_t bytes)
{
    const ps_scaling *scaling = self->scaling;
    const ps_role role = scaling->change->structure->buffer[b].role;
    const bool is_score = ps_idmap_get(&self->score_bytes, bytes) != PS_IDMAP_NONE;
    bool is_untold = false;
    for (size_t i = 0; i < sizeof claims / sizeof claims[0]; i++) {
        const uint64_t unit = unit_of(scaling, claims[i], false);
        if (unit <= 1 || (is_squared(claims[i]) && !is_score) ||
            multiple_in(self, bytes, unit) == 0) {
            continue;
        }
        if (is_telling(self, unit)) {
            return grow_as(self, claims[i], bytes);
        }
        is_untold = true;
    }
    const bool is_data = role == PS_ROLE_ACTIVATION || role == PS_ROLE_INPUT;
    if (is_untold && is_data && scaling->old_batch != 0) {
        return grow_as(self, PS_GROWTH_BATCH, bytes); /* what a batch makes; sizes do not deny it */
    }
    return (candidate){
        .fit = FIT_LOOSE,
        .growth = is_untold ? PS_GROWTH_UNDECIDED : PS_GROWTH_FIXED,
        .new_bytes = bytes,
    };
}

/* ---- together ---- */

static bool override_of(const buffer_stage *self, size_t b, uint64_t bytes, candidate *out)
{
    const ps_overrides *overrides = self->scaling->change->overrides;
    bool found = false;
    for (size_t i = 0; overrides != NULL && i < overrides->count; i++) {
        const ps_override *row = &overrides->row[i];
        if (row->what == PS_OVERRIDE_SCALING &&
            (row->by == PS_OVERRIDE_BY_SIZE
                 ? row->bytes == bytes
                 : ps_pattern_matches(row->pattern, label_of(self->scaling, b)))) {
            *out = grow_as(self, (ps_growth)row->growth, bytes);
            found = true;
        }
    }
    return found;
}

static void credit(ps_scaling *self, uint32_t maker, uint64_t old_bytes, uint64_t new_bytes)
{
    if (maker != PS_SCALING_NO_RANGE) {
        self->born_old[maker] += old_bytes;
        self->born_new[maker] += new_bytes;
    }
}

static uint32_t maker_at(const ps_scaling *self, uint32_t row)
{
    const ps_memory_table *memory = &self->trace->memory;
    size_t next;
    return ps__scaling_maker_of(
        self, ps__scaling_open_at(self, memory->tid[row], memory->time_ns[row], &next));
}

static candidate explain(buffer_stage *self, size_t b, uint64_t bytes)
{
    ps_scaling *scaling = self->scaling;
    const ps_structure_buffer *buffer = &scaling->change->structure->buffer[b];
    candidate found = {.fit = FIT_NONE};
    uint32_t maker = PS_SCALING_NO_RANGE;
    if (override_of(self, b, bytes, &found)) {
        scaling->counts_by_person++;
        return found;
    }
    const bool is_sure = buffer->confidence >= SURE_ROLE || !scaling->has_shapes;
    if ((is_model_role(buffer->role) && is_sure) ||
        (!scaling->has_shapes && ps_idmap_get(&self->fixed_bytes, bytes) != PS_IDMAP_NONE &&
         buffer->role != PS_ROLE_ACTIVATION)) {
        scaling->counts_by_role++;
        return (candidate){.fit = FIT_EXACT, .growth = PS_GROWTH_FIXED, .new_bytes = bytes};
    }
    if (scaling->has_shapes && buffer->birth_row != PS_STRUCTURE_NONE) {
        found =
            explain_by_shape(self, buffer->birth_row, bytes, !is_model_role(buffer->role), &maker);
    }
    if (found.fit != FIT_NONE) {
        scaling->counts_by_shape++;
        if (found.growth == PS_GROWTH_FIXED) {
            found.new_bytes = bytes; /* also what the block holds beyond the request */
        }
        credit(scaling, maker, bytes, found.new_bytes);
        return found;
    }
    if (is_model_role(buffer->role)) {
        scaling->counts_by_role++;
        return (candidate){.fit = FIT_EXACT, .growth = PS_GROWTH_FIXED, .new_bytes = bytes};
    }
    scaling->counts_by_size++;
    if (!scaling->has_shapes && buffer->birth_row != PS_STRUCTURE_NONE) {
        maker = maker_at(scaling, buffer->birth_row);
    }
    found = explain_by_size(self, b, bytes);
    credit(scaling, maker, bytes, found.new_bytes);
    return found;
}

static ps_code scale_buffers(buffer_stage *self, ps_error *err)
{
    ps_scaling *scaling = self->scaling;
    ps_plan *plan = scaling->plan;
    PS_TRY(note_sizes(self, err));
    for (size_t b = 0; b < plan->buffer.head.count; b++) {
        self->is_block = plan->device.sizes_are_blocks[plan->buffer.device[b]] != 0;
        const candidate found = explain(self, b, plan->buffer.bytes[b]);
        plan->buffer.growth[b] = (uint8_t)found.growth;
        plan->buffer.bytes[b] = found.new_bytes == 0 ? 1 : found.new_bytes;
    }
    return PS_OK;
}

ps_code ps__scaling_buffers(ps_scaling *scaling, ps_error *err)
{
    buffer_stage self = {.scaling = scaling};
    const ps_code code = scale_buffers(&self, err);
    ps_idmap_fini(&self.score_bytes);
    ps_idmap_fini(&self.fixed_bytes);
    return code;
}
