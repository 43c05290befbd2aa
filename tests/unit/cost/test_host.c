/* SPDX-License-Identifier: MIT
 *
 * Host time of launches, and the launches of multi-tensor calls against a walk
 * over every chunk as PyTorch does it.
 */
#include "support/test.h"

#include "cost/host.h"

static void host_time_is_recorded_over_the_profilers_part(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_catalogue *catalogue = NULL;
    ps_hardware_id id;
    ps_cost_host host;
    assert_ok(&err, ps_catalogue_create(&catalogue, &err));
    assert_ok(&err, ps_catalogue_find(catalogue, PS_HARDWARE_HOST, "host-server", &id, &err));
    assert_ok(&err, ps_cost_host_read(catalogue, id, &host, &err));
    assert_int_equal(host.launch_ns[PS_COST_FORWARD], 9450);
    assert_int_equal(ps_cost_host_ns(&host, PS_COST_FORWARD, 1000), 9450000);
    assert_int_equal(ps_cost_host_ns(&host, PS_COST_BACKWARD, 0), 0);
    assert_int_equal(ps_cost_host_ns(&host, PS_COST_OPTIMIZER, UINT64_MAX), PS_TIME_NEVER);
    assert_int_equal(host.dispatch_ns, 8000);
    assert_int_equal(ps_cost_dispatch_ns(&host, 3), 24000);
    assert_int_equal(ps_cost_dispatch_ns(&host, 0), 0);
    assert_int_equal(ps_cost_dispatch_ns(&host, UINT64_MAX), PS_TIME_NEVER);
    for (uint32_t i = 0; i < ps_catalogue_count(catalogue); i++) {
        if (ps_catalogue_class(catalogue, (ps_hardware_id){i}) == PS_HARDWARE_HOST) {
            assert_ok(&err, ps_cost_host_read(catalogue, (ps_hardware_id){i}, &host, &err));
            assert_in_range(host.launch_ns[PS_COST_FORWARD], 2000, 100000);
            assert_in_range(host.launch_ns[PS_COST_BACKWARD], 2000, 100000);
            assert_in_range(host.launch_ns[PS_COST_OPTIMIZER], 2000, 100000);
        }
    }
    /* a GPU has no such figures */
    assert_ok(&err, ps_catalogue_find(catalogue, PS_HARDWARE_GPU, "H200", &id, &err));
    assert_int_equal(ps_cost_host_read(catalogue, id, &host, &err), PS_NOT_FOUND);
    ps_catalogue_destroy(catalogue);
}

static uint64_t launches_of(const ps_cost_foreach *call)
{
    ps_error err = {0};
    uint64_t out = 0;
    assert_ok(&err, ps_cost_foreach_launches(call, &out, &err));
    return out;
}

/* Chunk after chunk, with the arrays of one launch filling up. */
static uint64_t walk(const ps_cost_foreach *call, uint64_t most_tensors, uint64_t most_blocks)
{
    uint64_t launches = 0, tensors = 0, blocks = 0;
    for (size_t i = 0; i < call->count; i++) {
        const uint64_t chunks = (call->numel[i] + 65535) / 65536;
        tensors += chunks > 0;
        for (uint64_t chunk = 0; chunk < chunks; chunk++) {
            const bool is_last = chunk + 1 == chunks;
            blocks++;
            if (blocks == most_blocks || (tensors == most_tensors && is_last)) {
                launches++;
                blocks = 0;
                tensors = is_last ? 0 : 1;
            }
        }
    }
    return launches + (blocks > 0);
}

static void launches_follow_from_tensors_and_chunks(void **state)
{
    (void)state;
    static uint64_t ones[300];
    for (size_t i = 0; i < 300; i++) {
        ones[i] = 1;
    }
    const uint64_t large = 320u * 65536u;
    assert_int_equal(launches_of(&(ps_cost_foreach){.numel = ones, .count = 0, .depth = 1}), 0);
    assert_int_equal(launches_of(&(ps_cost_foreach){.numel = ones, .count = 110, .depth = 1}), 1);
    assert_int_equal(launches_of(&(ps_cost_foreach){.numel = ones, .count = 111, .depth = 1}), 2);
    assert_int_equal(launches_of(&(ps_cost_foreach){.numel = ones, .count = 300, .depth = 4}), 9);
    assert_int_equal(launches_of(&(ps_cost_foreach){
                         .numel = ones, .count = 97, .depth = 1, .has_scalars = true}),
                     2);
    assert_int_equal(launches_of(&(ps_cost_foreach){
                         .numel = ones, .count = 300, .depth = 4, .has_large_args = true}),
                     2);
    assert_int_equal(launches_of(&(ps_cost_foreach){.numel = &large, .count = 1, .depth = 2}), 1);
    const uint64_t larger = large + 1;
    assert_int_equal(launches_of(&(ps_cost_foreach){.numel = &larger, .count = 1, .depth = 2}), 2);
}

static void launches_agree_with_a_walk_over_all_chunks(void **state)
{
    (void)state;
    static const uint64_t tensors[] = {110, 64, 48, 36, 30};
    uint64_t seed = 2463534242, numel[200];
    for (int round = 0; round < 400; round++) {
        size_t count = 0;
        for (; count < 200 && seed % 97 != 0; count++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            const uint64_t bits = (seed >> 33) % 27;
            numel[count] = (seed >> 20) % (UINT64_C(1) << bits);
        }
        seed += 77;
        const ps_cost_foreach call = {
            .numel = numel, .count = count, .depth = 1 + (uint32_t)round % 5};
        assert_int_equal(launches_of(&call), walk(&call, tensors[round % 5], 320));
    }
}

static void other_depths_are_refused(void **state)
{
    (void)state;
    uint64_t out = 77;
    ps_error err = {0};
    assert_int_equal(ps_cost_foreach_launches(&(ps_cost_foreach){.depth = 0}, &out, &err),
                     PS_USAGE);
    assert_int_equal(ps_cost_foreach_launches(&(ps_cost_foreach){.depth = 6}, &out, &err),
                     PS_USAGE);
    assert_string_equal(err.message, "multi-tensor calls have 1 to 5 lists, not 6");
    assert_int_equal(out, 77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(host_time_is_recorded_over_the_profilers_part),
        cmocka_unit_test(launches_follow_from_tensors_and_chunks),
        cmocka_unit_test(launches_agree_with_a_walk_over_all_chunks),
        cmocka_unit_test(other_depths_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
