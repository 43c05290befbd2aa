/* SPDX-License-Identifier: MIT
 *
 * Host time of launches, and how many launches a multi-tensor call makes.
 */
#include "cost/host.h"

/* Limits of PyTorch's multi-tensor kernels (ATen/native/cuda/MultiTensorApply.cuh). */
enum {
    CHUNK_ELEMENTS = 65536,
    LAUNCH_BLOCKS = 320,
    LARGE_ARGS = 7, /* times as much with large kernel arguments */
    DEPTHS = 5,
};
static const uint32_t tensors_of_depth[DEPTHS] = {110, 64, 48, 36, 30};
static const uint32_t tensors_with_scalars[DEPTHS] = {96, 64, 48, 36, 30};

ps_code ps_cost_host_read(const ps_catalogue *catalogue, ps_hardware_id host, ps_cost_host *out,
                          ps_error *err)
{
    static const ps_figure_id figures[PS_COST_PHASE_COUNT] = {
#define FIGURE(sym, figure) PS_FIGURE_##figure,
        PS_COST_PHASES(FIGURE)
#undef FIGURE
    };
    ps_cost_host read = {0};
    ps_figure slowed, recorded, hook, dispatch, late;
    PS_TRY(ps_catalogue_need(catalogue, host, PS_FIGURE_PROFILER_FACTOR, &slowed, err));
    for (size_t i = 0; i < PS_COST_PHASE_COUNT; i++) {
        PS_TRY(ps_catalogue_need(catalogue, host, figures[i], &recorded, err));
        const uint64_t ns = ps_mul_div_u64(recorded.value, PS_RATIO_ONE, slowed.value);
        read.launch_ns[i] = ns < (uint64_t)PS_TIME_NEVER ? (ps_ns)ns : PS_TIME_NEVER - 1;
    }
    if (ps_catalogue_get(catalogue, host, PS_FIGURE_SUBCLASS_DISPATCH, &dispatch)) {
        read.dispatch_ns =
            dispatch.value < (uint64_t)PS_TIME_NEVER ? (ps_ns)dispatch.value : PS_TIME_NEVER - 1;
    }
    if (ps_catalogue_get(catalogue, host, PS_FIGURE_MODULE_HOOK, &hook)) {
        read.hook_ns = (ps_ns)hook.value;
    }
    if (ps_catalogue_get(catalogue, host, PS_FIGURE_LATE_RANKS, &late)) {
        read.late_ns = (ps_ns)late.value;
    }
    *out = read;
    return PS_OK;
}

ps_ns ps_cost_host_ns(const ps_cost_host *self, ps_cost_phase phase, uint64_t launches)
{
    const uint64_t ns = ps_mul_div_u64((uint64_t)self->launch_ns[phase], launches, 1);
    return ns < (uint64_t)PS_TIME_NEVER ? (ps_ns)ns : PS_TIME_NEVER;
}

ps_ns ps_cost_dispatch_ns(const ps_cost_host *self, uint64_t dispatches)
{
    const uint64_t ns = ps_mul_div_u64((uint64_t)self->dispatch_ns, dispatches, 1);
    return ns < (uint64_t)PS_TIME_NEVER ? (ps_ns)ns : PS_TIME_NEVER;
}

ps_code ps_cost_foreach_launches(const ps_cost_foreach *call, uint64_t *out, ps_error *err)
{
    if (call->depth < 1 || call->depth > DEPTHS) {
        return ps_fail(err, PS_USAGE, "multi-tensor calls have 1 to %d lists, not %u", DEPTHS,
                       (unsigned)call->depth);
    }
    const uint64_t scale = call->has_large_args ? LARGE_ARGS : 1;
    const uint64_t most_blocks = LAUNCH_BLOCKS * scale;
    const uint64_t most_tensors =
        scale * (call->has_scalars ? tensors_with_scalars : tensors_of_depth)[call->depth - 1];
    uint64_t launches = 0, blocks = 0, tensors = 0;
    for (size_t i = 0; i < call->count; i++) {
        uint64_t left = call->numel[i] / CHUNK_ELEMENTS + (call->numel[i] % CHUNK_ELEMENTS != 0);
        if (left == 0) {
            continue; /* empty tensors are passed over */
        }
        tensors++;
        if (left > most_blocks - blocks) { /* cut here, the rest goes into further launches */
            left -= most_blocks - blocks;
            const uint64_t more = (left - 1) / most_blocks;
            launches += 1 + more;
            left -= more * most_blocks;
            blocks = 0;
            tensors = 1;
        }
        blocks += left;
        if (tensors == most_tensors || blocks == most_blocks) {
            launches++;
            blocks = tensors = 0;
        }
    }
    *out = launches + (blocks > 0);
    return PS_OK;
}
