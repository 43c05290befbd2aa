/* SPDX-License-Identifier: MIT
 *
 * The network between the GPUs of a recorded job that is asked about others.
 */
#include "recorded_ranks.h"

#include <string.h>

#include "base/memory.h"
#include "base/units.h"
#include "model_machine.h"
#include "run/jitter.h"
#include "run/rank_speed.h"
#include "scheme_options.h"

#define DEFAULT_DRAWS 100u

static ps_code open_cluster(const ps_args *args, const ps_catalogue *catalogue, const char *gpu,
                            uint32_t gpus, ps_recorded_network *self, ps_error *err)
{
    if (!ps_args_has(args, "cluster") && (gpu == NULL || gpu[0] == '\0')) {
        return ps_fail(err, PS_USAGE,
                       "the recording does not name its GPU: --cluster says which machine the GPUs "
                       "are in, or --bus what their collectives reach");
    }
    PS_TRY(ps_model_machine_cluster(args, catalogue, gpu, gpus, &self->cluster, err));
    PS_TRY(ps_collective_create(catalogue, self->cluster, NULL, &self->model, err));
    PS_TRY(ps_cluster_network_create(self->cluster, self->model, &self->of_cluster, err));
    self->network = ps_cluster_network_view(self->of_cluster);
    return PS_OK;
}

ps_code ps_recorded_network_open(const ps_args *args, const ps_catalogue *catalogue,
                                 const char *gpu, uint32_t gpus, ps_recorded_network *self,
                                 ps_error *err)
{
    *self = (ps_recorded_network){0};
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
        ps_recorded_network_close(self);
    }
    return code;
}

void ps_recorded_network_close(ps_recorded_network *self)
{
    ps_cluster_network_destroy(self->of_cluster);
    ps_collective_destroy(self->model);
    ps_cluster_destroy(self->cluster);
    *self = (ps_recorded_network){0};
}

/* ---- the framework ---- */

static bool begins(const char *text, const char *beginning)
{
    return strncmp(text, beginning, strlen(beginning)) == 0;
}

ps_code ps_recorded_ranks_scheme(const ps_args *args, ps_data_parallel *out, ps_error *err)
{
    ps_parallel settings = ps_parallel_default();
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
    out->bucket_bytes = (uint64_t)settings.ddp.bucket_cap_mib << 20;
    out->has_views = settings.ddp.gradient_as_bucket_view;
    return PS_OK;
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
