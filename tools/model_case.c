/* SPDX-License-Identifier: MIT
 *
 * From a model's name or configuration to a workload and a plan.
 */
#include "model_case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/container.h"
#include "cost/beyond.h"
#include "job/job.h"
#include "model_recipe.h"
#include "workload/config/models.h"
#include "workload/script/build.h"

#define HEAD_BYTES 64
#define DEFAULT_HOST "host-server" /* an entry of the catalogue */

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

/* ---- what the device decides ---- */

static ps_code read_beyond(const ps_args *args, const ps_catalogue *catalogue, ps_hardware_id gpu,
                           ps_beyond *out, ps_error *err)
{
    const ps_beyond_setup setup = {.software = ps_args_text(args, "software"),
                                   .blas_config = ps_args_text(args, "cublas-workspace")};
    return ps_beyond_memory(catalogue, gpu, &setup, out, err);
}

/* 86 of "8.6"; 0 when the entry tells none, or one of another maker. */
static int64_t capability_of(const ps_catalogue *catalogue, ps_hardware_id gpu)
{
    const char *text = ps_catalogue_compute_capability(catalogue, gpu);
    char *dot, *end;
    const unsigned long major = strtoul(text, &dot, 10);
    if (dot == text || *dot != '.') {
        return 0;
    }
    const unsigned long minor = strtoul(dot + 1, &end, 10);
    return end != dot + 1 && major < 100 && minor < 10 ? (int64_t)(10 * major + minor) : 0;
}

/* The releases of PyTorch whose kernels were recorded, in the order of --pytorch. */
static int64_t release_of(const ps_args *args)
{
    static const int64_t releases[] = {206, 211};
    return releases[ps_args_has(args, "pytorch") ? ps_args_choice(args, "pytorch") : 0];
}

static ps_code read_device(const ps_args *args, const ps_catalogue *catalogue, ps_hardware_id gpu,
                           ps_train_device *out, ps_error *err)
{
    ps_figure sm_count, threads;
    ps_beyond beyond;
    PS_TRY(ps_catalogue_need(catalogue, gpu, PS_FIGURE_SM_COUNT, &sm_count, err));
    PS_TRY(ps_catalogue_need(catalogue, gpu, PS_FIGURE_THREADS_PER_SM, &threads, err));
    PS_TRY(read_beyond(args, catalogue, gpu, &beyond, err));
    *out = (ps_train_device){.capability = capability_of(catalogue, gpu),
                             .release = release_of(args),
                             .workspace_bytes = beyond.workspace_bytes,
                             .sm_count = (int64_t)sm_count.value,
                             .threads_per_sm = (int64_t)threads.value};
    return PS_OK;
}

/* ---- building ---- */

static ps_code build(const ps_model_config *config, const ps_args *args,
                     const ps_train_device *device, ps_workload **out, ps_error *err)
{
    ps_model_recipe recipe;
    ps_code code = ps_model_recipe_read(args, &recipe, err);
    if (code == PS_OK) {
        const ps_build what = {.name = ps_model_config_name(config),
                               .config = config,
                               .recipe = &recipe.recipe,
                               .device = *device};
        code = ps_build_workload(&what, out, err);
    }
    if (code == PS_OK) {
        char text[PS_RECIPE_TEXT_BYTES];
        ps_model_recipe_describe(&recipe.recipe, text);
        code = ps_workload_set_meta(*out, PS_WORKLOAD_META_RECIPE, text, err);
        if (code != PS_OK) {
            ps_workload_destroy(*out);
        }
    }
    ps_model_recipe_fini(&recipe);
    return code;
}

static ps_code find_gpu(const ps_args *args, const ps_catalogue *catalogue, ps_hardware_id *out,
                        ps_error *err)
{
    const char *name = ps_args_text(args, "gpu");
    if (name == NULL) {
        return ps_fail(err, PS_USAGE,
                       "a model that nobody recorded needs a GPU to run on: --gpu NAME");
    }
    return ps_catalogue_find(catalogue, PS_HARDWARE_GPU, name, out, err);
}

ps_code ps_model_case_build(const char *input, const ps_args *args, const ps_catalogue *catalogue,
                            ps_workload **out, ps_error *err)
{
    ps_train_device device;
    ps_model_config *config;
    ps_hardware_id gpu;
    PS_TRY(ps_model_case_config(input, &config, err));
    ps_code code = find_gpu(args, catalogue, &gpu, err);
    if (code == PS_OK) {
        code = read_device(args, catalogue, gpu, &device, err);
    }
    if (code == PS_OK) {
        code = build(config, args, &device, out, err);
    }
    ps_model_config_destroy(config);
    return code;
}

/* What lies outside the allocator, until --base says otherwise. */
static ps_code set_base(const ps_args *args, const ps_catalogue *catalogue, ps_hardware_id gpu,
                        ps_plan *plan, ps_error *err)
{
    ps_beyond beyond;
    PS_TRY(read_beyond(args, catalogue, gpu, &beyond, err));
    plan->device.base_bytes[0] = ps_beyond_outside(&beyond);
    plan->device.base_basis[0] = (uint8_t)beyond.basis;
    if (plan->device.capacity_bytes[0] > plan->device.base_bytes[0]) {
        plan->device.limit_bytes[0] = plan->device.capacity_bytes[0] - plan->device.base_bytes[0];
    }
    return PS_OK;
}

static ps_code read_host(const ps_args *args, const ps_catalogue *catalogue, ps_cost_host *out,
                         ps_error *err)
{
    const char *name = ps_args_text(args, "host");
    ps_hardware_id host;
    PS_TRY(ps_catalogue_find(catalogue, PS_HARDWARE_HOST, name == NULL ? DEFAULT_HOST : name, &host,
                             err));
    return ps_cost_host_read(catalogue, host, out, err);
}

ps_code ps_model_case_lower(const ps_workload *workload, const ps_args *args,
                            const ps_catalogue *catalogue, ps_plan **out, ps_error *err)
{
    ps_job_target target = {.catalogue = catalogue};
    ps_cost_model *cost;
    ps_cost_host host;
    ps_plan *plan = NULL;
    PS_TRY(find_gpu(args, catalogue, &target.gpu, err));
    PS_TRY(read_host(args, catalogue, &host, err));
    target.host = &host;
    PS_TRY(ps_cost_create(catalogue, target.gpu, NULL, &cost, err));
    target.cost = cost;
    ps_code code = ps_job_lower_one(workload, &target, &plan, err);
    ps_cost_destroy(cost);
    if (code == PS_OK) {
        code = set_base(args, catalogue, target.gpu, plan, err);
    }
    if (code != PS_OK) {
        ps_plan_destroy(plan);
        return code;
    }
    *out = plan;
    return PS_OK;
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
