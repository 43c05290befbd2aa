/* SPDX-License-Identifier: MIT
 *
 * Predicted all-reduces against measured ones:
 *
 *     accuracy_collectives TRUTH.csv [FIGURES.csv [GROUPS]]
 *
 * Prints half,gpu,gpus,bytes,measured_ns,predicted_ns,algorithm,protocol. "fit" are the rows that
 * figures may be calibrated on: every second size of groups 2, 4 and 8 (or of GROUPS, "357"), and the
 * largest of five V100; "check" are all others. FIGURES.csv has rows in the form of collectives.csv.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/csv_rows.h"
#include "cost/collective.h"

enum { MOST_TEXT = 1 << 20, MOST_SIZES = 64, MACHINES = 3 };

static const struct {
    const char *gpu, *kind;
} machines[MACHINES] = {{"V100", "dgx-1-v100-32"}, {"A100", "dgx-a100-80"}, {"H200", "dgx-h200"}};

typedef struct run {
    ps_catalogue *catalogue;
    ps_cluster *cluster[MACHINES];
    ps_collective_model *model[MACHINES];
    uint64_t size[MOST_SIZES]; /* in the order in which they come first */
    size_t sizes;
    const char *groups; /* digits */
    bool has_header;
} run;

static size_t place_of(run *self, uint64_t bytes)
{
    size_t i = 0;
    while (i < self->sizes && self->size[i] != bytes) {
        i++;
    }
    if (i == self->sizes && i < MOST_SIZES) {
        self->size[self->sizes++] = bytes;
    }
    return i;
}

static bool is_fit(const run *self, size_t machine, uint32_t ranks, uint64_t bytes, size_t size)
{
    const bool is_forwarded = machine == 0 && ranks == 5 && bytes == (uint64_t)1 << 30;
    return (strchr(self->groups, (int)('0' + ranks)) != NULL && size % 2 == 0) || is_forwarded;
}

static ps_code on_row(void *context, const char *const *field, size_t count, uint32_t line,
                      ps_error *err)
{
    static const uint32_t first[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    run *self = context;
    ps_collective_result got;
    if (!self->has_header) {
        self->has_header = true;
        return PS_OK;
    }
    size_t machine = 0;
    while (machine < MACHINES && count > 4 && strncmp(field[1], machines[machine].gpu, 4) != 0) {
        machine++;
    }
    const uint32_t ranks = count > 4 ? (uint32_t)strtoul(field[2], NULL, 10) : 0;
    if (ranks < 2 || ranks > 8 || machine == MACHINES) {
        return ps_fail(err, PS_BAD_INPUT, "line %u: not a row of 2 to 8 known GPUs",
                       (unsigned)line);
    }
    ps_collective_call call = {.kind = PS_COLLECTIVE_ALL_REDUCE,
                               .bytes = strtoull(field[3], NULL, 10),
                               .algorithm = PS_COLLECTIVE_ANY_ALGORITHM,
                               .protocol = PS_COLLECTIVE_ANY_PROTOCOL};
    const ps_group group = {first, ranks};
    PS_TRY(ps_cluster_place(self->cluster[machine], &group, &call.place, err));
    PS_TRY(ps_collective_time(self->model[machine], &call, &got, err));
    const size_t size = place_of(self, call.bytes);
    (void)printf("%s,%s,%u,%llu,%s,%lld,%s,%s\n",
                 is_fit(self, machine, ranks, call.bytes, size) ? "fit" : "check",
                 machines[machine].gpu, (unsigned)ranks, (unsigned long long)call.bytes, field[4],
                 (long long)got.dur_ns, ps_collective_algorithm_name(got.algorithm),
                 ps_collective_protocol_name(got.protocol));
    return PS_OK;
}

static size_t read_file(const char *path, char *into)
{
    FILE *file = fopen(path, "rb");
    const size_t bytes = file != NULL ? fread(into, 1, MOST_TEXT, file) : 0;
    if (file != NULL) {
        (void)fclose(file);
    }
    return bytes;
}

static ps_code build(run *self, const ps_collective_options *options, ps_error *err)
{
    PS_TRY(ps_catalogue_create(&self->catalogue, err));
    for (size_t i = 0; i < MACHINES; i++) {
        PS_TRY(
            ps_cluster_create(self->catalogue, machines[i].kind, 8, NULL, &self->cluster[i], err));
        PS_TRY(
            ps_collective_create(self->catalogue, self->cluster[i], options, &self->model[i], err));
    }
    return PS_OK;
}

int main(int argc, char **argv)
{
    static char truth[MOST_TEXT], figures[MOST_TEXT];
    ps_error err = {0};
    run self = {.groups = argc > 3 ? argv[3] : "248"};
    ps_collective_options options = {0};
    const size_t bytes = argc > 1 ? read_file(argv[1], truth) : 0;
    if (argc > 2) { /* figures to try */
        options = (ps_collective_options){
            .csv = figures, .csv_bytes = read_file(argv[2], figures), .csv_name = argv[2]};
    }
    if (build(&self, &options, &err) != PS_OK ||
        ps_csv_read("truth", truth, bytes, on_row, &self, &err) != PS_OK) {
        (void)fprintf(stderr, "%s\n", err.message);
    }
    for (size_t i = 0; i < MACHINES; i++) {
        ps_collective_destroy(self.model[i]);
        ps_cluster_destroy(self.cluster[i]);
    }
    ps_catalogue_destroy(self.catalogue);
    return err.code == PS_OK && bytes > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
