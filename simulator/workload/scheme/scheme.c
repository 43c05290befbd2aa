/* SPDX-License-Identifier: MIT
 *
 * What schemes share.
 */
#include "workload/scheme/scheme.h"

#include "base/memory.h"
#include "workload/optimizer/optimizer.h"
#include "workload/scheme/offload.h"
#include "workload/scheme/scheme_parts.h"

#define SCHEME(sym, symbol, word, shards, doc) extern const ps_scheme_ops ps_scheme_##symbol;
#include "workload/scheme/schemes.def"
#undef SCHEME

static const ps_scheme_ops *const known[] = {
    NULL,
#define SCHEME(sym, symbol, word, shards, doc) &ps_scheme_##symbol,
#include "workload/scheme/schemes.def"
#undef SCHEME
};

#define MAX_RANKS ((int64_t)1 << 20)

static ps_code check_ranks(const ps_parallel *p, ps_error *err)
{
    if (p->ranks > MAX_RANKS) {
        return ps_fail(err, PS_USAGE, "more than %lld ranks", (long long)MAX_RANKS);
    }
    if (p->tensor_ranks < 0 || (p->tensor_ranks > 1 && p->ranks % p->tensor_ranks != 0)) {
        return ps_fail(err, PS_USAGE, "%lld ranks are no multiple of %lld that share each module",
                       (long long)p->ranks, (long long)p->tensor_ranks);
    }
    if (p->tensor_ranks > 1 && p->scheme != PS_PARALLEL_GEMINI) {
        return ps_fail(err, PS_USAGE,
                       "%s has every module whole: ranks that share each go with gemini",
                       ps_parallel_word_at((size_t)p->scheme - 1));
    }
    if (p->shard_ranks < 0 || (p->shard_ranks > 0 && p->ranks % p->shard_ranks != 0)) {
        return ps_fail(err, PS_USAGE, "%lld ranks are no multiple of %lld that share a copy",
                       (long long)p->ranks, (long long)p->shard_ranks);
    }
    if (p->shard_ranks == 1) {
        return ps_fail(err, PS_USAGE,
                       "a copy that one rank alone has is not sharded: ddp has a copy on each");
    }
    if (p->rank < 0 || p->rank >= p->ranks) {
        return ps_fail(err, PS_USAGE, "rank %lld of %lld: they count from 0", (long long)p->rank,
                       (long long)p->ranks);
    }
    return PS_OK;
}

ps_code ps_scheme_check(const ps_recipe *r, ps_error *err)
{
    const ps_parallel *p = &r->parallel;
    if (p->ranks < 0) {
        return ps_fail(err, PS_USAGE, "the number of ranks must be positive");
    }
    PS_TRY(ps_offload_check(r, err)); /* which one rank has too */
    if (!ps_parallel_is_on(p)) {
        return PS_OK;
    }
    PS_TRY(check_ranks(p, err));
    if (r->is_forward_only) {
        return ps_fail(err, PS_USAGE, "a forward pass alone has no gradients to exchange");
    }
    if (ps_optimizer_way_of(r->optimizer) != PS_OPTIMIZER_AFTER_BACKWARD) {
        return ps_fail(err, PS_USAGE,
                       "\"%s\" leaves no gradients for other ranks: data-parallel schemes need an "
                       "optimizer that steps after backward",
                       r->optimizer);
    }
    if (r->policy == PS_TRAIN_POLICY_ZO2) {
        return ps_fail(err, PS_USAGE, "zo2 moves blocks itself: it is for one rank");
    }
    return known[p->scheme]->check(r, err);
}

/* ---- making ---- */

static ps_code wrap(ps_scheme *self, ps_error *err)
{
    ps_eager_set_phase(self->e, PS_EAGER_LOAD);
    PS_TRY(self->ops->wrap(self, err));
    return ps_eager_code(self->e, err);
}

ps_code ps_scheme_create(ps_model *m, ps_scheme **out, ps_error *err)
{
    const ps_parallel *p = &m->recipe->parallel;
    *out = NULL;
    if (!ps_parallel_is_on(p)) {
        return PS_OK;
    }
    if (m->tensor_ranks > 1 && (p->shard_ranks > 0 || p->ranks % m->tensor_ranks != 0)) {
        return ps_fail(err, PS_USAGE,
                       "each matrix is shared by %lld ranks: a multiple of so many must train",
                       (long long)m->tensor_ranks);
    }
    ps_scheme *self = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return ps_fail_nomem(err);
    }
    *self = (ps_scheme){.ops = known[p->scheme], .m = m, .e = m->e, .settings = p, .of = m};
    self->tensor = m->tensor_ranks > 1 ? m->tensor_ranks : ps_parallel_tensor(p);
    const int64_t ranks = (p->ranks > 1 ? p->ranks : 1) / self->tensor;
    self->shards = p->shard_ranks > 0 ? p->shard_ranks : ranks;
    self->replicas = ranks / self->shards;
    self->place = p->rank / self->tensor % self->shards;
    self->hooks.context = self;
    const ps_code code = wrap(self, err);
    if (code != PS_OK) {
        ps_scheme_destroy(self);
        return code;
    }
    *out = self;
    return PS_OK;
}

void ps_scheme_destroy(ps_scheme *self)
{
    if (self != NULL) {
        self->ops->destroy(self);
        self->m->hooks = NULL;
        ps_free(self);
    }
}

size_t ps_scheme_axes(const ps_scheme *self, ps_scheme_axis axis[PS_SCHEME_AXES])
{
    const uint32_t place = self->is_uneven ? (uint32_t)self->place : PS_WORKLOAD_ANYWHERE;
    size_t count = 0;
    if (self->tensor > 1) {
        axis[count++] = (ps_scheme_axis){"tensor", (uint32_t)self->tensor, PS_WORKLOAD_ANYWHERE};
        if (self->shards == 1 && self->replicas == 1) {
            return count;
        }
    }
    if (self->replicas == 1) {
        axis[count++] = (ps_scheme_axis){"data", (uint32_t)self->shards, place};
        return count;
    }
    axis[count++] = (ps_scheme_axis){"shard", (uint32_t)self->shards, place};
    axis[count++] = (ps_scheme_axis){"replica", (uint32_t)self->replicas, PS_WORKLOAD_ANYWHERE};
    return count;
}

ps_model *ps_scheme_trained(ps_scheme *self)
{
    return self->of;
}

bool ps_scheme_has_masters(const ps_scheme *self)
{
    return self != NULL && self->ops->has_masters;
}

/* ---- moments ---- */

void ps_scheme_begin_forward(ps_scheme *self, bool syncs)
{
    if (self != NULL) {
        self->syncs = syncs;
        if (self->ops->begin_forward != NULL) {
            self->ops->begin_forward(self);
        }
    }
}

void ps_scheme_end_forward(ps_scheme *self, ps_model_output *out)
{
    if (self != NULL && self->ops->end_forward != NULL) {
        self->ops->end_forward(self, out);
    }
}

static void call(ps_scheme *self, void (*moment)(ps_scheme *self))
{
    if (moment != NULL && !ps_eager_has_failed(self->e)) {
        moment(self);
    }
}

void ps_scheme_begin_backward(ps_scheme *self)
{
    if (self != NULL) {
        call(self, self->ops->begin_backward);
    }
}

void ps_scheme_end_backward(ps_scheme *self)
{
    if (self != NULL) {
        call(self, self->ops->end_backward);
    }
}

void ps_scheme_begin_step(ps_scheme *self)
{
    if (self != NULL) {
        call(self, self->ops->begin_step);
    }
}

bool ps_scheme_step(ps_scheme *self, ps_optimizer *optimizer)
{
    if (self == NULL || self->ops->step == NULL) {
        return false;
    }
    if (!ps_eager_has_failed(self->e)) {
        self->ops->step(self, optimizer);
    }
    return true;
}

void ps_scheme_end_step(ps_scheme *self)
{
    if (self != NULL) {
        call(self, self->ops->end_step);
    }
}

void ps_scheme_grads_gone(ps_scheme *self)
{
    if (self != NULL) {
        call(self, self->ops->grads_gone);
    }
}

void ps_scheme_reduce_number(ps_scheme *self)
{
    if (self != NULL && self->ops->has_local_norms) {
        ps_scheme_collect(self, PS_COLLECTIVE_ALL_REDUCE, PS_EAGER_MAIN, ps_scheme_shard_axes(self),
                          PS_DTYPE_F32, ps_dtype_bytes(PS_DTYPE_F32));
    }
}

/* ---- for schemes ---- */

uint32_t ps_scheme_shard_axes(const ps_scheme *self)
{
    return self->tensor > 1 ? PS_PARALLEL_TENSOR_AXIS << 1 : 1u;
}

uint32_t ps_scheme_replica_axes(const ps_scheme *self)
{
    return self->replicas > 1 ? ps_scheme_shard_axes(self) << 1 : 0u;
}

uint32_t ps_scheme_all_axes(const ps_scheme *self)
{
    return ps_scheme_shard_axes(self) | ps_scheme_replica_axes(self);
}

void ps_scheme_collect(ps_scheme *self, ps_collective_op op, ps_eager_lane lane, uint32_t axes,
                       ps_dtype dtype, uint64_t bytes)
{
    static const char *const names[PS_COLLECTIVE_OP_COUNT] = {
        [PS_COLLECTIVE_ALL_REDUCE] = "all_reduce",
        [PS_COLLECTIVE_REDUCE_SCATTER] = "reduce_scatter",
        [PS_COLLECTIVE_ALL_GATHER] = "all_gather",
        [PS_COLLECTIVE_BROADCAST] = "broadcast",
        [PS_COLLECTIVE_REDUCE] = "reduce",
        [PS_COLLECTIVE_ALL_TO_ALL] = "all_to_all",
        [PS_COLLECTIVE_SEND] = "send",
        [PS_COLLECTIVE_RECV] = "recv",
    };
    const ps_collective what = {.name = names[op],
                                .op = op,
                                .lane = lane,
                                .axes = axes,
                                .dtype = dtype,
                                .bytes = bytes,
                                .mark = self->runs};
    if (bytes > 0 && self->shards * self->replicas > 1) {
        ps_op_collective(self->e, &what);
    }
}

void ps_scheme_bring_buffers(ps_scheme *self, uint32_t block)
{
    const ps_fsdp_settings *s = &self->settings->fsdp;
    for (size_t i = 0; i < self->m->buffer_count; i++) {
        if (self->m->buffer_block[i] == block) {
            /* gathered types are those of parameters alone */
            if (s->has_param_dtype &&
                ps_eager_dtype(self->e, self->m->buffer[i]) == s->param_dtype) {
                ps_eager_retype(self->e, self->m->buffer[i], s->stored_dtype);
            }
            ps_eager_bring(self->e, self->m->buffer[i], PS_ROLE_PARAMETER);
        }
    }
}

void ps_scheme_copy_host(ps_scheme *self, uint64_t bytes)
{
    const ps_eager_kernel copy = {
        .name = "copy", .kind = PS_KERNEL_COPY, .moved_bytes = bytes, .launches = 1};
    ps_op_tell(self->e, &copy);
}

ps_tensor ps_scheme_make(ps_scheme *self, int64_t elements, ps_dtype dtype, ps_role role)
{
    return ps_eager_make(self->e, elements, dtype, role);
}

void ps_scheme_keep_grad(ps_scheme *self, ps_tensor leaf, ps_tensor owned)
{
    if (ps_eager_grad(self->e, leaf) == 0) {
        ps_eager_set_grad(self->e, leaf, owned);
        return;
    }
    ps_scheme_kernel(self, "add", 3 * ps_eager_bytes(self->e, owned));
    ps_eager_drop(self->e, owned);
}

void *ps_scheme_calloc(ps_scheme *self, size_t count, size_t bytes)
{
    void *out = ps_calloc(count > 0 ? count : 1, bytes);
    if (out == NULL) {
        ps_eager_fail(self->e, PS_NOMEM, "out of memory");
    }
    return out;
}
