/* SPDX-License-Identifier: MIT
 *
 * Buffers come back in the order they were handed in, never more of them than
 * the budget allows, and what spares lose is counted.
 */
#include "support/test.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#include "buffers.h"

#define MIB ((uint64_t)1 << 20)

static int64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static ps_buffers *create(uint64_t budget)
{
    ps_buffers *self = ps_buffers_create(budget);
    assert_non_null(self);
    return self;
}

/* Lends one and says whether it is a whole buffer. */
static unsigned char *lend(ps_buffers *self, bool *is_whole)
{
    size_t bytes = 0;
    unsigned char *data = ps_buffers_lend(self, &bytes);
    assert_non_null(data);
    assert_int_equal((uintptr_t)data % 8, 0);
    assert_true(bytes == PS_BUFFER_BYTES || bytes == PS_SPARE_BYTES);
    *is_whole = bytes == PS_BUFFER_BYTES;
    memset(data, 0x5a, 64);
    memset(data + bytes - 64, 0x5a, 64);
    return data;
}

static void full_buffers_come_in_order(void **state)
{
    (void)state;
    ps_buffers *self = create(20 * MIB);
    for (int round = 0; round < 3; round++) {
        unsigned char *data[4];
        bool is_whole;
        for (int i = 0; i < 4; i++) {
            data[i] = lend(self, &is_whole);
            assert_true(is_whole);
        }
        for (int i = 3; i >= 0; i--) {
            assert_true(ps_buffers_hand_in(self, data[i], (size_t)(100 + i)));
        }
        for (int i = 3; i >= 0; i--) {
            const ps_full_buffer full = ps_buffers_take(self, 0);
            assert_ptr_equal(full.data, data[i]);
            assert_int_equal(full.valid_bytes, 100 + i);
            ps_buffers_give_back(self, full);
        }
        assert_null(ps_buffers_take(self, 0).data);
    }
    ps_buffers_destroy(self);
}

static void the_budget_is_never_exceeded(void **state)
{
    (void)state;
    static const uint64_t budgets[][2] = {
        {0, 2},        {1, 2},         {7 * MIB, 2}, {8 * MIB, 2}, {12 * MIB - 1, 2},
        {12 * MIB, 3}, {43 * MIB, 10},
    };
    for (size_t i = 0; i < sizeof budgets / sizeof budgets[0]; i++) {
        ps_buffers *self = create(budgets[i][0]);
        unsigned char *data[20];
        uint64_t whole = 0;
        bool is_whole[20];
        for (int j = 0; j < 20; j++) {
            data[j] = lend(self, &is_whole[j]);
            whole += is_whole[j];
            assert_true(is_whole[j] == (whole > (uint64_t)j)); /* spares only behind the buffers */
        }
        assert_int_equal(whole, budgets[i][1]);
        for (int j = 0; j < 20; j++) {
            assert_true(ps_buffers_hand_in(self, data[j], 8) == is_whole[j]);
            if (!is_whole[j]) {
                ps_buffers_drop(self, data[j], 3);
            }
        }
        assert_int_equal(ps_buffers_take_dropped(self), 3 * (20 - whole));
        assert_int_equal(ps_buffers_take_dropped(self), 0);
        ps_buffers_destroy(self);
    }
}

static void spares_are_used_again(void **state)
{
    (void)state;
    ps_buffers *self = create(0);
    bool is_whole;
    unsigned char *first = lend(self, &is_whole), *second = lend(self, &is_whole);
    unsigned char *spare = lend(self, &is_whole);
    assert_false(is_whole);
    for (int i = 0; i < 5; i++) {
        assert_false(ps_buffers_hand_in(self, spare, 16));
        ps_buffers_drop(self, spare, 1);
        assert_ptr_equal(lend(self, &is_whole), spare);
    }
    ps_buffers_drop(self, spare, 0);
    assert_int_equal(ps_buffers_take_dropped(self), 5);
    assert_true(ps_buffers_hand_in(self, second, 0)); /* an empty one comes, too */
    ps_full_buffer full = ps_buffers_take(self, 0);
    assert_ptr_equal(full.data, second);
    assert_int_equal(full.valid_bytes, 0);
    ps_buffers_give_back(self, full);
    assert_ptr_equal(lend(self, &is_whole), second);
    assert_true(is_whole);
    assert_true(ps_buffers_hand_in(self, first, 1));
    assert_true(ps_buffers_hand_in(self, second, 1));
    ps_buffers_destroy(self);
    ps_buffers_destroy(NULL);
}

static void after_closing_nothing_is_queued(void **state)
{
    (void)state;
    ps_buffers *self = create(0);
    bool is_whole;
    unsigned char *first = lend(self, &is_whole), *second = lend(self, &is_whole);
    assert_true(ps_buffers_hand_in(self, first, 5));
    ps_buffers_close(self);
    assert_ptr_equal(ps_buffers_take(self, 0).data, first); /* handed in before */
    for (int i = 0; i < 10; i++) {                          /* the source goes on */
        assert_true(ps_buffers_hand_in(self, second, 5));
        assert_null(ps_buffers_take(self, 0).data);
        assert_ptr_equal(lend(self, &is_whole), second);
        assert_true(is_whole);
    }
    ps_buffers_destroy(self);
}

static void a_take_waits_no_longer_than_told(void **state)
{
    (void)state;
    ps_buffers *self = create(0);
    const int64_t begin = now_ns();
    assert_null(ps_buffers_take(self, 0).data);
    assert_null(ps_buffers_take(self, 30000000).data);
    assert_true(now_ns() - begin >= 30000000);
    ps_buffers_wake(self); /* before the take: it is not lost */
    const int64_t woken = now_ns();
    assert_null(ps_buffers_take(self, INT64_C(60000000000)).data);
    assert_true(now_ns() - woken < INT64_C(50000000000));
    ps_buffers_destroy(self);
}

static void *wake_later(void *argument)
{
    const struct timespec pause = {.tv_nsec = 20000000};
    (void)nanosleep(&pause, NULL);
    ps_buffers_wake(argument);
    return NULL;
}

static void *hand_in_later(void *argument)
{
    const struct timespec pause = {.tv_nsec = 20000000};
    size_t bytes;
    unsigned char *data = ps_buffers_lend(argument, &bytes);
    (void)nanosleep(&pause, NULL);
    (void)ps_buffers_hand_in(argument, data, 77);
    return NULL;
}

static void a_waiting_take_is_woken(void **state)
{
    (void)state;
    ps_buffers *self = create(0);
    pthread_t thread;
    const int64_t begin = now_ns();
    assert_int_equal(pthread_create(&thread, NULL, wake_later, self), 0);
    assert_null(ps_buffers_take(self, INT64_C(60000000000)).data);
    (void)pthread_join(thread, NULL);
    assert_int_equal(pthread_create(&thread, NULL, hand_in_later, self), 0);
    assert_int_equal(ps_buffers_take(self, INT64_C(60000000000)).valid_bytes, 77);
    (void)pthread_join(thread, NULL);
    assert_true(now_ns() - begin < INT64_C(50000000000));
    ps_buffers_destroy(self);
}

/* ---- threads ---- */

#define LENDERS 4
#define ROUNDS 3000

typedef struct lender {
    pthread_t thread;
    ps_buffers *buffers;
    uint64_t number, queued, dropped;
} lender;

/* Every buffer holds its lender's number and a serial number that only rises. */
static void *lend_and_hand_in(void *argument)
{
    lender *self = argument;
    for (uint64_t i = 1; i <= ROUNDS; i++) {
        size_t bytes;
        unsigned char *data = ps_buffers_lend(self->buffers, &bytes);
        const uint64_t content[2] = {self->number, i};
        memcpy(data, content, sizeof content);
        if (ps_buffers_hand_in(self->buffers, data, sizeof content)) {
            self->queued++;
        } else {
            ps_buffers_drop(self->buffers, data, 2);
            self->dropped += 2;
        }
    }
    ps_buffers_wake(self->buffers);
    return NULL;
}

/* Takes until `count` were taken or none comes; the serial numbers of each lender rise. */
static uint64_t take_all(ps_buffers *buffers, uint64_t count, uint64_t last[LENDERS])
{
    uint64_t taken = 0;
    while (taken < count) {
        const ps_full_buffer full = ps_buffers_take(buffers, 1000000);
        uint64_t content[2];
        if (full.data == NULL) {
            break;
        }
        assert_int_equal(full.valid_bytes, sizeof content);
        memcpy(content, full.data, sizeof content);
        assert_true(content[0] < LENDERS && content[1] > last[content[0]]);
        last[content[0]] = content[1];
        ps_buffers_give_back(buffers, full);
        taken++;
    }
    return taken;
}

static void threads_lose_and_mix_nothing(void **state)
{
    (void)state;
    ps_buffers *buffers = create(12 * MIB);
    lender lenders[LENDERS] = {0};
    uint64_t last[LENDERS] = {0}, taken = 0, queued = 0, dropped = 0, counted = 0;
    for (uint64_t i = 0; i < LENDERS; i++) {
        lenders[i].buffers = buffers;
        lenders[i].number = i;
        assert_int_equal(pthread_create(&lenders[i].thread, NULL, lend_and_hand_in, &lenders[i]),
                         0);
    }
    for (int i = 0; i < 200; i++) {
        taken += take_all(buffers, 50, last);
        counted += ps_buffers_take_dropped(buffers);
    }
    for (int i = 0; i < LENDERS; i++) {
        (void)pthread_join(lenders[i].thread, NULL);
        queued += lenders[i].queued;
        dropped += lenders[i].dropped;
    }
    taken += take_all(buffers, UINT64_MAX, last);
    counted += ps_buffers_take_dropped(buffers);
    assert_int_equal(taken, queued);
    assert_int_equal(counted, dropped);
    assert_int_equal(queued + dropped / 2, LENDERS * ROUNDS);
    bool is_whole;
    for (int i = 0; i < 3; i++) { /* none went missing */
        (void)lend(buffers, &is_whole);
        assert_true(is_whole);
    }
    ps_buffers_destroy(buffers);
}

static void closing_while_threads_hand_in(void **state)
{
    (void)state;
    ps_buffers *buffers = create(12 * MIB);
    lender lenders[LENDERS] = {0};
    uint64_t last[LENDERS] = {0};
    for (uint64_t i = 0; i < LENDERS; i++) {
        lenders[i].buffers = buffers;
        lenders[i].number = i;
        assert_int_equal(pthread_create(&lenders[i].thread, NULL, lend_and_hand_in, &lenders[i]),
                         0);
    }
    (void)take_all(buffers, 500, last);
    ps_buffers_close(buffers);
    (void)take_all(buffers, 3, last); /* those queued before */
    assert_null(ps_buffers_take(buffers, 0).data);
    for (int i = 0; i < LENDERS; i++) {
        (void)pthread_join(lenders[i].thread, NULL);
    }
    assert_null(ps_buffers_take(buffers, 0).data);
    ps_buffers_destroy(buffers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_buffers_come_in_order),
        cmocka_unit_test(the_budget_is_never_exceeded),
        cmocka_unit_test(spares_are_used_again),
        cmocka_unit_test(after_closing_nothing_is_queued),
        cmocka_unit_test(a_take_waits_no_longer_than_told),
        cmocka_unit_test(a_waiting_take_is_woken),
        cmocka_unit_test(threads_lose_and_mix_nothing),
        cmocka_unit_test(closing_while_threads_hand_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
