/* SPDX-License-Identifier: MIT
 *
 * What a fuzz target is: one function that takes any bytes and returns.
 *
 * A target either gets an error from the library or a result that holds; what
 * must hold is said with fuzz_require. It allocates through ps_calloc only
 * what it frees, keeps nothing between calls that an input could change, prints
 * nothing.
 */
#ifndef PS_TESTS_FUZZ_H
#define PS_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/** The entry that libFuzzer and replay_main.c call. Always returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** Ends the process as a crash unless the condition holds. */
#define fuzz_require(condition)                                                                  \
    do {                                                                                         \
        if (!(condition)) {                                                                      \
            (void)fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                             \
        }                                                                                        \
    } while (0)

#endif
