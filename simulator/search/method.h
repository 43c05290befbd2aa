/* SPDX-License-Identifier: MIT
 *
 * Ways in which a model can be trained on some GPUs: the space that a search
 * walks through.
 */
#ifndef PS_SEARCH_METHOD_H
#define PS_SEARCH_METHOD_H

#include "search/placement.h"
#include "workload/script/recipe.h"

/** Who decides where states lie. */
typedef enum ps_search_kind {
    PS_SEARCH_SINGLE = 0, /* one GPU, everything on it */
    PS_SEARCH_POLICY,     /* one GPU, a policy of PS_TRAIN_POLICIES */
    PS_SEARCH_SCHEME,     /* data parallel, a scheme of schemes.def */
    PS_SEARCH_MEGATRON,   /* tensor x pipeline x data */
} ps_search_kind;

/** What is trained. */
typedef enum ps_search_training {
    PS_SEARCH_AS_ASKED = 0, /* what the recipe says */
    PS_SEARCH_LORA,         /* adapters in its place */
    PS_SEARCH_QLORA,        /* adapters on weights of 4 bits */
    PS_SEARCH_LOMO,         /* LOMO in place of the optimizer that was asked for */
    PS_SEARCH_MEZO,         /* MeZO in its place, on the GPU or by ZO2 */
    PS_SEARCH_TRAINING_COUNT
} ps_search_training;

/** One way. Those that differ in recomputation, where activations wait, degrees, settings of a
 *  placement and when gradients are exchanged alone are of one family. */
typedef struct ps_search_method {
    ps_search_kind kind;
    ps_train_policy policy;
    ps_parallel_scheme scheme;
    ps_search_training training;
    ps_search_placement placement;
    bool recomputes;          /* every block, in backward */
    bool streams_activations; /* they wait for backward in host memory */
    bool syncs_always;        /* of a scheme: gradients are exchanged after every micro-batch */
    int64_t tensor, pipeline; /* degrees of Megatron, or the first one of Gemini, else 1 */
    int64_t replicas;         /* GPUs or groups of them that train on data of their own, > 0 */
} ps_search_method;

/** What there is to choose from. Borrowed during a call. */
typedef struct ps_search_space {
    int64_t gpus; /* > 0 */
    bool has_training[PS_SEARCH_TRAINING_COUNT];
    bool has_recompute[2]; /* without it, with it */
    bool only_megatron, only_others;
    bool has_host_optimizer;  /* the host can step: the optimizer of the recipe is one it has */
    bool has_disks;           /* likewise, with states on disks */
    bool has_host_parameters; /* those that are not trained may lie on the host */
    bool has_host_activations;
    bool has_adapters;      /* the recipe itself trains nothing else */
    bool is_quantized;      /* ... on weights of 4 bits */
    ps_train_policy policy; /* not NONE: this one alone */
    bool has_lsp; /* LSP-Offload too, whose steps are not those of the optimizer asked for */
    ps_parallel_scheme scheme; /* likewise */
    int64_t tensor, pipeline;  /* degrees that were asked for; 0: any */
    int64_t heads, layers;     /* that degrees must divide; 0: not known */
} ps_search_space;

/**
 * Every method of a space: policies on one GPU and schemes on several, each in the order of its
 * list (Gemini by tensor degree), then what one GPU has of ZeRO with states on the host, then
 * Megatron by tensor and pipeline degree. Of each first on the GPU, then by placement; activations
 * on the GPU first; without recomputation first.
 *
 * @param out  owned by the caller, to be released with ps_free; NULL where there is none
 * @return PS_OK · PS_NOMEM
 */
ps_code ps_search_methods(const ps_search_space *space, ps_search_method **out, size_t *count,
                          ps_error *err) PS_MUST_USE;

/** True when two methods are of one family. */
bool ps_search_is_family(const ps_search_method *a, const ps_search_method *b);

/** True when nothing differs. */
bool ps_search_is_method(const ps_search_method *a, const ps_search_method *b);

/** True when `a` is sure to be faster than `b` at the same micro-batch: `b` is the same, but for
 *  what it recomputes or moves besides. */
bool ps_search_is_faster(const ps_search_method *a, const ps_search_method *b);

/** True when `a` is sure to need less memory of a GPU at the same micro-batch; told of placements
 *  that are tried before that of `b`. */
bool ps_search_is_smaller(const ps_search_method *a, const ps_search_method *b);

/** True of schemes that divide parameters, and with them gradients that were exchanged. */
bool ps_search_divides_parameters(ps_parallel_scheme scheme);

/** True when a step must be one micro-batch: nothing accumulates gradients. */
bool ps_search_has_one_micro_batch(const ps_search_method *self);

/** Word of the optimizer that takes the place of the one that was asked for; NULL: none does. */
const char *ps_search_training_optimizer(ps_search_training self);

/** [bytes] enough for every name. */
#define PS_SEARCH_NAME_BYTES 128

/** "single GPU", "fsdp2 + LoRA", "zero3 + optimizer on host": what all of a family have in common. */
void ps_search_family_name(const ps_search_method *self, char out[PS_SEARCH_NAME_BYTES]);

/** The family's name with what its members differ in but for recomputation: "megatron tp 2 pp 1 dp
 *  4", "fsdp2 no_sync=false", "fsdp2 + activations on host". */
void ps_search_method_name(const ps_search_method *self, char out[PS_SEARCH_NAME_BYTES]);

#endif
