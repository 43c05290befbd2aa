/* SPDX-License-Identifier: MIT
 *
 * Text that is put together piece by piece, in room of a fixed size.
 */
#ifndef PS_BASE_TEXT_H
#define PS_BASE_TEXT_H

#include <stddef.h>

#include "base/status.h"

/**
 * Appends what there is room for.
 *
 * @param text   ends with a NUL within `bytes`, before and after
 * @param bytes  room of the whole text, its NUL included; > 0
 */
void ps_text_append(char *text, size_t bytes, const char *format, ...) PS_PRINTF(3, 4);

#endif
