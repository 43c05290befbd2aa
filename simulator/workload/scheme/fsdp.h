/* SPDX-License-Identifier: MIT
 *
 * What both of PyTorch's fully sharded schemes share (private to this folder).
 */
#ifndef PS_WORKLOAD_FSDP_H
#define PS_WORKLOAD_FSDP_H

#include "workload/scheme/scheme_parts.h"

/** Refuses what they cannot run. PS_OK · PS_USAGE */
ps_code ps_fsdp_check(const ps_recipe *recipe, ps_error *err) PS_MUST_USE;

/** Room for what the optimizer steps over: as many parameters as the model trains. */
ps_code ps_fsdp_make_model(ps_scheme *self, ps_model *of, ps_error *err) PS_MUST_USE;

/** Marks of the graph: backward comes to a unit's output, or leaves by its input. */
static inline uint32_t ps_fsdp_mark(size_t unit, bool is_entry)
{
    return (uint32_t)unit * 2 + 1 + is_entry;
}

static inline size_t ps_fsdp_unit_of(uint32_t mark, bool *is_entry)
{
    *is_entry = mark % 2 == 0;
    return (mark - 1) / 2;
}

#endif
