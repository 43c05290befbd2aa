/* SPDX-License-Identifier: MIT
 *
 * Settings by name.
 */
#include "scheme_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum setting_kind {
    SETTING_SIZE,     /* a whole number, also as 5e8 */
    SETTING_FLAG,     /* true, false */
    SETTING_NOT,      /* likewise, kept as its opposite */
    SETTING_PREFETCH, /* BACKWARD_PRE, ... */
    SETTING_DTYPE,    /* bf16, fp16, fp32 */
    SETTING_SHARE,    /* 0 to 1, kept in millionths */
    SETTING_STRIDE,   /* a whole number or auto */
    SETTING_TIER,     /* true, also cpu; nvme; false */
    SETTING_NAMES,    /* names with commas between */
} setting_kind;

typedef struct setting {
    const char *key;
    setting_kind kind;
    size_t offset;     /* of its member in ps_recipe */
    size_t has_offset; /* of the flag that says it was given; of TIER: that it is nvme; 0 none */
    unsigned owners;   /* schemes and policies that have it, one bit each */
} setting;

#define AT(member) offsetof(ps_recipe, parallel.member)
#define LSP_AT(member) offsetof(ps_recipe, offload.lsp.member)
#define ZERO_OFFLOAD_AT(member) offsetof(ps_recipe, offload.zero.member)

#define BIT(scheme) (1u << PS_PARALLEL_##scheme)
#define FIRST_POLICY 16 /* bits below are schemes' */
#define POLICY_BIT(policy) (1u << (FIRST_POLICY + PS_TRAIN_POLICY_##policy))
#define LSP POLICY_BIT(LSP)
#define ZERO_OFFLOAD POLICY_BIT(ZERO_OFFLOAD)
#define DDP BIT(DDP)
#define ZERO3 BIT(ZERO3)
#define ZERO12 (BIT(ZERO1) | BIT(ZERO2))
#define ZERO (ZERO12 | ZERO3)
#define FSDP1 BIT(FSDP1)
#define FSDP (FSDP1 | BIT(FSDP2))

static const setting settings[] = {
    {"shard_ranks", SETTING_SIZE, AT(shard_ranks), 0, FSDP},
    {"no_sync", SETTING_NOT, AT(syncs_always), 0, DDP | ZERO | FSDP},
    {"bucket_cap_mb", SETTING_SIZE, AT(ddp.bucket_cap_mib), 0, DDP},
    {"gradient_as_bucket_view", SETTING_FLAG, AT(ddp.gradient_as_bucket_view), 0, DDP},
    {"find_unused_parameters", SETTING_FLAG, AT(ddp.find_unused_parameters), 0, DDP},
    {"reduce_bucket_size", SETTING_SIZE, AT(zero.reduce_bucket_size), 0, ZERO},
    {"contiguous_gradients", SETTING_FLAG, AT(zero.contiguous_gradients), 0, ZERO},
    {"overlap_comm", SETTING_FLAG, AT(zero.overlap_comm), AT(zero.has_overlap_comm), ZERO},
    {"use_multi_rank_bucket_allreduce", SETTING_NOT, AT(zero.reduces_to_owners), 0, BIT(ZERO2)},
    {"stage3_prefetch_bucket_size", SETTING_SIZE, AT(zero.prefetch_bucket_size), 0, ZERO3},
    {"stage3_param_persistence_threshold", SETTING_SIZE, AT(zero.param_persistence_threshold), 0,
     ZERO3},
    {"stage3_max_live_parameters", SETTING_SIZE, AT(zero.max_live_parameters), 0, ZERO3},
    {"stage3_max_reuse_distance", SETTING_SIZE, AT(zero.max_reuse_distance), 0, ZERO3},
    {"sub_group_size", SETTING_SIZE, AT(zero.sub_group_size), 0, ZERO3},
    {"stage3_gather_in_line", SETTING_FLAG, AT(zero.gathers_in_line), 0, ZERO3},
    {"stage3_reset_in_backward", SETTING_FLAG, AT(zero.resets_in_backward), 0, ZERO3},
    {"offload_optimizer", SETTING_TIER, AT(zero.offloads_optimizer), AT(zero.stores_optimizer),
     ZERO},
    {"pipeline_read", SETTING_FLAG, AT(zero.reads_ahead), 0, ZERO3},
    {"pipeline_write", SETTING_FLAG, AT(zero.writes_behind), 0, ZERO3},
    {"buffer_count", SETTING_SIZE, AT(zero.swap_buffers), 0, ZERO3},
    {"offload_param", SETTING_FLAG, AT(zero.offloads_parameters), 0, ZERO3},
    {"offload_ratio", SETTING_SHARE, AT(zero.offload_millionths), 0, ZERO3},
    {"async_gradient_flush", SETTING_FLAG, AT(zero.flushes_beside), 0, ZERO3},
    {"update_stride", SETTING_STRIDE, AT(zero.update_stride), 0, ZERO3},
    {"one_copy_stream", SETTING_FLAG, AT(zero.has_one_copy_stream), 0, ZERO3},
    {"delayed_param_update", SETTING_FLAG, AT(zero.delays_update), 0, ZERO12},
    {"reshard_after_forward", SETTING_NOT, AT(fsdp.keeps_gathered), 0, FSDP},
    {"backward_prefetch", SETTING_PREFETCH, AT(fsdp.backward_prefetch), 0, FSDP1},
    {"forward_prefetch", SETTING_FLAG, AT(fsdp.forward_prefetch), 0, FSDP1},
    {"limit_all_gathers", SETTING_NOT, AT(fsdp.gathers_unlimited), 0, FSDP1},
    {"param_dtype", SETTING_DTYPE, AT(fsdp.param_dtype), AT(fsdp.has_param_dtype), FSDP},
    {"reduce_dtype", SETTING_DTYPE, AT(fsdp.reduce_dtype), AT(fsdp.has_reduce_dtype), FSDP},
    {"compress", SETTING_NOT, LSP_AT(sends_whole), 0, LSP},
    {"modules", SETTING_NAMES, LSP_AT(modules), 0, LSP},
    {"compress_size", SETTING_SIZE, LSP_AT(compress_size), 0, LSP},
    {"nnz", SETTING_SIZE, LSP_AT(nnz), 0, LSP},
    {"check_freq", SETTING_SIZE, LSP_AT(check_freq), 0, LSP},
    {"fit_steps", SETTING_SIZE, LSP_AT(fit_steps), 0, LSP},
    {"fcfs_point", SETTING_SIZE, LSP_AT(fcfs_point), 0, LSP},
    {"fcfs_process_delay", SETTING_SIZE, LSP_AT(fcfs_process_delay), 0, LSP},
    {"fcfs_h2d_delay", SETTING_SIZE, LSP_AT(fcfs_h2d_delay), 0, LSP},
    {"fcfs_upd_delay", SETTING_SIZE, LSP_AT(fcfs_upd_delay), 0, LSP},
    {"lcfs_d2h_delay", SETTING_SIZE, LSP_AT(lcfs_d2h_delay), 0, LSP},
    {"lcfs_process_delay", SETTING_SIZE, LSP_AT(lcfs_process_delay), 0, LSP},
    {"lcfs_h2d_delay", SETTING_SIZE, LSP_AT(lcfs_h2d_delay), 0, LSP},
    {"zero", SETTING_FLAG, LSP_AT(is_zero), 0, LSP},
    {"ideal", SETTING_FLAG, LSP_AT(is_ideal), 0, LSP},
    {"delayed", SETTING_FLAG, ZERO_OFFLOAD_AT(is_delayed), 0, ZERO_OFFLOAD},
    {"transfer", SETTING_DTYPE, ZERO_OFFLOAD_AT(transfer), ZERO_OFFLOAD_AT(has_transfer),
     ZERO_OFFLOAD},
};

#define KEYS_BYTES 1024
#define SETTING_COUNT (sizeof settings / sizeof settings[0])
#define MAX_SIZE 1e12 /* as bytes of so many MiB it still is a number of 64 bits */

static bool read_size(const char *text, int64_t *out)
{
    char *end;
    const double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= 0.0 && value <= MAX_SIZE)) {
        return false;
    }
    *out = (int64_t)value;
    return (double)*out == value;
}

static bool read_share(const char *text, int64_t *out)
{
    char *end;
    const double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= 0.0 && value <= 1.0)) {
        return false;
    }
    *out = (int64_t)(value * PS_ZERO_WHOLE + 0.5);
    return true;
}

static bool read_word(const char *text, const char *const *words, size_t count, size_t *out)
{
    for (*out = 0; *out < count; (*out)++) {
        if (strcmp(text, words[*out]) == 0) {
            return true;
        }
    }
    return false;
}

/* Writes the member; false: not a value of its kind, `expected` says what is. */
static bool set(const setting *of, const char *text, ps_recipe *out, const char **expected)
{
    static const char *const flags[] = {"false", "true"};
    static const char *const prefetches[] = {"BACKWARD_PRE", "BACKWARD_POST", "None"};
    static const char *const dtypes[] = {"fp32", "fp16", "bf16"};
    char *member = (char *)out + of->offset;
    size_t choice = 0;
    bool is_read = false;
    switch (of->kind) {
    case SETTING_SIZE: {
        int64_t size = 0;
        *expected = "a whole number";
        is_read = read_size(text, &size);
        memcpy(member, &size, sizeof size);
        break;
    }
    case SETTING_STRIDE: {
        int64_t stride = PS_ZERO_BEST_STRIDE;
        *expected = "a whole number or auto";
        is_read = strcmp(text, "auto") == 0 || read_size(text, &stride);
        memcpy(member, &stride, sizeof stride);
        break;
    }
    case SETTING_NAMES: {
        *expected = "names with commas between";
        is_read = text[0] != '\0';
        memcpy(member, &text, sizeof text);
        break;
    }
    case SETTING_SHARE: {
        int64_t millionths = 0;
        *expected = "a share from 0 to 1";
        is_read = read_share(text, &millionths);
        memcpy(member, &millionths, sizeof millionths);
        break;
    }
    case SETTING_FLAG:
    case SETTING_NOT: {
        *expected = "true or false";
        is_read = read_word(text, flags, 2, &choice);
        const bool flag = of->kind == SETTING_NOT ? choice == 0 : choice == 1;
        memcpy(member, &flag, sizeof flag);
        break;
    }
    case SETTING_TIER: {
        static const char *const tiers[] = {"false", "true", "cpu", "nvme"};
        *expected = "true (cpu), nvme or false";
        is_read = read_word(text, tiers, 4, &choice);
        const bool is_offloaded = choice > 0, is_stored = choice == 3;
        memcpy(member, &is_offloaded, sizeof is_offloaded);
        memcpy((char *)out + of->has_offset, &is_stored, sizeof is_stored);
        break;
    }
    case SETTING_PREFETCH: {
        *expected = "BACKWARD_PRE, BACKWARD_POST or None";
        is_read = read_word(text, prefetches, 3, &choice);
        const ps_fsdp_prefetch prefetch = (ps_fsdp_prefetch)choice;
        memcpy(member, &prefetch, sizeof prefetch);
        break;
    }
    case SETTING_DTYPE: {
        static const ps_dtype types[] = {PS_DTYPE_F32, PS_DTYPE_F16, PS_DTYPE_BF16, PS_DTYPE_F32};
        *expected = "fp32, fp16 or bf16";
        is_read = read_word(text, dtypes, 3, &choice);
        memcpy(member, &types[choice], sizeof types[choice]);
        break;
    }
    }
    return is_read;
}

/* Whom a setting may belong to. */
static unsigned owners_of(const ps_recipe *r)
{
    return 1u << r->parallel.scheme | 1u << (FIRST_POLICY + r->policy);
}

static const char *policy_word(const ps_recipe *r)
{
    static const char *const words[] = {
#define WORD(sym, word, doc) word,
        PS_TRAIN_POLICIES(WORD)
#undef WORD
    };
    return words[r->policy];
}

/* Names what the scheme or the policy has. */
static ps_code refuse(const char *text, const ps_recipe *r, ps_error *err)
{
    char keys[KEYS_BYTES] = "";
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const size_t used = strlen(keys);
        if ((settings[i].owners & owners_of(r)) != 0) {
            (void)snprintf(keys + used, sizeof keys - used, "%s%s", used == 0 ? "" : ", ",
                           settings[i].key);
        }
    }
    const char *word = r->parallel.scheme == PS_PARALLEL_NONE
                           ? policy_word(r)
                           : ps_parallel_word_at((size_t)r->parallel.scheme - 1);
    return keys[0] == '\0'
               ? ps_fail(err, PS_USAGE,
                         "--scheme-option \"%s\" needs a --policy that has settings: ddp, zero1 to "
                         "3, fsdp1, fsdp2, lsp or zero-offload",
                         text)
               : ps_fail(err, PS_USAGE, "--scheme-option \"%s\": %s has %s", text, word, keys);
}

ps_code ps_scheme_option_set(const char *text, ps_recipe *out, ps_error *err)
{
    const char *equals = strchr(text, '=');
    const size_t length = equals == NULL ? strlen(text) : (size_t)(equals - text);
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const setting *of = &settings[i];
        const char *expected = "";
        if (strlen(of->key) != length || strncmp(of->key, text, length) != 0 ||
            (of->owners & owners_of(out)) == 0) {
            continue;
        }
        if (equals == NULL || !set(of, equals + 1, out, &expected)) {
            return ps_fail(err, PS_USAGE, "--scheme-option \"%s\": expected %s=VALUE%s%s", text,
                           of->key, expected[0] == '\0' ? "" : ", ", expected);
        }
        if (of->has_offset != 0 && of->kind != SETTING_TIER) {
            const bool has = true;
            memcpy((char *)out + of->has_offset, &has, sizeof has);
        }
        return PS_OK;
    }
    return refuse(text, out, err);
}

ps_code ps_scheme_options_read(const ps_args *args, ps_recipe *out, ps_error *err)
{
    for (size_t i = 0; i < ps_args_count(args, "scheme-option"); i++) {
        PS_TRY(ps_scheme_option_set(ps_args_at(args, "scheme-option", i), out, err));
    }
    return PS_OK;
}
