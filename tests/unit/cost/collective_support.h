/* SPDX-License-Identifier: MIT
 *
 * What tests of collectives share: a cluster with its model, and calls on the
 * first ranks of it.
 */
#ifndef PS_TESTS_COLLECTIVE_SUPPORT_H
#define PS_TESTS_COLLECTIVE_SUPPORT_H

#include "support/test.h"

#include <string.h>

#include "cost/collective.h"

/** A cluster with its collectives. */
typedef struct scene {
    ps_catalogue *catalogue;
    ps_cluster *cluster;
    ps_collective_model *model;
} scene;

static inline scene scene_make(const char *kind, uint32_t gpus,
                               const ps_collective_options *options)
{
    ps_error err = {0};
    scene out = {0};
    assert_ok(&err, ps_catalogue_create(&out.catalogue, &err));
    assert_ok(&err, ps_cluster_create(out.catalogue, kind, gpus, NULL, &out.cluster, &err));
    assert_ok(&err, ps_collective_create(out.catalogue, out.cluster, options, &out.model, &err));
    return out;
}

static inline void scene_end(scene *self)
{
    ps_collective_destroy(self->model);
    ps_cluster_destroy(self->cluster);
    ps_catalogue_destroy(self->catalogue);
}

/** A call of the ranks first, first + stride, ...; anything goes. */
static inline ps_collective_call call_of(const scene *self, ps_collective_op kind, uint32_t ranks,
                                         uint32_t stride, uint64_t bytes)
{
    ps_error err = {0};
    uint32_t rank[64];
    ps_collective_call out = {.kind = kind,
                              .bytes = bytes,
                              .algorithm = PS_COLLECTIVE_ANY_ALGORITHM,
                              .protocol = PS_COLLECTIVE_ANY_PROTOCOL};
    for (uint32_t i = 0; i < ranks; i++) {
        rank[i] = i * stride;
    }
    assert_ok(&err, ps_cluster_place(self->cluster, &(ps_group){rank, ranks}, &out.place, &err));
    return out;
}

static inline ps_collective_result time_of(const scene *self, const ps_collective_call *call)
{
    ps_error err = {0};
    ps_collective_result out;
    assert_ok(&err, ps_collective_time(self->model, call, &out, &err));
    return out;
}

#endif
