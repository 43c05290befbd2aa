/* SPDX-License-Identifier: MIT
 *
 * From options to groups of layers.
 */
#include "hift_options.h"

ps_code ps_hift_options_read(const ps_args *args, ps_hift_settings *out, ps_error *err)
{
    if (!ps_args_has(args, "hift")) {
        return ps_args_has(args, "hift-order")
                   ? ps_fail(err, PS_USAGE, "--hift-order needs --hift: how many layers take turns")
                   : PS_OK;
    }
    out->layers = (int64_t)ps_args_quantity(args, "hift");
    out->seed = ps_args_quantity(args, "seed");
    if (ps_args_has(args, "hift-order")) {
        out->order = (ps_hift_order)ps_args_choice(args, "hift-order");
    }
    return PS_OK;
}
