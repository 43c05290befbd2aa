/* SPDX-License-Identifier: MIT
 *
 * The parameters of a unit are one flat tensor, each at a multiple of 16 bytes,
 * padded to a multiple of the ranks; each rank keeps its part.
 */
#include "base/memory.h"
#include "workload/scheme/fsdp1.h"

enum { ALIGNMENT_BYTES = 16 };

static int64_t round_up(int64_t value, int64_t to)
{
    return ps_scheme_share(value, to) * to;
}

/* Where members lie in a unit's flat tensor, and how long that is. */
static void measure(ps_scheme *self, size_t which)
{
    ps_fsdp1 *f = ps_fsdp1_of(self);
    ps_fsdp1_unit *u = &f->unit[which];
    int64_t at = 0, held = 0;
    bool is_trained = false;
    for (size_t i = f->units.begin[which]; i < f->units.begin[which + 1]; i++) {
        const ps_tensor tensor = f->units.member[i].tensor;
        const ps_dtype type = ps_eager_dtype(self->e, tensor);
        at = round_up(at, ALIGNMENT_BYTES / (int64_t)ps_dtype_bytes(type));
        f->begin[i] = at;
        at += ps_eager_elements(self->e, tensor);
        held += ps_eager_elements(self->e, tensor);
        is_trained = is_trained || f->units.member[i].trained != PS_UNITS_NONE;
    }
    /* parts of a flat tensor that wants a gradient want theirs, frozen or not */
    for (size_t i = f->units.begin[which]; is_trained && i < f->units.begin[which + 1]; i++) {
        ps_eager_require_grad(self->e, f->units.member[i].tensor);
        u->trained++;
    }
    u->elements = round_up(at, self->shards);
    u->padding = u->elements - held;
}

/* Elements of a member in this rank's part. */
static int64_t shared(const ps_scheme *self, const ps_fsdp1_unit *u, size_t member)
{
    const ps_fsdp1 *f = ps_fsdp1_of(self);
    const int64_t part = u->elements / self->shards, low = self->place * part, high = low + part;
    const int64_t begin = f->begin[member] > low ? f->begin[member] : low;
    int64_t end = f->begin[member] + ps_eager_elements(self->e, f->units.member[member].tensor);
    end = end < high ? end : high;
    return end > begin ? end - begin : 0;
}

static void make_views(ps_scheme *self, size_t which)
{
    ps_fsdp1 *f = ps_fsdp1_of(self);
    const ps_fsdp1_unit *u = &f->unit[which];
    for (size_t i = f->units.begin[which]; i < f->units.begin[which + 1] && u->shard != 0; i++) {
        const size_t trained = f->units.member[i].trained;
        if (trained != PS_UNITS_NONE) {
            const int64_t elements = shared(self, u, i);
            f->of.parameter[trained] = ps_op_view_of(self->e, u->shard, elements);
            f->of.shape[trained] =
                (ps_parameter_shape){.columns = elements, .block = (uint32_t)which};
        }
    }
}

/* Parameters of a unit, and its buffers behind them, come to the device. Returns how many. */
static size_t bring(ps_scheme *self, size_t which, ps_tensor *list)
{
    ps_fsdp1 *f = ps_fsdp1_of(self);
    const ps_fsdp_settings *s = &self->settings->fsdp;
    size_t count = 0;
    for (size_t i = f->units.begin[which]; i < f->units.begin[which + 1]; i++) {
        const ps_tensor tensor = f->units.member[i].tensor;
        ps_eager_retype(self->e, tensor,
                        s->has_param_dtype ? s->stored_dtype : ps_eager_dtype(self->e, tensor));
        ps_eager_bring(self->e, tensor, PS_ROLE_PARAMETER);
        list[count++] = tensor;
    }
    ps_scheme_bring_buffers(self, (uint32_t)which);
    for (size_t i = 0; i < self->m->buffer_count; i++) {
        if (self->m->buffer_block[i] == which) {
            list[count++] = self->m->buffer[i];
        }
    }
    return count;
}

/* Parameters become parts of a flat tensor, of which this rank keeps a part. */
static void flatten_parameters(ps_scheme *self, size_t which, const ps_tensor *list)
{
    ps_fsdp1 *f = ps_fsdp1_of(self);
    ps_fsdp1_unit *u = &f->unit[which];
    const ps_fsdp_settings *s = &self->settings->fsdp;
    const size_t count = f->units.begin[which + 1] - f->units.begin[which];
    const ps_dtype type = ps_eager_dtype(self->e, list[0]);
    u->flat = ps_scheme_make(self, u->elements, type, PS_ROLE_PARAMETER);
    ps_scheme_kernel(self, "cat", 2 * ps_eager_bytes(self->e, u->flat));
    u->shard = ps_scheme_make(self, u->elements / self->shards, type, PS_ROLE_PARAMETER);
    ps_scheme_kernel(self, "copy", 2 * ps_eager_bytes(self->e, u->shard));
    for (size_t i = 0; i < count; i++) {
        ps_eager_send_away(self->e, list[i]);
        ps_eager_lay_into(self->e, list[i], u->flat);
        ps_eager_retype(self->e, list[i], s->has_param_dtype ? s->param_dtype : type);
    }
    ps_eager_empty(self->e, u->flat);
    ps_eager_retype(self->e, u->flat, s->has_param_dtype ? s->param_dtype : type);
}

/* A unit comes to the device, is broadcast, flattened, and divided. */
static void shard(ps_scheme *self, size_t which)
{
    const ps_fsdp1 *f = ps_fsdp1_of(self);
    ps_tensor *list = ps_scheme_calloc(
        self, f->units.begin[which + 1] - f->units.begin[which] + self->m->buffer_count,
        sizeof *list);
    if (list == NULL) {
        return;
    }
    ps_scheme_broadcast(self, list, bring(self, which, list), PS_FSDP1_UNSHARD);
    if (f->units.begin[which + 1] > f->units.begin[which]) {
        flatten_parameters(self, which, list);
        make_views(self, which);
    }
    ps_free(list);
}

void ps_fsdp1_flatten_unit(ps_scheme *self, size_t which)
{
    measure(self, which);
    shard(self, which);
}

ps_code ps_fsdp1_check_types(const ps_scheme *self, ps_error *err)
{
    const ps_fsdp1 *f = ps_fsdp1_of(self);
    for (size_t i = 1; i < f->units.member_count; i++) {
        if (ps_eager_dtype(self->e, f->units.member[i].tensor) !=
            ps_eager_dtype(self->e, f->units.member[0].tensor)) {
            return ps_fail(err, PS_USAGE,
                           "fsdp1 flattens parameters of one type: adapters have 32 bits, so must "
                           "the weights beside them");
        }
    }
    return PS_OK;
}
