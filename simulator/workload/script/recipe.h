/* SPDX-License-Identifier: MIT
 *
 * How a model is trained: everything that a training script decides and a
 * model's configuration does not.
 */
#ifndef PS_WORKLOAD_RECIPE_H
#define PS_WORKLOAD_RECIPE_H

#include "workload/script/offload_settings.h"
#include "workload/script/parallel.h"
#include "workload/script/zo2_settings.h"

/* X(symbol, word in options, what it is) */
#define PS_ATTENTIONS(X)                                                               \
    X(AUTO, "auto", "what the library and PyTorch choose")                             \
    X(EAGER, "eager", "scores written out by the library")                             \
    X(MATH, "math", "scaled_dot_product_attention, scores written out by PyTorch")     \
    X(EFFICIENT, "efficient", "scaled_dot_product_attention, memory-efficient kernel") \
    X(FLASH, "flash", "scaled_dot_product_attention, flash kernel")

/** Which attention runs. */
typedef enum ps_attention_kind {
#define PS_ATTENTION_ENUM(sym, word, doc) PS_ATTENTION_##sym,
    PS_ATTENTIONS(PS_ATTENTION_ENUM)
#undef PS_ATTENTION_ENUM
} ps_attention_kind;

/** How an optimizer walks the parameters. */
typedef enum ps_optimizer_style {
    PS_OPTIMIZER_AUTO = 0,    /* what the library does on a GPU when nobody chooses */
    PS_OPTIMIZER_FOREACH = 1, /* lists of tensors */
    PS_OPTIMIZER_FUSED = 2,
    PS_OPTIMIZER_LOOP = 3, /* one parameter after the other */
} ps_optimizer_style;

/* X(symbol, word in options, what it is) */
#define PS_TRAIN_POLICIES(X)                                                                 \
    X(NONE, "none", "everything lies on the device")                                         \
    X(ZO2, "zo2", "blocks lie on the host and come one by one, two forward passes on each")  \
    X(GEMINI, "gemini", "16-bit parameters and their 32-bit copies in chunks, one device")   \
    X(LSP, "lsp", "the host updates a subspace of each linear module's weight, as it comes") \
    X(ZERO_OFFLOAD, "zero-offload", "the host updates all parameters after backward")

/** Where a training run keeps its parameters, and how it steps through them. */
typedef enum ps_train_policy {
#define PS_TRAIN_POLICY_ENUM(sym, word, doc) PS_TRAIN_POLICY_##sym,
    PS_TRAIN_POLICIES(PS_TRAIN_POLICY_ENUM)
#undef PS_TRAIN_POLICY_ENUM
} ps_train_policy;

/** How weights of linear modules that are not trained lie in memory. */
typedef enum ps_quantize {
    PS_QUANTIZE_NONE = 0,
    PS_QUANTIZE_NF4 = 1,        /* bitsandbytes' 4 bits, scales quantized too */
    PS_QUANTIZE_NF4_SINGLE = 2, /* scales in 32 bits */
} ps_quantize;

/* X(symbol, word in options, what it is) */
#define PS_ACTIVATION_OFFLOADS(X)                                                         \
    X(NONE, "none", "what backward needs stays on the device")                            \
    X(STREAMED, "streamed", "blocks' tensors go to pinned memory beside the computation") \
    X(SAVE_ON_CPU, "save-on-cpu", "torch.autograd.graph.save_on_cpu: everything, and waits")

/** Where tensors lie that wait for backward. */
typedef enum ps_activation_offload {
#define PS_ACTIVATION_OFFLOAD_ENUM(sym, word, doc) PS_ACTIVATION_OFFLOAD_##sym,
    PS_ACTIVATION_OFFLOADS(PS_ACTIVATION_OFFLOAD_ENUM)
#undef PS_ACTIVATION_OFFLOAD_ENUM
} ps_activation_offload;

/** What goes to the host and comes back, block by block. */
typedef struct ps_streaming {
    ps_activation_offload activations;
    bool parameters;               /* weights of blocks that are not trained */
    int64_t prefetch;              /* blocks that are brought ahead, >= 0 */
    int64_t keep_first, keep_last; /* blocks that stay, >= 0 */
} ps_streaming;

/* X(symbol, word in options, what it is) */
#define PS_HIFT_ORDERS(X)                         \
    X(BOTTOM_UP, "bottom-up", "embeddings first") \
    X(TOP_DOWN, "top-down", "the head first")     \
    X(RANDOM, "random", "layers shuffled once, then in turn")

/** Whose turn comes when. */
typedef enum ps_hift_order {
#define PS_HIFT_ORDER_ENUM(sym, word, doc) PS_HIFT_##sym,
    PS_HIFT_ORDERS(PS_HIFT_ORDER_ENUM)
#undef PS_HIFT_ORDER_ENUM
} ps_hift_order;

/** HiFT: a step trains one group of layers. */
typedef struct ps_hift_settings {
    int64_t layers; /* of a group; 0: every step trains all */
    ps_hift_order order;
    uint64_t seed; /* of a random order */
} ps_hift_settings;

/** Where zero_grad() stands in the loop. */
typedef enum ps_zero_grad {
    PS_ZERO_GRAD_END = 0,
    PS_ZERO_GRAD_START = 1,
    PS_ZERO_GRAD_BEFORE_BACKWARD = 2,
} ps_zero_grad;

/** One training script. ps_recipe_default gives the plainest. */
typedef struct ps_recipe {
    int64_t batch, length;  /* sequences of a micro-batch, tokens of each, > 0 */
    const int64_t *lengths; /* per micro-batch of the run in place of `length`; NULL: constant */
    size_t length_count;
    int64_t steps, accumulate; /* > 0; micro-batches of a step. Steps 0, of HiFT: two cycles */
    ps_dtype parameters;       /* type of the weights */
    ps_dtype autocast;         /* PS_DTYPE_F32: off */
    bool has_masters;          /* the optimizer keeps 32-bit copies of the weights: masters.h */
    bool scales_loss;          /* GradScaler */
    bool is_evaluating;        /* dropout off */
    bool is_forward_only;      /* torch.no_grad(): no backward, and the optimizer has no turn */
    bool has_mask;             /* an attention mask is given */
    bool pads;             /* it hides something: one that does not is left out by the library */
    bool has_own_labels;   /* labels are a tensor beside the ids */
    bool overlaps_batches; /* the next batch is on the device before the last one goes */
    bool keeps_output;     /* the output object lives until the next forward assigns it */
    bool clips;            /* clip_grad_norm_ */
    bool has_no_cache;     /* use_cache=False */
    ps_attention_kind attention;
    const char *optimizer; /* a word of optimizers.def */
    ps_optimizer_style style;
    int64_t optimizer_rank; /* of low-rank optimizers; 0: the optimizer's usual one */
    ps_zero_grad zero_grad;
    int64_t lora_rank;              /* 0: all weights are trained */
    const char *const *lora_target; /* names of modules; NULL: the family's usual ones */
    size_t lora_target_count;
    bool has_lora_dropout;
    bool has_narrow_adapters; /* adapters of the weights' type; else of 32 bits, peft's default */
    ps_train_policy policy;
    ps_zo2_settings zo2;         /* of that policy */
    ps_offload_settings offload; /* of policies that have such */
    bool
        shifts_logits; /* before transformers 4.46: the loss copies logits but the last, as typed */
    ps_quantize quantize;     /* needs lora_rank */
    bool begins_at_inputs;    /* enable_input_require_grads(): embedded words want a gradient too */
    int64_t checkpoint_every; /* each k-th block is recomputed in backward; 0 none */
    bool checkpoints_attention; /* of every block the attention alone; not with checkpoint_every */
    bool empties_cache;         /* empty_cache() before and after forward, backward and step */
    int64_t report_ns;          /* of the host, at a report of memory about each of these; 0 none */
    ps_parallel parallel;       /* ranks that train the same model on other data */
    ps_streaming streaming;
    ps_hift_settings hift;
} ps_recipe;

/** 32 bits, AdamW over lists, one step of one sequence of 1024 tokens, everything trained. */
ps_recipe ps_recipe_default(void);

#endif
