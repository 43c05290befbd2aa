/* SPDX-License-Identifier: MIT
 *
 * Small Megatron jobs.
 */
#include "megatron_scene.h"

#include <string.h>

#include "workload/walk.h"

const ps_megatron_shape meg_dense = {.hidden = MEG_HIDDEN,
                                     .ffn = 176,
                                     .heads = 8,
                                     .kv_heads = 4,
                                     .head = 24,
                                     .layers = 4,
                                     .vocabulary = 1000};
const ps_megatron_shape meg_mixture = {
    .hidden = MEG_HIDDEN,
    .ffn = 176,
    .heads = 8,
    .kv_heads = 8,
    .head = 16,
    .layers = 4,
    .vocabulary = 1000,
    .experts = {.count = 8, .chosen = 3, .ffn = 40, .shared_ffn = 80, .dense_layers = 1},
    .latent = {.q_rank = 128, .kv_rank = 256, .rotary_head = 8, .value_head = 16}};
const ps_megatron_shape meg_gpt = {.dialect = PS_MEGATRON_GPT,
                                   .hidden = MEG_HIDDEN,
                                   .ffn = 4 * MEG_HIDDEN,
                                   .heads = 8,
                                   .kv_heads = 8,
                                   .head = 48,
                                   .layers = 4,
                                   .vocabulary = 1000,
                                   .positions = 128};

ps_megatron_recipe meg_small(void)
{
    ps_megatron_recipe recipe = ps_megatron_recipe_default();
    recipe.sequence = 64;
    recipe.micro_batches = 4;
    return recipe;
}

ps_megatron_recipe meg_small_gpt(void)
{
    ps_megatron_recipe recipe = ps_megatron_recipe_for(&meg_gpt);
    recipe.sequence = 64;
    recipe.micro_batches = 4;
    return recipe;
}

ps_code meg_try_build(const ps_megatron_shape *shape, const ps_megatron_recipe *recipe,
                      int64_t rank, ps_workload **out, ps_error *err)
{
    const ps_megatron_job job = {
        .name = "test",
        .shape = shape,
        .recipe = recipe,
        .device = {
            .workspace_bytes = 8519680, .sm_count = 132, .threads_per_sm = 2048, .capability = 90}};
    return ps_megatron_build(&job, rank, out, err);
}

ps_workload *meg_build(const ps_megatron_shape *shape, const ps_megatron_recipe *recipe,
                       int64_t rank)
{
    ps_error err = {0};
    ps_workload *workload = NULL;
    assert_ok(&err, meg_try_build(shape, recipe, rank, &workload, &err));
    assert_ok(&err, ps_workload_check(workload, &err));
    return workload;
}

uint64_t meg_role_bytes(const ps_workload *w, ps_role role)
{
    ps_workload_walk walk;
    ps_workload_walk_init(&walk, w);
    (void)ps_workload_walk_to(&walk, (uint32_t)w->event.head.count);
    return walk.live.role_bytes[role];
}

uint64_t meg_sum_of_ranks(const ps_megatron_shape *shape, const ps_megatron_recipe *recipe,
                          ps_role role)
{
    uint64_t sum = 0;
    for (int64_t rank = 0; rank < ps_megatron_ranks(recipe); rank++) {
        ps_workload *w = meg_build(shape, recipe, rank);
        sum += meg_role_bytes(w, role);
        ps_workload_destroy(w);
    }
    return sum;
}

size_t meg_count_collectives(const ps_workload *w, ps_collective_op op, uint32_t axes)
{
    size_t count = 0;
    for (size_t i = 0; i < w->op.head.count; i++) {
        count += w->op.kind[i] == PS_OP_COLLECTIVE && w->op.collective[i] == (uint8_t)op &&
                 (axes == 0 || w->op.axes[i] == axes);
    }
    return count;
}

uint64_t meg_product_flop(const ps_workload *w, uint32_t block)
{
    uint64_t flop = 0;
    for (size_t i = 0; i < w->op.head.count; i++) {
        flop += w->op.kind[i] == PS_OP_MATMUL && w->op.block[i] == block ? w->op.flop[i] : 0;
    }
    return flop;
}

void meg_check_refused(const ps_megatron_shape *shape, const ps_megatron_recipe *recipe,
                       int64_t rank, const char *word)
{
    ps_workload *none = NULL;
    ps_error err = {0};
    char words[512];
    assert_int_equal(meg_try_build(shape, recipe, rank, &none, &err), PS_USAGE);
    assert_null(none);
    ps_error_format(&err, words, sizeof words);
    if (strstr(words, word) == NULL) {
        fail_msg("\"%s\" does not speak of %s", words, word);
    }
}

uint64_t meg_collective_bytes(const ps_workload *w, ps_collective_op op, uint32_t axes)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < w->op.head.count; i++) {
        if (w->op.kind[i] == PS_OP_COLLECTIVE && w->op.collective[i] == (uint8_t)op &&
            w->op.axes[i] == axes) {
            bytes += w->op.moved_bytes[i];
        }
    }
    return bytes;
}
