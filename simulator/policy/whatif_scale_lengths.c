/* SPDX-License-Identifier: MIT
 *
 * New lengths of kernels, copies and fills.
 *
 * A kernel that does not fill the GPU does not take longer in proportion to its
 * work: with x waves
 *
 *   new = fixed + (recorded - fixed) * max(1, new x) / max(1, x)
 *
 * where `fixed` is the 1st percentile of the recorded kernel times, and x
 * grows with the work. No kernel moves bytes or multiplies faster than the
 * part can: where that takes longer, it is the new length.
 *
 * A product of less than one wave was cut into small tiles so that there are
 * enough of them; with more work it gets the largest usual tile. One that
 * shrinks gets smaller tiles, down to the shortest product of the trace.
 *
 * Copies inside the device and fills take a start and a rate, that of the
 * part's memory.
 */
#include "policy/whatif_scale_work_parts.h"

#define NS_PER_S UINT64_C(1000000000)

/* Thousandths of a wave: the device is full. */
#define ONE_WAVE 1000u

static ps_ns longer(ps_ns a, ps_ns b)
{
    return a < b ? b : a;
}

static uint64_t one_at_least(uint64_t waves)
{
    return waves < ONE_WAVE ? ONE_WAVE : waves;
}

/* [ns] in the proportion of two loads. */
static ps_ns in_proportion(ps_ns old_ns, uint64_t new_load, uint64_t old_load)
{
    return (ps_ns)ps_mul_div_u64((uint64_t)old_ns, new_load, old_load);
}

/* A kernel by its waves; both loads in thousandths of a wave where they are known. */
static ps_ns length_by_waves(const ps_scaled_device *device, const ps_scaled_kernel *kernel)
{
    const ps_ns recorded = kernel->recorded_ns;
    const ps_ns fixed = recorded < device->fixed_ns ? recorded : device->fixed_ns;
    const bool is_product = kernel->class.bound == PS_BOUND_ARITHMETIC;
    const uint64_t waves = ps__kernel_waves(device, &kernel->launch);
    uint64_t old_load = kernel->amount.old_amount, new_load = kernel->amount.new_amount;
    const bool shrinks = new_load < old_load;
    if (waves > 0 && !(is_product && shrinks)) {
        new_load = ps_mul_div_u64(waves, new_load, old_load);
        if (is_product && waves < ONE_WAVE && new_load > ONE_WAVE) {
            new_load = ps__load_with_large_tiles(kernel->name, new_load);
        }
        new_load = one_at_least(new_load);
        old_load = one_at_least(waves);
    }
    const ps_ns scaled = fixed + in_proportion(recorded - fixed, new_load, old_load);
    if (!is_product || !shrinks) {
        return scaled;
    }
    const ps_ns shortest = device->shortest_product_ns;
    return longer(scaled, shortest < recorded ? shortest : recorded);
}

/* [ns] the part needs at least; 0 unknown. */
static uint64_t least_ns(const ps_scaled_device *device, ps_kernel_class class, uint64_t amount)
{
    const ps_figure_id figure =
        class.bound == PS_BOUND_ARITHMETIC ? class.rate : PS_FIGURE_MEMORY_BANDWIDTH;
    uint64_t rate = 0;
    return ps__scaled_device_figure(device, figure, &rate) ? ps_mul_div_u64(amount, NS_PER_S, rate)
                                                           : 0;
}

ps_ns ps__scaled_kernel_ns(const ps_scaled_device *device, const ps_scaled_kernel *kernel)
{
    const ps_ns scaled = length_by_waves(device, kernel);
    /* amounts that the recorded length contradicts say nothing about the new one */
    const bool is_sound =
        least_ns(device, kernel->class, kernel->amount.old_amount) <= (uint64_t)kernel->recorded_ns;
    const uint64_t least =
        is_sound ? least_ns(device, kernel->class, kernel->amount.new_amount) : 0;
    return (uint64_t)scaled < least ? (ps_ns)least : scaled;
}

/* What it took beyond its bytes at the part's rate is its start. */
ps_ns ps__scaled_copy_ns(const ps_scaled_device *device, ps_ns recorded_ns,
                         ps_scaled_amount moved_bytes)
{
    uint64_t rate = 0, share = PS_RATIO_ONE;
    if (!ps__scaled_device_figure(device, PS_FIGURE_MEMORY_BANDWIDTH, &rate)) {
        return in_proportion(recorded_ns, moved_bytes.new_amount, moved_bytes.old_amount);
    }
    (void)ps__scaled_device_figure(device, PS_FIGURE_STREAM_SHARE, &share);
    rate = ps_mul_div_u64(rate, share, PS_RATIO_ONE);
    const uint64_t old_ns = ps_mul_div_u64(moved_bytes.old_amount, NS_PER_S, rate);
    if (old_ns >= (uint64_t)recorded_ns) {
        return in_proportion(recorded_ns, moved_bytes.new_amount, moved_bytes.old_amount);
    }
    return recorded_ns - (ps_ns)old_ns +
           (ps_ns)ps_mul_div_u64(moved_bytes.new_amount, NS_PER_S, rate);
}
