# SPDX-License-Identifier: MIT
"""Configurations of published models, as far as they decide shapes and kernels.

Written down from the models' public config.json files; what is not named here has
the library's default. `build` makes the model with untouched memory as weights:
what they hold does not matter where nothing computes.
"""


def gpt2(layers, **rest):
    return dict(kind="gpt2", vocab_size=50257, n_positions=1024, n_embd=768, n_layer=layers,
                n_head=12, **rest)


def opt(hidden, layers, heads, **rest):
    return dict(kind="opt", vocab_size=50272, hidden_size=hidden, ffn_dim=4 * hidden,
                num_hidden_layers=layers, num_attention_heads=heads, dropout=0.1,
                max_position_embeddings=2048, **rest)


def t5(width, inner, layers, heads):
    return dict(kind="t5", vocab_size=32128, d_model=width, d_ff=inner, d_kv=64, num_layers=layers,
                num_heads=heads, dropout_rate=0.1, feed_forward_proj="relu",
                decoder_start_token_id=0)


def neox(hidden, layers, heads):
    return dict(kind="gpt_neox", vocab_size=50304 if hidden < 4096 else 50432, hidden_size=hidden,
                intermediate_size=4 * hidden, num_hidden_layers=layers, num_attention_heads=heads,
                rotary_pct=0.25, max_position_embeddings=2048, tie_word_embeddings=False)


def qwen3(hidden, inner, layers, heads):
    return dict(kind="qwen3", vocab_size=151936, hidden_size=hidden, intermediate_size=inner,
                num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=8,
                head_dim=128, max_position_embeddings=40960, rope_theta=1e6,
                tie_word_embeddings=True)


def llama(hidden, layers, heads, head_dim, inner=8192):
    return dict(kind="llama", vocab_size=128256, hidden_size=hidden, intermediate_size=inner,
                num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=8,
                head_dim=head_dim, max_position_embeddings=131072, rope_theta=5e5,
                rope_scaling=dict(factor=32.0, high_freq_factor=4.0, low_freq_factor=1.0,
                                  original_max_position_embeddings=8192, rope_type="llama3"),
                tie_word_embeddings=True)


GEMMA2_2B = dict(kind="gemma2", vocab_size=256000, hidden_size=2304, intermediate_size=9216,
                 num_hidden_layers=26, num_attention_heads=8, num_key_value_heads=4, head_dim=256,
                 query_pre_attn_scalar=256, sliding_window=4096, max_position_embeddings=8192)

MODELS = {
    "openai-community/gpt2": gpt2(12),
    "distilbert/distilgpt2": gpt2(6),
    "cerebras/Cerebras-GPT-111M": dict(
        gpt2(10, n_inner=3072, activation_function="gelu", attn_pdrop=0.0, embd_pdrop=0.0,
             resid_pdrop=0.0), n_positions=2048),
    "EleutherAI/gpt-neo-125M": dict(
        kind="gpt_neo", vocab_size=50257, hidden_size=768, num_layers=12, num_heads=12,
        attention_types=[[["global", "local"], 6]], window_size=256, max_position_embeddings=2048,
        attention_dropout=0.0, embed_dropout=0.0, resid_dropout=0.0),
    "facebook/opt-125m": opt(768, 12, 12, word_embed_proj_dim=768),
    "facebook/opt-350m": opt(1024, 24, 16, word_embed_proj_dim=512, do_layer_norm_before=False),
    "T5-small": t5(512, 2048, 6, 8),
    "t5-base": t5(768, 3072, 12, 12),
    "EleutherAI/pythia-70m": neox(512, 6, 8),
    "EleutherAI/pythia-160m": neox(768, 12, 12),
    "EleutherAI/pythia-410m": neox(1024, 24, 16),
    "EleutherAI/pythia-1b": neox(2048, 16, 8),
    "Qwen/Qwen3-0.6B": qwen3(1024, 3072, 28, 16),
    "Qwen/Qwen3-1.7B": qwen3(2048, 6144, 28, 16),
    "Qwen/Qwen3-4B": qwen3(2560, 9728, 36, 32),
    "meta-llama/Llama-3.2-1B-Instruct": llama(2048, 16, 32, 64),
    "meta-llama/Llama-3.2-3B-Instruct": llama(3072, 28, 24, 128),
    "google/gemma-2-2b-it": GEMMA2_2B,
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B": dict(
        kind="qwen2", vocab_size=151936, hidden_size=1536, intermediate_size=8960,
        num_hidden_layers=28, num_attention_heads=12, num_key_value_heads=2,
        max_position_embeddings=131072, rope_theta=10000.0, tie_word_embeddings=False),
}


def is_seq2seq(values):
    return values["kind"] == "t5"


def leave_weights_alone():
    """Makes the initialisation of weights do nothing, here and in transformers."""
    import torch
    import transformers
    for name in dir(torch.nn.init):
        if name.endswith("_") and not name.startswith("_"):
            setattr(torch.nn.init, name, lambda tensor, *_, **__: tensor)
    transformers.PreTrainedModel._initialize_weights = lambda *_, **__: None


def build(values, dtype="float32", attention=None):
    """The model of a configuration on the host, with the head that trains it."""
    import torch
    import transformers
    rest = {key: value for key, value in values.items() if key != "kind"}
    config = transformers.AutoConfig.for_model(values["kind"], **rest)
    kind = transformers.AutoModelForCausalLM
    if is_seq2seq(values):
        kind = transformers.AutoModelForSeq2SeqLM
    if values["kind"] in ("bert", "roberta"):
        kind = transformers.AutoModelForMaskedLM
    how = {} if attention is None else {"attn_implementation": attention}
    leave_weights_alone()
    torch.set_default_dtype(getattr(torch, dtype))
    try:
        return kind.from_config(config, **how).train()
    finally:
        torch.set_default_dtype(torch.float32)
