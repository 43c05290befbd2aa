/* SPDX-License-Identifier: MIT
 *
 * What bounds a recorded kernel? Known from its name alone: matrix products
 * and convolutions are bound by the arithmetic of one number format, all
 * else by device memory.
 */
#ifndef PS_COST_KERNEL_CLASS_H
#define PS_COST_KERNEL_CLASS_H

#include "cluster/catalogue.h"

typedef enum ps_kernel_bound {
    PS_BOUND_MEMORY = 0,
    PS_BOUND_ARITHMETIC = 1,
} ps_kernel_bound;

typedef struct ps_kernel_class {
    ps_kernel_bound bound;
    ps_figure_id rate; /* of an arithmetic-bound kernel: which peak it draws on */
} ps_kernel_class;

/** Class of a kernel by its demangled name. */
ps_kernel_class ps_kernel_classify(const char *name);

#endif
