/* SPDX-License-Identifier: MIT
 *
 * BLOOM's GELU, step by step.
 */
#include "workload/family/bloom_gelu.h"

#include "workload/eager/eager_parts.h"

static void step(ps_eager *e, ps_tensor *x, ps_tensor made)
{
    ps_eager_assign(e, x, made);
}

/* One result of a step; its factors go when it is there. */
static ps_tensor join(ps_eager *e, ps_tensor owned_a, ps_tensor owned_b, ps_tensor made)
{
    ps_eager_drop(e, owned_a);
    ps_eager_drop(e, owned_b);
    return made;
}

/* tanh(0.79788456 * x * (1 + 0.044715 * x * x)) */
static ps_tensor inner_tanh(ps_eager *e, ps_tensor x)
{
    ps_tensor scaled = ps_op_mul_number(e, x), square = ps_op_mul_number(e, x);
    step(e, &square, ps_op_mul(e, square, x));
    step(e, &square, ps_op_add_number(e, square));
    ps_tensor out = join(e, scaled, square, ps_op_mul(e, scaled, square));
    step(e, &out, ps_op_tanh(e, out));
    return out;
}

/* bloom_gelu_forward: x * 0.5 * (1 + inner) */
static ps_tensor run_forward(ps_eager *e, ps_tensor x)
{
    const ps_tensor half = ps_op_mul_number(e, x);
    ps_tensor one = inner_tanh(e, x);
    step(e, &one, ps_op_add_number(e, one));
    return join(e, half, one, ps_op_mul(e, half, one));
}

/* 0.5 * x * ((1 - t * t) * (0.79788456 + 0.1070322243 * x * x)) */
static ps_tensor slope(ps_eager *e, ps_tensor x, ps_tensor tanh)
{
    const ps_tensor half = ps_op_mul_number(e, x);
    ps_tensor rest = ps_op_mul(e, tanh, tanh);
    step(e, &rest, ps_op_add_number(e, rest));
    ps_tensor square = ps_op_mul_number(e, x);
    step(e, &square, ps_op_mul(e, square, x));
    step(e, &square, ps_op_add_number(e, square));
    const ps_tensor both = join(e, rest, square, ps_op_mul(e, rest, square));
    return join(e, half, both, ps_op_mul(e, half, both));
}

/* bloom_gelu_back: (slope + 0.5 * (1 + t)) * gradient */
static void gelu_backward(ps_eager *e, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    const ps_tensor x = node->saved[0];
    ps_tensor tanh = inner_tanh(e, x);
    const ps_tensor first = slope(e, x, tanh);
    ps_tensor second = ps_op_add_number(e, tanh);
    step(e, &second, ps_op_mul_number(e, second));
    ps_tensor factor = join(e, first, second, ps_op_add(e, first, second));
    out[0] = ps_op_mul(e, factor, grads[0]);
    ps_eager_clear(e, &tanh);
    ps_eager_clear(e, &factor);
}

static const ps_node_ops gelu_ops = {"GeLUFunctionBackward", gelu_backward};

ps_tensor ps_bloom_gelu(ps_model *m, ps_tensor x)
{
    ps_eager *e = m->e;
    if (m->recipe->is_evaluating) {
        return run_forward(e, x);
    }
    ps_node *node = ps_op_record(e, &gelu_ops, &x, 1);
    ps_op_save(e, node, x);
    const bool was_recording = ps_eager_set_grad_mode(e, false);
    const ps_tensor out = run_forward(e, x);
    (void)ps_eager_set_grad_mode(e, was_recording);
    ps_op_output(e, node, out, 0);
    return out;
}
