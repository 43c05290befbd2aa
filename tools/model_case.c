/* SPDX-License-Identifier: MIT
 *
 * From a model's name or configuration to workloads and a plan.
 */
#include "model_case.h"

#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/container.h"
#include "job/cluster_network.h"
#include "megatron_case.h"
#include "model_recipe.h"
#include "update_rates.h"
#include "workload/config/models.h"
#include "workload/script/build.h"
#include "workload/script/pinned.h"

#define HEAD_BYTES 64

static bool is_config_file(const char *path)
{
    ps_model_config *config;
    if (ps_model_config_read(path, &config, NULL) != PS_OK) {
        return false;
    }
    const bool is_config = ps_config_has(config, "model_type");
    ps_model_config_destroy(config);
    return is_config;
}

bool ps_model_case_is(const char *input)
{
    unsigned char head[HEAD_BYTES];
    ps_artefact artefact;
    FILE *file = fopen(input, "rb");
    if (file == NULL) {
        return strchr(input, '.') == NULL || strstr(input, ".ps") == NULL;
    }
    const size_t got = fread(head, 1, sizeof head, file);
    (void)fclose(file);
    return !ps_container_sniff(head, got, &artefact) && is_config_file(input);
}

static bool is_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file != NULL) {
        (void)fclose(file);
    }
    return file != NULL;
}

ps_code ps_model_case_config(const char *input, ps_model_config **out, ps_error *err)
{
    ps_models *models;
    if (is_file(input)) {
        return ps_model_config_read(input, out, err);
    }
    PS_TRY(ps_models_create(&models, err));
    const ps_code code = ps_models_find(models, input, out, err);
    ps_models_destroy(models);
    return code;
}

/* ---- workloads ---- */

typedef struct building {
    const ps_model_config *config;
    const ps_model_machine *machine;
    ps_recipe recipe;
    char text[PS_RECIPE_TEXT_BYTES];
} building;

static ps_code build_rank(void *context, uint32_t rank, ps_workload **out, ps_error *err)
{
    building *self = context;
    self->recipe.parallel.rank = rank;
    const ps_build what = {.name = ps_model_config_name(self->config),
                           .config = self->config,
                           .recipe = &self->recipe,
                           .device = self->machine->device};
    PS_TRY(ps_build_workload(&what, out, err));
    const ps_code code = ps_workload_set_meta(*out, PS_WORKLOAD_META_RECIPE, self->text, err);
    if (code != PS_OK) {
        ps_workload_destroy(*out);
    }
    return code;
}

/* Several GPUs train together only when they are told how. */
static ps_code set_ranks(const ps_model_machine *machine, ps_parallel *parallel, ps_error *err)
{
    parallel->ranks = machine->gpus;
    if (machine->gpus > 1 && parallel->scheme == PS_PARALLEL_NONE) {
        return ps_fail(err, PS_USAGE,
                       "--gpus %u: say how they train together: --policy ddp, or another scheme; "
                       "--tp, --pp, --cp or --ep for Megatron",
                       machine->gpus);
    }
    return PS_OK;
}

static ps_code choose_stride(const ps_model_machine *machine, ps_zero_settings *zero, ps_error *err)
{
    ps_update_rates rates;
    if (zero->update_stride != PS_ZERO_BEST_STRIDE) {
        return PS_OK;
    }
    PS_TRY(ps_update_rates_of(machine->cluster, &rates, err));
    zero->update_stride = ps_update_best_stride(&rates);
    return PS_OK;
}

ps_code ps_model_case_build_recipe(const ps_model_config *config, const ps_recipe *recipe,
                                   const ps_model_machine *machine, ps_ranks *out, ps_error *err)
{
    building self = {.config = config, .machine = machine, .recipe = *recipe};
    PS_TRY(set_ranks(machine, &self.recipe.parallel, err));
    PS_TRY(choose_stride(machine, &self.recipe.parallel.zero, err));
    self.recipe.parallel.zero.device_bytes = machine->allocator_bytes;
    ps_model_recipe_describe(&self.recipe, self.text);
    return ps_ranks_build(machine->gpus, build_rank, &self, out, err);
}

static ps_code build_all(const ps_model_config *config, const ps_args *args,
                         const ps_model_machine *machine, ps_ranks *out, ps_error *err)
{
    ps_model_recipe recipe;
    ps_code code = ps_model_recipe_read(args, &recipe, err);
    if (code == PS_OK) {
        code = ps_model_case_build_recipe(config, &recipe.recipe, machine, out, err);
    }
    ps_model_recipe_fini(&recipe);
    return code;
}

ps_code ps_model_case_build(const char *input, const ps_args *args, const ps_model_machine *machine,
                            ps_ranks *out, ps_error *err)
{
    ps_model_config *config;
    PS_TRY(ps_model_case_config(input, &config, err));
    const ps_code code = ps_megatron_case_is(args)
                             ? ps_megatron_case_build(config, args, machine, out, err)
                             : build_all(config, args, machine, out, err);
    ps_model_config_destroy(config);
    return code;
}

/* ---- the plan ---- */

/* What lies outside the allocator, until --base says otherwise. */
static void set_base(const ps_model_machine *machine, const ps_ranks *ranks, ps_plan *plan)
{
    for (size_t i = 0; i < plan->device.head.count; i++) {
        const uint32_t of = ranks->workload_of[plan->device.rank[i]];
        const uint64_t tables =
            ps_beyond_tables(&machine->beyond, ps_pinned_held(ranks->workload[of]));
        uint64_t base;
        if (!ps_add_u64(ps_beyond_outside(&machine->beyond), tables, &base)) {
            base = UINT64_MAX;
        }
        plan->device.base_bytes[i] = base;
        plan->device.base_basis[i] = (uint8_t)machine->beyond.basis;
        if (plan->device.capacity_bytes[i] > base) {
            plan->device.limit_bytes[i] = plan->device.capacity_bytes[i] - base;
        }
    }
}

static ps_code lower_on(const ps_ranks *ranks, const ps_model_machine *machine,
                        ps_job_target *target, ps_plan **out, ps_error *err)
{
    const ps_job job = ps_ranks_job(ranks);
    ps_cluster_network *network;
    PS_TRY(ps_cluster_network_create(machine->cluster, machine->collectives, &network, err));
    target->network = ps_cluster_network_view(network);
    const ps_code code = ps_job_lower(&job, target, out, err);
    ps_cluster_network_destroy(network);
    return code;
}

ps_code ps_model_case_lower(const ps_ranks *ranks, const ps_args *args,
                            const ps_catalogue *catalogue, const ps_model_machine *machine,
                            ps_plan **out, ps_error *err)
{
    ps_job_target target = {.catalogue = catalogue,
                            .gpu = machine->gpu,
                            .host = &machine->host,
                            .folds = !ps_args_has(args, "every-rank")};
    ps_cost_model *cost;
    if (ranks->rank_count != machine->gpus) {
        return ps_fail(err, PS_USAGE, "the workload is one of %u ranks: --gpus %u",
                       ranks->rank_count, ranks->rank_count);
    }
    PS_TRY(ps_cost_create(catalogue, machine->gpu, NULL, &cost, err));
    target.cost = cost;
    const ps_code code = lower_on(ranks, machine, &target, out, err);
    ps_cost_destroy(cost);
    if (code == PS_OK) {
        set_base(machine, ranks, *out);
    }
    return code;
}

ps_code ps_model_case_catalogue(const ps_args *args, ps_catalogue **out, ps_error *err)
{
    const char *path = ps_args_text(args, "catalogue");
    PS_TRY(ps_catalogue_create(out, err));
    const ps_code code = path == NULL ? PS_OK : ps_catalogue_read_file(*out, path, err);
    if (code != PS_OK) {
        ps_catalogue_destroy(*out);
    }
    return code;
}
