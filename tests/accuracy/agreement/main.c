/* SPDX-License-Identifier: MIT
 *
 * Models' workloads against recordings of the same trainings.
 *
 *   accuracy_agreement [--check] [--ops NAME] FOLDER/models.csv
 *
 * A row of models.csv names a recording NAME.pstrace and a model CONFIG beside
 * it and tells the recipe. Prints three Markdown tables: memory, attribution of
 * the peak, kernels. --check prints what differs instead and fails where memory
 * does, or attribution, or the counts of kernels by another sum than the row's `kernels`.
 * --ops lists both sides' operations of one recording's last step.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accuracy/agreement/report.h"
#include "base/source.h"
#include "cluster/csv_rows.h"
#include "support/recipe_line.h"

enum { PATH_BYTES = 4096, COLUMNS = 4, TEXT_MAX = 1 << 16 };

/* Columns of models.csv. */
enum { NAME, CONFIG, RECIPE, KERNELS };

typedef struct job {
    char folder[PATH_BYTES];
    const char *ops_of;
    bool is_check, has_header;
    pair *pairs;
    size_t count;
} job;

static ps_code build_model(const char *path, const char *name, const char *recipe_text, side *out,
                           ps_error *err)
{
    recipe_words words;
    char line[512];
    ps_model_config *config;
    (void)snprintf(line, sizeof line, " %s", recipe_text);
    const ps_recipe recipe = recipe_of_line(line, &words);
    PS_TRY(ps_model_config_read(path, &config, err));
    const ps_build what = {
        .name = name, .config = config, .recipe = &recipe, .device = RECIPE_DEVICE};
    const ps_code code = side_of_model(&what, out, err);
    ps_model_config_destroy(config);
    return code;
}

static ps_code on_row(void *context, const char *const *field, size_t count, uint32_t line,
                      ps_error *err)
{
    job *self = context;
    char path[2 * PATH_BYTES];
    if (count != COLUMNS || self->count == PAIRS_MAX) {
        return ps_fail(err, PS_BAD_INPUT, "line %u has not %d fields, or is one too many",
                       (unsigned)line, COLUMNS);
    }
    if (!self->has_header) {
        self->has_header = true;
        return PS_OK;
    }
    if (self->ops_of != NULL && strcmp(self->ops_of, field[NAME]) != 0) {
        return PS_OK;
    }
    pair *p = &self->pairs[self->count++];
    (void)snprintf(p->name, sizeof p->name, "%s", field[NAME]);
    p->allowed = strtoull(field[KERNELS], NULL, 10);
    (void)snprintf(path, sizeof path, "%s/%s", self->folder, field[CONFIG]);
    PS_TRY(build_model(path, field[NAME], field[RECIPE], &p->model, err));
    (void)snprintf(path, sizeof path, "%s/%s.pstrace", self->folder, field[NAME]);
    PS_TRY(side_of_trace(path, &p->recorded, err));
    p->events_agree = events_agree(p->model.workload, p->recorded.workload, &p->events_equal);
    return PS_OK;
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

static bool report(const job *self)
{
    if (self->ops_of != NULL) {
        for (size_t i = 0; i < self->count; i++) {
            report_ops(&self->pairs[i]);
        }
        return self->count > 0;
    }
    if (self->is_check) {
        bool agree = self->count > 0;
        for (size_t i = 0; i < self->count; i++) {
            agree = report_differences(&self->pairs[i]) && agree;
        }
        return agree;
    }
    report_memory(self->pairs, self->count);
    report_attribution(self->pairs, self->count);
    report_kernels(self->pairs, self->count);
    return true;
}

static void set_folder(job *self, const char *path)
{
    const char *slash = strrchr(path, '/');
    (void)snprintf(self->folder, sizeof self->folder, "%.*s",
                   slash == NULL ? 1 : (int)(slash - path), slash == NULL ? "." : path);
}

int main(int argc, char **argv)
{
    ps_error err = {0};
    const char *index = NULL;
    job self = {.pairs = calloc(PAIRS_MAX, sizeof(pair))};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--check") == 0) {
            self.is_check = true;
        } else if (strcmp(argv[i], "--ops") == 0 && i + 1 < argc) {
            self.ops_of = argv[++i];
        } else {
            index = argv[i];
        }
    }
    if (index == NULL || self.pairs == NULL) {
        (void)fprintf(stderr, "accuracy_agreement [--check] [--ops NAME] FOLDER/models.csv\n");
        free(self.pairs);
        return 2;
    }
    set_folder(&self, index);
    const ps_code code = read_all(&self, index, &err);
    const bool agree = code == PS_OK && report(&self);
    if (code != PS_OK) {
        char words[512];
        ps_error_format(&err, words, sizeof words);
        (void)fprintf(stderr, "accuracy_agreement: %s\n", words);
    }
    for (size_t i = 0; i < self.count; i++) {
        side_fini(&self.pairs[i].model);
        side_fini(&self.pairs[i].recorded);
    }
    free(self.pairs);
    return agree ? 0 : 1;
}
