/* SPDX-License-Identifier: MIT
 *
 * The cost model's door: names, checks, and which formula an operation takes.
 */
#include "cost/cost.h"

#include <string.h>

#include "base/memory.h"
#include "cost/cost_parts.h"

static const char *const kind_names[] = {
#define NAME(sym, name) name,
    PS_COST_KINDS(NAME)};
static const char *const layout_names[] = {PS_COST_LAYOUTS(NAME)};
static const char *const access_names[] = {PS_COST_ACCESSES(NAME)};
#undef NAME
static const char *const element_names[] = {
#define NAME(sym, name, bytes, figure) name,
    PS_COST_ELEMENTS(NAME)
#undef NAME
};

const char *ps_cost_kind_name(ps_cost_kind kind)
{
    return kind_names[kind];
}

const char *ps_cost_element_name(ps_cost_element element)
{
    return element_names[element];
}

/* Index of the name, or count. */
static size_t find(const char *const *names, size_t count, const char *name)
{
    size_t i = 0;
    while (i < count && strcmp(names[i], name) != 0) {
        i++;
    }
    return i;
}

bool ps_cost_kind_find(const char *name, ps_cost_kind *out)
{
    const size_t i = find(kind_names, PS_COST_KIND_COUNT, name);
    if (i < PS_COST_KIND_COUNT) {
        *out = (ps_cost_kind)i;
    }
    return i < PS_COST_KIND_COUNT;
}

bool ps_cost_element_find(const char *name, ps_cost_element *out)
{
    const size_t i = find(element_names, PS_COST_ELEMENT_COUNT, name);
    if (i < PS_COST_ELEMENT_COUNT) {
        *out = (ps_cost_element)i;
    }
    return i < PS_COST_ELEMENT_COUNT;
}

bool ps_cost_layout_find(const char *name, ps_cost_layout *out)
{
    const size_t i = find(layout_names, PS_COST_LAYOUT_COUNT, name);
    if (i < PS_COST_LAYOUT_COUNT) {
        *out = (ps_cost_layout)i;
    }
    return i < PS_COST_LAYOUT_COUNT;
}

bool ps_cost_access_find(const char *name, ps_cost_access *out)
{
    const size_t i = find(access_names, PS_COST_ACCESS_COUNT, name);
    if (i < PS_COST_ACCESS_COUNT) {
        *out = (ps_cost_access)i;
    }
    return i < PS_COST_ACCESS_COUNT;
}

uint64_t ps_cost_element_bytes(ps_cost_element element)
{
    static const uint64_t bytes_of[] = {
#define BYTES(sym, name, bytes, figure) bytes,
        PS_COST_ELEMENTS(BYTES)
#undef BYTES
    };
    return bytes_of[element];
}

static bool is_matmul(const ps_cost_op *op)
{
    return op->kind == PS_COST_MATMUL;
}

static bool is_attention(const ps_cost_op *op)
{
    return op->kind == PS_COST_ATTENTION_FORWARD || op->kind == PS_COST_ATTENTION_BACKWARD;
}

uint64_t ps_cost_flop(const ps_cost_op *op)
{
    if (op->flop > 0 || !is_matmul(op)) {
        return op->flop;
    }
    return ps_cost_times(ps_cost_times(2 * op->batch, op->m), ps_cost_times(op->n, op->k));
}

uint64_t ps_cost_bytes(const ps_cost_op *op)
{
    if (op->moved_bytes > 0 || !is_matmul(op)) {
        return op->moved_bytes;
    }
    const uint64_t item = ps_cost_element_bytes(op->element);
    const uint64_t result =
        op->layout == PS_COST_NT_WIDE ? 2 * ps_cost_element_bytes(PS_COST_F32) : item;
    const uint64_t read = ps_cost_times(op->m, op->k) + ps_cost_times(op->k, op->n);
    const uint64_t all =
        ps_cost_times(read, item) + ps_cost_times(ps_cost_times(op->m, op->n), result);
    return ps_cost_times(all, op->batch);
}

ps_cost_part ps_cost_analytic(const ps_cost_gpu *gpu, const ps_cost_op *op)
{
    ps_cost_part out;
    if (is_matmul(op)) {
        out = ps_cost_matmul(gpu, op);
    } else if (is_attention(op)) {
        out = ps_cost_attention(gpu, op);
    } else {
        out = ps_cost_memory(gpu, op);
    }
    const uint64_t start = ps_cost_times(gpu->floor_ps, op->launches > 0 ? op->launches : 1);
    if (start > out.ps) {
        out.bound = PS_COST_BY_LATENCY;
    }
    out.ps = ps_cost_min(out.ps + start, PS_COST_MAX);
    return out;
}

ps_code ps_cost_create(const ps_catalogue *catalogue, ps_hardware_id gpu,
                       const ps_cost_options *options, ps_cost_model **out, ps_error *err)
{
    static const ps_cost_options none;
    const ps_cost_options *given = options != NULL ? options : &none;
    ps_cost_model *self = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return ps_fail_nomem(err);
    }
    ps_code code = ps_cost_read_gpu(catalogue, gpu, &self->gpu, err);
    if (given->is_short) {
        self->gpu.sustained_share = PS_RATIO_ONE;
    }
    if (code == PS_OK && (!given->without_shapes || given->shapes_csv != NULL)) {
        code = ps_cost_shapes_create(&self->gpu, catalogue, gpu, given, &self->shapes, err);
    }
    if (code != PS_OK) {
        ps_cost_destroy(self);
        return code;
    }
    *out = self;
    return PS_OK;
}

void ps_cost_destroy(ps_cost_model *self)
{
    if (self != NULL) {
        ps_cost_shapes_destroy(self->shapes);
        ps_free(self);
    }
}

static ps_code check_op(const ps_cost_op *op, ps_error *err)
{
    if ((unsigned)op->kind >= PS_COST_KIND_COUNT ||
        (unsigned)op->element >= PS_COST_ELEMENT_COUNT ||
        (unsigned)op->layout >= PS_COST_LAYOUT_COUNT ||
        (unsigned)op->access >= PS_COST_ACCESS_COUNT) {
        return ps_fail(err, PS_USAGE, "an operation of no known kind, element, layout or access");
    }
    if (is_matmul(op) && (op->batch == 0 || op->m == 0 || op->n == 0 || op->k == 0)) {
        return ps_fail(err, PS_USAGE, "a matrix product needs batch, m, n and k");
    }
    if (is_attention(op) &&
        (op->batch == 0 || op->m == 0 || op->n == 0 || op->k == 0 || op->flop == 0)) {
        return ps_fail(err, PS_USAGE, "attention needs flop, batch, m, n and k");
    }
    if (op->batch > UINT32_MAX || op->m > UINT32_MAX || op->n > UINT32_MAX || op->k > UINT32_MAX ||
        ps_cost_flop(op) >= PS_COST_MAX || ps_cost_bytes(op) >= PS_COST_MAX) {
        return ps_fail(err, PS_USAGE,
                       "an operation with an extent above 2^32 or more than 2^62 flop or bytes");
    }
    return PS_OK;
}

/* [ps] that no kernel can go below: its flop at the peak, its bytes at the fastest memory. */
static uint64_t least(const ps_cost_gpu *gpu, const ps_cost_op *op)
{
    return ps_cost_max(ps_cost_at_rate(ps_cost_flop(op), gpu->peak[op->element]),
                       ps_cost_at_rate(ps_cost_bytes(op), gpu->cache_rate));
}

ps_code ps_cost_op_time(const ps_cost_model *self, const ps_cost_op *op, ps_cost_time *out,
                        ps_error *err)
{
    PS_TRY(check_op(op, err));
    const ps_cost_part part = ps_cost_analytic(&self->gpu, op);
    uint64_t ps = part.ps;
    ps_basis basis = PS_BASIS_ANALYTIC;
    if (self->shapes != NULL && (is_matmul(op) || is_attention(op))) {
        basis = ps_cost_shapes_apply(self->shapes, op, &ps);
    }
    if (is_matmul(op) || is_attention(op)) {
        ps = ps_cost_min(ps_mul_div_u64(ps, PS_RATIO_ONE, self->gpu.sustained_share), PS_COST_MAX);
    }
    ps = ps_cost_max(ps, least(&self->gpu, op));
    *out = (ps_cost_time){
        .dur_ns = (ps_ns)ps_cost_ceil(ps, PS_COST_PS_PER_NS), .basis = basis, .bound = part.bound};
    return PS_OK;
}
