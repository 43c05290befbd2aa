/* SPDX-License-Identifier: MIT
 *
 * The stand-in hands out addresses as a Linux driver did in a public recording
 * (of a program that keeps its layers in segments of 172 and 64 MiB).
 */
#include "support/test.h"

#include <stdlib.h>

#include "standin/address_space.h"

#define MIB(count) (UINT64_C(count) << 20)

/* A space that ends where the recording's next segment began. */
static standin_address_space space_below(uint64_t top, size_t chunks)
{
    return (standin_address_space){.base = top - chunks * STANDIN_CHUNK_BYTES,
                                   .chunk_count = chunks};
}

static void test_falls_and_fills_the_newest_rest(void **state)
{
    static const struct {
        uint64_t bytes;
        uint64_t address;
    } RECORDED[] = {
        {MIB(172), UINT64_C(0x7f4b20000000)}, {MIB(172), UINT64_C(0x7f4b14000000)},
        {MIB(172), UINT64_C(0x7f4b08000000)}, {MIB(64), UINT64_C(0x7f4b04000000)},
        {MIB(64), UINT64_C(0x7f4b00000000)},  {MIB(64), UINT64_C(0x7f4afc000000)},
        {MIB(64), UINT64_C(0x7f4af8000000)},  {MIB(2), UINT64_C(0x7f4b12c00000)},
        {MIB(2), UINT64_C(0x7f4b12e00000)},   {MIB(172), UINT64_C(0x7f4aec000000)},
    };
    (void)state;
    standin_address_space space = space_below(UINT64_C(0x7f4b2c000000), 1024);
    for (size_t i = 0; i < sizeof RECORDED / sizeof *RECORDED; i++) {
        assert_int_equal(standin_place(&space, RECORDED[i].bytes), RECORDED[i].address);
    }
    free(space.chunks);
}

/* From the same recording, after it had emptied its cache: the upper end of the highest gap. */
static void test_reuses_the_upper_end_of_the_highest_gap(void **state)
{
    (void)state;
    standin_address_space space = space_below(UINT64_C(0x7f4c70000000), 1024);
    const uint64_t first = standin_place(&space, MIB(256));
    const uint64_t second = standin_place(&space, MIB(256));
    const uint64_t kept = standin_place(&space, MIB(64));
    assert_int_equal(first, UINT64_C(0x7f4c60000000));
    assert_int_equal(second, UINT64_C(0x7f4c50000000));
    standin_vacate(&space, first, MIB(256));
    standin_vacate(&space, second, MIB(256));
    assert_int_equal(standin_place(&space, MIB(172)), UINT64_C(0x7f4c64000000));
    assert_int_equal(standin_place(&space, MIB(2)), UINT64_C(0x7f4c6ec00000));
    assert_int_equal(standin_place(&space, MIB(256)), UINT64_C(0x7f4c54000000));
    assert_int_equal(standin_place(&space, MIB(256)), kept - MIB(256));
    free(space.chunks);
}

static void test_says_when_it_is_full(void **state)
{
    (void)state;
    standin_address_space space = space_below(UINT64_C(0x7f4c70000000), 2);
    assert_int_equal(standin_place(&space, MIB(66)), 0);
    assert_int_not_equal(standin_place(&space, MIB(34)), 0);
    assert_int_equal(standin_place(&space, MIB(32)), 0);
    assert_int_not_equal(standin_place(&space, MIB(30)), 0);
    assert_int_equal(standin_place(&space, MIB(2)), 0);
    free(space.chunks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_falls_and_fills_the_newest_rest),
        cmocka_unit_test(test_reuses_the_upper_end_of_the_highest_gap),
        cmocka_unit_test(test_says_when_it_is_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
