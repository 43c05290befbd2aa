/* SPDX-License-Identifier: MIT
 *
 * Workloads of data-parallel schemes, and what tests count in them.
 */
#ifndef PS_TESTS_SCHEME_RUNS_H
#define PS_TESTS_SCHEME_RUNS_H

#include "support/test.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "workload/script/build.h"

#define GPT2                                                                         \
    "{\"model_type\":\"gpt2\",\"vocab_size\":1000,\"n_positions\":64,\"n_embd\":64," \
    "\"n_layer\":4,\"n_head\":4,\"resid_pdrop\":0,\"embd_pdrop\":0,\"attn_pdrop\":0}"
#define OPT                                                                       \
    "{\"model_type\":\"opt\",\"vocab_size\":1001,\"max_position_embeddings\":62," \
    "\"hidden_size\":64,\"word_embed_proj_dim\":64,\"ffn_dim\":256,"              \
    "\"num_hidden_layers\":3,\"num_attention_heads\":4,\"dropout\":0}"
#define LLAMA                                                                      \
    "{\"model_type\":\"llama\",\"vocab_size\":1000,\"hidden_size\":64,"            \
    "\"intermediate_size\":176,\"num_hidden_layers\":4,\"num_attention_heads\":4," \
    "\"num_key_value_heads\":2,\"max_position_embeddings\":64}"

static inline ps_recipe small_recipe(ps_parallel_scheme scheme, int64_t ranks)
{
    ps_recipe r = ps_recipe_default();
    r.batch = 2;
    r.length = 16;
    r.steps = 3;
    r.has_no_cache = true;
    r.parallel.scheme = scheme;
    r.parallel.ranks = ranks;
    return r;
}

static inline ps_code try_build(const char *config_text, const ps_recipe *r, ps_workload **out,
                                ps_error *err)
{
    ps_model_config *config = NULL;
    assert_ok(err,
              ps_model_config_read_memory("small", config_text, strlen(config_text), &config, err));
    const ps_build what = {
        .name = "small",
        .config = config,
        .recipe = r,
        .device = {
            .workspace_bytes = 8519680, .sm_count = 80, .threads_per_sm = 2048, .capability = 80}};
    const ps_code code = ps_build_workload(&what, out, err);
    ps_model_config_destroy(config);
    return code;
}

/* Built and held against every invariant of workloads. */
static inline ps_workload *build(const char *config_text, const ps_recipe *r)
{
    ps_error err = {0};
    ps_workload *out = NULL;
    assert_ok(&err, try_build(config_text, r, &out, &err));
    assert_ok(&err, ps_workload_check(out, &err));
    return out;
}

/* ---- what is counted ---- */

/* [bytes] of a kind of collective in step `step`, along any of `axes`; whole messages. */
static inline uint64_t step_bytes(const ps_workload *w, size_t step, ps_collective_op op,
                                  uint32_t axes)
{
    uint64_t bytes = 0;
    for (uint32_t at = w->step.begin_event[step]; at < w->step.end_event[step]; at++) {
        const uint32_t row = w->event.ref[at];
        if (w->event.kind[at] == PS_WORKLOAD_EVENT_OP && w->op.kind[row] == PS_OP_COLLECTIVE &&
            w->op.collective[row] == (uint8_t)op && (w->op.axes[row] & axes) != 0) {
            bytes += w->op.moved_bytes[row];
        }
    }
    return bytes;
}

static inline size_t step_count(const ps_workload *w, size_t step, ps_collective_op op)
{
    size_t count = 0;
    for (uint32_t at = w->step.begin_event[step]; at < w->step.end_event[step]; at++) {
        const uint32_t row = w->event.ref[at];
        count += w->event.kind[at] == PS_WORKLOAD_EVENT_OP && w->op.kind[row] == PS_OP_COLLECTIVE &&
                 w->op.collective[row] == (uint8_t)op;
    }
    return count;
}

static inline size_t collectives(const ps_workload *w)
{
    size_t count = 0;
    for (size_t i = 0; i < w->op.head.count; i++) {
        count += w->op.kind[i] == PS_OP_COLLECTIVE;
    }
    return count;
}

/* [bytes] live at most within a step; step SIZE_MAX: ever. */
static inline uint64_t peak_bytes(const ps_workload *w, size_t step)
{
    uint64_t live = 0, peak = 0;
    for (size_t at = 0; at < w->event.head.count; at++) {
        const uint32_t row = w->event.ref[at];
        if (w->event.kind[at] == PS_WORKLOAD_EVENT_ALLOC) {
            live += w->tensor.bytes[row];
        } else if (w->event.kind[at] == PS_WORKLOAD_EVENT_FREE) {
            live -= w->tensor.bytes[row];
        }
        const bool is_inside =
            step == SIZE_MAX || (at >= w->step.begin_event[step] && at < w->step.end_event[step]);
        peak = is_inside && live > peak ? live : peak;
    }
    return peak;
}

/* [bytes] of a role that live at the end. */
static inline uint64_t held_bytes(const ps_workload *w, ps_role role)
{
    uint64_t live = 0;
    for (size_t at = 0; at < w->event.head.count; at++) {
        const uint32_t row = w->event.ref[at];
        if (w->event.kind[at] == PS_WORKLOAD_EVENT_OP || w->tensor.role[row] != (uint8_t)role) {
            continue;
        }
        live = w->event.kind[at] == PS_WORKLOAD_EVENT_ALLOC ? live + w->tensor.bytes[row]
                                                            : live - w->tensor.bytes[row];
    }
    return live;
}

static inline uint64_t parameters_of(const ps_workload *w)
{
    const char *text = ps_workload_meta(w, PS_WORKLOAD_META_PARAMETERS);
    assert_non_null(text);
    return strtoull(text, NULL, 10);
}

/* The same rows in the same order, column by column. */
static inline void assert_same_workload(const ps_workload *a, const ps_workload *b)
{
#define SAME(table, column)                               \
    assert_memory_equal(a->table.column, b->table.column, \
                        a->table.head.count * sizeof a->table.column[0])
    assert_int_equal(a->event.head.count, b->event.head.count);
    assert_int_equal(a->tensor.head.count, b->tensor.head.count);
    assert_int_equal(a->op.head.count, b->op.head.count);
    assert_int_equal(a->step.head.count, b->step.head.count);
    assert_int_equal(a->axis.head.count, b->axis.head.count);
    SAME(event, kind);
    SAME(event, ref);
    SAME(tensor, bytes);
    SAME(tensor, role);
    SAME(tensor, block);
    SAME(tensor, lane);
    SAME(tensor, label);
    SAME(tensor, is_saved);
    SAME(op, name);
    SAME(op, kind);
    SAME(op, phase);
    SAME(op, block);
    SAME(op, lane);
    SAME(op, flop);
    SAME(op, moved_bytes);
    SAME(op, launches);
    SAME(step, begin_event);
    SAME(step, end_event);
#undef SAME
}

#endif
