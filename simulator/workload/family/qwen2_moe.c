/* SPDX-License-Identifier: MIT
 *
 * Qwen2-MoE (Qwen1.5-MoE): Qwen2 whose feed-forward is done by a few of many
 * experts, and by one that all tokens share.
 */
#include "workload/family/decoder.h"

static ps_code create(ps_model *m, const ps_model_config *config, ps_error *err)
{
    const ps_sparse_mlp_shape experts = {.inner = 1408, .experts = 60, .experts_a_token = 4};
    ps_shape_reader r = {.config = config, .err = err};
    ps_decoder_shape n = {.layers = 24,
                          .hidden = 2048,
                          .heads = 16,
                          .kv_heads = 16,
                          .inner = 5632,
                          .vocabulary = 151936,
                          .is_early = true};
    ps_decoder_read(&r, &n);
    ps_decoder_read_rotary(&r);
    ps_decoder_read_window_if_used(&r, &n, 4096);
    n.has_qkv_bias = ps_shape_flag(&r, "qkv_bias", true);
    ps_decoder_read_experts(&r, &n, &experts);
    n.sparse.shared_inner = ps_shape_size(&r, "shared_expert_intermediate_size", 5632);
    return r.code == PS_OK ? ps_decoder_create(m, &n, err) : r.code;
}

const ps_family ps_family_qwen2_moe = {
    .model_type = "qwen2_moe",
    .lora_target = {"q_proj", "v_proj"},
    .recomputes_attention = true,
    .create = create,
    .destroy = ps_decoder_destroy,
    .forward = ps_decoder_forward,
};
