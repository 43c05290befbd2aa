/* SPDX-License-Identifier: MIT
 *
 * The catalogue files inside the program. embed.cmake makes the arrays of the
 * CSV files at build time, so that the program needs no data folder.
 */
#ifndef PS_CLUSTER_BUILTIN_H
#define PS_CLUSTER_BUILTIN_H

#include <stddef.h>

typedef struct ps_builtin_file {
    const char *name;
    const unsigned char *bytes;
    size_t count;
} ps_builtin_file;

/** In the order in which they are to be read. */
extern const ps_builtin_file ps_builtin_files[];
extern const size_t ps_builtin_file_count;

#endif
