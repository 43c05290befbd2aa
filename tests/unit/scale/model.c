/* SPDX-License-Identifier: MIT
 *
 * A small transformer, operator by operator.
 */
#include "model.h"

#include <inttypes.h>
#include <stdarg.h>

#include "base/checked.h"
#include "lower/lower.h"
#include "trace/file.h"

typedef struct writer {
    ps_trace *trace;
    recording what;
    ps_ns now;
    uint64_t address, correlation;
    const char *frames;
    size_t outer; /* open range */
} writer;

static ps_str put_text(writer *self, const char *text)
{
    ps_error err = {0};
    ps_str id;
    assert_ok(&err, ps_strings_put_z(self->trace->strings, text, &id, &err));
    return id;
}

/* Opens an operator with the shapes of its inputs. */
static size_t begin(writer *self, const char *name, const char *shapes, ...) PS_PRINTF(3, 4);

static size_t begin(writer *self, const char *name, const char *shapes, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, shapes);
    (void)vsnprintf(text, sizeof text, shapes, arguments);
    va_end(arguments);
    put_range(self->trace, MAIN_THREAD, (span){self->now, self->now + 1}, PS_RANGE_OPERATOR, name);
    const size_t row = self->trace->range.head.count - 1;
    if (self->what.has_shapes) {
        self->trace->range.shapes[row] = put_text(self, text);
    }
    self->now += 10;
    return row;
}

static void end(writer *self, size_t range)
{
    self->now += 10;
    self->trace->range.dur_ns[range] =
        TRACE_ORIGIN_NS + self->now - self->trace->range.start_ns[range];
    self->now += 10;
}

/* Bytes as the allocator records them. */
static uint64_t recorded(const writer *self, uint64_t bytes)
{
    if (!self->what.has_blocks) {
        return bytes;
    }
    const uint64_t block = ps_round_up_u64(bytes, 512);
    /* every third large block has a rest that was not worth splitting off */
    return block > MIB && self->correlation % 3 == 0 ? block + 512 * 700 : block;
}

static uint64_t make(writer *self, uint64_t bytes)
{
    self->address += 512 * MIB;
    const size_t row = put_alloc(self->trace, self->now += 5, recorded(self, bytes), self->address);
    if (self->what.has_frames) {
        self->trace->memory.stack[row] = put_text(self, self->frames);
    }
    return self->address;
}

/* A kernel of the open operator. */
static void launch(writer *self, const char *name, const char *grid)
{
    self->correlation++;
    put_launch(self->trace, (span){self->now + 1, self->now + 4}, stream_7,
               (span){(ps_ns)self->correlation * 100000, (ps_ns)self->correlation * 100000 + 50000},
               name, self->correlation);
    self->trace->kernel.launch[self->trace->kernel.head.count - 1] = put_text(self, grid);
    self->now += 5;
}

#define FLOAT3 "[\"float\",\"float\",\"float\"]"

static void attention(writer *self)
{
    const uint64_t b = self->what.batch, s = self->what.sequence;
    const uint64_t rows = b * s, heads = b * HEADS, head = WIDTH / HEADS;
    size_t op;
    self->frames = "at::_ops::addmm::call; model.py:10 forward";
    op = begin(self, "aten::linear", "[[%" PRIu64 ",%" PRIu64 ",%u],[%u,%u],[%u]];" FLOAT3, b, s,
               WIDTH, 3 * WIDTH, WIDTH, 3 * WIDTH);
    const size_t product =
        begin(self, "aten::addmm", "[[%u],[%" PRIu64 ",%u],[%u,%u],[],[]];" FLOAT3, 3 * WIDTH, rows,
              WIDTH, WIDTH, 3 * WIDTH);
    (void)make(self, rows * 3 * WIDTH * 4);
    launch(self, "sgemm_128x128", "1000,1,1|256,1,1|64|0");
    end(self, product);
    end(self, op);
    self->frames = "at::_ops::baddbmm::call; attention.py:20 forward";
    op = begin(self, "aten::baddbmm",
               "[[%" PRIu64 ",%" PRIu64 ",%" PRIu64 "],[%" PRIu64 ",%" PRIu64 ",%" PRIu64
               "],[%" PRIu64 ",%" PRIu64 ",%" PRIu64 "],[],[]];" FLOAT3,
               heads, s, s, heads, s, head, heads, head, s);
    (void)make(self, heads * s * s * 4);
    launch(self, "sgemm_64x64", "1000,1,1|256,1,1|64|0");
    end(self, op);
    self->frames = "at::_ops::softmax::call; softmax.py:3 forward";
    op = begin(self, "aten::softmax", "[[%" PRIu64 ",%" PRIu64 ",%" PRIu64 "],[],[]];[\"float\"]",
               heads, s, s);
    (void)make(self, heads * s * s * 4);
    launch(self, "softmax", "1000,1,1|1024,1,1|16|0");
    end(self, op);
    self->frames = "at::_ops::bmm::call; attention.py:22 forward";
    op = begin(self, "aten::bmm",
               "[[%" PRIu64 ",%" PRIu64 ",%" PRIu64 "],[%" PRIu64 ",%" PRIu64 ",%" PRIu64
               "]];[\"float\",\"float\"]",
               heads, s, s, heads, s, head);
    (void)make(self, heads * s * head * 4);
    end(self, op);
}

static void feed_forward(writer *self)
{
    const uint64_t b = self->what.batch, s = self->what.sequence, rows = b * s;
    size_t op;
    self->frames = "at::_ops::layer_norm::call; model.py:30 forward";
    op = begin(self, "aten::layer_norm",
               "[[%" PRIu64 ",%" PRIu64 ",%u],[],[%u],[%u],[],[]];"
               "[\"float\",\"ScalarList\",\"float\",\"float\"]",
               b, s, WIDTH, WIDTH, WIDTH);
    (void)make(self, rows * WIDTH * 4);
    launch(self, "layer_norm", "2000,1,1|1024,1,1|16|0");
    end(self, op);
    self->frames = "at::_ops::linear::call; model.py:31 forward";
    op = begin(self, "aten::linear", "[[%" PRIu64 ",%" PRIu64 ",%u],[%u,%u],[%u]];" FLOAT3, b, s,
               WIDTH, INNER, WIDTH, INNER);
    /* under autocast the weight is cast: its copy is as large as ever */
    const size_t cast = begin(self, "aten::to", "[[%u,%u],[]];[\"float\"]", INNER, WIDTH);
    self->frames = "at::_ops::to::call; model.py:31 forward";
    (void)make(self, INNER * WIDTH * 2);
    launch(self, "cast", "100,1,1|1024,1,1|16|0");
    end(self, cast);
    self->frames = "at::_ops::linear::call; model.py:31 forward";
    const size_t product =
        begin(self, "aten::addmm", "[[%u],[%" PRIu64 ",%u],[%u,%u],[],[]];" FLOAT3, INNER, rows,
              WIDTH, WIDTH, INNER);
    (void)make(self, rows * INNER * 4);
    end(self, product);
    end(self, op);
    self->frames = "at::_ops::gelu::call; model.py:32 forward";
    op = begin(self, "aten::gelu", "[[%" PRIu64 ",%" PRIu64 ",%u],[]];[\"float\"]", b, s, INNER);
    (void)make(self, rows * INNER * 4);
    launch(self, "gelu", "20,1,1|1024,1,1|16|0");
    end(self, op);
    self->frames = "at::_ops::linear::call; model.py:33 forward";
    op = begin(self, "aten::linear", "[[%" PRIu64 ",%" PRIu64 ",%u],[%u,%u],[%u]];" FLOAT3, b, s,
               INNER, WIDTH, INNER, WIDTH);
    (void)make(self, rows * WIDTH * 4);
    end(self, op);
}

ps_trace *model_trace(recording what)
{
    ps_error err = {0};
    writer self = {.trace = trace_new(), .what = what, .address = 0x7f0000000000u};
    put_device(self.trace, 0, "Oldcard", 0);
    self.trace->device.sm_count[0] = 100;
    put_fact(self.trace, PS_META_MEMORY_SIZES, what.has_blocks ? "block" : "requested");
    self.frames = "at::_ops::empty::call; model.py:3 __init__";
    (void)make(&self, (uint64_t)WORDS * WIDTH * 4);
    (void)make(&self, (uint64_t)INNER * WIDTH * 4);
    self.frames = "at::_ops::embedding::call; model.py:9 forward";
    self.now += 100;
    const size_t op = begin(&self, "aten::embedding",
                            "[[%u,%u],[%" PRIu64 ",%" PRIu64 "],[],[],[]]"
                            ";[\"float\",\"long int\"]",
                            WORDS, WIDTH, what.batch, what.sequence);
    (void)make(&self, what.batch * what.sequence * WIDTH * 4);
    end(&self, op);
    for (unsigned i = 0; i < LAYERS; i++) {
        attention(&self);
        feed_forward(&self);
    }
    assert_ok(&err, ps_trace_sort(self.trace, &err));
    return self.trace;
}

model model_open(ps_trace *trace)
{
    ps_error err = {0};
    model self = {.trace = trace};
    assert_ok(&err, ps_lower_trace(trace, &self.plan, &err));
    assert_ok(&err, ps_structure_recover(trace, self.plan, NULL, &self.structure, &err));
    return self;
}

void model_close(model *self)
{
    ps_structure_fini(&self->structure);
    ps_plan_destroy(self->plan);
    ps_trace_destroy(self->trace);
}

ps_whatif_scale model_scale(const model *self, target to)
{
    return (ps_whatif_scale){
        .batch = to.batch,
        .sequence = to.sequence,
        .recorded_batch = to.recorded_batch,
        .recorded_sequence = to.recorded_sequence,
        .trace = self->trace,
        .structure = &self->structure,
    };
}
