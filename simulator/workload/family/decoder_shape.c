/* SPDX-License-Identifier: MIT
 *
 * What a decoder's configuration says.
 */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "workload/family/decoder.h"

/* Keys that change what a model does in a way that is not modelled; all are false as a rule. */
static const char *const refused[] = {"output_attentions", "output_hidden_states"};

static void refuse_unknown(ps_shape_reader *reader, bool turns_part)
{
    for (size_t i = 0; i < sizeof refused / sizeof refused[0] && reader->code == PS_OK; i++) {
        if (ps_shape_flag(reader, refused[i], false)) {
            reader->code = ps_fail(reader->err, PS_BAD_INPUT, "%s is not modelled", refused[i]);
        }
    }
    if (reader->code == PS_OK && !turns_part &&
        ps_shape_share(reader, "partial_rotary_factor", 1.0) < 1.0) {
        reader->code =
            ps_fail(reader->err, PS_BAD_INPUT, "this family knows no partial_rotary_factor");
    }
}

void ps_decoder_read(ps_shape_reader *reader, ps_decoder_shape *n)
{
    n->layers = ps_shape_size(reader, "num_hidden_layers", n->layers);
    n->hidden = ps_shape_size(reader, "hidden_size", n->hidden);
    n->heads = ps_shape_size(reader, "num_attention_heads", n->heads);
    n->kv_heads =
        ps_shape_size(reader, "num_key_value_heads", n->kv_heads == 0 ? n->heads : n->kv_heads);
    if (n->head_width == 0 && n->heads > 0) {
        n->head_width = n->hidden / n->heads;
    }
    n->head_width = ps_shape_size(reader, "head_dim", n->head_width);
    n->inner = ps_shape_size(reader, "intermediate_size", n->inner);
    n->vocabulary = ps_shape_size(reader, "vocab_size", n->vocabulary);
    n->attention_dropout = ps_shape_share(reader, "attention_dropout", 0.0);
    n->activation = ps_shape_activation(reader, "hidden_act", "silu");
    n->is_tied = ps_shape_flag(reader, "tie_word_embeddings", n->is_tied);
    n->keeps_cache = ps_shape_flag(reader, "use_cache", true);
    ps_shape_divides(reader, "num_attention_heads", n->heads, "num_key_value_heads", n->kv_heads);
    ps_shape_divides(reader, "head_dim", n->head_width, "the halves that rotate", 2);
    refuse_unknown(reader, n->turned_width != 0);
}

void ps_decoder_read_window(ps_shape_reader *reader, ps_decoder_shape *n, int64_t fallback)
{
    const bool is_absent = !ps_config_has(reader->config, "sliding_window");
    n->mask.is_windowed = true;
    if (ps_config_is_null(reader->config, "sliding_window") || (is_absent && fallback == 0)) {
        return;
    }
    n->mask.window = ps_shape_size(reader, "sliding_window", fallback);
}

void ps_decoder_read_window_if_used(ps_shape_reader *reader, ps_decoder_shape *n, int64_t fallback)
{
    n->mask.is_windowed = true;
    if (ps_shape_flag(reader, "use_sliding_window", false)) {
        ps_decoder_read_window(reader, n, fallback);
    }
}

int64_t ps_decoder_read_turned(ps_shape_reader *reader, ps_decoder_shape *n, double fallback)
{
    const double share = ps_shape_share(reader, "partial_rotary_factor", fallback);
    n->turned_width = (int64_t)((double)n->head_width * share);
    if (reader->code == PS_OK && (n->turned_width < 2 || n->turned_width % 2 != 0)) {
        reader->code =
            ps_fail(reader->err, PS_BAD_INPUT,
                    "partial_rotary_factor leaves %lld of the %lld elements of a head to "
                    "turn, which are no pairs",
                    (long long)n->turned_width, (long long)n->head_width);
    }
    return n->turned_width;
}

void ps_decoder_read_rotary(ps_shape_reader *reader)
{
    static const char *const fixed[] = {"default", "linear", "llama3", "yarn"};
    const char *kind = ps_shape_text(reader, "rope_scaling.type", "default");
    kind = ps_shape_text(reader, "rope_scaling.rope_type", kind);
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
        if (strcmp(kind, fixed[i]) == 0) {
            return; /* frequencies are computed once: nothing changes but their values */
        }
    }
    if (reader->code == PS_OK) {
        reader->code = ps_fail(reader->err, PS_BAD_INPUT,
                               "rotary positions of type \"%s\" are not modelled", kind);
    }
}

/* ---- experts ---- */

static bool is_listed(ps_shape_reader *reader, const char *key, int64_t number)
{
    size_t count = 0;
    if (reader->code == PS_OK) {
        reader->code = ps_config_count(reader->config, key, &count, reader->err);
    }
    for (size_t i = 0; i < count && reader->code == PS_OK; i++) {
        char item[64];
        int64_t listed = 0;
        (void)snprintf(item, sizeof item, "%s.%zu", key, i);
        reader->code = ps_config_need_int(reader->config, item, 0, INT32_MAX, &listed, reader->err);
        if (listed == number) {
            return reader->code == PS_OK;
        }
    }
    return false;
}

static void read_dense_layers(ps_shape_reader *reader, ps_decoder_shape *n)
{
    const int64_t step = ps_shape_size(reader, "decoder_sparse_step", 1);
    if (reader->code != PS_OK) {
        return;
    }
    n->is_dense = ps_calloc((size_t)n->layers, sizeof *n->is_dense);
    if (n->is_dense == NULL) {
        reader->code = ps_fail_nomem(reader->err);
    }
    for (int64_t i = 0; i < n->layers && reader->code == PS_OK; i++) {
        n->is_dense[i] = (i + 1) % step != 0 || is_listed(reader, "mlp_only_layers", i);
    }
    if (reader->code != PS_OK) {
        ps_free(n->is_dense);
        n->is_dense = NULL;
    }
}

void ps_decoder_check_experts(ps_shape_reader *reader, const ps_decoder_shape *n)
{
    if (reader->code == PS_OK && n->sparse.experts_a_token > n->sparse.experts) {
        reader->code = ps_fail(reader->err, PS_BAD_INPUT,
                               "num_experts_per_tok is more than the experts there are");
    }
    if (reader->code == PS_OK && ps_shape_flag(reader, "output_router_logits", false)) {
        reader->code = ps_fail(reader->err, PS_BAD_INPUT,
                               "the router's own loss (output_router_logits) is not modelled");
    }
}

void ps_decoder_read_experts(ps_shape_reader *reader, ps_decoder_shape *n,
                             const ps_sparse_mlp_shape *fallback)
{
    n->sparse.hidden = n->hidden;
    n->sparse.activation = n->activation;
    n->sparse.inner = ps_shape_size(reader, "moe_intermediate_size", fallback->inner);
    n->sparse.experts = ps_shape_size(reader, "num_experts", fallback->experts);
    n->sparse.experts_a_token =
        ps_shape_size(reader, "num_experts_per_tok", fallback->experts_a_token);
    n->sparse.keeps_shares = !ps_shape_flag(reader, "norm_topk_prob", false);
    ps_decoder_check_experts(reader, n);
    read_dense_layers(reader, n);
}
