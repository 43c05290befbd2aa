/* SPDX-License-Identifier: MIT
 *
 * Setting up a replay, the blocks the program holds in it, and its report.
 */
#include "alloc/history.h"

#include <string.h>

#include "alloc/history_compare.h"
#include "alloc/history_replay.h"
#include "base/memory.h"

void ps_history_options_init(ps_history_options *options)
{
    memset(options, 0, sizeof *options);
    options->device.kind = PS_DEVICE_CUDA;
}

ps_code ps__replay_hold(ps__replay *self, uint64_t addr, ps_alloc_handle handle)
{
    uint32_t index = self->vacant;
    if (index != PS_IDMAP_NONE) {
        self->vacant = self->held[index].next_vacant;
    } else {
        void *held = self->held;
        PS_TRY(ps_grow(&held, &self->held_capacity, self->held_count + 1, PS__REPLAY_MAX_ITEMS,
                       sizeof *self->held, self->err));
        self->held = held;
        index = (uint32_t)self->held_count++;
    }
    self->held[index].handle = handle;
    return ps_idmap_put(&self->by_addr, addr, index, self->err);
}

bool ps__replay_held_at(const ps__replay *self, uint64_t addr, ps_alloc_handle *out)
{
    const uint32_t index = ps_idmap_get(&self->by_addr, addr);
    if (index == PS_IDMAP_NONE) {
        return false;
    }
    *out = self->held[index].handle;
    return true;
}

void ps__replay_let_go(ps__replay *self, uint64_t addr)
{
    const uint32_t index = ps_idmap_take(&self->by_addr, addr);
    if (index != PS_IDMAP_NONE) {
        self->held[index].next_vacant = self->vacant;
        self->vacant = index;
    }
}

void ps__replay_unmatched(ps__replay *self, size_t at, const char *what)
{
    self->report.unmatched_free_count++;
    const size_t row = ps__replay_row(self, at);
    ps__history_note(&self->report, row, "%s at %#llx: the model holds no such block", what,
                     (unsigned long long)self->record.memory->addr[row]);
}

void ps__replay_free(ps__replay *self, size_t at, bool is_deferred)
{
    const uint64_t addr = self->record.memory->addr[ps__replay_row(self, at)];
    ps_alloc_handle handle;
    if (!ps__replay_held_at(self, addr, &handle)) {
        ps__replay_unmatched(self, at, "free");
        return;
    }
    if (!is_deferred) {
        ps__replay_let_go(self, addr);
    }
    if (!ps__replay_is_none(handle) &&
        ps_allocator_free(self->model, handle, is_deferred, NULL) != PS_OK) {
        ps__replay_unmatched(self, at, "free");
    }
}

void ps__replay_complete(ps__replay *self, size_t at)
{
    const uint64_t addr = self->record.memory->addr[ps__replay_row(self, at)];
    ps_alloc_handle handle;
    if (!ps__replay_held_at(self, addr, &handle)) {
        ps__replay_unmatched(self, at, "completion of a free");
        return;
    }
    ps__replay_let_go(self, addr);
    /* In a what-if the model may have waited for it before. */
    if (!ps__replay_is_none(handle) && ps_allocator_complete(self->model, handle, NULL) != PS_OK &&
        ps__replay_is_proof(self)) {
        ps__replay_unmatched(self, at, "completion of a free");
    }
}

ps_code ps__replay_note_private(ps__replay *self, uint64_t addr, ps_pool_id pool)
{
    size_t index = 0;
    while (index < self->pool_count && !ps_pool_id_is_equal(self->pool[index], pool)) {
        index++;
    }
    if (index == self->pool_count) {
        void *pools = self->pool;
        PS_TRY(ps_grow(&pools, &self->pool_capacity, index + 1, PS__REPLAY_MAX_ITEMS,
                       sizeof *self->pool, self->err));
        self->pool = pools;
        self->pool[self->pool_count++] = pool;
    }
    return ps_idmap_put(&self->private_segment, addr, (uint32_t)index, self->err);
}

static ps_code choose_settings(ps__replay *self)
{
    if (self->options->recorded != NULL) {
        self->recorded = *self->options->recorded;
    } else {
        ps_alloc_settings_init(&self->recorded);
        const ps_code code = ps_alloc_settings_parse(
            &self->recorded, ps_trace_meta(self->trace, PS_META_ALLOCATOR_CONF), self->err);
        if (code != PS_OK) {
            ps_error_note(self->err, "reading the recorded allocator settings");
            return code;
        }
    }
    self->settings = self->options->settings != NULL ? *self->options->settings : self->recorded;
    return PS_OK;
}

static uint64_t device_memory(const ps__replay *self)
{
    const ps_device_table *device = &self->trace->device;
    if (self->options->device_memory_bytes != 0) {
        return self->options->device_memory_bytes;
    }
    for (size_t i = 0; i < device->head.count; i++) {
        if (device->kind[i] == self->options->device.kind &&
            device->device[i] == self->options->device.ordinal) {
            return device->memory_bytes[i];
        }
    }
    return 0;
}

static ps_code create_model(ps__replay *self)
{
    ps_alloc_config config;
    ps_alloc_config_init(&config);
    config.settings = self->settings;
    config.device_memory_bytes = device_memory(self);
    config.private_pools_expand = self->record.has_private_pages;
    if (self->options->limit_bytes != 0) {
        config.limit_bytes = self->options->limit_bytes;
    } else if (ps__replay_is_proof(self) && self->record.has_limit) {
        config.limit_bytes = self->record.limit_bytes;
    }
    if (ps__replay_is_proof(self)) {
        config.choose_address = ps__replay_choose_address;
        config.address_ctx = self;
        config.on_event = ps__replay_on_event;
        config.event_ctx = self;
    }
    self->report.private_pools_expand = self->record.has_private_pages;
    self->report.is_limited = config.limit_bytes != PS_ALLOC_NO_LIMIT;
    self->report.limit_bytes = config.limit_bytes;
    const char *name = self->options->model != NULL ? self->options->model
                                                    : ps_allocators_default_name(&self->settings);
    return ps_allocator_create(name, &config, &self->model, self->err);
}

/* Seeds the model and holds what it was seeded with. */
static ps_code seed_model(ps__replay *self)
{
    PS_TRY(ps_start_state_seed(&self->start, self->model, self->err));
    for (size_t i = 0; i < self->start.block_count; i++) {
        ps_alloc_block_info *block = &self->start.block[i];
        if (block->state != PS_ALLOC_BLOCK_FREE) {
            block->handle = ps_allocator_find(self->model, block->addr);
            PS_TRY(ps__replay_hold(self, block->addr, block->handle));
        }
    }
    for (size_t i = 0; i < self->start.segment_count; i++) {
        const ps_alloc_segment_info *info = &self->start.segment[i].info;
        if (!ps_pool_id_is_default(info->pool)) {
            PS_TRY(ps__replay_note_private(self, info->addr, info->pool));
        }
    }
    return PS_OK;
}

/* Without final segments there is no state to recover: what-if modes then begin empty. */
static bool has_start(const ps__replay *self)
{
    const char *sizes = ps_trace_meta(self->trace, PS_META_MEMORY_SIZES);
    return ps__replay_is_proof(self) || (self->trace->segment.head.count > 0 &&
                                         (sizes == NULL || strcmp(sizes, "requested") == 0));
}

/* Forgets everything about a pass but what it learnt about the start. */
static void forget_pass(ps__replay *self)
{
    ps_allocator_destroy(self->model);
    self->model = NULL;
    ps_idmap_fini(&self->by_addr);
    ps_idmap_fini(&self->private_segment);
    self->held_count = 0;
    self->vacant = PS_IDMAP_NONE;
    self->pool_count = 0;
    self->event_count = 0;
    self->input_count = 0;
    self->must_repeat = false;
    memset(&self->report, 0, sizeof self->report);
    self->report.first_difference_row = SIZE_MAX;
}

static ps_code run_pass(ps__replay *self)
{
    forget_pass(self);
    PS_TRY(create_model(self));
    if (self->options->mode == PS_HISTORY_COLD) {
        PS_TRY(ps__replay_place_start(self));
    } else {
        PS_TRY(seed_model(self));
    }
    return ps__replay_is_proof(self) ? ps__replay_proof(self) : ps__replay_what_if(self);
}

static ps_code run(ps__replay *self)
{
    PS_TRY(choose_settings(self));
    if (has_start(self)) {
        PS_TRY(ps_start_state_recover(self->trace, self->options->device, &self->recorded,
                                      &self->start, self->err));
    }
    PS_TRY(ps__record_init(&self->record, self->trace, self->options->device, &self->recorded,
                           self->start.reserved_bytes, self->err));
    do {
        PS_TRY(run_pass(self)); /* each repetition takes slack from a doubt, so they end */
    } while (self->must_repeat);
    return PS_OK;
}

static bool is_full(ps_history_score score)
{
    return score.compared == score.equal;
}

static void conclude(ps__replay *self)
{
    ps_history_report *report = &self->report;
    report->event_count = self->record.count;
    report->recorded_peak_reserved_bytes = self->record.peak_reserved_bytes;
    report->stats = *ps_allocator_stats(self->model);
    report->doubt_count = self->start.doubt_count;
    report->is_exact = ps__replay_is_proof(self) && is_full(report->address) &&
                       is_full(report->segment) && is_full(report->release) &&
                       is_full(report->block) && is_full(report->total) && is_full(report->oom) &&
                       report->unmatched_free_count == 0 &&
                       report->stats.reserved_bytes.peak == report->recorded_peak_reserved_bytes;
    for (size_t i = 0; i < self->input_count && self->options->on_input != NULL; i++) {
        self->options->on_input(self->options->input_ctx, &self->input[i]);
    }
}

static void replay_fini(ps__replay *self)
{
    forget_pass(self);
    ps__record_fini(&self->record);
    ps_start_state_fini(&self->start);
    ps_free(self->held);
    ps_free(self->pool);
    ps_free(self->event);
    ps_free(self->input);
}

ps_code ps_history_replay_from(const ps_trace *trace, const ps_history_options *options,
                               ps_history_report *out, ps_start_state *start, ps_error *err)
{
    ps_error scratch = {.code = PS_OK};
    ps__replay self = {.trace = trace, .options = options};
    self.err = err != NULL ? err : &scratch;
    ps_idmap_init(&self.by_addr);
    ps_idmap_init(&self.private_segment);
    const ps_code code = run(&self);
    if (code == PS_OK) {
        conclude(&self);
        *out = self.report;
        *start = self.start;
        memset(&self.start, 0, sizeof self.start);
    }
    replay_fini(&self);
    return code;
}

ps_code ps_history_replay(const ps_trace *trace, const ps_history_options *options,
                          ps_history_report *out, ps_error *err)
{
    ps_start_state start;
    PS_TRY(ps_history_replay_from(trace, options, out, &start, err));
    ps_start_state_fini(&start);
    return PS_OK;
}
