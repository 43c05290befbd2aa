/* SPDX-License-Identifier: MIT
 *
 * Lanes of streams.
 *
 * A stream is in order, so recorded overlaps on one stream are either clock
 * noise (the earlier task is cut to where the later begins) or parallel
 * branches of a graph that the recorder shows under one stream (the later
 * task goes to an extra lane of that stream).
 */
#include <stdio.h>

#include "base/memory.h"
#include "lower/device_parts.h"

/* Overlap up to this is taken for clock noise: files with microsecond stamps show 1-2 us. */
#define NOISE_NS 5000

#define MAX_STREAMS 65536u

static bool has_room(const ps_lowering *lowering, uint32_t lane, ps_ns start_ns)
{
    const lane_queue *queue = &lowering->queue[lane];
    if (queue->count == 0) {
        return true;
    }
    const uint32_t last = queue->task[queue->count - 1];
    const ps_ns overlap = lowering->rec_end[last] - start_ns;
    const ps_ns quarter = (lowering->rec_end[last] - lowering->rec_start[last]) / 4;
    return overlap <= NOISE_NS || overlap <= quarter;
}

static ps_code find_stream(ps_stream_lanes *self, uint32_t device, uint64_t stream,
                           ps_stream_lane **out, ps_error *err)
{
    if (self->hit < self->count && self->entry[self->hit].device == device &&
        self->entry[self->hit].stream == stream) {
        *out = &self->entry[self->hit];
        return PS_OK;
    }
    for (size_t i = 0; i < self->count; i++) {
        if (self->entry[i].device == device && self->entry[i].stream == stream) {
            self->hit = i;
            *out = &self->entry[i];
            return PS_OK;
        }
    }
    PS_TRY(ps_grow((void **)&self->entry, &self->capacity, self->count + 1, MAX_STREAMS,
                   sizeof *self->entry, err));
    self->hit = self->count++;
    *out = &self->entry[self->hit];
    **out = (ps_stream_lane){.device = device, .stream = stream, .first_lane = PS_NONE};
    return PS_OK;
}

/* A further lane of a stream: behind `last`, or its first where that is PS_NONE. */
static ps_code add_lane(ps_stream_lane *stream, ps_lowering *lowering, uint32_t last,
                        uint32_t branch, uint32_t *out, ps_error *err)
{
    char name[64];
    (void)snprintf(name, sizeof name, branch > 1 ? "stream %llu branch %u" : "stream %llu",
                   (unsigned long long)stream->stream, branch);
    PS_TRY(ps__lower_add_lane(lowering, PS_LANE_STREAM, stream->device + 1, stream->stream, name,
                              out, err));
    if (last == PS_NONE) {
        stream->first_lane = *out;
    } else {
        lowering->lane_next[last] = *out;
    }
    return PS_OK;
}

ps_code ps__stream_lanes_take(ps_stream_lanes *self, ps_lowering *lowering, uint32_t device,
                              uint64_t stream, ps_ns start_ns, uint32_t *out, ps_error *err)
{
    ps_stream_lane *of = NULL;
    PS_TRY(find_stream(self, device, stream, &of, err));
    uint32_t branch = 1;
    uint32_t last = PS_NONE;
    for (uint32_t lane = of->first_lane; lane != PS_NONE;
         lane = lowering->lane_next[lane], branch++) {
        if (has_room(lowering, lane, start_ns)) {
            *out = lane;
            return PS_OK;
        }
        last = lane;
    }
    return add_lane(of, lowering, last, branch, out, err);
}

void ps__stream_lanes_fini(ps_stream_lanes *self)
{
    ps_free(self->entry);
}
