/* SPDX-License-Identifier: MIT
 *
 * Mistral: Llama whose masks leave a window of keys.
 */
#include "workload/family/decoder.h"

static ps_code create(ps_model *m, const ps_model_config *config, ps_error *err)
{
    ps_shape_reader r = {.config = config, .err = err};
    ps_decoder_shape n = {.layers = 32,
                          .hidden = 4096,
                          .heads = 32,
                          .kv_heads = 8,
                          .inner = 14336,
                          .vocabulary = 32000};
    ps_decoder_read(&r, &n);
    ps_decoder_read_window(&r, &n, 4096);
    return r.code == PS_OK ? ps_decoder_create(m, &n, err) : r.code;
}

const ps_family ps_family_mistral = {
    .model_type = "mistral",
    .lora_target = {"q_proj", "v_proj"},
    .recomputes_attention = true,
    .create = create,
    .destroy = ps_decoder_destroy,
    .forward = ps_decoder_forward,
    .dual = &ps_decoder_dual,
};
