/* SPDX-License-Identifier: MIT
 *
 * No optimizer: forward and backward alone, and gradients stay.
 */
#include "workload/optimizer/optimizer_parts.h"

static void update(ps_optimizer *self)
{
    (void)self;
}

const ps_optimizer_ops ps_optimizer_none = {.usual = PS_OPTIMIZER_LOOP,
                                            .styles = PS_STYLE_BIT(LOOP),
                                            .keeps_grads = true,
                                            .update = update};
