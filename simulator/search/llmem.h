/* SPDX-License-Identifier: MIT
 *
 * LLMem's way of choosing how several GPUs train a model: what its released
 * estimator adds up per GPU, and its Algorithm 1.
 *
 *   need = base + chunks of parameters + for each tensor, rounded up to a page:
 *          what a method gathers, two states in 32 bits, and what a batch makes
 *
 * No bandwidth and no time enter. docs/MODEL.md, section "LLMem's chooser", has
 * the sums, and how many of the published choices they give.
 */
#ifndef PS_SEARCH_LLMEM_H
#define PS_SEARCH_LLMEM_H

#include "search/llmem_figures.h"
#include "workload/script/parameters.h"

typedef enum ps_llmem_kind {
    PS_LLMEM_CDP = 0, /* every GPU has all states */
    PS_LLMEM_ADP,     /* states divided, parameters gathered once a step */
    PS_LLMEM_TP,      /* tensors divided on their input side */
    PS_LLMEM_DP_TP,   /* both */
} ps_llmem_kind;

/** A method on data x tensor GPUs. */
typedef struct ps_llmem_method {
    ps_llmem_kind kind;
    int64_t data, tensor;
} ps_llmem_method;

/** A model as the estimator sees it. Borrowed by every call. */
typedef struct ps_llmem_model {
    ps_parameters parameters;
    int64_t hidden, vocabulary;
    int64_t embeddings; /* modules whose output lives, but for the head */
    bool has_own_head;  /* not tied to the words */
} ps_llmem_model;

/** @param out  release with ps_llmem_model_fini; empty after a failure. As ps_parameters_list. */
ps_code ps_llmem_model_read(const ps_model_config *config, ps_llmem_model *out,
                            ps_error *err) PS_MUST_USE;

void ps_llmem_model_fini(ps_llmem_model *self);

/** A question: how a model goes on GPUs of some memory. */
typedef struct ps_llmem_job {
    const ps_llmem_figures *figures;
    const ps_llmem_model *model;
    int64_t gpus, length; /* tokens of a sequence, > 1 */
    uint64_t capacity_bytes;
} ps_llmem_job;

/** What a method needs. */
typedef struct ps_llmem_estimate {
    ps_llmem_method method;
    uint64_t first_bytes, largest_bytes; /* with one sequence; with the most that fit */
    int64_t batch;                       /* the most sequences of a GPU, or of a group under TP;
                                            0: not even one fits */
    uint64_t score;                      /* [halves] */
} ps_llmem_estimate;

#define PS_LLMEM_METHODS 64

/** What Algorithm 1 says. */
typedef struct ps_llmem_choice {
    ps_llmem_estimate estimate[PS_LLMEM_METHODS]; /* CDP, ADP, TP, DP+TP by tensor degree */
    size_t count;
    size_t chosen; /* SIZE_MAX: none fits, offload to the CPU */
} ps_llmem_choice;

/**
 * Bytes on a GPU whatever the batch: base, chunks, what is gathered, states.
 *
 * @return PS_OK · PS_LIMIT more than can be counted · PS_NOMEM
 */
ps_code ps_llmem_state_bytes(const ps_llmem_job *job, ps_llmem_method method, uint64_t *out,
                             ps_error *err) PS_MUST_USE;

/** Bytes that a batch adds. PS_OK · PS_USAGE sequences of one token · PS_LIMIT */
ps_code ps_llmem_batch_bytes(const ps_llmem_job *job, ps_llmem_method method, int64_t batch,
                             uint64_t *out, ps_error *err) PS_MUST_USE;

/** Algorithm 1. PS_OK · PS_USAGE fewer than two tokens, or more factors of the GPUs than there is
 *  room for · as the two above */
ps_code ps_llmem_choose(const ps_llmem_job *job, ps_llmem_choice *out, ps_error *err) PS_MUST_USE;

/** [bytes] of a method's name. */
#define PS_LLMEM_NAME_BYTES 48

/** "4DP", "2DP+2TP", "4TP", "4CDP". */
void ps_llmem_name(ps_llmem_method method, char out[PS_LLMEM_NAME_BYTES]);

#endif
