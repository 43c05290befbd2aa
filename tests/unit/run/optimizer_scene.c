/* SPDX-License-Identifier: MIT
 *
 * A recorded job for tests of its optimizer on the host.
 */
#include "optimizer_scene.h"

#include <string.h>

#include "base/memory.h"
#include "import/import.h"
#include "lower/lower.h"
#include "trace/file.h"

/* ---- a host ---- */

#define RATE UINT64_C(1000000000)

static const char *link_name(const void *context, uint32_t link)
{
    static const char *const names[] = {"to the GPU", "from the GPU", "memory"};
    (void)context;
    return names[link];
}

static uint64_t link_rate(const void *context, uint32_t link)
{
    (void)context;
    (void)link;
    return RATE;
}

static ps_code host_of(void *context, uint32_t rank, ps_network_host *out, ps_error *err)
{
    (void)context;
    (void)rank;
    (void)err;
    *out = (ps_network_host){.node_bytes = UINT64_C(1) << 36};
    for (int i = 0; i < PS_HOST_TRAFFIC_COUNT; i++) {
        out->rate_bytes_per_s[i] = RATE;
        out->basis[i] = PS_BASIS_ANALYTIC;
    }
    return PS_OK;
}

static ps_code host_path(void *context, uint32_t rank, ps_host_traffic traffic,
                         ps_network_path *out, ps_error *err)
{
    (void)context;
    (void)rank;
    PS_TRY(ps_grow((void **)&out->link, &out->capacity, 1, 1, sizeof *out->link, err));
    out->link[0] = traffic == PS_HOST_UPLOAD ? 0 : traffic == PS_HOST_OFFLOAD ? 1 : 2;
    out->count = 1;
    return PS_OK;
}

const ps_network network = {.link_count = 3,
                            .link_name = link_name,
                            .link_bytes_per_s = link_rate,
                            .host = host_of,
                            .host_path = host_path};

/* ---- a recording ---- */

typedef struct recorder {
    ps_trace *trace;
    const scene *of;
    uint64_t live, addr, correlation;
    uint64_t held[2]; /* addresses of gradients */
} recorder;

static void change_live(recorder *self, uint64_t tid, ps_ns at, uint64_t bytes, uint64_t addr,
                        bool is_alloc)
{
    const size_t row =
        put_memory(self->trace, at, is_alloc ? PS_ACTION_ALLOC : PS_ACTION_FREE, bytes, addr);
    self->live = is_alloc ? self->live + bytes : self->live - bytes;
    self->trace->memory.tid[row] = tid;
    self->trace->memory.total_allocated[row] = self->of->lacks_totals ? 0 : self->live + 1;
}

static uint64_t request(recorder *self, uint64_t tid, ps_ns at, uint64_t bytes)
{
    self->addr += UINT64_C(1) << 24;
    change_live(self, tid, at, bytes, self->addr, true);
    return self->addr;
}

static void launch(recorder *self, uint64_t tid, ps_ns at, ps_ns length, const char *name)
{
    const bool is_of_optimizer = self->of->call != NULL && strstr(name, "Pointwise") != NULL;
    self->correlation++;
    put_call(self->trace, tid, (span){at, at + 5000},
             is_of_optimizer ? self->of->call : "cudaLaunchKernel", self->correlation);
    put_kernel(self->trace, stream_7, (span){at + 10000, at + 10000 + length}, name,
               self->correlation);
}

static void backward(recorder *self, ps_ns base, int i)
{
    static const char *const wide[2] = {"[[1024,100]];[\"float\"]", "[[1024,200]];[\"float\"]"};
    static const char *const narrow[2] = {"[[1024,200]];[\"c10::BFloat16\"]",
                                          "[[1024,400]];[\"c10::BFloat16\"]"};
    const char *const *shapes = self->of->is_narrow ? narrow : wide;
    const ps_ns at = base + 1100000 * (i + 1);
    ps_error err = {0};
    put_range(self->trace, BACKWARD_THREAD, (span){at - 2000, at + 6000}, PS_RANGE_OPERATOR,
              "autograd::engine::evaluate_function: MmBackward0");
    self->held[i] = request(self, BACKWARD_THREAD, at - 1000, size_of[i]);
    launch(self, BACKWARD_THREAD, at, 1000000, i == 0 ? "backward 0" : "backward 1");
    put_range(self->trace, BACKWARD_THREAD, (span){at + 6000, at + 8000}, PS_RANGE_OPERATOR,
              "torch::autograd::AccumulateGrad");
    assert_ok(&err, ps_strings_put_z(self->trace->strings, shapes[i],
                                     &self->trace->range.shapes[self->trace->range.head.count - 1],
                                     &err));
}

static void optimizer(recorder *self, ps_ns base, int step)
{
    const scene *of = self->of;
    const char *kernel =
        of->kernel != NULL ? of->kernel : "PointwiseOpListFunctor<float>, std::divides<float>";
    if (!of->lacks_range) {
        put_range(self->trace, MAIN_THREAD,
                  (span){base + (of->closes_over ? 1000000 : 3300000), base + 3900000},
                  PS_RANGE_ANNOTATION, of->range != NULL ? of->range : "Optimizer.step#AdamW.step");
    }
    for (int i = 0; i < 4 && of->makes_states && step == 0; i++) {
        (void)request(self, MAIN_THREAD, base + 3310000 + i, size_of[i % 2]);
    }
    const uint64_t own = request(self, MAIN_THREAD, base + 3350000, ALL_BYTES);
    launch(self, MAIN_THREAD, base + 3400000, 40000, kernel);
    launch(self, MAIN_THREAD, base + 3500000, 40000, kernel);
    change_live(self, MAIN_THREAD, base + 3800000, ALL_BYTES, own, false);
}

static void step(recorder *self, int number)
{
    const ps_ns base = (ps_ns)number * STEP_NS;
    put_step(self->trace, (span){base, base + STEP_NS - 1000}, (unsigned)number);
    for (int i = 0; i < 2 && self->held[i] != 0; i++) {
        change_live(self, MAIN_THREAD, base + 2000 + i, size_of[i], self->held[i], false);
        self->held[i] = 0;
    }
    launch(self, MAIN_THREAD, base + 10000, 1000000, "forward");
    for (int i = 0; i < 2 && !(self->of->lacks_gradients && number == 0); i++) {
        backward(self, base, i);
    }
    if (self->of->clips) {
        launch(self, MAIN_THREAD, base + 3220000, 20000, "clip");
    }
    if (self->of->communicates != NULL) {
        ps_error err = {0};
        self->correlation++;
        put_call(self->trace, MAIN_THREAD, (span){base + 3250000, base + 3255000},
                 "cudaLaunchKernel", self->correlation);
        put_collective(self->trace, stream_9, (span){base + 3256000, base + EXCHANGED_NS},
                       self->correlation);
        ps_collective_table *table = &self->trace->collective;
        assert_ok(&err, ps_strings_put_z(self->trace->strings, self->of->communicates,
                                         &table->kind[table->head.count - 1], &err));
    }
    optimizer(self, base, number);
}

/* Two for each parameter, as a checkpoint brings them, and a call beside them. */
static void make_states(recorder *self)
{
    ps_error err = {0};
    put_call(self->trace, MAIN_THREAD, (span){-900000, -890000}, "cudaMalloc", 0);
    for (int i = 0; i < 4; i++) {
        (void)request(self, MAIN_THREAD, -895000 + i, size_of[i % 2]);
        assert_ok(&err, ps_strings_put_z(
                            self->trace->strings, "torch/optim/optimizer.py:880 load_state_dict",
                            &self->trace->memory.stack[self->trace->memory.head.count - 1], &err));
    }
}

ps_trace *record(const scene *of)
{
    recorder self = {
        .trace = trace_new(), .of = of, .live = of->resident != 0 ? of->resident : RESIDENT};
    if (of->has_states) {
        make_states(&self);
    }
    for (int i = 0; i < STEPS; i++) {
        step(&self, i);
    }
    return self.trace;
}

/* ---- a recording and what becomes of it ---- */

job load(ps_trace *trace)
{
    ps_error err = {0};
    job self = {.trace = trace};
    assert_ok(&err, ps_lower_trace(trace, &self.recorded, &err));
    assert_ok(&err, ps_lower_trace(trace, &self.changed, &err));
    assert_ok(&err, ps_structure_recover(trace, self.recorded, NULL, &self.structure, &err));
    ps_structure_label_plan(&self.structure, 0, self.recorded);
    ps_structure_label_plan(&self.structure, 0, self.changed);
    assert_ok(&err, ps_catalogue_create(&self.catalogue, &err));
    return self;
}

job committed(void)
{
    ps_error err = {0};
    ps_trace *trace;
    assert_ok(&err, ps_trace_read(COMMITTED, &trace, NULL, &err));
    return load(trace);
}

job imported(const char *path)
{
    ps_error err = {0};
    ps_trace *trace;
    ps_trace_builder *builder;
    assert_ok(&err, ps_trace_builder_open_memory(&builder, &err));
    assert_ok(&err, ps_import_file(path, NULL, builder, NULL, &err));
    assert_ok(&err, ps_trace_builder_take(builder, &trace, &err));
    return load(trace);
}

ps_code change(job *self, bool optimizer, bool activations, ps_error *err)
{
    const ps_offload offload = {.activations = activations,
                                .optimizer = optimizer,
                                .delayed = optimizer && self->delayed,
                                .ranks = self->ranks,
                                .network = &network,
                                .trace = self->trace,
                                .structure = &self->structure};
    const ps_whatif what = {.offload = &offload}, nothing = {0};
    assert_ok(err, ps_whatif_apply(self->recorded, self->catalogue, &nothing, err));
    return ps_whatif_apply(self->changed, self->catalogue, &what, err);
}

void fini(job *self)
{
    ps_catalogue_destroy(self->catalogue);
    ps_structure_fini(&self->structure);
    ps_plan_destroy(self->recorded);
    ps_plan_destroy(self->changed);
    ps_trace_destroy(self->trace);
}

const char *fact(const ps_plan *plan)
{
    const char *text = ps_plan_meta(plan, PS_PLAN_META_OFFLOAD_OPTIMIZER);
    assert_non_null(text);
    return text;
}

play play_plan(ps_plan *plan)
{
    play self = {.plan = plan};
    self.start = calloc(plan->task.head.count, sizeof *self.start);
    self.end = calloc(plan->task.head.count, sizeof *self.end);
    assert_non_null(self.start);
    assert_non_null(self.end);
    play_again(&self);
    return self;
}

void play_over(play *self)
{
    free(self->start);
    free(self->end);
}
