/* SPDX-License-Identifier: MIT
 *
 * peakstep simulate: what a run needs and how long it takes, as recorded or
 * on other hardware.
 */
#include "cli/verb.h"
#include "simulate_case.h"
#include "simulate_text.h"

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
    {"peakstep simulate run.pstrace --batch 64 --recorded-batch 16",
     "The same program with four times the batch."},
    {"peakstep simulate run.pstrace --gpus 8 --jitter 5%",
     "The same job on eight GPUs that are never equally fast, by DistributedDataParallel."},
    {"peakstep simulate snapshot.pickle --allocator expandable --json",
     "What expandable segments would reserve."},
    {0},
};

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
    for (size_t i = 0; i < result->node_count; i++) {
        const ps_result_node *node = &result->node[i];
        if (!node->fits) {
            char needed[PS_QUANTITY_TEXT_BYTES];
            return ps_fail(err, PS_DEVICE_FULL, "%s: host memory does not suffice, %s would",
                           ps_strings_text(result->plan->strings, node->name),
                           ps_quantity_format(PS_UNIT_SIZE, node->peak_bytes, needed));
        }
    }
    return PS_OK;
}

static ps_code show(const ps_args *args, const ps_result *result, ps_output *out, ps_error *err)
{
    PS_TRY(ps_args_has(args, "json") ? ps_result_write_json(result, ps_output_text, out, err)
                                     : ps_simulate_text(result, out, err));
    return explain_refusal(result, err);
}

static ps_code run(const ps_args *args, ps_output *out, ps_error *err)
{
    ps_simulated simulated;
    PS_TRY(ps_simulate_case(args->operand[0], args, &simulated, err));
    const ps_code code = show(args, &simulated.result, out, err);
    ps_simulated_fini(&simulated);
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
        "--batch and --seq scale sizes by what recorded shapes, divisibility and roles tell, and "
        "device work by bytes, arithmetic and how far a kernel fills the GPU; host time stays.\n"
        "--gpus of a recording of one GPU puts it under DistributedDataParallel, each GPU with the "
        "recorded batch; of one of several ranks it changes the groups that train on data of their "
        "own. --rank-speed and --jitter make ranks differ.\n"
        "--offload-activations streamed of a recording of one rank: what blocks keep for backward "
        "waits in host memory, over the links of the GPU's usual machine or of --cluster. "
        "--offload-optimizer takes the optimizer's kernels and states off the device: gradients go "
        "to the host, which steps, and weights come back (ZeRO-Offload); with --scheme-option "
        "delayed=true beside the next step. --offload-parameters "
        "streams what blocks work on, found by recorded shapes of operators or by the model's own "
        "allocations.\n"
        "The result depends on the plan alone: a plan written by --save-plan gives the same "
        "result again.",
    .operands = operands,
    .options = ps_simulate_options,
    .examples = examples,
    .no_means = "memory does not suffice, or --strict found losses",
    .run = run,
};
