/* SPDX-License-Identifier: MIT
 *
 * Llama and what takes its name, as transformers 4.51 writes it.
 */
#include "workload/family/decoder.h"

static ps_code create(ps_model *m, const ps_model_config *config, ps_error *err)
{
    ps_shape_reader r = {.config = config, .err = err};
    ps_decoder_shape n = {
        .layers = 32, .hidden = 4096, .heads = 32, .inner = 11008, .vocabulary = 32000};
    ps_decoder_read(&r, &n);
    ps_decoder_read_rotary(&r);
    n.has_qkv_bias = n.has_output_bias = ps_shape_flag(&r, "attention_bias", false);
    n.has_mlp_bias = ps_shape_flag(&r, "mlp_bias", false);
    return r.code == PS_OK ? ps_decoder_create(m, &n, err) : r.code;
}

const ps_family ps_family_llama = {
    .model_type = "llama",
    .lora_target = {"q_proj", "v_proj"},
    .recomputes_attention = true,
    .create = create,
    .destroy = ps_decoder_destroy,
    .forward = ps_decoder_forward,
    .dual = &ps_decoder_dual,
};
