/* SPDX-License-Identifier: MIT
 *
 * A recorded training's recipe, as export_sequences.py writes it: KEY=VALUE
 * words in one line.
 */
#ifndef PS_TEST_RECIPE_LINE_H
#define PS_TEST_RECIPE_LINE_H

#include "workload/script/train.h"

#define RECIPE_WORD_BYTES 128
#define RECIPE_TARGETS 16

/** What the stand-in for CUDA said it was when the recordings were made, and PyTorch's release. */
#define RECIPE_DEVICE                                         \
    ((ps_train_device){.workspace_bytes = (uint64_t)32 << 20, \
                       .sm_count = 132,                       \
                       .threads_per_sm = 2048,                \
                       .capability = 90,                      \
                       .release = 206})

/** Texts that a recipe borrows. */
typedef struct recipe_words {
    char optimizer[RECIPE_WORD_BYTES], targets[RECIPE_WORD_BYTES];
    const char *target[RECIPE_TARGETS];
} recipe_words;

/**
 * Reads a line. Every key stands behind a blank; one that is missing is off.
 *
 * @param words  the recipe's words lie there
 */
ps_recipe recipe_of_line(const char *line, recipe_words *words);

#endif
