/* SPDX-License-Identifier: MIT
 *
 * Settings of schemes.
 */
#include "workload/script/parallel.h"

#include <string.h>

static const struct {
    const char *word;
    bool shards;
} known[] = {
    {"none", false},
#define SCHEME(sym, symbol, word, shards, doc) {word, shards},
#include "workload/scheme/schemes.def"
#undef SCHEME
};

ps_parallel ps_parallel_default(void)
{
    return (ps_parallel){
        .ranks = 1,
        .zero = {.reduce_bucket_size = 500000000,
                 .contiguous_gradients = true,
                 .prefetch_bucket_size = 50000000,
                 .param_persistence_threshold = 100000,
                 .max_live_parameters = 1000000000,
                 .max_reuse_distance = 1000000000,
                 .sub_group_size = 1000000000,
                 .offload_millionths = PS_ZERO_WHOLE},
    };
}

bool ps_parallel_is_on(const ps_parallel *self)
{
    const bool is_zero = self->scheme == PS_PARALLEL_ZERO1 || self->scheme == PS_PARALLEL_ZERO2 ||
                         self->scheme == PS_PARALLEL_ZERO3;
    return self->scheme != PS_PARALLEL_NONE &&
           (self->ranks > 1 || (is_zero && self->zero.offloads_optimizer));
}

int64_t ps_parallel_tensor(const ps_parallel *self)
{
    return ps_parallel_is_on(self) && self->tensor_ranks > 1 ? self->tensor_ranks : 1;
}

bool ps_parallel_shards(const ps_parallel *self)
{
    return ps_parallel_is_on(self) && known[self->scheme].shards;
}

ps_parallel_scheme ps_parallel_scheme_of(const char *word)
{
    ps_parallel_scheme at = PS_PARALLEL_NONE;
    while (at < PS_PARALLEL_SCHEME_COUNT && strcmp(known[at].word, word) != 0) {
        at++;
    }
    return at;
}

const char *ps_parallel_word_at(size_t index)
{
    return index + 1 < sizeof known / sizeof known[0] ? known[index + 1].word : NULL;
}

void ps_zero_settings_auto(ps_zero_settings *self, int64_t hidden)
{
    self->reduce_bucket_size = hidden * hidden;
    self->prefetch_bucket_size = hidden * hidden * 9 / 10;
    self->param_persistence_threshold = 10 * hidden;
}
