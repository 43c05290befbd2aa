/* SPDX-License-Identifier: MIT
 *
 * A model being built on the eager model: its parameters, its blocks, what it
 * is given and returns. A family is one file that reads a configuration
 * (shape_reader.h), makes modules (modules.h) in the order of the library's
 * constructor, and runs them as the library's forward does.
 */
#ifndef PS_WORKLOAD_MODEL_H
#define PS_WORKLOAD_MODEL_H

#include "workload/config/config.h"
#include "workload/eager/ops.h"
#include "workload/script/recipe.h"

#define PS_MODULE_OWN 2   /* parameters of a module without children: weight and bias */
#define PS_LORA_TARGETS 4 /* names of modules, at most, that a family's adapters go to */

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
    /* NULL: nobody listens; members may be NULL, enter and leave or use and unuse together */
    const ps_model_hooks *hooks;
    ps_linear_site *linear; /* in the order in which they are made */
    size_t linear_count, linear_capacity;
    const struct ps_linear_function *function; /* linear modules run by; NULL: PyTorch's */
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

/** One family of models. */
struct ps_family {
    const char *model_type;                   /* config.json's word */
    const char *lora_target[PS_LORA_TARGETS]; /* that adapters go to when nobody names others */
    bool recomputes_attention;                /* blocks call ps_model_attention */
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

/* ---- the whole ---- */

/** Releases a model's lists. Its tensors are the eager model's. */
void ps_model_fini(ps_model *m);

/**
 * Refuses a recipe with sequences that a table of positions does not reach.
 *
 * @param positions  tokens of the longest sequence
 * @return PS_OK · PS_BAD_INPUT
 */
ps_code ps_model_check_positions(const ps_model *m, int64_t positions, ps_error *err) PS_MUST_USE;

/**
 * True when models are written as the library had them in 2023 (transformers 4.29), where that is
 * more than names: with Gemini, whose release needs a library of its time.
 */
bool ps_model_is_of_2023(const ps_model *m);

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

/* ---- modules that run ---- */

/**
 * A module without children is about to run on x, with its parameters, 0 where it has fewer.
 * Families call them around modules that modules.h does not run for them.
 *
 * @return x, or what stands for it; owned by the caller
 */
ps_tensor ps_model_use(ps_model *m, const ps_tensor own[PS_MODULE_OWN], ps_tensor x);
/** ... and has made `out`. */
void ps_model_unuse(ps_model *m, const ps_tensor own[PS_MODULE_OWN], ps_tensor out);

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

/* ---- outputs ---- */

/** Gives a tensor to the output object. */
void ps_output_keep(ps_model *m, ps_model_output *out, ps_tensor owned);

/** Drops an output as Python drops the object: loss, logits, then what is kept. */
void ps_output_drop(ps_model *m, ps_model_output *out);

#endif
