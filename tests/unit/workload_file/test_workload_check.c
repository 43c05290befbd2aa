/* SPDX-License-Identifier: MIT
 *
 * The workload checker: a valid workload passes, and each rule has a change
 * of that workload which breaks it and nothing before it.
 */
#include "unit/workload_file/make_workload.h"

#include <string.h>

#include "base/memory.h"

/* Tensors 0 (lives on), 1 (freed); ops 0 matmul, 1 memory; two steps over events 0..3 and 3..6. */
static ps_workload *valid_workload(void)
{
    ps_error err = {0};
    ps_workload *workload = workload_new();
    (void)workload_block(workload, "model", 0);
    (void)workload_block(workload, "model.layer", 1);
    (void)workload_tensor(workload, 4096, PS_ROLE_PARAMETER);
    (void)workload_tensor(workload, 512, PS_ROLE_ACTIVATION);
    workload->tensor.block[1] = 2;
    (void)workload_op(workload, PS_OP_MATMUL, PS_PHASE_FORWARD);
    (void)workload_op(workload, PS_OP_MEMORY, PS_PHASE_BACKWARD);
    (void)workload_event(workload, PS_WORKLOAD_EVENT_ALLOC, 0); /* 0 */
    (void)workload_event(workload, PS_WORKLOAD_EVENT_OP, 0);    /* 1 */
    (void)workload_event(workload, PS_WORKLOAD_EVENT_OP, 1);    /* 2 */
    (void)workload_event(workload, PS_WORKLOAD_EVENT_ALLOC, 1); /* 3 */
    (void)workload_event(workload, PS_WORKLOAD_EVENT_OP, 0);    /* 4 */
    (void)workload_event(workload, PS_WORKLOAD_EVENT_FREE, 1);  /* 5 */
    (void)workload_step(workload, "first", 0, 3);
    (void)workload_step(workload, "second", 3, 6);
    assert_ok(&err, ps_workload_add_finding(workload, "steps", "ranges", 1000, "", &err));
    assert_ok(&err, ps_workload_set_meta(workload, "a", "1", &err));
    assert_ok(&err, ps_workload_set_meta(workload, "b", "2", &err));
    (void)workload_row(workload, PS_WORKLOAD_LOSS);
    return workload;
}

typedef struct violation {
    ps_workload_table_id table;
    const char *column;
    size_t row;
    uint64_t value;
    const char *message; /* part of it; "": still fine */
} violation;

static const violation violations[] = {
    /* cells */
    {PS_WORKLOAD_BLOCK, "name", 0, 999, "block 0: name is string 999 of"},
    {PS_WORKLOAD_FINDING, "detail", 0, 999, "finding 0: detail is string 999 of"},
    {PS_WORKLOAD_TENSOR, "role", 1, PS_ROLE_COUNT, "tensor 1: role is 9, the largest is 8"},
    {PS_WORKLOAD_TENSOR, "role", 1, PS_ROLE_COUNT - 1, ""},
    {PS_WORKLOAD_TENSOR, "dtype", 0, PS_ELEMENT_COUNT, "tensor 0: dtype is 14"},
    {PS_WORKLOAD_TENSOR, "is_saved", 0, 2, "tensor 0: is_saved is 2, the largest is 1"},
    {PS_WORKLOAD_TENSOR, "scaling", 0, PS_SCALING_COUNT, "tensor 0: scaling is 6"},
    {PS_WORKLOAD_TENSOR, "block", 1, 3, "tensor 1: block is 3, must be below 3"},
    {PS_WORKLOAD_OP, "kind", 1, PS_OP_KIND_COUNT, "op 1: kind is 11, the largest is 10"},
    {PS_WORKLOAD_TENSOR, "memory", 1, 7, "tensor 1: memory is 7, the largest is 6"},
    {PS_WORKLOAD_OP, "copy_kind", 1, 6, "op 1: copy_kind is 6, the largest is 5"},
    {PS_WORKLOAD_OP, "is_blocking", 1, 2, "op 1: is_blocking is 2, the largest is 1"},
    {PS_WORKLOAD_OP, "mark", 1, PS_WORKLOAD_MAX_MARK + 1,
     "op 1 has mark 16777217: expected at most"},
    {PS_WORKLOAD_OP, "lane", 1, PS_WORKLOAD_WORKER, "op 1 is device work in lane 12, a worker"},
    {PS_WORKLOAD_OP, "phase", 1, 4, "op 1: phase is 4, the largest is 3"},
    {PS_WORKLOAD_OP, "dtype", 1, 14, "op 1: dtype is 14"},
    {PS_WORKLOAD_OP, "access", 1, PS_ACCESS_COUNT, "op 1: access is 4, the largest is 3"},
    {PS_WORKLOAD_OP, "basis", 1, PS_BASIS_COUNT, "op 1: basis is 4, the largest is 3"},
    {PS_WORKLOAD_OP, "block", 1, 3, "op 1: block is 3, must be below 3"},
    {PS_WORKLOAD_OP, "dur_ns", 1, UINT64_MAX, "op 1: dur_ns is -1, must be >= 0"},
    {PS_WORKLOAD_EVENT, "kind", 2, 4, "event 2: kind is 4, the largest is 3"},
    {PS_WORKLOAD_EVENT, "kind", 2, PS_WORKLOAD_EVENT_RELEASE_CACHE,
     "event 2 releases the cache: ref is 1, must be 0"},
    {PS_WORKLOAD_STEP, "is_first", 1, 2, "step 1: is_first is 2, the largest is 1"},
    {PS_WORKLOAD_FINDING, "confidence_permille", 0, 1001, "confidence_permille is 1001"},
    {PS_WORKLOAD_LOSS, "severity", 0, 3, "loss 0: severity is 3, the largest is 2"},
    /* blocks */
    {PS_WORKLOAD_BLOCK, "parent", 1, 3, "block 1: parent is 3, must be below 3"},
    {PS_WORKLOAD_BLOCK, "parent", 1, 2, "block 1 lies in block 1, which does not stand before it"},
    {PS_WORKLOAD_BLOCK, "parent", 0, 2, "block 0 lies in block 1, which does not stand before it"},
    /* shapes */
    {PS_WORKLOAD_OP, "m", 0, 0, "op 0: m, n, k, batch are 0, 5, 6, 1: all or none are 0"},
    {PS_WORKLOAD_OP, "batch", 0, 0, "op 0: m, n, k, batch are 4, 5, 6, 0"},
    {PS_WORKLOAD_OP, "k", 1, 7, "op 1: m, n, k, batch are 0, 0, 7, 0"},
    {PS_WORKLOAD_OP, "kind", 1, PS_OP_MATMUL, "op 1 is a matrix product without m, n, k, batch"},
    /* events */
    {PS_WORKLOAD_EVENT, "ref", 1, 2, "event 1: ref is 2, must be below 2 ops"},
    {PS_WORKLOAD_EVENT, "ref", 3, 2, "event 3: ref is 2, must be below 2 tensors"},
    {PS_WORKLOAD_EVENT, "ref", 3, 0, "event 3: tensor 0 is live, must be not allocated"},
    {PS_WORKLOAD_EVENT, "kind", 0, PS_WORKLOAD_EVENT_FREE,
     "event 0: tensor 0 is not allocated, must be live"},
    {PS_WORKLOAD_EVENT, "kind", 5, PS_WORKLOAD_EVENT_ALLOC,
     "event 5: tensor 1 is live, must be not allocated"},
    {PS_WORKLOAD_EVENT, "kind", 4, PS_WORKLOAD_EVENT_FREE, ""},
    {PS_WORKLOAD_EVENT, "kind", 0, PS_WORKLOAD_EVENT_OP, "tensor 0 is never allocated"},
    {PS_WORKLOAD_TENSOR, "bytes", 0, UINT64_MAX, "event 3: more than 2^64 bytes are live"},
    {PS_WORKLOAD_TENSOR, "bytes", 0, UINT64_MAX - 512, ""},
    /* steps and facts */
    {PS_WORKLOAD_STEP, "end_event", 1, 7, "step 1 ends at event 7 of 6"},
    {PS_WORKLOAD_STEP, "begin_event", 1, 7, "step 1 ends before it begins"},
    {PS_WORKLOAD_STEP, "begin_event", 1, 2, "step 1 begins before step 0 ends"},
    {PS_WORKLOAD_STEP, "begin_event", 1, 6, ""},
    {PS_WORKLOAD_META, "key", 1, 0, "meta 1 has no key"},
};

static const ps_column_spec *column_of(const violation *v)
{
    const ps_table_spec *spec = &ps_workload_specs()[v->table];
    for (size_t c = 0; c < spec->column_count; c++) {
        if (strcmp(spec->columns[c].name, v->column) == 0) {
            return &spec->columns[c];
        }
    }
    fail_msg("no column %s.%s", spec->name, v->column);
    return NULL;
}

static void each_violation_is_found_and_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof violations / sizeof violations[0]; i++) {
        const violation *v = &violations[i];
        ps_error err = {0};
        ps_workload *workload = valid_workload();
        ps_table_set(column_of(v), ps_workload_table(workload, v->table), v->row, v->value);
        const ps_code code = ps_workload_check(workload, &err);
        if (v->message[0] == '\0') { /* near a limit, still fine */
            assert_ok(&err, code);
        } else if (code != PS_CHECK_FAILED || strstr(err.message, v->message) == NULL) {
            fail_msg("%s[%zu].%s = %llu: \"%s\", expected \"%s\"",
                     ps_workload_specs()[v->table].name, v->row, v->column,
                     (unsigned long long)v->value, err.message, v->message);
        }
        ps_workload_destroy(workload);
    }
}

static void expect(ps_workload *workload, const char *message)
{
    ps_error err = {0};
    assert_int_equal(ps_workload_check(workload, &err), PS_CHECK_FAILED);
    if (strstr(err.message, message) == NULL) {
        fail_msg("\"%s\", expected \"%s\"", err.message, message);
    }
    ps_workload_destroy(workload);
}

static void violations_of_several_rows_are_found(void **state)
{
    (void)state;
    ps_workload *workload = valid_workload();
    (void)workload_event(workload, PS_WORKLOAD_EVENT_FREE, 1);
    expect(workload, "event 6: tensor 1 is freed, must be live");
    workload = valid_workload();
    workload->meta.key[1] = workload->meta.key[0];
    expect(workload, "meta 1 repeats the key \"a\" of meta 0");
}

static void what_was_measured_need_not_tell_its_shape(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_workload *workload = valid_workload();
    workload->op.kind[1] = PS_OP_MATMUL;
    workload->op.basis[1] = PS_BASIS_MEASURED;
    assert_ok(&err, ps_workload_check(workload, &err));
    ps_workload_destroy(workload);
}

static void valid_workloads_pass(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_workload *workload = valid_workload();
    assert_ok(&err, ps_workload_check(workload, &err));
    ps_workload_destroy(workload);
    workload = workload_new();
    assert_ok(&err, ps_workload_check(workload, &err));
    ps_workload_destroy(workload);
    for (uint64_t seed = 1; seed <= 50; seed++) {
        workload = workload_random_new(seed * 7, seed);
        print_message("seed %llu\n", (unsigned long long)seed);
        assert_ok(&err, ps_workload_check(workload, &err));
        ps_workload_destroy(workload);
    }
}

static void out_of_memory_is_a_result(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_workload *workload = valid_workload();
    ps_code code = PS_NOMEM;
    for (unsigned long n = 1; code != PS_OK; n++) {
        assert_true(n < 100);
        ps_memory_fail_nth(n);
        code = ps_workload_check(workload, &err);
        ps_memory_fail_nth(0);
        assert_true(code == PS_OK || code == PS_NOMEM);
    }
    ps_workload_destroy(workload);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_workloads_pass),
        cmocka_unit_test(each_violation_is_found_and_named),
        cmocka_unit_test(violations_of_several_rows_are_found),
        cmocka_unit_test(what_was_measured_need_not_tell_its_shape),
        cmocka_unit_test(out_of_memory_is_a_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
