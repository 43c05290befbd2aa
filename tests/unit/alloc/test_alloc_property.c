/* SPDX-License-Identifier: MIT
 *
 * Random programs on every model: whatever is asked in whatever order, blocks
 * never overlap, bytes are conserved, sizes and addresses stay on the grid,
 * equal programs give equal answers, and running out of the simulator's own
 * memory at any point leaves a usable model. Seeds are printed.
 */
#include <string.h>

#include "alloc_support.h"
#include "base/memory.h"

#define LIVE 160u
#define STEPS 3000u

typedef struct random_source {
    uint64_t state;
} random_source;

static uint64_t below(random_source *source, uint64_t limit)
{
    source->state ^= source->state << 13;
    source->state ^= source->state >> 7;
    source->state ^= source->state << 17;
    return source->state % limit;
}

/* A model, and what the program believes it holds. */
typedef struct program {
    ps_allocator *model;
    random_source random;
    ps_alloc_block live[LIVE];
    size_t live_count;
    ps_alloc_block pending[LIVE];
    size_t pending_count;
    uint64_t live_bytes; /* as handed out */
    uint64_t trail;      /* of all answers, to compare two runs */
} program;

typedef struct setting {
    const char *model;
    const char *conf;
    uint64_t limit_bytes;
    uint64_t memory_bytes;
} setting;

static const setting settings[] = {
    {"native", "", 0, 0},
    {"native", "", 600 * MIB, 0},
    {"native", "max_split_size_mb:24", 700 * MIB, 0},
    {"native", "roundup_power2_divisions:[1:4,>:2]", 0, 0},
    {"native", "garbage_collection_threshold:0.5,per_process_memory_fraction:0.5", 0, 1200 * MIB},
    {"expandable", "", 0, 0},
    {"expandable", "", 500 * MIB, 800 * MIB},
    {"expandable", "large_segment_size_mb:8", 500 * MIB, 800 * MIB},
    {"exact", "", 500 * MIB, 0},
};

static uint64_t random_bytes(random_source *random)
{
    switch (below(random, 4)) {
    case 0:
        return 1 + below(random, 4096);
    case 1:
        return 1 + below(random, 2 * MIB);
    case 2:
        return 512 * (1 + below(random, 24 * 2048));
    default:
        return 1 + below(random, 48 * MIB);
    }
}

/* What a walk by address finds. */
typedef struct survey {
    uint64_t end;       /* of the segment before */
    uint64_t block_end; /* of the block before */
    uint64_t segment_end;
    uint64_t reserved, allocated, active, requested;
    uint64_t segment_count, active_count;
    bool was_free, is_large, is_expandable, is_exact;
} survey;

static void see_segment(void *ctx, const ps_alloc_segment_info *segment)
{
    survey *self = ctx;
    assert_int_equal(self->block_end, self->segment_end); /* the blocks tiled the one before */
    assert_true(segment->addr >= self->end);
    assert_true(segment->addr % 512 == 0 && (self->is_exact || segment->bytes % 512 == 0));
    self->end = segment->addr + segment->bytes;
    self->block_end = segment->addr;
    self->segment_end = self->end;
    self->reserved += segment->bytes;
    self->segment_count++;
    self->was_free = false;
    self->is_large = segment->is_large;
    self->is_expandable = segment->is_expandable;
}

static void see_block(void *ctx, const ps_alloc_block_info *block)
{
    survey *self = ctx;
    const bool is_free = block->state == PS_ALLOC_BLOCK_FREE;
    assert_int_equal(block->addr, self->block_end);
    assert_true(block->bytes > 0 && (self->is_exact || block->bytes % 512 == 0));
    assert_false(is_free && self->was_free); /* neighbours have merged */
    self->block_end += block->bytes;
    self->was_free = is_free;
    if (is_free) {
        return;
    }
    assert_true(block->requested_bytes <= block->bytes);
    self->active += block->bytes;
    self->requested += block->requested_bytes;
    self->active_count++;
    self->allocated += block->state == PS_ALLOC_BLOCK_ALLOCATED ? block->bytes : 0;
}

static void check_level(ps_alloc_level level, uint64_t current)
{
    assert_int_equal(level.current, current);
    assert_true(level.peak >= level.current);
}

static void check_state(const program *self, const setting *how)
{
    ps_error err = {0};
    survey seen = {.is_exact = strcmp(how->model, "exact") == 0};
    const ps_alloc_walker walker = {&seen, see_segment, see_block};
    const ps_alloc_stats *stats = ps_allocator_stats(self->model);
    assert_ok(&err, ps_allocator_walk(self->model, PS_ALLOC_WALK_ADDRESS, &walker, &err));
    assert_int_equal(seen.block_end, seen.segment_end);
    check_level(stats->reserved_bytes, seen.reserved);
    check_level(stats->allocated_bytes, seen.allocated);
    check_level(stats->active_bytes, seen.active);
    check_level(stats->requested_bytes, seen.requested);
    check_level(stats->active_count, seen.active_count);
    assert_int_equal(stats->allocated_bytes.current, self->live_bytes);
    assert_int_equal(stats->allocated_count.current, self->live_count);
    assert_int_equal(stats->active_count.current, self->live_count + self->pending_count);
    if (how->limit_bytes != 0) {
        assert_true(stats->reserved_bytes.peak <= how->limit_bytes);
    }
    if (seen.is_exact) {
        assert_int_equal(stats->reserved_bytes.current, seen.requested);
    }
}

static void note(program *self, uint64_t value)
{
    self->trail = (self->trail ^ value) * 0x9e3779b97f4a7c15u;
}

static void forget_pending(program *self)
{
    /* The model may have completed any of them itself. */
    for (size_t i = self->pending_count; i-- > 0;) {
        if (ps_allocator_find(self->model, self->pending[i].addr).generation !=
            self->pending[i].handle.generation) {
            self->pending[i] = self->pending[--self->pending_count];
        }
    }
}

static ps_code step_alloc(program *self)
{
    const ps_alloc_request request = {.bytes = random_bytes(&self->random),
                                      .stream = below(&self->random, 3),
                                      .pool = {below(&self->random, 8) == 0, 0},
                                      .is_capturing = below(&self->random, 32) == 0};
    ps_alloc_block block;
    const ps_alloc_outlook outlook = ps_allocator_probe(self->model, &request);
    const uint64_t reserved = ps_allocator_stats(self->model)->reserved_bytes.current;
    const ps_code code = ps_allocator_alloc(self->model, &request, &block, NULL, NULL);
    forget_pending(self);
    note(self, (uint64_t)code);
    if (code != PS_OK) {
        return code;
    }
    if (outlook == PS_ALLOC_FROM_CACHE) {
        assert_int_equal(ps_allocator_stats(self->model)->reserved_bytes.current, reserved);
    } else if (outlook == PS_ALLOC_GROWS) {
        assert_true(ps_allocator_stats(self->model)->reserved_bytes.current > reserved);
    }
    note(self, block.addr);
    note(self, block.block_bytes);
    self->live_bytes += block.block_bytes;
    self->live[self->live_count++] = block;
    return PS_OK;
}

static void step_free(program *self)
{
    const size_t i = below(&self->random, self->live_count);
    const ps_alloc_block block = self->live[i];
    const bool is_deferred = self->pending_count < LIVE && below(&self->random, 4) == 0;
    assert_int_equal(ps_allocator_free(self->model, block.handle, is_deferred, NULL), PS_OK);
    self->live[i] = self->live[--self->live_count];
    self->live_bytes -= block.block_bytes;
    if (is_deferred) {
        self->pending[self->pending_count++] = block;
    }
}

static ps_code step(program *self)
{
    const uint64_t choice = below(&self->random, 100);
    if (choice < 45 && self->live_count < LIVE) {
        return step_alloc(self);
    }
    if (choice < 90 && self->live_count > 0) {
        step_free(self);
    } else if (choice < 97 && self->pending_count > 0) {
        const size_t i = below(&self->random, self->pending_count);
        assert_int_equal(ps_allocator_complete(self->model, self->pending[i].handle, NULL), PS_OK);
        self->pending[i] = self->pending[--self->pending_count];
    } else if (choice == 97) {
        const ps_pool_state state = below(&self->random, 2) == 0 ? PS_POOL_DEAD : PS_POOL_IN_USE;
        return ps_allocator_set_pool_state(self->model, (ps_pool_id){1, 0}, state, NULL);
    } else if (choice == 98) {
        const ps_code code = ps_allocator_release_cache(self->model, NULL);
        forget_pending(self);
        return code;
    }
    return PS_OK;
}

static void program_open(program *self, const setting *how, uint64_t seed)
{
    ps_error err = {0};
    ps_alloc_config config;
    memset(self, 0, sizeof *self);
    self->random.state = seed;
    ps_alloc_config_init(&config);
    assert_ok(&err, ps_alloc_settings_parse(&config.settings, how->conf, &err));
    config.limit_bytes = how->limit_bytes == 0 ? PS_ALLOC_NO_LIMIT : how->limit_bytes;
    config.device_memory_bytes = how->memory_bytes;
    assert_ok(&err, ps_allocator_create(how->model, &config, &self->model, &err));
}

static uint64_t run(const setting *how, uint64_t seed)
{
    program self;
    program_open(&self, how, seed);
    for (unsigned i = 0; i < STEPS; i++) {
        const ps_code code = step(&self);
        assert_true(code == PS_OK || code == PS_DEVICE_FULL);
        if (i % 37 == 0) {
            check_state(&self, how);
        }
    }
    check_state(&self, how);
    while (self.live_count > 0) {
        step_free(&self);
    }
    assert_int_equal(ps_allocator_release_cache(self.model, NULL), PS_OK);
    forget_pending(&self);
    check_state(&self, how);
    assert_int_equal(ps_allocator_stats(self.model)->active_bytes.current, 0);
    assert_int_equal(ps_allocator_stats(self.model)->inactive_split_bytes.current, 0);
    assert_int_equal(ps_allocator_stats(self.model)->inactive_split_count.current, 0);
    ps_allocator_destroy(self.model);
    return self.trail;
}

static void nothing_overlaps_and_bytes_are_conserved(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        for (uint64_t seed = 1; seed <= 8; seed++) {
            print_message("model %s, conf \"%s\", seed %llu\n", settings[i].model, settings[i].conf,
                          (unsigned long long)(seed * 7919));
            const uint64_t trail = run(&settings[i], seed * 7919);
            assert_int_equal(run(&settings[i], seed * 7919), trail);
        }
    }
}

/* Makes the n-th allocation of the simulator fail, for every n until a run meets none. */
static void running_out_of_memory_never_breaks_a_model(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        bool has_failed = true;
        for (unsigned long nth = 1; has_failed; nth++) {
            program self;
            program_open(&self, &settings[i], 31337);
            has_failed = false;
            ps_memory_fail_nth(nth);
            for (unsigned s = 0; s < 400; s++) {
                const ps_code code = step(&self);
                assert_true(code == PS_OK || code == PS_DEVICE_FULL || code == PS_NOMEM);
                has_failed |= code == PS_NOMEM;
            }
            ps_memory_fail_nth(0);
            check_state(&self, &settings[i]);
            ps_allocator_destroy(self.model);
        }
    }
}

static void creation_may_fail(void **state)
{
    (void)state;
    for (const ps_allocator_ops *const *ops = ps_allocators(); *ops != NULL; ops++) {
        ps_code code = PS_NOMEM;
        for (unsigned long nth = 1; code == PS_NOMEM; nth++) {
            ps_alloc_config config;
            ps_allocator *model = NULL;
            ps_alloc_config_init(&config);
            ps_memory_fail_nth(nth);
            code = ps_allocator_create((*ops)->name, &config, &model, NULL);
            ps_memory_fail_nth(0);
            if (code == PS_OK) {
                ps_allocator_destroy(model);
            }
        }
        assert_int_equal(code, PS_OK);
    }
}

/* The free order is the order of searches: stream, size, address, within one pool. */
typedef struct order_check {
    uint64_t bytes, addr;
    size_t count;
} order_check;

static void see_free(void *ctx, const ps_alloc_block_info *block)
{
    order_check *self = ctx;
    assert_int_equal(block->state, PS_ALLOC_BLOCK_FREE);
    assert_true(self->count == 0 || block->bytes > self->bytes ||
                (block->bytes == self->bytes && block->addr > self->addr));
    *self = (order_check){block->bytes, block->addr, self->count + 1};
}

static void the_free_walk_is_sorted(void **state)
{
    bench b;
    ps_error err = {0};
    ps_alloc_block block[40];
    random_source random = {42};
    order_check check = {.count = 0};
    const ps_alloc_walker walker = {.ctx = &check, .on_block = see_free};
    (void)state;
    bench_open(&b, "native", "", 0, 0);
    for (unsigned i = 0; i < 40; i++) {
        block[i] = bench_alloc(&b, (10 + below(&random, 10)) * MIB);
    }
    for (unsigned i = 0; i < 40; i++) {
        bench_free(&b, block[i]);
    }
    assert_ok(&err, ps_allocator_walk(b.model, PS_ALLOC_WALK_FREE, &walker, &err));
    assert_int_equal(check.count, 40);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_overlaps_and_bytes_are_conserved),
        cmocka_unit_test(running_out_of_memory_never_breaks_a_model),
        cmocka_unit_test(creation_may_fail),
        cmocka_unit_test(the_free_walk_is_sorted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
