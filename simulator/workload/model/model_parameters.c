/* SPDX-License-Identifier: MIT
 *
 * Parameters and buffers of a model, as its modules make them: what is
 * trained, where it begins, and the lists that training looks through.
 */
#include "workload/eager/eager_parts.h"
#include "workload/model/model_parts.h"
#include "workload/model/quantized.h"
#include "workload/model/row_parallel.h"

/* ---- lists ---- */

static void list_trained(ps_model *m, ps_tensor parameter, ps_parameter_shape shape)
{
    ps_eager_require_grad(m->e, parameter);
    m->trained_elements += (uint64_t)ps_eager_elements(m->e, parameter);
    const size_t count = m->parameter_count;
    if (ps_model_grow(m, (void **)&m->parameter, &m->parameter_capacity, count,
                      sizeof *m->parameter) &&
        ps_model_grow(m, (void **)&m->shape, &m->shape_capacity, count, sizeof *m->shape)) {
        m->shape[count] = shape;
        m->parameter[m->parameter_count++] = parameter;
    }
}

static void list_every(ps_model *m, ps_tensor parameter, ps_parameter_shape shape)
{
    const size_t count = m->every_count;
    if (ps_model_grow(m, (void **)&m->every, &m->every_capacity, count, sizeof *m->every) &&
        ps_model_grow(m, (void **)&m->every_shape, &m->every_shape_capacity, count,
                      sizeof *m->every_shape)) {
        m->every_shape[count] = shape;
        m->every[m->every_count++] = parameter;
    }
}

static void list_frozen(ps_model *m, ps_tensor parameter)
{
    if (ps_model_grow(m, (void **)&m->frozen, &m->frozen_capacity, m->frozen_count,
                      sizeof *m->frozen)) {
        m->frozen[m->frozen_count++] = parameter;
    }
}

uint32_t ps_model_list_linear(ps_model *m, ps_tensor weight, int64_t in, int64_t out)
{
    if (!ps_model_grow(m, (void **)&m->linear, &m->linear_capacity, m->linear_count,
                       sizeof *m->linear)) {
        return 0;
    }
    m->linear[m->linear_count] =
        (ps_linear_site){.weight = weight, .in = in, .out = out, .block = m->making};
    return (uint32_t)++m->linear_count;
}

void ps_model_make_block(ps_model *m, int64_t index)
{
    m->making = (uint32_t)(index + 1);
}

/* ---- parameters ---- */

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

ps_dtype ps_model_loaded_type(const ps_model *m)
{
    return m->recipe->quantize == PS_QUANTIZE_NONE ? m->recipe->parameters
                                                   : ps_quantized_loaded_type(m->recipe);
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

ps_tensor ps_model_adapter(ps_model *m, int64_t rows, int64_t columns)
{
    /* peft keeps adapters in 32 bits beside 16-bit weights, unless autocast_adapter_dtype is off */
    const ps_dtype dtype = m->recipe->has_narrow_adapters ? m->recipe->parameters : PS_DTYPE_F32;
    return make(m, (ps_parameter_shape){.rows = rows, .columns = columns}, dtype, true);
}

/* ---- places in the lists ---- */

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

/* ---- buffers ---- */

ps_tensor ps_model_buffer(ps_model *m, int64_t elements, ps_dtype dtype)
{
    /* with parameters that are divided it comes when the scheme brings them */
    const ps_tensor made = ps_parallel_shards(&m->recipe->parallel)
                               ? ps_eager_make_away(m->e, elements, dtype)
                               : ps_eager_make(m->e, elements, dtype, PS_ROLE_PARAMETER);
    const size_t count = m->buffer_count;
    if (!ps_model_grow(m, (void **)&m->buffer, &m->buffer_capacity, count, sizeof *m->buffer) ||
        !ps_model_grow(m, (void **)&m->buffer_block, &m->buffer_block_capacity, count,
                       sizeof *m->buffer_block)) {
        return 0;
    }
    m->buffer_block[count] = m->making;
    m->buffer[m->buffer_count++] = made;
    return made;
}
