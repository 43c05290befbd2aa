/* SPDX-License-Identifier: MIT
 *
 * The ordered set of blocks against a plain array, with random keys.
 */
#include "alloc_support.h"

#include "alloc/free_set.h"
#include "base/memory.h"

#define BLOCKS 200u
#define STEPS 20000u

static uint64_t seed_state;

static uint64_t random_below(uint64_t limit)
{
    seed_state ^= seed_state << 13;
    seed_state ^= seed_state >> 7;
    seed_state ^= seed_state << 17;
    return seed_state % limit;
}

typedef struct fixture {
    ps__block_store store;
    ps__free_set set;
    bool is_member[BLOCKS];
    uint32_t member_count;
} fixture;

static bool is_before(const fixture *self, uint32_t a, uint32_t b)
{
    const ps__block *x = &self->store.at[a];
    const ps__block *y = &self->store.at[b];
    if (x->stream != y->stream) {
        return x->stream < y->stream;
    }
    if (!self->set.is_by_address && x->bytes != y->bytes) {
        return x->bytes < y->bytes;
    }
    return x->addr != y->addr ? x->addr < y->addr : a < b;
}

/* Height of a subtree, checking links, order and balance on the way. */
static int check_tree(const fixture *self, uint32_t id, uint32_t parent)
{
    if (id == PS__BLOCK_NONE) {
        return 0;
    }
    const ps__block *block = &self->store.at[id];
    assert_int_equal(block->parent, parent);
    assert_true(block->left == PS__BLOCK_NONE || is_before(self, block->left, id));
    assert_true(block->right == PS__BLOCK_NONE || is_before(self, id, block->right));
    const int left = check_tree(self, block->left, id);
    const int right = check_tree(self, block->right, id);
    assert_int_equal(right - left, block->balance);
    assert_true(block->balance >= -1 && block->balance <= 1);
    return 1 + (left > right ? left : right);
}

static void check_walks(const fixture *self)
{
    uint32_t count = 0;
    uint32_t last = PS__BLOCK_NONE;
    for (uint32_t id = ps__free_set_first(&self->set, &self->store); id != PS__BLOCK_NONE;
         id = ps__free_set_next(&self->store, id)) {
        assert_true(self->is_member[id]);
        assert_true(last == PS__BLOCK_NONE || is_before(self, last, id));
        assert_int_equal(ps__free_set_prev(&self->store, id), last);
        last = id;
        count++;
    }
    assert_int_equal(last, ps__free_set_last(&self->set, &self->store));
    assert_int_equal(count, self->member_count);
    assert_int_equal(self->set.count, count);
}

static void check_lower_bound(const fixture *self, uint64_t stream, uint64_t bytes)
{
    uint32_t best = PS__BLOCK_NONE;
    const uint64_t wanted = self->set.is_by_address ? 0 : bytes;
    for (uint32_t id = 0; id < BLOCKS; id++) {
        const ps__block *block = &self->store.at[id];
        const bool is_high =
            block->stream > stream ||
            (block->stream == stream && (self->set.is_by_address || block->bytes >= wanted));
        if (self->is_member[id] && is_high &&
            (best == PS__BLOCK_NONE || is_before(self, id, best))) {
            best = id;
        }
    }
    assert_int_equal(ps__free_set_lower_bound(&self->set, &self->store, stream, bytes), best);
}

static void toggle(fixture *self, uint32_t id)
{
    if (self->is_member[id]) {
        ps__free_set_erase(&self->set, &self->store, id);
        self->member_count--;
    } else {
        ps__block *block = &self->store.at[id];
        block->stream = random_below(3);
        block->bytes = 512 * (1 + random_below(20));
        block->addr = 512 * random_below(1000); /* equal keys occur */
        ps__free_set_insert(&self->set, &self->store, id);
        self->member_count++;
    }
    self->is_member[id] = !self->is_member[id];
}

static void agree_with_an_array(bool is_by_address)
{
    ps_error err = {0};
    static fixture self;
    self = (fixture){.member_count = 0};
    seed_state = 0x1234567 + is_by_address;
    print_message("seed %llu\n", (unsigned long long)seed_state);
    ps__block_store_init(&self.store);
    ps__free_set_init(&self.set, is_by_address);
    assert_ok(&err, ps__block_store_reserve(&self.store, BLOCKS, &err));
    for (uint32_t i = 0; i < BLOCKS; i++) {
        assert_int_equal(ps__block_store_take(&self.store), i);
    }
    for (unsigned step = 0; step < STEPS; step++) {
        toggle(&self, (uint32_t)random_below(BLOCKS));
        check_lower_bound(&self, random_below(4), 512 * random_below(24));
        if (step % 16 == 0) {
            const int height = check_tree(&self, self.set.root, PS__BLOCK_NONE);
            assert_true(height <= 11); /* 1.44 log2(200) */
            check_walks(&self);
        }
    }
    ps__block_store_fini(&self.store);
}

static void by_size(void **state)
{
    (void)state;
    agree_with_an_array(false);
}

static void by_address(void **state)
{
    (void)state;
    agree_with_an_array(true);
}

static void blocks_keep_their_low_end(void **state)
{
    ps_error err = {0};
    ps__block_store store;
    (void)state;
    ps__block_store_init(&store);
    assert_ok(&err, ps__block_store_reserve(&store, 3, &err));
    const uint32_t head = ps__block_store_take(&store);
    store.at[head].addr = 4096;
    store.at[head].bytes = 4096;
    const uint32_t tail = ps__block_store_split(&store, head, 1024);
    const uint32_t middle = ps__block_store_split(&store, head, 512);
    assert_int_equal(store.at[middle].addr, 4608);
    assert_int_equal(store.at[tail].prev, middle);
    assert_int_equal(store.at[middle].prev, head);
    const uint32_t generation = store.at[middle].generation;
    ps__block_store_absorb_next(&store, head);
    assert_int_equal(store.at[head].bytes, 1024);
    assert_int_equal(store.at[head].next, tail);
    assert_int_equal(store.at[tail].prev, head);
    assert_int_equal(ps__block_store_take(&store), middle); /* used again, under a new name */
    assert_int_not_equal(store.at[middle].generation, generation);
    ps_memory_fail_nth(1);
    assert_int_equal(ps__block_store_reserve(&store, 1000, NULL), PS_NOMEM);
    ps_memory_fail_nth(0);
    ps__block_store_fini(&store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_size),
        cmocka_unit_test(by_address),
        cmocka_unit_test(blocks_keep_their_low_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
