/* SPDX-License-Identifier: MIT
 *
 * Reads llmem.csv.
 */
#include "search/llmem_figures.h"

#include <stdlib.h>
#include <string.h>

#include "cluster/csv_rows.h"

#define FIELDS 4u
#define MIB ((uint64_t)1 << 20)

typedef struct reading {
    const char *model_type;
    ps_llmem_figures *out;
    bool has_header;
} reading;

static uint64_t *figure_of(ps_llmem_figures *f, const char *symbol)
{
    const struct {
        const char *symbol;
        uint64_t *figure;
    } figures[] = {
        {"page", &f->page_bytes},     {"id", &f->id_bytes},       {"half", &f->half_bytes},
        {"float", &f->float_bytes},   {"base", &f->base_bytes},   {"score-cdp", &f->score_cdp},
        {"score-adp", &f->score_adp}, {"score-tp", &f->score_tp}, {"score-dp-tp", &f->score_dp_tp},
    };
    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++) {
        if (strcmp(figures[i].symbol, symbol) == 0) {
            return figures[i].figure;
        }
    }
    return NULL;
}

static ps_code read_row(void *context, const char *const *field, size_t field_count, uint32_t line,
                        ps_error *err)
{
    reading *self = context;
    if (!self->has_header) {
        self->has_header = true;
        return PS_OK;
    }
    if (field_count != FIELDS) {
        return ps_fail(err, PS_BAD_INPUT, "llmem.csv:%u: expected %u fields", line, FIELDS);
    }
    if (strcmp(field[0], "wide-logits") == 0) {
        const bool is_it = strcmp(field[1], self->model_type) == 0;
        self->out->has_wide_logits = self->out->has_wide_logits || is_it;
        return PS_OK;
    }
    uint64_t *figure = figure_of(self->out, field[0]);
    char *end;
    const unsigned long long value = strtoull(field[1], &end, 10);
    if (figure == NULL || end == field[1] || *end != '\0' || value > UINT32_MAX) {
        return ps_fail(err, PS_BAD_INPUT, "llmem.csv:%u: no figure of the estimator", line);
    }
    *figure = strcmp(field[2], "MiB") == 0 ? value * MIB : value;
    return PS_OK;
}

ps_code ps_llmem_figures_read(const char *model_type, ps_llmem_figures *out, ps_error *err)
{
    reading self = {.model_type = model_type, .out = out};
    *out = (ps_llmem_figures){0};
    return ps_csv_read(ps_llmem_files[0].name, (const char *)ps_llmem_files[0].bytes,
                       ps_llmem_files[0].count, read_row, &self, err);
}
