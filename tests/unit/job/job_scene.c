/* SPDX-License-Identifier: MIT
 */
#include "job_scene.h"

#include "base/memory.h"
#include "cluster/catalogue.h"

/* ---- the network: ports out, ports in, nodes out, nodes in ---- */

static uint32_t node_count(const scene_network *self)
{
    return (self->ranks + self->ranks_per_node - 1) / self->ranks_per_node;
}

static const char *link_name(const void *context, uint32_t link)
{
    const scene_network *self = context;
    return link < 2 * self->ranks ? "port" : "node";
}

static uint64_t link_rate(const void *context, uint32_t link)
{
    const scene_network *self = context;
    return link < 2 * self->ranks ? self->port_bytes_per_s : self->node_bytes_per_s;
}

static bool is_in(const scene_network *self, const ps_exchange *what, uint32_t node)
{
    for (size_t i = 0; i < what->rank_count; i++) {
        if (what->rank[i] / self->ranks_per_node == node) {
            return true;
        }
    }
    return false;
}

static uint32_t nodes_of(const scene_network *self, const uint32_t *rank, size_t count)
{
    const ps_exchange what = {.rank = rank, .rank_count = count};
    uint32_t nodes = 0;
    for (uint32_t node = 0; node < node_count(self); node++) {
        nodes += is_in(self, &what, node) ? 1 : 0;
    }
    return nodes;
}

static ps_code add_link(ps_network_path *path, uint32_t link, ps_error *err)
{
    PS_TRY(ps_grow((void **)&path->link, &path->capacity, path->count + 1, 4096, sizeof *path->link,
                   err));
    path->link[path->count++] = link;
    return PS_OK;
}

static ps_code path(void *context, const ps_exchange *what, ps_network_path *out, ps_error *err)
{
    const scene_network *self = context;
    const bool is_message = what->op == PS_COLLECTIVE_SEND;
    const uint32_t nodes = node_count(self), all = 2 * self->ranks;
    out->count = 0;
    for (size_t i = 0; i < what->rank_count; i++) {
        if (!is_message || i == 0) {
            PS_TRY(add_link(out, what->rank[i], err));
        }
        if (!is_message || i == 1) {
            PS_TRY(add_link(out, self->ranks + what->rank[i], err));
        }
    }
    for (uint32_t node = 0; nodes_of(self, what->rank, what->rank_count) > 1 && node < nodes;
         node++) {
        const bool sends =
            is_message ? what->rank[0] / self->ranks_per_node == node : is_in(self, what, node);
        const bool takes =
            is_message ? what->rank[1] / self->ranks_per_node == node : is_in(self, what, node);
        if (sends) {
            PS_TRY(add_link(out, all + node, err));
        }
        if (takes) {
            PS_TRY(add_link(out, all + nodes + node, err));
        }
    }
    return PS_OK;
}

static uint32_t shape(void *context, const uint32_t *rank, size_t count)
{
    return (uint32_t)count << 16 | nodes_of(context, rank, count);
}

static ps_code cost(void *context, const ps_exchange *what, ps_exchange_cost *out, ps_error *err)
{
    const scene_network *self = context;
    const bool crosses = nodes_of(self, what->rank, what->rank_count) > 1;
    (void)err;
    *out = (ps_exchange_cost){
        .latency_ns = 1000 * (ps_ns)what->rank_count,
        .wire_bytes = what->bytes,
        .rate_bytes_per_s = crosses && self->node_bytes_per_s < self->port_bytes_per_s
                                ? self->node_bytes_per_s
                                : self->port_bytes_per_s,
        .basis = PS_BASIS_ANALYTIC,
    };
    return PS_OK;
}

ps_network scene_network_of(scene_network *self)
{
    return (ps_network){.context = self,
                        .link_count = 2 * self->ranks + 2 * node_count(self),
                        .link_name = link_name,
                        .link_bytes_per_s = link_rate,
                        .path = path,
                        .shape = shape,
                        .cost = cost};
}

/* ---- workloads ---- */

static size_t add_op(ps_workload *w, ps_op_kind kind, uint8_t lane, const char *name)
{
    size_t row;
    ps_error err = {0};
    assert_ok(&err, ps_workload_add(w, PS_WORKLOAD_OP, &row, &err));
    assert_ok(&err, ps_strings_put_z(w->strings, name, &w->op.name[row], &err));
    w->op.kind[row] = (uint8_t)kind;
    w->op.lane[row] = lane;
    w->op.launches[row] = 1;
    w->op.basis[row] = (uint8_t)PS_BASIS_MEASURED;
    assert_ok(&err, ps_workload_add_event(w, PS_WORKLOAD_EVENT_OP, (uint32_t)row, &err));
    return row;
}

void scene_join(ps_workload *w, uint8_t lane, uint8_t awaited)
{
    const size_t row = add_op(w, PS_OP_JOIN, lane, "wait");
    w->op.awaited[row] = awaited;
}

void scene_copy(ps_workload *w, const scene_copy_of *what)
{
    const size_t row = add_op(w, PS_OP_COPY, what->lane, "copy");
    w->op.copy_kind[row] = (uint8_t)what->kind;
    w->op.memory[row] = (uint8_t)what->memory;
    w->op.moved_bytes[row] = what->bytes;
    w->op.mark[row] = what->mark;
    w->op.is_blocking[row] = what->is_blocking;
}

void scene_cpu(ps_workload *w, uint8_t lane, uint64_t bytes, uint32_t mark)
{
    const size_t row = add_op(w, PS_OP_CPU, lane, "host work");
    w->op.moved_bytes[row] = bytes;
    w->op.mark[row] = mark;
}

void scene_join_mark(ps_workload *w, uint8_t lane, uint32_t mark)
{
    const size_t row = add_op(w, PS_OP_JOIN, lane, "wait");
    w->op.mark[row] = mark;
}

void scene_wait_mark(ps_workload *w, uint32_t mark)
{
    const size_t row = add_op(w, PS_OP_HOST, PS_WORKLOAD_MAIN, "synchronize");
    w->op.mark[row] = mark;
}

uint32_t scene_host_tensor(ps_workload *w, ps_memory_kind memory, uint64_t bytes)
{
    scene_tensor(w, bytes);
    const size_t row = w->tensor.head.count - 1;
    w->tensor.memory[row] = (uint8_t)memory;
    return (uint32_t)row;
}

void scene_free(ps_workload *w, uint32_t tensor)
{
    ps_error err = {0};
    assert_ok(&err, ps_workload_add_event(w, PS_WORKLOAD_EVENT_FREE, tensor, &err));
}

ps_workload *scene_workload(scene *self, const uint32_t *size, const uint32_t *place,
                            size_t axis_count)
{
    ps_error err = {0};
    ps_workload *w = ps_workload_create();
    assert_non_null(w);
    for (size_t i = 0; i < axis_count; i++) {
        size_t row;
        assert_ok(&err, ps_workload_add(w, PS_WORKLOAD_AXIS, &row, &err));
        w->axis.size[row] = size[i];
        w->axis.place[row] = place == NULL ? PS_WORKLOAD_ANYWHERE : place[i];
    }
    self->workload[self->workload_count++] = w;
    return w;
}

void scene_kernel(ps_workload *w, ps_ns dur_ns)
{
    const size_t row = add_op(w, PS_OP_MEMORY, PS_WORKLOAD_MAIN, "kernel");
    w->op.dur_ns[row] = dur_ns;
}

void scene_memory(ps_workload *w, ps_access access, uint64_t bytes)
{
    const size_t row = add_op(w, PS_OP_MEMORY, PS_WORKLOAD_MAIN, "kernel");
    w->op.dtype[row] = (uint8_t)PS_ELEMENT_BF16;
    w->op.moved_bytes[row] = bytes;
    w->op.access[row] = (uint8_t)access;
}

void scene_collective(ps_workload *w, ps_collective_op op, uint32_t axes, uint8_t lane,
                      uint64_t bytes, bool is_waited_for)
{
    scene_join(w, lane, PS_WORKLOAD_MAIN);
    const size_t row = add_op(w, PS_OP_COLLECTIVE, lane, "collective");
    w->op.collective[row] = (uint8_t)op;
    w->op.axes[row] = axes;
    w->op.moved_bytes[row] = bytes;
    if (is_waited_for) {
        scene_join(w, PS_WORKLOAD_MAIN, lane);
    }
}

void scene_message(ps_workload *w, ps_collective_op op, uint32_t axis, uint32_t peer, uint8_t lane,
                   uint64_t bytes)
{
    scene_join(w, lane, PS_WORKLOAD_MAIN);
    const size_t row = add_op(w, PS_OP_COLLECTIVE, lane, "message");
    w->op.collective[row] = (uint8_t)op;
    w->op.axes[row] = UINT32_C(1) << axis;
    w->op.peer[row] = peer;
    w->op.moved_bytes[row] = bytes;
    scene_join(w, PS_WORKLOAD_MAIN, lane);
}

void scene_tensor(ps_workload *w, uint64_t bytes)
{
    size_t row;
    ps_error err = {0};
    assert_ok(&err, ps_workload_add(w, PS_WORKLOAD_TENSOR, &row, &err));
    w->tensor.bytes[row] = bytes;
    assert_ok(&err, ps_workload_add_event(w, PS_WORKLOAD_EVENT_ALLOC, (uint32_t)row, &err));
}

void scene_begin_step(ps_workload *w)
{
    size_t row;
    ps_error err = {0};
    const uint32_t now = (uint32_t)w->event.head.count;
    if (w->step.head.count > 0) {
        w->step.end_event[w->step.head.count - 1] = now;
    }
    assert_ok(&err, ps_workload_add(w, PS_WORKLOAD_STEP, &row, &err));
    w->step.begin_event[row] = now;
    w->step.end_event[row] = now;
}

void scene_end_steps(ps_workload *w)
{
    if (w->step.head.count > 0) {
        w->step.end_event[w->step.head.count - 1] = (uint32_t)w->event.head.count;
    }
}

/* ---- lowering ---- */

ps_plan *scene_lower(scene *self, bool folds, ps_code *code, ps_error *err)
{
    ps_catalogue *catalogue;
    ps_hardware_id host_id;
    ps_cost_model *model;
    ps_cost_host host;
    ps_plan *plan = NULL;
    const ps_network network = scene_network_of(&self->network);
    assert_ok(err, ps_catalogue_create(&catalogue, err));
    ps_job_target to = {.catalogue = catalogue, .host = &host, .network = &network, .folds = folds};
    assert_ok(err, ps_catalogue_find(catalogue, PS_HARDWARE_GPU, "RTX-3090", &to.gpu, err));
    assert_ok(err, ps_catalogue_find(catalogue, PS_HARDWARE_HOST, "host-server", &host_id, err));
    assert_ok(err, ps_cost_host_read(catalogue, host_id, &host, err));
    assert_int_equal(host.late_ns, 0);
    host.late_ns = self->late_ns;
    assert_ok(err, ps_cost_create(catalogue, to.gpu, NULL, &model, err));
    to.cost = model;
    for (size_t i = 0; i < self->workload_count; i++) {
        scene_end_steps(self->workload[i]);
        assert_ok(err, ps_workload_check(self->workload[i], err));
    }
    const ps_job job = {.workload = (const ps_workload *const *)self->workload,
                        .workload_count = self->workload_count,
                        .workload_of = self->workload_of,
                        .speed_permille = self->has_speeds ? self->speed_permille : NULL};
    *code = ps_job_lower(&job, &to, &plan, err);
    ps_cost_destroy(model);
    ps_catalogue_destroy(catalogue);
    return *code == PS_OK ? plan : NULL;
}

void scene_fini(scene *self)
{
    for (size_t i = 0; i < self->workload_count; i++) {
        ps_workload_destroy(self->workload[i]);
    }
}
