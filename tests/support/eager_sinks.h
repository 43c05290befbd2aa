/* SPDX-License-Identifier: MIT
 *
 * Sinks of the eager model: what a test does not listen to, and a sink that
 * refuses one event.
 */
#ifndef PS_TESTS_EAGER_SINKS_H
#define PS_TESTS_EAGER_SINKS_H

#include "workload/eager/eager.h"

/** For a ps_eager_sink: takes all, keeps nothing. */
ps_code deaf_alloc(void *context, uint32_t buffer, uint64_t bytes, ps_role role, ps_error *err);
ps_code deaf_free(void *context, uint32_t buffer, ps_error *err);
ps_code deaf_kernel(void *context, const ps_eager_kernel *kernel, ps_error *err);
void deaf_rename(void *context, uint32_t buffer, ps_role role);

/** All four. */
ps_eager_sink deaf_sink(void);

/** A run of `what` into a sink. */
typedef ps_code (*failing_run)(const void *what, const ps_eager_sink *sink, ps_error *err);

/**
 * Runs once for every `stride`-th event, at which the sink fails: the run must end there with the
 * sink's own words, and leave nothing behind (the address sanitizer counts).
 */
void assert_every_failure_ends(failing_run run, const void *what, size_t stride);

#endif
