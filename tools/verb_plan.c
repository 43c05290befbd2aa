/* SPDX-License-Identifier: MIT
 *
 * peakstep plan: the method that fits and is fastest.
 */
#include <limits.h>
#include <string.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "base/memory.h"
#include "cli/progress.h"
#include "cli/verb.h"
#include "host_options.h"
#include "llmem_chooser.h"
#include "model_case.h"
#include "search_report.h"

static const ps_option options[] = {
    {.name = "gpu",
     .kind = PS_OPTION_TEXT,
     .value = "NAME",
     .help = "GPU to train on; names as in the catalogue or as drivers report them"},
    PS_PARALLEL_OPTION_ROWS,
    {.name = "global-batch",
     .kind = PS_OPTION_QUANTITY,
     .value = "N",
     .unit = PS_UNIT_COUNT,
     .min = 1,
     .max = 1000000,
     .help = "sequences of a step over all GPUs; micro-batches are its divisors, accumulated"},
    {.name = "min-tokens",
     .kind = PS_OPTION_QUANTITY,
     .value = "N",
     .unit = PS_UNIT_COUNT,
     .min = 1,
     .max = 1000000000,
     .help = "least tokens of a step over all GPUs: micro-batches are accumulated until then"},
    {.name = "allow",
     .kind = PS_OPTION_CHOICE,
     .value = "lora|qlora|lsp|lomo|mezo",
     .is_repeatable = true,
     .help = "search with adapters too, of --lora's rank or 16: on the weights, or on weights of "
             "4 bits; with LSP-Offload, whose gradients are projected; with LOMO; with MeZO, also "
             "by ZO2: all train another model"},
    {.name = "margin",
     .kind = PS_OPTION_QUANTITY,
     .value = "SHARE",
     .fallback = "5%",
     .unit = PS_UNIT_RATIO,
     .max = 900000,
     .help = "share of a GPU's memory that must stay free"},
    {.name = "chooser",
     .kind = PS_OPTION_CHOICE,
     .value = "simulation|llmem",
     .help =
         "llmem: in place of a search what LLMem (Kim et al., 2024) chooses by its estimates "
         "of memory, on GPUs that train in Gemini's chunks; --base is what lies beside tensors"},
    {.name = "top",
     .kind = PS_OPTION_QUANTITY,
     .value = "N",
     .unit = PS_UNIT_COUNT,
     .min = 1,
     .max = 1000,
     .help = "rows of each table; 8 when absent"},
    {.name = "memory",
     .kind = PS_OPTION_QUANTITY,
     .value = "SIZE",
     .unit = PS_UNIT_SIZE,
     .min = 1,
     .help = "memory of a GPU, in place of the catalogue's figure"},
    PS_HOST_OPTION_ROWS,
    {.name = "base",
     .kind = PS_OPTION_QUANTITY,
     .value = "SIZE",
     .unit = PS_UNIT_SIZE,
     .min = 0,
     .help = "memory taken outside the framework's allocator, in place of the catalogue's figure"},
    {.name = "software",
     .kind = PS_OPTION_TEXT,
     .value = "NAME",
     .help = "driver and libraries, which decide what lies outside the allocator"},
    {.name = "allocator",
     .kind = PS_OPTION_CHOICE,
     .value = "native|expandable|exact",
     .help = "allocator model: PyTorch's caching allocator when absent"},
    {.name = "allocator-conf",
     .kind = PS_OPTION_TEXT,
     .value = "TEXT",
     .help = "PYTORCH_CUDA_ALLOC_CONF"},
    {.name = "catalogue",
     .kind = PS_OPTION_TEXT,
     .value = "FILE",
     .help = "CSV file with further GPUs or other figures (see docs/EXTENDING.md)"},
    PS_BATCH_OPTION_ROWS,
    PS_MODEL_OPTION_ROWS,
    PS_OPTION_JSON_ROW,
    {0},
};

static const ps_operand operands[] = {
    {.name = "MODEL",
     .help = "a config.json of Hugging Face, or the name of a published model such as llama-3-8b"},
    {0},
};

static const ps_example examples[] = {
    {"peakstep plan llama-3-8b --gpus 8 --gpu H100-SXM-80 --seq 4096",
     "How to train it on eight GPUs, and why not otherwise."},
    {"peakstep plan llama-3-8b --gpu rtx4090 --allow lora --allow qlora",
     "What fits one card, adapters among it."},
    {"peakstep plan llama-3-8b --gpus 2 --gpu rtx4090 --host-capacity 256GiB",
     "All weights on two cards: states on a host of 256 GiB."},
    {"peakstep plan config.json --gpus 16 --gpu A100-SXM-80 --global-batch 256",
     "The same step of 256 sequences, divided in every way."},
    {"peakstep plan llama-3-8b --gpus 8 --gpu H100-SXM-80 --policy fsdp2 --min-tokens 500000",
     "What is given is kept: of this scheme the best batch and recomputation."},
    {"peakstep plan opt-2.7b --gpus 4 --gpu V100-SXM2-16 --chooser llmem", "LLMem's choice."},
    {0},
};

/* ---- searching ---- */

typedef struct running {
    ps_search_case of;
    ps_progress bar;
} running;

static ps_code evaluate(void *context, const ps_search_point *point, bool in_full,
                        ps_search_outcome *out, ps_error *err)
{
    running *self = context;
    return ps_search_case_evaluate(&self->of, point, in_full, out, err);
}

static void show_progress(void *context, size_t done, size_t all)
{
    running *self = context;
    self->bar.total = all;
    ps_progress_update(&self->bar, done);
}

static ps_code search(running *self, ps_search_result *out, ps_error *err)
{
    const ps_search_space space = ps_search_case_space(&self->of);
    ps_search what = {.rule = ps_search_case_rule(&self->of),
                      .evaluate = evaluate,
                      .context = self,
                      .progress = show_progress};
    ps_search_method *method;
    PS_TRY(ps_search_methods(&space, &method, &what.method_count, err));
    if (what.method_count == 0) {
        return ps_fail(err, PS_USAGE, "no degrees of --tp and --pp divide %lld GPUs as asked for",
                       (long long)space.gpus);
    }
    what.method = method;
    ps_progress_begin(&self->bar, self->of.args, "methods", what.method_count);
    const ps_code code = ps_search_run(&what, out, err);
    ps_progress_end(&self->bar);
    ps_free(method);
    return code;
}

static ps_code find_remedies(ps_search_report *report, ps_error *err)
{
    const ps_search_result *result = &report->result;
    report->remedies = ps_calloc(result->family_count + 1, sizeof *report->remedies);
    if (report->remedies == NULL) {
        return ps_fail_nomem(err);
    }
    /* beside an answer the smallest change will do */
    const size_t most = result->fitting_count > 0 ? 1 : PS_SEARCH_REMEDIES;
    for (size_t i = result->fitting_count; i < result->family_count; i++) {
        const ps_search_trial *trial = &result->family[i].trial;
        if (trial->outcome.verdict == PS_SEARCH_TOO_LARGE) {
            PS_TRY(ps_search_find_remedies(report->of, trial, most, &report->remedies[i], err));
        }
    }
    return PS_OK;
}

/* Nothing fits, or nothing can be. */
static ps_code explain_refusal(const running *self, const ps_search_result *result, ps_error *err)
{
    bool is_too_large = false, lacks_host = false;
    for (size_t i = 0; i < result->family_count; i++) {
        const ps_search_outcome *outcome = &result->family[i].trial.outcome;
        is_too_large = is_too_large || outcome->verdict == PS_SEARCH_TOO_LARGE;
        lacks_host = lacks_host || ps_search_lacks_host(outcome);
    }
    if (is_too_large) {
        return ps_fail(err, PS_DEVICE_FULL, "no method fits the memory of %s%s",
                       ps_catalogue_name(self->of.catalogue, self->of.machine.gpu),
                       lacks_host ? " and of its host" : "");
    }
    return ps_fail(err, PS_USAGE, "no method can train this as it is asked for");
}

static ps_code report(running *self, const char *input, ps_output *out, ps_error *err)
{
    const ps_args *args = self->of.args;
    ps_search_report report = {.of = &self->of, .input = input};
    PS_TRY(search(self, &report.result, err));
    ps_code code = find_remedies(&report, err);
    if (code == PS_OK) {
        code = ps_args_has(args, "json") ? ps_search_json(&report, out, err)
                                         : ps_search_text(&report, out, err);
    }
    if (code == PS_OK && report.result.fitting_count == 0) {
        code = explain_refusal(self, &report.result, err);
    }
    ps_free(report.remedies);
    ps_search_result_fini(&report.result);
    return code;
}

/* Trials are alike, and each takes the memory that the one before it had: handing it back to the
 * kernel in between has every page zeroed again, a tenth of a search. */
static void keep_memory(void)
{
#ifdef __GLIBC__
    (void)mallopt(M_MMAP_MAX, 0);
    (void)mallopt(M_TRIM_THRESHOLD, INT_MAX);
    (void)mallopt(M_TOP_PAD, 1 << 26);
#endif
}

static ps_code run(const ps_args *args, ps_output *out, ps_error *err)
{
    ps_catalogue *catalogue;
    running self = {0};
    enum { BY_SIMULATION, BY_LLMEM };
    keep_memory();
    PS_TRY(ps_model_case_catalogue(args, &catalogue, err));
    if (ps_args_has(args, "chooser") && ps_args_choice(args, "chooser") == BY_LLMEM) {
        const ps_code chosen = ps_llmem_chooser(args, catalogue, out, err);
        ps_catalogue_destroy(catalogue);
        return chosen;
    }
    ps_code code = ps_search_case_read(args->operand[0], args, catalogue, &self.of, err);
    if (code == PS_OK) {
        code = report(&self, args->operand[0], out, err);
    }
    ps_search_case_fini(&self.of);
    ps_catalogue_destroy(catalogue);
    return code;
}

const ps_verb ps_verb_plan = {
    .name = "plan",
    .summary = "finds the way to train a model that fits and is fastest",
    .description =
        "Searches the ways in which a model can be trained on some GPUs: on one GPU, by every "
        "data-parallel scheme, by Megatron's tensor and pipeline degrees that divide the GPUs, the "
        "heads and the layers; without and with recomputation; with optimizer states, parameters "
        "and "
        "activations on the GPUs, in host memory or on disks; each with the largest micro-batch "
        "that memory allows, and smaller ones. Every trial is a simulation like that of peakstep "
        "simulate, with the command that does it again. The memory of a node is a limit, too "
        "(--host-capacity).\n"
        "\n"
        "The first lines are the answer. Then come the best of each family, the trials of which "
        "none is both smaller and faster, and for what does not fit what it needs, when, and the "
        "changes with which it would.\n"
        "\n"
        "What is given is kept: --policy, --tp, --checkpoint, --batch, --accumulate, --lora, "
        "--offload-activations and an offload_ setting leave the search less to choose. --dtype is "
        "bf16 where the GPU multiplies it, else fp16; "
        "the optimizer is adamw. Where nothing says how large a step is it has 16 Ki "
        "tokens a GPU, for all methods alike.",
    .operands = operands,
    .options = options,
    .examples = examples,
    .no_means = "nothing fits",
    .run = run,
};
