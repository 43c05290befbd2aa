/* SPDX-License-Identifier: MIT
 *
 * Equitable partitions of graphs whose classes are known.
 */
#include "support/test.h"

#include "base/memory.h"
#include "job/symmetry.h"

#define COUNT(list) (sizeof(list) / sizeof(list)[0])

static uint32_t refine(const ps_symmetry_edge *edge, size_t edges, const uint64_t *key,
                       size_t vertices, uint32_t *colour)
{
    ps_error err = {0};
    uint32_t count = 0;
    assert_ok(&err, ps_symmetry_refine(edge, edges, key, vertices, colour, &count, &err));
    return count;
}

static void test_keys_alone(void **state)
{
    static const uint64_t key[] = {7, 3, 7, UINT64_MAX, 3};
    static const uint32_t expected[] = {0, 1, 0, 2, 1};
    uint32_t colour[COUNT(key)];
    (void)state;
    assert_int_equal(refine(NULL, 0, key, COUNT(key), colour), 3);
    assert_memory_equal(colour, expected, sizeof expected);
}

/* A path of five: the ends, their neighbours, the middle. */
static void test_a_path(void **state)
{
    static const ps_symmetry_edge edge[] = {{0, 1, 0}, {1, 2, 0}, {2, 3, 0}, {3, 4, 0}};
    static const uint64_t key[5] = {0};
    static const uint32_t expected[] = {0, 1, 2, 1, 0};
    uint32_t colour[5];
    (void)state;
    assert_int_equal(refine(edge, COUNT(edge), key, 5, colour), 3);
    assert_memory_equal(colour, expected, sizeof expected);
}

static void test_a_circle_is_one_class_until_a_label_differs(void **state)
{
    ps_symmetry_edge edge[] = {{0, 1, 0}, {1, 2, 0}, {2, 3, 0}, {3, 0, 0}};
    static const uint64_t key[4] = {0};
    static const uint32_t expected[] = {0, 0, 1, 1};
    uint32_t colour[4];
    (void)state;
    assert_int_equal(refine(edge, COUNT(edge), key, 4, colour), 1);
    edge[0].label = 1;
    assert_int_equal(refine(edge, COUNT(edge), key, 4, colour), 2);
    assert_memory_equal(colour, expected, sizeof expected);
}

/* Two edges to one vertex are not one. */
static void test_edges_count_as_often_as_they_stand(void **state)
{
    static const ps_symmetry_edge edge[] = {{0, 2, 0}, {0, 2, 0}, {1, 3, 0}};
    static const uint64_t key[4] = {0};
    uint32_t colour[4];
    (void)state;
    assert_int_equal(refine(edge, COUNT(edge), key, 4, colour), 2);
    assert_int_equal(colour[0], colour[2]);
    assert_int_equal(colour[1], colour[3]);
}

static void test_running_out_of_memory(void **state)
{
    static const ps_symmetry_edge edge[] = {{0, 1, 0}};
    static const uint64_t key[2] = {0};
    (void)state;
    for (unsigned long n = 1; n <= 6; n++) {
        ps_error err = {0};
        uint32_t colour[2], count;
        ps_memory_fail_nth(n);
        assert_int_equal(ps_symmetry_refine(edge, 1, key, 2, colour, &count, &err), PS_NOMEM);
    }
    ps_memory_fail_nth(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_alone),
        cmocka_unit_test(test_a_path),
        cmocka_unit_test(test_a_circle_is_one_class_until_a_label_differs),
        cmocka_unit_test(test_edges_count_as_often_as_they_stand),
        cmocka_unit_test(test_running_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
