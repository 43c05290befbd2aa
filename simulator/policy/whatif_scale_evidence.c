/* SPDX-License-Identifier: MIT
 *
 * What operators tell about the shapes they were given.
 *
 * A batch of 128, a sequence of 128 and a width of 128 look alike. The
 * operators tell them apart: the weight of a layer does not grow, the last
 * dimension of what a linear layer works on is a width, dimension 1 of what a
 * convolution works on counts channels, dimension 0 of a batched product
 * counts sequences and heads, and what goes through a softmax inside the model
 * has the sequence twice.
 */
#include <string.h>

#include "base/memory.h"
#include "policy/whatif_scale_parts.h"

/* X(operator, argument, flags) */
#define OPERATORS(X)                                                       \
    X("linear", 0, PS_EVIDENCE_DATA | PS_EVIDENCE_FEATURE_LAST)            \
    X("linear", 1, PS_EVIDENCE_WEIGHT)                                     \
    X("linear", 2, PS_EVIDENCE_WEIGHT)                                     \
    X("addmm", 0, PS_EVIDENCE_WEIGHT)                                      \
    X("addmm", 1, PS_EVIDENCE_DATA | PS_EVIDENCE_FEATURE_LAST)             \
    X("addmm", 2, PS_EVIDENCE_WEIGHT)                                      \
    X("layer_norm", 0, PS_EVIDENCE_DATA | PS_EVIDENCE_FEATURE_LAST)        \
    X("layer_norm", 2, PS_EVIDENCE_WEIGHT)                                 \
    X("layer_norm", 3, PS_EVIDENCE_WEIGHT)                                 \
    X("native_layer_norm", 0, PS_EVIDENCE_DATA | PS_EVIDENCE_FEATURE_LAST) \
    X("native_layer_norm", 2, PS_EVIDENCE_WEIGHT)                          \
    X("native_layer_norm", 3, PS_EVIDENCE_WEIGHT)                          \
    X("rms_norm", 0, PS_EVIDENCE_DATA | PS_EVIDENCE_FEATURE_LAST)          \
    X("rms_norm", 2, PS_EVIDENCE_WEIGHT)                                   \
    X("batch_norm", 0, PS_EVIDENCE_DATA | PS_EVIDENCE_FEATURE_1)           \
    X("batch_norm", 1, PS_EVIDENCE_WEIGHT)                                 \
    X("batch_norm", 2, PS_EVIDENCE_WEIGHT)                                 \
    X("batch_norm", 3, PS_EVIDENCE_WEIGHT)                                 \
    X("batch_norm", 4, PS_EVIDENCE_WEIGHT)                                 \
    X("conv1d", 0, PS_EVIDENCE_DATA | PS_EVIDENCE_FEATURE_1)               \
    X("conv1d", 1, PS_EVIDENCE_WEIGHT)                                     \
    X("conv1d", 2, PS_EVIDENCE_WEIGHT)                                     \
    X("conv2d", 0, PS_EVIDENCE_DATA | PS_EVIDENCE_FEATURE_1)               \
    X("conv2d", 1, PS_EVIDENCE_WEIGHT)                                     \
    X("conv2d", 2, PS_EVIDENCE_WEIGHT)                                     \
    X("convolution", 0, PS_EVIDENCE_DATA | PS_EVIDENCE_FEATURE_1)          \
    X("convolution", 1, PS_EVIDENCE_WEIGHT)                                \
    X("convolution", 2, PS_EVIDENCE_WEIGHT)                                \
    X("cudnn_convolution", 0, PS_EVIDENCE_DATA | PS_EVIDENCE_FEATURE_1)    \
    X("cudnn_convolution", 1, PS_EVIDENCE_WEIGHT)                          \
    X("embedding", 0, PS_EVIDENCE_WEIGHT)                                  \
    X("embedding", 1, PS_EVIDENCE_DATA)                                    \
    X("bmm", 0, PS_EVIDENCE_BATCHED)                                       \
    X("bmm", 1, PS_EVIDENCE_BATCHED)                                       \
    X("baddbmm", 0, PS_EVIDENCE_BATCHED)                                   \
    X("baddbmm", 1, PS_EVIDENCE_BATCHED)                                   \
    X("baddbmm", 2, PS_EVIDENCE_BATCHED)                                   \
    X("softmax", 0, PS_EVIDENCE_SCORES)                                    \
    X("_softmax", 0, PS_EVIDENCE_SCORES)

static uint32_t flags_of(const char *name, uint32_t argument)
{
#define FLAGS(word, position, flags)                         \
    if (argument == (position) && strcmp(name, word) == 0) { \
        return flags;                                        \
    }
    OPERATORS(FLAGS)
#undef FLAGS
    return 0;
}

/* Running means and variances, which forward passes change. */
static bool is_statistic(const char *name, uint32_t argument)
{
    return strcmp(name, "batch_norm") == 0 && argument > 2;
}

bool ps__is_weight(const char *name, uint32_t argument)
{
    const char *bare = ps__bare_operator(name);
    return (flags_of(bare, argument) & PS_EVIDENCE_WEIGHT) != 0 && !is_statistic(bare, argument);
}

uint32_t ps__scaling_evidence_of(const ps_scaling *self, const ps_shape *shape)
{
    const uint32_t flags = ps_idmap_get(&self->evidence, ps__shape_hash(shape));
    return flags == PS_IDMAP_NONE ? 0 : flags;
}

const ps_shapes *ps__scaling_shapes_of(const ps_scaling *self, uint32_t range)
{
    const uint32_t at = ps_idmap_get(&self->shapes_of_text, self->trace->range.shapes[range]);
    return at == PS_IDMAP_NONE || self->shapes[at].count == 0 ? NULL : &self->shapes[at];
}

static ps_code read_text(ps_scaling *self, ps_str text, ps_error *err)
{
    if (ps_idmap_get(&self->shapes_of_text, text) != PS_IDMAP_NONE) {
        return PS_OK;
    }
    PS_TRY(ps_grow((void **)&self->shapes, &self->shapes_capacity, self->shapes_count + 1,
                   PS_TABLE_MAX_ROWS, sizeof *self->shapes, err));
    ps__shapes_read(ps_strings_text(self->trace->strings, text), &self->shapes[self->shapes_count]);
    PS_TRY(ps_idmap_put(&self->shapes_of_text, text, (uint32_t)self->shapes_count, err));
    self->has_shapes = self->has_shapes || self->shapes[self->shapes_count].count > 0;
    self->shapes_count++;
    return PS_OK;
}

static ps_code note(ps_scaling *self, const ps_shape *shape, uint32_t flags, ps_error *err)
{
    return flags == 0 ? PS_OK
                      : ps_idmap_put(&self->evidence, ps__shape_hash(shape),
                                     ps__scaling_evidence_of(self, shape) | flags, err);
}

/* A product of rows and a weight has as many rows, and a width as its last dimension. */
static ps_code note_product(ps_scaling *self, const char *name, const ps_shapes *shapes,
                            ps_error *err)
{
    if (strcmp(name, "addmm") != 0 || shapes->count < 3 || shapes->tensor[1].dim_count != 2 ||
        shapes->tensor[2].dim_count != 2) {
        return PS_OK;
    }
    const ps_shape product = {.dim_count = 2,
                              .dim = {shapes->tensor[1].dim[0], shapes->tensor[2].dim[1]}};
    return note(self, &product, PS_EVIDENCE_DATA | PS_EVIDENCE_FEATURE_LAST, err);
}

/* Backward products are of the same operators, with the roles of their operands changed. */
static bool is_of_forward(const ps_scaling *self, size_t range)
{
    return ps_structure_phase_at(self->change->structure, self->trace->range.start_ns[range]) !=
           PS_PHASE_BACKWARD;
}

ps_code ps__scaling_read_evidence(ps_scaling *self, ps_error *err)
{
    const ps_range_table *range = &self->trace->range;
    for (size_t i = 0; i < range->head.count; i++) {
        if (range->category[i] != PS_RANGE_OPERATOR || range->shapes[i] == 0) {
            continue;
        }
        PS_TRY(read_text(self, range->shapes[i], err));
        const ps_shapes *shapes = ps__scaling_shapes_of(self, (uint32_t)i);
        const char *name = ps__scaling_operator_name(self, (uint32_t)i);
        if (shapes == NULL || !is_of_forward(self, i)) {
            continue;
        }
        for (uint32_t t = 0; t < shapes->count; t++) {
            PS_TRY(note(self, &shapes->tensor[t], flags_of(name, shapes->tensor[t].argument), err));
        }
        PS_TRY(note_product(self, name, shapes, err));
    }
    return PS_OK;
}

/* ---- the recorded batch and sequence ---- */

static uint64_t number_fact(const ps_trace *trace, const char *key)
{
    const char *text = ps_trace_meta(trace, key);
    uint64_t value = 0;
    for (; text != NULL && *text >= '0' && *text <= '9' && value < (uint64_t)1 << 40; text++) {
        value = value * 10 + (uint64_t)(*text - '0');
    }
    return value;
}

/* The leading dimension that all convolutions and batch normalisations share. */
typedef struct leading {
    uint64_t value;
    bool differs;
} leading;

static void look_at(const char *name, const ps_shapes *shapes, leading *first, uint64_t *batch,
                    uint64_t *sequence)
{
    const ps_shape *tensor = &shapes->tensor[0];
    if (*batch == 0 && strcmp(name, "embedding") == 0 && shapes->count == 2 &&
        shapes->tensor[1].dim_count == 2) {
        *batch = shapes->tensor[1].dim[0];
        *sequence = shapes->tensor[1].dim[1];
    }
    if (shapes->count >= 2 && tensor->argument == 0 && tensor->dim_count >= 3 &&
        (flags_of(name, 0) & PS_EVIDENCE_FEATURE_1) != 0) {
        first->differs = first->differs || (first->value != 0 && first->value != tensor->dim[0]);
        first->value = tensor->dim[0];
    }
}

ps_code ps_scale_find_recorded(const ps_trace *trace, uint64_t *batch, uint64_t *sequence,
                               ps_error *err)
{
    uint64_t found_batch = 0, found_sequence = 0;
    leading first = {0};
    (void)err;
    for (size_t i = 0; i < trace->range.head.count; i++) {
        ps_shapes shapes;
        if (trace->range.category[i] != PS_RANGE_OPERATOR || trace->range.shapes[i] == 0) {
            continue;
        }
        ps__shapes_read(ps_strings_text(trace->strings, trace->range.shapes[i]), &shapes);
        if (shapes.count > 0) {
            look_at(ps__bare_operator(ps_strings_text(trace->strings, trace->range.name[i])),
                    &shapes, &first, &found_batch, &found_sequence);
        }
    }
    if (found_batch == 0 && !first.differs) {
        found_batch = first.value;
    }
    *batch = number_fact(trace, "batch-size");
    *sequence = number_fact(trace, "sequence-length");
    *batch = *batch != 0 ? *batch : found_batch;
    *sequence = *sequence != 0 ? *sequence : found_sequence;
    return PS_OK;
}
