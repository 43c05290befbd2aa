/* SPDX-License-Identifier: MIT
 *
 * Names of calls lose their version, once, and are asked for once.
 */
#include "support/test.h"

#include <string.h>

#include "call_names.h"

static void suffixes_are_stripped(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"cudaMalloc_v3020", "cudaMalloc"},
        {"cuMemAlloc_v2", "cuMemAlloc"},
        {"cudaLaunchKernel_ptsz_v7000", "cudaLaunchKernel"},
        {"cudaMemcpy_ptds_v7000", "cudaMemcpy"},
        {"cuLaunchKernel_ptsz", "cuLaunchKernel"},
        {"cuMemcpy_ptds", "cuMemcpy"},
        {"cuMemcpyHtoDAsync_v2_ptsz", "cuMemcpyHtoDAsync"},
        {"cuMemcpyHtoD_v2_ptds", "cuMemcpyHtoD"},
        {"cuLaunchKernel", "cuLaunchKernel"},
        {"cudaGraphLaunch_v10000", "cudaGraphLaunch"},
        {"cudaDeviceReset", "cudaDeviceReset"},
        {"some_value", "some_value"},
        {"some_v", "some_v"},
        {"some_v2x", "some_v2x"},
        {"some_", "some_"},
        {"_ptsz", "_ptsz"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        char out[PS_CALL_NAME_BYTES];
        ps_call_name_strip(pairs[i][0], out);
        assert_string_equal(out, pairs[i][1]);
    }
}

static void long_names_are_cut_not_overrun(void **state)
{
    (void)state;
    char name[200], out[PS_CALL_NAME_BYTES];
    memset(name, 'a', sizeof name);
    for (size_t bytes = 50; bytes < sizeof name; bytes++) {
        name[bytes] = '\0';
        memset(out, 'x', sizeof out);
        ps_call_name_strip(name, out);
        assert_int_equal(strlen(out), bytes < sizeof out ? bytes : sizeof out - 1);
        name[bytes] = 'a';
    }
}

static int asked;

static int callback_name(uint32_t domain, uint32_t id, const char **name)
{
    asked++;
    if (id == 13) {
        return 1; /* name untouched */
    }
    *name = domain == PS_CUPTI_DOMAIN_RUNTIME ? "cudaMalloc_v3020" : "cuMemAlloc_v2";
    return PS_CUPTI_SUCCESS;
}

static void names_are_asked_for_once(void **state)
{
    (void)state;
    static ps_call_names names;
    const ps_cupti_api cupti = {.get_callback_name = callback_name};
    names = (ps_call_names){.cupti = &cupti};
    asked = 0;
    const char *first = ps_call_names_get(&names, PS_API_RUNTIME, 20);
    assert_string_equal(first, "cudaMalloc");
    assert_ptr_equal(ps_call_names_get(&names, PS_API_RUNTIME, 20), first);
    assert_string_equal(ps_call_names_get(&names, PS_API_DRIVER, 20), "cuMemAlloc");
    assert_string_equal(ps_call_names_get(&names, PS_API_DRIVER, PS_CALL_NAME_IDS - 1),
                        "cuMemAlloc");
    assert_int_equal(asked, 3);
    assert_string_equal(ps_call_names_get(&names, PS_API_RUNTIME, 13), "runtime call 13");
    assert_string_equal(ps_call_names_get(&names, PS_API_RUNTIME, PS_CALL_NAME_IDS),
                        "unknown call");
    assert_string_equal(ps_call_names_get(&names, PS_API_DRIVER, UINT32_MAX), "unknown call");
}

static void without_the_function_ids_stand_for_names(void **state)
{
    (void)state;
    static ps_call_names names;
    static const ps_cupti_api cupti;
    names = (ps_call_names){.cupti = &cupti};
    assert_string_equal(ps_call_names_get(&names, PS_API_RUNTIME, 211), "runtime call 211");
    assert_string_equal(ps_call_names_get(&names, PS_API_DRIVER, 307), "driver call 307");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(suffixes_are_stripped),
        cmocka_unit_test(long_names_are_cut_not_overrun),
        cmocka_unit_test(names_are_asked_for_once),
        cmocka_unit_test(without_the_function_ids_stand_for_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
