/* SPDX-License-Identifier: MIT
 *
 * One rank of a Megatron training job in model: its allocations, frees,
 * kernels and exchanges with other ranks, in the order of the program.
 *
 *   shape (config.json) ─┐
 *   recipe, degrees ─────┼─► ps_megatron_build ─► workload of one rank, with the axes of the grid
 *   rank ────────────────┘
 *
 * Two dialects are known: Megatron core over TransformerEngine, and the older
 * Megatron of plain GPTs. Ranks along an axis at which the program is the same
 * share one workload: see `place` of the axis table.
 *
 * What is modelled and how well it agrees with measurements: docs/MODEL.md,
 * section Megatron.
 */
#ifndef PS_WORKLOAD_MEGATRON_H
#define PS_WORKLOAD_MEGATRON_H

#include "workload/config/config.h"
#include "workload/script/train.h"
#include "workload/workload.h"

/** Which program runs. */
typedef enum ps_megatron_dialect {
    PS_MEGATRON_CORE = 0, /* Megatron core over TransformerEngine: RMS norm, rotary, gated MLP */
    PS_MEGATRON_GPT = 1,  /* layer norm with bias, GELU, learned positions, tied embedding */
} ps_megatron_dialect;

/** Experts of a mixture; count 0: none. */
typedef struct ps_megatron_experts {
    int64_t count, chosen; /* of a layer, of a token */
    int64_t ffn;           /* width of one */
    int64_t shared_ffn;    /* width of those that every token takes, together; 0 none */
    int64_t dense_layers;  /* the first layers have none */
} ps_megatron_experts;

/** Multi-head latent attention; kv_rank 0: none. */
typedef struct ps_megatron_latent {
    int64_t q_rank, kv_rank;
    int64_t rotary_head; /* elements of a head's part with rotary positions */
    int64_t value_head;  /* elements of a head of v */
} ps_megatron_latent;

/** A model as it is built. */
typedef struct ps_megatron_shape {
    ps_megatron_dialect dialect;
    int64_t hidden, ffn, heads, kv_heads, head; /* head: elements of one, without rotary_head */
    int64_t layers, vocabulary;                 /* vocabulary: words, before padding */
    int64_t positions;                          /* GPT: learned positions */
    ps_megatron_experts experts;
    ps_megatron_latent latent;
} ps_megatron_shape;

/** How it is trained. ps_megatron_recipe_default gives the plainest. */
typedef struct ps_megatron_recipe {
    int64_t micro_batch, micro_batches; /* sequences of a micro-batch; micro-batches of a step */
    int64_t sequence, steps;            /* tokens; steps of the workload */
    /* degrees; `data` counts all replicas, those between which experts are spread included */
    int64_t tensor, context, expert, data, pipeline;
    ps_dtype dtype;            /* of parameters and computation: BF16 or F16 */
    bool is_sequence_parallel; /* no effect where tensor is 1 */
    bool shards_optimizer;     /* states of the optimizer divided over data x context */
    bool recomputes;           /* every layer keeps its input alone */
    bool
        checks_gradients; /* the host looks at every loss and, before they are reduced, at a norm of all
                              gradients */
    bool clips;
} ps_megatron_recipe;

/** bf16, sequence parallelism, states divided; one sequence of 4096 tokens, two steps, one rank. */
ps_megatron_recipe ps_megatron_recipe_default(void);

/**
 * The default of a shape's program: for a GPT fp16, every layer recomputed, neither sequence
 * parallelism nor states divided.
 */
ps_megatron_recipe ps_megatron_recipe_for(const ps_megatron_shape *shape);

/**
 * The shape that a config.json describes: model_type llama, deepseek_v2, deepseek_v3 or gpt2.
 *
 * @param layers  in place of the configuration's; 0: as it says
 * @return PS_OK · PS_NOT_FOUND another model_type · PS_BAD_INPUT a figure is missing or cannot be
 */
ps_code ps_megatron_shape_read(const ps_model_config *config, int64_t layers,
                               ps_megatron_shape *out, ps_error *err) PS_MUST_USE;

/** Ranks of the job. */
int64_t ps_megatron_ranks(const ps_megatron_recipe *recipe);

/** What to build. */
typedef struct ps_megatron_job {
    const char *name; /* of the model, shown to people */
    const ps_megatron_shape *shape;
    const ps_megatron_recipe *recipe;
    ps_train_device device;
} ps_megatron_job;

/**
 * Builds the workload of one rank: start-up, then recipe->steps steps, the first of which makes the
 * optimizer's state.
 *
 * Axes of the workload, the fastest first: tensor, context, expert, data (replicas beyond the
 * expert axis), pipeline. Axes of one place are left out of the groups of collectives.
 *
 * @param rank  0 .. ps_megatron_ranks - 1
 * @param out   owned by the caller
 * @return PS_OK · PS_USAGE a recipe that cannot be, or is not modelled · PS_LIMIT · PS_NOMEM
 */
ps_code ps_megatron_build(const ps_megatron_job *job, int64_t rank, ps_workload **out,
                          ps_error *err) PS_MUST_USE;

#endif
