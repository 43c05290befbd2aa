/* SPDX-License-Identifier: MIT
 *
 * Masks of attention: every step of building one makes a tensor, and most die at once.
 */
#include "workload/model/masks.h"

#include "workload/eager/eager_parts.h"

/* cub's scan of one row: a word of state beside each value, 32 more than tiles, in lines of 256
 * bytes, and room to align the first. A row of 16 tiles and less, as any model's, needs no more. */
#define SCAN_STATES 33
#define SCAN_LINE_BYTES 256

static void change(ps_model *m, const char *name, ps_tensor mask)
{
    ps_op_kernel(m->e, name, 2 * ps_eager_bytes(m->e, mask));
}

static ps_dtype wider(ps_dtype a, ps_dtype b)
{
    return a == PS_DTYPE_F32 || b == PS_DTYPE_F32 ? PS_DTYPE_F32 : a;
}

void ps_mask_look_for_padding(ps_model *m, ps_tensor mask)
{
    ps_tensor is_one = ps_op_plain(m->e, "eq", ps_eager_elements(m->e, mask), PS_DTYPE_BOOL);
    ps_tensor is_all = ps_op_plain(m->e, "all", 1, PS_DTYPE_BOOL);
    ps_op_read_back(m->e, PS_DTYPE_BOOL);
    ps_eager_clear(m->e, &is_one);
    ps_eager_clear(m->e, &is_all);
}

/* key > query */
static ps_tensor later_keys(ps_model *m, const ps_causal_mask *about, int64_t width)
{
    ps_tensor places = ps_op_plain(m->e, "arange", width, PS_DTYPE_I64);
    const ps_tensor is_later = ps_op_plain(m->e, "gt", about->length * width, PS_DTYPE_BOOL);
    ps_eager_clear(m->e, &places);
    return is_later;
}

/* key <= query - window */
static ps_tensor earlier_keys(ps_model *m, const ps_causal_mask *about, int64_t width)
{
    ps_tensor places = ps_op_plain(m->e, "arange", width, PS_DTYPE_I64);
    ps_tensor first = ps_op_plain(m->e, "sub", about->length, PS_DTYPE_I64);
    const ps_tensor is_earlier = ps_op_plain(m->e, "le", about->length * width, PS_DTYPE_BOOL);
    ps_op_in_place(m->e, "bitwise_or", is_earlier); /* into the later ones */
    ps_eager_clear(m->e, &places);
    ps_eager_clear(m->e, &first);
    return is_earlier;
}

/* The least number everywhere, or above the diagonal alone: (1, 1, length, width). */
static ps_tensor least(ps_model *m, const ps_causal_mask *about, int64_t width)
{
    const int64_t cells = about->length * width;
    ps_tensor mask = ps_op_plain(m->e, "fill", cells, about->dtype);
    if (!about->style.is_windowed && about->length != 1) {
        ps_eager_assign(m->e, &mask, ps_op_plain(m->e, "triu", cells, about->dtype));
    }
    return mask;
}

/* The caller's mask goes in: a copy for each sequence, filled where both are 0. */
static void hide_padding(ps_model *m, const ps_causal_mask *about, ps_tensor *mask)
{
    const int64_t cells = about->batch * ps_eager_elements(m->e, *mask);
    /* numbers that are whole keep the type, ones made in 32 bits do not */
    const ps_dtype given = ps_eager_dtype(m->e, about->given);
    const ps_dtype sum = given == PS_DTYPE_I64 ? about->dtype : wider(about->dtype, given);
    ps_eager_assign(m->e, mask, ps_op_plain(m->e, "copy", cells, about->dtype));
    ps_tensor both = ps_op_plain(m->e, "add", cells, sum);
    ps_tensor is_hidden = ps_op_plain(m->e, "eq", cells, PS_DTYPE_BOOL);
    ps_eager_clear(m->e, &both);
    ps_tensor filled = ps_op_masked_fill(m->e, cells, about->dtype);
    change(m, "copy", *mask);
    ps_eager_clear(m->e, &filled);
    ps_eager_clear(m->e, &is_hidden);
}

ps_tensor ps_mask_show_hidden_rows(ps_model *m, ps_tensor mask, int64_t width)
{
    const int64_t cells = ps_eager_elements(m->e, mask);
    ps_tensor is_least = ps_op_plain(m->e, "eq", cells, PS_DTYPE_BOOL);
    ps_tensor is_all = ps_op_plain(m->e, "all", cells / width, PS_DTYPE_BOOL);
    ps_eager_clear(m->e, &is_least);
    ps_tensor is_some = ps_op_plain(m->e, "bitwise_not", cells / width, PS_DTYPE_BOOL);
    ps_eager_clear(m->e, &is_all);
    const ps_tensor out = ps_op_plain(m->e, "mul", cells, ps_eager_dtype(m->e, mask));
    ps_eager_clear(m->e, &is_some);
    return out;
}

/* _prepare_4d_causal_attention_mask_with_cache_position */
static ps_tensor prepare(ps_model *m, const ps_causal_mask *about, int64_t width)
{
    const bool is_windowed = about->style.is_windowed;
    ps_tensor mask = least(m, about, width);
    ps_tensor is_later = later_keys(m, about, width);
    ps_tensor is_earlier =
        is_windowed && about->style.window > 0 ? earlier_keys(m, about, width) : 0;
    change(m, "mul", mask);
    if (!is_windowed) { /* no variable holds it */
        ps_eager_clear(m->e, &is_later);
    }
    if (about->given != 0) {
        hide_padding(m, about, &mask);
    }
    ps_eager_clear(m->e, &is_later);
    ps_eager_clear(m->e, &is_earlier);
    return mask;
}

/* _ignore_causal_mask_sdpa: the kernel is told to be causal */
static bool is_left_to_kernel(ps_model *m, const ps_causal_mask *about)
{
    const int64_t window = about->style.window;
    if (!about->is_for_kernel || (window > 0 && about->length >= window)) {
        return false;
    }
    if (about->given == 0) {
        return true;
    }
    ps_mask_look_for_padding(m, about->given);
    return !m->recipe->pads;
}

ps_tensor ps_causal_mask_make(ps_model *m, const ps_causal_mask *about)
{
    if (is_left_to_kernel(m, about)) {
        return 0;
    }
    /* without a mask the library leaves room for one more key, and cuts it off again */
    const bool has_spare = about->given == 0 && !about->style.is_always_made;
    const int64_t width = about->length + (has_spare ? PS_CAUSAL_MASK_SPARE_KEYS : 0);
    ps_tensor mask = prepare(m, about, width);
    if (about->is_for_kernel && about->given != 0) {
        ps_eager_assign(m->e, &mask, ps_mask_show_hidden_rows(m, mask, width));
    }
    return mask;
}

ps_tensor ps_batch_mask(ps_model *m, const ps_batch *batch, ps_dtype dtype,
                        const ps_mask_style *style)
{
    const ps_causal_mask about = {.batch = batch->batch,
                                  .length = batch->length,
                                  .given = batch->mask,
                                  .dtype = dtype,
                                  .is_for_kernel = m->recipe->attention != PS_ATTENTION_EAGER &&
                                                   !style->is_always_made,
                                  .style = *style};
    return ps_causal_mask_make(m, &about);
}

void ps_mask_scan_row(ps_model *m, ps_dtype dtype)
{
    const int64_t bytes = SCAN_STATES * 2 * (int64_t)ps_dtype_bytes(dtype);
    const int64_t lines = (bytes + SCAN_LINE_BYTES - 1) / SCAN_LINE_BYTES;
    ps_tensor scratch = ps_eager_make(m->e, lines * SCAN_LINE_BYTES + SCAN_LINE_BYTES - 1,
                                      PS_DTYPE_BOOL, PS_ROLE_TEMPORARY);
    ps_eager_clear(m->e, &scratch);
}

ps_tensor ps_mask_count(ps_model *m, ps_tensor mask, int64_t batch)
{
    const ps_dtype dtype = ps_eager_dtype(m->e, mask);
    const ps_tensor count = ps_op_plain(m->e, "cumsum", ps_eager_elements(m->e, mask), dtype);
    if (batch == 1) { /* several rows are scanned by a kernel of PyTorch's own */
        ps_mask_scan_row(m, dtype);
    }
    return count;
}
