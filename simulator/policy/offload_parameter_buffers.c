/* SPDX-License-Identifier: MIT
 *
 * Parameters of blocks by the model's own allocations.
 *
 *   allocated   e  p  a b c d  a b c d  a b c d  a  h     sizes, in order; period 4, rest 1
 *   sure                 b c d    b c d    b c d
 *
 * A model is built block by block, so the sizes of its parameters repeat as
 * its blocks do. Where the run of equal pieces goes on behind the last whole
 * one, it could be cut as much later: what would change its block then stays on
 * the device.
 */
#include "base/memory.h"
#include "policy/offload_parameter_parts.h"
#include "workload/recover/repeat.h"

/* A block has a weight and something beside it; no block has more parameters than the latter, which
 * bounds the search. */
#define LEAST_PIECE 2u
#define LONGEST_PIECE 8192u

/* Parameters in the order of their allocation. */
typedef struct birth_list {
    uint32_t *buffer;
    uint64_t *key;
    size_t count;
} birth_list;

static void list_births(const ps_parameter_search *self, birth_list *out)
{
    const ps_plan *plan = self->plan;
    for (size_t i = 0; i < plan->memop.head.count; i++) {
        const uint32_t buffer = plan->memop.buffer[i];
        if (plan->memop.op[i] == PS_MEMOP_ALLOC &&
            !ps_memory_is_host(plan->buffer.memory[buffer]) &&
            self->structure->buffer[buffer].role == PS_ROLE_PARAMETER &&
            plan->buffer.bytes[buffer] > 0) {
            out->buffer[out->count] = buffer;
            out->key[out->count++] = plan->buffer.bytes[buffer];
        }
    }
}

static ps_code fill_block(ps_parameter_search *self, const birth_list *births,
                          const ps_repeat *repeat, size_t which, ps_error *err)
{
    const size_t pieces = repeat->count / self->out->block_count;
    for (size_t piece = which * pieces; piece < (which + 1) * pieces; piece++) {
        const size_t unsure = piece == which * pieces ? repeat->rest : 0;
        for (size_t i = unsure; i < repeat->period; i++) {
            const uint32_t buffer = births->buffer[repeat->start + piece * repeat->period + i];
            const ps_block_parameter what = {.bytes = self->plan->buffer.bytes[buffer],
                                             .buffer = buffer};
            PS_TRY(ps__offload_add_parameter(self, (uint32_t)which, what, err));
        }
    }
    return PS_OK;
}

static ps_code cut(ps_parameter_search *self, const birth_list *births, bool *has_any,
                   ps_error *err)
{
    const size_t blocks = self->out->block_count;
    const ps_repeat repeat =
        ps__longest_repeat(births->key, births->count, LEAST_PIECE, LONGEST_PIECE);
    if (repeat.count == 0) {
        return PS_OK;
    }
    if (repeat.count % blocks != 0) {
        return ps_fail(
            err, PS_USAGE,
            "the sizes of parameters repeat %zu times and a forward pass has %zu blocks: "
            "nothing says which belong to which (module ranges would)",
            repeat.count, blocks);
    }
    for (size_t i = 0; i < blocks; i++) {
        PS_TRY(fill_block(self, births, &repeat, i, err));
    }
    *has_any = self->out->parameter_count > 0;
    return PS_OK;
}

ps_code ps__offload_weights_of_buffers(ps_parameter_search *self, bool *has_any, ps_error *err)
{
    const size_t room = self->plan->memop.head.count + 1;
    birth_list births = {.buffer = ps_calloc(room, sizeof *births.buffer),
                         .key = ps_calloc(room, sizeof *births.key)};
    ps_code code = births.buffer == NULL || births.key == NULL ? ps_fail_nomem(err) : PS_OK;
    *has_any = false;
    self->out->how = "the model's own allocations";
    if (code == PS_OK) {
        list_births(self, &births);
        code = cut(self, &births, has_any, err);
    }
    ps_free(births.buffer);
    ps_free(births.key);
    return code;
}
