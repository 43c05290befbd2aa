/* SPDX-License-Identifier: MIT
 *
 * ZeRO-Infinity's optimizer states on the node's disks, as DeepSpeed's swappers
 * move them. Steps are the host's; each needs four swap buffers.
 *
 *   backward   gradient wide on the device ──► swap buffer; a full one is written beside what
 *              follows, and when none is left the host waits until all are written
 *   step i     files of i read ─ wait ─ Adam ─ parameters down ─ files of i written ─ wait
 *   pipeline_read     files of i + 1 are read from the moment those of i are there
 *   pipeline_write    files of i are waited for before those of i + 1 are written
 */
#include "workload/scheme/offload.h"

#define READER PS_EAGER_WORKER
#define WRITER ((ps_eager_lane)(PS_EAGER_WORKER + 1))

/* Smaller pieces are no file: they stay in the host's memory (swap's least, 1 MiB). */
#define LEAST_FILE_BYTES (UINT64_C(1) << 20)

void ps_offload_make_swap(ps_offload *self)
{
    ps_offload_swap *s = &self->swap;
    s->elements = ps_offload_largest(self);
    s->count = (size_t)ps_offload_buffers(ps_offload_settings_of(self));
    for (size_t i = 0; i < s->count; i++) {
        s->buffer[i] = ps_offload_make_in(self, PS_MEMORY_PINNED, s->elements, PS_DTYPE_F32,
                                          PS_ROLE_WORKSPACE);
    }
}

/* ---- gradients ---- */

static void write_filled(ps_offload *self)
{
    ps_offload_swap *s = &self->swap;
    ps_eager *e = self->scheme->e;
    if (s->filled == 0) {
        return;
    }
    const ps_storage_io write = {.name = "swap_out_gradient",
                                 .is_write = true,
                                 .lane = WRITER,
                                 .bytes = ps_offload_wide(s->filled)};
    ps_op_storage(e, &write);
    ps_eager_touch(e, s->buffer[s->filling], false);
    for (size_t i = 0; i < self->count; i++) {
        if (self->group[i].is_filling) {
            ps_eager_touch(e, self->group[i].grad, true);
            self->group[i].is_filling = false;
        }
    }
    s->filled = 0;
    s->filling++;
}

static void flush_gradients(ps_offload *self)
{
    write_filled(self);
    ps_op_wait(self->scheme->e, WRITER);
    self->swap.filling = 0;
}

static void make_space(ps_offload *self, int64_t elements)
{
    ps_offload_swap *s = &self->swap;
    if (s->filled + elements <= s->elements) {
        return;
    }
    write_filled(self);
    if (s->filling == s->count) {
        flush_gradients(self);
    }
}

void ps_offload_store_grad(ps_offload *self, ps_offload_group *of, int64_t elements)
{
    ps_scheme *s = self->scheme;
    ps_tensor wide = ps_offload_widen_on_device(s, elements);
    const bool is_file = ps_offload_wide(elements) >= LEAST_FILE_BYTES;
    if (is_file) {
        make_space(self, elements);
    }
    ps_host_copy down = ps_offload_copy_now(s, PS_COPY_DTOH, ps_offload_wide(elements));
    down.memory = is_file ? PS_MEMORY_PINNED : PS_MEMORY_PAGEABLE;
    down.is_blocking = true;
    down.from = wide;
    down.to = is_file ? self->swap.buffer[self->swap.filling] : 0;
    ps_op_host_copy(s->e, &down);
    ps_eager_clear(s->e, &wide);
    if (is_file) {
        self->swap.filled += elements;
        of->stored += elements;
        of->is_filling = true;
    }
}

/* ---- steps ---- */

/* Buffers of the i-th sub-group: sets follow one another. */
static const ps_tensor *set_of(const ps_offload *self, size_t i)
{
    const size_t sets = 1 + (size_t)ps_offload_settings_of(self)->reads_ahead +
                        (size_t)ps_offload_settings_of(self)->writes_behind;
    return &self->swap.buffer[i % sets * PS_OFFLOAD_SWAPPED];
}

static void read_file(ps_offload *self, const char *name, ps_tensor from, ps_tensor to,
                      uint64_t bytes)
{
    const ps_storage_io read = {.name = name, .lane = READER, .bytes = bytes};
    if (bytes > 0) {
        ps_op_storage(self->scheme->e, &read);
        ps_eager_touch(self->scheme->e, from, false);
        ps_eager_touch(self->scheme->e, to, true);
    }
}

static void swap_in(ps_offload *self, size_t i)
{
    ps_offload_group *g = &self->group[i];
    const ps_tensor *buffer = set_of(self, i);
    for (int state = 0; state < PS_OFFLOAD_STATES; state++) {
        read_file(self, "swap_in_state", g->state[state], buffer[state],
                  ps_offload_wide(g->elements));
    }
    read_file(self, "swap_in_gradient", g->grad, buffer[PS_OFFLOAD_STATES],
              ps_offload_wide(g->stored));
    g->stored = 0;
}

static void swap_out(ps_offload *self, size_t i)
{
    ps_offload_group *g = &self->group[i];
    const ps_tensor *buffer = set_of(self, i);
    const ps_storage_io write = {.name = "swap_out_state",
                                 .is_write = true,
                                 .lane = WRITER,
                                 .bytes = ps_offload_wide(g->elements)};
    for (int state = 0; state < PS_OFFLOAD_STATES; state++) {
        ps_op_storage(self->scheme->e, &write);
        ps_eager_touch(self->scheme->e, buffer[state], false);
        ps_eager_touch(self->scheme->e, g->state[state], true);
    }
}

void ps_offload_step_from_storage(ps_offload *self)
{
    const ps_zero_settings *z = ps_offload_settings_of(self);
    ps_eager *e = self->scheme->e;
    flush_gradients(self);
    for (size_t i = 0; i < self->count; i++) {
        ps_offload_group *g = &self->group[i];
        const ps_tensor *buffer = set_of(self, i);
        if (i == 0 || !z->reads_ahead) {
            swap_in(self, i);
        }
        ps_op_wait(e, READER);
        if (z->reads_ahead && i + 1 < self->count) {
            swap_in(self, i + 1);
        }
        const ps_offload_host_step step = {.state = buffer,
                                           .grad = buffer[PS_OFFLOAD_STATES],
                                           .elements = g->elements,
                                           .memory = PS_MEMORY_PINNED,
                                           .lane = PS_EAGER_MAIN};
        ps_offload_step_on_host(self->scheme, &step);
        ps_offload_write_back(self, buffer[0], g->elements);
        if (z->writes_behind) {
            ps_op_wait(e, WRITER);
        }
        swap_out(self, i);
        if (!z->writes_behind || i + 1 == self->count) {
            ps_op_wait(e, WRITER);
        }
    }
}
