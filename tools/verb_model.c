/* SPDX-License-Identifier: MIT
 *
 * peakstep model: the workload of a model that nobody has run yet.
 */
#include "cli/json.h"
#include "cli/verb.h"
#include "info.h"
#include "model_case.h"
#include "model_recipe.h"
#include "workload/config/models.h"

static const ps_option options[] = {
    {.name = "gpu",
     .kind = PS_OPTION_TEXT,
     .value = "NAME",
     .help = "GPU it is built for: some kernels choose their buffers by the device; names as in "
             "the catalogue or as drivers report them"},
    PS_PARALLEL_OPTION_ROWS,
    PS_BATCH_OPTION_ROWS,
    PS_MODEL_OPTION_ROWS,
    {.name = "software",
     .kind = PS_OPTION_TEXT,
     .value = "NAME",
     .help = "driver and libraries: they decide cuBLAS's workspaces"},
    {.name = "catalogue",
     .kind = PS_OPTION_TEXT,
     .value = "FILE",
     .help = "CSV file with further GPUs or other figures (see docs/EXTENDING.md)"},
    {.name = "output",
     .letter = 'o',
     .kind = PS_OPTION_TEXT,
     .value = "PATH",
     .help = "workload to write, usually NAME.pswork; it appears whole or not at all"},
    {.name = "list", .help = "list the models that are known by name"},
    PS_OPTION_JSON_ROW,
    {0},
};

static const ps_operand operands[] = {
    {.name = "MODEL",
     .is_optional = true,
     .help = "a config.json of Hugging Face, or the name of a published model such as llama-3-8b"},
    {0},
};

static const ps_example examples[] = {
    {"peakstep model llama-3-8b --gpu rtx4090 --dtype bf16 --lora 16 --seq 2048",
     "What a step of this fine-tuning holds and computes."},
    {"peakstep model config.json --gpu A100-SXM4-80GB --batch 4 -o run.pswork",
     "Writes the workload of a model of one's own."},
    {"peakstep model --list", "Names of the models that are built in."},
    {0},
};

static ps_code print_names(const ps_models *models, bool as_json, ps_output *out, ps_error *err)
{
    ps_json json;
    if (!as_json) {
        for (uint32_t i = 0; i < ps_models_count(models); i++) {
            ps_output_print(out, "%s\n", ps_models_name(models, i));
        }
        return PS_OK;
    }
    ps_json_open(&json, out, PS_JSON_LINES);
    ps_json_object(&json, NULL);
    ps_json_array(&json, "models");
    for (uint32_t i = 0; i < ps_models_count(models); i++) {
        ps_json_text(&json, NULL, ps_models_name(models, i));
    }
    ps_json_end(&json);
    ps_json_end(&json);
    return ps_json_close(&json, err);
}

static ps_code list_models(const ps_args *args, ps_output *out, ps_error *err)
{
    ps_models *models;
    PS_TRY(ps_models_create(&models, err));
    const ps_code code = print_names(models, ps_args_has(args, "json"), out, err);
    ps_models_destroy(models);
    return code;
}

static ps_code show(const ps_args *args, const ps_workload *workload, ps_output *out, ps_error *err)
{
    const char *path = ps_args_text(args, "output");
    if (path != NULL) {
        PS_TRY(ps_workload_write(workload, path, err));
    }
    return ps_info_of_workload(path != NULL ? path : args->operand[0], workload,
                               ps_args_has(args, "json"), out, err);
}

/* Of several ranks the first one's workload is shown. */
static ps_code show_first(const ps_args *args, const ps_catalogue *catalogue, ps_output *out,
                          ps_error *err)
{
    ps_model_machine machine;
    ps_ranks ranks;
    PS_TRY(ps_model_machine_read(args, catalogue, &machine, err));
    ps_code code = ps_model_case_build(args->operand[0], args, &machine, &ranks, err);
    if (code == PS_OK) {
        code = show(args, ranks.workload[0], out, err);
        ps_ranks_fini(&ranks);
    }
    ps_model_machine_fini(&machine);
    return code;
}

static ps_code run(const ps_args *args, ps_output *out, ps_error *err)
{
    ps_catalogue *catalogue;
    if (ps_args_has(args, "list")) {
        return list_models(args, out, err);
    }
    if (args->operand_count == 0) {
        return ps_fail(err, PS_USAGE, "no MODEL: a config.json, or a name that --list shows");
    }
    PS_TRY(ps_model_case_catalogue(args, &catalogue, err));
    const ps_code code = show_first(args, catalogue, out, err);
    ps_catalogue_destroy(catalogue);
    return code;
}

const ps_verb ps_verb_model = {
    .name = "model",
    .summary = "builds the workload of a model that nobody has run yet",
    .description =
        "Builds what a fine-tuning of a model does, from its description alone: the training "
        "script runs on a model of PyTorch's eager framework, operation by operation, forward, "
        "backward and optimizer, and every tensor it would allocate and free becomes a row, in "
        "program order, with what each operation computes and moves.\n"
        "\n"
        "The workload says nothing of time. peakstep simulate takes the same names and options, "
        "or the file written by --output, and answers for a GPU.",
    .operands = operands,
    .options = options,
    .examples = examples,
    .run = run,
};
