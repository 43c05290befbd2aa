/* SPDX-License-Identifier: MIT
 *
 * The latest recordings of CUDA events.
 */
#include "event_ring.h"

#include "base/memory.h"

ps_code ps_event_ring_init(ps_event_ring *self, ps_error *err)
{
    ps_idmap_init(&self->by_key);
    self->next = 0;
    self->record = ps_calloc(PS_EVENT_RING_SIZE, sizeof *self->record);
    return self->record != NULL ? PS_OK : ps_fail_nomem(err);
}

void ps_event_ring_fini(ps_event_ring *self)
{
    ps_free(self->record);
    ps_idmap_fini(&self->by_key);
}

ps_code ps_event_ring_put(ps_event_ring *self, ps_event_record record, ps_error *err)
{
    ps_event_record *slot = &self->record[self->next];
    if (ps_idmap_get(&self->by_key, slot->key) == self->next) {
        (void)ps_idmap_take(&self->by_key, slot->key);
    }
    *slot = record;
    PS_TRY(ps_idmap_put(&self->by_key, record.key, self->next, err));
    self->next = (self->next + 1) % PS_EVENT_RING_SIZE;
    return PS_OK;
}

const ps_event_record *ps_event_ring_get(const ps_event_ring *self, uint64_t key)
{
    const uint32_t at = ps_idmap_get(&self->by_key, key);
    return at == PS_IDMAP_NONE ? NULL : &self->record[at];
}
