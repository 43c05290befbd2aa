/* SPDX-License-Identifier: MIT
 *
 * The plainest training script.
 */
#include "workload/script/recipe.h"

ps_recipe ps_recipe_default(void)
{
    return (ps_recipe){.batch = 1,
                       .length = 1024,
                       .steps = 2,
                       .accumulate = 1,
                       .parameters = PS_DTYPE_F32,
                       .autocast = PS_DTYPE_F32,
                       .optimizer = "adamw",
                       .offload = ps_offload_settings_default(),
                       .parallel = ps_parallel_default(),
                       .streaming = {.prefetch = 1}};
}
