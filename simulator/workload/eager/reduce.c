/* SPDX-License-Identifier: MIT
 *
 * The launch configuration of a sum over rows.
 */
#include "workload/eager/reduce.h"

#include <stdbool.h>

#define MAX_THREADS 512
#define WARP 32
#define MIN_VALUES_A_THREAD 16
#define MAX_VALUES_A_THREAD 256
#define PARTIAL_BYTES 4
#define COUNTER_BYTES 4

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t last_power_of_two(int64_t value)
{
    int64_t power = 1;
    while (power * 2 <= value) {
        power *= 2;
    }
    return power;
}

static int64_t divide_up(int64_t value, int64_t by)
{
    return (value + by - 1) / by;
}

ps_reduce_memory ps_reduce_rows(int64_t rows, int64_t columns, ps_reduce_device device)
{
    const int64_t vector = columns % 4 == 0 ? 4 : columns % 2 == 0 ? 2 : 1;
    const int64_t threads = MAX_THREADS / vector;
    const int64_t wide = last_power_of_two(columns / vector), high = last_power_of_two(rows);
    int64_t width = smaller(wide, WARP);
    const int64_t height = smaller(high, threads / width);
    width = smaller(wide, threads / height);
    int64_t values = rows; /* a thread adds up */
    if (values < height * MIN_VALUES_A_THREAD && values < MAX_VALUES_A_THREAD) {
        return (ps_reduce_memory){0, 0}; /* each row of threads has columns of its own */
    }
    values = divide_up(values, height);
    const int64_t grid = divide_up(columns, width * vector);
    const int64_t target = device.sm_count * (device.threads_per_sm / (width * height));
    if (values < MAX_VALUES_A_THREAD || grid > target) {
        return (ps_reduce_memory){0, 0};
    }
    const int64_t wanted = smaller(divide_up(target, grid), divide_up(values, MIN_VALUES_A_THREAD));
    const int64_t least = divide_up(values, MAX_VALUES_A_THREAD);
    const int64_t blocks = wanted > least ? wanted : least;
    if (blocks <= 1) {
        return (ps_reduce_memory){0, 0};
    }
    return (ps_reduce_memory){
        .partial_bytes = (uint64_t)(PARTIAL_BYTES * columns * blocks * width * vector),
        .counter_bytes = (uint64_t)(COUNTER_BYTES * grid),
    };
}

/* More than this many values in one row alone are read four at a time. */
#define MIN_VECTOR_VALUES 128
#define VECTOR 4

ps_reduce_memory ps_reduce_last(int64_t rows, int64_t columns, ps_reduce_device device)
{
    const bool is_vector = rows == 1 && columns > MIN_VECTOR_VALUES;
    const int64_t along = is_vector ? columns / VECTOR : columns;
    const int64_t wide = smaller(last_power_of_two(along), MAX_THREADS);
    const int64_t high = smaller(last_power_of_two(rows), MAX_THREADS);
    int64_t width = smaller(wide, WARP);
    const int64_t height = smaller(high, MAX_THREADS / width);
    width = smaller(wide, MAX_THREADS / height);
    int64_t values = divide_up(columns, width); /* a thread reduces */
    if (values < height * MIN_VALUES_A_THREAD && values < MAX_VALUES_A_THREAD) {
        return (ps_reduce_memory){0, 0}; /* each row of threads has rows of its own */
    }
    values = divide_up(columns, width * height);
    const int64_t target = device.sm_count * (device.threads_per_sm / (width * height));
    if (values < MAX_VALUES_A_THREAD || rows > target) {
        return (ps_reduce_memory){0, 0};
    }
    const int64_t wanted = smaller(divide_up(target, rows), divide_up(values, MIN_VALUES_A_THREAD));
    const int64_t least = divide_up(values, MAX_VALUES_A_THREAD);
    const int64_t blocks = wanted > least ? wanted : least;
    if (blocks <= 1) {
        return (ps_reduce_memory){0, 0};
    }
    return (ps_reduce_memory){
        .partial_bytes = (uint64_t)(PARTIAL_BYTES * rows * blocks),
        .counter_bytes = (uint64_t)(COUNTER_BYTES * rows),
    };
}
