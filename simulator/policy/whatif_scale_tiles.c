/* SPDX-License-Identifier: MIT
 *
 * Tiles of matrix products.
 *
 * Libraries choose the tile of a product by its size. Each tile of a x b reads
 * a + b operands for a * b results, so the whole reads 1/a + 1/b as much.
 */
#include "policy/whatif_scale_work_parts.h"

/* The tile that large products get: what the libraries' guides call their largest efficient one. */
#define LARGE_TILE 128u

/* No tile has a side of so many. */
#define SIDE_LIMIT 10000u

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Reads a number; returns what stands behind it. */
static const char *read_side(const char *at, uint64_t *out)
{
    *out = 0;
    for (; is_digit(*at) && *out < SIDE_LIMIT; at++) {
        *out = *out * 10 + (uint64_t)(*at - '0');
    }
    return at;
}

/* "..._s16816gemm_fp16_64x128_sliced1x2_...": rows and columns of a tile. The first pair of numbers
 * of at least 16 is it; pairs of one digit count slices and stages. */
static bool read_tile(const char *name, uint64_t *rows, uint64_t *columns)
{
    for (const char *at = name; *at != '\0'; at++) {
        if (!is_digit(*at) || (at != name && is_digit(at[-1]))) {
            continue;
        }
        const char *behind = read_side(at, rows);
        if (*behind != 'x') {
            continue;
        }
        (void)read_side(behind + 1, columns);
        if (*rows >= 16 && *columns >= 16) {
            return true;
        }
    }
    return false;
}

uint64_t ps__load_with_large_tiles(const char *kernel_name, uint64_t load)
{
    uint64_t rows, columns;
    if (!read_tile(kernel_name, &rows, &columns) || rows + columns >= 2 * LARGE_TILE) {
        return load;
    }
    /* (1/L + 1/L) / (1/rows + 1/columns) */
    return ps_mul_div_u64(load, 2 * rows * columns, LARGE_TILE * (rows + columns));
}
