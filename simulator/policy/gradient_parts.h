/* SPDX-License-Identifier: MIT
 *
 * Stages of finding gradients (private to this folder).
 *
 *   events    what the trace tells of each gradient     gradient_events.c
 *   passes    which of them belong to one backward      gradients.c
 *   places    where that is in the plan
 *   launches  what a call that launches costs           gradient_launches.c
 */
#ifndef PS_POLICY_GRADIENT_PARTS_H
#define PS_POLICY_GRADIENT_PARTS_H

#include "policy/gradients.h"
#include "policy/recorded_times.h"

/* A gradient by the trace's clock. */
typedef struct ps_gradient_event {
    ps_ns ready_ns;
    uint64_t tid;
    uint64_t bytes; /* 0 unknown */
    uint32_t element_bytes;
    uint32_t copied_back, buffer;
} ps_gradient_event;

typedef struct ps_gradient_search {
    const ps_trace *trace;
    const ps_structure *structure;
    const ps_plan *plan;
    ps_recorded_times times;
    ps_gradient_event *event;
    size_t count, capacity;
    size_t copies_in; /* seen so far */
    uint32_t *copy;   /* device tasks that copy within the device, in order of their launch */
    uint32_t *copy_launch;
    size_t copy_count, next_copy;
    ps_gradients *out;
} ps_gradient_search;

/** Every gradient with its size. PS_OK · PS_BAD_INPUT none, or sizes that are not recorded · PS_NOMEM */
ps_code ps__gradient_events(ps_gradient_search *self, ps_error *err) PS_MUST_USE;

/** What a launch of the thread that runs backward costs, once gradients are placed. */
ps_code ps__gradient_launches(ps_gradient_search *self, ps_error *err) PS_MUST_USE;

#endif
