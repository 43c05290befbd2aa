/* SPDX-License-Identifier: MIT
 *
 * How full a launch makes the device: waves, its blocks over what all
 * multiprocessors hold at a time.
 */
#include "policy/whatif_scale_work_parts.h"

static uint64_t read_number(const char **at)
{
    uint64_t value = 0;
    for (; **at >= '0' && **at <= '9' && value < (uint64_t)1 << 40; (*at)++) {
        value = value * 10 + (uint64_t)(**at - '0');
    }
    *at += **at == ',' || **at == '|';
    return value;
}

ps_kernel_launch ps__kernel_launch_read(const char *text)
{
    uint64_t value[7];
    for (size_t i = 0; i < 7; i++) {
        value[i] = read_number(&text);
    }
    return (ps_kernel_launch){
        .blocks = ps_mul_div_u64(value[0], ps_mul_div_u64(value[1], value[2], 1), 1),
        .threads = ps_mul_div_u64(value[3], ps_mul_div_u64(value[4], value[5], 1), 1),
        .registers = value[6],
    };
}

/* Blocks that a multiprocessor holds at a time, as far as its figures are known. */
static uint64_t resident_blocks(const ps_scaled_device *device, const ps_kernel_launch *launch)
{
    uint64_t threads = 0, registers = 0, resident = 1;
    if (ps__scaled_device_figure(device, PS_FIGURE_THREADS_PER_SM, &threads) &&
        threads > launch->threads) {
        resident = threads / launch->threads;
    }
    if (ps__scaled_device_figure(device, PS_FIGURE_REGISTERS_PER_SM, &registers) &&
        launch->registers > 0) {
        const uint64_t fitting = registers / (launch->registers * launch->threads);
        resident = fitting < resident ? (fitting == 0 ? 1 : fitting) : resident;
    }
    return resident;
}

uint64_t ps__kernel_waves(const ps_scaled_device *device, const ps_kernel_launch *launch)
{
    if (device->sm_count == 0 || launch->blocks == 0 || launch->threads == 0) {
        return 0;
    }
    const uint64_t waves =
        ps_mul_div_u64(launch->blocks, 1000, device->sm_count * resident_blocks(device, launch));
    return waves == 0 ? 1 : waves;
}
