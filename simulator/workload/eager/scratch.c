/* SPDX-License-Identifier: MIT
 *
 * What cub asks for.
 */
#include "workload/eager/scratch.h"

#include "workload/eager/eager_parts.h"

/* Parts begin on such boundaries, and as much but one is asked for to reach the first. */
#define PIECE_BYTES 256

/* Sort: so many pairs are one block's work; else tiles, each with a count a digit of 8 bits. */
#define SORT_ONE_BLOCK 2304
#define SORT_TILE 4608
#define SORT_DIGIT_BITS 8
#define SORT_DIGITS 256
#define SORT_COUNT_BYTES 4
#define SORT_OFFSET_BYTES 8
#define SORT_ITEM_BYTES 8

/* Sum: so many numbers are one block's work; else blocks of 256 threads fill the device 5 times. */
#define SUM_ONE_BLOCK 4096
#define SUM_THREADS 256
#define SUM_FILLS 5
#define SUM_ITEM_BYTES 4

/* Select: a word a tile and 32 more. */
#define SELECT_TILE 4224
#define SELECT_SPARE_TILES 32
#define SELECT_WORD_BYTES 8

static int64_t parts(int64_t count, int64_t size)
{
    return (count + size - 1) / size;
}

static int64_t pieces(int64_t bytes)
{
    return parts(bytes, PIECE_BYTES) * PIECE_BYTES;
}

int64_t ps_scratch_bits(int64_t largest)
{
    int64_t bits = 1;
    while (bits < 63 && (largest >> bits) > 0) {
        bits++;
    }
    return bits;
}

int64_t ps_scratch_sort_bytes(int64_t count, int64_t bits)
{
    if (count <= SORT_ONE_BLOCK) {
        return 1;
    }
    const int64_t passes = parts(bits, SORT_DIGIT_BITS);
    /* keys and values go to and fro; one pass needs no way back */
    const int64_t lists = passes > 1 ? 2 * pieces(SORT_ITEM_BYTES * count) : 0;
    const int64_t offsets = passes * SORT_DIGITS * SORT_OFFSET_BYTES;
    const int64_t counts = parts(count, SORT_TILE) * SORT_DIGITS * SORT_COUNT_BYTES;
    return lists + offsets + counts + PIECE_BYTES /* of counters */ + PIECE_BYTES - 1;
}

void ps_scratch_tell_sort(ps_eager *self, int64_t count, int64_t bits)
{
    const uint64_t bytes =
        4 * SORT_ITEM_BYTES * (uint64_t)count; /* keys and values, there and back */
    if (count <= SORT_ONE_BLOCK) {
        ps_op_kernel(self, "sort", bytes);
        return;
    }
    const int64_t passes = parts(bits, SORT_DIGIT_BITS);
    const uint64_t digits = (uint64_t)passes * SORT_DIGITS * SORT_OFFSET_BYTES;
    ps_op_kernel(self, "fill", digits);
    ps_op_kernel(self, "fill", SORT_COUNT_BYTES);
    ps_op_kernel(self, "sort_histogram", SORT_ITEM_BYTES * (uint64_t)count);
    ps_op_kernel(self, "sort_scan", 2 * digits);
    for (int64_t i = 0; i < passes; i++) {
        ps_op_kernel(self, "fill",
                     (uint64_t)parts(count, SORT_TILE) * SORT_DIGITS * SORT_COUNT_BYTES);
        ps_op_kernel(self, "sort", bytes);
    }
}

int64_t ps_scratch_sum_bytes(int64_t count, int64_t sm_count, int64_t threads_per_sm)
{
    if (count <= SUM_ONE_BLOCK) {
        return 1;
    }
    const int64_t blocks = sm_count * (threads_per_sm / SUM_THREADS) * SUM_FILLS;
    return pieces(blocks * SUM_ITEM_BYTES) + PIECE_BYTES - 1;
}

int64_t ps_scratch_select_bytes(int64_t count)
{
    const int64_t words = parts(count, SELECT_TILE) + SELECT_SPARE_TILES;
    return pieces(words * SELECT_WORD_BYTES) + PIECE_BYTES - 1;
}
