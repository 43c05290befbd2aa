/* SPDX-License-Identifier: MIT
 *
 * Gemma 2: Gemma with norms of what attention and feed-forward give, scores and
 * logits that are capped, and a window of keys in every other block.
 *
 * PyTorch's kernels know no cap: with them scores are not capped, as the library
 * does it. Every kernel is given a mask, padding or not.
 */
#include "workload/family/decoder.h"

/* A cap that is null does not cap. */
static bool caps(ps_shape_reader *reader, const char *key)
{
    return !ps_config_has(reader->config, key) || !ps_config_is_null(reader->config, key);
}

/* Evaluated with a cache, the library makes one for the whole length beforehand. */
static void refuse_hybrid_cache(ps_model *m, ps_shape_reader *reader, const ps_decoder_shape *n)
{
    if (reader->code == PS_OK && m->recipe->is_evaluating && !m->recipe->has_no_cache &&
        n->keeps_cache) {
        reader->code = ps_fail(reader->err, PS_BAD_INPUT,
                               "gemma2 makes its cache beforehand when it is evaluated, which is "
                               "not modelled: give a configuration whose \"use_cache\" is false");
    }
}

/* The block cuts as much whatever it is, but cannot do without. */
static void check_window(ps_shape_reader *reader)
{
    (void)ps_shape_size(reader, "sliding_window", 4096);
    if (reader->code == PS_OK && ps_config_is_null(reader->config, "sliding_window")) {
        reader->code = ps_fail(reader->err, PS_BAD_INPUT,
                               "\"sliding_window\" is null, without which gemma2 does not run");
    }
}

static ps_code create(ps_model *m, const ps_model_config *config, ps_error *err)
{
    ps_shape_reader r = {.config = config, .err = err};
    ps_decoder_shape n = {.layers = 26,
                          .hidden = 2304,
                          .heads = 8,
                          .kv_heads = 4,
                          .head_width = 256,
                          .inner = 9216,
                          .vocabulary = 256000,
                          .mask = {.is_always_made = true},
                          .is_tied = true,
                          .has_offset_norms = true,
                          .scales_words = true,
                          .has_output_norms = true,
                          .is_alternating = true};
    ps_decoder_read(&r, &n);
    ps_decoder_read_rotary(&r);
    n.activation = ps_shape_activation(&r, "hidden_activation", "gelu_pytorch_tanh");
    n.has_qkv_bias = n.has_output_bias = ps_shape_flag(&r, "attention_bias", false);
    check_window(&r);
    n.caps_scores = caps(&r, "attn_logit_softcapping");
    n.caps_logits = caps(&r, "final_logit_softcapping");
    refuse_hybrid_cache(m, &r, &n);
    n.keeps_cache = false; /* in training mode there is none */
    return r.code == PS_OK ? ps_decoder_create(m, &n, err) : r.code;
}

const ps_family ps_family_gemma2 = {
    .model_type = "gemma2",
    .lora_target = {"q_proj", "v_proj"},
    .recomputes_attention = true,
    .create = create,
    .destroy = ps_decoder_destroy,
    .forward = ps_decoder_forward,
};
