/* SPDX-License-Identifier: MIT
 *
 * Modules that models of all families are made of: linear ones, norms,
 * embeddings, dropout, activations; and what is made of logits, losses.
 */
#ifndef PS_WORKLOAD_MODULES_H
#define PS_WORKLOAD_MODULES_H

#include "workload/model/model.h"

/* ---- linear modules ---- */

/** Linear or Conv1D. */
typedef struct ps_linear {
    ps_tensor weight, bias; /* bias 0: none */
    ps_tensor adapter_a, adapter_b;
    int64_t in, out, rank;
    uint32_t site;       /* in the model's list, from 1; 0: none */
    bool is_flat;        /* x has two dimensions, (rows, in); without bias */
    bool is_passed_over; /* by lsp's list of modules */
    bool is_conv1d;      /* addmm(bias, x, weight) in place of linear(x, weight, bias) */
    bool is_quantized;   /* see quantized.h */
} ps_linear;

/** @param name  last part of the module's name, for adapters: "q_proj" */
ps_linear ps_linear_make(ps_model *m, const char *name, int64_t in, int64_t out, bool has_bias);

/** A linear module that keeps its type in a quantized model, as all of a head does. */
ps_linear ps_head_linear_make(ps_model *m, const char *name, int64_t in, int64_t out,
                              bool has_bias);

/** transformers' Conv1D, which has a bias; quantized, it is a linear module. */
ps_linear ps_conv1d_make(ps_model *m, const char *name, int64_t in, int64_t out);

/** x: rows of `in` elements. */
ps_tensor ps_linear_run(ps_model *m, const ps_linear *with, ps_tensor x);

/* ---- norms, embeddings, dropout ---- */

/** Layer norm with weight and bias. */
typedef struct ps_norm {
    ps_tensor weight, bias;
    int64_t width;
    bool takes_views; /* what it is given does not lie in rows */
} ps_norm;

ps_norm ps_norm_make(ps_model *m, int64_t width);
ps_tensor ps_norm_run(ps_model *m, const ps_norm *with, ps_tensor x);

/** An embedding: rows of a matrix by number. */
ps_tensor ps_embedding_run(ps_model *m, ps_tensor weight, ps_tensor ids, int64_t width);

/** The embedding of words, where a graph may begin (recipe.begins_at_inputs). */
ps_tensor ps_input_embedding_run(ps_model *m, ps_tensor weight, ps_tensor ids, int64_t width);

/** Dropout: the tensor itself when the probability is 0 or the model is evaluated. */
ps_tensor ps_dropout_run(ps_model *m, ps_tensor x, double probability);

/* ---- activations ---- */

/** A word of "hidden_act" and the like. X(symbol, word) */
#define PS_ACTIVATIONS(X)             \
    X(GELU_NEW, "gelu_new")           \
    X(GELU, "gelu")                   \
    X(GELU_TANH, "gelu_pytorch_tanh") \
    X(GELU_FAST, "gelu_fast")         \
    X(RELU, "relu")                   \
    X(SILU, "silu")                   \
    X(SWISH, "swish")

typedef enum ps_activation {
#define PS_ACTIVATION_ENUM(sym, word) PS_ACTIVATION_##sym,
    PS_ACTIVATIONS(PS_ACTIVATION_ENUM)
#undef PS_ACTIVATION_ENUM
        PS_ACTIVATION_COUNT
} ps_activation;

ps_tensor ps_activation_run(ps_model *m, ps_activation kind, ps_tensor x);

/* ---- losses ---- */

/** ForCausalLMLoss of transformers 4.51: in 32 bits, labels padded and shifted by one. */
ps_tensor ps_causal_loss(ps_model *m, ps_tensor logits, const ps_batch *batch, int64_t vocabulary);

/** The loss of models before transformers 4.46: logits but the last, in the type they have. */
ps_tensor ps_shifted_loss(ps_model *m, ps_tensor logits, const ps_batch *batch, int64_t vocabulary);

#endif
