/* SPDX-License-Identifier: MIT
 *
 * Does a plan respect its data? A proof from the order of its lanes and its
 * dependencies alone: whatever the durations, no told access comes before its
 * data is there, and no memory is used again before its last user is done.
 *
 * Told are the rows of `access`; what is not told is taken to be in order on
 * the stream its memory belongs to. Memory comes back in two ways:
 *
 *   device         the caching allocator gives a freed block to whoever asks
 *                  next on the stream that the block belongs to (buffer.stream):
 *                  the stream's next task after the free may write to it, and so
 *                  may the first user, on any lane, of whatever is allocated next
 *   host, pinned   a block comes back when copies that use it are done (the
 *                  cache records events); other work must be done at the free
 *   host, pageable everything must be done at the free
 *
 * A free that waits for other streams (FREE_REQUEST) is protected as pinned
 * memory is.
 */
#ifndef PS_PLAN_HAZARDS_H
#define PS_PLAN_HAZARDS_H

#include "plan/plan.h"

/** X(symbol, name, what it means) */
#define PS_HAZARD_RULES(X)                                                                         \
    X(UNALLOCATED, "used-before-allocation", "use of a buffer that need not be allocated yet")     \
    X(FREED, "used-after-free", "use of a buffer that was freed before")                           \
    X(UNWRITTEN, "read-before-written", "read of a buffer that nobody has written")                \
    X(UNORDERED, "unordered-accesses", "accesses of one buffer, one of them a write, in no order") \
    X(REUSED, "reused-in-use", "memory that comes back before its last user is done")              \
    X(TAKEN, "taken-in-use", "memory taken from a stream before the stream is done with it")

typedef enum ps_hazard_rule {
#define PS_HAZARD_ENUM(sym, name, doc) PS_HAZARD_##sym,
    PS_HAZARD_RULES(PS_HAZARD_ENUM)
#undef PS_HAZARD_ENUM
        PS_HAZARD_RULE_COUNT
} ps_hazard_rule;

/** One place where the order does not follow. */
typedef struct ps_hazard {
    ps_hazard_rule rule;
    uint32_t buffer; /* row */
    uint32_t task;   /* the access that is not safe */
    uint32_t other;  /* the task it should be behind, or that should be behind it;
                               UINT32_MAX none */
    bool is_write, other_is_write;
} ps_hazard;

/** What was found. */
typedef struct ps_hazards {
    uint64_t total;
    uint64_t count[PS_HAZARD_RULE_COUNT];
    ps_hazard first[PS_HAZARD_RULE_COUNT]; /* of each rule that has any: of the smallest task */
} ps_hazards;

/** Most accesses a plan may tell to be checked. */
#define PS_HAZARD_MAX_ACCESSES ((size_t)1 << 27)

/**
 * Finds the hazards of a plan.
 *
 *   every access      behind the buffer's ALLOC; behind its last write, and a write also
 *                     behind all reads since; not behind its FREE
 *   first access      a write, unless the buffer lives at the origin or is allocated before its
 *                     host's first task of a phase: there something untold has filled it
 *   on another stream behind all that its memory's stream had before the ALLOC, and behind
 *                     the last accesses of told buffers that went back to that stream since
 *
 * @param plan  passed by ps_plan_check
 * @param out   written only on PS_OK; a plan that tells no accesses has none
 * @return PS_OK, also with hazards · PS_NOMEM · PS_LIMIT too many accesses ·
 *         PS_CHECK_FAILED tasks wait in a circle
 * Cost: O((tasks + deps) * lanes that tell accesses or ask for memory + accesses * lanes);
 *       memory as plan_order.h says, and about 100 bytes an access
 */
ps_code ps_plan_hazards(const ps_plan *plan, ps_hazards *out, ps_error *err) PS_MUST_USE;

/** The loss that tells of hazards in a plan, and the fact that tells of the first of them. */
#define PS_HAZARDS_LOSS "memory-hazards"

/**
 * Makes a plan tell of its hazards: as many in the loss PS_HAZARDS_LOSS, and the first of the rule
 * that comes first, in words, in the fact of that name. A plan that has none, and never told of
 * any, stays as it is.
 */
ps_code ps_plan_tell_hazards(ps_plan *plan, const ps_hazards *found, ps_error *err) PS_MUST_USE;

/** How many hazards a plan tells of itself. */
uint64_t ps_plan_told_hazards(const ps_plan *plan);

/** Name of a rule, kebab-case; static storage. */
const char *ps_hazard_name(ps_hazard_rule rule);

/** What a rule says is wrong, as a noun phrase; static storage. */
const char *ps_hazard_meaning(ps_hazard_rule rule);

/** Writes one sentence that names both tasks with their lanes, the buffer and what is wrong. */
void ps_hazard_text(const ps_plan *plan, const ps_hazard *hazard, char *out, size_t bytes);

#endif
