/* SPDX-License-Identifier: MIT
 *
 * Qwen3-MoE: Qwen3 whose feed-forward is done by a few of many experts.
 */
#include "workload/family/decoder.h"

static ps_code create(ps_model *m, const ps_model_config *config, ps_error *err)
{
    const ps_sparse_mlp_shape experts = {.inner = 768, .experts = 128, .experts_a_token = 8};
    ps_shape_reader r = {.config = config, .err = err};
    ps_decoder_shape n = {.layers = 24,
                          .hidden = 2048,
                          .heads = 32,
                          .kv_heads = 4,
                          .inner = 6144,
                          .vocabulary = 151936,
                          .has_head_norms = true};
    ps_decoder_read(&r, &n);
    ps_decoder_read_rotary(&r);
    ps_decoder_read_window_if_used(&r, &n, 4096);
    n.has_qkv_bias = n.has_output_bias = ps_shape_flag(&r, "attention_bias", false);
    ps_decoder_read_experts(&r, &n, &experts);
    return r.code == PS_OK ? ps_decoder_create(m, &n, err) : r.code;
}

const ps_family ps_family_qwen3_moe = {
    .model_type = "qwen3_moe",
    .lora_target = {"q_proj", "v_proj"},
    .recomputes_attention = true,
    .create = create,
    .destroy = ps_decoder_destroy,
    .forward = ps_decoder_forward,
};
