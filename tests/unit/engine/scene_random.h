/* SPDX-License-Identifier: MIT
 *
 * Random scenes: a generator, a reshuffling that must not matter, and a
 * slow second opinion on the times.
 */
#ifndef PS_TESTS_ENGINE_SCENE_RANDOM_H
#define PS_TESTS_ENGINE_SCENE_RANDOM_H

#include "scene.h"

/** State of the generator; any value but 0. */
typedef struct dice {
    uint64_t state;
} dice;

/** 0 .. below - 1 */
uint64_t dice_roll(dice *self, uint64_t below);

typedef struct scene_shape {
    uint32_t lanes, tasks, deps, links; /* most of each */
    bool has_circles;                   /* dependencies may close circles */
    bool is_divisible; /* all fair shares are whole numbers: what scene_naive needs */
    bool is_tied;      /* times from a coarse grid, so that many events coincide */
} scene_shape;

void scene_random(scene *self, dice *d, scene_shape shape);

/**
 * The same scene with lanes, links and dependencies renumbered and tasks of
 * different lanes interleaved anew.
 *
 * @param row_of  receives for each task of `from` its row in `to`
 */
void scene_shuffle(const scene *from, scene *to, uint32_t *row_of, dice *d);

/**
 * Times by stepping a clock over everything, with fair shares by raising all
 * rates together: slow, simple, and nothing in common with the engine.
 *
 * @return false when the scene deadlocks
 */
bool scene_naive(const scene *self, int64_t *start_ns, int64_t *end_ns);

#endif
