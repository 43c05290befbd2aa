/* SPDX-License-Identifier: MIT
 *
 * Texts of one chunk by key.
 */
#include "text_cache.h"

#include <string.h>

_Static_assert(PS_TEXT_CACHE_SLOTS == 1u << 12, "slots are taken from the upper 12 bits");

void ps_text_cache_clear(ps_text_cache *self)
{
    memset(self->key, 0, sizeof self->key);
}
