/* SPDX-License-Identifier: MIT
 *
 * peakstep info: what is in a trace, a plan or a workload.
 */
#include "artefact.h"
#include "cli/verb.h"
#include "info.h"
#include "info_structure.h"

static ps_code run(const ps_args *args, ps_output *out, ps_error *err)
{
    const char *path = args->operand[0];
    const bool as_json = ps_args_has(args, "json");
    if (ps_args_has(args, "structure") || ps_args_has(args, "structure-file") ||
        ps_args_has(args, "output")) {
        return ps_info_structure(path, ps_args_text(args, "structure-file"),
                                 ps_args_text(args, "output"), as_json, out, err);
    }
    switch (ps_artefact_of(path)) {
    case PS_ARTEFACT_PLAN:
        return ps_info_plan(path, as_json, out, err);
    case PS_ARTEFACT_WORKLOAD:
        return ps_info_workload(path, as_json, out, err);
    case PS_ARTEFACT_TRACE:
    case PS_ARTEFACT_COUNT:
        break;
    }
    return ps_info_trace(path, as_json, out, err);
}

static const ps_operand operands[] = {
    {.name = "FILE", .help = "a .pstrace, .psplan or .pswork file; content decides"},
    {0},
};

static const ps_option options[] = {
    {.name = "structure",
     .help = "recover steps, phases, blocks and what every tensor was for, each with how it was "
             "found and how sure that is"},
    {.name = "structure-file",
     .kind = PS_OPTION_TEXT,
     .value = "FILE",
     .help = "CSV file (what,selector,value) that overrides findings; see docs/MODEL.md"},
    {.name = "output",
     .letter = 'o',
     .kind = PS_OPTION_TEXT,
     .value = "PATH",
     .help = "write what was recovered of the first device as a workload (.pswork)"},
    PS_OPTION_JSON_ROW,
    {0},
};

static const ps_example examples[] = {
    {"peakstep info a.pstrace", "Shows what was recorded."},
    {"peakstep info a.pstrace --json | jq .recorded.peak_reserved_bytes",
     "Prints one figure for a script."},
    {"peakstep info a.pstrace --structure",
     "Steps, phases, blocks, and bytes at the peak by role."},
    {0},
};

const ps_verb ps_verb_info = {
    .name = "info",
    .summary = "tells what is in a trace, a plan or a workload",
    .description =
        "Describes a file: how many events of which kind, how long they took, on which devices, "
        "the training steps that were marked, the highest memory use as recorded, and what the "
        "recording lost. Nothing is simulated.\n"
        "\n"
        "Of a workload it shows the memory that is live at the peak of each step, by role, the "
        "work of the last step by phase and kind, and how each piece is known, with what "
        "confidence.\n"
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
