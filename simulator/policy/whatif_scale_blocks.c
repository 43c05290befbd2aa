/* SPDX-License-Identifier: MIT
 *
 * Which requests fit a recorded block.
 *
 * A block is the request rounded up to 512 bytes; a large one may hold up to a
 * mebibyte more, when the rest was not worth splitting off.
 */
#include "alloc/sizes.h"
#include "policy/whatif_scale_buffers_parts.h"

ps_block_fit ps__block_fit(bool is_block, uint64_t wanted, uint64_t bytes)
{
    if (wanted == 0 || wanted > bytes) {
        return PS_FIT_NONE;
    }
    const uint64_t rest = bytes - wanted;
    if (!is_block) {
        return rest == 0 ? PS_FIT_EXACT : PS_FIT_NONE;
    }
    if (rest < PS_ALLOC_GRAIN_BYTES) {
        return PS_FIT_EXACT;
    }
    return ps__alloc_is_large(bytes) && rest <= PS_ALLOC_SMALL_BYTES ? PS_FIT_LOOSE : PS_FIT_NONE;
}

uint64_t ps__block_multiple(bool is_block, uint64_t bytes, uint64_t unit)
{
    if (unit == 0) {
        return 0;
    }
    const uint64_t multiple = bytes - bytes % unit;
    return ps__block_fit(is_block, multiple, bytes) == PS_FIT_EXACT ? multiple : 0;
}

bool ps__block_is_telling(bool is_block, uint64_t unit)
{
    return !is_block || unit >= 4 * PS_ALLOC_GRAIN_BYTES;
}
