/* SPDX-License-Identifier: MIT
 *
 * bitsandbytes' Linear4bit.
 */
#include "workload/model/quantized.h"

#include "workload/eager/eager_parts.h"
#include "workload/model/model_parts.h"

#define CODE_NUMBERS 16        /* that 4 bits can tell apart */
#define SCALE_CODE_NUMBERS 256 /* that a byte can */

static int64_t blocks_of(int64_t count, int64_t block)
{
    return (count + block - 1) / block;
}

ps_dtype ps_quantized_loaded_type(const ps_recipe *r)
{
    return r->autocast != PS_DTYPE_F32 ? r->autocast : r->parameters;
}

ps_code ps_quantized_check(const ps_recipe *r, ps_error *err)
{
    if (r->quantize != PS_QUANTIZE_NONE && r->lora_rank == 0) {
        return ps_fail(err, PS_USAGE, "weights of 4 bits cannot be trained: adapters must be");
    }
    return PS_OK;
}

/* ---- load ---- */

static ps_tensor make(ps_eager *e, int64_t elements, ps_dtype dtype)
{
    return ps_eager_make(e, elements, dtype, PS_ROLE_PARAMETER);
}

static ps_tensor scratch(ps_eager *e, const char *name, int64_t elements, ps_dtype dtype)
{
    const ps_tensor made = ps_eager_make(e, elements, dtype, PS_ROLE_TEMPORARY);
    ps_op_kernel(e, name, (uint64_t)elements * ps_dtype_bytes(dtype));
    return made;
}

/* The table comes from the host as it stands and is divided by its largest number. */
static void make_code(ps_eager *e)
{
    (void)make(e, CODE_NUMBERS, PS_DTYPE_F32);
    ps_tensor sizes = scratch(e, "abs", CODE_NUMBERS, PS_DTYPE_F32);
    ps_tensor largest = scratch(e, "max", 1, PS_DTYPE_F32);
    ps_op_kernel(e, "div", 2 * CODE_NUMBERS * ps_dtype_bytes(PS_DTYPE_F32));
    ps_eager_clear(e, &sizes);
    ps_eager_clear(e, &largest);
}

/* Scales less their mean, quantized in turn. The table of a byte's numbers is the process's. */
static void quantize_scales(ps_model *m, ps_tensor *scale)
{
    ps_eager *e = m->e;
    const int64_t count = ps_eager_elements(e, *scale);
    ps_eager_set_role(e, ps_op_reduce_all(e, "mean", *scale), PS_ROLE_PARAMETER);
    ps_op_kernel(e, "sub", 2 * ps_eager_bytes(e, *scale));
    if (m->scale_code == 0) {
        m->scale_code = make(e, SCALE_CODE_NUMBERS, PS_DTYPE_F32);
    }
    (void)make(e, blocks_of(count, PS_QUANTIZED_SCALE_BLOCK), PS_DTYPE_F32);
    (void)make(e, count, PS_DTYPE_BOOL);
    ps_op_kernel(e, "quantize_blockwise", ps_eager_bytes(e, *scale) + (uint64_t)count);
    ps_eager_clear(e, scale);
}

ps_tensor ps_quantized_make(ps_model *m, int64_t elements)
{
    ps_eager *e = m->e;
    ps_tensor wide = scratch(e, "copy", elements, ps_quantized_loaded_type(m->recipe));
    ps_tensor scale = make(e, blocks_of(elements, PS_QUANTIZED_BLOCK), PS_DTYPE_F32);
    const ps_tensor packed = make(e, (elements + 1) / 2, PS_DTYPE_BOOL);
    if (ps_eager_has_failed(e)) {
        return 0;
    }
    ps_op_kernel(e, "quantize_4bit", ps_eager_bytes(e, wide) + ps_eager_bytes(e, packed));
    make_code(e);
    if (m->recipe->quantize == PS_QUANTIZE_NF4) {
        quantize_scales(m, &scale);
    }
    ps_eager_clear(e, &wide);
    m->parameter_elements += (uint64_t)elements;
    return packed;
}

void ps_quantized_prepare(ps_model *m)
{
    ps_eager *e = m->e;
    for (size_t i = 0; m->recipe->autocast != PS_DTYPE_F32 && i < m->frozen_count; i++) {
        const ps_tensor narrow = m->frozen[i];
        if (ps_eager_has_failed(e)) {
            return;
        }
        ps_tensor wide = make(e, ps_eager_elements(e, narrow), PS_DTYPE_F32);
        ps_op_kernel(e, "copy", ps_eager_bytes(e, narrow) * 3);
        ps_eager_set_data(e, narrow, wide);
    }
}

/* ---- product ---- */

enum { ROWS, IN, OUT, LOADED, IS_DOUBLE };

/* The whole weight, as it was loaded and then in the type that is asked for. */
static ps_tensor widen(ps_eager *e, const int64_t *number, ps_dtype dtype)
{
    const int64_t elements = number[IN] * number[OUT];
    const int64_t blocks = blocks_of(elements, PS_QUANTIZED_BLOCK);
    ps_tensor scale = 0;
    if (number[IS_DOUBLE] != 0) {
        const uint64_t bytes = (uint64_t)blocks * ps_dtype_bytes(PS_DTYPE_F32);
        scale = scratch(e, "dequantize_blockwise", blocks, PS_DTYPE_F32);
        ps_op_kernel(e, "add", 2 * bytes);
    }
    const ps_tensor loaded = ps_op_result(e, elements, (ps_dtype)number[LOADED]);
    const uint64_t loaded_bytes = (uint64_t)elements * ps_dtype_bytes((ps_dtype)number[LOADED]);
    ps_op_kernel(e, "dequantize_4bit", (uint64_t)(elements + 1) / 2 + loaded_bytes);
    ps_eager_clear(e, &scale);
    if (loaded == 0) {
        return 0;
    }
    const ps_tensor out = ps_op_to(e, loaded, dtype);
    ps_eager_drop(e, loaded);
    return out;
}

/* The gradient is a plain product's: neither a view nor kept by anybody. */
static void backward(ps_eager *e, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    const int64_t *n = node->number;
    const ps_dtype dtype = ps_eager_dtype(e, grads[0]);
    if (!ps_op_wants(node, 0)) {
        return;
    }
    const int64_t size[3] = {n[ROWS], n[IN], n[OUT]};
    ps_tensor weight = widen(e, n, dtype);
    out[0] = ps_op_result(e, n[ROWS] * n[IN], dtype);
    ps_op_workspace(e);
    ps_op_product(e, "mm", dtype, PS_OPERANDS_NN, size, 1);
    ps_eager_clear(e, &weight);
}

static const ps_node_ops node_ops = {"MatMul4BitBackward", backward};

/* torch.autograd.Function: what runs inside has no graph; nothing but the module is kept. */
static ps_tensor multiply(ps_model *m, const ps_linear *with, ps_tensor x, ps_tensor bias)
{
    ps_eager *e = m->e;
    const int64_t number[] = {[ROWS] = ps_eager_elements(e, x) / with->in,
                              [IN] = with->in,
                              [OUT] = with->out,
                              [LOADED] = (int64_t)ps_quantized_loaded_type(m->recipe),
                              [IS_DOUBLE] = m->recipe->quantize == PS_QUANTIZE_NF4};
    ps_node *node = ps_op_record(e, &node_ops, &x, 1);
    for (size_t i = 0; node != NULL && i < sizeof number / sizeof number[0]; i++) {
        node->number[i] = number[i];
    }
    const bool was_recording = ps_eager_set_grad_mode(e, false);
    ps_linear plain = {.in = with->in, .out = with->out, .is_flat = with->is_flat, .bias = bias};
    plain.weight = widen(e, number, ps_eager_dtype(e, x));
    const ps_tensor out = ps_linear_run(m, &plain, x);
    ps_eager_clear(e, &plain.weight);
    (void)ps_eager_set_grad_mode(e, was_recording);
    ps_op_output(e, node, out, 0);
    return out;
}

/* A module computes in the type of what it is first given, but for float16: in the loaded type. */
ps_tensor ps_quantized_run(ps_model *m, const ps_linear *with, ps_tensor x)
{
    ps_eager *e = m->e;
    const ps_dtype given = ps_eager_dtype(e, x);
    const ps_dtype computed = given == PS_DTYPE_F16 ? ps_quantized_loaded_type(m->recipe) : given;
    if (with->bias != 0 && ps_eager_dtype(e, with->bias) != given) {
        ps_eager_set_data(e, with->bias, ps_op_copy_to(e, with->bias, given)); /* for good */
    }
    ps_tensor in = ps_op_to(e, x, computed);
    ps_tensor bias = with->bias == 0 ? 0 : ps_op_to(e, with->bias, computed);
    ps_tensor out = multiply(m, with, in, bias);
    ps_eager_assign(e, &out, ps_op_to(e, out, given));
    ps_eager_clear(e, &bias);
    ps_eager_clear(e, &in);
    return out;
}
