/* SPDX-License-Identifier: MIT
 *
 * Recorded kernels on another GPU.
 *
 *   new = fixed + (recorded - fixed) * old rate / new rate
 *
 * where the rate is the peak of the number format for kernels bound by
 * arithmetic and the memory bandwidth for all others, and `fixed` is the part
 * of every kernel that no rate shortens: the 1st percentile of the recorded
 * kernel times. Collectives keep their time: they are bound by links and by
 * other ranks.
 */
#include <stdlib.h>

#include "base/memory.h"
#include "cost/kernel_class.h"
#include "policy/whatif_parts.h"

static int by_time(const void *a, const void *b)
{
    const ps_ns x = *(const ps_ns *)a, y = *(const ps_ns *)b;
    return (x > y) - (x < y);
}

ps_code ps__whatif_fixed_part(const ps_plan *plan, ps_ns *out, ps_error *err)
{
    ps_ns *times = ps_calloc(plan->task.head.count, sizeof *times);
    if (times == NULL) {
        return ps_fail_nomem(err);
    }
    size_t count = 0;
    for (size_t i = 0; i < plan->task.head.count; i++) {
        if (plan->task.kind[i] == PS_TASK_KERNEL) {
            times[count++] = plan->task.dur_ns[i];
        }
    }
    qsort(times, count, sizeof *times, by_time);
    *out = count > 0 ? times[count / 100] : 0;
    ps_free(times);
    return PS_OK;
}

/* A format the part does not have runs on its fp32 units. */
static ps_code rate_of(const ps_catalogue *catalogue, ps_hardware_id gpu, ps_figure_id figure,
                       uint64_t *out, ps_error *err)
{
    ps_figure found;
    if (ps_catalogue_get(catalogue, gpu, figure, &found) && found.value > 0) {
        *out = found.value;
        return PS_OK;
    }
    PS_TRY(ps_catalogue_need(catalogue, gpu, PS_FIGURE_FP32_RATE, &found, err));
    *out = found.value;
    return PS_OK;
}

static ps_ns rescale(ps_ns dur, ps_ns fixed, uint64_t old_rate, uint64_t new_rate)
{
    if (dur <= fixed) {
        return dur;
    }
    return fixed + (ps_ns)ps_mul_div_u64((uint64_t)(dur - fixed), old_rate, new_rate);
}

/* Old and new rates of every figure a kernel can be bound by. */
typedef struct rate_pairs {
    uint64_t old_rate[PS_FIGURE_COUNT], new_rate[PS_FIGURE_COUNT];
} rate_pairs;

static ps_code find_rates(const ps_catalogue *catalogue, ps_hardware_id from, ps_hardware_id to,
                          rate_pairs *out, ps_error *err)
{
    static const ps_figure_id figures[] = {PS_FIGURE_FP32_RATE, PS_FIGURE_TF32_RATE,
                                           PS_FIGURE_FP16_RATE, PS_FIGURE_BF16_RATE,
                                           PS_FIGURE_FP8_RATE,  PS_FIGURE_MEMORY_BANDWIDTH};
    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++) {
        PS_TRY(rate_of(catalogue, from, figures[i], &out->old_rate[figures[i]], err));
        PS_TRY(rate_of(catalogue, to, figures[i], &out->new_rate[figures[i]], err));
    }
    return PS_OK;
}

static void rescale_task(ps_plan *plan, size_t i, const rate_pairs *rates, ps_ns fixed)
{
    ps_figure_id figure = PS_FIGURE_MEMORY_BANDWIDTH;
    switch ((ps_task_kind)plan->task.kind[i]) {
    case PS_TASK_KERNEL:
        figure = ps_kernel_classify(ps_strings_text(plan->strings, plan->task.name[i])).rate;
        break;
    case PS_TASK_MEMCPY:
        if (plan->task.copy_kind[i] != PS_COPY_DTOD) {
            return;
        }
        break;
    case PS_TASK_MEMSET:
        break;
    case PS_TASK_HOST:
    case PS_TASK_WAIT:
    case PS_TASK_COLLECTIVE:
    case PS_TASK_EXCHANGE:
    case PS_TASK_CPU:
    case PS_TASK_KIND_COUNT:
        return;
    }
    plan->task.dur_ns[i] =
        rescale(plan->task.dur_ns[i], fixed, rates->old_rate[figure], rates->new_rate[figure]);
    plan->task.basis[i] = PS_BASIS_SCALED;
}

ps_code ps__whatif_compute(ps_plan *plan, const ps_catalogue *catalogue, ps_hardware_id target,
                           ps_error *err)
{
    ps_ns fixed = 0;
    PS_TRY(ps__whatif_fixed_part(plan, &fixed, err));
    for (uint32_t device = 0; device < plan->device.head.count; device++) {
        ps_hardware_id recorded;
        rate_pairs rates;
        PS_TRY(ps__whatif_recorded_gpu(plan, device, catalogue, &recorded, err));
        PS_TRY(find_rates(catalogue, recorded, target, &rates, err));
        for (size_t i = 0; i < plan->task.head.count; i++) {
            if (plan->lane.device[plan->task.lane[i]] == device + 1) {
                rescale_task(plan, i, &rates, fixed);
            }
        }
        PS_TRY(ps_strings_put_z(plan->strings, ps_catalogue_name(catalogue, target),
                                &plan->device.name[device], err));
    }
    return PS_OK;
}
