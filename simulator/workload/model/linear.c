/* SPDX-License-Identifier: MIT
 *
 * Linear modules: which of them are trained or get adapters, and how PyTorch,
 * peft or a library's own function runs them.
 */
#include <string.h>

#include "workload/eager/ops_matrix.h"
#include "workload/model/model_parts.h"
#include "workload/model/modules.h"
#include "workload/model/quantized.h"
#include "workload/model/row_parallel.h"

/* ---- which are trained ---- */

/* Marks in m which of lsp's names it is. */
static bool is_in_list(ps_model *m, const char *list, const char *name)
{
    const size_t length = strlen(name);
    unsigned number = 0;
    for (const char *at = list; at != NULL; number++) {
        const char *comma = strchr(at, ',');
        const size_t listed = comma == NULL ? strlen(at) : (size_t)(comma - at);
        if (listed == length && strncmp(at, name, length) == 0) {
            m->chosen |= number < 64 ? (uint64_t)1 << number : 0;
            return true;
        }
        at = comma == NULL ? NULL : comma + 1;
    }
    return false;
}

static bool is_target(const ps_model *m, const char *name)
{
    const ps_recipe *r = m->recipe;
    for (size_t i = 0; i < r->lora_target_count; i++) {
        if (strcmp(r->lora_target[i], name) == 0) {
            return true;
        }
    }
    for (size_t i = 0; r->lora_target_count == 0 && i < PS_LORA_TARGETS; i++) {
        const char *usual = m->family->lora_target[i];
        if (usual != NULL && strcmp(usual, name) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- making ---- */

static ps_linear make(ps_model *m, const char *name, ps_linear made, bool has_bias)
{
    const int64_t in = made.in, out = made.out;
    m->is_chosen = is_in_list(m, m->recipe->offload.lsp.modules, name);
    /* Conv1D is no torch.nn.Linear: optimizers that look for linear modules pass it over */
    made.weight = made.is_quantized ? ps_quantized_make(m, in * out)
                  : made.is_conv1d  ? ps_model_transposed(m, in, out)
                                    : ps_model_weight(m, out, in);
    const bool was_chosen = m->is_chosen;
    m->is_chosen = false;
    made.bias = has_bias ? ps_model_bias(m, out) : 0;
    made.is_passed_over = m->recipe->offload.lsp.modules != NULL && !was_chosen;
    if (m->recipe->lora_rank > 0 && is_target(m, name)) {
        made.rank = m->recipe->lora_rank;
        made.adapter_a = ps_model_adapter(m, made.rank, in);
        made.adapter_b = ps_model_adapter(m, out, made.rank);
    }
    return made;
}

static ps_linear listed(ps_model *m, ps_linear made)
{
    if (!made.is_passed_over) {
        made.site = ps_model_list_linear(m, made.weight, made.in, made.out);
    }
    return made;
}

ps_linear ps_linear_make(ps_model *m, const char *name, int64_t in, int64_t out, bool has_bias)
{
    const bool is_quantized = m->recipe->quantize != PS_QUANTIZE_NONE;
    return listed(m, make(m, name, (ps_linear){.in = in, .out = out, .is_quantized = is_quantized},
                          has_bias));
}

ps_linear ps_head_linear_make(ps_model *m, const char *name, int64_t in, int64_t out, bool has_bias)
{
    return make(m, name, (ps_linear){.in = in, .out = out}, has_bias);
}

ps_linear ps_conv1d_make(ps_model *m, const char *name, int64_t in, int64_t out)
{
    if (m->recipe->quantize != PS_QUANTIZE_NONE) {
        return ps_linear_make(m, name, in, out, true);
    }
    return listed(m, make(m, name, (ps_linear){.in = in, .out = out, .is_conv1d = true}, true));
}

/* ---- running ---- */

/* Autocast makes arguments narrow from the last to the first: linear(x, weight, bias), addmm(bias,
 * x, weight). */
static ps_tensor multiply(ps_model *m, const ps_linear *with, ps_tensor x)
{
    ps_eager *e = m->e;
    const int64_t rows = ps_eager_elements(e, x) / with->in;
    ps_tensor bias = with->is_conv1d ? 0 : ps_op_narrow(e, with->bias);
    ps_tensor weight = ps_op_narrow(e, with->weight), in = ps_op_narrow(e, x);
    bias = with->is_conv1d ? ps_op_narrow(e, with->bias) : bias;
    const ps_tensor out =
        bias != 0       ? ps_op_linear_bias(e, in, weight, bias, rows, with->in, with->out)
        : with->is_flat ? ps_op_linear_flat(e, in, weight, rows, with->in, with->out)
                        : ps_op_linear(e, in, weight, rows, with->in, with->out);
    ps_eager_clear(e, &in);
    ps_eager_clear(e, &weight);
    ps_eager_clear(e, &bias);
    return out;
}

/* x @ weight by a library's function, then += bias */
static ps_tensor run_function(ps_model *m, const ps_linear *with, ps_tensor x)
{
    ps_eager *e = m->e;
    const ps_linear_call call = {.function = m->function,
                                 .number = with->site - 1,
                                 .x = x,
                                 .weight = with->weight,
                                 .rows = ps_eager_elements(e, x) / with->in,
                                 .in = with->in,
                                 .out = with->out};
    ps_tensor out = ps_op_linear_function(e, &call);
    if (with->bias != 0) {
        ps_eager_assign(e, &out, ps_op_add_in_place(e, out, with->bias));
    }
    return out;
}

static ps_tensor run_base(ps_model *m, const ps_linear *with, ps_tensor x)
{
    const ps_tensor own[PS_MODULE_OWN] = {with->weight, with->bias};
    ps_tensor in = ps_model_use(m, own, x);
    const ps_tensor out = ps_row_parallel_is_on(m) ? ps_row_parallel_linear(m, with, in)
                          : m->function != NULL && with->site != 0 ? run_function(m, with, in)
                                                                   : multiply(m, with, in);
    ps_model_unuse(m, own, out);
    ps_eager_clear(m->e, &in);
    return out;
}

static ps_tensor product(ps_model *m, ps_tensor x, ps_tensor weight, int64_t in, int64_t out,
                         bool is_flat)
{
    const ps_linear plain = {.weight = weight, .in = in, .out = out, .is_flat = is_flat};
    return run_base(m, &plain, x);
}

/* B(A(dropout(x))) * scaling */
static ps_tensor run_adapter(ps_model *m, const ps_linear *with, ps_tensor x)
{
    ps_eager *e = m->e;
    ps_tensor dropped = m->recipe->has_lora_dropout && !m->recipe->is_evaluating
                            ? ps_op_dropout(e, x)
                            : ps_eager_hold(e, x);
    ps_tensor low = product(m, dropped, with->adapter_a, with->in, with->rank, with->is_flat);
    ps_eager_clear(e, &dropped);
    ps_tensor high = product(m, low, with->adapter_b, with->rank, with->out, with->is_flat);
    ps_eager_clear(e, &low);
    const ps_tensor scaled = ps_op_mul_number(e, high);
    ps_eager_clear(e, &high);
    return scaled;
}

/* peft's Linear: base(x) + B(A(dropout(x))) * scaling, adapters in their own type */
static ps_tensor run_adapted(ps_model *m, const ps_linear *with, ps_tensor x)
{
    ps_eager *e = m->e;
    ps_tensor result = run_base(m, with, x);
    const ps_dtype dtype = ps_eager_dtype(e, result);
    ps_tensor cast = ps_op_to(e, x, ps_eager_dtype(e, with->adapter_a));
    ps_tensor scaled = run_adapter(m, with, cast);
    ps_eager_assign(e, &result, ps_op_add(e, result, scaled));
    ps_eager_clear(e, &scaled);
    ps_eager_assign(e, &result, ps_op_to(e, result, dtype));
    ps_eager_clear(e, &cast);
    return result;
}

/* peft's Linear4bit: on a copy of base(x); types change only where autocast does not see to them. */
static ps_tensor run_adapted_quantized(ps_model *m, const ps_linear *with, ps_tensor x)
{
    ps_eager *e = m->e;
    const bool converts = ps_eager_autocast(e) == PS_DTYPE_F32;
    ps_tensor result = ps_quantized_run(m, with, x);
    ps_eager_assign(e, &result, ps_op_copy(e, result));
    const ps_dtype dtype = ps_eager_dtype(e, result);
    ps_tensor cast =
        converts ? ps_op_to(e, x, ps_eager_dtype(e, with->adapter_a)) : ps_eager_hold(e, x);
    ps_tensor scaled = run_adapter(m, with, cast);
    if (converts) {
        ps_eager_assign(e, &scaled, ps_op_to(e, scaled, dtype));
    }
    ps_eager_assign(e, &result, ps_op_add(e, result, scaled));
    ps_eager_clear(e, &scaled);
    ps_eager_clear(e, &cast);
    return result;
}

ps_tensor ps_linear_run(ps_model *m, const ps_linear *with, ps_tensor x)
{
    if (with->is_quantized) {
        return with->rank > 0 ? run_adapted_quantized(m, with, x) : ps_quantized_run(m, with, x);
    }
    return with->rank > 0 ? run_adapted(m, with, x) : run_base(m, with, x);
}
