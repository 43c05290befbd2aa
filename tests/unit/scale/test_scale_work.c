/* SPDX-License-Identifier: MIT
 *
 * New lengths of kernels and copies, worked out by hand. Oldcard has 100
 * multiprocessors here, moves 1000 GB/s and does 10 TFLOP/s; the catalogue
 * does not tell how many blocks one holds, so a wave is 100 blocks. The
 * shortest kernel, 5 us, is the part that stays.
 */
#include "model.h"

#include "lower/lower.h"
#include "policy/whatif_scale_parts.h"
#include "trace/file.h"

typedef struct script {
    ps_trace *trace;
    ps_ns now;
    uint64_t correlation;
} script;

static script begin_script(void)
{
    script self = {.trace = trace_new()};
    put_device(self.trace, 0, "Oldcard", 0);
    self.trace->device.sm_count[0] = 100;
    return self;
}

static ps_str intern(script *self, const char *text)
{
    ps_error err = {0};
    ps_str id;
    assert_ok(&err, ps_strings_put_z(self->trace->strings, text, &id, &err));
    return id;
}

/* An operator and the call it makes; returns where device work may start. */
static ps_ns call_under(script *self, const char *operator, const char * shapes)
{
    self->now += 10000000;
    put_range(self->trace, MAIN_THREAD, (span){self->now, self->now + 1000},
              PS_RANGE_OPERATOR, operator);
    self->trace->range.shapes[self->trace->range.head.count - 1] = intern(self, shapes);
    put_call(self->trace, MAIN_THREAD, (span){self->now + 100, self->now + 200}, "cudaLaunchKernel",
             ++self->correlation);
    return self->now + 5000;
}

static void kernel_under(script *self, const char *operator, const char * shapes, const char *name,
                         const char *grid, ps_ns length)
{
    const ps_ns start = call_under(self, operator, shapes);
    put_kernel(self->trace, stream_7, (span){start, start + length}, name, self->correlation);
    self->trace->kernel.launch[self->trace->kernel.head.count - 1] = intern(self, grid);
}

static void copy_under(script *self, const char *shapes, uint64_t bytes, ps_ns length)
{
    const ps_ns start = call_under(self, "aten::copy_", shapes);
    put_copy(self->trace, stream_7, (span){start, start + length},
             (cargo){PS_COPY_DTOD, PS_MEMORY_DEVICE, bytes}, self->correlation);
}

/* Lengths after the batch went from 4 to `batch`, by device task in order. */
static model scaled(script *self, uint64_t batch)
{
    ps_error err = {0};
    assert_ok(&err, ps_trace_sort(self->trace, &err));
    model out = model_open(self->trace);
    const ps_whatif_scale scale = model_scale(&out, (target){batch, 0, 4, 0});
    apply_change(out.plan, &(ps_whatif){.scale = &scale});
    return out;
}

static ps_ns length_of(const model *self, const char *name)
{
    return self->plan->task.dur_ns[task_named(self->plan, name, 0)];
}

static void put_shortest(script *self)
{
    kernel_under(self, "aten::mul", "[[7,7]];[\"float\"]", "shortest", "1,1,1|32,1,1|16|0", 5000);
}

static void full_kernels_grow_with_their_bytes(void **state)
{
    (void)state;
    script self = begin_script();
    put_shortest(&self);
    kernel_under(&self, "aten::gelu", "[[4,1000]];[\"float\"]", "gelu", "1000,1,1|256,1,1|16|0",
                 105000);
    model out = scaled(&self, 8);
    assert_int_equal(length_of(&out, "gelu"), 205000); /* 5 us + 2 x 100 us */
    assert_int_equal(length_of(&out, "shortest"), 5000);
    const uint32_t gelu = task_named(out.plan, "gelu", 0);
    assert_int_equal(out.plan->task.basis[gelu], PS_BASIS_SCALED);
    assert_int_equal(out.plan->task.basis[task_named(out.plan, "shortest", 0)], PS_BASIS_MEASURED);
    model_close(&out);
}

static void kernels_fill_the_gpu_before_they_take_longer(void **state)
{
    (void)state;
    static const struct {
        uint64_t batch;
        ps_ns length;
    } cases[] = {{8, 105000}, {20, 105000}, {40, 205000}, {1, 105000}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        script self = begin_script();
        put_shortest(&self);
        /* 20 blocks: a fifth of a wave; ten times as many are two waves */
        kernel_under(&self, "aten::gelu", "[[4,1000]];[\"float\"]", "gelu", "20,1,1|256,1,1|16|0",
                     105000);
        model out = scaled(&self, cases[i].batch);
        assert_int_equal(length_of(&out, "gelu"), cases[i].length);
        model_close(&out);
    }
}

static void no_kernel_beats_the_memory(void **state)
{
    (void)state;
    script self = begin_script();
    put_shortest(&self);
    /* 1.6 GB in 2 ms; twice as many bytes cannot move in less than 3.2 ms, however few the blocks */
    kernel_under(&self, "aten::gelu", "[[4,100000000]];[\"float\"]", "gelu", "20,1,1|256,1,1|16|0",
                 2000000);
    model out = scaled(&self, 8);
    assert_int_equal(length_of(&out, "gelu"), 3200000);
    model_close(&out);
}

static void copies_have_a_start_and_a_rate(void **state)
{
    (void)state;
    script self = begin_script();
    put_shortest(&self);
    /* 100 MB are read and written: 200 us, and 10 us to start */
    copy_under(&self, "[[4,25000000],[4,25000000],[]];[\"float\",\"float\"]", 100000000, 210000);
    model out = scaled(&self, 8);
    const uint32_t copy = task_named(out.plan, "copy", 0);
    assert_int_equal(out.plan->task.dur_ns[copy], 410000);
    assert_int_equal(out.plan->task.bytes[copy], 200000000);
    model_close(&out);
}

#define PRODUCT "[[64],[4,512],[512,64],[],[]];[\"float\",\"float\",\"float\"]"

static void products_get_larger_tiles_when_there_is_work_for_them(void **state)
{
    (void)state;
    script self = begin_script();
    put_shortest(&self);
    /* half a wave of 64 x 64; eight times the rows are four waves, read half as often by 128 x 128 */
    kernel_under(&self, "aten::addmm", PRODUCT, "sgemm_64x64_nn", "50,1,1|256,1,1|64|0", 105000);
    model out = scaled(&self, 32);
    assert_int_equal(length_of(&out, "sgemm_64x64_nn"), 205000);
    model_close(&out);
}

static void products_shrink_with_their_work(void **state)
{
    (void)state;
    script self = begin_script();
    put_shortest(&self);
    kernel_under(&self, "aten::addmm", PRODUCT, "sgemm_128x128_nn", "50,1,1|256,1,1|64|0", 105000);
    kernel_under(&self, "aten::addmm",
                 "[[64],[8,512],[512,64],[],[]];[\"float\",\"float\","
                 "\"float\"]",
                 "sgemm_short", "2,1,1|256,1,1|64|0", 45000);
    model out = scaled(&self, 2);
    assert_int_equal(length_of(&out, "sgemm_128x128_nn"), 55000);
    model_close(&out);
    self = begin_script();
    put_shortest(&self);
    kernel_under(&self, "aten::addmm", PRODUCT, "sgemm_128x128_nn", "50,1,1|256,1,1|64|0", 105000);
    kernel_under(&self, "aten::addmm", PRODUCT, "sgemm_short", "2,1,1|256,1,1|64|0", 45000);
    out = scaled(&self, 1);
    assert_int_equal(length_of(&out, "sgemm_128x128_nn"), 45000); /* not below the shortest */
    model_close(&out);
}

static void what_is_not_known_stays_and_is_counted(void **state)
{
    (void)state;
    script self = begin_script();
    put_shortest(&self);
    kernel_under(&self, "aten::gelu", "[[4,1000]];[\"float\"]", "gelu", "1000,1,1|256,1,1|16|0",
                 105000);
    put_kernel(self.trace, stream_9, (span){90000000, 90070000}, "stray", 0);
    model out = scaled(&self, 8);
    assert_int_equal(length_of(&out, "stray"), 70000);
    assert_string_equal(ps_plan_meta(out.plan, PS_PLAN_META_SCALE_WORK),
                        "1 by the bytes they move, 0 by their arithmetic, 1 as recorded, 1 "
                        "undecided and as recorded");
    model_close(&out);
}

/* Three convolutions ask for occupancy: the first after 2 ms in the library, the second after 3 ms
 * with a request 0.5 ms before, the third after 20 us. */
static void searches_for_algorithms_are_not_repeated(void **state)
{
    (void)state;
    static const ps_ns waits[] = {2000000, 3000000, 20000};
    script self = begin_script();
    put_shortest(&self);
    for (size_t i = 0; i < 3; i++) {
        self.now += 10000000;
        put_range(self.trace, MAIN_THREAD, (span){self.now, self.now + 4000000}, PS_RANGE_OPERATOR,
                  "aten::cudnn_convolution");
        self.trace->range.shapes[self.trace->range.head.count - 1] =
            intern(&self, "[[4,3,100],[8,3,5]];[\"float\",\"float\"]");
        const ps_ns asks = self.now + 300 + waits[i];
        put_call(self.trace, MAIN_THREAD, (span){self.now + 100, self.now + 300}, "cudaEventRecord",
                 0);
        put_call(self.trace, MAIN_THREAD, (span){asks, asks + 1000}, "cudaOccupancyMax", 0);
        put_call(self.trace, MAIN_THREAD, (span){asks + 1005, asks + 1010}, "cudaOccupancyMax", 0);
        if (i == 1) {
            (void)put_alloc(self.trace, asks - 500000, MIB, 0x7f0000000000u);
        }
    }
    model out = scaled(&self, 8);
    assert_int_equal(out.plan->task.gap_ns[task_named(out.plan, "cudaOccupancyMax", 0)], 20000);
    assert_int_equal(out.plan->task.gap_ns[task_named(out.plan, "cudaOccupancyMax", 1)], 5);
    assert_int_equal(out.plan->task.gap_ns[task_named(out.plan, "cudaOccupancyMax", 2)], 500000);
    assert_int_equal(out.plan->task.gap_ns[task_named(out.plan, "cudaOccupancyMax", 4)], 20000);
    assert_string_equal(ps_plan_meta(out.plan, PS_PLAN_META_SCALE_HOST),
                        "2 searches for algorithms taken out, 4480000 ns");
    model_close(&out);
}

static void shapes_are_read_or_left_out(void **state)
{
    (void)state;
    ps_shapes shapes;
    ps__shapes_read("[[16,1,128],[],[[2,3],[4]]];[\"c10::Half\",\"Scalar\",\"TensorList\"]",
                    &shapes);
    assert_int_equal(shapes.count, 3);
    assert_int_equal(shapes.tensor[0].element_bytes, 2);
    assert_int_equal(ps__shape_elements(&shapes.tensor[0]), 16 * 128);
    assert_int_equal(shapes.tensor[1].argument, 2);
    assert_int_equal(shapes.tensor[1].element_bytes, 0);
    assert_int_equal(shapes.tensor[2].dim[0], 4);
    static const char *const broken[] = {
        "",
        "x",
        "[",
        "[[",
        "[[1",
        "[[1,]",
        "[[[1],2]]",
        "[[99999999999999999999999]]",
        "[[1,2,3,4,5,6,7,8,9]]",
        "[];[\"float",
        "[[-1]]",
    };
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        ps__shapes_read(broken[i], &shapes);
        assert_true(shapes.count <= 1);
    }
    char many[4096] = "[";
    for (int i = 0; i < 100; i++) {
        (void)strcat(many, "[1,2],");
    }
    ps__shapes_read(many, &shapes);
    assert_int_equal(shapes.count, PS_SHAPE_TENSORS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_kernels_grow_with_their_bytes),
        cmocka_unit_test(kernels_fill_the_gpu_before_they_take_longer),
        cmocka_unit_test(no_kernel_beats_the_memory),
        cmocka_unit_test(copies_have_a_start_and_a_rate),
        cmocka_unit_test(products_get_larger_tiles_when_there_is_work_for_them),
        cmocka_unit_test(products_shrink_with_their_work),
        cmocka_unit_test(what_is_not_known_stays_and_is_counted),
        cmocka_unit_test(searches_for_algorithms_are_not_repeated),
        cmocka_unit_test(shapes_are_read_or_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
