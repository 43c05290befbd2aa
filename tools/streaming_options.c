/* SPDX-License-Identifier: MIT
 *
 * From options to what is streamed.
 */
#include "streaming_options.h"

ps_code ps_streaming_options_read(const ps_args *args, ps_streaming *out, ps_error *err)
{
    static const struct {
        const char *name;
        size_t offset;
    } counts[] = {{"offload-prefetch", offsetof(ps_streaming, prefetch)},
                  {"offload-keep-first", offsetof(ps_streaming, keep_first)},
                  {"offload-keep-last", offsetof(ps_streaming, keep_last)}};
    if (ps_args_has(args, "offload-activations")) {
        out->activations = (ps_activation_offload)ps_args_choice(args, "offload-activations");
    }
    out->parameters = ps_args_has(args, "offload-parameters");
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        if (!ps_args_has(args, counts[i].name)) {
            continue;
        }
        if (out->activations != PS_ACTIVATION_OFFLOAD_STREAMED && !out->parameters) {
            return ps_fail(err, PS_USAGE,
                           "--%s goes with --offload-activations streamed or --offload-parameters",
                           counts[i].name);
        }
        *(int64_t *)(void *)((char *)out + counts[i].offset) =
            (int64_t)ps_args_quantity(args, counts[i].name);
    }
    return PS_OK;
}
