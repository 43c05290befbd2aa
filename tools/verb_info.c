/* SPDX-License-Identifier: MIT
 *
 * peakstep info: what is in a trace or a plan.
 */
#include "artefact.h"
#include "cli/verb.h"
#include "info.h"

static ps_code run(const ps_args *args, ps_output *out, ps_error *err)
{
    const char *path = args->operand[0];
    const bool as_json = ps_args_has(args, "json");
    return ps_artefact_of(path) == PS_ARTEFACT_PLAN ? ps_info_plan(path, as_json, out, err)
                                                    : ps_info_trace(path, as_json, out, err);
}

static const ps_operand operands[] = {
    {.name = "FILE", .help = "a trace (.pstrace) or a plan (.psplan); content decides"},
    {0},
};

static const ps_option options[] = {PS_OPTION_JSON_ROW, {0}};

static const ps_example examples[] = {
    {"peakstep info a.pstrace", "Shows what was recorded."},
    {"peakstep info a.pstrace --json | jq .recorded.peak_reserved_bytes",
     "Prints one figure for a script."},
    {0},
};

const ps_verb ps_verb_info = {
    .name = "info",
    .summary = "tells what is in a trace or a plan",
    .description =
        "Describes a file: how many events of which kind, how long they took, on which devices, "
        "the training steps that were marked, the highest memory use as recorded, and what the "
        "recording lost. Nothing is simulated.\n"
        "\n"
        "A peak is shown only where the recording fixes it: by running totals (Kineto), or by the "
        "blocks held at the end, followed back event by event (memory snapshots). Times of a "
        "device "
        "that is busy count overlapping work once.\n"
        "\n"
        "A file whose writer died is read as far as it goes; what is missing is listed as a loss.\n"
        "\n"
        "With --json the keys are events, duration_ns, devices, steps, recorded and losses, and "
        "others beside them. Times are nanoseconds, sizes bytes, unknown values null.",
    .operands = operands,
    .options = options,
    .examples = examples,
    .run = run,
};
