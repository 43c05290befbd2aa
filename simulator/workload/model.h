/* SPDX-License-Identifier: MIT
 *
 * A model being built on the eager model: its parameters, and the modules
 * that families are made of. A family is one file that reads a configuration,
 * makes modules in the order of the library's constructor, and runs them as
 * the library's forward does.
 */
#ifndef PS_WORKLOAD_MODEL_H
#define PS_WORKLOAD_MODEL_H

#include "workload/config.h"
#include "workload/ops.h"
#include "workload/recipe.h"

typedef struct ps_family ps_family;

/** A model and what trains it. */
typedef struct ps_model {
    ps_eager *e;
    const ps_recipe *recipe;
    const ps_family *family;
    void *state;          /* the family's own; released by its destroy */
    ps_tensor *parameter; /* trained ones, in the order of Module.parameters() */
    size_t parameter_count, parameter_capacity;
    uint64_t parameter_elements, trained_elements;
    uint32_t block_count; /* numbers given to blocks */
} ps_model;

/** What a step is given. Borrowed by forward. */
typedef struct ps_batch {
    ps_tensor ids, labels, mask; /* batch * length numbers; labels may be ids; mask 0: none */
    int64_t batch, length;
} ps_batch;

/** What forward returns; `kept` is what the object holds besides, in the order in which it dies. */
typedef struct ps_model_output {
    ps_tensor loss, logits;
    ps_tensor *kept;
    size_t kept_count, kept_capacity;
} ps_model_output;

/** One family of models. */
struct ps_family {
    const char *model_type;     /* config.json's word */
    const char *lora_target[4]; /* modules that adapters go to when nobody names them */
    /**
     * Reads the configuration and makes the modules; m->state is the family's.
     *
     * @return PS_OK · PS_BAD_INPUT a figure that is missing or cannot be · PS_NOMEM
     */
    ps_code (*create)(ps_model *m, const ps_model_config *config, ps_error *err);
    void (*destroy)(ps_model *m); /* also after a failed create */
    void (*forward)(ps_model *m, const ps_batch *batch, ps_model_output *out);
};

/** Family of a model_type; NULL when there is none. */
const ps_family *ps_family_find(const char *model_type);

/** Family that a configuration's model_type names. PS_OK · PS_NOT_FOUND · PS_BAD_INPUT */
ps_code ps_family_of(const ps_model_config *config, const ps_family **out, ps_error *err);

/** Families in the order of families.def; NULL past the end. */
const ps_family *ps_family_at(size_t index);

/* ---- parameters ---- */

/** A trained parameter; frozen when adapters are trained in its place. */
ps_tensor ps_model_parameter(ps_model *m, int64_t elements);

/**
 * The parameter made last takes `place` in m->parameter: a module's own parameters come before
 * its children's in Module.parameters(), and move to the device after them.
 */
void ps_model_place_parameter(ps_model *m, size_t place);

/** A buffer that moves to the device with the model. */
ps_tensor ps_model_buffer(ps_model *m, int64_t elements, ps_dtype dtype);

/* ---- modules ---- */

/** Linear or Conv1D. */
typedef struct ps_linear {
    ps_tensor weight, bias; /* bias 0: none */
    ps_tensor adapter_a, adapter_b;
    int64_t in, out, rank;
    bool is_flat;   /* x has two dimensions, (rows, in); without bias */
    bool is_conv1d; /* addmm(bias, x, weight) in place of linear(x, weight, bias) */
} ps_linear;

/** @param name  last part of the module's name, for adapters: "q_proj" */
ps_linear ps_linear_make(ps_model *m, const char *name, int64_t in, int64_t out, bool has_bias);

/** transformers' Conv1D, which has a bias. */
ps_linear ps_conv1d_make(ps_model *m, const char *name, int64_t in, int64_t out);

/** x: rows of `in` elements. */
ps_tensor ps_linear_run(ps_model *m, const ps_linear *with, ps_tensor x);

/** Layer norm with weight and bias. */
typedef struct ps_norm {
    ps_tensor weight, bias;
    int64_t width;
} ps_norm;

ps_norm ps_norm_make(ps_model *m, int64_t width);
ps_tensor ps_norm_run(ps_model *m, const ps_norm *with, ps_tensor x);

/** The embedding of words, where a graph may begin (recipe.begins_at_inputs). */
ps_tensor ps_input_embedding_run(ps_model *m, ps_tensor weight, ps_tensor ids, int64_t width);

/** Dropout: the tensor itself when the probability is 0 or the model is evaluated. */
ps_tensor ps_dropout_run(ps_model *m, ps_tensor x, double probability);

/** scaled_dot_product_attention or the like; the family makes its own eager one. */
typedef struct ps_attention_call {
    ps_attention_shape shape;
    ps_tensor mask; /* 0: none */
    /* of a part of a wider mask, seen by each sequence: elements from row to row; 0: keys */
    int64_t mask_pitch;
    bool is_causal;
    bool caps_scores; /* Gemma 2's: cap * tanh(scores / cap), where the library writes them out */
    bool lies_by_tokens; /* query, key and value are views of rows of tokens, not copied by heads */
    double dropout;
} ps_attention_call;

/** The type in which scaled_dot_product_attention computes: autocast's, or the query's. */
ps_dtype ps_attention_dtype(const ps_model *m, ps_tensor query);

/**
 * The kernel that PyTorch picks for a call (never EAGER); fails when the recipe asks for one that
 * cannot serve it.
 *
 * @param dtype  ps_attention_dtype
 */
ps_attention_kind ps_attention_pick(const ps_model *m, ps_dtype dtype,
                                    const ps_attention_call *call);

typedef enum ps_attention_part {
    PS_ATTENTION_QUERY = 0,
    PS_ATTENTION_KEY = 1,
    PS_ATTENTION_VALUE = 2,
} ps_attention_part;

/**
 * True when the gradient of query, key or value lies by heads: a view that had put the heads
 * before the length (`view(...).transpose(1, 2)`) then copies it on its way back.
 */
bool ps_attention_returns_by_heads(const ps_model *m, ps_dtype dtype, const ps_attention_call *call,
                                   ps_attention_part part);

/**
 * sdpa_attention_forward after its contiguous(): query, key and value are (batch, heads, length,
 * width) in rows unless the call says otherwise, keys repeated (kv_heads == heads). The result is (batch, length, heads, width) in
 * rows. The mask is in the type of the hidden states, rows of `keys` elements.
 */
ps_tensor ps_attention_run(ps_model *m, ps_tensor query, ps_tensor key, ps_tensor value,
                           const ps_attention_call *call);

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

/* ---- blocks ---- */

/** One block. `about` is what the family passes along; in a recomputation it is a copy. */
typedef ps_tensor (*ps_block_run)(ps_model *m, const void *about, int64_t index, ps_tensor hidden);

/** How a block is called. */
typedef struct ps_block_call {
    ps_block_run run;
    const void *about;
    size_t about_bytes;    /* at most PS_CHECKPOINT_ABOUT_BYTES */
    const ps_tensor *held; /* tensors in `about`: a recomputation keeps them */
    size_t held_count;
} ps_block_call;

/** Runs a block under its number; recomputed in backward when the recipe says so. */
ps_tensor ps_model_block(ps_model *m, const ps_block_call *call, int64_t index, ps_tensor hidden);

/** ForCausalLMLoss of transformers 4.51: in 32 bits, labels padded and shifted by one. */
ps_tensor ps_causal_loss(ps_model *m, ps_tensor logits, const ps_batch *batch, int64_t vocabulary);

/* ---- outputs ---- */

/** Gives a tensor to the output object. */
void ps_output_keep(ps_model *m, ps_model_output *out, ps_tensor owned);

/** Drops an output as Python drops the object: loss, logits, then what is kept. */
void ps_output_drop(ps_model *m, ps_model_output *out);

/* ---- reading shapes ---- */

/** Reads figures one after the other; the first failure is kept in `code`. */
typedef struct ps_shape_reader {
    const ps_model_config *config;
    ps_error *err;
    ps_code code;
} ps_shape_reader;

/** A size, 1 .. 2^31; `fallback` when absent (0: it must be there). */
int64_t ps_shape_size(ps_shape_reader *self, const char *key, int64_t fallback);
/** Two names of one thing: the first that is there. */
int64_t ps_shape_size_or(ps_shape_reader *self, const char *key, const char *other,
                         int64_t fallback);
bool ps_shape_flag(ps_shape_reader *self, const char *key, bool fallback);
/** A probability, 0 .. 1. */
double ps_shape_share(ps_shape_reader *self, const char *key, double fallback);
/** A text; borrowed from the configuration. */
const char *ps_shape_text(ps_shape_reader *self, const char *key, const char *fallback);
ps_activation ps_shape_activation(ps_shape_reader *self, const char *key, const char *fallback);
/** The activation of a word that `key` was found to hold. */
ps_activation ps_shape_activation_named(ps_shape_reader *self, const char *key, const char *word);
/** whole % parts == 0, or a sentence with both names. */
void ps_shape_divides(ps_shape_reader *self, const char *whole_name, int64_t whole,
                      const char *parts_name, int64_t parts);

#endif
