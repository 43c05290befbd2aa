/* SPDX-License-Identifier: MIT
 *
 * A training script in model: load, then step after step, each allocation and
 * kernel told to a sink in the order in which the program makes them.
 */
#ifndef PS_WORKLOAD_TRAIN_H
#define PS_WORKLOAD_TRAIN_H

#include "workload/model/model.h"
#include "workload/scheme/scheme.h"

/** What runs it. */
typedef struct ps_train_device {
    uint64_t workspace_bytes; /* of cuBLAS, for each thread that multiplies; 0 none */
    int64_t sm_count, threads_per_sm;
    int64_t capability;       /* 10 * major + minor; 0: 90 */
    int64_t release;          /* of PyTorch, 100 * major + minor; 0: the newest known */
    ps_ns malloc_ns, free_ns; /* of its driver: one request, one release */
} ps_train_device;

/** Told between the events of the sink. */
typedef struct ps_train_marks {
    void *context;
    /** The framework is there, which the sink may ask what lane, block and memory it is at. */
    void (*begun)(void *context, const ps_eager *e);
    /** The model lies on the device. NULL: not interested. */
    ps_code (*loaded)(void *context, const ps_model *m, ps_error *err);
    /** A step begins, with its number from 0, and when `is_end` ends. */
    ps_code (*step)(void *context, int64_t number, bool is_end, ps_error *err);
    /** More than one rank trains: the axes of their grid. NULL: not interested. */
    ps_code (*ranks)(void *context, const ps_scheme_axis *axis, size_t count, ps_error *err);
} ps_train_marks;

/** A run. Borrowed while ps_train works. */
typedef struct ps_training {
    const ps_family *family;
    const ps_model_config *config;
    const ps_recipe *recipe;
    ps_train_device device;
    ps_eager_sink sink;
    ps_train_marks marks;
} ps_training;

/**
 * Runs a training script.
 *
 * @return PS_OK · what the family says of its configuration · PS_USAGE a recipe that cannot be ·
 *         what the sink and the marks say · PS_NOMEM
 */
ps_code ps_train(const ps_training *run, ps_error *err) PS_MUST_USE;

#endif
