/* SPDX-License-Identifier: MIT
 *
 * Sizes of pinned blocks.
 */
#include "workload/script/pinned.h"

uint64_t ps_pinned_bytes(uint64_t bytes)
{
    uint64_t block = bytes > 0 ? 1 : 0;
    while (block < bytes && block <= UINT64_MAX / 2) {
        block *= 2;
    }
    return block < bytes ? UINT64_MAX : block;
}
