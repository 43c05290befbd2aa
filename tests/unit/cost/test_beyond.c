/* SPDX-License-Identifier: MIT
 *
 * Memory that no tensor is in.
 */
#include "support/test.h"

#include <string.h>

#include "cost/beyond.h"

#define MIB (UINT64_C(1) << 20)

static ps_beyond beyond(const char *gpu, const ps_beyond_setup *setup)
{
    ps_error err = {0};
    ps_catalogue *catalogue = NULL;
    ps_hardware_id id;
    ps_beyond out;
    assert_ok(&err, ps_catalogue_create(&catalogue, &err));
    assert_ok(&err, ps_catalogue_find(catalogue, PS_HARDWARE_GPU, gpu, &id, &err));
    assert_ok(&err, ps_beyond_memory(catalogue, id, setup, &out, &err));
    ps_catalogue_destroy(catalogue);
    return out;
}

static void context_and_loading_are_the_gpus(void **state)
{
    (void)state;
    ps_beyond found = beyond("H100", NULL);
    assert_int_equal(found.context_bytes, 534 * MIB);
    assert_int_equal(found.basis, PS_BASIS_MEASURED);
    assert_int_equal(found.collective_bytes, 0);
    found = beyond("NVIDIA GeForce RTX 3060", NULL);
    assert_int_equal(found.loaded_bytes, 18 * MIB);
    assert_int_equal(found.basis, PS_BASIS_GUESSED);
    assert_int_equal(ps_beyond_outside(&found), 318 * MIB);
    assert_int_equal(beyond("rtx4060", NULL).loaded_bytes, 14 * MIB);
    assert_int_equal(beyond("A100-SXM-40", NULL).loaded_bytes, 18 * MIB);
}

/* Software before lazy loading has all code in its context at once. */
static void older_software_loads_everything(void **state)
{
    (void)state;
    const ps_beyond lazy = beyond("rtx3060", &(ps_beyond_setup){.software = "CUDA 12"});
    const ps_beyond eager = beyond("rtx3060", &(ps_beyond_setup){.software = "cuda-11.8"});
    assert_int_equal(eager.context_bytes, lazy.context_bytes + 700000000);
    assert_int_equal(eager.loaded_bytes, 0);
    assert_int_equal(eager.basis, PS_BASIS_GUESSED);
    const ps_beyond newer = beyond("rtx3060", &(ps_beyond_setup){.software = "cuda-13"});
    assert_int_equal(ps_beyond_outside(&newer), ps_beyond_outside(&lazy));
}

static void process_groups_have_buffers(void **state)
{
    (void)state;
    ps_beyond found = beyond("H100", &(ps_beyond_setup){.groups = 1, .group_ranks = 2});
    assert_int_equal(found.collective_bytes, 544000000);
    found = beyond("H100", &(ps_beyond_setup){.groups = 3, .group_ranks = 8});
    assert_int_equal(found.collective_bytes, 3 * UINT64_C(688000000));
    assert_int_equal(
        beyond("H100", &(ps_beyond_setup){.groups = 3, .group_ranks = 1}).collective_bytes, 0);
}

static uint64_t workspace(const char *capability, bool is_wide_rule, const char *config)
{
    ps_error err = {0};
    uint64_t out = 0;
    assert_ok(&err, ps_blas_workspace(capability, is_wide_rule, config, &out, &err));
    return out;
}

static void workspaces_follow_capability_and_setting(void **state)
{
    (void)state;
    assert_int_equal(workspace("8.6", false, NULL), 8519680);
    assert_int_equal(workspace("9.0", false, NULL), 33554432);
    assert_int_equal(workspace("10.0", false, NULL), 8519680);
    assert_int_equal(workspace("10.0", true, ""), 33554432);
    assert_int_equal(workspace("12.0", true, NULL), 33554432);
    assert_int_equal(workspace("8.9", true, NULL), 8519680);
    assert_int_equal(workspace("1.0", true, NULL), 8519680);
    assert_int_equal(workspace("9.0", false, ":4096:2:16:8"), 8519680);
    assert_int_equal(workspace("9.0", false, ":0:0"), 0);
    assert_int_equal(workspace("8.0", false, ":16:8"), 131072);
    ps_beyond found = beyond("H100", NULL);
    assert_int_equal(found.workspace_bytes, 33554432);
    assert_int_equal(found.workspaces, 2); /* forward's thread and backward's */
    assert_int_equal(beyond("B200", NULL).workspace_bytes, 8519680);
    found = beyond("H100", &(ps_beyond_setup){.blas_config = ":0:0"});
    assert_int_equal(found.workspaces, 0);
    found = beyond("H100", &(ps_beyond_setup){.blas_handles = 5});
    assert_int_equal(found.workspaces, 5);
}

/* 8 bytes for 4 KiB: 1152 MiB for the 576 GiB of the blocks of OPT-175B in powers of two. */
static void pinned_host_memory_takes_page_tables(void **state)
{
    (void)state;
    const ps_beyond found = beyond("A100-SXM-80", NULL);
    assert_int_equal(ps_beyond_tables(&found, 0), 0);
    assert_int_equal(ps_beyond_tables(&found, 1), 8);
    assert_int_equal(ps_beyond_tables(&found, 4096), 8);
    assert_int_equal(ps_beyond_tables(&found, 4097), 16);
    assert_int_equal(ps_beyond_tables(&found, UINT64_C(589824) * MIB), 1152 * MIB);
    assert_int_equal(ps_beyond_tables(&found, UINT64_MAX), UINT64_C(1) << 55);
    const ps_beyond other = beyond("MI300X", &(ps_beyond_setup){.software = "rocm-6"});
    assert_int_equal(ps_beyond_tables(&other, MIB), 0);
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"4096",
                                      ":4096",
                                      ":4096:",
                                      ":a:b",
                                      ":1:2x",
                                      "::",
                                      ":-1:2",
                                      ":18446744073709551615:18446744073709551615",
                                      ":99999999999999999999:1"};
    ps_error err = {0};
    uint64_t bytes = 77;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(ps_blas_workspace("8.0", false, bad[i], &bytes, &err), PS_USAGE);
        assert_int_equal(bytes, 77);
        assert_non_null(strstr(err.message, "CUBLAS_WORKSPACE_CONFIG"));
    }
    ps_catalogue *catalogue = NULL;
    ps_hardware_id id;
    ps_beyond out;
    assert_ok(&err, ps_catalogue_create(&catalogue, &err));
    assert_ok(&err, ps_catalogue_find(catalogue, PS_HARDWARE_GPU, "T4", &id, &err));
    const ps_beyond_setup setup = {.software = "cuda-99"};
    assert_int_equal(ps_beyond_memory(catalogue, id, &setup, &out, &err), PS_NOT_FOUND);
    assert_non_null(strstr(err.message, "cuda-99"));
    ps_catalogue_destroy(catalogue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(context_and_loading_are_the_gpus),
        cmocka_unit_test(older_software_loads_everything),
        cmocka_unit_test(process_groups_have_buffers),
        cmocka_unit_test(workspaces_follow_capability_and_setting),
        cmocka_unit_test(pinned_host_memory_takes_page_tables),
        cmocka_unit_test(nonsense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
