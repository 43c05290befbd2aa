/* SPDX-License-Identifier: MIT
 *
 * What a sum over rows needs beside its result. When there are many rows for
 * few columns, several blocks work on each column: they meet in a buffer of
 * partial sums, guarded by one counter a block column. How many, PyTorch
 * decides in its reduction kernels (aten/src/ATen/native/cuda/Reduce.cuh).
 */
#ifndef PS_WORKLOAD_REDUCE_H
#define PS_WORKLOAD_REDUCE_H

#include <stdint.h>

/** [bytes] two allocations, both 0 when one block a column suffices. */
typedef struct ps_reduce_memory {
    uint64_t partial_bytes, counter_bytes;
} ps_reduce_memory;

/** What the device has: it bounds how many blocks are worth while. */
typedef struct ps_reduce_device {
    int64_t sm_count, threads_per_sm;
} ps_reduce_device;

/**
 * @param rows, columns  of a matrix whose rows are added up, in 32 bits or from 16-bit elements
 */
ps_reduce_memory ps_reduce_rows(int64_t rows, int64_t columns, ps_reduce_device device);

/**
 * As ps_reduce_rows, of a matrix whose rows each give one result: norms and means along the last
 * dimension, and with one row those of a whole tensor.
 */
ps_reduce_memory ps_reduce_last(int64_t rows, int64_t columns, ps_reduce_device device);

#endif
