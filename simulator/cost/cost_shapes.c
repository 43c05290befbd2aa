/* SPDX-License-Identifier: MIT
 *
 * Measured shares of the peak by shape. A table corrects the formulas rather
 * than replacing them: each row becomes the ratio of its measured time to the
 * analytic one, and an operation takes the ratios of the rows near it,
 *
 *   ratio = (sum (w ratio of row) + w0) / (sum w + w0),  w = 1 / distance^2 - 1
 *
 * with distances in octaves of batch, rows, columns and contraction, and w0 the
 * weight at a quarter of an octave, which stands for the formulas. Rows of
 * just this shape are taken alone. Farther than RADIUS the formulas stand.
 */
#include <string.h>

#include "base/memory.h"
#include "cluster/builtin.h"
#include "cluster/csv_rows.h"
#include "cost/builtin_shapes.h"
#include "cost/cost_parts.h"

enum {
    OCTAVE = 256,                   /* distances are counted in parts of an octave */
    PRIOR_2 = OCTAVE * OCTAVE / 16, /* square of the distance at which formulas count like a row */
    RADIUS_2 = OCTAVE * OCTAVE,     /* square of the largest distance of a row that counts */
    AXES = 4,
    MAX_ROWS = 1 << 20,
};

typedef struct shape_row {
    ps_cost_kind kind;
    ps_cost_element element;
    ps_cost_layout layout;
    uint64_t octave[AXES];
    uint64_t ratio; /* [millionths] measured over analytic */
} shape_row;

struct ps_cost_shapes {
    shape_row *row;
    size_t count, capacity;
};

typedef enum column {
    COLUMN_GPU,
    COLUMN_KIND,
    COLUMN_ELEMENT,
    COLUMN_LAYOUT,
    COLUMN_BATCH,
    COLUMN_M,
    COLUMN_N,
    COLUMN_K,
    COLUMN_SHARE,
    COLUMN_ORIGIN,
    COLUMN_COUNT
} column;

static const char *const column_names[COLUMN_COUNT] = {
    "gpu", "kind", "element", "layout", "batch", "m", "n", "k", "share", "origin"};

typedef struct reading {
    ps_cost_shapes *into;
    const ps_cost_gpu *gpu;
    const ps_catalogue *catalogue;
    ps_hardware_id id;
    const char *name;
    bool has_header;
} reading;

/* log2 in parts of an octave; straight between powers of two. value > 0 */
static uint64_t octaves(uint64_t value)
{
    const unsigned whole = 63u - (unsigned)__builtin_clzll(value);
    const uint64_t rest = value - (UINT64_C(1) << whole);
    return (uint64_t)whole * OCTAVE + ps_mul_div_u64(rest, OCTAVE, UINT64_C(1) << whole);
}

static void place(const ps_cost_op *op, uint64_t out[AXES])
{
    out[0] = octaves(ps_cost_max(op->batch, 1));
    out[1] = octaves(op->m);
    out[2] = octaves(op->n);
    out[3] = octaves(op->k);
}

static ps_code refuse(const reading *self, uint32_t line, const char *what, const char *text,
                      ps_error *err)
{
    return ps_fail(err, PS_BAD_INPUT, "%.140s:%u: %s \"%.60s\"", self->name, (unsigned)line, what,
                   text);
}

static ps_code read_header(reading *self, const char *const *field, size_t count, uint32_t line,
                           ps_error *err)
{
    bool is_right = count == COLUMN_COUNT;
    for (size_t i = 0; is_right && i < COLUMN_COUNT; i++) {
        is_right = strcmp(field[i], column_names[i]) == 0;
    }
    if (!is_right) {
        return ps_fail(err, PS_BAD_INPUT,
                       "%.140s:%u: measured shapes begin with the line "
                       "gpu,kind,element,layout,batch,m,n,k,share,origin",
                       self->name, (unsigned)line);
    }
    self->has_header = true;
    return PS_OK;
}

static ps_code read_words(const reading *self, const char *const *field, uint32_t line,
                          ps_cost_op *out, ps_error *err)
{
    if (!ps_cost_kind_find(field[COLUMN_KIND], &out->kind) ||
        (out->kind != PS_COST_MATMUL && out->kind != PS_COST_ATTENTION_FORWARD &&
         out->kind != PS_COST_ATTENTION_BACKWARD)) {
        return refuse(self, line, "a kind without shapes:", field[COLUMN_KIND], err);
    }
    if (!ps_cost_element_find(field[COLUMN_ELEMENT], &out->element)) {
        return refuse(self, line, "unknown element", field[COLUMN_ELEMENT], err);
    }
    if (!ps_cost_layout_find(field[COLUMN_LAYOUT], &out->layout)) {
        return refuse(self, line, "unknown layout", field[COLUMN_LAYOUT], err);
    }
    return PS_OK;
}

static ps_code read_extents(const char *const *field, ps_cost_op *out, ps_error *err)
{
    uint64_t *const into[] = {&out->batch, &out->m, &out->n, &out->k};
    for (size_t i = 0; i < AXES; i++) {
        PS_TRY(ps_quantity_parse_in(PS_UNIT_COUNT, field[COLUMN_BATCH + i], 1, UINT32_MAX, into[i],
                                    err));
    }
    return PS_OK;
}

/* Flop of an operation known by its shape alone; attention counts as causal. */
static uint64_t flop_of_shape(const ps_cost_op *op)
{
    const uint64_t products =
        ps_cost_times(ps_cost_times(op->batch, op->m), ps_cost_times(op->n, op->k));
    if (op->kind == PS_COST_ATTENTION_BACKWARD) { /* five products, half of each */
        return ps_cost_times(5, products);
    }
    return ps_cost_times(2, products); /* forward: two products, half of each */
}

static ps_code add_row(reading *self, ps_cost_op *op, uint64_t share, ps_error *err)
{
    ps_cost_shapes *into = self->into;
    op->flop = flop_of_shape(op);
    const uint64_t analytic = ps_cost_analytic(self->gpu, op).ps;
    const uint64_t rate =
        ps_cost_max(ps_mul_div_u64(self->gpu->peak[op->element], share, PS_RATIO_ONE), 1);
    shape_row row = {.kind = op->kind, .element = op->element, .layout = op->layout};
    place(op, row.octave);
    row.ratio = ps_mul_div_u64(ps_cost_at_rate(op->flop, rate), PS_RATIO_ONE, analytic);
    PS_TRY(ps_grow((void **)&into->row, &into->capacity, into->count + 1, MAX_ROWS,
                   sizeof *into->row, err));
    into->row[into->count] = row;
    into->count++;
    return PS_OK;
}

static ps_code on_row(void *context, const char *const *field, size_t count, uint32_t line,
                      ps_error *err)
{
    reading *self = context;
    ps_hardware_id gpu;
    uint64_t share;
    ps_cost_op op = {0};
    if (!self->has_header) {
        return read_header(self, field, count, line, err);
    }
    if (count != COLUMN_COUNT) {
        return refuse(self, line, "not ten fields after", field[0], err);
    }
    if (field[COLUMN_ORIGIN][0] == '\0') {
        return refuse(self, line, "no origin after", field[COLUMN_SHARE], err);
    }
    PS_TRY(read_words(self, field, line, &op, err));
    if (read_extents(field, &op, err) != PS_OK ||
        ps_quantity_parse_in(PS_UNIT_RATIO, field[COLUMN_SHARE], 1, PS_RATIO_ONE, &share, err) !=
            PS_OK) {
        return refuse(self, line,
                      "not a shape and a share of the peak up to 1:", field[COLUMN_SHARE], err);
    }
    if (ps_catalogue_find(self->catalogue, PS_HARDWARE_GPU, field[COLUMN_GPU], &gpu, NULL) !=
            PS_OK ||
        gpu.v != self->id.v) {
        return PS_OK; /* another GPU's */
    }
    return add_row(self, &op, share, err);
}

static ps_code read_text(reading *self, const char *name, const char *text, size_t bytes,
                         ps_error *err)
{
    self->name = name;
    self->has_header = false;
    return ps_csv_read(name, text, bytes, on_row, self, err);
}

static ps_code read_all(reading *self, const ps_cost_options *options, ps_error *err)
{
    for (size_t i = 0; i < ps_cost_file_count && !options->without_shapes; i++) {
        const ps_builtin_file *file = &ps_cost_files[i];
        PS_TRY(read_text(self, file->name, (const char *)file->bytes, file->count, err));
    }
    if (options->shapes_csv == NULL) {
        return PS_OK;
    }
    return read_text(self, "shapes", options->shapes_csv, options->shapes_bytes, err);
}

ps_code ps_cost_shapes_create(const ps_cost_gpu *gpu, const ps_catalogue *catalogue,
                              ps_hardware_id id, const ps_cost_options *options,
                              ps_cost_shapes **out, ps_error *err)
{
    ps_cost_shapes *self = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return ps_fail_nomem(err);
    }
    reading state = {.into = self, .gpu = gpu, .catalogue = catalogue, .id = id};
    const ps_code code = read_all(&state, options, err);
    if (code != PS_OK) {
        ps_cost_shapes_destroy(self);
        return code;
    }
    *out = self;
    return PS_OK;
}

void ps_cost_shapes_destroy(ps_cost_shapes *self)
{
    if (self != NULL) {
        ps_free(self->row);
        ps_free(self);
    }
}

static bool is_comparable(const shape_row *row, const ps_cost_op *op)
{
    return row->kind == op->kind && row->element == op->element &&
           (row->layout == op->layout || row->layout == PS_COST_ANY || op->layout == PS_COST_ANY);
}

/* Square of the distance; anything beyond the radius is RADIUS_2 + 1. */
static uint64_t distance_2(const uint64_t a[AXES], const uint64_t b[AXES])
{
    uint64_t sum = 0;
    for (size_t i = 0; i < AXES; i++) {
        const uint64_t along = a[i] > b[i] ? a[i] - b[i] : b[i] - a[i];
        sum += along > OCTAVE ? RADIUS_2 + 1 : along * along;
    }
    return sum > RADIUS_2 ? RADIUS_2 + 1 : sum;
}

/* Falls to 0 at the radius: a row does not come in with a jump. */
static uint64_t weight_at(uint64_t d2)
{
    return ((uint64_t)RADIUS_2 << 8) / (d2 + 1) - (((uint64_t)RADIUS_2 << 8) / (RADIUS_2 + 1));
}

ps_basis ps_cost_shapes_apply(const ps_cost_shapes *self, const ps_cost_op *op, uint64_t *io)
{
    uint64_t at[AXES];
    uint64_t weights = 0, exact = 0;
    ps_u128 sum = 0, exact_sum = 0;
    place(op, at);
    for (size_t i = 0; i < self->count; i++) {
        const shape_row *row = &self->row[i];
        const uint64_t d2 = is_comparable(row, op) ? distance_2(at, row->octave) : RADIUS_2 + 1;
        if (d2 > RADIUS_2) {
            continue;
        }
        const uint64_t weight = weight_at(d2);
        weights += weight;
        sum += (ps_u128)weight * row->ratio;
        exact += d2 == 0;
        exact_sum += d2 == 0 ? row->ratio : 0;
    }
    if (weights == 0) {
        return PS_BASIS_ANALYTIC;
    }
    sum += (ps_u128)weight_at(PRIOR_2) * PS_RATIO_ONE;
    weights += weight_at(PRIOR_2);
    const uint64_t ratio = exact > 0 ? (uint64_t)(exact_sum / exact) : (uint64_t)(sum / weights);
    *io = ps_cost_min(ps_mul_div_u64(*io, ratio, PS_RATIO_ONE), PS_COST_MAX);
    return exact > 0 ? PS_BASIS_MEASURED : PS_BASIS_SCALED;
}
