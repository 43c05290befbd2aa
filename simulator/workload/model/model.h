/* SPDX-License-Identifier: MIT
 *
 * A model being built on the eager model: its parameters, and the modules
 * that families are made of. A family is one file that reads a configuration,
 * makes modules in the order of the library's constructor, and runs them as
 * the library's forward does.
 */
#ifndef PS_WORKLOAD_MODEL_H
#define PS_WORKLOAD_MODEL_H

#include "workload/config/config.h"
#include "workload/eager/ops.h"
#include "workload/script/recipe.h"

#define PS_MODULE_OWN 2 /* parameters of a module without children: weight and bias */

typedef struct ps_family ps_family;

/** What listens to a model while it runs: a scheme that moves its parameters. */
typedef struct ps_model_hooks {
    void *context;
    /** Before a block, whose number is from 1; the tensor that goes into it. Takes and returns an owned one. */
    ps_tensor (*enter)(void *context, uint32_t block, ps_tensor owned);
    /** After it, not in a recomputation. */
    void (*leave)(void *context, uint32_t block, ps_tensor out);
    /** Before a module without children, also in a recomputation. Takes and returns an owned one. */
    ps_tensor (*use)(void *context, const ps_tensor own[PS_MODULE_OWN], ps_tensor owned);
    /** After it. */
    void (*unuse)(void *context, const ps_tensor own[PS_MODULE_OWN], ps_tensor out);
} ps_model_hooks;

/** What a trained parameter is, for optimizers that look at more than its elements. */
typedef struct ps_parameter_shape {
    int64_t rows, columns; /* rows 0: a vector */
    bool is_linear;        /* weight of a linear module, not of an embedding or the head */
    bool is_bias;          /* of a linear module */
    uint32_t block;        /* it belongs to, from 1; 0: to none */
} ps_parameter_shape;

/** A linear module of a model, but for the head and what stands beside it. */
typedef struct ps_linear_site {
    ps_tensor weight;
    int64_t in, out;
    uint32_t block; /* it belongs to, from 1; 0: to none */
} ps_linear_site;

/** A model and what trains it. */
typedef struct ps_model {
    ps_eager *e;
    const ps_recipe *recipe;
    const ps_family *family;
    void *state;               /* the family's own; released by its destroy */
    ps_tensor *parameter;      /* trained ones, in the order of Module.parameters() */
    ps_parameter_shape *shape; /* of each */
    size_t parameter_count, parameter_capacity, shape_capacity;
    ps_tensor *frozen; /* of a quantized model: parameters that are neither trained nor quantized */
    size_t frozen_count, frozen_capacity;
    ps_tensor scale_code; /* of a quantized model: table that all its modules share */
    ps_tensor *every;     /* parameter, trained or not, in the order in which they are made */
    ps_parameter_shape *every_shape;
    size_t every_count, every_capacity, every_shape_capacity;
    ps_tensor *buffer;      /* that moves to the device with it */
    uint32_t *buffer_block; /* each belongs to, from 1; 0: to none */
    size_t buffer_count, buffer_capacity, buffer_block_capacity;
    const ps_model_hooks
        *hooks;             /* NULL: nobody listens; its members may be NULL, enter and leave or
                                    use and unuse together */
    ps_linear_site *linear; /* in the order in which they are made */
    size_t linear_count, linear_capacity;
    const ps_linear_function *function; /* linear modules run by; NULL: PyTorch's */
    uint64_t parameter_elements, trained_elements;
    bool is_chosen;                   /* the linear module being made is one that lsp trains */
    uint64_t chosen;                  /* names of lsp's list that a module had, a bit each */
    uint32_t making;                  /* block whose modules are being made, from 1; 0: none */
    const struct ps_block_call *call; /* block that runs and is not recomputed; NULL: none */
    ps_tensor left; /* what its attention returned besides; it lives until its end */
    bool is_in_block;
    int64_t tensor_ranks; /* that share each matrix, neighbours; 0, 1: none do */
    ps_tensor external; /* a parameter that another module uses than the one that has it; 0 none */
    int64_t longest;    /* sequence that learned positions reach; 0 no limit */
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

/** Releases a model's lists. Its tensors are the eager model's. */
void ps_model_fini(ps_model *m);

/** One family of models. */
struct ps_family {
    const char *model_type;     /* config.json's word */
    const char *lora_target[4]; /* modules that adapters go to when nobody names them */
    bool recomputes_attention;  /* blocks call ps_model_attention */
    /**
     * Reads the configuration and makes the modules; m->state is the family's.
     *
     * @return PS_OK · PS_BAD_INPUT a figure that is missing or cannot be · PS_NOMEM
     */
    ps_code (*create)(ps_model *m, const ps_model_config *config, ps_error *err);
    void (*destroy)(ps_model *m); /* also after a failed create */
    void (*forward)(ps_model *m, const ps_batch *batch, ps_model_output *out);
    /** How the model is cut for two passes side by side. NULL: nobody wrote that. */
    const struct ps_dual_ops *dual;
};

/** Family of a model_type; NULL when there is none. */
const ps_family *ps_family_find(const char *model_type);

/** Family that a configuration's model_type names. PS_OK · PS_NOT_FOUND · PS_BAD_INPUT */
ps_code ps_family_of(const ps_model_config *config, const ps_family **out, ps_error *err);

/** Families in the order of families.def; NULL past the end. */
const ps_family *ps_family_at(size_t index);

/* ---- parameters ---- */

/** The modules made from now on belong to block `index`, from 0; -1: to none. */
void ps_model_make_block(ps_model *m, int64_t index);

/** Type of weights while they are loaded: a quantized model's are narrow under autocast too. */
ps_dtype ps_model_loaded_type(const ps_model *m);

/** A trained vector; frozen when adapters are trained in its place. */
ps_tensor ps_model_parameter(ps_model *m, int64_t elements);

/** A bias of a linear module: ps_model_parameter. */
ps_tensor ps_model_bias(ps_model *m, int64_t elements);

/** A trained matrix, such as an embedding: `rows` embeddings of `columns` elements. */
ps_tensor ps_model_matrix(ps_model *m, int64_t rows, int64_t columns);

/** Weight of a linear module as it lies in memory: a row an output. */
ps_tensor ps_model_weight(ps_model *m, int64_t rows, int64_t columns);

/** Weight of a Conv1D: a row an input. */
ps_tensor ps_model_transposed(ps_model *m, int64_t rows, int64_t columns);

/** Place of the parameter that is made next, for ps_model_place_parameter. */
size_t ps_model_place(const ps_model *m);

/**
 * The parameter made last takes `place` in m->parameter, or in m->frozen of a quantized model: a
 * module's own parameters come before its children's in Module.parameters(), and move to the device
 * after them.
 */
void ps_model_place_parameter(ps_model *m, size_t place);

/** A buffer that moves to the device with the model. */
ps_tensor ps_model_buffer(ps_model *m, int64_t elements, ps_dtype dtype);

/**
 * Refuses a recipe with sequences that a table of positions does not reach.
 *
 * @param positions  tokens of the longest sequence
 * @return PS_OK · PS_BAD_INPUT
 */
ps_code ps_model_check_positions(const ps_model *m, int64_t positions, ps_error *err) PS_MUST_USE;

/* ---- modules ---- */

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

/** scaled_dot_product_attention or the like; the family makes its own eager one. */
typedef struct ps_attention_call {
    ps_attention_shape shape;
    ps_tensor mask; /* 0: none */
    /* of a part of a wider mask, seen by each sequence: elements from row to row; 0: keys */
    int64_t mask_pitch;
    bool is_causal;
    bool is_put_together; /* query and key lie in rows by heads: parts that turned beside others */
    bool caps_scores; /* Gemma 2's: cap * tanh(scores / cap), where the library writes them out */
    bool lies_by_tokens; /* query, key and value are views of rows of tokens, not copied by heads */
    bool has_expanded_keys; /* one key and value, seen by all heads without a copy */
    bool is_left;           /* the result is not made contiguous: ps_attention_result_is_copied */
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

/** True when the result of a call, seen by tokens, is not in rows: contiguous() copies it. */
bool ps_attention_result_is_copied(const ps_model *m, ps_dtype dtype,
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

/**
 * The attention of a block, called by the block: recomputed in backward alone when the recipe says so.
 *
 * @param about  like the block's; of the same size
 * @param mask   of this block's own, in place of the first tensor that its call holds; 0: none
 */
ps_tensor ps_model_attention(ps_model *m, ps_block_run run, const void *about, ps_tensor mask,
                             int64_t index, ps_tensor hidden);

/** What attention returns beside its result: dropped at the end of its block. Takes `owned`. */
void ps_model_leave_to_block(ps_model *m, ps_tensor owned);

/**
 * True when models are written as the library had them in 2023 (transformers 4.29), where that is
 * more than names: with Gemini, whose release needs a library of its time.
 */
bool ps_model_is_of_2023(const ps_model *m);

/**
 * A module without children is about to run on x, with its parameters, 0 where it has fewer; and
 * has made `out`. Families call them around modules that model.h does not run for them.
 *
 * @return x, or what stands for it; owned by the caller
 */
ps_tensor ps_model_use(ps_model *m, const ps_tensor own[PS_MODULE_OWN], ps_tensor x);
void ps_model_unuse(ps_model *m, const ps_tensor own[PS_MODULE_OWN], ps_tensor out);

/** Runs a block under its number; recomputed in backward when the recipe says so. */
ps_tensor ps_model_block(ps_model *m, const ps_block_call *call, int64_t index, ps_tensor hidden);

/** ForCausalLMLoss of transformers 4.51: in 32 bits, labels padded and shifted by one. */
ps_tensor ps_causal_loss(ps_model *m, ps_tensor logits, const ps_batch *batch, int64_t vocabulary);

/** The loss of models before transformers 4.46: logits but the last, in the type they have. */
ps_tensor ps_shifted_loss(ps_model *m, ps_tensor logits, const ps_batch *batch, int64_t vocabulary);

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
/** Refuses the first of the flags that is true: what it asks for is not modelled. */
void ps_shape_refuse(ps_shape_reader *self, const char *const *flags, size_t count);
/** A flag that is not modelled: true is refused with a sentence. */
void ps_shape_refuse_flag(ps_shape_reader *self, const char *key);
/** output_attentions and output_hidden_states are refused; returns use_cache. */
bool ps_shape_outputs(ps_shape_reader *self);
/** whole % parts == 0, or a sentence with both names. */
void ps_shape_divides(ps_shape_reader *self, const char *whole_name, int64_t whole,
                      const char *parts_name, int64_t parts);

#endif
