/* SPDX-License-Identifier: MIT
 *
 * What tests of clusters share: the built-in catalogue, and clusters of it.
 */
#ifndef PS_TESTS_CLUSTER_SCENE_H
#define PS_TESTS_CLUSTER_SCENE_H

#include "support/test.h"

#include "cluster/cluster.h"

/** Between setup and teardown, which are a group's. */
static ps_catalogue *catalogue;

static inline int setup(void **state)
{
    (void)state;
    return ps_catalogue_create(&catalogue, NULL) == PS_OK ? 0 : -1;
}

static inline int teardown(void **state)
{
    (void)state;
    ps_catalogue_destroy(catalogue);
    return 0;
}

/** @param options  NULL: none. Owned by the caller. */
static inline ps_cluster *make_with(const char *name, uint32_t gpus,
                                    const ps_cluster_options *options)
{
    ps_error err = {0};
    ps_cluster *out = NULL;
    assert_ok(&err, ps_cluster_create(catalogue, name, gpus, options, &out, &err));
    return out;
}

static inline ps_cluster *make(const char *name, uint32_t gpus)
{
    return make_with(name, gpus, NULL);
}

#endif
