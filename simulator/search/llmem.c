/* SPDX-License-Identifier: MIT
 *
 * LLMem's sums. Rows of parameters that are neither of an embedding nor of a
 * linear module are in the chunks alone.
 */
#include "search/llmem.h"

#include "base/checked.h"
#include "base/memory.h"
#include "workload/script/gemini.h"

#define MOST_ELEMENTS ((int64_t)1 << 46)

/* ---- the model ---- */

static bool is_counted(const ps_parameter_shape *p)
{
    return p->rows > 0 || p->is_bias;
}

/* Words come first; a matrix behind the blocks is a head of its own. */
static void read_shape(ps_llmem_model *self)
{
    const ps_parameters *all = &self->parameters;
    bool was_in_block = false;
    for (size_t i = 0; i < all->count; i++) {
        const ps_parameter_shape *p = &all->shape[i];
        was_in_block = was_in_block || p->block > 0;
        if (p->block == 0 && p->rows > 0 && !p->is_linear) {
            self->has_own_head = self->has_own_head || was_in_block;
            self->embeddings += was_in_block ? 0 : 1;
            self->vocabulary = self->vocabulary == 0 ? p->rows : self->vocabulary;
        }
        if (p->block > 0 && p->is_linear && self->hidden == 0) {
            self->hidden = p->columns; /* the first module of a block reads the hidden states */
        }
    }
    if (self->hidden == 0 && all->count > 0) {
        self->hidden = all->shape[0].columns;
    }
}

ps_code ps_llmem_model_read(const ps_model_config *config, ps_llmem_model *out, ps_error *err)
{
    *out = (ps_llmem_model){0};
    PS_TRY(ps_parameters_list(config, &out->parameters, err));
    read_shape(out);
    return PS_OK;
}

void ps_llmem_model_fini(ps_llmem_model *self)
{
    ps_parameters_fini(&self->parameters);
    *self = (ps_llmem_model){0};
}

/* ---- sums ---- */

/* Adds tensor by tensor; the first overflow is kept. */
typedef struct sum {
    uint64_t page, bytes;
    bool is_over;
} sum;

static void add(sum *self, uint64_t bytes)
{
    const uint64_t rounded = ps_round_up_u64(bytes, self->page);
    self->is_over =
        !ps_add_u64(self->bytes, rounded, &self->bytes) || rounded < bytes || self->is_over;
}

static void add_product(sum *self, uint64_t a, uint64_t b)
{
    uint64_t product = 0;
    self->is_over = !ps_mul_u64(a, b, &product) || self->is_over;
    add(self, product);
}

/* Elements of a tensor that a GPU has: biases and norms are whole on each. */
static int64_t local_elements(const ps_parameter_shape *p, int64_t tensor)
{
    const int64_t elements = ps_parameter_elements(p);
    return p->rows > 0 ? (elements + tensor - 1) / tensor : elements;
}

/* Chunks as the GPUs of one tensor group divide them: both copies of the parameters. */
static ps_code add_chunks(const ps_llmem_job *job, ps_llmem_method method, sum *self, ps_error *err)
{
    const ps_parameters *all = &job->model->parameters;
    const ps_llmem_figures *f = job->figures;
    ps_gemini_layout layout;
    int64_t *elements = ps_calloc(all->count + 1, sizeof *elements);
    if (elements == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < all->count; i++) {
        elements[i] = local_elements(&all->shape[i], method.tensor);
    }
    const int64_t ranks = method.kind == PS_LLMEM_CDP ? 1 : method.data;
    const ps_code code = ps_gemini_lay_out(elements, all->count, ranks, &layout, err);
    const int64_t shards = layout.is_small ? 1 : ranks;
    ps_free(elements);
    for (size_t i = 0; code == PS_OK && i < layout.chunk_count; i++) {
        const int64_t share = (layout.chunk_elements[i] + shards - 1) / shards;
        add_product(self, (uint64_t)share, f->half_bytes);
        add_product(self, (uint64_t)share, f->float_bytes);
    }
    ps_gemini_layout_fini(&layout);
    return code;
}

/* What of a tensor in 16 bits a method gathers beside its share. */
static uint64_t gathered(const ps_llmem_figures *f, ps_llmem_method method, uint64_t elements)
{
    const uint64_t bytes = elements * f->half_bytes;
    const uint64_t data = (uint64_t)method.data, all = data * (uint64_t)method.tensor;
    switch (method.kind) {
    case PS_LLMEM_CDP:
    case PS_LLMEM_TP:
        break;
    case PS_LLMEM_ADP:
        return bytes - bytes / data;
    case PS_LLMEM_DP_TP: /* (N - tp) / N - 1 / N, as the release has it */
        return ps_mul_div_u64(bytes, all - (uint64_t)method.tensor - 1, all);
    }
    return 0;
}

/* Tensors of embeddings and linear modules, but for the last one: that is the head's, whole on every
 * GPU. */
static void add_tensors(const ps_llmem_job *job, ps_llmem_method method, sum *self)
{
    const ps_parameters *all = &job->model->parameters;
    const ps_llmem_figures *f = job->figures;
    const uint64_t gpus = method.kind == PS_LLMEM_CDP ? 1 : (uint64_t)(method.data * method.tensor);
    size_t last = SIZE_MAX;
    for (size_t i = 0; i < all->count; i++) {
        last = is_counted(&all->shape[i]) ? i : last;
    }
    if (!job->model->has_own_head) {
        last = 0; /* the words once more, in the place of a head */
    }
    for (size_t i = 0; i < all->count; i++) {
        const uint64_t elements = (uint64_t)ps_parameter_elements(&all->shape[i]);
        if (!is_counted(&all->shape[i]) || (i == last && job->model->has_own_head)) {
            continue;
        }
        add(self, gathered(f, method, elements));
        for (int moment = 0; moment < 2; moment++) {
            add(self, elements * f->float_bytes / gpus);
        }
    }
    if (last != SIZE_MAX) {
        add(self, (uint64_t)ps_parameter_elements(&all->shape[last]) * f->half_bytes);
    }
}

static void add_batch(const ps_llmem_job *job, ps_llmem_method method, uint64_t batch, sum *self)
{
    const ps_llmem_model *m = job->model;
    const ps_llmem_figures *f = job->figures;
    const uint64_t length = (uint64_t)job->length, vocabulary = (uint64_t)m->vocabulary;
    const uint64_t hidden = (uint64_t)m->hidden * f->half_bytes;
    const uint64_t logit = f->has_wide_logits ? f->float_bytes : f->half_bytes;
    const uint64_t tensor = (uint64_t)method.tensor;
    add_product(self, batch * length, f->id_bytes);
    for (int64_t i = 0; i < m->embeddings + m->parameters.block_count; i++) {
        add_product(self, batch * length, hidden);
    }
    add_product(self, batch * length, vocabulary * logit);
    for (int shifted = 0; shifted < 2; shifted++) {
        add_product(self, batch * (length - 1), vocabulary * logit);
    }
    for (int64_t i = 0; tensor > 1 && i < m->parameters.block_count; i++) {
        self->is_over = self->is_over || batch * length > UINT64_MAX / (hidden + 1);
        add(self, ps_mul_div_u64(batch * length * hidden, tensor - 1, tensor));
    }
}

/* ---- what a GPU needs ---- */

static ps_code finish(const sum *self, uint64_t *out, ps_error *err)
{
    if (self->is_over) {
        return ps_fail(err, PS_LIMIT, "more bytes than can be counted");
    }
    *out = self->bytes;
    return PS_OK;
}

ps_code ps_llmem_state_bytes(const ps_llmem_job *job, ps_llmem_method method, uint64_t *out,
                             ps_error *err)
{
    const ps_parameters *all = &job->model->parameters;
    sum self = {.page = job->figures->page_bytes, .bytes = job->figures->base_bytes};
    for (size_t i = 0; i < all->count; i++) {
        if (ps_parameter_elements(&all->shape[i]) > MOST_ELEMENTS) {
            return ps_fail(err, PS_LIMIT, "a parameter of more than 2^46 elements");
        }
    }
    PS_TRY(add_chunks(job, method, &self, err));
    add_tensors(job, method, &self);
    return finish(&self, out, err);
}

ps_code ps_llmem_batch_bytes(const ps_llmem_job *job, ps_llmem_method method, int64_t batch,
                             uint64_t *out, ps_error *err)
{
    sum self = {.page = job->figures->page_bytes};
    if (job->length < 2 || batch < 1) {
        return ps_fail(err, PS_USAGE, "the loss needs sequences of 2 tokens");
    }
    if (batch > MOST_ELEMENTS / job->length) {
        return ps_fail(err, PS_LIMIT, "a batch of more than 2^46 tokens");
    }
    add_batch(job, method, (uint64_t)batch, &self);
    return finish(&self, out, err);
}
