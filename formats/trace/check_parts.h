/* SPDX-License-Identifier: MIT
 *
 * The parts of ps_trace_check; shared by the check*.c files only.
 *
 *   check.c         rules, findings, order of the parts
 *   check_cells.c   every cell by itself, order of rows, facts
 *   check_links.c   what joins rows of different tables
 *   check_heap.c    segments and blocks at the end
 *   check_memory.c  allocator events among themselves and against the end
 */
#ifndef PS_TRACE_CHECK_PARTS_H
#define PS_TRACE_CHECK_PARTS_H

#include "trace/check.h"

/** State of one check. */
typedef struct ps_checker {
    const ps_trace *trace;
    /* by rule and table: how often, where first, and the sentence about it */
    struct ps_checker_slot {
        uint64_t count, row;
        char text[PS_FINDING_TEXT_BYTES];
    } slot[PS_RULE_COUNT][PS_TRACE_TABLE_COUNT];
} ps_checker;

/** Notes that a row breaks a rule; only the first row of a rule and table gets its sentence. */
void ps_checker_note(ps_checker *self, ps_check_rule rule, ps_trace_table_id table, size_t row,
                     const char *fmt, ...) PS_PRINTF(5, 6);

/** One key for a place (device and its kind) and an address or stream on it; no two in practice share one. */
static inline uint64_t ps_check_key(uint32_t device, uint8_t kind, uint64_t value)
{
    const uint64_t place = (uint64_t)device << 8 | kind;
    return value ^ place * 0x9e3779b97f4a7c15u;
}

/** Each part reads cells that the parts before have found sound; all run, whatever was noted. */
void ps_check_cells(ps_checker *self);
ps_code ps_check_facts(ps_checker *self, ps_error *err) PS_MUST_USE;
ps_code ps_check_links(ps_checker *self, ps_error *err) PS_MUST_USE;
ps_code ps_check_heap(ps_checker *self, ps_error *err) PS_MUST_USE;
ps_code ps_check_memory(ps_checker *self, ps_error *err) PS_MUST_USE;

#endif
