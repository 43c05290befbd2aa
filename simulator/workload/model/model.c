/* SPDX-License-Identifier: MIT
 *
 * Parameters, outputs and blocks of a model.
 */
#include "workload/model/model.h"

#include <string.h>

#include "base/memory.h"
#include "workload/eager/eager_checkpoint.h"
#include "workload/eager/eager_parts.h"
#include "workload/model/model_parts.h"
#include "workload/model/quantized.h"
#include "workload/model/row_parallel.h"

#define MAX_ITEMS ((size_t)1 << 24)

ps_recipe ps_recipe_default(void)
{
    return (ps_recipe){.batch = 1,
                       .length = 1024,
                       .steps = 2,
                       .accumulate = 1,
                       .parameters = PS_DTYPE_F32,
                       .autocast = PS_DTYPE_F32,
                       .optimizer = "adamw",
                       .offload = ps_offload_settings_default(),
                       .parallel = ps_parallel_default(),
                       .streaming = {.prefetch = 1}};
}

static void list_trained(ps_model *m, ps_tensor parameter, ps_parameter_shape shape)
{
    ps_eager_require_grad(m->e, parameter);
    m->trained_elements += (uint64_t)ps_eager_elements(m->e, parameter);
    const size_t count = m->parameter_count + 1;
    if (ps_grow((void **)&m->parameter, &m->parameter_capacity, count, MAX_ITEMS,
                sizeof *m->parameter, NULL) != PS_OK ||
        ps_grow((void **)&m->shape, &m->shape_capacity, count, MAX_ITEMS, sizeof *m->shape, NULL) !=
            PS_OK) {
        ps_eager_fail(m->e, PS_NOMEM, "out of memory");
        return;
    }
    m->shape[m->parameter_count] = shape;
    m->parameter[m->parameter_count++] = parameter;
}

/* Whose storage is not the loaded one: parameters of blocks that are offloaded begin on the host,
 * and so do those that go into chunks or shards. */
static bool begins_away(const ps_model *m, bool is_trained)
{
    return (m->recipe->streaming.parameters && m->making > 0 && !is_trained) ||
           m->recipe->policy == PS_TRAIN_POLICY_GEMINI ||
           ps_parallel_shards(&m->recipe->parallel) ||
           (m->recipe->policy == PS_TRAIN_POLICY_ZO2 && m->making > 0 &&
            ps_zo2_offloads(&m->recipe->zo2, (int64_t)m->making - 1));
}

static void list_every(ps_model *m, ps_tensor parameter, ps_parameter_shape shape)
{
    const size_t count = m->every_count + 1;
    if (ps_grow((void **)&m->every, &m->every_capacity, count, MAX_ITEMS, sizeof *m->every, NULL) !=
            PS_OK ||
        ps_grow((void **)&m->every_shape, &m->every_shape_capacity, count, MAX_ITEMS,
                sizeof *m->every_shape, NULL) != PS_OK) {
        ps_eager_fail(m->e, PS_NOMEM, "out of memory");
        return;
    }
    m->every_shape[m->every_count] = shape;
    m->every[m->every_count++] = parameter;
}

static ps_tensor make(ps_model *m, ps_parameter_shape shape, ps_dtype dtype, bool is_trained)
{
    const int64_t elements = (shape.rows > 0 ? shape.rows : 1) * shape.columns;
    const ps_tensor made = begins_away(m, is_trained)
                               ? ps_eager_make_away(m->e, elements, dtype)
                               : ps_eager_make(m->e, elements, dtype, PS_ROLE_PARAMETER);
    shape.block = m->making;
    if (made != 0) {
        m->parameter_elements += (uint64_t)elements;
        list_every(m, made, shape);
        if (is_trained) {
            list_trained(m, made, shape);
        }
    }
    return made;
}

void ps_model_make_block(ps_model *m, int64_t index)
{
    m->making = (uint32_t)(index + 1);
}

ps_dtype ps_model_loaded_type(const ps_model *m)
{
    return m->recipe->quantize == PS_QUANTIZE_NONE ? m->recipe->parameters
                                                   : ps_quantized_loaded_type(m->recipe);
}

static void list_frozen(ps_model *m, ps_tensor parameter)
{
    if (ps_grow((void **)&m->frozen, &m->frozen_capacity, m->frozen_count + 1, MAX_ITEMS,
                sizeof *m->frozen, NULL) != PS_OK) {
        ps_eager_fail(m->e, PS_NOMEM, "out of memory");
        return;
    }
    m->frozen[m->frozen_count++] = parameter;
}

/* With adapters nothing of the model's own is trained, with lsp's list what it names. */
static bool trains_weights(const ps_model *m)
{
    return m->recipe->lora_rank == 0 && (m->recipe->offload.lsp.modules == NULL || m->is_chosen);
}

static ps_tensor make_own(ps_model *m, ps_parameter_shape shape)
{
    const ps_tensor made = make(m, shape, ps_model_loaded_type(m), trains_weights(m));
    if (made != 0 && m->recipe->quantize != PS_QUANTIZE_NONE) {
        list_frozen(m, made);
    }
    return made;
}

ps_tensor ps_model_parameter(ps_model *m, int64_t elements)
{
    return make_own(m, (ps_parameter_shape){.columns = elements});
}

ps_tensor ps_model_bias(ps_model *m, int64_t elements)
{
    return make_own(m, (ps_parameter_shape){.columns = elements, .is_bias = true});
}

/* The part of a matrix that this rank has; the model's size is that of all parts. */
static ps_tensor make_share(ps_model *m, ps_parameter_shape shape)
{
    const uint64_t elements = m->parameter_elements, trained = m->trained_elements;
    const uint64_t others = (uint64_t)ps_parallel_tensor(&m->recipe->parallel) - 1;
    const ps_tensor made = make_own(m, shape);
    m->parameter_elements += others * (m->parameter_elements - elements);
    m->trained_elements += others * (m->trained_elements - trained);
    return made;
}

ps_tensor ps_model_matrix(ps_model *m, int64_t rows, int64_t columns)
{
    return make_share(
        m, (ps_parameter_shape){.rows = rows, .columns = ps_row_parallel_share(m, columns)});
}

ps_tensor ps_model_transposed(ps_model *m, int64_t rows, int64_t columns)
{
    return make_share(
        m, (ps_parameter_shape){.rows = ps_row_parallel_share(m, rows), .columns = columns});
}

ps_tensor ps_model_weight(ps_model *m, int64_t rows, int64_t columns)
{
    return make_share(m, (ps_parameter_shape){.rows = rows,
                                              .columns = ps_row_parallel_share(m, columns),
                                              .is_linear = true});
}

uint32_t ps_model_list_linear(ps_model *m, ps_tensor weight, int64_t in, int64_t out)
{
    if (ps_grow((void **)&m->linear, &m->linear_capacity, m->linear_count + 1, MAX_ITEMS,
                sizeof *m->linear, NULL) != PS_OK) {
        ps_eager_fail(m->e, PS_NOMEM, "out of memory");
        return 0;
    }
    m->linear[m->linear_count] =
        (ps_linear_site){.weight = weight, .in = in, .out = out, .block = m->making};
    return (uint32_t)++m->linear_count;
}

size_t ps_model_place(const ps_model *m)
{
    return m->recipe->lora_rank > 0 ? m->frozen_count : m->parameter_count;
}

/* The last of `count` takes `place`; those from there on make room. */
static void move_last(ps_tensor *list, size_t count, size_t place)
{
    const ps_tensor last = list[count - 1];
    for (size_t i = count - 1; i > place; i--) {
        list[i] = list[i - 1];
    }
    list[place] = last;
}

void ps_model_place_parameter(ps_model *m, size_t place)
{
    if (m->recipe->lora_rank > 0) {
        if (place < m->frozen_count) {
            move_last(m->frozen, m->frozen_count, place);
        }
        return;
    }
    if (place >= m->parameter_count || m->recipe->offload.lsp.modules != NULL) {
        return;
    }
    move_last(m->parameter, m->parameter_count, place);
    const ps_parameter_shape shape = m->shape[m->parameter_count - 1];
    for (size_t i = m->parameter_count - 1; i > place; i--) {
        m->shape[i] = m->shape[i - 1];
    }
    m->shape[place] = shape;
}

ps_tensor ps_model_adapter(ps_model *m, int64_t rows, int64_t columns)
{
    /* peft keeps adapters in 32 bits beside 16-bit weights, unless autocast_adapter_dtype is off */
    const ps_dtype dtype = m->recipe->has_narrow_adapters ? m->recipe->parameters : PS_DTYPE_F32;
    return make(m, (ps_parameter_shape){.rows = rows, .columns = columns}, dtype, true);
}

ps_tensor ps_model_buffer(ps_model *m, int64_t elements, ps_dtype dtype)
{
    /* with parameters that are divided it comes when the scheme brings them */
    const ps_tensor made = ps_parallel_shards(&m->recipe->parallel)
                               ? ps_eager_make_away(m->e, elements, dtype)
                               : ps_eager_make(m->e, elements, dtype, PS_ROLE_PARAMETER);
    const size_t count = m->buffer_count + 1;
    if (ps_grow((void **)&m->buffer, &m->buffer_capacity, count, MAX_ITEMS, sizeof *m->buffer,
                NULL) != PS_OK ||
        ps_grow((void **)&m->buffer_block, &m->buffer_block_capacity, count, MAX_ITEMS,
                sizeof *m->buffer_block, NULL) != PS_OK) {
        ps_eager_fail(m->e, PS_NOMEM, "out of memory");
        return 0;
    }
    m->buffer_block[m->buffer_count] = m->making;
    m->buffer[m->buffer_count++] = made;
    return made;
}

void ps_model_fini(ps_model *m)
{
    ps_free(m->parameter);
    ps_free(m->shape);
    ps_free(m->frozen);
    ps_free(m->every);
    ps_free(m->every_shape);
    ps_free(m->buffer);
    ps_free(m->buffer_block);
    ps_free(m->linear);
}

ps_code ps_model_check_positions(const ps_model *m, int64_t positions, ps_error *err)
{
    const ps_recipe *r = m->recipe;
    int64_t longest = r->lengths == NULL ? r->length : 0;
    for (size_t i = 0; r->lengths != NULL && i < r->length_count; i++) {
        longest = r->lengths[i] > longest ? r->lengths[i] : longest;
    }
    if (longest > positions) {
        return ps_fail(err, PS_BAD_INPUT,
                       "the model has positions for %lld tokens, fewer than a sequence of %lld",
                       (long long)positions, (long long)longest);
    }
    return PS_OK;
}

/* ---- blocks ---- */

/* The checkpoint outlives the call: what it needs is the model and the family's function. */
typedef struct checkpoint_about {
    ps_block_run run;
    unsigned char rest[PS_CHECKPOINT_ABOUT_BYTES - sizeof(ps_block_run)];
} checkpoint_about;

static ps_tensor run_block(ps_model *m, ps_block_run run, const void *about, int64_t index,
                           ps_tensor input)
{
    m->is_in_block = true;
    const ps_tensor out = run(m, about, index, input);
    m->is_in_block = false;
    ps_eager_clear(m->e, &m->left);
    return out;
}

static ps_tensor run_checkpointed(void *context, const void *about, int64_t index, ps_tensor input)
{
    ps_model *m = context;
    const checkpoint_about *of = about;
    if (m->recipe->checkpoints_attention) {
        return of->run(m, of->rest, index, input);
    }
    return run_block(m, of->run, of->rest, index, input);
}

static bool is_checkpointed(const ps_model *m, int64_t index)
{
    const int64_t every = m->recipe->checkpoint_every;
    return every > 0 && index % every == 0;
}

static ps_tensor recompute(ps_model *m, const ps_block_call *call, int64_t index, ps_tensor hidden)
{
    checkpoint_about about = {.run = call->run};
    if (call->about_bytes > sizeof about.rest) {
        ps_eager_fail(m->e, PS_INTERNAL, "a block is passed too much");
        return 0;
    }
    memcpy(about.rest, call->about, call->about_bytes);
    const ps_checkpoint_call kept = {.run = run_checkpointed,
                                     .context = m,
                                     .about = &about,
                                     .about_bytes = sizeof about,
                                     .held = call->held,
                                     .held_count = call->held_count,
                                     .index = index,
                                     .input = hidden};
    return ps_eager_checkpoint(m->e, &kept);
}

bool ps_model_is_of_2023(const ps_model *m)
{
    return m->recipe->policy == PS_TRAIN_POLICY_GEMINI;
}

ps_tensor ps_model_use(ps_model *m, const ps_tensor own[PS_MODULE_OWN], ps_tensor x)
{
    (void)ps_eager_hold(m->e, x);
    ps_eager_enter_parameters(m->e);
    return m->hooks == NULL || m->hooks->use == NULL ? x : m->hooks->use(m->hooks->context, own, x);
}

void ps_model_unuse(ps_model *m, const ps_tensor own[PS_MODULE_OWN], ps_tensor out)
{
    if (m->hooks != NULL && m->hooks->unuse != NULL) {
        m->hooks->unuse(m->hooks->context, own, out);
    }
}

static ps_tensor call_block(ps_model *m, const ps_block_call *call, int64_t index, ps_tensor hidden)
{
    ps_tensor out = 0;
    if (!is_checkpointed(m, index)) {
        m->call = call;
        out = run_block(m, call->run, call->about, index, hidden);
        m->call = NULL;
    } else {
        out = recompute(m, call, index, hidden);
    }
    return out;
}

ps_tensor ps_model_block(ps_model *m, const ps_block_call *call, int64_t index, ps_tensor hidden)
{
    const ps_model_hooks *hooks = m->hooks;
    const bool is_watched = hooks != NULL && hooks->enter != NULL;
    const uint32_t block = (uint32_t)index + 1;
    ps_eager_set_block(m->e, block);
    if (!is_watched) {
        const ps_tensor out = call_block(m, call, index, hidden);
        ps_eager_set_block(m->e, 0);
        return out;
    }
    ps_tensor in = hooks->enter(hooks->context, block, ps_eager_hold(m->e, hidden));
    const ps_tensor out = call_block(m, call, index, in);
    hooks->leave(hooks->context, block, out);
    ps_eager_clear(m->e, &in);
    ps_eager_set_block(m->e, 0);
    return out;
}

ps_tensor ps_model_attention(ps_model *m, ps_block_run run, const void *about, ps_tensor mask,
                             int64_t index, ps_tensor hidden)
{
    ps_tensor held[PS_CHECKPOINT_HELD];
    if (!m->recipe->checkpoints_attention || m->call == NULL) {
        return run(m, about, index, hidden);
    }
    ps_block_call call = *m->call;
    for (size_t i = 0; i < call.held_count && i < PS_CHECKPOINT_HELD; i++) {
        held[i] = i == 0 && mask != 0 ? mask : call.held[i];
    }
    call.held = held;
    call.run = run;
    call.about = about;
    return recompute(m, &call, index, hidden);
}

void ps_model_leave_to_block(ps_model *m, ps_tensor owned)
{
    if (m->is_in_block) {
        ps_eager_assign(m->e, &m->left, owned);
    } else {
        ps_eager_drop(m->e, owned);
    }
}

/* ---- outputs ---- */

void ps_output_keep(ps_model *m, ps_model_output *out, ps_tensor owned)
{
    if (ps_grow((void **)&out->kept, &out->kept_capacity, out->kept_count + 1, MAX_ITEMS,
                sizeof *out->kept, NULL) != PS_OK) {
        ps_eager_fail(m->e, PS_NOMEM, "out of memory");
        return;
    }
    out->kept[out->kept_count++] = owned;
}

void ps_output_drop(ps_model *m, ps_model_output *out)
{
    ps_eager_clear(m->e, &out->loss);
    ps_eager_clear(m->e, &out->logits);
    for (size_t i = 0; i < out->kept_count; i++) {
        ps_eager_clear(m->e, &out->kept[i]);
    }
    ps_free(out->kept);
    *out = (ps_model_output){0};
}
