/* SPDX-License-Identifier: MIT
 *
 * Sizes of pinned blocks, and how many there are.
 */
#include "workload/script/pinned.h"

#include "base/checked.h"

#define SIZES 65u /* powers of two of 64 bits, and what is larger than all */

static unsigned size_of(uint64_t bytes)
{
    unsigned size = 0;
    while (size + 1 < SIZES && (size == 64 || (UINT64_C(1) << size) < bytes)) {
        size++;
    }
    return size;
}

uint64_t ps_pinned_bytes(uint64_t bytes)
{
    const unsigned size = size_of(bytes);
    return bytes == 0 ? 0 : size >= 64 ? UINT64_MAX : UINT64_C(1) << size;
}

uint64_t ps_pinned_held(const ps_workload *workload)
{
    const ps_workload_tensor_table *tensor = &workload->tensor;
    uint64_t held = 0, unused[SIZES] = {0};
    for (size_t i = 0; i < workload->event.head.count; i++) {
        const uint8_t kind = workload->event.kind[i];
        const uint32_t row = workload->event.ref[i];
        if (kind == PS_WORKLOAD_EVENT_OP || tensor->memory[row] != PS_MEMORY_PINNED) {
            continue;
        }
        uint64_t *count = &unused[size_of(tensor->bytes[row])];
        if (kind == PS_WORKLOAD_EVENT_FREE) {
            (*count)++;
        } else if (*count > 0) {
            (*count)--;
        } else if (!ps_add_u64(held, ps_pinned_bytes(tensor->bytes[row]), &held)) {
            return UINT64_MAX;
        }
    }
    return held;
}
