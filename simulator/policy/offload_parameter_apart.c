/* SPDX-License-Identifier: MIT
 *
 * Weights that several blocks share stand in a block of their own, which is used
 * whenever one of those is: they lie in the host once, come once for each use,
 * and stay from one to the next as any block does.
 */
#include <string.h>

#include "base/memory.h"
#include "policy/offload_parameter_parts.h"

bool ps__offload_block_is_of(const ps_offload_parameters *of, uint32_t block, uint32_t user)
{
    for (size_t i = 0; block != user && i < of->share_count; i++) {
        if (of->share[i].block == block && of->share[i].user == user) {
            return true;
        }
    }
    return block == user;
}

static ps_code add_share(ps_offload_parameters *out, uint32_t block, uint32_t user, ps_error *err)
{
    if (ps__offload_block_is_of(out, block, user)) {
        return PS_OK;
    }
    PS_TRY(ps_grow((void **)&out->share, &out->share_capacity, out->share_count + 1,
                   PS_TABLE_MAX_ROWS, sizeof *out->share, err));
    out->share[out->share_count++] = (ps_offload_share){block, user};
    return PS_OK;
}

static uint32_t block_of(const ps_offload_parameters *out, size_t parameter)
{
    uint32_t block = 0;
    while (block < out->block_count &&
           (parameter < out->block[block].first ||
            parameter >= out->block[block].first + out->block[block].count)) {
        block++;
    }
    return block;
}

/* The one block that a shared parameter is of from now on, used by all that used it. */
static ps_code set_apart(ps_parameter_search *search, const ps_offload_parameters *was,
                         const uint32_t *owner, size_t parameter, ps_error *err)
{
    ps_offload_parameters *out = search->out;
    const uint32_t block = (uint32_t)out->block_count;
    PS_TRY(ps_grow((void **)&out->block, &out->block_capacity, out->block_count + 1,
                   PS_TABLE_MAX_ROWS, sizeof *out->block, err));
    out->block[out->block_count++] = (ps_offload_block){.name = was->block[0].name};
    PS_TRY(ps__offload_add_parameter(search, block, was->parameter[parameter], err));
    for (size_t i = 0; i < was->parameter_count; i++) {
        if (i == parameter || owner[i] == parameter) {
            PS_TRY(add_share(out, block, block_of(was, i), err));
        }
    }
    return PS_OK;
}

static bool is_owner(const uint32_t *owner, size_t count, size_t parameter)
{
    for (size_t i = 0; i < count; i++) {
        if (owner[i] == parameter) {
            return true;
        }
    }
    return false;
}

static ps_code divide(ps_parameter_search *search, const ps_offload_parameters *was,
                      const uint32_t *owner, ps_error *err)
{
    ps_offload_parameters *out = search->out;
    for (uint32_t b = 0; b < was->block_count; b++) {
        out->block[b].count = 0;
    }
    for (size_t i = 0; i < was->parameter_count; i++) {
        if (owner[i] == PS_OFFLOAD_NONE && !is_owner(owner, was->parameter_count, i)) {
            PS_TRY(ps__offload_add_parameter(search, block_of(was, i), was->parameter[i], err));
        }
    }
    for (size_t i = 0; i < was->parameter_count; i++) {
        if (is_owner(owner, was->parameter_count, i)) {
            PS_TRY(set_apart(search, was, owner, i, err));
        }
    }
    return PS_OK;
}

/* Parameters of each block lie together: they are listed anew. */
ps_code ps__offload_set_apart(ps_parameter_search *search, const uint32_t *owner, ps_error *err)
{
    ps_offload_parameters *out = search->out;
    ps_offload_parameters was = *out;
    was.block = ps_calloc(was.block_count, sizeof *was.block);
    if (was.block == NULL) {
        return ps_fail_nomem(err);
    }
    memcpy(was.block, out->block, was.block_count * sizeof *was.block);
    out->parameter = NULL;
    out->parameter_count = out->parameter_capacity = 0;
    const ps_code code = divide(search, &was, owner, err);
    ps_free(was.parameter);
    ps_free(was.block);
    return code;
}
