/* SPDX-License-Identifier: MIT
 *
 * Shapes out of config.json.
 */
#include <string.h>

#include "workload/megatron/megatron.h"

#define MAX_WIDTH ((int64_t)1 << 24)
#define MAX_LAYERS ((int64_t)1 << 14)
#define MAX_WORDS ((int64_t)1 << 31)

static ps_code need(const ps_model_config *config, const char *key, int64_t *out, ps_error *err)
{
    return ps_config_need_int(config, key, 1, MAX_WIDTH, out, err);
}

static ps_code read_common(const ps_model_config *config, ps_megatron_shape *out, ps_error *err)
{
    PS_TRY(need(config, "hidden_size", &out->hidden, err));
    PS_TRY(need(config, "intermediate_size", &out->ffn, err));
    PS_TRY(need(config, "num_attention_heads", &out->heads, err));
    PS_TRY(ps_config_int(config, "num_key_value_heads", out->heads, 1, MAX_WIDTH, &out->kv_heads,
                         err));
    PS_TRY(
        ps_config_int(config, "head_dim", out->hidden / out->heads, 1, MAX_WIDTH, &out->head, err));
    PS_TRY(ps_config_need_int(config, "num_hidden_layers", 1, MAX_LAYERS, &out->layers, err));
    return ps_config_need_int(config, "vocab_size", 1, MAX_WORDS, &out->vocabulary, err);
}

static ps_code read_llama(const ps_model_config *config, ps_megatron_shape *out, ps_error *err)
{
    return read_common(config, out, err);
}

static ps_code read_deepseek(const ps_model_config *config, ps_megatron_shape *out, ps_error *err)
{
    int64_t shared, rotary;
    PS_TRY(read_common(config, out, err));
    out->kv_heads = out->heads;
    PS_TRY(need(config, "qk_nope_head_dim", &out->head, err));
    PS_TRY(need(config, "qk_rope_head_dim", &rotary, err));
    out->latent.rotary_head = rotary;
    PS_TRY(need(config, "v_head_dim", &out->latent.value_head, err));
    PS_TRY(need(config, "kv_lora_rank", &out->latent.kv_rank, err));
    PS_TRY(need(config, "q_lora_rank", &out->latent.q_rank, err));
    PS_TRY(need(config, "n_routed_experts", &out->experts.count, err));
    PS_TRY(ps_config_need_int(config, "num_experts_per_tok", 1, out->experts.count,
                              &out->experts.chosen, err));
    PS_TRY(need(config, "moe_intermediate_size", &out->experts.ffn, err));
    PS_TRY(ps_config_int(config, "n_shared_experts", 0, 0, MAX_WIDTH, &shared, err));
    out->experts.shared_ffn = shared * out->experts.ffn;
    return ps_config_int(config, "first_k_dense_replace", 0, 0, MAX_LAYERS,
                         &out->experts.dense_layers, err);
}

static ps_code read_gpt2(const ps_model_config *config, ps_megatron_shape *out, ps_error *err)
{
    out->dialect = PS_MEGATRON_GPT;
    PS_TRY(need(config, "n_embd", &out->hidden, err));
    PS_TRY(need(config, "n_head", &out->heads, err));
    PS_TRY(ps_config_int(config, "n_inner", 4 * out->hidden, 1, MAX_WIDTH, &out->ffn, err));
    PS_TRY(ps_config_check_divides(config, "n_embd", out->hidden, "n_head", out->heads, err));
    out->kv_heads = out->heads;
    out->head = out->hidden / out->heads;
    PS_TRY(ps_config_need_int(config, "n_layer", 1, MAX_LAYERS, &out->layers, err));
    PS_TRY(need(config, "n_positions", &out->positions, err));
    return ps_config_need_int(config, "vocab_size", 1, MAX_WORDS, &out->vocabulary, err);
}

ps_code ps_megatron_shape_read(const ps_model_config *config, int64_t layers,
                               ps_megatron_shape *out, ps_error *err)
{
    static const struct {
        const char *type;
        ps_code (*read)(const ps_model_config *config, ps_megatron_shape *out, ps_error *err);
    } readers[] = {{"llama", read_llama},
                   {"deepseek_v2", read_deepseek},
                   {"deepseek_v3", read_deepseek},
                   {"gpt2", read_gpt2}};
    const char *type;
    ps_megatron_shape shape = {0};
    PS_TRY(ps_config_text(config, "model_type", "", &type, err));
    for (size_t i = 0; i < sizeof readers / sizeof readers[0]; i++) {
        if (strcmp(type, readers[i].type) == 0) {
            PS_TRY(readers[i].read(config, &shape, err));
            if (layers < 0 || layers > MAX_LAYERS) {
                return ps_fail(err, PS_USAGE, "%lld layers", (long long)layers);
            }
            shape.layers = layers > 0 ? layers : shape.layers;
            *out = shape;
            return PS_OK;
        }
    }
    return ps_fail(err, PS_NOT_FOUND,
                   "%s: model_type \"%s\"; Megatron builds llama, deepseek_v2, deepseek_v3, gpt2",
                   ps_model_config_name(config), type);
}
