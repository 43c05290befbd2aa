/* SPDX-License-Identifier: MIT
 *
 * PYTORCH_CUDA_ALLOC_CONF: every key, PyTorch's ranges, and clear refusals.
 */
#include <string.h>

#include "alloc_support.h"

static ps_alloc_settings parse(const char *text)
{
    ps_error err = {0};
    ps_alloc_settings settings;
    ps_alloc_settings_init(&settings);
    assert_ok(&err, ps_alloc_settings_parse(&settings, text, &err));
    return settings;
}

static void defaults(void **state)
{
    (void)state;
    const ps_alloc_settings settings = parse("");
    assert_int_equal(settings.max_split_bytes, PS_ALLOC_NO_SPLIT_LIMIT);
    assert_int_equal(settings.large_segment_bytes, 20 * MIB);
    assert_int_equal(settings.max_non_split_rounding_bytes, 20 * MIB);
    assert_true(settings.gc_threshold <= 0.0);
    assert_false(settings.is_expandable);
    assert_string_equal(ps_allocators_default_name(&settings), "native");
}

static void every_key(void **state)
{
    (void)state;
    const ps_alloc_settings settings =
        parse("backend:cudaMallocAsync, max_split_size_mb:64,large_segment_size_mb:32,"
              "max_non_split_rounding_mb:40,garbage_collection_threshold:0.25,"
              "expandable_segments:True,release_lock_on_cudamalloc:True,"
              "pinned_use_cuda_host_register:True,pinned_num_register_threads:8,"
              "pinned_use_background_threads:True,pinned_reserve_segment_size_mb:7,"
              "graph_capture_record_stream_reuse:True,per_process_memory_fraction:0.5,");
    assert_true(settings.is_async_backend);
    assert_int_equal(settings.max_split_bytes, 64 * MIB);
    assert_int_equal(settings.large_segment_bytes, 32 * MIB);
    assert_int_equal(settings.max_non_split_rounding_bytes, 40 * MIB);
    assert_true(settings.gc_threshold > 0.2499 && settings.gc_threshold < 0.2501);
    assert_true(settings.is_expandable);
    assert_true(settings.release_lock_on_malloc);
    assert_true(settings.pinned_use_host_register);
    assert_true(settings.pinned_use_background_threads);
    assert_true(settings.graph_capture_record_stream_reuse);
    assert_int_equal(settings.pinned_register_thread_count, 8);
    assert_int_equal(settings.pinned_reserve_segment_bytes, 7 * MIB);
    assert_true(settings.process_fraction > 0.499 && settings.process_fraction < 0.501);
    assert_string_equal(ps_allocators_default_name(&settings), "expandable");
}

static void check_divisions(const char *text, const uint32_t expected[PS_ALLOC_DIVISION_CLASSES])
{
    const ps_alloc_settings settings = parse(text);
    for (size_t i = 0; i < PS_ALLOC_DIVISION_CLASSES; i++) {
        assert_int_equal(settings.divisions[i], expected[i]);
    }
}

static void both_forms_of_divisions(void **state)
{
    (void)state;
    check_divisions("roundup_power2_divisions:4",
                    (uint32_t[]){4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4});
    /* As PyTorch reports it back: ">" starts at the class named last, overriding it. */
    check_divisions("roundup_power2_divisions:[1:2,4:8,64:16,>:4]",
                    (uint32_t[]){2, 0, 8, 0, 0, 0, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4});
    /* The first entry also serves what is smaller. */
    check_divisions("roundup_power2_divisions:[ 8:2, 65536:1 ]",
                    (uint32_t[]){2, 2, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
    check_divisions("roundup_power2_divisions:[>:8]",
                    (uint32_t[]){8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8});
}

static void single_pairs(void **state)
{
    ps_error err = {0};
    ps_alloc_settings settings;
    (void)state;
    ps_alloc_settings_init(&settings);
    assert_ok(&err, ps_alloc_settings_set(&settings, "max_split_size_mb=128", &err));
    assert_ok(&err, ps_alloc_settings_set(&settings, "expandable_segments:True", &err));
    assert_int_equal(settings.max_split_bytes, 128 * MIB);
    assert_true(settings.is_expandable);
    assert_int_equal(ps_alloc_settings_set(&settings, "backend=native,x:1", &err), PS_USAGE);
}

static void refusals_name_what_is_wrong(void **state)
{
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"speed:9", "\"speed\" is unknown"},
        {"max_split_size_mb:20", "above 20"},
        {"max_split_size_mb:-5", "above 20"},
        {"max_split_size_mb:99999999999999999999", "above 20"},
        {"max_split_size_mb:", "malformed"},
        {"max_split_size_mb", "expected KEY:VALUE"},
        {"large_segment_size_mb:3", "even number"},
        {"large_segment_size_mb:0", "even number"},
        {"max_non_split_rounding_mb:20", "above 20"},
        {"garbage_collection_threshold:1", "between 0 and 1"},
        {"garbage_collection_threshold:0", "between 0 and 1"},
        {"garbage_collection_threshold:nan", "between 0 and 1"},
        {"garbage_collection_threshold:0.5x", "between 0 and 1"},
        {"per_process_memory_fraction:1.5", "between 0 and 1"},
        {"expandable_segments:true", "True or False"},
        {"backend:best", "native or cudaMallocAsync"},
        {"pinned_num_register_threads:3", "power of two"},
        {"pinned_num_register_threads:256", "power of two"},
        {"roundup_power2_divisions:3", "power of two"},
        {"roundup_power2_divisions:[3:2]", "power of two"},
        {"roundup_power2_divisions:[4:3]", "power of two"},
        {"roundup_power2_divisions:[4]", "power of two"},
        {"roundup_power2_divisions:[]", "malformed"},
        {"roundup_power2_divisions:[4:2", "malformed"},
        {"roundup_power2_divisions:4:2]", "malformed"},
        {"roundup_power2_divisions:[[4:2]]", "malformed"},
        {"roundup_power2_divisions:x[4:2]", "malformed"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ps_error err = {0};
        ps_alloc_settings settings = parse("max_split_size_mb:33");
        const ps_alloc_settings before = settings;
        assert_int_equal(ps_alloc_settings_parse(&settings, cases[i].text, &err), PS_USAGE);
        if (strstr(err.message, cases[i].part) == NULL) {
            fail_msg("\"%s\": \"%s\" lacks \"%s\"", cases[i].text, err.message, cases[i].part);
        }
        assert_memory_equal(&settings, &before, sizeof before);
    }
}

static void a_failure_in_a_list_changes_nothing(void **state)
{
    ps_alloc_settings settings = parse("");
    (void)state;
    assert_int_equal(
        ps_alloc_settings_parse(&settings, "expandable_segments:True,backend:none", NULL),
        PS_USAGE);
    assert_false(settings.is_expandable);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(every_key),
        cmocka_unit_test(both_forms_of_divisions),
        cmocka_unit_test(single_pairs),
        cmocka_unit_test(refusals_name_what_is_wrong),
        cmocka_unit_test(a_failure_in_a_list_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
