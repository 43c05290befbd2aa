/* SPDX-License-Identifier: MIT
 *
 * One stream of requests under several allocator settings: each recording of
 * the stream is replayed cold under the settings of each other recording, with
 * invented segment addresses and once more with those that the driver gave the
 * other recording, and must give that one's recorded peak.
 *
 *   allocators [--cold|--drivers] FOLDER CONF_A FILE_A PEAK_A CONF_B FILE_B PEAK_B ...
 *
 * Prints one Markdown row a pair. Exit status 1 when a peak differs although the
 * driver's addresses were given: then it is a rule of the allocator that is wrong.
 * With --cold, also when one differs without them. With --drivers, the row goes on to
 * tell on how many of DRIVERS drivers that place segments at random the peak would be the
 * predicted one, and how far from it the lowest and the highest are.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "import/import.h"
#include "lower/lower.h"
#include "policy/whatif.h"
#include "run/run.h"

static ps_code load(const char *folder, const char *name, ps_trace **out, ps_error *err)
{
    char path[4096];
    ps_trace_builder *builder;
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    PS_TRY(ps_trace_builder_open_memory(&builder, err));
    const ps_code code = ps_import_file(path, NULL, builder, NULL, err);
    if (code != PS_OK) {
        ps_trace_builder_abandon(builder);
        return code;
    }
    return ps_trace_builder_take(builder, out, err);
}

/* One recording of the stream, made under `conf`. */
typedef struct setting {
    const char *conf;
    const char *file;
    uint64_t recorded_bytes;
    ps_trace *trace;
} setting;

enum { SETTINGS_MAX = 16 };

/* Rows of `plan` turn so that the last `count` come first. */
static ps_code move_to_front(ps_plan *plan, size_t count, ps_error *err)
{
    const size_t rows = plan->memop.head.count;
    uint32_t *order = malloc(rows * sizeof *order);
    if (order == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t row = 0; row < rows; row++) {
        order[row] = (uint32_t)((row + rows - count) % rows);
    }
    const ps_code code =
        ps_table_permute(&ps_plan_specs()[PS_PLAN_MEMOP], &plan->memop.head, order, err);
    free(order);
    return code;
}

/* The driver answers the plan's requests for segments as it answered those of `driver`. */
static ps_code give_addresses(ps_plan *plan, const ps_plan *driver, ps_error *err)
{
    size_t count = 0;
    for (size_t row = 0; row < driver->memop.head.count; row++) {
        size_t to;
        if (driver->memop.op[row] != PS_MEMOP_PLACE) {
            continue;
        }
        PS_TRY(ps_table_add(&ps_plan_specs()[PS_PLAN_MEMOP], &plan->memop.head, &to, err));
        plan->memop.op[to] = PS_MEMOP_PLACE;
        plan->memop.bytes[to] = driver->memop.bytes[row];
        plan->memop.addr[to] = driver->memop.addr[row];
        plan->memop.stream[to] = driver->memop.stream[row];
        count++;
    }
    return count == 0 ? PS_OK : move_to_front(plan, count, err);
}

enum { DRIVERS = 32, PLACES = 4096, PLACE_SHIFT = 36 };

/* splitmix64 (Steele and others 2014) */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

/* The driver answers requests for segments with places far apart, in an order drawn from `seed`. */
static ps_code give_random_addresses(ps_plan *plan, uint64_t seed, ps_error *err)
{
    uint64_t place[PLACES];
    for (uint64_t i = 0; i < PLACES; i++) {
        const uint64_t other = next_random(&seed) % (i + 1);
        place[i] = place[other];
        place[other] = (i + 1) << PLACE_SHIFT;
    }
    for (size_t i = 0; i < PLACES; i++) {
        size_t to;
        PS_TRY(ps_table_add(&ps_plan_specs()[PS_PLAN_MEMOP], &plan->memop.head, &to, err));
        plan->memop.op[to] = PS_MEMOP_PLACE;
        plan->memop.addr[to] = place[i];
    }
    return move_to_front(plan, PLACES, err);
}

/* Who places the segments of a replay: recorded's driver, else one drawn from seed, else a rule. */
typedef struct driver {
    const ps_plan *recorded;
    uint64_t seed;
} driver;

static ps_code run_cold(ps_plan *plan, const char *conf, driver by, uint64_t *peak, ps_error *err)
{
    ps_catalogue *catalogue;
    ps_result result;
    const ps_whatif change = {.allocator_conf = conf, .cache = "empty"};
    PS_TRY(ps_catalogue_create(&catalogue, err));
    const ps_code code = ps_whatif_apply(plan, catalogue, &change, err);
    ps_catalogue_destroy(catalogue);
    PS_TRY(code);
    if (by.recorded != NULL) {
        PS_TRY(give_addresses(plan, by.recorded, err));
    } else if (by.seed != 0) {
        PS_TRY(give_random_addresses(plan, by.seed, err));
    }
    PS_TRY(ps_run_plan(plan, &result, err));
    *peak = result.device[0].peak_reserved_bytes;
    ps_result_fini(&result);
    return PS_OK;
}

/* [bytes] peak of the requests of `from` under `to`. */
static ps_code predict(const setting *from, const setting *to, driver by, uint64_t *peak,
                       ps_error *err)
{
    ps_plan *plan;
    PS_TRY(ps_lower_trace(from->trace, &plan, err));
    const ps_code code = run_cold(plan, to->conf, by, peak, err);
    ps_plan_destroy(plan);
    return code;
}

static ps_code predict_placed(const setting *from, const setting *to, uint64_t *peak, ps_error *err)
{
    ps_plan *recorded;
    PS_TRY(ps_lower_trace(to->trace, &recorded, err));
    const ps_code code = predict(from, to, (driver){.recorded = recorded}, peak, err);
    ps_plan_destroy(recorded);
    return code;
}

/* What was compared, whether invented addresses had to do, and with which drivers. */
typedef struct comparison {
    bool must_be_equal_cold;
    bool has_drivers; /* those that place at random too */
    int different;
} comparison;

static double deviation_percent(uint64_t peak, uint64_t cold)
{
    return 100 * ((double)peak - (double)cold) / (double)cold;
}

static ps_code print_random(const setting *from, const setting *to, uint64_t cold, ps_error *err)
{
    int equal = 0;
    uint64_t lowest = cold;
    uint64_t highest = cold;
    for (uint64_t seed = 1; seed <= DRIVERS; seed++) {
        uint64_t peak;
        PS_TRY(predict(from, to, (driver){.seed = seed}, &peak, err));
        equal += peak == cold;
        lowest = peak < lowest ? peak : lowest;
        highest = peak > highest ? peak : highest;
    }
    printf(" %d of %d | %+.2f %% | %+.2f %% |", equal, DRIVERS, deviation_percent(lowest, cold),
           deviation_percent(highest, cold));
    return PS_OK;
}

static ps_code print_pair(const setting *from, const setting *to, comparison *done, ps_error *err)
{
    uint64_t cold = 0;
    uint64_t placed = 0;
    PS_TRY(predict(from, to, (driver){0}, &cold, err));
    PS_TRY(predict_placed(from, to, &placed, err));
    done->different +=
        placed != to->recorded_bytes || (done->must_be_equal_cold && cold != to->recorded_bytes);
    printf("| %s | %s | %llu | %llu | %s | %llu | %s |", from->file,
           to->conf[0] == '\0' ? "default" : to->conf, (unsigned long long)to->recorded_bytes,
           (unsigned long long)cold, cold == to->recorded_bytes ? "equal" : "**different**",
           (unsigned long long)placed, placed == to->recorded_bytes ? "equal" : "**different**");
    if (done->has_drivers) {
        PS_TRY(print_random(from, to, cold, err));
    }
    printf("\n");
    return PS_OK;
}

static ps_code print_pairs(const char *folder, setting *list, int count, comparison *done,
                           ps_error *err)
{
    for (int i = 0; i < count; i++) {
        PS_TRY(load(folder, list[i].file, &list[i].trace, err));
    }
    for (int a = 0; a < count; a++) {
        for (int b = 0; b < count; b++) {
            if (a != b) {
                PS_TRY(print_pair(&list[a], &list[b], done, err));
            }
        }
    }
    return PS_OK;
}

int main(int argc, char **argv)
{
    ps_error err = {0};
    setting list[SETTINGS_MAX] = {{0}};
    int count = 0;
    comparison done = {.must_be_equal_cold = argc > 1 && strcmp(argv[1], "--cold") == 0,
                       .has_drivers = argc > 1 && strcmp(argv[1], "--drivers") == 0};
    const int folder = done.must_be_equal_cold || done.has_drivers ? 2 : 1;
    for (int a = folder + 1; a + 2 < argc && count < SETTINGS_MAX; a += 3) {
        list[count++] = (setting){.conf = argv[a],
                                  .file = argv[a + 1],
                                  .recorded_bytes = strtoull(argv[a + 2], NULL, 10)};
    }
    const ps_code code = count > 0 ? print_pairs(argv[folder], list, count, &done, &err) : PS_OK;
    for (int i = 0; i < count; i++) {
        ps_trace_destroy(list[i].trace);
    }
    if (code != PS_OK) {
        (void)fprintf(stderr, "%s\n", err.message);
        return 3;
    }
    return done.different > 0;
}
