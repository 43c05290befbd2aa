/* SPDX-License-Identifier: MIT
 *
 * How many parameters a model has, by plain formulae over the figures of its
 * configuration: written from the papers' equations, one family a function,
 * with no line of the product but the look-ups.
 */
#ifndef PS_TESTS_PARAMETERS_H
#define PS_TESTS_PARAMETERS_H

#include "support/test.h"

#include <string.h>

#include "workload/config/config.h"

static inline uint64_t figure_or(const ps_model_config *config, const char *key, int64_t fallback)
{
    ps_error err = {0};
    int64_t value = 0;
    assert_ok(&err, ps_config_int(config, key, fallback, 0, INT64_C(1) << 40, &value, &err));
    return (uint64_t)value;
}

static inline uint64_t figure(const ps_model_config *config, const char *key)
{
    ps_error err = {0};
    int64_t value = 0;
    assert_ok(&err, ps_config_need_int(config, key, 1, INT64_C(1) << 40, &value, &err));
    return (uint64_t)value;
}

static inline bool truth(const ps_model_config *config, const char *key, bool fallback)
{
    ps_error err = {0};
    bool value = false;
    assert_ok(&err, ps_config_bool(config, key, fallback, &value, &err));
    return value;
}

/* y = xW + b */
static inline uint64_t affine(uint64_t in, uint64_t out)
{
    return in * out + out;
}

/* GPT-2 and, with one key and value head, GPT-BigCode. */
static inline uint64_t count_gpt2(const ps_model_config *c)
{
    const uint64_t d = figure(c, "n_embd"), inner = figure_or(c, "n_inner", (int64_t)(4 * d));
    const uint64_t head = d / figure(c, "n_head");
    const uint64_t qkv = truth(c, "multi_query", false) ? d + 2 * head : 3 * d;
    const uint64_t layer = affine(d, qkv) + affine(d, d) + affine(d, inner) + affine(inner, d);
    return (figure(c, "vocab_size") + figure(c, "n_positions")) * d +
           figure(c, "n_layer") * (layer + 4 * d) + 2 * d;
}

/* Queries, keys and values of GPT-Neo have no bias. */
static inline uint64_t count_gpt_neo(const ps_model_config *c)
{
    const uint64_t d = figure(c, "hidden_size");
    const uint64_t layer = 3 * d * d + affine(d, d) + affine(d, 4 * d) + affine(4 * d, d) + 4 * d;
    return (figure(c, "vocab_size") + figure(c, "max_position_embeddings")) * d +
           figure(c, "num_layers") * layer + 2 * d;
}

/* GPT-J and CodeGen: one norm a layer, attention without biases, a head of its own with bias. */
static inline uint64_t count_gptj(const ps_model_config *c)
{
    const uint64_t d = figure(c, "n_embd"), vocab = figure(c, "vocab_size");
    const uint64_t layer = 4 * d * d + affine(d, 4 * d) + affine(4 * d, d) + 2 * d;
    return vocab * d + figure(c, "n_layer") * layer + 2 * d + affine(d, vocab);
}

/* A layer of the first transformers: four affine maps, two more, two norms. */
static inline uint64_t classic_layer(uint64_t d, uint64_t inner)
{
    return 4 * affine(d, d) + affine(d, inner) + affine(inner, d) + 4 * d;
}

/* Positions begin at 2. */
static inline uint64_t count_opt(const ps_model_config *c)
{
    const uint64_t d = figure(c, "hidden_size"), outer = figure(c, "word_embed_proj_dim");
    const uint64_t last_norm = truth(c, "do_layer_norm_before", true) ? 2 * d : 0;
    return figure(c, "vocab_size") * outer + (figure(c, "max_position_embeddings") + 2) * d +
           (outer == d ? 0 : 2 * outer * d) +
           figure(c, "num_hidden_layers") * classic_layer(d, figure(c, "ffn_dim")) + last_norm;
}

static inline uint64_t count_biogpt(const ps_model_config *c)
{
    const uint64_t d = figure(c, "hidden_size"), inner = figure(c, "intermediate_size");
    return (figure(c, "vocab_size") + figure(c, "max_position_embeddings") + 2) * d +
           figure(c, "num_hidden_layers") * classic_layer(d, inner) + 2 * d;
}

/* With the head that fills in masked words. */
static inline uint64_t count_bert(const ps_model_config *c)
{
    const uint64_t d = figure(c, "hidden_size"), vocab = figure(c, "vocab_size");
    const uint64_t rows =
        vocab + figure(c, "max_position_embeddings") + figure(c, "type_vocab_size");
    return rows * d + 2 * d +
           figure(c, "num_hidden_layers") * classic_layer(d, figure(c, "intermediate_size")) +
           affine(d, d) + 2 * d + vocab;
}

static inline uint64_t count_bloom(const ps_model_config *c)
{
    const uint64_t d = figure(c, "hidden_size");
    return figure(c, "vocab_size") * d + 2 * d + figure(c, "n_layer") * classic_layer(d, 4 * d) +
           2 * d;
}

static inline uint64_t count_gpt_neox(const ps_model_config *c)
{
    const uint64_t d = figure(c, "hidden_size"), inner = figure(c, "intermediate_size");
    return 2 * figure(c, "vocab_size") * d +
           figure(c, "num_hidden_layers") * classic_layer(d, inner) + 2 * d;
}

/* One norm for attention and feed-forward alike; the head has a bias. */
static inline uint64_t count_phi(const ps_model_config *c)
{
    const uint64_t d = figure(c, "hidden_size"), vocab = figure(c, "vocab_size");
    const uint64_t layer = classic_layer(d, figure(c, "intermediate_size")) - 2 * d;
    return vocab * d + figure(c, "num_hidden_layers") * layer + 2 * d + affine(d, vocab);
}

/* What tells the descendants of Llama apart. */
typedef struct llama_traits {
    bool has_qkv_bias;
    bool has_qk_norm;
    uint64_t norms; /* a layer */
} llama_traits;

static inline llama_traits traits_of(const char *type)
{
    return (llama_traits){.has_qkv_bias = strcmp(type, "qwen2") == 0,
                          .has_qk_norm = strcmp(type, "qwen3") == 0,
                          .norms = strcmp(type, "gemma2") == 0 ? 4 : 2};
}

static inline uint64_t llama_attention(const ps_model_config *c, llama_traits traits)
{
    const uint64_t d = figure(c, "hidden_size"), heads = figure(c, "num_attention_heads");
    const uint64_t head = figure_or(c, "head_dim", (int64_t)(d / heads));
    const uint64_t queries = heads * head, keys = figure(c, "num_key_value_heads") * head;
    return 2 * d * queries + 2 * d * keys + (traits.has_qkv_bias ? queries + 2 * keys : 0) +
           (traits.has_qk_norm ? 2 * head : 0);
}

static inline uint64_t count_llama(const ps_model_config *c, const char *type)
{
    const llama_traits traits = traits_of(type);
    const uint64_t d = figure(c, "hidden_size");
    const uint64_t experts = figure_or(c, "num_local_experts", 1);
    const uint64_t router = experts > 1 ? d * experts : 0;
    const uint64_t layer = llama_attention(c, traits) + router + traits.norms * d +
                           3 * d * figure(c, "intermediate_size") * experts;
    return figure(c, "vocab_size") * d * (truth(c, "tie_word_embeddings", true) ? 1 : 2) +
           figure(c, "num_hidden_layers") * layer + d;
}

/* Few dense layers, then shared and routed experts of their own width. */
static inline uint64_t count_deepseek(const ps_model_config *c)
{
    const uint64_t d = figure(c, "hidden_size"), dense = figure(c, "first_k_dense_replace");
    const uint64_t routed = figure(c, "n_routed_experts"), layers = figure(c, "num_hidden_layers");
    const uint64_t expert = 3 * d * figure(c, "moe_intermediate_size");
    const uint64_t sparse = expert * (routed + figure(c, "n_shared_experts")) + routed * d;
    return 2 * figure(c, "vocab_size") * d + d +
           layers * (llama_attention(c, (llama_traits){0}) + 2 * d) +
           dense * 3 * d * figure(c, "intermediate_size") + (layers - dense) * sparse;
}

/* A gated feed-forward has three maps; relative positions are learned once a stack. */
static inline uint64_t count_t5(const ps_model_config *c, bool is_gated)
{
    const uint64_t d = figure(c, "d_model"), heads = figure(c, "num_heads");
    const uint64_t attention = 4 * d * heads * figure(c, "d_kv");
    const uint64_t feed = (is_gated ? 3u : 2u) * d * figure(c, "d_ff");
    const uint64_t ends = figure(c, "relative_attention_num_buckets") * heads + d;
    return figure(c, "vocab_size") * d * (truth(c, "tie_word_embeddings", true) ? 1 : 2) +
           figure(c, "num_layers") * (attention + feed + 2 * d) +
           figure(c, "num_decoder_layers") * (2 * attention + feed + 3 * d) + 2 * ends;
}

/** Parameters of a model, tied ones once; fails the test for a family without formula. */
static inline uint64_t count_parameters(const ps_model_config *c)
{
    static const struct {
        const char *type;
        uint64_t (*count)(const ps_model_config *config);
    } plain[] = {
        {"gpt2", count_gpt2},         {"gpt_bigcode", count_gpt2},  {"gpt_neo", count_gpt_neo},
        {"gptj", count_gptj},         {"codegen", count_gptj},      {"opt", count_opt},
        {"biogpt", count_biogpt},     {"bert", count_bert},         {"roberta", count_bert},
        {"bloom", count_bloom},       {"gpt_neox", count_gpt_neox}, {"phi", count_phi},
        {"deepseek", count_deepseek},
    };
    static const char *const llamas[] = {"llama", "mistral", "mixtral", "qwen2",
                                         "qwen3", "gemma",   "gemma2",  "phi3"};
    ps_error err = {0};
    const char *type = NULL, *feed = NULL;
    assert_ok(&err, ps_config_text(c, "model_type", "", &type, &err));
    assert_ok(&err, ps_config_text(c, "feed_forward_proj", "", &feed, &err));
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        if (strcmp(type, plain[i].type) == 0) {
            return plain[i].count(c);
        }
    }
    for (size_t i = 0; i < sizeof llamas / sizeof llamas[0]; i++) {
        if (strcmp(type, llamas[i]) == 0) {
            return count_llama(c, type);
        }
    }
    if (strcmp(type, "t5") != 0) {
        fail_msg("%s: no formula for model_type \"%s\"", ps_model_config_name(c), type);
    }
    return count_t5(c, strncmp(feed, "gated", 5) == 0);
}

#endif
