/* SPDX-License-Identifier: MIT
 *
 * New lengths of device work (private to this folder).
 *
 *   amounts ──► how much an operator reads, makes and multiplies    whatif_scale_amounts.c
 *   device ───► what the part can do, and its kernels at the least  whatif_scale_device.c
 *   waves ────► how full a launch makes the device                  whatif_scale_waves.c
 *   tiles ────► how products are cut                                whatif_scale_tiles.c
 *   lengths ──► kernels and copies of another size                  whatif_scale_lengths.c
 *   work ─────► which task is which row and operator                whatif_scale_work.c
 */
#ifndef PS_POLICY_WHATIF_SCALE_WORK_PARTS_H
#define PS_POLICY_WHATIF_SCALE_WORK_PARTS_H

#include "cost/kernel_class.h"
#include "policy/whatif_scale_parts.h"

/** Work of one operator before and after the change: [bytes], or multiplications and additions.
 * Old 0: unknown. */
typedef struct ps_scaled_amount {
    uint64_t old_amount, new_amount;
} ps_scaled_amount;

/** What is known of the device at hand and of the recorded kernels. */
typedef struct ps_scaled_device {
    const ps_catalogue *catalogue;
    ps_ns fixed_ns;            /* part of every kernel that no size changes */
    ps_ns shortest_product_ns; /* PS_TIME_NEVER: no product was recorded */
    bool has_gpu;              /* the catalogue knows the part */
    ps_hardware_id gpu;
    uint64_t sm_count; /* 0 unknown */
} ps_scaled_device;

/** How a kernel was launched; a text that does not tell gives zeros. */
typedef struct ps_kernel_launch {
    uint64_t blocks, threads; /* threads of a block */
    uint64_t registers;       /* of a thread */
} ps_kernel_launch;

/** A recorded kernel whose operator's work changes. */
typedef struct ps_scaled_kernel {
    ps_ns recorded_ns;
    const char *name;
    ps_kernel_class class;
    ps_scaled_amount amount; /* old_amount > 0 */
    ps_kernel_launch launch;
} ps_scaled_kernel;

/** [bytes] that the operator of a range reads and makes. */
ps_scaled_amount ps__scaled_bytes(const ps_scaling *self, uint32_t range);

/** Multiplications and additions of a product or a convolution; {0} for other operators. */
ps_scaled_amount ps__scaled_arithmetic(const ps_scaling *self, uint32_t range);

/** What all devices of a recording share; ps__scaled_device_choose says which one is at hand. */
ps_code ps__scaled_device_init(ps_scaled_device *self, const ps_plan *plan,
                               const ps_catalogue *catalogue, ps_error *err) PS_MUST_USE;

/** Puts a device of the plan at hand. */
void ps__scaled_device_choose(ps_scaled_device *self, const ps_scaling *scaling, uint32_t device);

/** A figure of the part at hand; false where it is unknown. */
bool ps__scaled_device_figure(const ps_scaled_device *self, ps_figure_id id, uint64_t *out);

/** Reads "gx,gy,gz|bx,by,bz|registers|shared bytes". */
ps_kernel_launch ps__kernel_launch_read(const char *text);

/** Waves of a launch in thousandths; 0 unknown. */
uint64_t ps__kernel_waves(const ps_scaled_device *device, const ps_kernel_launch *launch);

/** Operands that a product reads with large tiles, for `load` read with those of its name. */
uint64_t ps__load_with_large_tiles(const char *kernel_name, uint64_t load);

/** [ns] new length of a kernel. */
ps_ns ps__scaled_kernel_ns(const ps_scaled_device *device, const ps_scaled_kernel *kernel);

/** [ns] new length of a copy inside the device, or a fill. Bytes are those that its memory moves:
 * of a copy, what is read and what is written. */
ps_ns ps__scaled_copy_ns(const ps_scaled_device *device, ps_ns recorded_ns,
                         ps_scaled_amount moved_bytes);

#endif
