/* SPDX-License-Identifier: MIT
 *
 * collectives.csv inside the program, made by cluster/embed.cmake.
 */
#ifndef PS_COST_BUILTIN_COLLECTIVES_H
#define PS_COST_BUILTIN_COLLECTIVES_H

#include "cluster/builtin.h"

extern const ps_builtin_file ps_collective_files[];
extern const size_t ps_collective_file_count;

#endif
