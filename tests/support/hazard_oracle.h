/* SPDX-License-Identifier: MIT
 *
 * Hazards of a small plan by brute force: every moment against every moment,
 * every access against every access. Shares no code with the checker.
 */
#ifndef PS_TESTS_HAZARD_ORACLE_H
#define PS_TESTS_HAZARD_ORACLE_H

#include "plan/hazards.h"

/** When a buffer is there, and whose memory it has. */
typedef struct hazard_oracle_life {
    uint32_t alloc, free; /* memop rows; UINT32_MAX none */
    bool is_at_origin, is_host;
    uint32_t own_lane;
} hazard_oracle_life;

/** Which moments come before which; moment = task * 2, plus 1 for the end. */
typedef struct hazard_oracle {
    const ps_plan *plan;
    size_t moments, words;
    uint64_t *before;         /* per moment: a bit for each that comes before it, itself too */
    hazard_oracle_life *life; /* per buffer */
} hazard_oracle;

/** Release with hazard_oracle_fini. Fails the test when it cannot. */
hazard_oracle hazard_oracle_of(const ps_plan *plan);

void hazard_oracle_fini(hazard_oracle *self);

bool hazard_oracle_orders(const hazard_oracle *self, uint32_t before, uint32_t after);

/** Is a rule broken anywhere? UNWRITTEN stands for an access before or beside any write. */
bool hazard_oracle_breaks(const hazard_oracle *self, ps_hazard_rule rule);

#endif
