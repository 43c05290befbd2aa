/* SPDX-License-Identifier: MIT
 *
 * What the cost model refuses, and memory that runs out.
 */
#include "unit/cost/round_card.h"

#include "base/memory.h"

static ps_catalogue *builtin(void)
{
    ps_error err = {0};
    ps_catalogue *catalogue = NULL;
    assert_ok(&err, ps_catalogue_create(&catalogue, &err));
    return catalogue;
}

static void operations_without_shape_are_refused(void **state)
{
    (void)state;
    static const ps_cost_op bad[] = {
        {.kind = PS_COST_MATMUL, .m = 1, .n = 1, .k = 1},
        {.kind = PS_COST_MATMUL, .batch = 1, .n = 1, .k = 1},
        {.kind = PS_COST_ATTENTION_FORWARD, .batch = 1, .m = 1, .n = 1, .k = 1},
        {.kind = PS_COST_ATTENTION_BACKWARD, .flop = 5},
        {.kind = PS_COST_MEMORY, .moved_bytes = UINT64_MAX},
        {.kind = PS_COST_MEMORY, .flop = UINT64_MAX},
        {.kind = PS_COST_MATMUL, .batch = UINT64_MAX, .m = 1, .n = 1, .k = 1},
        {.kind = PS_COST_MATMUL, .batch = UINT32_MAX, .m = UINT32_MAX, .n = 9, .k = 9},
        {.kind = PS_COST_KIND_COUNT},
        {.element = PS_COST_ELEMENT_COUNT},
        {.access = PS_COST_ACCESS_COUNT},
    };
    ps_cost_model *model = round_model("", NULL);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ps_error err = {0};
        ps_cost_time out = {.dur_ns = 77};
        assert_int_equal(ps_cost_op_time(model, &bad[i], &out, &err), PS_USAGE);
        assert_int_equal(out.dur_ns, 77);
        assert_true(err.message[0] != '\0');
    }
    ps_cost_destroy(model);
    ps_cost_destroy(NULL);
}

static void a_gpu_without_figures_says_which(void **state)
{
    (void)state;
    static const char text[] = "device,quantity,value,unit,origin\n"
                               "mine,class,gpu,,given: test\n"
                               "mine,memory,16,GiB,given: test\n"
                               "mine,memory-bandwidth,300,GB/s,given: x\n"
                               "mine,fp32-rate,8.1,TFLOP/s,given: x\n"
                               "mine,fp16-rate,65,TFLOP/s,given: x\n"
                               "mine,bf16-rate,0,TFLOP/s,given: x\n"
                               "mine,h2d,12,GB/s,given: x\n"
                               "mine,d2h,12.5,GB/s,given: x\n"
                               "mine,context-memory,300,MiB,given: x\n"
                               "mine,like,family-gpu,,given: x\n";
    ps_error err = {0};
    ps_hardware_id id;
    ps_cost_model *model = NULL;
    ps_catalogue *catalogue = builtin();
    assert_ok(&err, ps_catalogue_read_memory(catalogue, "mine.csv", text, strlen(text), &err));
    assert_ok(&err, ps_catalogue_find(catalogue, PS_HARDWARE_GPU, "mine", &id, &err));
    assert_int_equal(ps_cost_create(catalogue, id, NULL, &model, &err), PS_NOT_FOUND);
    assert_non_null(strstr(err.message, "sm-count"));
    assert_null(model);
    ps_catalogue_destroy(catalogue);
}

static void measured_shapes_are_checked(void **state)
{
    (void)state;
#define HEADER "gpu,kind,element,layout,batch,m,n,k,share,origin\n"
    static const struct {
        const char *text, *message;
    } bad[] = {
        {"a,b\n", "shapes:1: measured shapes begin with the line "
                  "gpu,kind,element,layout,batch,m,n,k,share,origin"},
        {HEADER "H200,matmul,bf16,,1,2,3\n", "shapes:2: not ten fields after \"H200\""},
        {HEADER "H200,memory,bf16,,1,2,3,4,0.5,given: x\n",
         "shapes:2: a kind without shapes: \"memory\""},
        {HEADER "H200,matmul,f8,,1,2,3,4,0.5,given: x\n", "shapes:2: unknown element \"f8\""},
        {HEADER "H200,matmul,fp8,TT,1,2,3,4,0.5,given: x\n", "shapes:2: unknown layout \"TT\""},
        {HEADER "H200,matmul,fp8,TN,1,0,3,4,0.5,given: x\n",
         "shapes:2: not a shape and a share of the peak up to 1: \"0.5\""},
        {HEADER "H200,matmul,fp8,TN,1,2,3,4,1.5,given: x\n",
         "shapes:2: not a shape and a share of the peak up to 1: \"1.5\""},
        {HEADER "H200,matmul,fp8,TN,1,2,3,4,0.5,\n", "shapes:2: no origin after \"0.5\""},
    };
    ps_catalogue *catalogue = builtin();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ps_error err = {0};
        ps_hardware_id id;
        ps_cost_model *model = NULL;
        const ps_cost_options options = {.shapes_csv = bad[i].text,
                                         .shapes_bytes = strlen(bad[i].text)};
        assert_ok(&err, ps_catalogue_find(catalogue, PS_HARDWARE_GPU, "H200", &id, &err));
        assert_int_equal(ps_cost_create(catalogue, id, &options, &model, &err), PS_BAD_INPUT);
        assert_string_equal(err.message, bad[i].message);
        assert_null(model);
    }
    ps_catalogue_destroy(catalogue);
}

static void memory_that_runs_out_is_reported(void **state)
{
    (void)state;
    ps_catalogue *catalogue = builtin();
    ps_error err = {0};
    ps_hardware_id id;
    ps_cost_model *model = NULL;
    assert_ok(&err, ps_catalogue_find(catalogue, PS_HARDWARE_GPU, "B200", &id, &err));
    for (unsigned long nth = 1; model == NULL; nth++) {
        assert_true(nth < 10000);
        ps_memory_fail_nth(nth);
        const ps_code code = ps_cost_create(catalogue, id, NULL, &model, &err);
        ps_memory_fail_nth(0);
        assert_true(code == PS_NOMEM || (code == PS_OK && model != NULL));
    }
    ps_cost_destroy(model);
    ps_catalogue_destroy(catalogue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operations_without_shape_are_refused),
        cmocka_unit_test(a_gpu_without_figures_says_which),
        cmocka_unit_test(measured_shapes_are_checked),
        cmocka_unit_test(memory_that_runs_out_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
