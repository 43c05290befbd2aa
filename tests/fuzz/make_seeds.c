/* SPDX-License-Identifier: MIT
 *
 * Writes the seeds of fuzz_container and fuzz_chunk: fuzz_make_seeds CORPUS
 *
 * Files the library itself writes: nothing, one row in every table, two
 * chunks, a cut file, a small plan, a small workload; and the decompressed
 * chunks of some of them. container/workload is also the fixture workload.pswork of the golden
 * tests, container/workload_unsound their unsound.pswork,
 * container/workload_bare their bare.pswork.
 */
#include <string.h>

#include <zstd.h>

#include "base/container_layout.h"
#include "base/memory.h"
#include "fuzz.h"
#include "plan/plan.h"
#include "trace/file.h"
#include "workload/workload.h"

static const char *corpus;

static void check(ps_code code, const ps_error *err)
{
    if (code != PS_OK) {
        char text[1024];
        ps_error_format(err, text, sizeof text);
        (void)fprintf(stderr, "%s: %s\n", ps_code_name(code), text);
        exit(EXIT_FAILURE);
    }
}

static const char *path_of(const char *name)
{
    static char path[1024];
    (void)snprintf(path, sizeof path, "%s/%s", corpus, name);
    return path;
}

/* Values that differ by row and column, so that every width and coding occurs. */
static void add_row(ps_trace *trace, ps_trace_table_id id, uint64_t value)
{
    ps_error err = {0};
    const ps_table_spec *spec = &ps_trace_specs()[id];
    ps_table_head *table = ps_trace_table(trace, id);
    size_t row;
    check(ps_trace_add(trace, id, &row, &err), &err);
    for (size_t c = 0; c < spec->column_count; c++) {
        uint64_t cell = value * (c + 1) << (7 * c % 40);
        if (spec->columns[c].type == PS_COLUMN_STR) {
            char text[32];
            ps_str string;
            (void)snprintf(text, sizeof text, "%s-%u", spec->columns[c].name,
                           (unsigned)(value % 3));
            check(ps_strings_put_z(trace->strings, text, &string, &err), &err);
            cell = string;
        }
        ps_table_set(&spec->columns[c], table, row, cell);
    }
}

static ps_trace *make_trace(uint64_t rows)
{
    ps_error err = {0};
    ps_trace *trace = ps_trace_create();
    check(trace == NULL ? ps_fail_nomem(&err) : PS_OK, &err);
    for (int t = 0; t < PS_TABLE_META; t++) {
        for (uint64_t i = 0; i < rows; i++) {
            add_row(trace, (ps_trace_table_id)t, i + 1);
        }
    }
    check(ps_trace_set_meta(trace, PS_META_SOURCE, "seed", &err), &err);
    check(ps_trace_add_loss(trace, "malformed-events", 2, &err), &err);
    return trace;
}

static void write_trace(const char *name, const ps_trace *trace, int chunks)
{
    ps_error err = {0};
    ps_container_writer *writer;
    check(ps_container_create(path_of(name), PS_ARTEFACT_TRACE, &writer, &err), &err);
    for (int i = 0; i < chunks; i++) {
        check(ps_trace_write_chunk(writer, trace, &err), &err);
    }
    check(ps_container_finish(writer, &err), &err);
}

/* One host lane that launches on one stream, one buffer. */
static ps_plan *make_plan(void)
{
    ps_error err = {0};
    size_t row;
    ps_plan *plan = ps_plan_create();
    check(plan == NULL ? ps_fail_nomem(&err) : PS_OK, &err);
    check(ps_plan_add(plan, PS_PLAN_DEVICE, &row, &err), &err);
    check(ps_strings_put_z(plan->strings, "native", &plan->device.allocator[0], &err), &err);
    plan->device.capacity_bytes[0] = (uint64_t)1 << 30;
    for (uint32_t lane = 0; lane < 2; lane++) {
        check(ps_plan_add(plan, PS_PLAN_LANE, &row, &err), &err);
        plan->lane.kind[row] = (uint8_t)(lane == 0 ? PS_LANE_HOST : PS_LANE_STREAM);
        plan->lane.device[row] = lane;
    }
    for (uint32_t task = 0; task < 4; task++) {
        check(ps_plan_add(plan, PS_PLAN_TASK, &row, &err), &err);
        plan->task.lane[row] = task % 2;
        plan->task.kind[row] = (uint8_t)(task % 2 == 0 ? PS_TASK_HOST : PS_TASK_KERNEL);
        plan->task.dur_ns[row] = 1000 * (task + 1);
    }
    for (uint32_t task = 1; task < 4; task += 2) {
        check(ps_plan_add(plan, PS_PLAN_DEP, &row, &err), &err);
        plan->dep.task[row] = task;
        plan->dep.before[row] = task - 1;
    }
    check(ps_plan_add(plan, PS_PLAN_BUFFER, &row, &err), &err);
    plan->buffer.bytes[0] = 4096;
    for (uint32_t op = 0; op < 2; op++) {
        check(ps_plan_add(plan, PS_PLAN_MEMOP, &row, &err), &err);
        plan->memop.op[row] = (uint8_t)(op == 0 ? PS_MEMOP_ALLOC : PS_MEMOP_FREE);
        plan->memop.task[row] = 2 * op;
    }
    check(ps_plan_check(plan, &err), &err);
    return plan;
}

static ps_str text_in(ps_workload *workload, const char *text)
{
    ps_error err = {0};
    ps_str id;
    check(ps_strings_put_z(workload->strings, text, &id, &err), &err);
    return id;
}

static uint32_t add_tensor(ps_workload *workload, uint64_t bytes, ps_role role, const char *label)
{
    ps_error err = {0};
    size_t row;
    check(ps_workload_add(workload, PS_WORKLOAD_TENSOR, &row, &err), &err);
    workload->tensor.bytes[row] = bytes;
    workload->tensor.role[row] = (uint8_t)role;
    workload->tensor.dtype[row] = PS_ELEMENT_BF16;
    workload->tensor.block[row] = role == PS_ROLE_OPTIMIZER_STATE ? 0 : 2;
    workload->tensor.label[row] = text_in(workload, label);
    workload->tensor.is_saved[row] = role == PS_ROLE_ACTIVATION;
    workload->tensor.scaling[row] =
        role == PS_ROLE_ACTIVATION ? PS_SCALING_BATCH_SEQUENCE : PS_SCALING_FIXED;
    return (uint32_t)row;
}

static void add_op(ps_workload *workload, const char *name, ps_op_kind kind, ps_phase phase)
{
    ps_error err = {0};
    size_t row;
    ps_workload_op_table *op = &workload->op;
    check(ps_workload_add(workload, PS_WORKLOAD_OP, &row, &err), &err);
    op->name[row] = text_in(workload, name);
    op->kind[row] = (uint8_t)kind;
    op->phase[row] = (uint8_t)phase;
    op->block[row] = 2;
    op->dtype[row] = PS_ELEMENT_BF16;
    op->launches[row] = 1;
    op->basis[row] = PS_BASIS_ANALYTIC;
    op->moved_bytes[row] = 100352;
    if (kind == PS_OP_MATMUL) {
        op->m[row] = 512;
        op->n[row] = op->k[row] = 64;
        op->batch[row] = 1;
        op->flop[row] = (uint64_t)2 * 512 * 64 * 64;
    }
}

static void add_events(ps_workload *workload, const char *pairs)
{
    ps_error err = {0};
    for (; *pairs != '\0'; pairs += 2) { /* "A0": alloc tensor 0; F free, O op */
        const ps_workload_event kind = *pairs == 'A'   ? PS_WORKLOAD_EVENT_ALLOC
                                       : *pairs == 'F' ? PS_WORKLOAD_EVENT_FREE
                                                       : PS_WORKLOAD_EVENT_OP;
        check(ps_workload_add_event(workload, kind, (uint32_t)(pairs[1] - '0'), &err), &err);
    }
}

static void add_step(ps_workload *workload, const char *name, const char *events)
{
    ps_error err = {0};
    size_t row;
    check(ps_workload_add(workload, PS_WORKLOAD_STEP, &row, &err), &err);
    workload->step.name[row] = text_in(workload, name);
    workload->step.begin_event[row] = (uint32_t)workload->event.head.count;
    workload->step.is_first[row] = row == 0;
    add_events(workload, events);
    workload->step.end_event[row] = (uint32_t)workload->event.head.count;
}

/* One linear layer trained for two steps; the first makes the optimizer's state. */
static ps_workload *make_workload(void)
{
    ps_error err = {0};
    size_t row;
    ps_workload *workload = ps_workload_create();
    check(workload == NULL ? ps_fail_nomem(&err) : PS_OK, &err);
    for (uint32_t block = 0; block < 2; block++) {
        check(ps_workload_add(workload, PS_WORKLOAD_BLOCK, &row, &err), &err);
        workload->block.name[row] = text_in(workload, block == 0 ? "model" : "model.linear");
        workload->block.kind[row] = text_in(workload, block == 0 ? "Sequential" : "Linear");
        workload->block.parent[row] = block;
    }
    (void)add_tensor(workload, 8192, PS_ROLE_PARAMETER, "Linear.weight");
    (void)add_tensor(workload, 65536, PS_ROLE_ACTIVATION, "aten::mm");
    (void)add_tensor(workload, 8192, PS_ROLE_GRADIENT, "aten::mm");
    (void)add_tensor(workload, 16384, PS_ROLE_OPTIMIZER_STATE, "AdamW.step");
    (void)add_tensor(workload, 65536, PS_ROLE_ACTIVATION, "aten::mm");
    (void)add_tensor(workload, 8192, PS_ROLE_GRADIENT, "aten::mm");
    add_op(workload, "aten::mm", PS_OP_MATMUL, PS_PHASE_FORWARD);
    add_op(workload, "aten::mm", PS_OP_MATMUL, PS_PHASE_BACKWARD);
    add_op(workload, "aten::_fused_adamw_", PS_OP_MEMORY, PS_PHASE_OPTIMIZER);
    add_events(workload, "A0");
    add_step(workload, "step 0", "A1O0A2O1F1A3O2F2");
    add_step(workload, "step 1", "A4O0A5O1F4O2F5");
    check(ps_workload_add_finding(workload, "steps", "description", 1000, "", &err), &err);
    check(ps_workload_add_finding(workload, "roles", "lifetimes", 875,
                                  "7 of 8 tensors outlive their step or die in it.", &err),
          &err);
    check(ps_workload_set_meta(workload, PS_WORKLOAD_META_SOURCE, "seed", &err), &err);
    check(ps_workload_set_meta(workload, PS_WORKLOAD_META_MODEL, "one linear layer", &err), &err);
    check(ps_workload_check(workload, &err), &err);
    return workload;
}

static unsigned char *load(const char *name, size_t *size)
{
    FILE *file = fopen(path_of(name), "rb");
    fuzz_require(file != NULL);
    unsigned char *bytes = ps_calloc(65536, 1);
    fuzz_require(bytes != NULL);
    *size = fread(bytes, 1, 65536, file);
    (void)fclose(file);
    return bytes;
}

static void store(const char *name, const void *bytes, size_t size)
{
    FILE *file = fopen(path_of(name), "wb");
    fuzz_require(file != NULL && fwrite(bytes, 1, size, file) == size && fclose(file) == 0);
}

/* The first chunk of a container, decompressed. */
static void store_first_chunk(const char *container, const char *name)
{
    size_t size;
    unsigned char *bytes = load(container, &size);
    const unsigned char *head = bytes + PS_HEADER_BYTES;
    const size_t raw_bytes = (size_t)ps_get_u64(head + 8);
    unsigned char *raw = ps_calloc(raw_bytes, 1);
    fuzz_require(raw != NULL);
    fuzz_require(ZSTD_decompress(raw, raw_bytes, head + PS_CHUNK_HEADER_BYTES,
                                 (size_t)ps_get_u64(head + 16)) == raw_bytes);
    store(name, raw, raw_bytes);
    ps_free(raw);
    ps_free(bytes);
}

static void store_cut(const char *container, const char *name, size_t drop)
{
    size_t size;
    unsigned char *bytes = load(container, &size);
    store(name, bytes, size - drop);
    ps_free(bytes);
}

/* Of a recording in which nobody found a step. */
static void write_bare_workload(void)
{
    ps_error err = {0};
    ps_workload *workload = ps_workload_create();
    check(workload == NULL ? ps_fail_nomem(&err) : PS_OK, &err);
    for (int i = 0; i < 2; i++) {
        size_t row;
        check(ps_workload_add(workload, PS_WORKLOAD_TENSOR, &row, &err), &err);
        workload->tensor.bytes[row] = 1000;
    }
    add_events(workload, "A0F0A1");
    check(ps_workload_write(workload, path_of("container/workload_bare"), &err), &err);
    ps_workload_destroy(workload);
}

/* A sound one, and one whose first tensor is freed twice. */
static void write_workloads(void)
{
    ps_error err = {0};
    ps_workload *workload = make_workload();
    check(ps_workload_write(workload, path_of("container/workload"), &err), &err);
    add_events(workload, "F1");
    check(ps_workload_write(workload, path_of("container/workload_unsound"), &err), &err);
    store_first_chunk("container/workload", "chunk/workload");
    ps_workload_destroy(workload);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        (void)fprintf(stderr, "usage: fuzz_make_seeds CORPUS\n");
        return 2;
    }
    corpus = argv[1];
    ps_error err = {0};
    ps_trace *one = make_trace(1), *three = make_trace(3);
    ps_plan *plan = make_plan();
    write_trace("container/trace_without_chunks", one, 0);
    write_trace("container/trace_one_row", one, 1);
    write_trace("container/trace_two_chunks", three, 2);
    store_cut("container/trace_two_chunks", "container/trace_cut", 300);
    check(ps_plan_write(plan, path_of("container/plan"), &err), &err);
    store_first_chunk("container/trace_one_row", "chunk/trace_one_row");
    store_first_chunk("container/trace_two_chunks", "chunk/trace_three_rows");
    store_first_chunk("container/plan", "chunk/plan");
    write_workloads();
    write_bare_workload();
    ps_trace_destroy(one);
    ps_trace_destroy(three);
    ps_plan_destroy(plan);
    return EXIT_SUCCESS;
}
