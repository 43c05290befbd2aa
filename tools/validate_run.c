/* SPDX-License-Identifier: MIT
 *
 * Scenarios are shared out among threads by a counter; each thread writes its
 * scenario's own record only. Rows are filled in afterwards, in the table's
 * order.
 */
#include "validate_run.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/memory.h"
#include "model_case.h"
#include "shell_words.h"
#include "simulate_case.h"
#include "validate_statistics.h"

#define MAX_THREADS 1024u

/* [bytes] of a sentence about a failure. */
#define WHY_BYTES 1024u

struct ps_scenario {
    const char *input, *options; /* of the table */
    ps_row_state state;
    char *why; /* of a failed or skipped one, owned; NULL when there was no memory for it */
    bool has_figure[PS_METRIC_COUNT]; /* of an evaluated one */
    uint64_t figure[PS_METRIC_COUNT];
};

static const char *missing_figure(ps_metric metric)
{
    if (metric == PS_METRIC_NVML) {
        return "what the driver keeps of the GPU's memory is not in the catalogue (driver-memory)";
    }
    if (metric == PS_METRIC_HOST) {
        return "nothing of the plan is known to lie in host memory";
    }
    switch (ps_metric_kind_of(metric)) {
    case PS_METRIC_TIME:
        return "no step was found, so there is no step time";
    case PS_METRIC_VERDICT:
        return "whether it fits is a question only with --memory or --gpu";
    case PS_METRIC_SIZE:
        break;
    }
    return "there is no device, so there is no peak";
}

/* ---- one scenario ---- */

static uint64_t greater(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/*
 * Peaks are those of the device that needs most. A device whose memory does
 * not suffice counts with what it would need, so that running out of memory
 * does not make a prediction look near; live bytes are known up to there only.
 */
static void take_device(ps_scenario *self, const ps_result_device *device)
{
    const bool is_full = device->oom.happened;
    const uint64_t reserved =
        is_full ? device->needed_bytes - device->base_bytes : device->peak_reserved_bytes;
    uint64_t *figure = self->figure;
    figure[PS_METRIC_ALLOCATED] =
        greater(figure[PS_METRIC_ALLOCATED], device->peak_allocated_bytes);
    figure[PS_METRIC_RESERVED] = greater(figure[PS_METRIC_RESERVED], reserved);
    figure[PS_METRIC_DEVICE] = greater(figure[PS_METRIC_DEVICE], device->needed_bytes);
    figure[PS_METRIC_FITS] = figure[PS_METRIC_FITS] != 0 && device->fits ? 1 : 0;
    self->has_figure[PS_METRIC_FITS] = self->has_figure[PS_METRIC_FITS] && device->limit_bytes != 0;
}

/* NVML's first interface counts what the driver keeps of the card as used, too. */
static void take_driver_memory(ps_scenario *self, const ps_catalogue *catalogue,
                               const ps_result *result)
{
    uint64_t *most = &self->figure[PS_METRIC_NVML];
    for (size_t i = 0; i < result->device_count; i++) {
        const ps_result_device *device = &result->device[i];
        const char *name = ps_strings_text(result->plan->strings, device->name);
        ps_hardware_id gpu;
        ps_figure kept = {0};
        uint64_t used = 0;
        self->has_figure[PS_METRIC_NVML] =
            self->has_figure[PS_METRIC_NVML] &&
            ps_catalogue_find(catalogue, PS_HARDWARE_GPU, name, &gpu, NULL) == PS_OK &&
            ps_catalogue_get(catalogue, gpu, PS_FIGURE_DRIVER_MEMORY, &kept) &&
            ps_add_u64(device->needed_bytes, kept.value, &used);
        *most = greater(*most, used);
    }
}

/* Of the node that holds most. */
static void take_hosts(ps_scenario *self, const ps_result *result)
{
    self->has_figure[PS_METRIC_HOST] = result->node_count > 0;
    for (size_t i = 0; i < result->node_count; i++) {
        self->figure[PS_METRIC_HOST] =
            greater(self->figure[PS_METRIC_HOST], result->node[i].peak_bytes);
    }
}

static void take_figures(ps_scenario *self, const ps_result *result)
{
    const bool has_device = result->device_count > 0;
    for (int i = 0; i < PS_METRIC_COUNT; i++) {
        self->has_figure[i] = has_device;
    }
    self->figure[PS_METRIC_FITS] = 1;
    for (size_t i = 0; i < result->device_count; i++) {
        take_device(self, &result->device[i]);
    }
    take_hosts(self, result);
    self->has_figure[PS_METRIC_STEP_TIME] = result->step_time_ns > 0;
    self->figure[PS_METRIC_STEP_TIME] = (uint64_t)result->step_time_ns;
}

/* Options that are about output, not about what is simulated. */
static ps_code refuse_output_options(const ps_args *args, ps_error *err)
{
    static const char *const refused[] = {"help", "json", "save-plan"};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        if (ps_args_has(args, refused[i])) {
            return ps_fail(err, PS_USAGE, "--%s has no place in a scenario", refused[i]);
        }
    }
    return PS_OK;
}

static ps_code simulate_parsed(ps_scenario *self, const char *path, const ps_args *args,
                               ps_error *err)
{
    ps_simulated simulated;
    PS_TRY(refuse_output_options(args, err));
    PS_TRY(ps_simulate_case(path, args, &simulated, err));
    take_figures(self, &simulated.result);
    ps_catalogue *catalogue = NULL;
    const ps_code code = ps_model_case_catalogue(args, &catalogue, err);
    if (code == PS_OK) {
        take_driver_memory(self, catalogue, &simulated.result);
        ps_catalogue_destroy(catalogue);
    }
    ps_simulated_fini(&simulated);
    return code;
}

static ps_code simulate_words(ps_scenario *self, const char *path, const ps_shell_words *words,
                              ps_error *err)
{
    static const ps_operand no_operands[] = {{0}};
    ps_args args;
    PS_TRY(ps_args_parse(&args, ps_simulate_options, no_operands, words->count, words->word, err));
    const ps_code code = simulate_parsed(self, path, &args, err);
    ps_args_fini(&args);
    return code;
}

static ps_code simulate(ps_scenario *self, const char *path, ps_error *err)
{
    ps_shell_words words;
    PS_TRY(ps_shell_words_split(self->options, &words, err));
    const ps_code code = simulate_words(self, path, &words, err);
    ps_shell_words_fini(&words);
    return code;
}

static void end_badly(ps_scenario *self, ps_row_state state, const ps_error *err)
{
    self->state = state;
    self->why = ps_calloc(WHY_BYTES, 1);
    if (self->why != NULL) {
        ps_error_format(err, self->why, WHY_BYTES);
    }
}

static void run_scenario(ps_scenario *self, const ps_validate_settings *settings)
{
    char path[PS_INPUT_PATH_BYTES];
    ps_error err = {0};
    self->state = PS_ROW_EVALUATED;
    if (ps_input_find(&settings->folders, self->input, path) == PS_INPUT_MISSING) {
        (void)ps_fail(&err, PS_NOT_FOUND, "there is no file %.300s", self->input);
        end_badly(self, settings->skips_missing ? PS_ROW_SKIPPED : PS_ROW_FAILED, &err);
    } else if (simulate(self, path, &err) != PS_OK) {
        end_badly(self, PS_ROW_FAILED, &err);
    }
}

/* ---- several at a time ---- */

typedef struct crew {
    ps_validation *validation;
    const ps_validate_settings *settings;
    atomic_size_t next, done;
} crew;

static void work(crew *self, ps_progress *progress)
{
    const size_t count = self->validation->scenario_count;
    for (size_t i = atomic_fetch_add(&self->next, 1); i < count;
         i = atomic_fetch_add(&self->next, 1)) {
        run_scenario(&self->validation->scenario[i], self->settings);
        const size_t done = atomic_fetch_add(&self->done, 1) + 1;
        if (progress != NULL) {
            ps_progress_update(progress, done);
        }
    }
}

static void *work_along(void *context)
{
    work(context, NULL);
    return NULL;
}

/* The calling thread works, too, and alone draws the progress bar. */
static ps_code run_all(ps_validation *validation, const ps_validate_settings *settings,
                       const ps_args *args, ps_error *err)
{
    crew all = {.validation = validation, .settings = settings};
    const size_t most =
        settings->jobs < validation->scenario_count ? settings->jobs : validation->scenario_count;
    const size_t wanted = most < MAX_THREADS ? most : MAX_THREADS;
    pthread_t *thread = ps_calloc(wanted, sizeof *thread);
    size_t started = 0;
    ps_progress progress;
    if (thread == NULL) {
        return ps_fail_nomem(err);
    }
    /* with fewer threads than wanted it takes longer and comes to the same */
    while (started + 1 < wanted && pthread_create(&thread[started], NULL, work_along, &all) == 0) {
        started++;
    }
    ps_progress_begin(&progress, args, "validating", validation->scenario_count);
    work(&all, &progress);
    for (size_t i = 0; i < started; i++) {
        (void)pthread_join(thread[i], NULL);
    }
    ps_progress_end(&progress);
    ps_free(thread);
    return PS_OK;
}

/* ---- rows ---- */

/* Finds the distinct scenarios; of[i] is the scenario of row i. */
static ps_code find_scenarios(ps_validation *self, ps_strings *keys, ps_str *of, ps_error *err)
{
    const ps_truth *truth = self->truth;
    for (size_t i = 0; i < truth->row_count; i++) {
        char key[32];
        const ps_truth_row *row = &truth->row[i];
        (void)snprintf(key, sizeof key, "%u %u", (unsigned)row->input, (unsigned)row->options);
        PS_TRY(ps_strings_put_z(keys, key, &of[i], err));
        of[i]--; /* id 0 is the empty text, which is no key */
    }
    self->scenario_count = ps_strings_count(keys) - 1;
    self->scenario = ps_calloc(self->scenario_count, sizeof *self->scenario);
    if (self->scenario == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < truth->row_count; i++) {
        self->scenario[of[i]].input = ps_strings_text(truth->strings, truth->row[i].input);
        self->scenario[of[i]].options = ps_strings_text(truth->strings, truth->row[i].options);
    }
    return PS_OK;
}

static void fill_row(ps_validation *self, size_t i, const ps_scenario *scenario)
{
    const ps_truth_row *row = &self->truth->row[i];
    ps_row_outcome *out = &self->row[i];
    out->state = scenario->state;
    if (scenario->state != PS_ROW_EVALUATED) {
        out->why = scenario->why != NULL ? scenario->why : "memory ran out";
    } else if (!scenario->has_figure[row->metric]) {
        out->state = PS_ROW_FAILED;
        out->why = missing_figure(row->metric);
    } else {
        out->predicted = scenario->figure[row->metric];
        out->error = ps_metric_kind_of(row->metric) == PS_METRIC_VERDICT
                         ? 0
                         : ps_prediction_error(out->predicted, row->measured, row->measured_high);
    }
    self->failed_count += out->state == PS_ROW_FAILED ? 1 : 0;
    self->skipped_count += out->state == PS_ROW_SKIPPED ? 1 : 0;
}

static ps_code validate(ps_validation *self, const ps_validate_settings *settings,
                        const ps_args *args, ps_strings *keys, ps_error *err)
{
    const size_t count = self->truth->row_count;
    ps_str *of = ps_calloc(count, sizeof *of);
    self->row = ps_calloc(count, sizeof *self->row);
    ps_code code = of == NULL || self->row == NULL || keys == NULL
                       ? ps_fail_nomem(err)
                       : find_scenarios(self, keys, of, err);
    if (code == PS_OK) {
        code = run_all(self, settings, args, err);
    }
    for (size_t i = 0; code == PS_OK && i < count; i++) {
        fill_row(self, i, &self->scenario[of[i]]);
    }
    ps_free(of);
    return code;
}

ps_code ps_validate_run(const ps_truth *truth, const ps_validate_settings *settings,
                        const ps_args *args, ps_validation *out, ps_error *err)
{
    ps_validation made = {.truth = truth};
    ps_strings *keys = ps_strings_create();
    const ps_code code = validate(&made, settings, args, keys, err);
    ps_strings_destroy(keys);
    if (code != PS_OK) {
        ps_validation_fini(&made);
        return code;
    }
    *out = made;
    return PS_OK;
}

void ps_validation_fini(ps_validation *self)
{
    for (size_t i = 0; self->scenario != NULL && i < self->scenario_count; i++) {
        ps_free(self->scenario[i].why);
    }
    ps_free(self->row);
    ps_free(self->scenario);
    *self = (ps_validation){0};
}
