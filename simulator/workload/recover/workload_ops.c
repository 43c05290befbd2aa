/* SPDX-License-Identifier: MIT
 *
 * Operations of a recovered workload: kernels, copies and fills of the device, in
 * the order in which the host launched them.
 *
 *   host     call ──── call ────────
 *              │ at      └───► copy      found by their correlation;
 *   device     └──► kernel               without a call: by the work's own start
 */
#include <stdlib.h>
#include <string.h>

#include "cost/kernel_class.h"
#include "workload/recover/workload_parts.h"

typedef ps_writing writing;

static ps_ns launched_at(const writing *self, uint64_t correlation, ps_ns start)
{
    const uint32_t call =
        correlation == 0 ? PS_IDMAP_NONE : ps_idmap_get(&self->call_of_correlation, correlation);
    return call == PS_IDMAP_NONE ? start : self->trace->call.start_ns[call];
}

/* By launch; of equal ones by table and row. */
static int by_launch(const void *a, const void *b)
{
    const ps_launch *x = a, *y = b;
    if (x->at != y->at) {
        return x->at < y->at ? -1 : 1;
    }
    if (x->table != y->table) {
        return x->table < y->table ? -1 : 1;
    }
    return (x->row > y->row) - (x->row < y->row);
}

/* Columns of a table of device work. */
typedef struct columns {
    ps_trace_table_id table;
    size_t count;
    const uint32_t *device;
    const uint64_t *correlation;
    const ps_ns *start_ns;
} columns;

static void add_launches(writing *self, const columns *of)
{
    for (size_t i = 0; i < of->count; i++) {
        if (of->device[i] == self->ordinal) {
            self->launches[self->launch_count++] =
                (ps_launch){.at = launched_at(self, of->correlation[i], of->start_ns[i]),
                            .table = of->table,
                            .row = (uint32_t)i};
        }
    }
}

ps_code ps__write_launches(writing *self, ps_error *err)
{
    const ps_trace *trace = self->trace;
    for (size_t i = 0; i < trace->call.head.count; i++) {
        if (trace->call.correlation[i] != 0) {
            PS_TRY(ps_idmap_put(&self->call_of_correlation, trace->call.correlation[i], (uint32_t)i,
                                err));
        }
    }
    const columns work[] = {
        {PS_TABLE_KERNEL, trace->kernel.head.count, trace->kernel.device, trace->kernel.correlation,
         trace->kernel.start_ns},
        {PS_TABLE_MEMCPY, trace->memcpy.head.count, trace->memcpy.device, trace->memcpy.correlation,
         trace->memcpy.start_ns},
        {PS_TABLE_MEMSET, trace->memset.head.count, trace->memset.device, trace->memset.correlation,
         trace->memset.start_ns},
    };
    for (size_t i = 0; i < sizeof work / sizeof work[0]; i++) {
        add_launches(self, &work[i]);
    }
    if (self->launch_count > 0) {
        qsort(self->launches, self->launch_count, sizeof *self->launches, by_launch);
    }
    return PS_OK;
}

static bool has_word(const char *name, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strstr(name, words[i]) != NULL) {
            return true;
        }
    }
    return false;
}

static ps_op_kind kind_of_kernel(const char *name)
{
    static const char *const collectives[] = {"ncclKernel", "ncclDevKernel", "rcclGeneric"};
    static const char *const attention[] = {"flash", "fmha",     "attention",
                                            "sdpa",  "attn_fwd", "attn_bwd"};
    if (has_word(name, collectives, sizeof collectives / sizeof collectives[0])) {
        return PS_OP_COLLECTIVE;
    }
    if (has_word(name, attention, sizeof attention / sizeof attention[0])) {
        return PS_OP_ATTENTION;
    }
    return ps_kernel_classify(name).bound == PS_BOUND_ARITHMETIC ? PS_OP_MATMUL : PS_OP_MEMORY;
}

static ps_code describe_op(writing *self, const ps_launch *from, size_t row, ps_error *err)
{
    const ps_trace *trace = self->trace;
    ps_workload_op_table *op = &self->out->op;
    const char *name = from->table == PS_TABLE_MEMCPY ? "copy" : "fill";
    if (from->table == PS_TABLE_KERNEL) {
        name = ps_strings_text(trace->strings, trace->kernel.name[from->row]);
        op->kind[row] = (uint8_t)kind_of_kernel(name);
        op->dur_ns[row] = trace->kernel.dur_ns[from->row];
    } else if (from->table == PS_TABLE_MEMCPY) {
        op->kind[row] = PS_OP_COPY;
        op->moved_bytes[row] = trace->memcpy.bytes[from->row];
        op->dur_ns[row] = trace->memcpy.dur_ns[from->row];
    } else {
        op->kind[row] = PS_OP_MEMORY;
        op->moved_bytes[row] = trace->memset.bytes[from->row];
        op->dur_ns[row] = trace->memset.dur_ns[from->row];
    }
    return ps_strings_put_z(self->out->strings, name, &op->name[row], err);
}

ps_code ps__write_op(writing *self, const ps_launch *from, ps_error *err)
{
    ps_workload_op_table *op = &self->out->op;
    size_t row;
    PS_TRY(ps_workload_add(self->out, PS_WORKLOAD_OP, &row, err));
    PS_TRY(describe_op(self, from, row, err));
    op->phase[row] = (uint8_t)ps_structure_phase_at(self->structure, from->at);
    op->block[row] = ps__write_block_at(self, from->at);
    op->launches[row] = 1;
    op->basis[row] = PS_BASIS_MEASURED;
    return ps_workload_add_event(self->out, PS_WORKLOAD_EVENT_OP, (uint32_t)row, err);
}
