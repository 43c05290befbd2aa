/* SPDX-License-Identifier: MIT
 *
 * Measured collectives that a user brings along.
 */
#ifndef PS_TOOLS_COLLECTIVE_TABLES_H
#define PS_TOOLS_COLLECTIVE_TABLES_H

#include "cli/options.h"
#include "cost/collective.h"

/**
 * The collectives of a cluster, with the tables of --collectives.
 *
 * @param out  to be given to ps_collective_destroy; untouched on failure
 * @return PS_OK · PS_USAGE a kind of collective that is none · PS_IO, PS_BAD_INPUT with the file ·
 *         what ps_collective_create says
 */
ps_code ps_collective_tables_read(const ps_args *args, const ps_catalogue *catalogue,
                                  const ps_cluster *cluster, ps_collective_model **out,
                                  ps_error *err) PS_MUST_USE;

/** Reads a text of at most 16 MiB. *out is the caller's: ps_free, also after a failure */
ps_code ps_read_text(const char *path, char **out, size_t *bytes, ps_error *err) PS_MUST_USE;

#endif
