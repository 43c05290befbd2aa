/* SPDX-License-Identifier: MIT
 *
 * peakstep record: runs a job and writes down what it does.
 *
 * Whatever goes wrong with the recording, the job runs, and its output, exit
 * status and signals are its own.
 */
#include <inttypes.h>
#include <string.h>

#include "base/memory.h"
#include "cli/verb.h"
#include "join.h"
#include "record_job.h"
#include "record_output.h"
#include "record_setup.h"
#include "settings.h"

/* What is prepared before the job starts; control NULL: nothing is recorded. */
typedef struct recording {
    char folder[PS_RECORD_PATH_BYTES];
    ps_record_tracer tracer;
    ps_control *control;
} recording;

static void talk_of_error(const ps_error *err)
{
    char text[1024];
    ps_error_format(err, text, sizeof text);
    ps_talk("%s", text);
}

static ps_record_choices choices_of(const ps_args *args, const char *folder)
{
    return (ps_record_choices){
        .folder = folder,
        .modules = ps_args_text(args, "modules"),
        .stacks = ps_args_text(args, "stacks"),
        .steps = ps_args_text(args, "steps"),
        .cupti = ps_args_text(args, "cupti"),
        .budget_bytes = ps_args_quantity(args, "memory-budget"),
        .max_bytes = ps_args_quantity(args, "max-bytes"),
        .without_history = ps_args_has(args, "no-history"),
        .without_device = ps_args_has(args, "no-device"),
        .is_preloaded = ps_args_has(args, "preload"),
    };
}

static ps_code prepare(recording *self, const ps_args *args, ps_error *err)
{
    PS_TRY(ps_record_find_tracer(&self->tracer, err));
    PS_TRY(ps_record_make_folder(ps_args_text(args, "output"), self->folder, err));
    ps_code code = ps_control_create(self->folder, &self->control, err);
    if (code != PS_OK) {
        self->control = NULL;
        ps_join_remove(self->folder);
        return code;
    }
    atomic_store(&self->control->is_paused, ps_args_has(args, "paused"));
    const ps_record_choices choices = choices_of(args, self->folder);
    code = ps_record_set_environment(&self->tracer, &choices, err);
    if (code == PS_UNSUPPORTED) {
        talk_of_error(err); /* the hook still records */
        code = PS_OK;
    }
    return code;
}

static ps_code write_traces(const ps_args *args, const char *folder, ps_output *out,
                            size_t *written, ps_error *err)
{
    ps_json json;
    ps_record_output output = {.path = ps_args_text(args, "output"),
                               .is_quiet = ps_args_has(args, "quiet")};
    if (!ps_args_has(args, "json")) {
        return ps_record_write_traces(folder, &output, written, err);
    }
    ps_json_open(&json, out, PS_JSON_LINES);
    ps_json_object(&json, NULL);
    ps_json_array(&json, "traces");
    output.json = &json;
    const ps_code code = ps_record_write_traces(folder, &output, written, err);
    ps_json_end(&json);
    ps_json_end(&json);
    ps_error json_err = {0};
    const ps_code closed = ps_json_close(&json, &json_err);
    return code != PS_OK ? code : closed;
}

/* Traces out of the parts; what could not be written stays in its folder. */
static void conclude(const ps_args *args, recording *self, ps_output *out)
{
    ps_error err = {0};
    size_t written = 0;
    const char *problem = ps_control_problem(self->control);
    if (problem != NULL) {
        ps_talk("%s", problem);
    }
    const uint64_t lost = atomic_load(&self->control->lost);
    if (lost > 0) {
        ps_talk("records lost after that: %" PRIu64, lost);
    }
    const ps_code code = write_traces(args, self->folder, out, &written, &err);
    if (code != PS_OK) {
        talk_of_error(&err);
        ps_talk("the parts are kept: peakstep record --recover %s -o TRACE", self->folder);
    } else {
        if (written == 0 && !ps_args_has(args, "quiet")) {
            ps_talk("the job did nothing on a GPU that could be recorded: no trace is written");
        }
        ps_join_remove(self->folder);
    }
    ps_control_close(self->control);
}

static ps_code run_job(const ps_args *args, ps_output *out, ps_error *err)
{
    recording self = {.control = NULL};
    ps_record_job job;
    ps_error trouble = {0};
    char **argv = ps_calloc(args->operand_count + 1, sizeof *argv);
    if (argv == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < args->operand_count; i++) {
        argv[i] = (char *)(uintptr_t)args->operand[i];
    }
    if (prepare(&self, args, &trouble) != PS_OK) {
        talk_of_error(&trouble);
        ps_talk("the job runs without a recording");
    }
    const ps_code code = ps_record_job_start(argv, &job, err);
    ps_free(argv);
    if (code != PS_OK) {
        ps_control_close(self.control);
        if (self.control != NULL) {
            ps_join_remove(self.folder);
        }
        return code;
    }
    const ps_record_end end = ps_record_job_wait(&job, self.control);
    out->exit_status = end.exit_status;
    out->end_signal = end.signal;
    if (self.control != NULL) {
        conclude(args, &self, out);
    }
    return PS_OK;
}

static ps_code recover(const ps_args *args, const char *folder, ps_output *out, ps_error *err)
{
    size_t written;
    PS_TRY(write_traces(args, folder, out, &written, err));
    if (written == 0) {
        return ps_fail(err, PS_BAD_INPUT, "%s holds no parts of a recording", folder);
    }
    ps_join_remove(folder);
    return PS_OK;
}

static ps_code run(const ps_args *args, ps_output *out, ps_error *err)
{
    uint64_t first, end;
    const char *steps = ps_args_text(args, "steps"), *folder = ps_args_text(args, "recover");
    if (steps != NULL) {
        PS_TRY(ps_steps_parse(steps, &first, &end, err));
    }
    if (folder != NULL) {
        return args->operand_count == 0 ? recover(args, folder, out, err)
                                        : ps_fail(err, PS_USAGE, "--recover takes no command");
    }
    if (args->operand_count == 0) {
        return ps_fail(err, PS_USAGE, "a command is missing, expected -- COMMAND...");
    }
    return run_job(args, out, err);
}

static const ps_operand operands[] = {
    {.name = "COMMAND",
     .help = "the job and its arguments, behind \"--\"",
     .is_optional = true,
     .is_repeatable = true},
    {0},
};

static const ps_option options[] = {
    {.name = "output",
     .letter = 'o',
     .kind = PS_OPTION_TEXT,
     .value = "PATH",
     .is_required = true,
     .help = "trace to write; {rank} and {pid} are replaced, one trace a process"},
    {.name = "steps",
     .kind = PS_OPTION_TEXT,
     .value = "A:B",
     .help = "record steps A to B - 1 only, counted from 0; needs PyTorch, whose steps are known"},
    {.name = "paused",
     .help = "begin without recording; SIGUSR1 to peakstep starts it, SIGUSR2 pauses it"},
    {.name = "max-bytes",
     .kind = PS_OPTION_QUANTITY,
     .unit = PS_UNIT_SIZE,
     .value = "SIZE",
     .min = 1,
     .help = "stop recording a process's device when its part has this size; the rest is counted"},
    {.name = "memory-budget",
     .kind = PS_OPTION_QUANTITY,
     .unit = PS_UNIT_SIZE,
     .value = "SIZE",
     .fallback = "256MiB",
     .min = (uint64_t)64 << 20,
     .help = "host memory a process may use for recording; records beyond are dropped and counted"},
    {.name = "modules",
     .kind = PS_OPTION_CHOICE,
     .value = "blocks|all|none",
     .fallback = "blocks",
     .help = "which PyTorch modules become ranges"},
    {.name = "stacks",
     .kind = PS_OPTION_CHOICE,
     .value = "none|python",
     .fallback = "none",
     .help = "call stacks of allocations; python costs several microseconds an allocation"},
    {.name = "no-history", .help = "leave PyTorch's allocator history off: no tensors"},
    {.name = "no-device", .help = "leave CUPTI off: no kernels, copies and calls"},
    {.name = "preload",
     .help = "inject by LD_PRELOAD instead of CUDA_INJECTION64_PATH, which a tool may occupy"},
    {.name = "cupti",
     .kind = PS_OPTION_TEXT,
     .value = "PATH",
     .help = "libcupti to use when the job brings none of its own"},
    {.name = "recover",
     .kind = PS_OPTION_TEXT,
     .value = "FOLDER",
     .help = "no job: write the traces of a recording that was itself killed"},
    PS_OPTION_JSON_ROW,
    {0},
};

static const ps_example examples[] = {
    {"peakstep record -o run.pstrace -- python finetune.py --epochs 1",
     "Records a job on one GPU."},
    {"peakstep record -o 'run-{rank}.pstrace' -- torchrun --nproc-per-node 4 finetune.py",
     "Records four ranks, one trace each."},
    {"peakstep record --steps 3:8 -o run.pstrace -- python finetune.py",
     "Records five steps after three of warming up."},
    {0},
};

const ps_verb ps_verb_record = {
    .name = "record",
    .summary = "runs a job and records what it does on the GPU",
    .description =
        "Runs a command unchanged and writes a trace of every process of it that uses a GPU.\n"
        "\n"
        "  device level  kernels, copies, calls, waits, memory of the driver: any CUDA\n"
        "                program, by CUPTI\n"
        "  tensor level  allocations, steps, forward, backward and optimizer, module\n"
        "                calls, collectives: PyTorch 2.0 or newer\n"
        "\n"
        "The job's output, exit status and signals are passed through. When a recording cannot be "
        "made, one sentence says why and the job runs on. A job that is killed leaves all but the "
        "last second.\n"
        "\n"
        "docs/RECORDING.md tells what each option costs.",
    .operands = operands,
    .options = options,
    .examples = examples,
    .run = run,
};
