/* SPDX-License-Identifier: MIT
 *
 * shapes.csv inside the program, made by cluster/embed.cmake.
 */
#ifndef PS_COST_BUILTIN_SHAPES_H
#define PS_COST_BUILTIN_SHAPES_H

#include "cluster/builtin.h"

extern const ps_builtin_file ps_cost_files[];
extern const size_t ps_cost_file_count;

#endif
