/* SPDX-License-Identifier: MIT
 *
 * peakstep simulate: what a run needs and how long it takes, as recorded or
 * on other hardware.
 */
#include <string.h>

#include "base/memory.h"
#include "cli/verb.h"
#include "load_plan.h"
#include "policy/whatif.h"
#include "run/run.h"
#include "simulate_text.h"

static const ps_option options[] = {
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
    {.name = "save-plan",
     .kind = PS_OPTION_TEXT,
     .value = "FILE",
     .help = "write the plan that is simulated as a .psplan file"},
    {.name = "strict", .help = "fail when anything was lost while recording or importing"},
    PS_OPTION_JSON_ROW,
    {0},
};

static const ps_operand operands[] = {
    {.name = "INPUT",
     .help = "a trace (.pstrace), a plan (.psplan), or a recording of another tool, which is "
             "imported on the way"},
    {0},
};

static const ps_example examples[] = {
    {"peakstep simulate run.pstrace", "Step time and peak memory of the run as recorded."},
    {"peakstep simulate run.pstrace --gpu H100-SXM-80 --pcie 25GB/s",
     "The same program on an H100 behind a slower host link."},
    {"peakstep simulate run.pstrace --memory 24GiB",
     "Would it fit, and if not, which request fails and why."},
    {"peakstep simulate snapshot.pickle --allocator expandable --json",
     "What expandable segments would reserve."},
    {0},
};

static ps_code read_changes(const ps_args *args, const char **allocator_option, ps_whatif *out)
{
    *out = (ps_whatif){
        .gpu = ps_args_text(args, "gpu"),
        .pcie_bytes_per_s = ps_args_quantity(args, "pcie"),
        .memory_bytes = ps_args_quantity(args, "memory"),
        .base_bytes = ps_args_quantity(args, "base"),
        .has_base = ps_args_has(args, "base"),
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

static ps_code open_catalogue(const ps_args *args, ps_catalogue **out, ps_error *err)
{
    const char *path = ps_args_text(args, "catalogue");
    PS_TRY(ps_catalogue_create(out, err));
    const ps_code code = path == NULL ? PS_OK : ps_catalogue_read_file(*out, path, err);
    if (code != PS_OK) {
        ps_catalogue_destroy(*out);
    }
    return code;
}

static ps_code change_plan(const ps_args *args, ps_plan *plan, ps_error *err)
{
    ps_whatif change;
    ps_catalogue *catalogue;
    const char **texts = ps_calloc(ps_args_count(args, "allocator-option") + 1, sizeof *texts);
    if (texts == NULL) {
        return ps_fail_nomem(err);
    }
    ps_code code = read_changes(args, texts, &change);
    if (code == PS_OK) {
        code = open_catalogue(args, &catalogue, err);
    }
    if (code == PS_OK) {
        code = ps_whatif_apply(plan, catalogue, &change, err);
        ps_catalogue_destroy(catalogue);
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

static ps_code explain_refusal(const ps_result *result, ps_error *err)
{
    for (size_t i = 0; i < result->device_count; i++) {
        const ps_result_device *device = &result->device[i];
        if (!device->fits) {
            char needed[PS_QUANTITY_TEXT_BYTES];
            return ps_fail(err, PS_DEVICE_FULL, "GPU %u: memory does not suffice, %s would",
                           device->ordinal,
                           ps_quantity_format(PS_UNIT_SIZE, device->needed_bytes, needed));
        }
    }
    return PS_OK;
}

static ps_code show(const ps_args *args, const ps_plan *plan, ps_output *out, ps_error *err)
{
    ps_result result;
    PS_TRY(ps_run_plan(plan, &result, err));
    ps_code code = ps_args_has(args, "json")
                       ? ps_result_write_json(&result, ps_output_text, out, err)
                       : ps_simulate_text(&result, out, err);
    if (code == PS_OK) {
        code = explain_refusal(&result, err);
    }
    ps_result_fini(&result);
    return code;
}

static ps_code simulate(const ps_args *args, ps_plan *plan, ps_output *out, ps_error *err)
{
    if (ps_args_has(args, "strict")) {
        PS_TRY(check_losses(plan, err));
    }
    PS_TRY(change_plan(args, plan, err));
    if (ps_args_has(args, "save-plan")) {
        PS_TRY(ps_plan_write(plan, ps_args_text(args, "save-plan"), err));
    }
    return show(args, plan, out, err);
}

static ps_code run(const ps_args *args, ps_output *out, ps_error *err)
{
    ps_plan *plan;
    PS_TRY(ps_load_plan(args->operand[0], &plan, err));
    const ps_code code = simulate(args, plan, out, err);
    ps_plan_destroy(plan);
    return code;
}

const ps_verb ps_verb_simulate = {
    .name = "simulate",
    .summary = "predict peak memory and step time of a recorded run",
    .description =
        "Lowers a trace to a plan (every host call, kernel, copy and allocator request with what "
        "it waits for), changes the plan as the options say, and simulates it. Without options "
        "the plan does again what was recorded, and the recorded times and allocated bytes come "
        "out again.\n"
        "Memory is three numbers: bytes of live tensors (allocated), bytes the framework's "
        "allocator holds (reserved), and what the device reports (reserved plus what lies outside "
        "the allocator). Every figure says whether it was measured, scaled from a measurement, "
        "computed, or guessed.\n"
        "The result depends on the plan alone: a plan written by --save-plan gives the same "
        "result again.",
    .operands = operands,
    .options = options,
    .examples = examples,
    .no_means = "memory does not suffice, or --strict found losses",
    .run = run,
};
