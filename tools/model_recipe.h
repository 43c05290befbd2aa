/* SPDX-License-Identifier: MIT
 *
 * How a model is trained, as options: the same ones for every verb that takes
 * a model.
 */
#ifndef PS_TOOLS_MODEL_RECIPE_H
#define PS_TOOLS_MODEL_RECIPE_H

#include "cli/options.h"
#include "hift_options.h"
#include "parallel_options.h"
#include "scheme_options.h"
#include "streaming_options.h"
#include "workload/script/recipe.h"

/** Steps of a model's training where nobody names them. */
#define PS_MODEL_STEPS 3

/** Rows that traces and models share. */
#define PS_BATCH_OPTION_ROWS                                                                      \
    {.name = "batch",                                                                             \
     .kind = PS_OPTION_QUANTITY,                                                                  \
     .value = "N",                                                                                \
     .unit = PS_UNIT_COUNT,                                                                       \
     .min = 1,                                                                                    \
     .max = 1000000,                                                                              \
     .help = "sequences of a micro-batch; of a model 1 when absent"},                             \
    {                                                                                             \
        .name = "seq", .kind = PS_OPTION_QUANTITY, .value = "N", .unit = PS_UNIT_COUNT, .min = 1, \
        .max = 16777216, .help = "tokens of a sequence; of a model 1024 when absent"              \
    }

/** Rows for a verb's table of options. --batch and --seq are rows of their own: traces take them too. */
#define PS_MODEL_OPTION_ROWS                                                                       \
    {.name = "steps",                                                                              \
     .kind = PS_OPTION_QUANTITY,                                                                   \
     .value = "N",                                                                                 \
     .unit = PS_UNIT_COUNT,                                                                        \
     .min = 1,                                                                                     \
     .max = 1000,                                                                                  \
     .help = "training steps of a model; the first makes the optimizer's state; 3 when absent"},   \
        {.name = "accumulate",                                                                     \
         .kind = PS_OPTION_QUANTITY,                                                               \
         .value = "N",                                                                             \
         .unit = PS_UNIT_COUNT,                                                                    \
         .min = 1,                                                                                 \
         .max = 100000,                                                                            \
         .help = "micro-batches of one step of a model"},                                          \
        {.name = "dtype",                                                                          \
         .kind = PS_OPTION_CHOICE,                                                                 \
         .value = "fp32|bf16|fp16|amp-bf16|amp-fp16|bf16-fp32-master",                             \
         .help = "type of a model's weights; amp: 32-bit weights under autocast; master: the "     \
                 "optimizer keeps 32-bit copies of 16-bit weights"},                               \
        {.name = "optimizer",                                                                      \
         .kind = PS_OPTION_TEXT,                                                                   \
         .value = "NAME",                                                                          \
         .help = "optimizer of a model's training, such as adamw, adamw-8bit, lomo"},              \
        {.name = "optimizer-kind",                                                                 \
         .kind = PS_OPTION_CHOICE,                                                                 \
         .value = "auto|foreach|fused|loop",                                                       \
         .help = "how it walks the parameters: auto is what its library does on a GPU"},           \
        {.name = "optimizer-rank",                                                                 \
         .kind = PS_OPTION_QUANTITY,                                                               \
         .value = "RANK",                                                                          \
         .unit = PS_UNIT_COUNT,                                                                    \
         .min = 1,                                                                                 \
         .max = 65536,                                                                             \
         .help = "rank of galore and apollo: 256 when absent, of apollo-mini 1"},                  \
        {.name = "zero-grad",                                                                      \
         .kind = PS_OPTION_CHOICE,                                                                 \
         .value = "end|start|before-backward",                                                     \
         .help = "where zero_grad() stands in the loop"},                                          \
        {.name = "attention",                                                                      \
         .kind = PS_OPTION_CHOICE,                                                                 \
         .value = "auto|eager|math|efficient|flash",                                               \
         .help = "attention of a model: auto is what the library and PyTorch choose"},             \
        {.name = "lora",                                                                           \
         .kind = PS_OPTION_QUANTITY,                                                               \
         .value = "RANK",                                                                          \
         .unit = PS_UNIT_COUNT,                                                                    \
         .min = 1,                                                                                 \
         .max = 65536,                                                                             \
         .help = "train adapters of this rank in place of the weights"},                           \
        {.name = "lora-target",                                                                    \
         .kind = PS_OPTION_TEXT,                                                                   \
         .value = "MODULE",                                                                        \
         .is_repeatable = true,                                                                    \
         .help =                                                                                   \
             "modules that get adapters, by the last part of their name: q_proj; the family's "    \
             "usual ones when absent"},                                                            \
        {.name = "lora-dropout",                                                                   \
         .kind = PS_OPTION_TEXT,                                                                   \
         .value = "SHARE",                                                                         \
         .help = "dropout before the adapters, from 0 (peft's default) to below 1"},               \
        {.name = "lora-dtype",                                                                     \
         .kind = PS_OPTION_TEXT,                                                                   \
         .value = "fp32|weights",                                                                  \
         .help = "type of the adapters: 32 bits as peft makes them, or the weights' own, as with " \
                 "autocast_adapter_dtype=False (default: fp32)"},                                  \
        {.name = "policy",                                                                         \
         .kind = PS_OPTION_TEXT,                                                                   \
         .value = "NAME",                                                                          \
         .is_repeatable = true,                                                                    \
         .help = "where a model's training keeps its parameters: zo2 (blocks on the host, with "   \
                 "--optimizer mezo), gemini (Colossal-AI's chunks), lsp (LSP-Offload), "           \
                 "zero-offload; how --gpus train together: ddp and other schemes of "              \
                 "docs/MODEL.md, megatron"},                                                       \
        PS_SCHEME_OPTION_ROW, PS_DEGREE_OPTION_ROWS,                                               \
        {.name = "quantize",                                                                       \
         .kind = PS_OPTION_CHOICE,                                                                 \
         .value = "nf4|nf4-single",                                                                \
         .help = "with --lora: weights of linear modules in 4 bits, as bitsandbytes holds them; "  \
                 "single: their scales in 32 bits. The other weights are as --dtype says: with "   \
                 "amp made 32 bits wide, as peft prepares a model"},                               \
        {.name = "checkpoint",                                                                     \
         .kind = PS_OPTION_TEXT,                                                                   \
         .value = "none|full|every=K|attention",                                                   \
         .help = "recompute blocks in backward: all, each K-th, or of all their attention alone"}, \
        PS_STREAMING_OPTION_ROWS, PS_HIFT_OPTION_ROWS,                                             \
        {.name = "lengths",                                                                        \
         .kind = PS_OPTION_TEXT,                                                                   \
         .value = "LIST|draw",                                                                     \
         .help = "lengths of the batches in turn, such as 128,77,103, in place of --seq; draw: "   \
                 "lines of running text, cut at --seq, padded to the longest of their batch"},     \
        {.name = "seed",                                                                           \
         .kind = PS_OPTION_QUANTITY,                                                               \
         .value = "N",                                                                             \
         .unit = PS_UNIT_COUNT,                                                                    \
         .min = 0,                                                                                 \
         .help = "of --lengths draw, --hift-order random and --jitter"},                           \
        {.name = "mask",                                                                           \
         .kind = PS_OPTION_CHOICE,                                                                 \
         .value = "auto|none|full|padded",                                                         \
         .help =                                                                                   \
             "attention mask that the batch brings: auto is padded, and full for a batch of 1"},   \
        {.name = "empty-cache",                                                                    \
         .help = "the script calls empty_cache() before and after forward, backward and step"},    \
        {.name = "report-time",                                                                    \
         .kind = PS_OPTION_QUANTITY,                                                               \
         .value = "TIME",                                                                          \
         .unit = PS_UNIT_DURATION,                                                                 \
         .min = 0,                                                                                 \
         .help = "what the script's host spends, outside of them, before and after forward, "      \
                 "backward and step: on reports of memory, on garbage collection"},                \
        {.name = "clip", .help = "clip_grad_norm_ before the optimizer's step"},                   \
        {.name = "drop-output",                                                                    \
         .help = "the script keeps the loss alone; else logits live until the next forward pass"}, \
        {.name = "no-dropout", .help = "the model is evaluated or has its dropout off"},           \
        {.name = "cublas-workspace",                                                               \
         .kind = PS_OPTION_TEXT,                                                                   \
         .value = "TEXT",                                                                          \
         .help = "CUBLAS_WORKSPACE_CONFIG, such as :4096:8; PyTorch's default when absent"},       \
        {.name = "pytorch",                                                                        \
         .kind = PS_OPTION_CHOICE,                                                                 \
         .value = "2.6|2.11",                                                                      \
         .help = "release of PyTorch, which decides some kernels' buffers; 2.6 when absent"},      \
    {                                                                                              \
        .name = "host", .kind = PS_OPTION_TEXT, .value = "NAME",                                   \
        .help = "host class, which decides what a model's launches cost: host-server (the one "    \
                "when absent), host-server-2019, host-cloud-vm or an entry of --catalogue"         \
    }

/** What the options say; `recipe` borrows from here and from the arguments. */
typedef struct ps_model_recipe {
    ps_recipe recipe;
    int64_t *lengths;
    const char **targets;
} ps_model_recipe;

/**
 * Reads the options of PS_MODEL_OPTION_ROWS, --batch and --seq.
 *
 * @param out  release with ps_model_recipe_fini, also after a failure
 * @return PS_OK · PS_USAGE with one sentence · PS_NOMEM
 */
ps_code ps_model_recipe_read(const ps_args *args, ps_model_recipe *out, ps_error *err) PS_MUST_USE;

void ps_model_recipe_fini(ps_model_recipe *self);

/** [bytes] that hold every description of a recipe. */
#define PS_RECIPE_TEXT_BYTES 256

/** A recipe in one line: "bf16, adamw, LoRA of rank 16, 4 sequences of 512 tokens a micro-batch". */
void ps_model_recipe_describe(const ps_recipe *recipe, char text[PS_RECIPE_TEXT_BYTES]);

/** Option of a model's training that was given, by name; NULL when there is none. */
const char *ps_model_recipe_given(const ps_args *args);

#endif
