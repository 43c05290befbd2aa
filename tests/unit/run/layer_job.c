/* SPDX-License-Identifier: MIT
 *
 * A recording of a job of equal layers, made up.
 */
#include "layer_job.h"

const layer_job layer_job_forward = {.shapes = "[[8,1000],[1000,1000],[1000]];"
                                               "[\"float\",\"float\",\"float\"]",
                                     .has_modules = true,
                                     .steps = 1,
                                     .kernel_ns = 1000000,
                                     .resident_bytes = 100 * MIB};

typedef struct maker {
    ps_trace *trace;
    const layer_job *of;
    uint64_t correlation, thread;
    ps_ns host, device;
    int64_t sequence;
} maker;

static void launch(maker *m, const char *name, ps_ns dur)
{
    const ps_ns begin = m->device > m->host + 100 ? m->device : m->host + 100;
    m->correlation++;
    put_call(m->trace, m->thread, (span){m->host, m->host + 100}, "cudaLaunchKernel",
             m->correlation);
    put_kernel(m->trace, stream_7, (span){begin, begin + dur}, name, m->correlation);
    m->host += 200;
    m->device = begin + dur;
}

/* A range around what follows until close(). */
static size_t open_range(maker *m, ps_range_category category, const char *name, const char *shapes,
                         int64_t sequence)
{
    ps_error err = {0};
    put_range(m->trace, m->thread, (span){m->host, m->host}, category, name);
    const size_t row = m->trace->range.head.count - 1;
    m->trace->range.sequence[row] = sequence;
    if (shapes != NULL) {
        assert_ok(&err,
                  ps_strings_put_z(m->trace->strings, shapes, &m->trace->range.shapes[row], &err));
    }
    m->host += 10;
    return row;
}

static void close_range(maker *m, size_t row)
{
    m->host += 10;
    m->trace->range.dur_ns[row] = TRACE_ORIGIN_NS + m->host - m->trace->range.start_ns[row];
    m->host += 10;
}

static void request(maker *m, ps_memory_action action, uint64_t bytes, uint64_t addr)
{
    static const uint64_t scratch = 1024; /* all that comes and goes */
    const size_t row = put_memory(m->trace, m->host, action, bytes, addr);
    m->trace->memory.total_allocated[row] =
        m->of->resident_bytes + 1 + (action == PS_ACTION_ALLOC ? scratch : 0);
    m->host += 10;
}

static void forward(maker *m, unsigned block)
{
    char name[32];
    (void)snprintf(name, sizeof name, "nn.Module: Layer_%u", block);
    const size_t module =
        m->of->has_modules ? open_range(m, PS_RANGE_PYTHON, name, NULL, 0) : NO_ROW;
    const size_t linear =
        open_range(m, PS_RANGE_OPERATOR, "aten::linear", m->of->shapes, ++m->sequence);
    launch(m, "gemm", m->of->kernel_ns);
    close_range(m, linear);
    if (m->of->has_adapters) {
        const size_t adapter =
            open_range(m, PS_RANGE_OPERATOR, "aten::linear",
                       "[[8,1000],[8,1000]];[\"float\",\"float\"]", ++m->sequence);
        launch(m, "gemm", 1000);
        close_range(m, adapter);
    }
    if (module != NO_ROW) {
        close_range(m, module);
    }
}

static void accumulate(maker *m, const char *gradient)
{
    close_range(m,
                open_range(m, PS_RANGE_OPERATOR, "torch::autograd::AccumulateGrad", gradient, 0));
}

/* With a shared or frozen weight, of which the latter has nothing to compute. */
static void backward_of_weight(maker *m, unsigned layer)
{
    if (m->of->shares || (m->of->freezes && layer + 1 < LAYERS)) {
        launch(m, "gemm of the weight", 1000);
    }
    if (m->of->shares && layer == 0) {
        const size_t add =
            open_range(m, PS_RANGE_OPERATOR, m->of->hides ? "aten::empty" : "aten::add_", NULL, 0);
        launch(m, "sum", 1000);
        close_range(m, add);
    }
}

static void backward(maker *m, unsigned layer, int64_t sequence)
{
    const size_t node =
        open_range(m, PS_RANGE_OPERATOR, "autograd::engine::evaluate_function: AddmmBackward0",
                   NULL, sequence);
    launch(m, "gemm", m->of->kernel_ns);
    backward_of_weight(m, layer);
    close_range(m, node);
    if (m->of->has_adapters) {
        accumulate(m, "[[8,1000]];[\"float\"]");
    } else {
        if (layer + 1 < LAYERS || (!m->of->shares && !m->of->freezes)) {
            accumulate(m, "[[1000,1000]];[\"float\"]");
        }
        accumulate(m, "[[1000]];[\"float\"]");
    }
}

static void train(maker *m)
{
    const int64_t each = m->of->has_adapters ? 2 : 1;
    m->thread = m->of->has_threads ? BACKWARD_THREAD : MAIN_THREAD;
    for (unsigned i = 0; i < LAYERS; i++) {
        backward(m, LAYERS - 1 - i, m->sequence - each * (int64_t)i);
    }
    m->thread = MAIN_THREAD;
    const size_t step = open_range(m, PS_RANGE_ANNOTATION, "Optimizer.step#Adam.step", NULL, 0);
    launch(m, "adam", m->of->kernel_ns);
    close_range(m, step);
}

/* Each layer's weight and bias get something added. */
static void sweep(maker *m, unsigned layers)
{
    for (unsigned i = 0; i < layers && m->of->perturbs; i++) {
        const size_t weight =
            open_range(m, PS_RANGE_OPERATOR, "aten::add_",
                       "[[1000,1000],[1000,1000],[]];[\"float\",\"float\",\"Scalar\"]", 0);
        launch(m, "add", m->of->kernel_ns);
        close_range(m, weight);
        close_range(m, open_range(m, PS_RANGE_OPERATOR, "aten::add_",
                                  "[[1000],[1000],[]];[\"float\",\"float\",\"Scalar\"]", 0));
    }
}

ps_trace *layer_job_trace(const layer_job *of)
{
    maker m = {.trace = trace_new(), .of = of, .thread = MAIN_THREAD};
    for (unsigned step = 0; step < of->steps; step++) {
        const ps_ns begin = m.host;
        m.host += 10;
        put_call(m.trace, MAIN_THREAD, (span){m.host, m.host + 10}, "cudaEventQuery", 0);
        m.host += 20;
        request(&m, PS_ACTION_ALLOC, 1024, 0x1000);
        launch(&m, "embedding", EMBEDDING_NS);
        for (unsigned pass = 0; pass < (of->perturbs ? 2 : 1); pass++) {
            sweep(&m, LAYERS);
            for (unsigned i = 0; i < LAYERS; i++) {
                forward(&m, i);
            }
        }
        sweep(&m, LAYERS);
        sweep(&m, of->changes_more ? 1 : 0);
        if (of->trains) {
            train(&m);
        }
        launch(&m, "last", 1000);
        request(&m, PS_ACTION_FREE, 1024, 0x1000);
        put_step(m.trace, (span){begin, m.host}, step);
        m.host += 10;
    }
    return m.trace;
}
