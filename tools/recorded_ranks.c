/* SPDX-License-Identifier: MIT
 *
 * The network between the GPUs of a recorded job that is asked about others.
 */
#include "recorded_ranks.h"

#include <string.h>

#include "base/memory.h"
#include "base/units.h"
#include "collective_tables.h"
#include "cost/collective.h"
#include "job/bus_network.h"
#include "job/cluster_network.h"
#include "model_machine.h"
#include "run/jitter.h"
#include "run/rank_speed.h"
#include "scheme_options.h"
#include "streaming_options.h"

#define DEFAULT_DRAWS 100u

/* The network between the GPUs that the options name. */
typedef struct recorded_network {
    ps_cluster *cluster;
    ps_collective_model *model;
    ps_cluster_network *of_cluster;
    ps_bus bus;
    ps_network of_bus;
    const ps_network *network; /* one of both */
} recorded_network;

static void close_network(recorded_network *self)
{
    ps_cluster_network_destroy(self->of_cluster);
    ps_collective_destroy(self->model);
    ps_cluster_destroy(self->cluster);
    *self = (recorded_network){0};
}

static ps_code open_cluster(const ps_args *args, const ps_catalogue *catalogue, const char *gpu,
                            uint32_t gpus, recorded_network *self, ps_error *err)
{
    if (!ps_args_has(args, "cluster") && (gpu == NULL || gpu[0] == '\0')) {
        return ps_fail(err, PS_USAGE,
                       "the recording does not name its GPU: --cluster says which machine the GPUs "
                       "are in, or --bus what their collectives reach");
    }
    PS_TRY(ps_model_machine_cluster(args, catalogue, gpu, gpus, &self->cluster, err));
    PS_TRY(ps_collective_tables_read(args, catalogue, self->cluster, &self->model, err));
    PS_TRY(ps_cluster_network_create(self->cluster, self->model, &self->of_cluster, err));
    self->network = ps_cluster_network_view(self->of_cluster);
    return PS_OK;
}

/* So many GPUs: of --cluster, else of the usual machine of `gpu`; with --bus that figure in place of
 * any machine's. */
static ps_code open_network(const ps_args *args, const ps_catalogue *catalogue, const char *gpu,
                            uint32_t gpus, recorded_network *self, ps_error *err)
{
    *self = (recorded_network){0};
    if (ps_args_has(args, "bus") && ps_args_has(args, "cluster")) {
        return ps_fail(err, PS_USAGE, "--bus stands in place of a cluster: not with --cluster");
    }
    if (ps_args_has(args, "bus")) {
        self->bus =
            (ps_bus){.bytes_per_s = ps_args_quantity(args, "bus"), .basis = PS_BASIS_ANALYTIC};
        self->of_bus = ps_bus_network(&self->bus);
        self->network = &self->of_bus;
        return PS_OK;
    }
    const ps_code code = open_cluster(args, catalogue, gpu, gpus, self, err);
    if (code != PS_OK) {
        close_network(self);
    }
    return code;
}

/* ---- the framework ---- */

static bool begins(const char *text, const char *beginning)
{
    return strncmp(text, beginning, strlen(beginning)) == 0;
}

static ps_code read_scheme(const ps_args *args, ps_data_parallel *out, ps_error *err)
{
    ps_recipe settings = ps_recipe_default();
    settings.parallel.scheme = PS_PARALLEL_DDP;
    for (size_t i = 0; i < ps_args_count(args, "policy"); i++) {
        const char *policy = ps_args_at(args, "policy", i);
        if (strcmp(policy, "ddp") != 0) {
            return ps_fail(err, PS_USAGE,
                           "--policy \"%s\": a recorded job goes on several GPUs with ddp, which "
                           "leaves its tensors whole",
                           policy);
        }
    }
    for (size_t i = 0; i < ps_args_count(args, "scheme-option"); i++) {
        const char *option = ps_args_at(args, "scheme-option", i);
        if (!begins(option, "bucket_cap_mb=") && !begins(option, "gradient_as_bucket_view=")) {
            return ps_fail(err, PS_USAGE,
                           "--scheme-option %s: of a recorded job bucket_cap_mb and "
                           "gradient_as_bucket_view can be asked",
                           option);
        }
    }
    PS_TRY(ps_scheme_options_read(args, &settings, err));
    out->bucket_bytes = (uint64_t)settings.parallel.ddp.bucket_cap_mib << 20;
    out->has_views = settings.parallel.ddp.gradient_as_bucket_view;
    return PS_OK;
}

/* ---- what is asked ---- */

static bool has_ranks(const ps_args *args)
{
    return ps_args_has(args, "gpus") && ps_args_quantity(args, "gpus") > 1;
}

/* The GPU that the ranks will have, as the catalogue or the recording names it. */
static const char *gpu_of(const ps_args *args, const ps_plan *plan)
{
    if (ps_args_has(args, "gpu")) {
        return ps_args_text(args, "gpu");
    }
    return plan->device.head.count == 0 ? NULL
                                        : ps_strings_text(plan->strings, plan->device.name[0]);
}

/* A job of one GPU on several. */
static ps_code apply_data_parallel(const ps_args *args, const ps_catalogue *catalogue,
                                   ps_whatif *change, const ps_loaded *input, ps_error *err)
{
    recorded_network network;
    ps_data_parallel ranks = {.ranks = (uint32_t)ps_args_quantity(args, "gpus"),
                              .rates_are_reached = ps_args_has(args, "bus"),
                              .trace = input->trace,
                              .structure = input->structure};
    PS_TRY(read_scheme(args, &ranks, err));
    PS_TRY(open_network(args, catalogue, gpu_of(args, input->plan), ranks.ranks, &network, err));
    ranks.network = network.network;
    change->data_parallel = &ranks;
    const ps_code code = ps_whatif_apply(input->plan, catalogue, change, err);
    close_network(&network);
    return code;
}

/* A job of several ranks with another number of them. */
static ps_code apply_rank_change(const ps_args *args, const ps_catalogue *catalogue,
                                 ps_whatif *change, const ps_loaded *input, ps_error *err)
{
    recorded_network recorded, wanted;
    const char *gpu = gpu_of(args, input->plan);
    ps_rank_change ranks = {.ranks = (uint32_t)ps_args_quantity(args, "gpus"),
                            .trace = input->trace,
                            .group_count = ps_args_count(args, "data-parallel-group")};
    const char **names = ps_calloc(ranks.group_count + 1, sizeof *names);
    if (names == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < ranks.group_count; i++) {
        names[i] = ps_args_at(args, "data-parallel-group", i);
    }
    ranks.group = names;
    ps_code code =
        open_network(args, catalogue, gpu, ps_recorded_ranks(input->trace), &recorded, err);
    if (code == PS_OK) {
        code = open_network(args, catalogue, gpu, ranks.ranks, &wanted, err);
        if (code == PS_OK) {
            ranks.recorded = recorded.network;
            ranks.wanted = wanted.network;
            change->rank_change = &ranks;
            code = ps_whatif_apply(input->plan, catalogue, change, err);
            close_network(&wanted);
        }
        close_network(&recorded);
    }
    ps_free(names);
    return code;
}

/* Something of a recorded rank is in the host: of a job of one, or of several that do the same. */
static ps_code apply_offload(const ps_args *args, const ps_catalogue *catalogue, ps_whatif *change,
                             const ps_loaded *input, ps_offload *offload, ps_error *err)
{
    recorded_network network;
    offload->trace = input->trace;
    offload->structure = input->structure;
    if (has_ranks(args)) {
        return ps_fail(err, PS_USAGE,
                       "--%s of a recording is of as many ranks as were recorded: not with --gpus",
                       offload->activations ? "offload-activations"
                       : offload->optimizer ? "offload-optimizer"
                                            : "offload-parameters");
    }
    offload->ranks = input->trace == NULL ? 1 : ps_recorded_ranks(input->trace);
    PS_TRY(open_network(args, catalogue, gpu_of(args, input->plan), offload->ranks, &network, err));
    offload->network = network.network;
    change->offload = offload;
    const ps_code code = ps_whatif_apply(input->plan, catalogue, change, err);
    close_network(&network);
    return code;
}

/* The word of --policy zero-offload. */
static ps_code read_delay(const ps_args *args, ps_offload *out, ps_error *err)
{
    ps_recipe settings = ps_recipe_default();
    settings.policy = PS_TRAIN_POLICY_ZERO_OFFLOAD;
    for (size_t i = 0; i < ps_args_count(args, "scheme-option"); i++) {
        const char *option = ps_args_at(args, "scheme-option", i);
        if (!begins(option, "delayed=")) {
            return ps_fail(err, PS_USAGE,
                           "--scheme-option %s: of a recorded job that is offloaded delayed can be "
                           "asked",
                           option);
        }
    }
    PS_TRY(ps_scheme_options_read(args, &settings, err));
    out->delayed = settings.offload.zero.is_delayed;
    return PS_OK;
}

static ps_code wants_offload(const ps_args *args, ps_offload *out, ps_error *err)
{
    ps_streaming streaming = ps_recipe_default().streaming;
    PS_TRY(ps_streaming_options_read(args, &streaming, err));
    *out = (ps_offload){.activations = streaming.activations == PS_ACTIVATION_OFFLOAD_STREAMED,
                        .optimizer = ps_args_has(args, "offload-optimizer"),
                        .parameters = streaming.parameters,
                        .prefetch = (uint32_t)streaming.prefetch,
                        .keep_first = (uint32_t)streaming.keep_first,
                        .keep_last = (uint32_t)streaming.keep_last};
    return streaming.activations == PS_ACTIVATION_OFFLOAD_SAVE_ON_CPU
               ? ps_fail(err, PS_USAGE,
                         "--offload-activations %s: of a recording they can be streamed",
                         ps_args_text(args, "offload-activations"))
               : PS_OK;
}

ps_code ps_recorded_ranks_apply(const ps_args *args, const ps_catalogue *catalogue,
                                ps_whatif *change, const ps_loaded *input, ps_error *err)
{
    ps_offload offload;
    const bool has_several = input->trace != NULL && input->trace->collective.head.count > 0;
    PS_TRY(wants_offload(args, &offload, err));
    if (offload.activations || offload.optimizer || offload.parameters) {
        PS_TRY(read_delay(args, &offload, err));
        return apply_offload(args, catalogue, change, input, &offload, err);
    }
    if (has_several && ps_args_has(args, "gpus")) {
        return apply_rank_change(args, catalogue, change, input, err);
    }
    if (ps_args_has(args, "data-parallel-group")) {
        return ps_fail(err, PS_USAGE,
                       "--data-parallel-group goes with --gpus, of a recording of several ranks");
    }
    return has_ranks(args) ? apply_data_parallel(args, catalogue, change, input, err)
                           : ps_whatif_apply(input->plan, catalogue, change, err);
}

/* ---- ranks that differ ---- */

static ps_code read_speed(const char *text, ps_rank_speed *out, ps_error *err)
{
    uint64_t rank = 0;
    char number[16];
    const char *equals = strchr(text, '=');
    const size_t digits = equals == NULL ? 0 : (size_t)(equals - text);
    ps_code code = digits > 0 && digits < sizeof number ? PS_OK : PS_USAGE;
    if (code == PS_OK) {
        memcpy(number, text, digits);
        number[digits] = '\0';
        code = ps_quantity_parse(PS_UNIT_COUNT, number, &rank, NULL);
    }
    if (code == PS_OK) {
        code = ps_quantity_parse(PS_UNIT_RATIO, equals + 1, &out->speed, NULL);
    }
    if (code != PS_OK || out->speed == 0 || rank > UINT32_MAX) {
        return ps_fail(err, PS_USAGE,
                       "--rank-speed \"%s\": expected a rank and a part of its speed, such as "
                       "3=0.9",
                       text);
    }
    out->rank = (uint32_t)rank;
    return PS_OK;
}

ps_code ps_recorded_ranks_speeds(const ps_args *args, ps_plan **plan, ps_error *err)
{
    const size_t count = ps_args_count(args, "rank-speed");
    if (count == 0) {
        return PS_OK;
    }
    ps_rank_speed *speed = ps_calloc(count, sizeof *speed);
    ps_code code = speed == NULL ? ps_fail_nomem(err) : PS_OK;
    for (size_t i = 0; i < count && code == PS_OK; i++) {
        code = read_speed(ps_args_at(args, "rank-speed", i), &speed[i], err);
    }
    if (code == PS_OK) {
        code = ps_plan_set_rank_speeds(plan, speed, count, ps_args_has(args, "jitter"), err);
    }
    ps_free(speed);
    return code;
}

ps_code ps_recorded_ranks_jitter(const ps_args *args, const ps_plan *plan, ps_result *result,
                                 ps_error *err)
{
    if (!ps_args_has(args, "jitter")) {
        return ps_args_has(args, "draws") ? ps_fail(err, PS_USAGE, "--draws is of --jitter")
                                          : PS_OK;
    }
    const ps_jitter jitter = {.deviation = ps_args_quantity(args, "jitter"),
                              .seed = ps_args_quantity(args, "seed"),
                              .draws = ps_args_has(args, "draws")
                                           ? (uint32_t)ps_args_quantity(args, "draws")
                                           : DEFAULT_DRAWS};
    ps_jitter_times times;
    PS_TRY(ps_run_jitter(plan, &jitter, &times, err));
    result->has_jitter = true;
    result->step_time_median_ns = times.median_ns;
    result->step_time_p95_ns = times.p95_ns;
    return PS_OK;
}
