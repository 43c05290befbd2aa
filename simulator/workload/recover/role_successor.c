/* SPDX-License-Identifier: MIT
 *
 * An optimizer that does not work in place makes the new tensor and drops the
 * old one at once. The old one's role passes on to the youngest of its size
 * that is alive.
 */
#include "base/memory.h"
#include "workload/recover/role_parts.h"

typedef struct succession {
    ps_role_stage *stage;
    ps_idmap youngest; /* bytes -> buffer born last in this optimizer step and still alive */
    uint32_t *older;   /* per buffer: the one that was youngest before it, or NONE */
    uint32_t *of_row;  /* per row: buffer it begins or ends + 1 */
    bool *is_over;     /* per buffer: dead, or its role is decided */
} succession;

static ps_code note_birth(succession *self, uint32_t b, ps_error *err)
{
    const uint64_t bytes = self->stage->recovery->plan->buffer.bytes[b];
    if (self->stage->recovery->out->buffer[b].birth != PS_PHASE_OPTIMIZER) {
        return PS_OK;
    }
    self->older[b] = ps_idmap_get(&self->youngest, bytes);
    return ps_idmap_put(&self->youngest, bytes, b, err);
}

static uint32_t youngest_alive(const succession *self, uint32_t b)
{
    uint32_t next = ps_idmap_get(&self->youngest, self->stage->recovery->plan->buffer.bytes[b]);
    while (next != PS_IDMAP_NONE && self->is_over[next]) {
        next = self->older[next];
    }
    return next;
}

static ps_code note_death(succession *self, uint32_t b, ps_error *err)
{
    ps_structure_buffer *buffer = self->stage->recovery->out->buffer;
    const uint64_t bytes = self->stage->recovery->plan->buffer.bytes[b];
    self->is_over[b] = true;
    const bool is_older =
        buffer[b].role == PS_ROLE_UNKNOWN && buffer[b].birth_row == PS_STRUCTURE_NONE;
    if (buffer[b].death != PS_PHASE_OPTIMIZER ||
        (buffer[b].role != PS_ROLE_PARAMETER && buffer[b].role != PS_ROLE_OPTIMIZER_STATE &&
         !is_older)) {
        return PS_OK;
    }
    const uint32_t next = youngest_alive(self, b);
    if (next == PS_IDMAP_NONE || buffer[next].birth_step != buffer[b].death_step) {
        return PS_OK;
    }
    if (is_older) {
        ps__role_decide(&buffer[b], PS_ROLE_OPTIMIZER_STATE,
                        500); /* or a parameter: both are replaced */
        return PS_OK;
    }
    ps__role_decide(&buffer[next], buffer[b].role, 850);
    const uint32_t rest = self->older[next];
    if (rest == PS_IDMAP_NONE) {
        (void)ps_idmap_take(&self->youngest, bytes);
        return PS_OK;
    }
    return ps_idmap_put(&self->youngest, bytes, rest, err);
}

static ps_code follow_rows(succession *self, ps_error *err)
{
    const ps_structure *out = self->stage->recovery->out;
    const size_t rows = self->stage->recovery->trace->memory.head.count;
    for (uint32_t b = 0; b < out->buffer_count; b++) {
        self->older[b] = PS_IDMAP_NONE;
        if (out->buffer[b].birth_row != PS_STRUCTURE_NONE) {
            self->of_row[out->buffer[b].birth_row] = b + 1;
        }
        if (out->buffer[b].death_row != PS_STRUCTURE_NONE) {
            self->of_row[out->buffer[b].death_row] = b + 1;
        }
    }
    for (uint32_t row = 0; row < rows; row++) {
        if (self->of_row[row] != 0) {
            const uint32_t b = self->of_row[row] - 1;
            PS_TRY(out->buffer[b].birth_row == row ? note_birth(self, b, err)
                                                   : note_death(self, b, err));
        }
    }
    return PS_OK;
}

ps_code ps__roles_of_successors(ps_role_stage *stage, ps_error *err)
{
    const size_t buffers = stage->recovery->out->buffer_count;
    const size_t rows = stage->recovery->trace->memory.head.count;
    succession self = {
        .stage = stage,
        .older = ps_calloc(buffers + 1, sizeof *self.older),
        .of_row = ps_calloc(rows + 1, sizeof *self.of_row),
        .is_over = ps_calloc(buffers + 1, sizeof *self.is_over),
    };
    const bool is_made = self.older != NULL && self.of_row != NULL && self.is_over != NULL;
    const ps_code code = is_made ? follow_rows(&self, err) : ps_fail_nomem(err);
    ps_idmap_fini(&self.youngest);
    ps_free(self.older);
    ps_free(self.of_row);
    ps_free(self.is_over);
    return code;
}
