/* SPDX-License-Identifier: MIT
 *
 * LLMem's chooser behind the command's options.
 */
#include "llmem_chooser.h"

#include <string.h>

#include "cli/json.h"
#include "cli/table.h"
#include "model_case.h"
#include "search/llmem.h"

#define DEFAULT_LENGTH 512 /* of the release's runs: max_seq_len */

typedef struct asked {
    const char *model_name, *gpu_name;
    ps_llmem_figures figures;
    ps_llmem_model model;
    ps_llmem_job job;
    ps_llmem_choice choice;
} asked;

/* The estimator's training is what its release runs: nothing else can be asked of it. */
static ps_code refuse_others(const ps_args *args, ps_error *err)
{
    static const char *const known[] = {"gpu",       "gpus", "cluster", "cluster-file",
                                        "memory",    "base", "seq",     "chooser",
                                        "catalogue", "json", "quiet"};
    for (size_t i = 0; i < args->value_count; i++) {
        const char *name = args->value[i].option->name;
        bool is_known = false;
        for (size_t k = 0; k < sizeof known / sizeof known[0]; k++) {
            is_known = is_known || strcmp(name, known[k]) == 0;
        }
        if (!is_known) {
            return ps_fail(err, PS_USAGE,
                           "--%s: LLMem's estimator knows one training: 16-bit weights with 32-bit "
                           "copies in Gemini's chunks, Adam, every layer recomputed",
                           name);
        }
    }
    return PS_OK;
}

static ps_code read_machine(const ps_args *args, const ps_catalogue *catalogue, asked *self,
                            ps_error *err)
{
    ps_figure memory;
    ps_hardware_id gpu;
    const char *name = ps_args_text(args, "gpu");
    self->job.gpus = ps_args_has(args, "gpus") ? (int64_t)ps_args_quantity(args, "gpus") : 1;
    if (name == NULL) {
        return ps_fail(err, PS_USAGE, "LLMem's estimator needs to know the GPU: --gpu NAME");
    }
    PS_TRY(ps_catalogue_find(catalogue, PS_HARDWARE_GPU, name, &gpu, err));
    PS_TRY(ps_catalogue_need(catalogue, gpu, PS_FIGURE_MEMORY, &memory, err));
    self->gpu_name = ps_catalogue_name(catalogue, gpu);
    self->job.capacity_bytes =
        ps_args_has(args, "memory") ? ps_args_quantity(args, "memory") : memory.value;
    return PS_OK;
}

static ps_code choose(const ps_args *args, const ps_model_config *config, asked *self,
                      ps_error *err)
{
    const ps_family *family;
    PS_TRY(ps_family_of(config, &family, err));
    PS_TRY(ps_llmem_figures_read(family->model_type, &self->figures, err));
    if (ps_args_has(args, "base")) {
        self->figures.base_bytes = ps_args_quantity(args, "base");
    }
    self->model_name = ps_model_config_name(config);
    self->job.figures = &self->figures;
    self->job.model = &self->model;
    self->job.length =
        ps_args_has(args, "seq") ? (int64_t)ps_args_quantity(args, "seq") : DEFAULT_LENGTH;
    PS_TRY(ps_llmem_model_read(config, &self->model, err));
    const ps_code code = ps_llmem_choose(&self->job, &self->choice, err);
    ps_llmem_model_fini(&self->model);
    return code;
}

/* ---- showing ---- */

static void print_answer(const asked *self, ps_output *out)
{
    const ps_llmem_choice *c = &self->choice;
    char name[PS_LLMEM_NAME_BYTES], a[PS_QUANTITY_TEXT_BYTES], b[PS_QUANTITY_TEXT_BYTES];
    if (c->chosen == SIZE_MAX) {
        ps_output_print(out, "LLMem chooses CPU offload: no method fits\n\n");
    } else {
        const ps_llmem_estimate *of = &c->estimate[c->chosen];
        ps_llmem_name(of->method, name);
        ps_output_print(out, "LLMem chooses %s with a batch of %lld: %s of %s\n\n", name,
                        (long long)of->batch,
                        ps_quantity_format(PS_UNIT_SIZE, of->largest_bytes, a),
                        ps_quantity_format(PS_UNIT_SIZE, self->job.capacity_bytes, b));
    }
    ps_output_quote(out, self->model_name);
    ps_output_print(out, " on %lld x %s, sequences of %lld tokens, %s beside tensors (--base)\n",
                    (long long)self->job.gpus, self->gpu_name, (long long)self->job.length,
                    ps_quantity_format(PS_UNIT_SIZE, self->figures.base_bytes, a));
}

static ps_code show_text(const asked *self, ps_output *out, ps_error *err)
{
    static const ps_grid_column columns[] = {
        {"method", false}, {"one sequence", true}, {"largest batch", true}, {"score", true}};
    ps_grid grid;
    print_answer(self, out);
    ps_grid_init(&grid, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < self->choice.count; i++) {
        const ps_llmem_estimate *of = &self->choice.estimate[i];
        char name[PS_LLMEM_NAME_BYTES], size[PS_QUANTITY_TEXT_BYTES];
        ps_llmem_name(of->method, name);
        ps_grid_cell(&grid, "%s", name);
        ps_grid_cell(&grid, "%s", ps_quantity_format(PS_UNIT_SIZE, of->first_bytes, size));
        ps_grid_cell(&grid, "%lld", (long long)of->batch);
        ps_grid_cell(&grid, "%llu%s", (unsigned long long)of->score / 2,
                     of->score % 2 == 1 ? ".5" : "");
    }
    return ps_grid_print(&grid, out, 2, err);
}

static ps_code show_json(const asked *self, ps_output *out, ps_error *err)
{
    const ps_llmem_choice *c = &self->choice;
    char name[PS_LLMEM_NAME_BYTES];
    ps_json json;
    ps_json_open(&json, out, PS_JSON_LINES);
    ps_json_object(&json, NULL);
    ps_json_text(&json, "schema", "peakstep.llmem/1");
    ps_json_text(&json, "model", self->model_name);
    ps_json_text(&json, "gpu", self->gpu_name);
    ps_json_i64(&json, "gpus", self->job.gpus);
    ps_json_u64(&json, "base_bytes", self->figures.base_bytes);
    ps_json_u64(&json, "capacity_bytes", self->job.capacity_bytes);
    if (c->chosen == SIZE_MAX) {
        ps_json_text(&json, "choice", "CPU offload");
    } else {
        ps_llmem_name(c->estimate[c->chosen].method, name);
        ps_json_text(&json, "choice", name);
    }
    ps_json_array(&json, "methods");
    for (size_t i = 0; i < c->count; i++) {
        const ps_llmem_estimate *of = &c->estimate[i];
        ps_llmem_name(of->method, name);
        ps_json_object(&json, NULL);
        ps_json_text(&json, "method", name);
        ps_json_u64(&json, "one_sequence_bytes", of->first_bytes);
        ps_json_i64(&json, "largest_batch", of->batch);
        ps_json_u64(&json, "score_halves", of->score);
        ps_json_end(&json);
    }
    ps_json_end(&json);
    ps_json_end(&json);
    return ps_json_close(&json, err);
}

ps_code ps_llmem_chooser(const ps_args *args, const ps_catalogue *catalogue, ps_output *out,
                         ps_error *err)
{
    asked self = {0};
    ps_model_config *config;
    PS_TRY(refuse_others(args, err));
    PS_TRY(read_machine(args, catalogue, &self, err));
    PS_TRY(ps_model_case_config(args->operand[0], &config, err));
    ps_code code = choose(args, config, &self, err);
    if (code == PS_OK) {
        code = ps_args_has(args, "json") ? show_json(&self, out, err) : show_text(&self, out, err);
    }
    ps_model_config_destroy(config);
    PS_TRY(code);
    return self.choice.chosen == SIZE_MAX
               ? ps_fail(err, PS_DEVICE_FULL, "no method of LLMem's fits the memory of %s",
                         self.gpu_name)
               : PS_OK;
}
