/* SPDX-License-Identifier: MIT
 *
 * Forward passes that others recorded against the model of the same
 * configuration, inside the model's layers.
 *
 *   accuracy_forward FORWARD.csv MODELS_FOLDER RECORDINGS_FOLDER
 *
 * A row of FORWARD.csv names a model (a config.json of MODELS_FOLDER, or one of the
 * catalogue), a recipe and a profiler's recording. What lies outside the layers is not
 * compared: those programs ask for other results than a loss. Sizes are those of blocks,
 * multiples of 512 bytes, on both sides, memory is told above what was live when the first
 * layer began. Prints a Markdown row each, "model / recorded" where they differ.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accuracy/agreement/side.h"
#include "base/source.h"
#include "cluster/csv_rows.h"
#include "support/recipe_line.h"
#include "workload/config/models.h"

enum { NAME, CONFIG, RECIPE, RECORDING, COLUMNS };
enum { PATH_BYTES = 4096, TEXT_MAX = 1 << 16, BLOCK_BYTES = 512 };

typedef struct job {
    const char *models, *recordings;
    ps_models *catalogue;
    bool has_header;
} job;

/* What happens in the layers of the only step. */
typedef struct layers {
    uint64_t count;
    uint64_t launches[WORK_KIND_COUNT];
    uint64_t allocations;
    uint64_t peak_bytes, kept_bytes;
} layers;

static uint64_t block_bytes(const ps_workload *w, uint32_t tensor)
{
    return (w->tensor.bytes[tensor] + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;
}

/* Events [begin, end) from the first op of a layer to the last. */
static void find_layers(const ps_workload *w, uint32_t *begin, uint32_t *end)
{
    *begin = *end = 0;
    for (uint32_t e = w->step.begin_event[0]; e < w->step.end_event[0]; e++) {
        if (w->event.kind[e] == PS_WORKLOAD_EVENT_OP && w->op.block[w->event.ref[e]] != 0) {
            *begin = *end == 0 ? e : *begin;
            *end = e + 1;
        }
    }
}

static void pass_event(const ps_workload *w, uint32_t e, layers *out, int64_t *live)
{
    const uint32_t ref = w->event.ref[e];
    if (w->event.kind[e] == PS_WORKLOAD_EVENT_ALLOC) {
        out->allocations++;
        *live += (int64_t)block_bytes(w, ref);
        if (*live > (int64_t)out->peak_bytes) {
            out->peak_bytes = (uint64_t)*live;
        }
    } else if (w->event.kind[e] == PS_WORKLOAD_EVENT_FREE) {
        *live -= (int64_t)block_bytes(w, ref);
    } else {
        out->launches[work_kind_of(w, ref)] += w->op.launches[ref];
    }
}

static layers read_layers(const side *of)
{
    const ps_workload *w = of->workload;
    layers out = {.count = w->block.head.count};
    uint32_t begin, end;
    int64_t live = 0;
    find_layers(w, &begin, &end);
    for (uint32_t e = begin; e < end; e++) {
        pass_event(w, e, &out, &live);
    }
    out.kept_bytes = live > 0 ? (uint64_t)live : 0;
    return out;
}

static void cell(uint64_t model, uint64_t recorded)
{
    if (model == recorded) {
        (void)printf(" %" PRIu64 " |", model);
    } else {
        (void)printf(" **%" PRIu64 " / %" PRIu64 "** |", model, recorded);
    }
}

static void print_row(const char *name, const side *model, const side *recorded)
{
    const layers a = read_layers(model), b = read_layers(recorded);
    (void)printf("| %s |", name);
    cell(a.count, b.count);
    for (size_t k = 0; k < WORK_KIND_COUNT; k++) {
        cell(a.launches[k], b.launches[k]);
    }
    cell(a.allocations, b.allocations);
    cell(a.peak_bytes, b.peak_bytes);
    cell(a.kept_bytes, b.kept_bytes);
    (void)printf("\n");
}

static ps_code read_config(const job *self, const char *name, ps_model_config **out, ps_error *err)
{
    char path[PATH_BYTES];
    if (strstr(name, ".json") == NULL) {
        return ps_models_find(self->catalogue, name, out, err);
    }
    (void)snprintf(path, sizeof path, "%s/%s", self->models, name);
    return ps_model_config_read(path, out, err);
}

static ps_code build_model(const job *self, const char *const *field, side *out, ps_error *err)
{
    recipe_words words;
    char line[512];
    ps_model_config *config;
    (void)snprintf(line, sizeof line, " %s", field[RECIPE]);
    const ps_recipe recipe = recipe_of_line(line, &words);
    PS_TRY(read_config(self, field[CONFIG], &config, err));
    const ps_build what = {
        .name = field[NAME], .config = config, .recipe = &recipe, .device = RECIPE_DEVICE};
    const ps_code code = side_of_model(&what, out, err);
    ps_model_config_destroy(config);
    return code;
}

static ps_code on_row(void *context, const char *const *field, size_t count, uint32_t line,
                      ps_error *err)
{
    job *self = context;
    char path[PATH_BYTES];
    side model = {0}, recorded = {0};
    if (count != COLUMNS) {
        return ps_fail(err, PS_BAD_INPUT, "line %u has not %d fields", (unsigned)line, COLUMNS);
    }
    if (!self->has_header) {
        self->has_header = true;
        return PS_OK;
    }
    (void)snprintf(path, sizeof path, "%s/%s", self->recordings, field[RECORDING]);
    ps_code code = build_model(self, field, &model, err);
    if (code == PS_OK) {
        code = side_of_trace(path, &recorded, err);
    }
    if (code == PS_OK) {
        print_row(field[NAME], &model, &recorded);
    }
    side_fini(&model);
    side_fini(&recorded);
    return code;
}

static ps_code read_all(job *self, const char *path, ps_error *err)
{
    ps_source *source;
    size_t got = 0;
    char *text = malloc(TEXT_MAX);
    if (text == NULL) {
        return ps_fail_nomem(err);
    }
    ps_code code = ps_source_open(path, &source, err);
    if (code == PS_OK) {
        code = ps_source_read(source, text, TEXT_MAX, &got, err);
        ps_source_close(source);
    }
    if (code == PS_OK) {
        code = ps_csv_read(path, text, got, on_row, self, err);
    }
    free(text);
    return code;
}

int main(int argc, char **argv)
{
    ps_error err = {0};
    if (argc != 4) {
        (void)fprintf(stderr, "accuracy_forward FORWARD.csv MODELS_FOLDER RECORDINGS_FOLDER\n");
        return 2;
    }
    job self = {.models = argv[2], .recordings = argv[3]};
    ps_code code = ps_models_create(&self.catalogue, &err);
    if (code == PS_OK) {
        (void)printf("| recording | layers | product | attention | copy | fill | other | "
                     "allocations | peak in them | kept by them |\n"
                     "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n");
        code = read_all(&self, argv[1], &err);
        ps_models_destroy(self.catalogue);
    }
    if (code != PS_OK) {
        char words[512];
        ps_error_format(&err, words, sizeof words);
        (void)fprintf(stderr, "accuracy_forward: %s\n", words);
    }
    return code == PS_OK ? 0 : 1;
}
