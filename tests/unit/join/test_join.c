/* SPDX-License-Identifier: MIT
 *
 * Joining what one process left: facts, clocks, threads, history parts,
 * collectives, and what happens when a part is damaged or missing.
 */
#include "support/test.h"

#include <string.h>
#include <unistd.h>

#include "join.h"
#include "make_parts.h"
#include "trace/check.h"

#define PID 4711
#define BASE_US UINT64_C(1000000000000000)
#define ADDR UINT64_C(0x7f0000000000)
#define SEGMENT ((uint64_t)2 << 20)

static ps_trace *join(const char *folder)
{
    ps_error err = {0};
    ps_trace *trace = NULL;
    assert_ok(&err, ps_join_process(folder, PID, &trace, &err));
    assert_ok(&err, ps_trace_check(trace, NULL, NULL, NULL, &err));
    return trace;
}

static void done(const char *folder, ps_trace *trace)
{
    ps_trace_destroy(trace);
    ps_join_remove(folder);
    assert_int_not_equal(access(folder, F_OK), 0);
}

static uint64_t loss(const ps_trace *trace, const char *name)
{
    for (size_t i = 0; i < trace->loss.head.count; i++) {
        if (strcmp(ps_strings_text(trace->strings, trace->loss.name[i]), name) == 0) {
            return trace->loss.count[i];
        }
    }
    return 0;
}

static void clocks_are_joined_by_segments(void **state)
{
    (void)state;
    const char *folder = parts_folder();
    ps_trace *device = parts_device(PID);
    /* the call returns at 1.1 ms; the allocator's clock is 5 ms ahead and a microsecond later */
    parts_driver_alloc(device, 1000000, 100000, ADDR, SEGMENT, 1);
    parts_write_device(folder, PID, device, true);
    const history_entry entries[] = {
        {"segment_alloc", ADDR, SEGMENT, BASE_US + 6101},
        {"alloc", ADDR, 512, BASE_US + 6102},
        {"free_requested", ADDR, 512, BASE_US + 6150},
        {"free_completed", ADDR, 512, BASE_US + 6150},
    };
    parts_write_history(folder, PID, 0, entries, 4);
    ps_trace *trace = join(folder);
    assert_string_equal(ps_trace_meta(trace, PS_META_JOIN_PAIRS), "1");
    assert_string_equal(ps_trace_meta(trace, PS_META_JOIN_UNSEEN), "0");
    assert_string_equal(ps_trace_meta(trace, PS_META_JOIN_OFFSET), "5001000");
    assert_string_equal(ps_trace_meta(trace, PS_META_ENDED), "by-itself");
    assert_string_equal(ps_trace_meta(trace, PS_META_MEMORY_SOURCE), "allocator");
    assert_int_equal(trace->memory.head.count, 3); /* free requested and completed are one */
    assert_int_equal(trace->memory.time_ns[0], 1100000);
    assert_int_equal(trace->memory.time_ns[1], 1101000);
    assert_int_equal(trace->memory.tid[1], 77);
    assert_int_equal(trace->segment.head.count, 1);
    done(folder, trace);
}

static void small_distances_are_left_alone(void **state)
{
    (void)state;
    const char *folder = parts_folder();
    ps_trace *device = parts_device(PID);
    parts_driver_alloc(device, 1000000, 100000, ADDR, SEGMENT, 1);
    parts_write_device(folder, PID, device, true);
    const history_entry entries[] = {{"segment_alloc", ADDR, SEGMENT, BASE_US + 1101}};
    parts_write_history(folder, PID, 0, entries, 1);
    ps_trace *trace = NULL;
    ps_error err = {0};
    assert_ok(&err, ps_join_process(folder, PID, &trace, &err));
    assert_string_equal(ps_trace_meta(trace, PS_META_JOIN_OFFSET), "0");
    assert_int_equal(trace->memory.time_ns[0], 1101000);
    done(folder, trace);
}

static void parts_follow_one_another(void **state)
{
    (void)state;
    const char *folder = parts_folder();
    parts_write_device(folder, PID, parts_device(PID), true);
    const history_entry first[] = {
        {"segment_alloc", ADDR, SEGMENT, BASE_US + 1},
        {"alloc", ADDR, 512, BASE_US + 2},
        {"free_requested", ADDR, 512, BASE_US + 3},
    };
    const history_entry second[] = {
        {"free_completed", ADDR, 512, BASE_US + 4},
        {"alloc", ADDR, 1024, BASE_US + 5},
        {"free_requested", ADDR, 1024, BASE_US + 6},
        {"free_completed", ADDR, 1024, BASE_US + 6},
    };
    parts_write_history(folder, PID, 0, first, 3);
    parts_write_history(folder, PID, 1, second, 4);
    ps_trace *trace = join(folder);
    static const ps_memory_action expected[] = {PS_ACTION_SEGMENT_ALLOC, PS_ACTION_ALLOC,
                                                PS_ACTION_FREE, PS_ACTION_ALLOC, PS_ACTION_FREE};
    assert_int_equal(trace->memory.head.count, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(trace->memory.action[i], expected[i]);
    }
    assert_int_equal(trace->segment.head.count, 1);
    assert_string_equal(ps_trace_meta(trace, PS_META_JOIN_UNSEEN), "1");
    assert_int_equal(loss(trace, "frees-of-older-blocks"), 0);
    done(folder, trace);
}

static void damaged_parts_are_counted(void **state)
{
    (void)state;
    const char *folder = parts_folder();
    parts_write_device(folder, PID, parts_device(PID), false);
    const history_entry entries[] = {{"segment_alloc", ADDR, SEGMENT, BASE_US + 1}};
    parts_write_text(folder, "4711.history.000000.pickle", "\x80\x02}(X\x08");
    parts_write_history(folder, PID, 1, entries, 1);
    ps_trace *trace = join(folder);
    assert_int_equal(loss(trace, "damaged-parts"), 1);
    assert_int_equal(trace->memory.head.count, 1);
    assert_string_equal(ps_trace_meta(trace, PS_META_ENDED), "killed");
    done(folder, trace);
}

static void a_program_without_allocator_uses_the_drivers(void **state)
{
    (void)state;
    const char *folder = parts_folder();
    ps_trace *device = parts_device(PID);
    parts_driver_alloc(device, 1000, 100, ADDR, 4096, 1);
    parts_driver_alloc(device, 3000, 100, ADDR + 4096, 8192, 2);
    device->driver_memory.kind[1] = PS_MEMORY_PINNED;
    parts_write_device(folder, PID, device, true);
    ps_trace *trace = join(folder);
    assert_string_equal(ps_trace_meta(trace, PS_META_MEMORY_SOURCE), "driver");
    assert_int_equal(trace->memory.head.count, 1);
    assert_int_equal(trace->memory.bytes[0], 4096);
    assert_int_equal(trace->driver_memory.head.count, 2);
    done(folder, trace);
}

static size_t add_kernel(ps_trace *trace, const char *name, ps_ns launched, uint64_t correlation)
{
    ps_error err = {0};
    size_t row, call;
    assert_ok(&err, ps_trace_add(trace, PS_TABLE_CALL, &call, &err));
    trace->call.start_ns[call] = launched;
    trace->call.correlation[call] = correlation;
    assert_ok(&err, ps_trace_add(trace, PS_TABLE_KERNEL, &row, &err));
    trace->kernel.start_ns[row] = launched + 5000;
    trace->kernel.dur_ns[row] = 1000;
    trace->kernel.correlation[row] = correlation;
    assert_ok(&err, ps_strings_put_z(trace->strings, name, &trace->kernel.name[row], &err));
    return row;
}

static void names_are_demangled_and_collectives_known(void **state)
{
    (void)state;
    const char *folder = parts_folder();
    ps_trace *device = parts_device(PID);
    (void)add_kernel(device, "_ZN2at6native6kernelIfEEvv", 10000, 1);
    (void)add_kernel(device, "ncclDevKernel_AllReduce_Sum_f32_RING_LL(ncclDevKernelArgs)", 20000,
                     2);
    (void)add_kernel(device, "ncclDevKernel_AllGather_RING_LL(ncclDevKernelArgs)", 30000, 3);
    parts_write_device(folder, PID, device, true);
    parts_write_text(
        folder, "4711.collectives.json",
        "{\"version\": \"2.4\", \"entries\": ["
        "{\"profiling_name\": \"nccl:all_reduce\", \"process_group\": [\"0\", \"default\"],"
        " \"collective_seq_id\": 8, \"time_created_ns\": 1000000000000019000,"
        " \"input_sizes\": [[4, 8]], \"output_sizes\": [[4, 8]], \"input_dtypes\": [\"Float\"]},"
        "{\"profiling_name\": \"nccl:_all_gather_base\", \"process_group\": [\"1\", \"dp\"],"
        " \"collective_seq_id\": 3, \"time_created_ns\": 1000000000000028000,"
        " \"input_sizes\": [[16]], \"output_sizes\": [[32]], \"input_dtypes\": [\"BFloat16\"]},"
        "{\"profiling_name\": \"nccl:_all_gather_base\", \"process_group\": [\"1\", \"dp\"],"
        " \"collective_seq_id\": 4, \"time_created_ns\": 1000000000000029000,"
        " \"input_sizes\": [[1]], \"output_sizes\": [[2]], \"input_dtypes\": [\"BFloat16\"]}]}");
    ps_trace *trace = join(folder);
    assert_string_equal(ps_strings_text(trace->strings, trace->kernel.name[0]),
                        "void at::native::kernel<float>()");
    const ps_collective_table *collective = &trace->collective;
    assert_int_equal(collective->head.count, 2);
    assert_string_equal(ps_strings_text(trace->strings, collective->kind[0]), "all-reduce");
    assert_int_equal(collective->elements_in[0], 32);
    assert_int_equal(collective->sequence[0], 9);
    assert_string_equal(ps_strings_text(trace->strings, collective->dtype[0]), "Float");
    assert_string_equal(ps_strings_text(trace->strings, collective->kind[1]), "all-gather");
    assert_int_equal(collective->elements_in[1], 17); /* a coalesced pair */
    assert_int_equal(collective->elements_out[1], 34);
    assert_string_equal(ps_strings_text(trace->strings, collective->group[1]), "1");
    done(folder, trace);
}

static void facts_and_losses_of_chunks_add_up(void **state)
{
    (void)state;
    ps_error err = {0};
    const char *folder = parts_folder();
    ps_trace *device = parts_device(PID);
    size_t row;
    for (int i = 0; i < 2; i++) {
        assert_ok(&err, ps_trace_add(device, PS_TABLE_META, &row, &err));
        assert_ok(&err, ps_strings_put_z(device->strings, "steps", &device->meta.key[row], &err));
        assert_ok(&err, ps_strings_put_z(device->strings, i == 0 ? "1" : "2",
                                         &device->meta.value[row], &err));
        assert_ok(&err, ps_trace_add(device, PS_TABLE_LOSS, &row, &err));
        assert_ok(&err, ps_strings_put_z(device->strings, "dropped-records",
                                         &device->loss.name[row], &err));
        device->loss.count[row] = 5;
        assert_ok(&err, ps_trace_add(device, PS_TABLE_DEVICE, &row, &err));
    }
    parts_write_device(folder, PID, device, true);
    ps_trace *trace = join(folder);
    assert_string_equal(ps_trace_meta(trace, "steps"), "2");
    assert_int_equal(loss(trace, "dropped-records"), 10);
    assert_int_equal(trace->device.head.count, 1);
    done(folder, trace);
}

static void the_folder_is_listed_and_foreign_files_stay(void **state)
{
    (void)state;
    ps_error err = {0};
    pid_t *pids;
    size_t count;
    const char *folder = parts_folder();
    parts_write_device(folder, 12, parts_device(12), true);
    parts_write_device(folder, 5, parts_device(5), true);
    parts_write_text(folder, "7.device.pstrace", ""); /* killed before its beginning */
    parts_write_text(folder, "notes.txt", "mine");
    assert_ok(&err, ps_join_list(folder, &pids, &count, &err));
    assert_int_equal(count, 2);
    assert_int_equal(pids[0], 5);
    assert_int_equal(pids[1], 12);
    free(pids);
    ps_join_remove(folder);
    assert_int_equal(access(folder, F_OK), 0);
    char notes[512];
    (void)snprintf(notes, sizeof notes, "%s/notes.txt", folder);
    assert_int_equal(unlink(notes), 0);
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clocks_are_joined_by_segments),
        cmocka_unit_test(small_distances_are_left_alone),
        cmocka_unit_test(parts_follow_one_another),
        cmocka_unit_test(damaged_parts_are_counted),
        cmocka_unit_test(a_program_without_allocator_uses_the_drivers),
        cmocka_unit_test(names_are_demangled_and_collectives_known),
        cmocka_unit_test(facts_and_losses_of_chunks_add_up),
        cmocka_unit_test(the_folder_is_listed_and_foreign_files_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
