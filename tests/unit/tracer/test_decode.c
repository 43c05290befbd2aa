/* SPDX-License-Identifier: MIT
 *
 * Every kind of record in every layout gives the expected row, in every
 * column; what cannot be a record is counted.
 */
#include "decode_scene.h"

#include <string.h>

static void for_each_layout(void (*test)(scene *self, cupti_layout layout))
{
    for (cupti_layout layout = CUPTI_11; layout <= CUPTI_13; layout++) {
        scene self;
        scene_open(&self);
        test(&self, layout);
        assert_int_equal(self.chunk->loss.head.count, 0);
        scene_close(&self);
    }
}

/* ---- one row a record ---- */

static void call(scene *self, cupti_layout layout, uint32_t kind, uint32_t id)
{
    unsigned char *record = scene_record(layout, kind);
    cupti_put_u32(record, 4, id);
    cupti_put_u64(record, 8, SCENE_AT(100));
    cupti_put_u64(record, 16, SCENE_AT(130));
    cupti_put_u32(record, 24, 4711);
    cupti_put_u32(record, 28, 4000000001u);
    cupti_put_u32(record, 32, 4294967295u);
    scene_decode(self, layout, record);
}

static void calls_in(scene *self, cupti_layout layout)
{
    call(self, layout, PS_CUPTI_RUNTIME, 211);
    call(self, layout, PS_CUPTI_DRIVER, 307);
    call(self, layout, PS_CUPTI_RUNTIME, 17); /* cudaGetDevice: no row */
    call(self, layout, PS_CUPTI_DRIVER, 3);   /* nor any other driver call */
    call(self, layout, PS_CUPTI_RUNTIME, 2000);
    assert_int_equal(scene_rows(self), 3);
    assert_cells(self, PS_TABLE_CALL, 0, {"start_ns", 100, ""}, {"dur_ns", 30, ""},
                 {"pid", 4711, ""}, {"tid", 4000000001u, ""}, {"name", 0, "cudaCall211"},
                 {"correlation", 4294967295u, ""});
    assert_cells(self, PS_TABLE_CALL, 1, {"start_ns", 100, ""}, {"dur_ns", 30, ""},
                 {"pid", 4711, ""}, {"tid", 4000000001u, ""}, {"name", 0, "cuCall307"},
                 {"api", PS_API_DRIVER, ""}, {"correlation", 4294967295u, ""});
    assert_cells(self, PS_TABLE_CALL, 2, {"start_ns", 100, ""}, {"dur_ns", 30, ""},
                 {"pid", 4711, ""}, {"tid", 4000000001u, ""}, {"correlation", 4294967295u, ""});
}

static void calls(void **state)
{
    (void)state;
    for_each_layout(calls_in);
}

static unsigned char *kernel_record(cupti_layout layout, const char *name)
{
    unsigned char *record = scene_record(layout, PS_CUPTI_CONCURRENT_KERNEL);
    record[6] = 0x2c; /* 300 registers */
    record[7] = 0x01;
    cupti_put_u64(record, 16, SCENE_AT(1000));
    cupti_put_u64(record, 24, SCENE_AT(1500));
    cupti_put_u32(record, 40, 3);
    cupti_put_u32(record, 48, 7);
    for (unsigned i = 0; i < 3; i++) {
        cupti_put_u32(record, 52 + 4 * i, 11 + i);
        cupti_put_u32(record, 64 + 4 * i, 21 + i);
    }
    cupti_put_u32(record, 76, 1024);
    cupti_put_u32(record, 80, 4096);
    cupti_put_u32(record, 92, 99);
    cupti_put_text(record, 104, name);
    return record;
}

static void kernels_in(scene *self, cupti_layout layout)
{
    unsigned char *record = kernel_record(layout, "gemm<float>");
    const uint64_t node = layout == CUPTI_11 ? 0 : UINT64_C(0x123456789abc);
    if (layout != CUPTI_11) {
        cupti_put_u64(record, 144, node);
    }
    scene_decode(self, layout, record);
    assert_int_equal(scene_rows(self), 1);
    assert_cells(self, PS_TABLE_KERNEL, 0, {"start_ns", 1000, ""}, {"dur_ns", 500, ""},
                 {"device", 3, ""}, {"stream", 7, ""}, {"name", 0, "gemm<float>"},
                 {"correlation", 99, ""}, {"launch", 0, "11,12,13|21,22,23|300|5120"},
                 {"graph_node", node, ""});
    /* every number of the launch counts, and a name may be missing */
    record = kernel_record(layout, NULL);
    cupti_put_u32(record, 80, 4097);
    cupti_put_u64(record, 24, SCENE_AT(1000));
    if (layout != CUPTI_11) {
        cupti_put_u64(record, 144, 0);
    }
    scene_decode(self, layout, record);
    assert_cells(self, PS_TABLE_KERNEL, 1, {"start_ns", 1000, ""}, {"device", 3, ""},
                 {"stream", 7, ""}, {"correlation", 99, ""}, {"name", 0, ""},
                 {"launch", 0, "11,12,13|21,22,23|300|5121"});
}

static void kernels(void **state)
{
    (void)state;
    for_each_layout(kernels_in);
}

static unsigned char *copy_record(cupti_layout layout, uint32_t kind, uint8_t direction)
{
    unsigned char *record = scene_record(layout, kind);
    cupti_put_u8(record, 4, direction);
    cupti_put_u8(record, 5, 1);
    cupti_put_u8(record, 6, 3);
    cupti_put_u64(record, 8, UINT64_C(1) << 40);
    cupti_put_u64(record, 16, SCENE_AT(-5)); /* begun before the recording */
    cupti_put_u64(record, 24, SCENE_AT(5));
    cupti_put_u32(record, 32, 2);
    cupti_put_u32(record, 40, 13);
    return record;
}

static void copies_in(scene *self, cupti_layout layout)
{
    unsigned char *record = copy_record(layout, PS_CUPTI_MEMCPY, 1);
    cupti_put_u32(record, 44, 77);
    scene_decode(self, layout, record);
    assert_int_equal(scene_rows(self), 1);
    assert_cells(self, PS_TABLE_MEMCPY, 0, {"start_ns", (uint64_t)-5, ""}, {"dur_ns", 10, ""},
                 {"device", 2, ""}, {"stream", 13, ""}, {"correlation", 77, ""},
                 {"bytes", UINT64_C(1) << 40, ""}, {"kind", PS_COPY_HTOD, ""},
                 {"src", PS_MEMORY_PAGEABLE, ""}, {"dst", PS_MEMORY_DEVICE, ""});
}

static void copies(void **state)
{
    (void)state;
    for_each_layout(copies_in);
}

static void copy_and_memory_kinds(void **state)
{
    (void)state;
    static const uint8_t kinds[] = {PS_COPY_UNKNOWN, PS_COPY_HTOD, PS_COPY_DTOH, PS_COPY_HTOD,
                                    PS_COPY_DTOH,    PS_COPY_DTOD, PS_COPY_DTOD, PS_COPY_DTOD,
                                    PS_COPY_DTOD,    PS_COPY_HTOH, PS_COPY_PTOP, PS_COPY_UNKNOWN};
    static const uint8_t memories[] = {PS_MEMORY_UNKNOWN, PS_MEMORY_PAGEABLE, PS_MEMORY_PINNED,
                                       PS_MEMORY_DEVICE,  PS_MEMORY_ARRAY,    PS_MEMORY_MANAGED,
                                       PS_MEMORY_DEVICE,  PS_MEMORY_MANAGED,  PS_MEMORY_UNKNOWN};
    scene self;
    scene_open(&self);
    for (uint8_t i = 0; i < sizeof kinds; i++) {
        const uint8_t memory = i < sizeof memories ? i : 255;
        unsigned char *record = copy_record(CUPTI_13, PS_CUPTI_MEMCPY, i);
        cupti_put_u8(record, 5, memory);
        cupti_put_u8(record, 6, memory);
        scene_decode(&self, CUPTI_13, record);
        assert_int_equal(self.chunk->memcpy.kind[i], kinds[i]);
        assert_int_equal(self.chunk->memcpy.src[i], memory == 255 ? 0 : memories[memory]);
        assert_int_equal(self.chunk->memcpy.dst[i], memory == 255 ? 0 : memories[memory]);
    }
    scene_close(&self);
}

static void peer_copy(scene *self, cupti_layout layout, uint32_t from, uint32_t to)
{
    unsigned char *record = copy_record(layout, PS_CUPTI_MEMCPY2, 10);
    cupti_put_u8(record, 5, 3);
    cupti_put_u32(record, 44, from);
    cupti_put_u32(record, 52, to);
    cupti_put_u32(record, 60, 78);
    scene_decode(self, layout, record);
}

static void peer_copies_in(scene *self, cupti_layout layout)
{
    static const uint32_t ends[][3] = {{2, 5, 6}, {5, 2, 6}, {2, 0, 1}, {2, 2, 3}};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        peer_copy(self, layout, ends[i][0], ends[i][1]);
        assert_cells(self, PS_TABLE_MEMCPY, i, {"start_ns", (uint64_t)-5, ""}, {"dur_ns", 10, ""},
                     {"device", 2, ""}, {"stream", 13, ""}, {"correlation", 78, ""},
                     {"bytes", UINT64_C(1) << 40, ""}, {"kind", PS_COPY_PTOP, ""},
                     {"src", PS_MEMORY_DEVICE, ""}, {"dst", PS_MEMORY_DEVICE, ""},
                     {"peer", ends[i][2], ""});
    }
}

static void peer_copies_name_the_other_device(void **state)
{
    (void)state;
    for_each_layout(peer_copies_in);
}

static void fills_in(scene *self, cupti_layout layout)
{
    unsigned char *record = scene_record(layout, PS_CUPTI_MEMSET);
    cupti_put_u64(record, 8, 4096);
    cupti_put_u64(record, 16, SCENE_AT(7));
    cupti_put_u64(record, 24, SCENE_AT(9));
    cupti_put_u32(record, 32, 1);
    cupti_put_u32(record, 40, 20);
    cupti_put_u32(record, 44, 55);
    scene_decode(self, layout, record);
    assert_int_equal(scene_rows(self), 1);
    assert_cells(self, PS_TABLE_MEMSET, 0, {"start_ns", 7, ""}, {"dur_ns", 2, ""},
                 {"device", 1, ""}, {"stream", 20, ""}, {"correlation", 55, ""},
                 {"bytes", 4096, ""});
}

static void fills(void **state)
{
    (void)state;
    for_each_layout(fills_in);
}

static unsigned char *memory_record(cupti_layout layout, uint32_t operation, uint8_t is_async)
{
    unsigned char *record = scene_record(layout, PS_CUPTI_MEMORY2);
    cupti_put_u32(record, 4, operation);
    cupti_put_u32(record, 8, 3);
    cupti_put_u32(record, 12, 31);
    cupti_put_u64(record, 16, UINT64_C(0x7f0000000000));
    cupti_put_u64(record, 24, 2097152);
    cupti_put_u64(record, 32, SCENE_AT(400));
    cupti_put_u32(record, 52, 6);
    cupti_put_u32(record, 60, 14);
    cupti_put_u32(record, 72, is_async);
    cupti_put_u64(record, 88, UINT64_C(0x5500000000));
    return record;
}

static void driver_memory_in(scene *self, cupti_layout layout)
{
    scene_decode(self, layout, memory_record(layout, 1, 0));
    scene_decode(self, layout, memory_record(layout, 2, 1));
    assert_int_equal(scene_rows(self), 2);
    assert_cells(self, PS_TABLE_DRIVER_MEMORY, 0, {"time_ns", 400, ""},
                 {"action", PS_DRIVER_ALLOC, ""}, {"kind", PS_MEMORY_DEVICE, ""}, {"device", 6, ""},
                 {"bytes", 2097152, ""}, {"addr", UINT64_C(0x7f0000000000), ""},
                 {"stream", UINT64_MAX, ""}, {"correlation", 31, ""});
    assert_cells(self, PS_TABLE_DRIVER_MEMORY, 1, {"time_ns", 400, ""},
                 {"action", PS_DRIVER_FREE, ""}, {"kind", PS_MEMORY_DEVICE, ""}, {"device", 6, ""},
                 {"bytes", 2097152, ""}, {"addr", UINT64_C(0x7f0000000000), ""}, {"stream", 14, ""},
                 {"correlation", 31, ""}, {"pool", UINT64_C(0x5500000000), ""});
}

static void driver_memory(void **state)
{
    (void)state;
    for_each_layout(driver_memory_in);
}

static void devices_in(scene *self, cupti_layout layout)
{
    unsigned char *record = scene_record(layout, PS_CUPTI_DEVICE);
    cupti_put_u64(record, 16, UINT64_C(85899345920));
    cupti_put_u32(record, 36, 1980000); /* [kHz] */
    cupti_put_u32(record, 44, 132);
    cupti_put_u32(record, 104, 9);
    cupti_put_u32(record, 108, 1);
    cupti_put_u32(record, 112, 5);
    cupti_put_text(record, 136, "some device");
    scene_decode(self, layout, record);
    assert_int_equal(scene_rows(self), 1);
    assert_cells(self, PS_TABLE_DEVICE, 0, {"device", 5, ""}, {"kind", PS_DEVICE_CUDA, ""},
                 {"name", 0, "some device"}, {"memory_bytes", UINT64_C(85899345920), ""},
                 {"sm_count", 132, ""}, {"cc_major", 9, ""}, {"cc_minor", 1, ""});
    assert_string_equal(ps_trace_meta(self->chunk, "device-5-core-clock-hz"), "1980000000");
}

static void devices(void **state)
{
    (void)state;
    for_each_layout(devices_in);
}

/* ---- external correlation ---- */

static void external(scene *self, cupti_layout layout, uint64_t id, uint32_t correlation)
{
    unsigned char *record = scene_record(layout, PS_CUPTI_EXTERNAL_CORRELATION);
    cupti_put_u64(record, 8, id);
    cupti_put_u32(record, 16, correlation);
    scene_decode(self, layout, record);
}

static void external_ids_in(scene *self, cupti_layout layout)
{
    external(self, layout, 1000, 99);
    external(self, layout, UINT64_C(1) << 50, 77);
    external(self, layout, 5, 78);
    scene_decode(self, layout, kernel_record(layout, "k"));
    unsigned char *record = copy_record(layout, PS_CUPTI_MEMCPY, 1);
    cupti_put_u32(record, 44, 77);
    scene_decode(self, layout, record);
    peer_copy(self, layout, 0, 1);
    record = scene_record(layout, PS_CUPTI_MEMSET);
    cupti_put_u64(record, 16, SCENE_AT(7));
    cupti_put_u64(record, 24, SCENE_AT(9));
    cupti_put_u32(record, 44, 79); /* nobody's */
    scene_decode(self, layout, record);
    external(self, layout, 6, 4294967295u);
    call(self, layout, PS_CUPTI_RUNTIME, 211);
    assert_int_equal(self->chunk->kernel.op_id[0], 1000);
    assert_true(self->chunk->memcpy.op_id[0] == UINT64_C(1) << 50);
    assert_int_equal(self->chunk->memcpy.op_id[1], 5);
    assert_int_equal(self->chunk->memset.op_id[0], 0);
    assert_int_equal(self->chunk->call.op_id[0], 6);
}

static void external_ids_reach_calls_and_work(void **state)
{
    (void)state;
    for_each_layout(external_ids_in);
}

static void old_external_ids_are_forgotten_and_not_mixed_up(void **state)
{
    (void)state;
    scene self;
    scene_open(&self);
    for (uint32_t i = 0; i < 70000; i++) {
        external(&self, CUPTI_13, i % 3 == 0 ? 500000 : i, i % 3 == 0 ? 0 : i);
    }
    for (uint32_t i = 1; i < 70000; i += 1) {
        unsigned char *record = copy_record(CUPTI_13, PS_CUPTI_MEMCPY, 1);
        cupti_put_u32(record, 44, i);
        scene_decode(&self, CUPTI_13, record);
        const uint64_t op = self.chunk->memcpy.op_id[i - 1];
        const bool is_known = i % 3 != 0 && i >= 70000 - 65536;
        assert_true(op == (is_known ? i : 0));
    }
    scene_close(&self);
}

/* ---- what cannot be a record ---- */

static void short_records_are_counted(void **state)
{
    (void)state;
    uint64_t expected = 0;
    scene self;
    scene_open(&self);
#define X(symbol, kind, least)                                         \
    {                                                                  \
        unsigned char record[256] = {(kind)};                          \
        for (size_t bytes = 4; bytes < (least); bytes++, expected++) { \
            scene_decode_bytes(&self, record, bytes);                  \
        }                                                              \
    }
    PS_CUPTI_KINDS(X)
#undef X
    assert_int_equal(scene_rows(&self), 0);
    assert_int_equal(scene_loss(&self, "malformed-events"), expected);
    assert_int_equal(self.chunk->loss.head.count, 1);
    scene_close(&self);
}

static void unknown_kinds_are_counted(void **state)
{
    (void)state;
    uint64_t expected = 0;
    unsigned char record[256];
    scene self;
    scene_open(&self);
    memset(record, 0xa5, sizeof record);
    for (uint32_t kind = 0; kind < 300; kind++) {
        const bool is_known = cupti_record_bytes(CUPTI_13, kind) > 0;
        cupti_put_u32(record, 0, kind < 299 ? kind : UINT32_MAX);
        if (!is_known) {
            scene_decode_bytes(&self, record, sizeof record);
            expected++;
        }
    }
    for (size_t bytes = 0; bytes < 4; bytes++, expected++) {
        scene_decode_bytes(&self, record, bytes);
    }
    assert_int_equal(scene_rows(&self), 0);
    assert_int_equal(scene_loss(&self, "unknown-categories"), expected);
    assert_int_equal(self.chunk->loss.head.count, 1);
    scene_close(&self);
}

static void memory_operations_of_no_known_type_are_malformed(void **state)
{
    (void)state;
    scene self;
    scene_open(&self);
    scene_decode(&self, CUPTI_13, memory_record(CUPTI_13, 0, 0));
    scene_decode(&self, CUPTI_13, memory_record(CUPTI_13, 3, 0));
    assert_int_equal(scene_rows(&self), 0);
    assert_int_equal(scene_loss(&self, "malformed-events"), 2);
    scene_close(&self);
}

/* Where a kind has its times. */
static const struct {
    uint32_t kind;
    unsigned start_at, end_at; /* equal: one time only */
} times[] = {
    {PS_CUPTI_RUNTIME, 8, 16},   {PS_CUPTI_CONCURRENT_KERNEL, 16, 24},
    {PS_CUPTI_MEMCPY, 16, 24},   {PS_CUPTI_MEMCPY2, 16, 24},
    {PS_CUPTI_MEMSET, 16, 24},   {PS_CUPTI_SYNCHRONIZATION, 8, 16},
    {PS_CUPTI_OVERHEAD, 24, 32}, {PS_CUPTI_MEMORY2, 32, 32},
    {PS_CUPTI_MARKER, 8, 8},
};

static void put_times(scene *self, size_t i, cupti_layout layout, uint64_t start, uint64_t end)
{
    unsigned char *record = scene_record(layout, times[i].kind);
    cupti_put_u32(record, 4, 1);
    cupti_put_u64(record, times[i].end_at, end);
    cupti_put_u64(record, times[i].start_at, start);
    if (times[i].kind == PS_CUPTI_CONCURRENT_KERNEL) {
        cupti_put_text(record, 104, "k");
    } else if (times[i].kind == PS_CUPTI_MARKER) {
        cupti_put_text(record, 40, "m");
    } else if (times[i].kind == PS_CUPTI_SYNCHRONIZATION) {
        cupti_put_u32(record, 36, PS_CUPTI_NO_ID);
    }
    scene_decode(self, layout, record);
}

static void times_that_cannot_be_are_counted(void **state)
{
    (void)state;
    static const uint64_t max = INT64_MAX;
    for (cupti_layout layout = CUPTI_11; layout <= CUPTI_13; layout++) {
        for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
            const bool has_end = times[i].start_at != times[i].end_at;
            scene self;
            scene_open(&self);
            put_times(&self, i, layout, 0, has_end ? SCENE_AT(5) : 0);
            put_times(&self, i, layout, max + 1, max + 1);
            put_times(&self, i, layout, UINT64_MAX, UINT64_MAX);
            uint64_t expected = 3;
            if (has_end) {
                put_times(&self, i, layout, SCENE_AT(5), SCENE_AT(4));
                put_times(&self, i, layout, SCENE_AT(5), 0);
                put_times(&self, i, layout, 1, max + 1);
                put_times(&self, i, layout, 0, 0);
                expected = 7;
            }
            assert_int_equal(scene_rows(&self), 0);
            assert_int_equal(scene_loss(&self, "missing-timestamps"), expected);
            put_times(&self, i, layout, 1, has_end ? max : 1); /* the widest that can be */
            assert_int_equal(scene_rows(&self), 1);
            assert_int_equal(self.chunk->loss.head.count, 1);
            scene_close(&self);
        }
    }
}

/* ---- texts ---- */

static void a_new_chunk_gets_its_own_texts(void **state)
{
    (void)state;
    scene self;
    scene_open(&self);
    for (int round = 0; round < 3; round++) {
        scene_decode(&self, CUPTI_13, kernel_record(CUPTI_13, round == 1 ? "second" : "first"));
        scene_decode(&self, CUPTI_13, kernel_record(CUPTI_13, "first"));
        const ps_trace *chunk = self.chunk;
        assert_string_equal(ps_strings_text(chunk->strings, chunk->kernel.name[0]),
                            round == 1 ? "second" : "first");
        assert_string_equal(ps_strings_text(chunk->strings, chunk->kernel.name[1]), "first");
        assert_string_equal(ps_strings_text(chunk->strings, chunk->kernel.launch[1]),
                            "11,12,13|21,22,23|300|5120");
        ps_table_clear(ps_trace_table(self.chunk, PS_TABLE_KERNEL));
        ps_strings_clear(self.chunk->strings);
        ps_decoder_new_chunk(self.decoder);
    }
    scene_close(&self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls),
        cmocka_unit_test(kernels),
        cmocka_unit_test(copies),
        cmocka_unit_test(copy_and_memory_kinds),
        cmocka_unit_test(peer_copies_name_the_other_device),
        cmocka_unit_test(fills),
        cmocka_unit_test(driver_memory),
        cmocka_unit_test(devices),
        cmocka_unit_test(external_ids_reach_calls_and_work),
        cmocka_unit_test(old_external_ids_are_forgotten_and_not_mixed_up),
        cmocka_unit_test(short_records_are_counted),
        cmocka_unit_test(unknown_kinds_are_counted),
        cmocka_unit_test(memory_operations_of_no_known_type_are_malformed),
        cmocka_unit_test(times_that_cannot_be_are_counted),
        cmocka_unit_test(a_new_chunk_gets_its_own_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
