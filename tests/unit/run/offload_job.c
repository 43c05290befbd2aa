/* SPDX-License-Identifier: MIT
 *
 * Recordings whose tensors go to the host, for tests.
 */
#include "offload_job.h"

#include <string.h>

#include "host_network.h"
#include "layer_job.h"
#include "lower/lower.h"
#include "plan/hazards.h"
#include "policy/whatif.h"
#include "trace/file.h"

/* ---- a recording and what becomes of it ---- */

job loaded(ps_trace *trace)
{
    ps_error err = {0};
    job self = {.trace = trace, .rate = RATE_BYTES_PER_S};
    assert_ok(&err, ps_trace_sort(trace, &err));
    assert_ok(&err, ps_lower_trace(self.trace, &self.recorded, &err));
    assert_ok(&err, ps_lower_trace(self.trace, &self.changed, &err));
    assert_ok(&err, ps_structure_recover(self.trace, self.recorded, NULL, &self.structure, &err));
    assert_ok(&err, ps_catalogue_create(&self.catalogue, &err));
    return self;
}

job committed(const char *name)
{
    char path[1024];
    ps_error err = {0};
    ps_trace *trace;
    (void)snprintf(path, sizeof path, MODELS "%s.pstrace", name);
    assert_ok(&err, ps_trace_read(path, &trace, NULL, &err));
    return loaded(trace);
}

ps_code change_as(job *self, ps_offload offload, ps_error *err)
{
    const ps_network network = host_network(&self->rate);
    const ps_whatif nothing = {0};
    offload.network = &network;
    offload.trace = self->trace;
    offload.structure = &self->structure;
    const ps_whatif what = {.offload = &offload};
    assert_ok(err, ps_whatif_apply(self->recorded, self->catalogue, &nothing, err));
    return ps_whatif_apply(self->changed, self->catalogue, &what, err);
}

ps_code change(job *self, ps_error *err)
{
    return change_as(self, (ps_offload){.parameters = true, .prefetch = 1}, err);
}

void fini(job *self)
{
    ps_catalogue_destroy(self->catalogue);
    ps_structure_fini(&self->structure);
    ps_plan_destroy(self->recorded);
    ps_plan_destroy(self->changed);
    ps_trace_destroy(self->trace);
}

/* [bytes] of the copies one way. */
uint64_t copied_bytes(const ps_plan *plan, ps_copy_kind kind)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < plan->task.head.count; i++) {
        bytes += is_new(plan, i) && plan->task.copy_kind[i] == kind ? plan->task.bytes[i] : 0;
    }
    return bytes;
}

/* [ns] of copying a block's two parameters. */
ps_ns block_ns(const job *self)
{
    ps_hardware_id gpu;
    ps_figure copy;
    ps_error err = {0};
    assert_ok(&err,
              ps_catalogue_find(self->catalogue, PS_HARDWARE_FAMILY, "family-gpu", &gpu, &err));
    assert_ok(&err, ps_catalogue_need(self->catalogue, gpu, PS_FIGURE_COPY_LATENCY, &copy, &err));
    return 2 * (ps_ns)copy.value + (ps_ns)LAYER_BYTES;
}

/* [ns] from the end of the embedding to the end of the last task of a name. */
ps_ns ran_ns(ps_plan *plan, const char *name, unsigned nth)
{
    play of = {.plan = plan,
               .start = calloc(plan->task.head.count, sizeof *of.start),
               .end = calloc(plan->task.head.count, sizeof *of.end)};
    assert_true(of.start != NULL && of.end != NULL);
    play_again(&of);
    const ps_ns out =
        of.end[task_named(plan, name, nth)] - of.end[task_named(plan, "embedding", 0)];
    free(of.start);
    free(of.end);
    return out;
}

/* ---- what was recorded stays ---- */

/* Requests of what does not move, in their order and at their moments. */
void assert_recorded_requests(const ps_plan *a, const ps_plan *b)
{
    size_t at = 0;
    for (size_t i = 0; i < b->memop.head.count; i++) {
        if (is_new(b, b->memop.task[i])) {
            continue;
        }
        while (at < a->memop.head.count &&
               (a->memop.op[at] == PS_MEMOP_PLACE || a->memop.op[at] == PS_MEMOP_PLACE_PAGES)) {
            at++; /* recorded addresses hold no longer */
        }
        assert_true(at < a->memop.head.count);
        assert_int_equal(a->memop.op[at], b->memop.op[i]);
        assert_int_equal(a->memop.buffer[at], b->memop.buffer[i]);
        assert_int_equal(a->memop.offset_ns[at], b->memop.offset_ns[i]);
        assert_int_equal(a->buffer.bytes[a->memop.buffer[at]], b->buffer.bytes[b->memop.buffer[i]]);
        at++;
    }
}

/* The first wait between lanes that can be dropped without harm, or NO_ROW. */
size_t needless_wait(ps_plan *plan)
{
    for (size_t i = 0; i < plan->dep.head.count; i++) {
        const uint32_t task = plan->dep.task[i], before = plan->dep.before[i];
        ps_hazards found;
        ps_error err = {0};
        if (plan->dep.kind[i] != PS_DEP_START_AFTER_END || plan->dep.origin[i] != PS_DEP_RULE ||
            plan->task.lane[task] == plan->task.lane[before] ||
            plan->lane.kind[plan->task.lane[task]] == PS_LANE_HOST || /* goes on behind new calls */
            (!is_new(plan, task) && !is_new(plan, before))) {
            continue;
        }
        plan->dep.kind[i] = PS_DEP_END_AFTER_START; /* which says nothing of data */
        assert_ok(&err, ps_plan_hazards(plan, &found, &err));
        plan->dep.kind[i] = PS_DEP_START_AFTER_END;
        if (found.total == 0) {
            print_message("task %u \"%s\" waits for task %u \"%s\" and need not\n", task,
                          ps_strings_text(plan->strings, plan->task.name[task]), before,
                          ps_strings_text(plan->strings, plan->task.name[before]));
            return i;
        }
    }
    return NO_ROW;
}

uint64_t peak_live_bytes(const ps_plan *plan, uint64_t *host)
{
    ps_result result = run_plan(plan);
    const uint64_t out = result.device[0].peak_live_bytes;
    *host = result.device[0].host.peak_pinned_bytes;
    ps_result_fini(&result);
    return out;
}
