/* SPDX-License-Identifier: MIT
 *
 * Names of C++ functions as people write them.
 */
#ifndef PS_TRACER_DEMANGLE_H
#define PS_TRACER_DEMANGLE_H

#include <stdbool.h>
#include <stddef.h>

/**
 * Writes the readable form of a mangled name.
 *
 * @return false, and nothing written, when it is not one or does not fit
 */
bool ps_demangle(const char *name, char *out, size_t bytes);

#endif
