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

/** Of the hardware, in the order in which they are to be read. */
extern const ps_builtin_file ps_builtin_files[];
extern const size_t ps_builtin_file_count;

/** Kinds of nodes (cluster/cluster.h): one file. */
extern const ps_builtin_file ps_cluster_files[];
extern const size_t ps_cluster_file_count;

/** Of collectives (cost/collective.h): the machines' figures, NCCL's constants. */
extern const ps_builtin_file ps_collective_files[];
extern const size_t ps_collective_file_count;

/** Of the models (workload/models.h). */
extern const ps_builtin_file ps_model_files[];
extern const size_t ps_model_file_count;

#endif
