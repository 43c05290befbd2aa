/* SPDX-License-Identifier: MIT
 *
 * Start-up: parameters one by one in module order, then the flat buffers they
 * move into, filled from the last parameter on.
 */
#include "base/checked.h"
#include "base/memory.h"
#include "workload/megatron/parts.h"

#define MAX_PARAMETERS ((size_t)1 << 22)
#define BUFFER_UNIT 64      /* a parameter begins at a multiple of so many elements */
#define BUFFER_END_UNIT 128 /* and a buffer ends at one of this and of its replicas */

static int64_t round_up(int64_t value, int64_t unit)
{
    return (value + unit - 1) / unit * unit;
}

/* ---- parameters ---- */

void ps__meg_add_parameter(ps__meg *self, int64_t rows, int64_t columns, bool is_expert)
{
    if (self->parameter_count == MAX_PARAMETERS) {
        ps_eager_fail(self->e, PS_LIMIT, "a rank of more than 4 Mi parameters' tensors");
        return;
    }
    if (ps_grow((void **)&self->parameter, &self->parameter_capacity, self->parameter_count + 1,
                MAX_PARAMETERS, sizeof *self->parameter, NULL) != PS_OK) {
        ps_eager_fail(self->e, PS_NOMEM, "out of memory");
        return;
    }
    ps__meg_parameter *p = &self->parameter[self->parameter_count++];
    *p = (ps__meg_parameter){.elements = rows * columns,
                             .is_matrix = rows > 1,
                             .is_expert = is_expert,
                             .is_whole = rows == 1};
    p->own = ps_eager_make(self->e, p->elements, self->dtype, PS_ROLE_PARAMETER);
    ps__meg_kernel(self, "init", p->elements);
}

void ps__meg_add_whole_parameter(ps__meg *self, int64_t rows, int64_t columns)
{
    const size_t before = self->parameter_count;
    ps__meg_add_parameter(self, rows, columns, false);
    if (self->parameter_count > before) {
        self->parameter[before].is_whole = true;
    }
}

void ps__meg_make_parameters(ps__meg *self)
{
    self->program->make_beginning(self);
    for (int64_t i = 0; i < self->layers; i++) {
        self->program->make_layer(self, i);
    }
    self->program->make_end(self);
}

/* ---- buffers ---- */

static int64_t lcm(int64_t a, int64_t b)
{
    int64_t x = a, y = b;
    while (y != 0) {
        const int64_t rest = x % y;
        x = y;
        y = rest;
    }
    return a / x * b;
}

static void lay_out(ps__meg *self, ps__meg_buffer *buffer, bool is_expert)
{
    int64_t end = 0;
    for (size_t i = self->parameter_count; i-- > 0;) {
        ps__meg_parameter *p = &self->parameter[i];
        if (p->is_expert == is_expert) {
            p->begin = round_up(end, BUFFER_UNIT);
            end = p->begin + p->elements;
        }
    }
    const int64_t replicas = ps__meg_grid_size(&self->grid, buffer->axes);
    buffer->elements = round_up(end, lcm(replicas, BUFFER_END_UNIT));
}

/* Parameters move into the buffer one after the other. */
static void move_parameters(ps__meg *self, ps__meg_buffer *buffer, bool is_expert)
{
    for (size_t i = self->parameter_count; i-- > 0 && buffer->parameters != 0;) {
        ps__meg_parameter *p = &self->parameter[i];
        if (p->is_expert == is_expert) {
            ps__meg_kernel(self, "copy", 2 * p->elements);
            ps_eager_clear(self->e, &p->own);
        }
    }
}

static void fill(ps__meg *self, ps__meg_buffer *buffer, bool is_expert)
{
    if (buffer->elements == 0) {
        return;
    }
    const ps_eager_lane was = ps_eager_set_lane(self->e, PS__MEG_LANE_DATA);
    if (self->recipe->shards_optimizer) { /* or else parameters stay where they are */
        buffer->parameters =
            ps_eager_make(self->e, buffer->elements, self->dtype, PS_ROLE_PARAMETER);
        ps__meg_kernel(self, "fill", buffer->elements);
    }
    buffer->gradients =
        ps_eager_make(self->e, buffer->elements, self->grad_dtype, PS_ROLE_GRADIENT);
    ps__meg_bytes(self, "fill", buffer->elements * (int64_t)ps_dtype_bytes(self->grad_dtype));
    move_parameters(self, buffer, is_expert);
    (void)ps_eager_set_lane(self->e, was);
}

void ps__meg_make_buffers(ps__meg *self)
{
    self->buffer[PS__MEG_DENSE] =
        (ps__meg_buffer){.axes = PS__MEG_REPLICAS, .lane = PS__MEG_LANE_DATA};
    self->buffer[PS__MEG_EXPERTS] =
        (ps__meg_buffer){.axes = PS__MEG_EXPERT_REPLICAS, .lane = PS__MEG_LANE_EXPERT_DATA};
    for (int i = 0; i < PS__MEG_BUFFERS; i++) {
        lay_out(self, &self->buffer[i], i == PS__MEG_EXPERTS);
        fill(self, &self->buffer[i], i == PS__MEG_EXPERTS);
    }
}
