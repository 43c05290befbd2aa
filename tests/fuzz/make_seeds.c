/* SPDX-License-Identifier: MIT
 *
 * Writes the seeds of fuzz_container and fuzz_chunk: fuzz_make_seeds CORPUS
 *
 * Files the library itself writes: nothing, one row in every table, two
 * chunks, a cut file, a small plan; and the decompressed chunks of two of them.
 */
#include <string.h>

#include <zstd.h>

#include "base/container_layout.h"
#include "base/memory.h"
#include "fuzz.h"
#include "plan/plan.h"
#include "trace/file.h"

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
    ps_trace_destroy(one);
    ps_trace_destroy(three);
    ps_plan_destroy(plan);
    return EXIT_SUCCESS;
}
