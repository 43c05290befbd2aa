/* SPDX-License-Identifier: MIT
 */
#include "offload_scene.h"

#include <stdlib.h>

#include "base/memory.h"
#include "cluster/catalogue.h"
#include "support/eager_sinks.h"

/* ---- a host ---- */

static const char *link_name(const void *context, uint32_t link)
{
    static const char *const names[LINKS] = {"down", "up", "memory"};
    (void)context;
    return names[link];
}

static uint64_t link_rate(const void *context, uint32_t link)
{
    return ((const toy *)context)->bytes_per_s[link];
}

static ps_code host(void *context, uint32_t rank, ps_network_host *out, ps_error *err)
{
    const toy *self = context;
    (void)rank;
    (void)err;
    *out = (ps_network_host){.node_bytes = UINT64_C(1) << 40};
    for (int i = 0; i < PS_HOST_TRAFFIC_COUNT; i++) {
        const bool is_up = i == PS_HOST_OFFLOAD || i == PS_HOST_STAGED_OFFLOAD;
        out->rate_bytes_per_s[i] = self->bytes_per_s[i == PS_HOST_COMPUTE ? MEMORY
                                                     : is_up              ? UP
                                                                          : DOWN];
        out->basis[i] = PS_BASIS_ANALYTIC;
    }
    return PS_OK;
}

static ps_code host_path(void *context, uint32_t rank, ps_host_traffic traffic,
                         ps_network_path *out, ps_error *err)
{
    const bool is_up = traffic == PS_HOST_OFFLOAD || traffic == PS_HOST_STAGED_OFFLOAD;
    (void)context;
    (void)rank;
    PS_TRY(ps_grow((void **)&out->link, &out->capacity, 1, LINKS, sizeof *out->link, err));
    out->link[0] = traffic == PS_HOST_COMPUTE ? MEMORY : is_up ? UP : DOWN;
    out->count = 1;
    return PS_OK;
}

/* ---- a run ---- */

ps_recipe recipe_of(ps_train_policy policy)
{
    ps_recipe r = ps_recipe_default();
    r.batch = 1;
    r.length = TOKENS;
    r.steps = STEPS;
    r.parameters = PS_DTYPE_BF16;
    r.policy = policy;
    r.offload.lsp.compress_size = 16;
    r.offload.lsp.nnz = 2;
    r.optimizer = policy == PS_TRAIN_POLICY_LSP ? "none" : "adamw";
    r.has_no_cache = true;
    return r;
}

static ps_model_config *config_of(ps_error *err)
{
    char text[512];
    ps_model_config *config = NULL;
    (void)snprintf(text, sizeof text,
                   "{\"model_type\":\"llama\",\"hidden_size\":%d,\"intermediate_size\":%d,"
                   "\"num_hidden_layers\":%d,\"num_attention_heads\":2,\"vocab_size\":16,"
                   "\"max_position_embeddings\":64,\"tie_word_embeddings\":false}",
                   HIDDEN, INNER, LAYERS);
    assert_ok(err, ps_model_config_read_memory("small", text, strlen(text), &config, err));
    return config;
}

ps_workload *build(const ps_recipe *recipe)
{
    ps_error err = {0};
    ps_workload *out = NULL;
    ps_model_config *config = config_of(&err);
    const ps_build what = {.name = "small",
                           .config = config,
                           .recipe = recipe,
                           .device = {.sm_count = 4, .threads_per_sm = 1024}};
    assert_ok(&err, ps_build_workload(&what, &out, &err));
    ps_model_config_destroy(config);
    assert_ok(&err, ps_workload_check(out, &err));
    return out;
}

static bool is_kernel(uint8_t kind)
{
    return kind == PS_OP_MEMORY || kind == PS_OP_MATMUL || kind == PS_OP_ATTENTION;
}

static ps_plan *lower(const ps_workload *w, const toy *machine)
{
    toy borrowed = *machine;
    ps_error err = {0};
    ps_catalogue *catalogue;
    ps_hardware_id host_id;
    ps_cost_model *cost;
    ps_cost_host launches;
    ps_plan *plan = NULL;
    const ps_network network = {.context = &borrowed,
                                .link_count = LINKS,
                                .link_name = link_name,
                                .link_bytes_per_s = link_rate,
                                .host = host,
                                .host_path = host_path};
    assert_ok(&err, ps_catalogue_create(&catalogue, &err));
    ps_job_target to = {.catalogue = catalogue, .host = &launches, .network = &network};
    assert_ok(&err, ps_catalogue_find(catalogue, PS_HARDWARE_GPU, "RTX-3090", &to.gpu, &err));
    assert_ok(&err, ps_catalogue_find(catalogue, PS_HARDWARE_HOST, "host-server", &host_id, &err));
    assert_ok(&err, ps_cost_host_read(catalogue, host_id, &launches, &err));
    assert_ok(&err, ps_cost_create(catalogue, to.gpu, NULL, &cost, &err));
    to.cost = cost;
    assert_ok(&err, ps_job_lower_one(w, &to, &plan, &err));
    ps_cost_destroy(cost);
    ps_catalogue_destroy(catalogue);
    return plan;
}

scene run(const ps_recipe *recipe, const toy *machine)
{
    ps_error err = {0};
    scene s = {.workload = build(recipe)};
    for (size_t i = 0; i < s.workload->op.head.count; i++) {
        if (is_kernel(s.workload->op.kind[i])) {
            s.workload->op.dur_ns[i] = MS;
            s.workload->op.basis[i] = PS_BASIS_MEASURED;
        }
    }
    s.plan = lower(s.workload, machine);
    assert_ok(&err, ps_plan_check(s.plan, &err));
    assert_ok(&err, ps__run_times(s.plan, NULL, &s.times, &err));
    return s;
}

void end(scene *s)
{
    ps_free(s->times.start_ns);
    ps_free(s->times.end_ns);
    ps_plan_destroy(s->plan);
    ps_workload_destroy(s->workload);
}

/* ---- sums ---- */

bool is_named(const scene *s, size_t task, const char *name)
{
    return strcmp(ps_strings_text(s->plan->strings, s->plan->task.name[task]), name) == 0;
}

static ps_ns moving(const scene *s, size_t task)
{
    const ps_plan_task_table *t = &s->plan->task;
    return t->dur_ns[task] + (ps_ns)(t->bytes[task] * 1000000000u / t->rate_bytes_per_s[task]);
}

sums sum_step(const scene *s, size_t step)
{
    const ps_plan_task_table *t = &s->plan->task;
    sums out = {0};
    const uint32_t begin = s->plan->step.begin_task[step], after = s->plan->step.end_task[step];
    out.step = s->times.start_ns[after] - s->times.start_ns[begin];
    for (size_t i = begin; i < after; i++) {
        if (t->kind[i] == PS_TASK_KERNEL) {
            *(t->phase[i] == PS_PHASE_FORWARD ? &out.forward : &out.backward) += t->dur_ns[i];
        } else if (t->kind[i] == PS_TASK_CPU) {
            out.host += moving(s, i);
        } else if (t->kind[i] == PS_TASK_MEMCPY && is_named(s, i, "upload")) {
            out.down += moving(s, i);
        } else if (t->kind[i] == PS_TASK_MEMCPY && is_named(s, i, "offload")) {
            out.up += moving(s, i);
        }
    }
    return out;
}

ps_ns larger(ps_ns a, ps_ns b)
{
    return a > b ? a : b;
}

void assert_about(ps_ns got, ps_ns expected)
{
    if (llabs(got - expected) > expected / 25) {
        fail_msg("%lld ns, expected about %lld", (long long)got, (long long)expected);
    }
}

/* Links and host memory of which each is the slowest once. */
const toy machines[MACHINES] = {
    {{20 * MB, 20 * MB, 400 * MB}},
    {{MB / 2, MB / 2, 400 * MB}},
    {{20 * MB, 20 * MB, 4 * MB}},
};

uint64_t bytes_in(const ps_workload *w, ps_memory_kind memory)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < w->tensor.head.count; i++) {
        bytes += w->tensor.memory[i] == (uint8_t)memory ? w->tensor.bytes[i] : 0;
    }
    return bytes;
}

ps_hazards hazards_of(const scene *s)
{
    ps_error err = {0};
    ps_hazards found;
    assert_ok(&err, ps_plan_hazards(s->plan, &found, &err));
    return found;
}

/* ---- what cannot be ---- */

void assert_refused(const ps_recipe *recipe, const char *beginning)
{
    ps_error err = {0};
    ps_workload *out = NULL;
    ps_model_config *config = config_of(&err);
    const ps_build what = {.name = "small", .config = config, .recipe = recipe};
    assert_int_equal(ps_build_workload(&what, &out, &err), PS_USAGE);
    assert_memory_equal(err.message, beginning, strlen(beginning));
    ps_model_config_destroy(config);
}

/* ---- a sink that fails ---- */

static ps_code train(const void *recipe, const ps_eager_sink *sink, ps_error *err)
{
    ps_model_config *config = config_of(err);
    const ps_training training = {.family = ps_family_find("llama"),
                                  .config = config,
                                  .recipe = recipe,
                                  .device = {.sm_count = 4, .threads_per_sm = 1024},
                                  .sink = *sink};
    const ps_code code = ps_train(&training, err);
    ps_model_config_destroy(config);
    return code;
}

void assert_every_failure_ends_the_run(const ps_recipe *recipe)
{
    assert_every_failure_ends(train, recipe, 7);
}
