/* SPDX-License-Identifier: MIT
 *
 * From options to a machine.
 */
#include "model_machine.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "collective_tables.h"

#define DEFAULT_HOST "host-server" /* an entry of the catalogue */

static const char *text_or(const ps_args *args, const char *option, const char *fallback)
{
    const char *text = ps_args_text(args, option);
    return text == NULL ? fallback : text;
}

static bool is_choice(const ps_args *args, const char *option, const char *word)
{
    return strcmp(text_or(args, option, ""), word) == 0;
}

/* ---- the cluster ---- */

ps_code ps_model_machine_cluster(const ps_args *args, const ps_catalogue *catalogue,
                                 const char *gpu, uint32_t gpus, ps_cluster **out, ps_error *err)
{
    const char *name = text_or(args, "cluster", gpu);
    const char *path = ps_args_text(args, "cluster-file");
    ps_cluster_options options = {.csv_name = path,
                                  .rank_cores = (uint32_t)ps_args_quantity(args, "cores"),
                                  .is_unbound = is_choice(args, "binding", "none"),
                                  .is_cyclic = is_choice(args, "distribution", "cyclic")};
    char *text = NULL;
    if (path == NULL) {
        return ps_cluster_create(catalogue, name, gpus, &options, out, err);
    }
    ps_code code = ps_read_text(path, &text, &options.csv_bytes, err);
    if (code == PS_OK) {
        options.csv = text;
        code = ps_cluster_create(catalogue, name, gpus, &options, out, err);
    }
    ps_free(text);
    return code;
}

static ps_code read_cluster(const ps_args *args, const ps_catalogue *catalogue,
                            ps_model_machine *out, ps_error *err)
{
    const char *gpu = ps_args_text(args, "gpu");
    PS_TRY(ps_model_machine_cluster(args, catalogue, gpu, out->gpus, &out->cluster, err));
    const ps_hardware_id of_cluster = ps_cluster_about(out->cluster)->gpu;
    if (gpu == NULL) {
        out->gpu = of_cluster;
        return PS_OK;
    }
    PS_TRY(ps_catalogue_find(catalogue, PS_HARDWARE_GPU, gpu, &out->gpu, err));
    return out->gpu.v == of_cluster.v
               ? PS_OK
               : ps_fail(err, PS_USAGE, "--gpu %s: the nodes of --cluster %s have %s", gpu,
                         text_or(args, "cluster", gpu), ps_catalogue_name(catalogue, of_cluster));
}

static ps_code find_gpu(const ps_args *args, const ps_catalogue *catalogue, ps_model_machine *out,
                        ps_error *err)
{
    const char *name = ps_args_text(args, "gpu");
    if (out->gpus > 1 || ps_args_has(args, "cluster")) {
        if (name == NULL && !ps_args_has(args, "cluster")) {
            return ps_fail(err, PS_USAGE, "--gpus needs to know of which kind: --gpu or --cluster");
        }
        return read_cluster(args, catalogue, out, err);
    }
    if (name == NULL) {
        return ps_fail(err, PS_USAGE,
                       "a model that nobody recorded needs a GPU to run on: --gpu NAME");
    }
    PS_TRY(ps_catalogue_find(catalogue, PS_HARDWARE_GPU, name, &out->gpu, err));
    return ps_model_machine_cluster(args, catalogue, name, 1, &out->cluster, err);
}

/* ---- what the device decides ---- */

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

void ps_model_machine_set_memory(ps_model_machine *self, uint64_t bytes)
{
    const uint64_t taken = ps_beyond_outside(&self->beyond);
    if (bytes > 0) {
        self->allocator_bytes = bytes > taken ? bytes - taken : 1;
    }
}

static ps_code read_device(const ps_args *args, const ps_catalogue *catalogue,
                           ps_model_machine *out, ps_error *err)
{
    const ps_beyond_setup setup = {.software = ps_args_text(args, "software"),
                                   .blas_config = ps_args_text(args, "cublas-workspace"),
                                   .groups = out->gpus > 1 ? 1 : 0,
                                   .group_ranks = out->gpus};
    ps_figure memory, sm_count, threads, request = {0}, release = {0};
    PS_TRY(ps_catalogue_need(catalogue, out->gpu, PS_FIGURE_SM_COUNT, &sm_count, err));
    PS_TRY(ps_catalogue_need(catalogue, out->gpu, PS_FIGURE_THREADS_PER_SM, &threads, err));
    PS_TRY(ps_beyond_memory(catalogue, out->gpu, &setup, &out->beyond, err));
    PS_TRY(ps_catalogue_need(catalogue, out->gpu, PS_FIGURE_MEMORY, &memory, err));
    ps_model_machine_set_memory(out, memory.value);
    (void)ps_catalogue_get(catalogue, out->gpu, PS_FIGURE_DEVICE_MALLOC, &request);
    (void)ps_catalogue_get(catalogue, out->gpu, PS_FIGURE_DEVICE_FREE, &release);
    out->device = (ps_train_device){.malloc_ns = (ps_ns)request.value,
                                    .free_ns = (ps_ns)release.value,
                                    .capability = capability_of(catalogue, out->gpu),
                                    .release = release_of(args),
                                    .workspace_bytes = out->beyond.workspace_bytes,
                                    .sm_count = (int64_t)sm_count.value,
                                    .threads_per_sm = (int64_t)threads.value};
    return PS_OK;
}

static ps_code read_host(const ps_args *args, const ps_catalogue *catalogue, ps_cost_host *out,
                         ps_error *err)
{
    ps_hardware_id host;
    PS_TRY(ps_catalogue_find(catalogue, PS_HARDWARE_HOST, text_or(args, "host", DEFAULT_HOST),
                             &host, err));
    return ps_cost_host_read(catalogue, host, out, err);
}

ps_code ps_model_machine_read(const ps_args *args, const ps_catalogue *catalogue,
                              ps_model_machine *out, ps_error *err)
{
    const uint32_t gpus = ps_args_has(args, "gpus") ? (uint32_t)ps_args_quantity(args, "gpus") : 1;
    return ps_model_machine_of(args, catalogue, gpus, out, err);
}

ps_code ps_model_machine_of(const ps_args *args, const ps_catalogue *catalogue, uint32_t gpus,
                            ps_model_machine *out, ps_error *err)
{
    *out = (ps_model_machine){.gpus = gpus};
    ps_code code = find_gpu(args, catalogue, out, err);
    if (code == PS_OK) {
        code = read_device(args, catalogue, out, err);
    }
    if (code == PS_OK) {
        code = read_host(args, catalogue, &out->host, err);
    }
    if (code == PS_OK && out->cluster != NULL) {
        code = ps_collective_tables_read(args, catalogue, out->cluster, &out->collectives, err);
    }
    if (code != PS_OK) {
        ps_model_machine_fini(out);
    }
    return code;
}

void ps_model_machine_fini(ps_model_machine *self)
{
    ps_collective_destroy(self->collectives);
    ps_cluster_destroy(self->cluster);
    *self = (ps_model_machine){0};
}
