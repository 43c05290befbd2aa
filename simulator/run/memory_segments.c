/* SPDX-License-Identifier: MIT
 *
 * Segments that a device which is full costs.
 *
 *   request  ── refused ─┬ segments of the cache go back ─┬ its own is made ── served
 *   others                                                 └ made anew ── served
 *
 * A request that the driver refuses gives cached segments back and gets one of
 * its own. What went back is not there for the requests behind it: of the
 * segments that they make, as many as went back are made anew, until the
 * program empties its cache, for then they would have gone all the same. A run
 * of pages of an expandable segment counts as a segment.
 */
#include "run/memory_walk.h"

void ps__memory_segments_begin(ps_memory_segments *self)
{
    *self = (ps_memory_segments){.owed = self->owed};
}

void ps__memory_segments_note(ps_memory_segments *self, ps_alloc_event_kind kind)
{
    self->freed += kind == PS_ALLOC_SEGMENT_FREE || kind == PS_ALLOC_SEGMENT_UNMAP;
    self->made += kind == PS_ALLOC_SEGMENT_ALLOC || kind == PS_ALLOC_SEGMENT_MAP;
}

void ps__memory_segments_end(ps_memory_segments *self)
{
    if (self->freed > 0) {
        self->owed += self->freed; /* what it made is its own */
        return;
    }
    self->made_anew = self->made < self->owed ? self->made : self->owed;
    self->owed -= self->made_anew;
}

void ps__memory_segments_emptied(ps_memory_segments *self)
{
    self->owed = 0;
}
