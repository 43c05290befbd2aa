/* SPDX-License-Identifier: MIT
 *
 * scaled_dot_product_attention: which kernel PyTorch picks, and how each is called.
 */
#include "workload/model/attention.h"

#include "workload/eager/eager_parts.h"
#include "workload/model/model_parts.h"

/* Widest head of the flash kernel; wider than the second, its backward with dropout does not fit
 * devices of 8.6 to 8.9, and between the two it does not fit them at all. */
#define FLASH_WIDEST_HEAD 256
#define FLASH_HEAD_NEEDS_LITTLE_DROPOUT 224
#define FLASH_HEAD_NEEDS_MEMORY 192

/* Kernels read 8 elements of 16 bits at once: narrower steps of a mask, and of flash's heads, are padded. */
#define ALIGNED_ELEMENTS 8

/* Of 32 bits, from capability 8.0 on. */
#define ALIGNED_WIDE_ELEMENTS 4

static bool is_half(ps_dtype dtype)
{
    return dtype == PS_DTYPE_F16 || dtype == PS_DTYPE_BF16;
}

static int64_t round_up(int64_t value, int64_t to)
{
    return (value + to - 1) / to * to;
}

/* ---- which kernel ---- */

/* Devices whose shared memory is too small for the backward of wide heads. */
static bool is_too_wide(int64_t width, bool has_dropout, int64_t capability)
{
    if (capability < 86 || capability > 89 || width <= FLASH_HEAD_NEEDS_MEMORY) {
        return false;
    }
    return width <= FLASH_HEAD_NEEDS_LITTLE_DROPOUT || has_dropout;
}

static bool can_flash(const ps_model *m, ps_dtype dtype, const ps_attention_call *call)
{
    const ps_attention_shape *n = &call->shape;
    const int64_t capability = ps_eager_capability(m->e);
    const bool has_dropout = call->dropout > 0.0 && !m->recipe->is_evaluating;
    return is_half(dtype) && capability >= 80 && call->mask == 0 &&
           n->head_width <= FLASH_WIDEST_HEAD && n->heads == n->kv_heads &&
           (!call->is_causal || n->queries == n->keys) &&
           !is_too_wide(n->head_width, has_dropout, capability);
}

static bool can_save_memory(const ps_model *m, ps_dtype dtype, const ps_attention_call *call)
{
    const int64_t capability = ps_eager_capability(m->e);
    const int64_t step = is_half(dtype)     ? capability >= 70 ? ALIGNED_ELEMENTS : 1
                         : capability >= 80 ? ALIGNED_WIDE_ELEMENTS
                                            : 1;
    return (dtype != PS_DTYPE_BF16 || capability >= 80) && call->shape.head_width % step == 0 &&
           call->shape.heads == call->shape.kv_heads;
}

ps_attention_kind ps_attention_pick(const ps_model *m, ps_dtype dtype,
                                    const ps_attention_call *call)
{
    const ps_attention_kind asked = m->recipe->attention;
    const bool is_free = asked == PS_ATTENTION_AUTO || asked == PS_ATTENTION_EAGER;
    if ((is_free || asked == PS_ATTENTION_FLASH) && can_flash(m, dtype, call)) {
        return PS_ATTENTION_FLASH;
    }
    if ((is_free || asked == PS_ATTENTION_EFFICIENT) && can_save_memory(m, dtype, call)) {
        return PS_ATTENTION_EFFICIENT;
    }
    if (!is_free && asked != PS_ATTENTION_MATH) {
        ps_eager_fail(
            m->e, PS_BAD_INPUT,
            "the attention kernel that was asked for does not serve this model: its type, "
            "its mask, its head width or the device");
    }
    return PS_ATTENTION_MATH;
}

/* ---- how it is called ---- */

ps_dtype ps_attention_dtype(const ps_model *m, ps_tensor query)
{
    const ps_dtype autocast = ps_eager_autocast(m->e);
    return autocast != PS_DTYPE_F32 ? autocast : ps_eager_dtype(m->e, query);
}

bool ps_attention_returns_by_heads(const ps_model *m, ps_dtype dtype, const ps_attention_call *call,
                                   ps_attention_part part)
{
    if (call->shape.heads == 1 || call->shape.queries == 1) {
        return false;
    }
    const ps_attention_kind kind = ps_attention_pick(m, dtype, call);
    /* math: the key's comes transposed from a product of scores, and lies as it must */
    return (kind == PS_ATTENTION_FLASH && !call->lies_by_tokens) ||
           (kind == PS_ATTENTION_MATH && part != PS_ATTENTION_KEY);
}

/*
 * The mask with rows that lie a multiple of 8 elements apart. Rows of a part of a wider mask are
 * padded though their own length may be such a multiple: then 8 more are.
 */
static ps_tensor align_mask(ps_eager *e, const ps_attention_call *call)
{
    const int64_t keys = call->shape.keys;
    const int64_t pitch = call->mask_pitch == 0 ? keys : call->mask_pitch;
    if (call->mask == 0 || pitch % ALIGNED_ELEMENTS == 0) {
        return ps_eager_hold(e, call->mask);
    }
    const int64_t rows = call->mask_pitch == 0 ? ps_eager_elements(e, call->mask) / keys
                                               : call->shape.batch * call->shape.queries;
    const ps_tensor padded =
        ps_op_plain(e, "fill", rows * (keys / ALIGNED_ELEMENTS + 1) * ALIGNED_ELEMENTS,
                    ps_eager_dtype(e, call->mask));
    ps_op_in_place(e, "copy", call->mask);
    return padded;
}

static ps_tensor run_efficient(ps_eager *e, const ps_tensor *of, const ps_attention_call *call,
                               const ps_attention_shape *n)
{
    ps_attention_call narrow = *call;
    narrow.mask = of[3];
    ps_tensor mask = align_mask(e, &narrow);
    const ps_tensor out = ps_op_efficient_attention(e, of[0], of[1], of[2], mask, n);
    ps_eager_clear(e, &mask);
    return out;
}

/* Heads whose width is no multiple of 8 are padded, and the result is cut. */
static ps_tensor run_flash(ps_eager *e, const ps_tensor *of, const ps_attention_shape *n)
{
    if (n->head_width % ALIGNED_ELEMENTS == 0) {
        return ps_op_flash_attention(e, of[0], of[1], of[2], n);
    }
    ps_tensor wide[3];
    ps_attention_shape padded = *n;
    padded.head_width = round_up(n->head_width, ALIGNED_ELEMENTS);
    padded.is_padded = true;
    for (int i = 0; i < 3; i++) {
        const int64_t rows = ps_eager_elements(e, of[i]) / n->head_width;
        wide[i] = ps_op_pad(e, of[i], rows * padded.head_width);
    }
    ps_tensor whole = ps_op_flash_attention(e, wide[0], wide[1], wide[2], &padded);
    const ps_tensor out = ps_op_slice(e, whole, ps_eager_elements(e, of[0]));
    ps_eager_clear(e, &whole);
    for (int i = 0; i < 3; i++) {
        ps_eager_clear(e, &wide[i]);
    }
    return out;
}

static ps_tensor run_kernel(ps_model *m, const ps_tensor *of, const ps_attention_call *call)
{
    ps_attention_shape n = call->shape;
    n.sees_all = !call->is_causal;
    n.has_dropout = call->dropout > 0.0 && !m->recipe->is_evaluating;
    n.lies_by_tokens = call->lies_by_tokens;
    n.has_expanded_keys = call->has_expanded_keys;
    n.is_by_heads = n.heads > 1 && n.queries > 1 && !call->lies_by_tokens;
    const ps_attention_kind kind = ps_attention_pick(m, ps_eager_dtype(m->e, of[0]), call);
    if (kind == PS_ATTENTION_FLASH) {
        return run_flash(m->e, of, &n);
    }
    if (kind == PS_ATTENTION_EFFICIENT) {
        return run_efficient(m->e, of, call, &n);
    }
    return ps_op_math_attention(m->e, of[0], of[1], of[2], of[3], &n);
}

/* contiguous() after transpose(1, 2) copies a result by heads, and one cut from padded heads. */
bool ps_attention_result_is_copied(const ps_model *m, ps_dtype dtype, const ps_attention_call *call)
{
    const bool is_by_heads = call->shape.heads > 1 && call->shape.queries > 1;
    const ps_attention_kind kind = ps_attention_pick(m, dtype, call);
    if (kind == PS_ATTENTION_FLASH) {
        return (is_by_heads && !call->lies_by_tokens) ||
               call->shape.head_width % ALIGNED_ELEMENTS != 0;
    }
    return kind == PS_ATTENTION_MATH && is_by_heads;
}

/* A part of a mask that becomes narrow is a mask of its own after that. */
static ps_tensor narrow_mask(const ps_model *m, ps_attention_call *call)
{
    const ps_attention_shape *n = &call->shape;
    const ps_dtype autocast = ps_eager_autocast(m->e);
    if (call->mask == 0 || call->mask_pitch == 0 || autocast == PS_DTYPE_F32 ||
        ps_eager_dtype(m->e, call->mask) == autocast) {
        return ps_op_narrow(m->e, call->mask);
    }
    call->mask_pitch = 0;
    return ps_op_plain(m->e, "copy", n->batch * n->queries * n->keys, autocast);
}

ps_tensor ps_attention_run(ps_model *m, ps_tensor query, ps_tensor key, ps_tensor value,
                           const ps_attention_call *call)
{
    ps_eager *e = m->e;
    ps_tensor of[4] = {query, key, value, 0};
    ps_attention_call narrow = *call;
    of[3] = narrow_mask(m, &narrow);
    for (int i = 2; i >= 0; i--) {
        of[i] = ps_op_narrow(e, of[i]); /* under autocast, from the last argument to the first */
    }
    ps_tensor out = run_kernel(m, of, &narrow);
    const bool is_copied =
        !call->is_left && ps_attention_result_is_copied(m, ps_attention_dtype(m, query), call);
    for (int i = 0; i < 4; i++) {
        ps_eager_clear(e, &of[i]);
    }
    if (is_copied) {
        ps_eager_assign(e, &out, ps_op_copy(e, out));
    }
    return out;
}
