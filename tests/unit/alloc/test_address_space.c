/* SPDX-License-Identifier: MIT
 *
 * Where new segments are placed: rests of chunks first, what was given back
 * before what is new, and never on top of anything.
 */
#include "support/test.h"

#include <string.h>
#include <time.h>

#include "alloc/address_space.h"

#define MIB ((uint64_t)1 << 20)
#define TOP ((uint64_t)1 << 44)
#define CHUNK PS_ADDRESS_CHUNK_BYTES

static void large_ones_descend(void **state)
{
    (void)state;
    ps_address_space space;
    ps_address_space_init(&space, TOP);
    assert_int_equal(ps_address_space_place(&space, 224 * MIB), TOP - 224 * MIB);
    assert_int_equal(ps_address_space_place(&space, 64 * MIB), TOP - 288 * MIB);
    /* whole chunks, however little of the last one is needed */
    assert_int_equal(ps_address_space_place(&space, 34 * MIB), TOP - 352 * MIB);
    ps_address_space_fini(&space);
}

static void small_ones_fill_the_newest_rest(void **state)
{
    (void)state;
    ps_address_space space;
    ps_address_space_init(&space, TOP);
    const uint64_t first = ps_address_space_place(&space, 2 * MIB);
    assert_int_equal(first, TOP - CHUNK);
    assert_int_equal(ps_address_space_place(&space, 20 * MIB), first + 2 * MIB);
    const uint64_t large = ps_address_space_place(&space, 40 * MIB);
    assert_int_equal(large, first - 2 * CHUNK);
    /* the rest behind the 40 MiB is newer than that behind the 22 */
    assert_int_equal(ps_address_space_place(&space, 10 * MIB), large + 40 * MIB);
    assert_int_equal(ps_address_space_place(&space, 24 * MIB), large - CHUNK);
    assert_int_equal(ps_address_space_place(&space, 10 * MIB), large + 50 * MIB);
    ps_address_space_fini(&space);
}

static void what_was_given_back_is_used_again(void **state)
{
    (void)state;
    ps_address_space space;
    ps_address_space_init(&space, TOP);
    const uint64_t a = ps_address_space_place(&space, 96 * MIB);
    const uint64_t b = ps_address_space_place(&space, 64 * MIB);
    const uint64_t c = ps_address_space_place(&space, 64 * MIB);
    ps_address_space_vacate(&space, a, 96 * MIB);
    ps_address_space_vacate(&space, c, 64 * MIB);
    assert_int_equal(ps_address_space_place(&space, 64 * MIB), a + 32 * MIB); /* its upper end */
    assert_int_equal(ps_address_space_place(&space, 64 * MIB), c);
    assert_int_equal(ps_address_space_place(&space, 64 * MIB), c - 64 * MIB);
    ps_address_space_vacate(&space, b, 64 * MIB);
    assert_int_equal(ps_address_space_place(&space, 96 * MIB), b); /* with the chunk above it */
    ps_address_space_fini(&space);
}

static void places_chosen_by_others_are_respected(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_address_space space;
    ps_address_space_init(&space, TOP);
    assert_ok(&err, ps_address_space_take(&space, 5 * CHUNK + 2 * MIB, 40 * MIB, &err));
    assert_int_equal(ps_address_space_place(&space, 2 * MIB), 5 * CHUNK);
    assert_int_equal(ps_address_space_place(&space, 20 * MIB), 6 * CHUNK + 10 * MIB);
    assert_int_equal(ps_address_space_place(&space, 4 * CHUNK), CHUNK);
    assert_int_equal(ps_address_space_place(&space, CHUNK), 0); /* no room below */
    assert_int_equal(ps_address_space_take(&space, 0, UINT64_MAX / 2, &err), PS_LIMIT);
    assert_int_equal(ps_address_space_take(&space, CHUNK, 0, &err), PS_LIMIT);
    ps_address_space_fini(&space);
}

#define HELD 64

typedef struct extent {
    uint64_t addr, bytes;
} extent;

static void nothing_ever_overlaps(void **state)
{
    (void)state;
    uint64_t random = (uint64_t)time(NULL) | 1;
    print_message("seed %llu\n", (unsigned long long)random);
    ps_address_space space;
    ps_address_space_init(&space, TOP);
    extent held[HELD] = {{0, 0}};
    for (int i = 0; i < 20000; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        extent *slot = &held[random % HELD];
        if (slot->bytes > 0) {
            ps_address_space_vacate(&space, slot->addr, slot->bytes);
            slot->bytes = 0;
            continue;
        }
        const uint64_t bytes = (1 + (random >> 8) % ((random >> 40) % 3 == 0 ? 90 : 15)) * 2 * MIB;
        const uint64_t addr = ps_address_space_place(&space, bytes);
        assert_int_not_equal(addr, 0);
        for (int k = 0; k < HELD; k++) {
            assert_true(held[k].bytes == 0 || addr + bytes <= held[k].addr ||
                        held[k].addr + held[k].bytes <= addr);
        }
        *slot = (extent){addr, bytes};
    }
    ps_address_space_fini(&space);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(large_ones_descend),
        cmocka_unit_test(small_ones_fill_the_newest_rest),
        cmocka_unit_test(what_was_given_back_is_used_again),
        cmocka_unit_test(places_chosen_by_others_are_respected),
        cmocka_unit_test(nothing_ever_overlaps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
