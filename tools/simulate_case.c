/* SPDX-License-Identifier: MIT
 *
 * From an input and options to a result, for every verb that simulates.
 */
#include "simulate_case.h"

#include <stdio.h>
#include <string.h>

#include "artefact.h"
#include "base/memory.h"
#include "host_options.h"
#include "load_plan.h"
#include "model_case.h"
#include "model_recipe.h"
#include "parallel_options.h"
#include "plan/hazards.h"
#include "policy/break_even.h"
#include "policy/whatif.h"
#include "recorded_ranks.h"
#include "run/run.h"

#define PATH_BYTES 4096

const ps_option ps_simulate_options[] = {
    {.name = "gpu",
     .kind = PS_OPTION_TEXT,
     .value = "NAME",
     .help = "run on another GPU: kernels are rescaled by what bounds them, copies by its host "
             "link, memory is its own; names as in the catalogue or as drivers report them"},
    {.name = "pcie",
     .kind = PS_OPTION_QUANTITY,
     .value = "RATE",
     .unit = PS_UNIT_BANDWIDTH,
     .min = 1000,
     .help = "bandwidth of the host link in each direction, as large pinned copies reach it"},
    PS_HOST_OPTION_ROWS,
    {.name = "memory",
     .kind = PS_OPTION_QUANTITY,
     .value = "SIZE",
     .unit = PS_UNIT_SIZE,
     .min = 1,
     .help = "memory of the device; what does not fit is explained, exit status 1"},
    {.name = "base",
     .kind = PS_OPTION_QUANTITY,
     .value = "SIZE",
     .unit = PS_UNIT_SIZE,
     .min = 0,
     .help = "memory taken outside the framework's allocator (context, libraries), in place of "
             "the catalogue's figure"},
    {.name = "software",
     .kind = PS_OPTION_TEXT,
     .value = "NAME",
     .help = "driver and libraries, which decide what lies outside the allocator: cuda-11.8, "
             "cuda-12, cuda-13, rocm-6 or an entry of --catalogue"},
    {.name = "allocator",
     .kind = PS_OPTION_CHOICE,
     .value = "native|expandable|exact",
     .help = "allocator model: PyTorch's caching allocator, the same with expandable segments, or "
             "live bytes alone; as recorded when absent"},
    {.name = "allocator-conf",
     .kind = PS_OPTION_TEXT,
     .value = "TEXT",
     .help = "PYTORCH_CUDA_ALLOC_CONF in place of the recorded one; an empty text is PyTorch's "
             "defaults"},
    {.name = "allocator-option",
     .kind = PS_OPTION_TEXT,
     .value = "KEY=VALUE",
     .is_repeatable = true,
     .help = "one setting in PyTorch's own words, e.g. max_split_size_mb=128"},
    {.name = "cache",
     .kind = PS_OPTION_CHOICE,
     .value = "recovered|empty|steady",
     .help = "what the allocator holds at the start: as recovered from the recording, nothing, or "
             "what one earlier run of the same requests left; recovered where that is possible"},
    {.name = "catalogue",
     .kind = PS_OPTION_TEXT,
     .value = "FILE",
     .help = "CSV file with further GPUs or other figures (see docs/EXTENDING.md)"},
    {.name = "break-even",
     .kind = PS_OPTION_CHOICE,
     .value = "pcie|host-memory|cores",
     .is_repeatable = true,
     .help =
         "of traffic with hosts: find the least bandwidth beyond which more shortens the step by "
         "at most 1 %; takes some ten runs"},
    {.name = "save-plan",
     .kind = PS_OPTION_TEXT,
     .value = "FILE",
     .help = "write the plan that is simulated as a .psplan file"},
    PS_PARALLEL_OPTION_ROWS,
    PS_RECORDED_RANKS_OPTION_ROWS,
    PS_BATCH_OPTION_ROWS,
    {.name = "recorded-batch",
     .kind = PS_OPTION_QUANTITY,
     .value = "N",
     .unit = PS_UNIT_COUNT,
     .min = 1,
     .help = "batch size of the recording, where the trace does not tell it"},
    {.name = "recorded-seq",
     .kind = PS_OPTION_QUANTITY,
     .value = "N",
     .unit = PS_UNIT_COUNT,
     .min = 1,
     .help = "sequence length of the recording, where the trace does not tell it"},
    {.name = "structure-file",
     .kind = PS_OPTION_TEXT,
     .value = "FILE",
     .help = "CSV file (what,selector,value) that overrides what was recovered of the trace's "
             "structure; see docs/MODEL.md"},
    PS_MODEL_OPTION_ROWS,
    {.name = "strict", .help = "fail when anything was lost while recording or importing"},
    PS_OPTION_JSON_ROW,
    {0},
};

static ps_code read_changes(const ps_args *args, const char **allocator_option, ps_whatif *out)
{
    *out = (ps_whatif){
        .gpu = ps_args_text(args, "gpu"),
        .pcie_bytes_per_s = ps_args_quantity(args, "pcie"),
        .host_memory_bytes_per_s = ps_args_quantity(args, "host-memory"),
        .host_capacity_bytes = ps_args_quantity(args, "host-capacity"),
        .memory_bytes = ps_args_quantity(args, "memory"),
        .base_bytes = ps_args_quantity(args, "base"),
        .has_base = ps_args_has(args, "base"),
        .software = ps_args_text(args, "software"),
        .allocator = ps_args_text(args, "allocator"),
        .allocator_conf = ps_args_text(args, "allocator-conf"),
        .allocator_option = allocator_option,
        .allocator_option_count = ps_args_count(args, "allocator-option"),
        .cache = ps_args_text(args, "cache"),
    };
    for (size_t i = 0; i < out->allocator_option_count; i++) {
        allocator_option[i] = ps_args_at(args, "allocator-option", i);
    }
    return PS_OK;
}

static bool has_scale(const ps_args *args)
{
    return ps_args_has(args, "batch") || ps_args_has(args, "seq");
}

static ps_whatif_scale read_scale(const ps_args *args, const ps_loaded *input)
{
    return (ps_whatif_scale){
        .batch = ps_args_quantity(args, "batch"),
        .sequence = ps_args_quantity(args, "seq"),
        .recorded_batch = ps_args_quantity(args, "recorded-batch"),
        .recorded_sequence = ps_args_quantity(args, "recorded-seq"),
        .trace = input->trace,
        .structure = input->structure,
        .overrides = &input->overrides,
    };
}

/* A plan that was made from a model has its GPU, its software and its sizes already. */
static ps_code change_plan(const ps_args *args, const ps_catalogue *catalogue, bool is_made,
                           const ps_loaded *input, ps_error *err)
{
    ps_whatif change;
    const ps_whatif_scale scale = read_scale(args, input);
    const char **texts = ps_calloc(ps_args_count(args, "allocator-option") + 1, sizeof *texts);
    if (texts == NULL) {
        return ps_fail_nomem(err);
    }
    ps_code code = read_changes(args, texts, &change);
    if (is_made) {
        change.gpu = NULL;
        change.software = NULL;
    } else {
        change.scale = has_scale(args) ? &scale : NULL;
    }
    if (code == PS_OK) {
        code = is_made ? ps_whatif_apply(input->plan, catalogue, &change, err)
                       : ps_recorded_ranks_apply(args, catalogue, &change, input, err);
    }
    ps_free(texts);
    return code;
}

static ps_code check_losses(const ps_plan *plan, ps_error *err)
{
    for (size_t i = 0; i < plan->loss.head.count; i++) {
        if (plan->loss.severity[i] != PS_SEVERITY_INFO && plan->loss.count[i] > 0) {
            return ps_fail(err, PS_CHECK_FAILED, "%llu %s (--strict)",
                           (unsigned long long)plan->loss.count[i],
                           ps_strings_text(plan->strings, plan->loss.name[i]));
        }
    }
    return PS_OK;
}

/* ---- inputs ---- */

static ps_code refuse_recipe(const ps_args *args, const char *what, ps_error *err)
{
    const char *given = ps_model_recipe_given(args);
    return given == NULL
               ? PS_OK
               : ps_fail(err, PS_USAGE, "--%s says how a model is trained: %s", given, what);
}

/* A file holds one workload: it must be that of all ranks. */
static ps_code read_rank(void *context, uint32_t rank, ps_workload **out, ps_error *err)
{
    const char *path = context;
    return rank == 0 ? ps_workload_read(path, out, err)
                     : ps_fail(err, PS_USAGE, "%s: the workload of some ranks; rank %u has another",
                               path, rank);
}

static ps_code build_ranks(const char *input, const ps_args *args, const ps_model_machine *machine,
                           ps_ranks *out, ps_error *err)
{
    static const char *const offloads[] = {"offload-activations", "offload-parameters"};
    char path[PATH_BYTES];
    if (ps_model_case_is(input)) {
        return ps_model_case_build(input, args, machine, out, err);
    }
    if (snprintf(path, sizeof path, "%s", input) >= (int)sizeof path) {
        return ps_fail(err, PS_USAGE, "a path of more than %d bytes", PATH_BYTES);
    }
    PS_TRY(refuse_recipe(args, "this workload is built already", err));
    for (size_t i = 0; i < sizeof offloads / sizeof offloads[0]; i++) {
        if (ps_args_has(args, offloads[i])) {
            return ps_fail(err, PS_USAGE, "--%s: this workload is built already", offloads[i]);
        }
    }
    return ps_ranks_build(machine->gpus, read_rank, path, out, err);
}

static ps_code make_plan(const char *input, const ps_args *args, const ps_catalogue *catalogue,
                         ps_plan **out, ps_error *err)
{
    ps_model_machine machine;
    ps_ranks ranks;
    if (ps_args_has(args, "offload-optimizer")) {
        return ps_fail(err, PS_USAGE,
                       "--offload-optimizer is of a recording; a model's optimizer goes to the "
                       "host by --policy zero-offload, or by --policy zero2 or zero3 with "
                       "--scheme-option offload_optimizer=true");
    }
    PS_TRY(ps_model_machine_read(args, catalogue, &machine, err));
    ps_model_machine_set_memory(&machine, ps_args_quantity(args, "memory"));
    ps_code code = build_ranks(input, args, &machine, &ranks, err);
    if (code == PS_OK) {
        code = ps_model_case_lower(&ranks, args, catalogue, &machine, out, err);
        ps_ranks_fini(&ranks);
    }
    ps_model_machine_fini(&machine);
    return code;
}

/* A recording shows what its launch made of it. */
static ps_code refuse_launch(const ps_args *args, ps_error *err)
{
    static const char *const known[] = {"cores", "binding", "distribution"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (ps_args_has(args, known[i])) {
            return ps_fail(err, PS_USAGE, "--%s is of a model that nobody recorded", known[i]);
        }
    }
    return PS_OK;
}

static ps_code load(const char *input, const ps_args *args, const ps_catalogue *catalogue,
                    bool *is_made, ps_loaded *out, ps_error *err)
{
    *is_made = true;
    *out = (ps_loaded){0};
    if (ps_model_case_is(input) || ps_artefact_of(input) == PS_ARTEFACT_WORKLOAD) {
        return make_plan(input, args, catalogue, &out->plan, err);
    }
    *is_made = false;
    PS_TRY(refuse_recipe(args, "this input was recorded", err));
    PS_TRY(refuse_launch(args, err));
    return ps_load_with_structure(input, ps_args_text(args, "structure-file"), out, err);
}

/* Memory that the plan's order does not protect is told in the plan and its result. */
static ps_code prove(ps_plan *plan, bool is_strict, ps_error *err)
{
    ps_hazards found;
    PS_TRY(ps_plan_hazards(plan, &found, err));
    PS_TRY(ps_plan_tell_hazards(plan, &found, err));
    return is_strict && found.total > 0
               ? ps_fail(err, PS_CHECK_FAILED, "%llu " PS_HAZARDS_LOSS " (--strict): %s",
                         (unsigned long long)found.total, ps_plan_meta(plan, PS_HAZARDS_LOSS))
               : PS_OK;
}

/* The plan as the options want it. */
static ps_code prepare(const ps_args *args, const ps_catalogue *catalogue, bool is_made,
                       ps_loaded *input, ps_error *err)
{
    if (ps_args_has(args, "strict")) {
        PS_TRY(check_losses(input->plan, err));
    }
    PS_TRY(change_plan(args, catalogue, is_made, input, err));
    PS_TRY(ps_recorded_ranks_speeds(args, &input->plan, err));
    PS_TRY(prove(input->plan, ps_args_has(args, "strict"), err));
    if (ps_args_has(args, "save-plan")) {
        PS_TRY(ps_plan_write(input->plan, ps_args_text(args, "save-plan"), err));
    }
    return PS_OK;
}

static ps_code find_break_evens(const ps_args *args, ps_plan *plan, ps_result *out, ps_error *err)
{
    for (size_t i = 0; i < ps_args_count(args, "break-even"); i++) {
        const char *name = ps_args_at(args, "break-even", i);
        for (int of = 0; of < PS_BREAK_EVEN_COUNT; of++) {
            if (strcmp(name, ps_break_even_name((ps_break_even_of)of)) == 0) {
                PS_TRY(ps_break_even(plan, (ps_break_even_of)of, &out->break_even[of], err));
            }
        }
    }
    return PS_OK;
}

static ps_code run(const ps_args *args, ps_plan *plan, ps_result *out, ps_error *err)
{
    PS_TRY(ps_run_plan(plan, out, err));
    ps_code code = ps_recorded_ranks_jitter(args, plan, out, err);
    if (code == PS_OK) {
        code = find_break_evens(args, plan, out, err);
    }
    if (code != PS_OK) {
        ps_result_fini(out);
    }
    return code;
}

static ps_code simulate(const char *input, const ps_args *args, const ps_catalogue *catalogue,
                        ps_simulated *out, ps_error *err)
{
    ps_loaded loaded;
    ps_result result;
    bool is_made;
    PS_TRY(load(input, args, catalogue, &is_made, &loaded, err));
    ps_code code = prepare(args, catalogue, is_made, &loaded, err);
    if (code == PS_OK) {
        code = run(args, loaded.plan, &result, err);
    }
    if (code == PS_OK) {
        *out = (ps_simulated){.plan = loaded.plan, .result = result};
        loaded.plan = NULL; /* stays with the result */
    }
    ps_loaded_fini(&loaded);
    return code;
}

ps_code ps_simulate_case(const char *input, const ps_args *args, ps_simulated *out, ps_error *err)
{
    ps_catalogue *catalogue;
    PS_TRY(ps_model_case_catalogue(args, &catalogue, err));
    const ps_code code = simulate(input, args, catalogue, out, err);
    ps_catalogue_destroy(catalogue);
    return code;
}

void ps_simulated_fini(ps_simulated *self)
{
    ps_result_fini(&self->result);
    ps_plan_destroy(self->plan);
    *self = (ps_simulated){0};
}
