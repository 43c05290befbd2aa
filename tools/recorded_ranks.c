/* SPDX-License-Identifier: MIT
 *
 * The network between the GPUs of a recorded job that is asked about others.
 */
#include "recorded_ranks.h"

#include "model_machine.h"

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
