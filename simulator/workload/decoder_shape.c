/* SPDX-License-Identifier: MIT
 *
 * What a decoder's configuration says.
 */
#include "workload/decoder.h"

#include <string.h>

/* Keys that change what a model does in a way that is not modelled; all are false as a rule. */
static const char *const refused[] = {"output_attentions", "output_hidden_states"};

static void refuse_unknown(ps_shape_reader *reader)
{
    for (size_t i = 0; i < sizeof refused / sizeof refused[0] && reader->code == PS_OK; i++) {
        if (ps_shape_flag(reader, refused[i], false)) {
            reader->code = ps_fail(reader->err, PS_BAD_INPUT, "%s is not modelled", refused[i]);
        }
    }
    if (reader->code == PS_OK && ps_shape_share(reader, "partial_rotary_factor", 1.0) < 1.0) {
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
    refuse_unknown(reader);
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
