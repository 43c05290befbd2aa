/* SPDX-License-Identifier: MIT
 *
 * The cost model against recorded kernels of known shape.
 *
 *   accuracy_kernels [--formulas] [--shapes SHAPES.csv] [--rows] [--machine MACHINE.csv]
 *                    KERNELS.csv
 *
 * KERNELS.csv is what kernels.py writes. Prints one Markdown row for each
 * recording and kind of operation: shapes, median and 90th percentile of the
 * relative error, and predicted over recorded time of all calls. --machine adds
 * figures to the catalogue, --formulas leaves out the built-in measured
 * shares and --shapes adds others, --rows
 * prints every shape as CSV instead.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/catalogue.h"
#include "cluster/csv_rows.h"
#include "cost/cost.h"

enum { COLUMNS = 19, GROUPS_MAX = 256 };

/* [ns] Shorter times are left out: some recordings count whole microseconds. */
enum { LEAST_NS = 1500 };

/* Columns of kernels.py that are read. */
enum {
    HALF,
    RECORDING,
    GPU,
    OPERATOR,
    KIND,
    ELEMENT,
    LAYOUT,
    B,
    M,
    N,
    K,
    ACCESS,
    FLOP,
    BYTES,
    ELEMENTS,
    LAUNCHES,
    CALLS,
    DUR
};

/* Errors of one recording and kind. */
typedef struct group {
    char half[16], recording[96], kind[24];
    double *error; /* |predicted / recorded - 1| of each shape */
    size_t count, capacity;
    double predicted_ns, recorded_ns; /* of all calls */
} group;

typedef struct job {
    const ps_catalogue *catalogue;
    bool is_formulas, is_rows, has_header;
    const char *shapes; /* text of further measured shares; NULL: none */
    size_t shapes_bytes;
    char gpu_name[96];
    ps_cost_model *model; /* of gpu_name */
    group *groups;
    size_t group_count;
} job;

static ps_code open_model(job *self, const char *name, ps_error *err)
{
    ps_hardware_id id;
    const ps_cost_options options = {.without_shapes = self->is_formulas,
                                     .is_short = true,
                                     .shapes_csv = self->shapes,
                                     .shapes_bytes = self->shapes_bytes};
    if (self->model != NULL && strcmp(name, self->gpu_name) == 0) {
        return PS_OK;
    }
    ps_cost_destroy(self->model);
    self->model = NULL;
    (void)snprintf(self->gpu_name, sizeof self->gpu_name, "%s", name);
    PS_TRY(ps_catalogue_find(self->catalogue, PS_HARDWARE_GPU, name, &id, err));
    return ps_cost_create(self->catalogue, id, &options, &self->model, err);
}

static group *group_of(job *self, const char *const *field)
{
    for (size_t i = 0; i < self->group_count; i++) {
        group *g = &self->groups[i];
        if (strcmp(g->recording, field[RECORDING]) == 0 && strcmp(g->kind, field[KIND]) == 0 &&
            strcmp(g->half, field[HALF]) == 0) {
            return g;
        }
    }
    if (self->group_count == GROUPS_MAX) {
        return NULL;
    }
    group *g = &self->groups[self->group_count];
    self->group_count++;
    (void)snprintf(g->half, sizeof g->half, "%s", field[HALF]);
    (void)snprintf(g->recording, sizeof g->recording, "%s", field[RECORDING]);
    (void)snprintf(g->kind, sizeof g->kind, "%s", field[KIND]);
    return g;
}

static ps_code read_op(const char *const *field, ps_cost_op *op, ps_error *err)
{
    if (!ps_cost_kind_find(field[KIND], &op->kind) ||
        !ps_cost_layout_find(field[LAYOUT], &op->layout) ||
        !ps_cost_access_find(field[ACCESS], &op->access)) {
        return ps_fail(err, PS_BAD_INPUT, "\"%s\" \"%s\" \"%s\" is no operation", field[KIND],
                       field[LAYOUT], field[ACCESS]);
    }
    if (!ps_cost_element_find(field[ELEMENT], &op->element)) {
        op->element = PS_COST_F32; /* other formats only move */
    }
    op->batch = strtoull(field[B], NULL, 10);
    op->m = strtoull(field[M], NULL, 10);
    op->n = strtoull(field[N], NULL, 10);
    op->k = strtoull(field[K], NULL, 10);
    op->flop = strtoull(field[FLOP], NULL, 10);
    op->moved_bytes = strtoull(field[BYTES], NULL, 10);
    op->elements = strtoull(field[ELEMENTS], NULL, 10);
    op->launches = (uint32_t)strtoul(field[LAUNCHES], NULL, 10);
    return PS_OK;
}

static ps_code add_error(group *g, double error)
{
    if (g->count == g->capacity) {
        const size_t capacity = g->capacity == 0 ? 64 : 2 * g->capacity;
        double *grown = realloc(g->error, capacity * sizeof *grown);
        if (grown == NULL) {
            return PS_NOMEM;
        }
        g->error = grown;
        g->capacity = capacity;
    }
    g->error[g->count] = error;
    g->count++;
    return PS_OK;
}

static ps_code on_row(void *context, const char *const *field, size_t count, uint32_t line,
                      ps_error *err)
{
    job *self = context;
    ps_cost_op op = {0};
    ps_cost_time time;
    if (count != COLUMNS) {
        return ps_fail(err, PS_BAD_INPUT, "line %u has not %d fields", (unsigned)line, COLUMNS);
    }
    if (!self->has_header) {
        self->has_header = true;
        return PS_OK;
    }
    PS_TRY(open_model(self, field[GPU], err));
    PS_TRY(read_op(field, &op, err));
    PS_TRY(ps_cost_op_time(self->model, &op, &time, err));
    const double recorded = (double)strtoull(field[DUR], NULL, 10);
    if (recorded < LEAST_NS) {
        return PS_OK;
    }
    const double calls = (double)strtoull(field[CALLS], NULL, 10);
    const double ratio = (double)time.dur_ns / recorded;
    if (self->is_rows) {
        printf("%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%.0f,%lld,%.3f,%d\n", field[HALF],
               field[RECORDING], field[OPERATOR], field[KIND], field[ELEMENT], field[ACCESS],
               field[B], field[M], field[N], field[K], field[BYTES], field[LAUNCHES], recorded,
               (long long)time.dur_ns, ratio, (int)time.bound);
    }
    group *g = group_of(self, field);
    if (g == NULL) {
        return ps_fail(err, PS_LIMIT, "more than %d recordings and kinds", GROUPS_MAX);
    }
    g->predicted_ns += (double)time.dur_ns * calls;
    g->recorded_ns += recorded * calls;
    return add_error(g, ratio > 1 ? ratio - 1 : 1 - ratio);
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_groups(job *self)
{
    printf(
        "| half | recording | operations | shapes | median error | 90th percentile | predicted / "
        "recorded time |\n| --- | --- | --- | ---: | ---: | ---: | ---: |\n");
    for (size_t i = 0; i < self->group_count; i++) {
        group *g = &self->groups[i];
        qsort(g->error, g->count, sizeof *g->error, by_size);
        printf("| %s | %s | %s | %zu | %.1f %% | %.1f %% | %.2f |\n", g->half, g->recording,
               g->kind, g->count, 100 * g->error[g->count / 2], 100 * g->error[g->count * 9 / 10],
               g->predicted_ns / g->recorded_ns);
    }
}

/* Whole file, terminated; NULL when it cannot be read. */
static char *slurp(const char *path, size_t *bytes)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return NULL;
    }
    char *text = NULL;
    if (fseek(file, 0, SEEK_END) == 0) {
        const long end = ftell(file);
        rewind(file);
        text = end >= 0 ? malloc((size_t)end + 1) : NULL;
        if (text != NULL) {
            *bytes = fread(text, 1, (size_t)end, file);
            text[*bytes] = '\0';
        }
    }
    (void)fclose(file);
    return text;
}

static ps_code run(job *self, ps_catalogue *catalogue, const char *machine, const char *kernels,
                   ps_error *err)
{
    size_t bytes = 0;
    if (machine != NULL) {
        PS_TRY(ps_catalogue_read_file(catalogue, machine, err));
    }
    self->catalogue = catalogue;
    char *text = slurp(kernels, &bytes);
    if (text == NULL) {
        return ps_fail(err, PS_IO, "%s cannot be read", kernels);
    }
    const ps_code code = ps_csv_read(kernels, text, bytes, on_row, self, err);
    free(text);
    return code;
}

int main(int argc, char **argv)
{
    ps_error err = {0};
    ps_catalogue *catalogue = NULL;
    const char *machine = NULL, *kernels = NULL;
    char *shapes = NULL;
    job self = {.groups = calloc(GROUPS_MAX, sizeof(group))};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--formulas") == 0) {
            self.is_formulas = true;
        } else if (strcmp(argv[i], "--rows") == 0) {
            self.is_rows = true;
        } else if (strcmp(argv[i], "--machine") == 0 && i + 1 < argc) {
            machine = argv[++i];
        } else if (strcmp(argv[i], "--shapes") == 0 && i + 1 < argc) {
            shapes = slurp(argv[++i], &self.shapes_bytes);
            self.shapes = shapes;
        } else {
            kernels = argv[i];
        }
    }
    if (kernels == NULL || self.groups == NULL) {
        fprintf(stderr, "accuracy_kernels [--formulas] [--shapes SHAPES.csv] [--rows] "
                        "[--machine MACHINE.csv] KERNELS.csv\n");
        free(self.groups);
        return 2;
    }
    ps_code code = ps_catalogue_create(&catalogue, &err);
    if (code == PS_OK) {
        code = run(&self, catalogue, machine, kernels, &err);
    }
    if (code == PS_OK && !self.is_rows) {
        print_groups(&self);
    }
    if (code != PS_OK) {
        fprintf(stderr, "accuracy_kernels: %s\n", err.message);
    }
    for (size_t i = 0; i < self.group_count; i++) {
        free(self.groups[i].error);
    }
    free(self.groups);
    free(shapes);
    ps_cost_destroy(self.model);
    ps_catalogue_destroy(catalogue);
    return code == PS_OK ? 0 : 1;
}
