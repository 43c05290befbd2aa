/* SPDX-License-Identifier: MIT
 *
 * Recordings of which rows are lost, come twice, move or change: whatever is
 * kept in the host, the plan is valid and proved, or one sentence says why it
 * cannot be.
 */
#include "host_network.h"
#include "layer_job.h"
#include "offload_job.h"

#include <string.h>

#include "lower/lower.h"
#include "policy/whatif.h"
#include "trace/file.h"

#define FAULTY 1500

static const char *const recordings[] = {
    "bert-fp32-sdpa-adamw",     "gpt2-fp32-sdpa-adamw-long",  "gpt2-amp-sdpa-adamw",
    "llama-bf16-sdpa-adamw",    "llama-bf16-sdpa-adamw-lora", "llama-fp32-sdpa-adamw-checkpoint",
    "gpt_neox-fp32-sdpa-adamw",
};

enum { RECORDINGS = sizeof recordings / sizeof recordings[0] };

static ps_trace *whole(uint64_t seed)
{
    char path[1024];
    ps_error err = {0};
    ps_trace *trace;
    layer_job of = layer_job_forward;
    if (seed % (RECORDINGS + 2) < RECORDINGS) {
        (void)snprintf(path, sizeof path, MODELS "%s.pstrace", recordings[seed % (RECORDINGS + 2)]);
        assert_ok(&err, ps_trace_read(path, &trace, NULL, &err));
        return trace;
    }
    of.trains = seed % (RECORDINGS + 2) == RECORDINGS;
    of.perturbs = !of.trains;
    of.steps = 2;
    return layer_job_trace(&of);
}

/* ---- faults ---- */

static const ps_trace_table_id spoilable[] = {PS_TABLE_RANGE, PS_TABLE_CALL, PS_TABLE_KERNEL,
                                              PS_TABLE_MEMCPY, PS_TABLE_MEMORY};

/* A column of a table, by the nth of those that a recording may have wrong. */
static const ps_column_spec *any_column(const ps_table_spec *spec, uint64_t *rng)
{
    static const char *const names[] = {"start_ns", "dur_ns",   "time_ns", "correlation",
                                        "sequence", "name",     "tid",     "stream",
                                        "addr",     "category", "bytes"};
    for (;;) {
        const char *name = names[next_random(rng) % (sizeof names / sizeof names[0])];
        for (size_t i = 0; i < spec->column_count; i++) {
            if (strcmp(spec->columns[i].name, name) == 0) {
                return &spec->columns[i];
            }
        }
    }
}

static void drop_row(const ps_table_spec *spec, ps_table_head *table, size_t row)
{
    for (size_t c = 0; c < spec->column_count; c++) {
        for (size_t i = row; i + 1 < table->count; i++) {
            ps_table_set(&spec->columns[c], table, i,
                         ps_table_get(&spec->columns[c], table, i + 1));
        }
    }
    table->count--;
}

static void double_row(const ps_table_spec *spec, ps_table_head *table, size_t row)
{
    ps_error err = {0};
    size_t other;
    assert_ok(&err, ps_table_add(spec, table, &other, &err));
    for (size_t c = 0; c < spec->column_count; c++) {
        ps_table_set(&spec->columns[c], table, other, ps_table_get(&spec->columns[c], table, row));
    }
}

/* The value of another row; a time moves by as much as a step takes at most. */
static void change_row(const ps_table_spec *spec, ps_table_head *table, size_t row, uint64_t *rng)
{
    const ps_column_spec *column = any_column(spec, rng);
    const uint64_t value = ps_table_get(column, table, row);
    const bool is_time =
        strcmp(column->name, "start_ns") == 0 || strcmp(column->name, "time_ns") == 0;
    const uint64_t other =
        is_time ? value + next_random(rng) % 8000000 - 4000000
                : ps_table_get(column, table, (size_t)(next_random(rng) % table->count));
    ps_table_set(column, table, row, other);
}

static void spoil(ps_trace *trace, uint64_t *rng)
{
    ps_error err = {0};
    for (uint64_t left = 1 + next_random(rng) % 4; left > 0; left--) {
        const ps_trace_table_id id =
            spoilable[next_random(rng) % (sizeof spoilable / sizeof spoilable[0])];
        const ps_table_spec *spec = &ps_trace_specs()[id];
        ps_table_head *table = ps_trace_table(trace, id);
        if (table->count == 0) {
            continue;
        }
        const size_t row = (size_t)(next_random(rng) % table->count);
        switch (next_random(rng) % 4) {
        case 0:
            drop_row(spec, table, row);
            break;
        case 1:
            double_row(spec, table, row);
            break;
        default:
            change_row(spec, table, row, rng);
        }
    }
    assert_ok(&err, ps_trace_sort(trace, &err));
}

/* ---- what becomes of them ---- */

typedef struct tally {
    size_t unread, refused, unsound, moved;
} tally;

static void try_offload(ps_trace *trace, ps_plan *plan, const ps_catalogue *catalogue,
                        uint64_t what, tally *of)
{
    ps_error err = {0};
    ps_structure structure;
    uint64_t rate = RATE_BYTES_PER_S;
    const ps_network network = host_network(&rate);
    if (ps_structure_recover(trace, plan, NULL, &structure, &err) != PS_OK) {
        of->unread++;
        return;
    }
    ps_structure_label_plan(&structure, 0, plan);
    const ps_offload offload = {.activations = (what & 1) != 0,
                                .optimizer = (what & 2) != 0,
                                .parameters = (what & 4) != 0,
                                .delayed = (what & 6) == 2 && what / 8 % 3 == 1,
                                .prefetch = (uint32_t)(what / 8 % 3),
                                .ranks = (uint32_t)(what / 8 % 3),
                                .network = &network,
                                .trace = trace,
                                .structure = &structure};
    const ps_whatif change = {.offload = &offload};
    const ps_code code = ps_whatif_apply(plan, catalogue, &change, &err);
    if (code == PS_OK) {
        assert_proved(plan);
        of->moved++;
    } else {
        assert_true(code == PS_USAGE || code == PS_BAD_INPUT);
        assert_true(err.message[0] != '\0');
        of->refused++;
        of->unsound += strstr(err.message, "contradict each other") != NULL ||
                       strstr(err.message, "out of order or incomplete") != NULL;
    }
    ps_structure_fini(&structure);
}

static void spoilt_recordings_are_refused_or_proved(void **state)
{
    ps_error err = {0};
    ps_catalogue *catalogue;
    tally of = {0};
    (void)state;
    assert_ok(&err, ps_catalogue_create(&catalogue, &err));
    for (uint64_t seed = 1; seed <= FAULTY; seed++) {
        uint64_t rng = seed * 2654435761u + 11;
        ps_plan *plan;
        ps_trace *trace = whole(seed);
        spoil(trace, &rng);
        if (ps_lower_trace(trace, &plan, &err) == PS_OK) {
            try_offload(trace, plan, catalogue, 1 + next_random(&rng) % 7 + 8 * (seed % 3), &of);
            ps_plan_destroy(plan);
        } else {
            of.unread++;
        }
        ps_trace_destroy(trace);
    }
    ps_catalogue_destroy(catalogue);
    print_message("%zu unread, %zu refused, of those %zu not proved, %zu moved\n", of.unread,
                  of.refused, of.unsound, of.moved);
    assert_true(of.moved > FAULTY / 8 && of.refused > FAULTY / 8);
    assert_true(of.unsound > 0); /* else nothing shows that plans are checked */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spoilt_recordings_are_refused_or_proved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
