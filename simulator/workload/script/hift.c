/* SPDX-License-Identifier: MIT
 *
 * Groups of layers, and whose turn it is.
 */
#include "workload/script/hift.h"

#include "base/memory.h"
#include "workload/optimizer/optimizer.h"

struct ps_hift {
    const ps_model *m;
    size_t layer_count, group_layers;
    size_t *layer;   /* of each parameter, from 0 below */
    size_t *queue;   /* layers in the order of their turns */
    bool *is_active; /* of each layer */
};

/* ---- recipes ---- */

ps_code ps_hift_check(const ps_recipe *r, ps_error *err)
{
    if (r->hift.layers == 0) {
        return PS_OK;
    }
    if (r->lora_rank > 0) {
        return ps_fail(err, PS_USAGE,
                       "--hift trains the weights in turns: there is none to train with --lora");
    }
    if (r->policy != PS_TRAIN_POLICY_NONE || ps_parallel_is_on(&r->parallel)) {
        return ps_fail(err, PS_USAGE,
                       "--hift runs on one GPU with --policy none: others divide or move what it "
                       "keeps on the host");
    }
    if (r->streaming.activations != PS_ACTIVATION_OFFLOAD_NONE || r->streaming.parameters) {
        return ps_fail(err, PS_USAGE,
                       "--hift moves states alone: it does not go with --offload-activations or "
                       "--offload-parameters");
    }
    if (!ps_optimizer_can_leave(r->optimizer)) {
        return ps_fail(err, PS_USAGE,
                       "--hift keeps each parameter's states on the host: it needs adamw, adam, "
                       "sgd, momentum, rmsprop, adafactor or hf-adafactor, not \"%s\"",
                       r->optimizer);
    }
    return PS_OK;
}

/* ---- groups ---- */

/* What is in no block belongs to the block before it, what comes before all blocks to layer 0, and
 * what comes behind the last one to a layer of its own. */
static void find_layers(ps_hift *self)
{
    const ps_model *m = self->m;
    size_t last = 0, blocks = 0;
    for (size_t i = 0; i < m->parameter_count; i++) {
        const size_t block = m->shape[i].block;
        last = block != 0 ? i : last;
        blocks = block > blocks ? block : blocks;
    }
    size_t layer = 0;
    for (size_t i = 0; i < m->parameter_count; i++) {
        layer = m->shape[i].block != 0 ? m->shape[i].block : i > last ? blocks + 1 : layer;
        self->layer[i] = layer;
        self->layer_count = layer >= self->layer_count ? layer + 1 : self->layer_count;
    }
}

/* splitmix64 */
static uint64_t draw(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15u;
    uint64_t x = *state;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static void line_up(ps_hift *self)
{
    const ps_hift_settings *s = &self->m->recipe->hift;
    const size_t count = self->layer_count;
    uint64_t state = s->seed;
    for (size_t i = 0; i < count; i++) {
        self->queue[i] = s->order == PS_HIFT_TOP_DOWN ? count - 1 - i : i;
    }
    for (size_t i = count; s->order == PS_HIFT_RANDOM && i > 1; i--) {
        const size_t other = (size_t)(draw(&state) % i), was = self->queue[i - 1];
        self->queue[i - 1] = self->queue[other];
        self->queue[other] = was;
    }
}

static ps_code prepare(ps_hift *self, ps_error *err)
{
    self->layer = ps_calloc(self->m->parameter_count + 1, sizeof *self->layer);
    if (self->layer == NULL) {
        return ps_fail_nomem(err);
    }
    find_layers(self);
    self->queue = ps_calloc(self->layer_count + 1, sizeof *self->queue);
    self->is_active = ps_calloc(self->layer_count + 1, sizeof *self->is_active);
    if (self->queue == NULL || self->is_active == NULL) {
        return ps_fail_nomem(err);
    }
    const size_t asked = (size_t)self->m->recipe->hift.layers;
    self->group_layers = asked < self->layer_count ? asked : self->layer_count;
    line_up(self);
    return PS_OK;
}

ps_code ps_hift_create(const ps_model *m, ps_hift **out, ps_error *err)
{
    *out = NULL;
    if (m->recipe->hift.layers == 0) {
        return PS_OK;
    }
    ps_hift *self = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return ps_fail_nomem(err);
    }
    self->m = m;
    const ps_code code = prepare(self, err);
    if (code != PS_OK) {
        ps_hift_destroy(self);
        return code;
    }
    *out = self;
    return PS_OK;
}

void ps_hift_destroy(ps_hift *self)
{
    if (self != NULL) {
        ps_free(self->layer);
        ps_free(self->queue);
        ps_free(self->is_active);
        ps_free(self);
    }
}

int64_t ps_hift_groups(const ps_hift *self)
{
    return (int64_t)((self->layer_count + self->group_layers - 1) / self->group_layers);
}

void ps_hift_begin_step(ps_hift *self, int64_t number)
{
    if (self == NULL) {
        return;
    }
    const size_t begin = (size_t)(number % ps_hift_groups(self)) * self->group_layers;
    for (size_t i = 0; i < self->layer_count; i++) {
        self->is_active[self->queue[i]] = i >= begin && i < begin + self->group_layers;
    }
    for (size_t i = 0; i < self->m->parameter_count; i++) {
        if (self->is_active[self->layer[i]]) {
            ps_eager_require_grad(self->m->e, self->m->parameter[i]);
        } else {
            ps_eager_refuse_grad(self->m->e, self->m->parameter[i]);
        }
    }
}
