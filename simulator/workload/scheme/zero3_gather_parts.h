/* SPDX-License-Identifier: MIT
 *
 * What the two files of the coordinator share (private to them):
 *
 *   zero3_gather.c  gathers under way
 *   zero3_fetch.c   which come when: the order of modules
 */
#ifndef PS_WORKLOAD_ZERO3_GATHER_PARTS_H
#define PS_WORKLOAD_ZERO3_GATHER_PARTS_H

#include "workload/scheme/zero3_gather.h"

static inline ps_tensor ps_zero3_tensor_of(const ps_zero3_gather *self, size_t param)
{
    return self->units->member[param].tensor;
}

/** What the host still sends of it is waited for where it is used. */
static inline bool ps_zero3_is_external(const ps_zero3_gather *self, size_t param)
{
    return ps_zero3_tensor_of(self, param) == self->scheme->m->external;
}

static inline int64_t ps_zero3_elements_of(const ps_zero3_gather *self, size_t param)
{
    return ps_eager_elements(self->scheme->e, ps_zero3_tensor_of(self, param));
}

/** One rank has everything whole, unless it lies on the host. */
static inline bool ps_zero3_is_always_whole(const ps_zero3_gather *self)
{
    return self->scheme->shards == 1 && !self->scheme->settings->zero.offloads_parameters;
}

/** Those of the first `count` of the list that are away are gathered together. */
void ps_zero3_gather_listed(ps_zero3_gather *self, size_t count);

/** Somebody asks for a parameter that is or was under way ... */
void ps_zero3_await(ps_zero3_gather *self, size_t param);
/** ... or nobody will ask for those that are. */
void ps_zero3_await_all(ps_zero3_gather *self);
/** Nothing reads a parameter that is still on its way from the host's step. */
void ps_zero3_await_sent(ps_zero3_gather *self, size_t param, ps_eager_lane lane);

/** The host is no more than PS_ZERO3_FETCHES parameters ahead of the stream that brings them ... */
void ps_zero3_await_earlier(ps_zero3_gather *self);
/** ... of which one more has come. */
void ps_zero3_note_fetched(ps_zero3_gather *self);

/** A whole parameter that no module is at work with goes. */
void ps_zero3_drop(ps_zero3_gather *self, size_t param);

#endif
