/* SPDX-License-Identifier: MIT
 *
 * How a model is trained: everything that a training script decides and a
 * model's configuration does not.
 */
#ifndef PS_WORKLOAD_RECIPE_H
#define PS_WORKLOAD_RECIPE_H

#include "workload/eager.h"

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
    PS_OPTIMIZER_FOREACH = 0, /* lists of tensors: PyTorch's choice on a GPU */
    PS_OPTIMIZER_FUSED = 1,
    PS_OPTIMIZER_LOOP = 2, /* one parameter after the other */
} ps_optimizer_style;

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
    int64_t steps, accumulate; /* > 0; micro-batches of a step */
    ps_dtype parameters;       /* type of the weights */
    ps_dtype autocast;         /* PS_DTYPE_F32: off */
    bool scales_loss;          /* GradScaler */
    bool is_evaluating;        /* dropout off */
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
    ps_zero_grad zero_grad;
    int64_t lora_rank;              /* 0: all weights are trained */
    const char *const *lora_target; /* names of modules; NULL: the family's usual ones */
    size_t lora_target_count;
    bool has_lora_dropout;
    bool begins_at_inputs;    /* enable_input_require_grads(): embedded words want a gradient too */
    int64_t checkpoint_every; /* each k-th block is recomputed in backward; 0 none */
} ps_recipe;

/** 32 bits, AdamW over lists, one step of one sequence of 1024 tokens, everything trained. */
ps_recipe ps_recipe_default(void);

#endif
