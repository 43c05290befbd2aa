/* SPDX-License-Identifier: MIT
 *
 * Gemini's chunks on several ranks, as LLMem runs them (ADP), and the same
 * chunks on every rank (CDP).
 *
 *   build     one chunk of 16 bits and one of 32 are open at a time, whole; closed, they are divided
 *   forward   a chunk is gathered when the first of its parameters is needed, on the main lane, and
 *             its shard goes; it stays whole until backward has all its gradients
 *   backward  a gradient is copied over its parameter; the chunk of the last one is reduced and
 *             scattered into a new shard, and divided by the number of ranks
 *   step      one fused Adam over this rank's slices of parameters, whose states are made in the
 *             first step
 *
 * Chunks that every rank has are summed in place. So is the one chunk of a small model.
 *
 * Where ranks share each linear module (LLMem's TP) chunks hold this rank's parts, and are divided
 * among the ranks that have the same parts; a rank that nobody else's data trains (TP alone) keeps
 * its chunks whole, and exchanges no gradient.
 */
#include "base/memory.h"
#include "workload/scheme/scheme_parts.h"
#include "workload/script/gemini.h"

typedef struct chunk {
    ps_tensor whole, shard;   /* of them one is empty or none */
    int64_t elements, filled; /* of parameters, while their places are found */
    size_t parameters, come;  /* that lie in it, and those whose gradients are there */
} chunk;

typedef struct gemini {
    ps_gemini_layout layout;
    chunk *chunk;
    size_t *index; /* by tensor: number of the trained parameter it is + 1 */
    size_t index_count;
    int64_t *slice; /* elements of each parameter on this rank */
    uint64_t slice_elements;
    bool is_divided, has_states;
} gemini;

static gemini *own(const ps_scheme *self)
{
    return self->state;
}

static ps_code check(const ps_recipe *r, ps_error *err)
{
    const ps_parallel *p = &r->parallel;
    if (r->policy != PS_TRAIN_POLICY_GEMINI) {
        return ps_fail(err, PS_USAGE,
                       "this scheme is that of the policy gemini: one needs the other");
    }
    if (p->shard_ranks > 0 && p->shard_ranks != p->ranks / ps_parallel_tensor(p)) {
        return ps_fail(err, PS_USAGE, "gemini divides chunks among all ranks, or has them on each");
    }
    return PS_OK;
}

/* ---- chunks ---- */

static void gather(ps_scheme *self, chunk *c)
{
    if (c->shard == 0) {
        return;
    }
    const uint64_t bytes = (uint64_t)c->elements * ps_dtype_bytes(PS_DTYPE_F16);
    ps_eager_refill(self->e, c->whole, bytes, PS_ROLE_PARAMETER);
    ps_scheme_collect(self, PS_COLLECTIVE_ALL_GATHER, PS_EAGER_MAIN, ps_scheme_all_axes(self),
                      PS_DTYPE_F16, bytes);
    ps_eager_clear(self->e, &c->shard);
}

static void reduce(ps_scheme *self, chunk *c)
{
    const bool is_divided = own(self)->is_divided;
    const uint64_t bytes = (uint64_t)c->elements * ps_dtype_bytes(PS_DTYPE_F16);
    if (is_divided) {
        c->shard =
            ps_scheme_make(self, c->elements / self->shards, PS_DTYPE_F16, PS_ROLE_PARAMETER);
    }
    if (self->shards > 1) {
        ps_scheme_collect(self,
                          is_divided ? PS_COLLECTIVE_REDUCE_SCATTER : PS_COLLECTIVE_ALL_REDUCE,
                          PS_EAGER_MAIN, ps_scheme_all_axes(self), PS_DTYPE_F16, bytes);
    }
    if (is_divided) {
        ps_eager_empty(self->e, c->whole);
    }
    ps_scheme_kernel(self, "div", 2 * (is_divided ? bytes / (uint64_t)self->shards : bytes));
    c->come = 0;
}

static size_t chunk_of(const ps_scheme *self, ps_tensor tensor)
{
    const gemini *g = own(self);
    const size_t number = tensor < g->index_count ? g->index[tensor] : 0;
    return number == 0 ? SIZE_MAX : g->layout.chunk_of[number - 1];
}

static ps_tensor use(void *context, const ps_tensor tensor[PS_MODULE_OWN], ps_tensor owned)
{
    ps_scheme *self = context;
    for (int i = 0; i < PS_MODULE_OWN && !ps_eager_is_skipping(self->e); i++) {
        const size_t at = tensor[i] == 0 ? SIZE_MAX : chunk_of(self, tensor[i]);
        if (at != SIZE_MAX) {
            gather(self, &own(self)->chunk[at]);
        }
    }
    return owned;
}

/* The empty tensor that stands for a gradient loses its memory; the chunk has the numbers. */
static void take_grad(void *context, ps_tensor leaf, ps_tensor owned)
{
    ps_scheme *self = context;
    chunk *c = &own(self)->chunk[chunk_of(self, leaf)];
    ps_tensor empty =
        ps_op_result(self->e, ps_eager_elements(self->e, owned), ps_eager_dtype(self->e, owned));
    ps_eager_clear(self->e, &empty);
    ps_scheme_kernel(self, "copy", 2 * ps_eager_bytes(self->e, owned));
    ps_eager_drop(self->e, owned);
    if (++c->come == c->parameters) {
        reduce(self, c);
    }
}

/* Chunks with a parameter that has no gradient. */
static void end_backward(ps_scheme *self)
{
    gemini *g = own(self);
    for (size_t i = 0; i < g->layout.chunk_count; i++) {
        if (g->chunk[i].come > 0) {
            reduce(self, &g->chunk[i]);
        }
    }
}

/* ---- the step ---- */

static void make_states(ps_scheme *self)
{
    const gemini *g = own(self);
    for (size_t i = 0; i < self->m->parameter_count; i++) {
        for (int moment = 0; moment < 2 && g->slice[i] > 0; moment++) {
            (void)ps_scheme_make(self, g->slice[i], PS_DTYPE_F32, PS_ROLE_OPTIMIZER_STATE);
            ps_scheme_kernel(self, "fill", (uint64_t)g->slice[i] * ps_dtype_bytes(PS_DTYPE_F32));
        }
    }
}

/* What every rank found is summed, and the host asks for the sum and for the loss's scale. */
static void ask_for_overflow(ps_scheme *self)
{
    ps_scheme_kernel(self, "fill", ps_dtype_bytes(PS_DTYPE_F32));
    ps_scheme_collect(self, PS_COLLECTIVE_ALL_REDUCE, PS_EAGER_MAIN, ps_scheme_all_axes(self),
                      PS_DTYPE_F32, ps_dtype_bytes(PS_DTYPE_F32));
    ps_op_read_back(self->e, PS_DTYPE_F32);
    ps_op_read_back(self->e, PS_DTYPE_F32);
}

static void step(ps_scheme *self, ps_optimizer *optimizer)
{
    gemini *g = own(self);
    (void)optimizer;
    ps_eager_set_phase(self->e, PS_EAGER_OPTIMIZER);
    ask_for_overflow(self);
    if (!g->has_states) {
        make_states(self);
        g->has_states = true;
    }
    ps_gemini_tell_step(self->e, g->slice_elements);
}

/* ---- making ---- */

/* A parameter's slice in this rank's shard of its chunk; in a chunk that all have, all of it. */
static void slice(ps_scheme *self)
{
    gemini *g = own(self);
    for (size_t i = 0; i < self->m->parameter_count; i++) {
        const size_t in = g->layout.chunk_of[i];
        const int64_t elements = ps_eager_elements(self->e, self->m->parameter[i]);
        const int64_t part = g->chunk[in].elements / self->shards, low = self->place * part;
        const int64_t at = g->chunk[in].filled;
        const int64_t begin = at > low ? at : low;
        const int64_t end = at + elements < low + part ? at + elements : low + part;
        g->slice[i] = !g->is_divided ? elements : end > begin ? end - begin : 0;
        g->slice_elements += (uint64_t)g->slice[i];
        g->chunk[in].filled += elements;
    }
}

/* A closed chunk is copied into its shard and goes. */
static void close_chunk(ps_scheme *self, ps_tensor *whole, ps_dtype type, ps_tensor *shard)
{
    const int64_t part = ps_eager_elements(self->e, *whole) / self->shards;
    *shard = ps_scheme_make(self, part, type,
                            type == PS_DTYPE_F16 ? PS_ROLE_PARAMETER : PS_ROLE_OPTIMIZER_STATE);
    ps_scheme_kernel(self, "copy", 2 * ps_eager_bytes(self->e, *shard));
}

static void close_pair(ps_scheme *self, chunk *c, ps_tensor *wide)
{
    ps_tensor wide_shard = 0;
    if (c == NULL || !own(self)->is_divided) {
        return; /* it stays as it is */
    }
    close_chunk(self, &c->whole, PS_DTYPE_F16, &c->shard);
    ps_eager_empty(self->e, c->whole);
    close_chunk(self, wide, PS_DTYPE_F32, &wide_shard);
    ps_eager_clear(self->e, wide);
}

static void build(ps_scheme *self)
{
    gemini *g = own(self);
    chunk *open = NULL;
    ps_tensor wide = 0;
    size_t made = 0;
    for (size_t i = 0; i < self->m->parameter_count; i++) {
        if (g->layout.chunk_of[i] >= made) {
            close_pair(self, open, &wide);
            open = &g->chunk[made];
            open->elements = g->layout.chunk_elements[made++];
            open->whole = ps_scheme_make(self, open->elements, PS_DTYPE_F16, PS_ROLE_PARAMETER);
            wide = ps_scheme_make(self, open->elements, PS_DTYPE_F32, PS_ROLE_OPTIMIZER_STATE);
        }
        g->chunk[g->layout.chunk_of[i]].parameters++;
        ps_eager_lay_into(self->e, self->m->parameter[i], g->chunk[g->layout.chunk_of[i]].whole);
    }
    close_pair(self, open, &wide);
}

static ps_code lay_out(ps_scheme *self, ps_error *err)
{
    gemini *g = own(self);
    const ps_model *m = self->m;
    int64_t *elements = ps_scheme_calloc(self, m->parameter_count, sizeof *elements);
    if (elements == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < m->parameter_count; i++) {
        elements[i] = ps_eager_elements(self->e, m->parameter[i]);
        g->index_count =
            m->parameter[i] >= g->index_count ? (size_t)m->parameter[i] + 1 : g->index_count;
    }
    const ps_code code =
        ps_gemini_lay_out(elements, m->parameter_count, self->shards, &g->layout, err);
    ps_free(elements);
    return code;
}

static ps_code make_room(ps_scheme *self, ps_error *err)
{
    gemini *g = own(self);
    PS_TRY(lay_out(self, err));
    g->chunk = ps_scheme_calloc(self, g->layout.chunk_count, sizeof *g->chunk);
    g->slice = ps_scheme_calloc(self, self->m->parameter_count, sizeof *g->slice);
    g->index = ps_scheme_calloc(self, g->index_count, sizeof *g->index);
    return ps_eager_code(self->e, err);
}

static ps_code wrap(ps_scheme *self, bool divides, ps_error *err)
{
    gemini *g = self->state = ps_scheme_calloc(self, 1, sizeof *g);
    if (g == NULL) {
        return ps_fail_nomem(err);
    }
    PS_TRY(make_room(self, err));
    for (size_t i = 0; i < self->m->parameter_count; i++) {
        g->index[self->m->parameter[i]] = i + 1;
    }
    g->is_divided = divides && !g->layout.is_small && self->shards > 1;
    self->is_uneven = g->is_divided;
    build(self);
    slice(self);
    self->hooks.use = use;
    self->m->hooks = &self->hooks;
    ps_eager_set_grad_taker(self->e, take_grad, self);
    return PS_OK;
}

static ps_code wrap_divided(ps_scheme *self, ps_error *err)
{
    return wrap(self, true, err);
}

static ps_code wrap_whole(ps_scheme *self, ps_error *err)
{
    return wrap(self, false, err);
}

static void destroy(ps_scheme *self)
{
    gemini *g = own(self);
    if (g != NULL) {
        ps_gemini_layout_fini(&g->layout);
        ps_free(g->chunk);
        ps_free(g->slice);
        ps_free(g->index);
        ps_free(g);
    }
}

const ps_scheme_ops ps_scheme_gemini = {.check = check,
                                        .wrap = wrap_divided,
                                        .destroy = destroy,
                                        .end_backward = end_backward,
                                        .step = step,
                                        .has_masters = true};

const ps_scheme_ops ps_scheme_gemini_cdp = {.check = check,
                                            .wrap = wrap_whole,
                                            .destroy = destroy,
                                            .end_backward = end_backward,
                                            .step = step,
                                            .has_masters = true};
