/* SPDX-License-Identifier: MIT
 *
 * Predicted all-reduces against measured ones:
 *
 *     accuracy_collectives TRUTH.csv [FIGURES.csv] [fit]
 *
 * Prints half,gpu,gpus,bytes,measured_ns,predicted_ns,algorithm,protocol. "fit" are every second
 * size of groups 2, 5 and 8, which figures may be calibrated on; "check" are all others.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/csv_rows.h"
#include "cost/collective.h"

enum { MOST_TEXT = 1 << 20, MOST_SIZES = 64 };

typedef struct run {
    ps_collective_model *a100, *v100;
    uint64_t size[MOST_SIZES]; /* in the order in which they come first */
    size_t sizes;
    bool has_header, wants_check;
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

static ps_code on_row(void *context, const char *const *field, size_t count, uint32_t line,
                      ps_error *err)
{
    run *self = context;
    ps_collective_result got;
    if (!self->has_header) {
        self->has_header = true;
        return PS_OK;
    }
    if (count < 5) {
        return ps_fail(err, PS_BAD_INPUT, "line %u: too few fields", (unsigned)line);
    }
    const bool is_a100 = strncmp(field[1], "A100", 4) == 0;
    const ps_collective_call call = {
        .kind = PS_COLLECTIVE_ALL_REDUCE,
        .topology = is_a100 ? PS_COLLECTIVE_NVSWITCH : PS_COLLECTIVE_NVLINK,
        .algorithm = PS_COLLECTIVE_ANY_ALGORITHM,
        .protocol = PS_COLLECTIVE_ANY_PROTOCOL,
        .ranks = (uint32_t)strtoul(field[2], NULL, 10),
        .bytes = strtoull(field[3], NULL, 10),
    };
    const bool is_fit = (call.ranks == 2 || call.ranks == 5 || call.ranks == 8) &&
                        place_of(self, call.bytes) % 2 == 0;
    if (!is_fit && !self->wants_check) {
        return PS_OK;
    }
    PS_TRY(ps_collective_time(is_a100 ? self->a100 : self->v100, &call, &got, err));
    (void)printf("%s,%s,%u,%llu,%s,%lld,%s,%s\n", is_fit ? "fit" : "check",
                 is_a100 ? "A100" : "V100", (unsigned)call.ranks, (unsigned long long)call.bytes,
                 field[4], (long long)got.dur_ns, ps_collective_algorithm_name(got.algorithm),
                 ps_collective_protocol_name(got.protocol));
    return PS_OK;
}

/* All of a file, at most MOST_TEXT; 0 when it cannot be read. */
static size_t read_file(const char *path, char *into)
{
    FILE *file = fopen(path, "rb");
    const size_t bytes = file != NULL ? fread(into, 1, MOST_TEXT, file) : 0;
    if (file != NULL) {
        (void)fclose(file);
    }
    return bytes;
}

int main(int argc, char **argv)
{
    static char truth[MOST_TEXT], figures[MOST_TEXT];
    ps_error err = {0};
    run self = {.wants_check = argc < 4};
    ps_collective_options options = {0};
    const size_t bytes = argc > 1 ? read_file(argv[1], truth) : 0;
    if (argc > 2) {
        options = (ps_collective_options){figures, read_file(argv[2], figures)};
    }
    if (ps_collective_create("A100-SXM-80", &options, &self.a100, &err) != PS_OK ||
        ps_collective_create("V100-SXM2-32", &options, &self.v100, &err) != PS_OK ||
        ps_csv_read("truth", truth, bytes, on_row, &self, &err) != PS_OK) {
        (void)fprintf(stderr, "%s\n", err.message);
    }
    ps_collective_destroy(self.a100);
    ps_collective_destroy(self.v100);
    return err.code == PS_OK && bytes > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
