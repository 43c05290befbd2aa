/* SPDX-License-Identifier: MIT
 *
 * What is known of a recorded device: what its part can do, and how short its
 * kernels get.
 */
#include "policy/whatif_parts.h"
#include "policy/whatif_scale_work_parts.h"

static ps_ns shortest_product(const ps_plan *plan)
{
    ps_ns shortest = PS_TIME_NEVER;
    for (size_t i = 0; i < plan->task.head.count; i++) {
        const char *name = ps_strings_text(plan->strings, plan->task.name[i]);
        if (plan->task.kind[i] == PS_TASK_KERNEL && plan->task.dur_ns[i] < shortest &&
            ps_kernel_classify(name).bound == PS_BOUND_ARITHMETIC) {
            shortest = plan->task.dur_ns[i];
        }
    }
    return shortest;
}

ps_code ps__scaled_device_init(ps_scaled_device *self, const ps_plan *plan,
                               const ps_catalogue *catalogue, ps_error *err)
{
    ps_ns fixed = 0;
    PS_TRY(ps__whatif_fixed_part(plan, &fixed, err));
    *self = (ps_scaled_device){
        .catalogue = catalogue, .fixed_ns = fixed, .shortest_product_ns = shortest_product(plan)};
    return PS_OK;
}

void ps__scaled_device_choose(ps_scaled_device *self, const ps_scaling *scaling, uint32_t device)
{
    const ps_plan *plan = scaling->plan;
    const ps_device_table *table = &scaling->trace->device;
    uint64_t known = 0;
    self->has_gpu =
        ps__whatif_recorded_gpu(plan, device, self->catalogue, &self->gpu, NULL) == PS_OK;
    for (size_t i = 0; i < table->head.count; i++) {
        if (table->device[i] == plan->device.ordinal[device] || table->head.count == 1) {
            known = table->sm_count[i];
        }
    }
    if (known == 0) {
        (void)ps__scaled_device_figure(self, PS_FIGURE_SM_COUNT, &known);
    }
    self->sm_count = known;
}

bool ps__scaled_device_figure(const ps_scaled_device *self, ps_figure_id id, uint64_t *out)
{
    ps_figure figure;
    if (!self->has_gpu || !ps_catalogue_get(self->catalogue, self->gpu, id, &figure) ||
        figure.value == 0) {
        return false;
    }
    *out = figure.value;
    return true;
}
