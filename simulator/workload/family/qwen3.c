/* SPDX-License-Identifier: MIT
 *
 * Qwen3: Llama with a norm of each head's query and key, and Mistral's masks.
 */
#include "workload/family/decoder.h"

static ps_code create(ps_model *m, const ps_model_config *config, ps_error *err)
{
    ps_shape_reader r = {.config = config, .err = err};
    ps_decoder_shape n = {.layers = 32,
                          .hidden = 4096,
                          .heads = 32,
                          .kv_heads = 32,
                          .head_width = 128,
                          .inner = 22016,
                          .vocabulary = 151936,
                          .has_head_norms = true};
    ps_decoder_read(&r, &n);
    ps_decoder_read_rotary(&r);
    ps_decoder_read_window(&r, &n, 4096); /* masks look at it whatever use_sliding_window says */
    n.has_qkv_bias = n.has_output_bias = ps_shape_flag(&r, "attention_bias", false);
    return r.code == PS_OK ? ps_decoder_create(m, &n, err) : r.code;
}

const ps_family ps_family_qwen3 = {
    .model_type = "qwen3",
    .lora_target = {"q_proj", "v_proj"},
    .recomputes_attention = true,
    .create = create,
    .destroy = ps_decoder_destroy,
    .forward = ps_decoder_forward,
    .dual = &ps_decoder_dual,
};
