/* SPDX-License-Identifier: MIT
 *
 * Decoders of the Llama kind (Llama 2 and 3, Mistral, Qwen without biases):
 * RMS norms, rotary positions, grouped queries, gated SiLU feed-forward, as
 * Hugging Face transformers 5 writes them, with flash attention.
 */
#ifndef PS_WORKLOAD_LLAMA_H
#define PS_WORKLOAD_LLAMA_H

#include "workload/eager.h"

/** Shape of a model. */
typedef struct ps_llama_shape {
    int64_t layers, hidden, feed_forward, heads, kv_heads, head_width, vocabulary;
    bool is_tied; /* the head shares the embedding's weights */
    ps_dtype dtype;
} ps_llama_shape;

typedef struct ps_llama ps_llama;

/** What a forward pass returns and its caller keeps: loss, logits, keys and values. */
typedef struct ps_llama_output {
    ps_tensor loss, logits;
    ps_tensor *cache; /* key and value of each layer */
    size_t cache_count;
} ps_llama_output;

/** Makes the parameters, in the order in which a module moves to its device. NULL when out of memory. */
ps_llama *ps_llama_create(ps_eager *eager, const ps_llama_shape *shape) PS_MUST_USE;

void ps_llama_destroy(ps_llama *self);

/** Parameters in the order of Module.parameters(). Borrowed. */
const ps_tensor *ps_llama_parameters(const ps_llama *self, size_t *count);

/**
 * One forward pass with loss.
 *
 * @param ids  batch * length numbers, labels at once
 * @param out  owned by the caller until ps_llama_drop_output
 */
void ps_llama_forward(ps_llama *self, ps_tensor ids, int64_t batch, int64_t length,
                      ps_llama_output *out);

/** Drops an output as Python drops the object: loss, logits, then the cache from its end. */
void ps_llama_drop_output(ps_llama *self, ps_llama_output *out);

#endif
