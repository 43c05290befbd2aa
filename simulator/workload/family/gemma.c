/* SPDX-License-Identifier: MIT
 *
 * Gemma: Llama with embeddings scaled by the root of their width, norms whose
 * weights are added to 1, and tied words.
 */
#include "workload/family/decoder.h"

static ps_code create(ps_model *m, const ps_model_config *config, ps_error *err)
{
    ps_shape_reader r = {.config = config, .err = err};
    ps_decoder_shape n = {.layers = 28,
                          .hidden = 3072,
                          .heads = 16,
                          .kv_heads = 16,
                          .head_width = 256,
                          .inner = 24576,
                          .vocabulary = 256000,
                          .is_tied = true,
                          .has_offset_norms = true,
                          .scales_words = true};
    ps_decoder_read(&r, &n);
    ps_decoder_read_rotary(&r);
    /* not "hidden_activation": the library has that key too, and does not look at it */
    n.activation = ps_shape_activation(&r, "hidden_act", "gelu_pytorch_tanh");
    n.has_qkv_bias = n.has_output_bias = ps_shape_flag(&r, "attention_bias", false);
    return r.code == PS_OK ? ps_decoder_create(m, &n, err) : r.code;
}

const ps_family ps_family_gemma = {
    .model_type = "gemma",
    .lora_target = {"q_proj", "v_proj"},
    .recomputes_attention = true,
    .create = create,
    .destroy = ps_decoder_destroy,
    .forward = ps_decoder_forward,
};
