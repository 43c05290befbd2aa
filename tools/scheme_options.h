/* SPDX-License-Identifier: MIT
 *
 * Settings of data-parallel frameworks and of policies, in their own words.
 */
#ifndef PS_TOOLS_SCHEME_OPTIONS_H
#define PS_TOOLS_SCHEME_OPTIONS_H

#include "cli/options.h"
#include "workload/script/recipe.h"

/** Row for a verb's table of options. */
#define PS_SCHEME_OPTION_ROW                                                                      \
    {                                                                                             \
        .name = "scheme-option", .kind = PS_OPTION_TEXT, .value = "KEY=VALUE",                    \
        .is_repeatable = true,                                                                    \
        .help =                                                                                   \
            "one setting of the framework of --policy, in its own words: "                        \
            "bucket_cap_mb=25, reduce_bucket_size=5e8, reshard_after_forward=false, "             \
            "shard_ranks=8 (states are divided among so many neighbours, and repeated), "         \
            "compress_size=1024, fcfs_point=40; with zo2: overlap=false, reuse_memory=false and " \
            "others of docs/MODEL.md"                                                             \
    }

/** Reads all --scheme-option of the recipe's scheme or policy. PS_OK · PS_USAGE a key or value that is none, with what can be */
ps_code ps_scheme_options_read(const ps_args *args, ps_recipe *out, ps_error *err) PS_MUST_USE;

/** One of them: "offload_optimizer=true". The recipe's scheme or policy is set. PS_OK · PS_USAGE */
ps_code ps_scheme_option_set(const char *text, ps_recipe *out, ps_error *err) PS_MUST_USE;

#endif
