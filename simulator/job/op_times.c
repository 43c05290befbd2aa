/* SPDX-License-Identifier: MIT
 *
 * How long the operations of a workload take on the device they run on.
 */
#include "base/memory.h"
#include "job/job_parts.h"

static ps_cost_element element_of(ps_element dtype)
{
    switch (dtype) {
    case PS_ELEMENT_F16:
        return PS_COST_F16;
    case PS_ELEMENT_BF16:
        return PS_COST_BF16;
    case PS_ELEMENT_TF32:
        return PS_COST_TF32;
    case PS_ELEMENT_F8_E4M3:
    case PS_ELEMENT_F8_E5M2:
        return PS_COST_FP8;
    case PS_ELEMENT_UNKNOWN:
    case PS_ELEMENT_F32:
    case PS_ELEMENT_I64:
    case PS_ELEMENT_BOOL:
    case PS_ELEMENT_I32:
    case PS_ELEMENT_U8:
    case PS_ELEMENT_I8:
    case PS_ELEMENT_I16:
    case PS_ELEMENT_F64:
    case PS_ELEMENT_COUNT:
        break;
    }
    return PS_COST_F32;
}

static ps_cost_layout layout_of(ps_operand_layout layout)
{
    switch (layout) {
    case PS_OPERANDS_TN:
        return PS_COST_TN;
    case PS_OPERANDS_NN:
        return PS_COST_NN;
    case PS_OPERANDS_NT:
        return PS_COST_NT;
    case PS_OPERANDS_NT_WIDE:
        return PS_COST_NT_WIDE;
    case PS_OPERANDS_UNKNOWN:
    case PS_OPERANDS_COUNT:
        break;
    }
    return PS_COST_ANY;
}

static ps_cost_access access_of(ps_access access)
{
    switch (access) {
    case PS_ACCESS_STRIDED:
        return PS_COST_STRIDED;
    case PS_ACCESS_ROWS:
        return PS_COST_ROWS;
    case PS_ACCESS_REDUCTION:
        return PS_COST_REDUCTION;
    case PS_ACCESS_CONTIGUOUS:
    case PS_ACCESS_COUNT:
        break;
    }
    return PS_COST_CONTIGUOUS;
}

static ps_cost_kind cost_kind_of(const ps_workload_op_table *op, size_t i)
{
    switch ((ps_op_kind)op->kind[i]) {
    case PS_OP_MATMUL:
        return PS_COST_MATMUL;
    case PS_OP_ATTENTION:
        return op->phase[i] == PS_PHASE_BACKWARD ? PS_COST_ATTENTION_BACKWARD
                                                 : PS_COST_ATTENTION_FORWARD;
    case PS_OP_MEMORY:
    case PS_OP_COPY:
    case PS_OP_COLLECTIVE:
    case PS_OP_HOST:
    case PS_OP_JOIN:
    case PS_OP_CPU:
    case PS_OP_READ:
    case PS_OP_WRITE:
    case PS_OP_MARK:
    case PS_OP_KIND_COUNT:
        break;
    }
    return PS_COST_MEMORY;
}

/* ---- products that come again ---- */

/* A layer's products come again in every layer and micro-batch, and each asks for a search among
 * tiles: the last answers are kept, by what was asked. */
#define KEPT 256u

typedef struct kept {
    ps_cost_op op;
    ps_cost_time time;
    bool is_set;
} kept;

static size_t slot_of(const ps_cost_op *op)
{
    const uint64_t figures[] = {
        op->m,       op->n,    op->k,          op->batch, (uint64_t)op->layout,
        op->element, op->flop, op->moved_bytes};
    uint64_t hash = 14695981039346656037u; /* FNV-1a over words */
    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++) {
        hash = (hash ^ figures[i]) * 1099511628211u;
    }
    return (size_t)(hash >> 32) % KEPT;
}

static bool is_same_op(const ps_cost_op *a, const ps_cost_op *b)
{
    return a->kind == b->kind && a->element == b->element && a->layout == b->layout &&
           a->access == b->access && a->flop == b->flop && a->moved_bytes == b->moved_bytes &&
           a->elements == b->elements && a->batch == b->batch && a->m == b->m && a->n == b->n &&
           a->k == b->k && a->launches == b->launches;
}

static ps_code op_time(const ps_cost_model *cost, const ps_cost_op *op, kept *known,
                       ps_cost_time *out, ps_error *err)
{
    kept *at = &known[slot_of(op)];
    if (op->kind == PS_COST_MEMORY) {
        return ps_cost_op_time(cost, op, out, err); /* a division or two */
    }
    if (!at->is_set || !is_same_op(&at->op, op)) {
        ps_cost_time time;
        PS_TRY(ps_cost_op_time(cost, op, &time, err));
        *at = (kept){.op = *op, .time = time, .is_set = true};
    }
    *out = at->time;
    return PS_OK;
}

static ps_code device_time(const ps_workload *from, const ps_job_target *target, size_t i,
                           kept *known, const ps_op_times *out, ps_error *err)
{
    const ps_workload_op_table *op = &from->op;
    if (op->dur_ns[i] > 0 || op->kind[i] == PS_OP_COPY || op->kind[i] == PS_OP_HOST ||
        op->kind[i] == PS_OP_JOIN || op->kind[i] == PS_OP_MARK || ps_op_is_of_thread(op->kind[i]) ||
        op->collective[i] != PS_COLLECTIVE_NONE) {
        out->dur_ns[i] = op->dur_ns[i];
        out->basis[i] = op->basis[i];
        return PS_OK;
    }
    const ps_cost_op cost = {.kind = cost_kind_of(op, i),
                             .element = element_of((ps_element)op->dtype[i]),
                             .layout = layout_of((ps_operand_layout)op->layout[i]),
                             .access = access_of((ps_access)op->access[i]),
                             .elements = op->elements[i],
                             .flop = op->flop[i],
                             .moved_bytes = op->moved_bytes[i],
                             .batch = op->batch[i],
                             .m = op->m[i],
                             .n = op->n[i],
                             .k = op->k[i],
                             .launches = op->launches[i]};
    ps_cost_time time;
    PS_TRY(op_time(target->cost, &cost, known, &time, err));
    out->dur_ns[i] = time.dur_ns;
    out->basis[i] = (uint8_t)time.basis;
    return PS_OK;
}

ps_code ps__job_op_times(const ps_workload *workload, const ps_job_target *target, ps_op_times *out,
                         ps_error *err)
{
    const size_t count = workload->op.head.count;
    out->dur_ns = ps_calloc(count, sizeof *out->dur_ns);
    out->basis = ps_calloc(count, sizeof *out->basis);
    if (out->dur_ns == NULL || out->basis == NULL) {
        return ps_fail_nomem(err);
    }
    kept *known = ps_calloc(KEPT, sizeof *known);
    if (known == NULL) {
        return ps_fail_nomem(err);
    }
    ps_code code = PS_OK;
    for (size_t i = 0; code == PS_OK && i < count; i++) {
        code = device_time(workload, target, i, known, out, err);
    }
    ps_free(known);
    return code;
}
