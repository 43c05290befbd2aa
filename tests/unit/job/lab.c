/* SPDX-License-Identifier: MIT
 */
#include "lab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "engine/engine.h"
#include "job/cluster_network.h"
#include "run/run.h"

#define NS_PER_S 1000000000u

const lab_machine lab_pair = {.gpus = 2,
                              .sockets = 1,
                              .gpus_per_switch = 2,
                              .pcie = 10,
                              .both_percent = 150,
                              .uplink = 10,
                              .memory = 60,
                              .cores = 8,
                              .core_stream = 4,
                              .pageable = 6,
                              .capacity_gib = 64};

/* ---- the machine ---- */

#define HEADER "quantity,value,unit,origin\n"

static ps_catalogue *catalogue_of(const lab_machine *m)
{
    ps_error err = {0};
    char text[2048];
    ps_catalogue *out = NULL;
    assert_ok(&err, ps_catalogue_create(&out, &err));
    (void)snprintf(text, sizeof text,
                   "device," HEADER "lab-card,class,gpu,,given: test\n"
                   "lab-card,like,RTX-3090,,given: test\n"
                   "lab-card,h2d,%u,GB/s,given: test\n"
                   "lab-card,d2h,%u,GB/s,given: test\n"
                   "lab-card,host-both-factor,%u.%02u,,given: test\n"
                   "lab-card,pageable,%u,GB/s,given: test\n"
                   "lab-uplink,class,link,,given: test\n"
                   "lab-uplink,bandwidth,%u,GB/s,given: test\n"
                   "lab-uplink,latency,1,us,given: test\n"
                   "lab-memory,class,memory,,given: test\n"
                   "lab-memory,stream-bandwidth,%u,GB/s,given: test\n",
                   m->pcie, m->pcie, m->both_percent / 100, m->both_percent % 100, m->pageable,
                   m->uplink, m->memory);
    assert_ok(&err, ps_catalogue_read_memory(out, "lab.csv", text, strlen(text), &err));
    return out;
}

static ps_cluster *cluster_of(const lab_machine *m, const ps_catalogue *catalogue, uint32_t ranks)
{
    ps_error err = {0};
    char text[2048];
    ps_cluster *out = NULL;
    (void)snprintf(text, sizeof text,
                   "node," HEADER "lab,gpu,lab-card,,given: test\n"
                   "lab,gpus,%u,,given: test\n"
                   "lab,sockets,%u,,given: test\n"
                   "lab,gpus-per-switch,%u,,given: test\n"
                   "lab,fabric,pcie,,given: test\n"
                   "lab,uplink,lab-uplink,,given: test\n"
                   "lab,host-memory,lab-memory,,given: test\n"
                   "lab,peer-access,yes,,given: test\n"
                   "lab,cpu,amd,,given: test\n"
                   "lab,collectives,pcie,,given: test\n"
                   "lab,nic,Ethernet-100,,given: test\n"
                   "lab,nics,1,,given: test\n"
                   "lab,cores,%u,,given: test\n"
                   "lab,core-stream,%u,GB/s,given: test\n"
                   "lab,host-capacity,%u,GiB,given: test\n",
                   m->gpus, m->sockets, m->gpus_per_switch, m->cores, m->core_stream,
                   m->capacity_gib);
    const ps_cluster_options options = {.csv = text, .csv_bytes = strlen(text)};
    assert_ok(&err, ps_cluster_create(catalogue, "lab", ranks, &options, &out, &err));
    return out;
}

/* ---- a run ---- */

static ps_plan *lower_on(const ps_job *job, ps_job_target *to, const ps_cluster *cluster)
{
    ps_error err = {0};
    ps_collective_model *collectives = NULL;
    ps_cluster_network *network = NULL;
    ps_plan *plan = NULL;
    assert_ok(&err, ps_collective_create(to->catalogue, cluster, NULL, &collectives, &err));
    assert_ok(&err, ps_cluster_network_create(cluster, collectives, &network, &err));
    to->network = ps_cluster_network_view(network);
    assert_ok(&err, ps_job_lower(job, to, &plan, &err));
    ps_cluster_network_destroy(network);
    ps_collective_destroy(collectives);
    return plan;
}

static ps_plan *lower(scene *self, const lab_machine *machine, bool folds)
{
    ps_error err = {0};
    ps_catalogue *catalogue = catalogue_of(machine);
    ps_hardware_id host_id;
    ps_cost_host host;
    ps_cost_model *model = NULL;
    ps_job_target to = {.catalogue = catalogue, .host = &host, .folds = folds};
    const ps_job job = {.workload = (const ps_workload *const *)self->workload,
                        .workload_count = self->workload_count,
                        .workload_of = self->workload_of,
                        .speed_permille = self->has_speeds ? self->speed_permille : NULL};
    assert_ok(&err, ps_catalogue_find(catalogue, PS_HARDWARE_GPU, "lab-card", &to.gpu, &err));
    assert_ok(&err, ps_catalogue_find(catalogue, PS_HARDWARE_HOST, "host-server", &host_id, &err));
    assert_ok(&err, ps_cost_host_read(catalogue, host_id, &host, &err));
    assert_ok(&err, ps_cost_create(catalogue, to.gpu, NULL, &model, &err));
    to.cost = model;
    ps_cluster *cluster = cluster_of(machine, catalogue, self->network.ranks);
    for (size_t i = 0; i < self->workload_count; i++) {
        scene_end_steps(self->workload[i]);
        assert_ok(&err, ps_workload_check(self->workload[i], &err));
    }
    ps_plan *plan = lower_on(&job, &to, cluster);
    ps_cluster_destroy(cluster);
    ps_cost_destroy(model);
    ps_catalogue_destroy(catalogue);
    return plan;
}

static void run_tasks(lab_run *self)
{
    const ps_plan *plan = self->plan;
    ps_error err = {0};
    const ps_engine_input input = {.lane_count = plan->lane.head.count,
                                   .task_count = plan->task.head.count,
                                   .lane = plan->task.lane,
                                   .gap_ns = plan->task.gap_ns,
                                   .dur_ns = plan->task.dur_ns,
                                   .bytes = plan->task.bytes,
                                   .rate_bytes_per_s = plan->task.rate_bytes_per_s,
                                   .dep_count = plan->dep.head.count,
                                   .dep_task = plan->dep.task,
                                   .dep_before = plan->dep.before,
                                   .dep_kind = plan->dep.kind,
                                   .dep_lag_ns = plan->dep.lag_ns,
                                   .link_count = plan->link.head.count,
                                   .link_bytes_per_s = plan->link.bytes_per_s,
                                   .transfer_count = plan->transfer.head.count,
                                   .transfer_task = plan->transfer.task,
                                   .transfer_link = plan->transfer.link};
    assert_ok(&err, ps_engine_run(&input, NULL, NULL, self->start_ns, self->end_ns, &err));
}

lab_run lab_simulate(scene *self, const lab_machine *machine, bool folds)
{
    lab_run run = {.plan = lower(self, machine, folds)};
    ps_error err = {0};
    run.start_ns = ps_calloc(run.plan->task.head.count + 1, sizeof *run.start_ns);
    run.end_ns = ps_calloc(run.plan->task.head.count + 1, sizeof *run.end_ns);
    assert_non_null(run.start_ns);
    assert_non_null(run.end_ns);
    assert_ok(&err, ps_run_plan(run.plan, &run.result, &err));
    run_tasks(&run);
    return run;
}

void lab_again(lab_run *self)
{
    ps_error err = {0};
    ps_result_fini(&self->result);
    assert_ok(&err, ps_plan_check(self->plan, &err));
    assert_ok(&err, ps_run_plan(self->plan, &self->result, &err));
    run_tasks(self);
}

void lab_end(lab_run *self)
{
    ps_result_fini(&self->result);
    ps_plan_destroy(self->plan);
    ps_free(self->start_ns);
    ps_free(self->end_ns);
}

/* ---- what ran ---- */

static bool ends_with(const char *text, const char *end)
{
    const size_t a = strlen(text), b = strlen(end);
    return a >= b && strcmp(text + a - b, end) == 0;
}

uint32_t lab_task(const lab_run *self, const char *lane, ps_task_kind kind, size_t nth)
{
    const ps_plan *plan = self->plan;
    for (uint32_t i = 0; i < plan->task.head.count; i++) {
        const char *name = ps_strings_text(plan->strings, plan->lane.name[plan->task.lane[i]]);
        if (plan->task.kind[i] == (uint8_t)kind && ends_with(name, lane) && nth-- == 0) {
            return i;
        }
    }
    fail_msg("no such task on a lane %s", lane);
    return 0;
}

ps_ns lab_moving(const lab_run *self, uint32_t task)
{
    return self->end_ns[task] - self->start_ns[task] - self->plan->task.dur_ns[task];
}

/* ---- capacity of links ---- */

typedef struct flow {
    int64_t begin_ns, end_ns;
    uint64_t bytes;
} flow;

static int by_end(const void *a, const void *b)
{
    const flow *x = a, *y = b;
    return (x->end_ns > y->end_ns) - (x->end_ns < y->end_ns);
}

static size_t flows_of(const lab_run *self, uint32_t link, flow *out)
{
    const ps_plan_transfer_table *transfer = &self->plan->transfer;
    size_t count = 0;
    for (size_t i = 0; i < transfer->head.count; i++) {
        const uint32_t task = transfer->task[i];
        if (transfer->link[i] == link) {
            out[count++] = (flow){self->start_ns[task] + self->plan->task.dur_ns[task],
                                  self->end_ns[task], self->plan->task.bytes[task]};
        }
    }
    qsort(out, count, sizeof *out, by_end);
    return count;
}

/* Of whatever lies between one begin and the ends after it, in their order. */
static void check_from(const flow *flows, size_t count, int64_t begin_ns, uint64_t rate,
                       uint64_t seed)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        if (flows[i].begin_ns < begin_ns) {
            continue;
        }
        bytes += flows[i].bytes;
        /* an end is rounded up to a nanosecond: no flow is early */
        const uint64_t room =
            ps_mul_div_u64(rate, (uint64_t)(flows[i].end_ns - begin_ns), NS_PER_S);
        if (bytes > room + i + 1) {
            fail_msg("seed %#llx: %llu bytes in %lld ns over a link of %llu bytes/s",
                     (unsigned long long)seed, (unsigned long long)bytes,
                     (long long)(flows[i].end_ns - begin_ns), (unsigned long long)rate);
        }
    }
}

void lab_check_links(const lab_run *self, uint64_t seed)
{
    flow *flows = ps_calloc(self->plan->transfer.head.count + 1, sizeof *flows);
    assert_non_null(flows);
    for (uint32_t link = 0; link < self->plan->link.head.count; link++) {
        const size_t count = flows_of(self, link, flows);
        for (size_t i = 0; i < count; i++) {
            check_from(flows, count, flows[i].begin_ns, self->plan->link.bytes_per_s[link], seed);
        }
    }
    ps_free(flows);
}
