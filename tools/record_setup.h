/* SPDX-License-Identifier: MIT
 *
 * What a recording needs around the job: the tracer's library and hook, a
 * folder for the parts, and the environment that makes the job be observed.
 */
#ifndef PS_TOOLS_RECORD_SETUP_H
#define PS_TOOLS_RECORD_SETUP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

/** [bytes] what realpath may write, PATH_MAX. */
#define PS_RECORD_PATH_BYTES 4096

/** Where the tracer lies: beside the program as built, or as installed. */
typedef struct ps_record_tracer {
    char library[PS_RECORD_PATH_BYTES]; /* libpeakstep_tracer.so, absolute */
    char hook[PS_RECORD_PATH_BYTES];    /* folder with sitecustomize.py, absolute */
} ps_record_tracer;

/** Choices that reach the job's processes by their environment. */
typedef struct ps_record_choices {
    const char *folder;                           /* of the parts, absolute */
    const char *modules, *stacks, *steps, *cupti; /* NULL: default */
    uint64_t budget_bytes, max_bytes;             /* 0: default, no bound */
    bool without_history, without_device, is_preloaded;
} ps_record_choices;

/** PS_NOT_FOUND when library or hook is missing. */
ps_code ps_record_find_tracer(ps_record_tracer *out, ps_error *err) PS_MUST_USE;

/**
 * Makes a new folder for the parts beside the output.
 *
 * @param folder  receives its absolute path
 */
ps_code ps_record_make_folder(const char *output, char folder[PS_RECORD_PATH_BYTES],
                              ps_error *err) PS_MUST_USE;

/**
 * Sets this process's environment for the job it is about to start.
 *
 * @return PS_OK · PS_UNSUPPORTED another tool's injection is already asked for, which is left alone
 */
ps_code ps_record_set_environment(const ps_record_tracer *tracer, const ps_record_choices *choices,
                                  ps_error *err) PS_MUST_USE;

#endif
