/* SPDX-License-Identifier: MIT
 *
 * Memory of every rank of a Megatron job: builds each rank's workload and walks
 * its requests through the allocator model.
 *
 *   megatron [--events RANK] CONFIG LAYERS TENSOR CONTEXT EXPERT DATA PIPELINE SEQUENCE MICRO_BATCHES
 *
 * Prints one line a rank: the highest bytes allocated and reserved. With
 * --events, one line a request of one rank instead.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc/allocator.h"
#include "base/memory.h"
#include "workload/megatron/megatron.h"

#define STEPS 3
/* what the runs were made on: cuBLAS's workspace of PyTorch there, and the compute capability */
#define DEVICE                                     \
    ((ps_train_device){.workspace_bytes = 8519680, \
                       .sm_count = 148,            \
                       .threads_per_sm = 2048,     \
                       .capability = 100,          \
                       .release = 210})

enum { TENSOR, CONTEXT, EXPERT, DATA, PIPELINE, SEQUENCE, MICRO_BATCHES, NUMBERS };

typedef struct walker {
    ps_allocator *model;
    ps_alloc_handle *handle;
    const ps_workload *workload;
    bool shows_events;
} walker;

static void show(const walker *self, const char *what, uint32_t tensor, uint64_t addr)
{
    const ps_workload *w = self->workload;
    const ps_alloc_stats *stats = ps_allocator_stats(self->model);
    if (self->shows_events) {
        printf("%s %" PRIu32 " %.3f %s lane %u at %" PRIx64 " allocated %.1f reserved %.1f\n", what,
               tensor, (double)w->tensor.bytes[tensor] / 1048576.0,
               ps_strings_text(w->strings, w->tensor.label[tensor]), w->tensor.lane[tensor], addr,
               (double)stats->allocated_bytes.current / 1048576.0,
               (double)stats->reserved_bytes.current / 1048576.0);
    }
}

static ps_code walk_event(walker *self, uint8_t kind, uint32_t ref, ps_error *err)
{
    if (kind == PS_WORKLOAD_EVENT_ALLOC) {
        const ps_alloc_request request = {.bytes = self->workload->tensor.bytes[ref],
                                          .stream = self->workload->tensor.lane[ref]};
        ps_alloc_block block;
        PS_TRY(ps_allocator_alloc(self->model, &request, &block, NULL, err));
        self->handle[ref] = block.handle;
        show(self, "alloc", ref, block.addr);
    } else if (kind == PS_WORKLOAD_EVENT_FREE) {
        PS_TRY(ps_allocator_free(self->model, self->handle[ref], false, err));
        show(self, "free", ref, 0);
    }
    return PS_OK;
}

static ps_code walk(walker *self, ps_error *err)
{
    const ps_workload *w = self->workload;
    self->handle = ps_calloc(w->tensor.head.count + 1, sizeof *self->handle);
    if (self->handle == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < w->event.head.count; i++) {
        PS_TRY(walk_event(self, w->event.kind[i], w->event.ref[i], err));
    }
    return PS_OK;
}

static ps_code run_rank(const ps_megatron_job *job, int64_t rank, bool shows_events, ps_error *err)
{
    ps_workload *workload;
    ps_alloc_config config;
    walker self = {.shows_events = shows_events};
    PS_TRY(ps_megatron_build(job, rank, &workload, err));
    ps_alloc_config_init(&config);
    self.workload = workload;
    ps_code code = ps_workload_check(workload, err);
    if (code == PS_OK) {
        code = ps_allocator_create("native", &config, &self.model, err);
    }
    if (code == PS_OK) {
        code = walk(&self, err);
    }
    if (code == PS_OK && !shows_events) {
        const ps_alloc_stats *stats = ps_allocator_stats(self.model);
        printf("%" PRId64 " %" PRIu64 " %" PRIu64 "\n", rank, stats->allocated_bytes.peak,
               stats->reserved_bytes.peak);
    }
    ps_free(self.handle);
    ps_allocator_destroy(self.model);
    ps_workload_destroy(workload);
    return code;
}

static ps_code run(const char *path, int64_t layers, const int64_t number[NUMBERS],
                   int64_t shown_rank, ps_error *err)
{
    ps_model_config *config;
    ps_megatron_shape shape;
    ps_megatron_recipe recipe = ps_megatron_recipe_default();
    recipe.tensor = number[TENSOR];
    recipe.context = number[CONTEXT];
    recipe.expert = number[EXPERT];
    recipe.data = number[DATA];
    recipe.pipeline = number[PIPELINE];
    recipe.sequence = number[SEQUENCE];
    recipe.micro_batches = number[MICRO_BATCHES];
    recipe.steps = STEPS;
    PS_TRY(ps_model_config_read(path, &config, err));
    ps_code code = ps_megatron_shape_read(config, layers, &shape, err);
    const ps_megatron_job job = {
        .name = path, .shape = &shape, .recipe = &recipe, .device = DEVICE};
    for (int64_t rank = 0; code == PS_OK && rank < ps_megatron_ranks(&recipe); rank++) {
        if (shown_rank < 0 || shown_rank == rank) {
            code = run_rank(&job, rank, shown_rank >= 0, err);
        }
    }
    ps_model_config_destroy(config);
    return code;
}

int main(int argc, char **argv)
{
    ps_error err = {0};
    int64_t number[NUMBERS], shown_rank = -1;
    int at = 1;
    if (argc > 2 && strcmp(argv[1], "--events") == 0) {
        shown_rank = strtoll(argv[2], NULL, 10);
        at = 3;
    }
    if (argc - at != NUMBERS + 2) {
        (void)fprintf(stderr, "usage: megatron [--events RANK] CONFIG LAYERS TENSOR CONTEXT EXPERT "
                              "DATA PIPELINE SEQUENCE MICRO_BATCHES\n");
        return 2;
    }
    for (int i = 0; i < NUMBERS; i++) {
        number[i] = strtoll(argv[at + 2 + i], NULL, 10);
    }
    if (run(argv[at], strtoll(argv[at + 1], NULL, 10), number, shown_rank, &err) != PS_OK) {
        (void)fprintf(stderr, "megatron: %s\n", err.message);
        return 3;
    }
    return 0;
}
