/* SPDX-License-Identifier: MIT
 *
 * One run from plan to report: checks before anything is opened, the backend,
 * the memory that must fit, the executor, the measurements.
 */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "replay/session.h"

#define MAX_TIME_SCALE 1e6

/* [ns] a week: a plan that takes longer has a length nobody meant. */
#define MAX_LENGTH_NS ((ps_ns)7 * 24 * 3600 * 1000000000)

/* Divisors tried before the capacity guard gives up; each is a sixteenth larger. */
#define MAX_DIVISOR_TRIALS 256

void ps_replay_options_init(ps_replay_options *options)
{
    *options = (ps_replay_options){.time_scale = 1.0, .memory_scale = 1};
}

static ps_code check_options(const ps_replay_options *options, ps_error *err)
{
    if (!isfinite(options->time_scale) || options->time_scale < 0 ||
        options->time_scale > MAX_TIME_SCALE) {
        return ps_fail(err, PS_USAGE, "time scale %g, must be 0 to %g", options->time_scale,
                       MAX_TIME_SCALE);
    }
    if (options->memory_scale == 0) {
        return ps_fail(err, PS_USAGE, "memory scale 0, must be at least 1");
    }
    return PS_OK;
}

/* Real bytes a divisor asks for at once: of all devices together, or of the one that needs most. */
static ps_code forecast(const ps_replay_session *self, uint64_t memory_scale, uint64_t *peaks,
                        uint64_t *need, uint32_t *device, ps_error *err)
{
    const bool is_shared = (self->ops->capabilities & PS_BACKEND_SHARED_MEMORY) != 0;
    PS_TRY(ps_replay_ledger_forecast(self->plan, memory_scale, peaks, err));
    *need = 0;
    *device = 0;
    for (size_t d = 0; d < self->plan->device.head.count; d++) {
        if (is_shared) {
            *need = peaks[d] > UINT64_MAX - *need ? UINT64_MAX : *need + peaks[d];
        } else if (peaks[d] > *need) {
            *need = peaks[d];
            *device = (uint32_t)d;
        }
    }
    return PS_OK;
}

static ps_code refuse(const ps_replay_session *self, uint64_t need, uint64_t available,
                      uint64_t *peaks, ps_error *err)
{
    uint64_t divisor = self->options.memory_scale, wanted = need;
    uint32_t device;
    for (int i = 0; i < MAX_DIVISOR_TRIALS && wanted > available; i++) {
        /* the first trial is proportional; rounding of many buffers can ask for more */
        const uint64_t factor = i == 0 && available > 0 ? need / available : 0;
        const uint64_t step = factor > 0 && divisor <= UINT64_MAX / (factor + 1)
                                  ? divisor * factor - divisor + 1
                                  : divisor / 16 + 1;
        if (step > UINT64_MAX - divisor) {
            break;
        }
        divisor += step;
        PS_TRY(forecast(self, divisor, peaks, &wanted, &device, err));
    }
    if (wanted > available) {
        return ps_fail(err, PS_DEVICE_FULL,
                       "the plan takes %llu bytes at once, %llu are available; no memory scale "
                       "would make it fit",
                       (unsigned long long)need, (unsigned long long)available);
    }
    return ps_fail(err, PS_DEVICE_FULL,
                   "the plan takes %llu bytes at once, %llu are available; with a memory scale of "
                   "%llu it would fit",
                   (unsigned long long)need, (unsigned long long)available,
                   (unsigned long long)divisor);
}

static ps_code check_fit(const ps_replay_session *self, uint64_t *peaks, ps_error *err)
{
    uint64_t need, available = self->options.capacity_bytes;
    uint32_t device;
    PS_TRY(forecast(self, self->options.memory_scale, peaks, &need, &device, err));
    if (available == 0) {
        if (self->ops->available == NULL) {
            return PS_OK;
        }
        PS_TRY(self->ops->available(self->backend, device, &available, err));
    }
    return need <= available ? PS_OK : refuse(self, need, available, peaks, err);
}

static ps_code guard_memory(const ps_replay_session *self, ps_error *err)
{
    uint64_t *peaks = ps_calloc(self->plan->device.head.count, sizeof *peaks);
    const ps_code code = peaks == NULL ? ps_fail_nomem(err) : check_fit(self, peaks, err);
    ps_free(peaks);
    return code;
}

static ps_code init_report(ps_replay_session *self, ps_error *err)
{
    const ps_plan *plan = self->plan;
    ps_replay_report *report = self->report;
    ps_replay_log *log = &report->log;
    report->backend = self->ops->name;
    report->options = self->options;
    report->step_count = plan->step.head.count;
    report->device_count = plan->device.head.count;
    log->time_scale = self->options.time_scale;
    log->task_count = plan->task.head.count;
    log->memop_count = plan->memop.head.count;
    report->steps = ps_calloc(report->step_count, sizeof *report->steps);
    report->devices = ps_calloc(report->device_count, sizeof *report->devices);
    log->start_ns = ps_calloc(log->task_count, sizeof *log->start_ns);
    log->end_ns = ps_calloc(log->task_count, sizeof *log->end_ns);
    log->start_order = ps_calloc(log->task_count, sizeof *log->start_order);
    log->end_order = ps_calloc(log->task_count, sizeof *log->end_order);
    log->memop_ns = ps_calloc(log->memop_count, sizeof *log->memop_ns);
    log->memop_order = ps_calloc(log->memop_count, sizeof *log->memop_order);
    const bool is_complete = report->steps != NULL && report->devices != NULL &&
                             log->start_ns != NULL && log->end_ns != NULL &&
                             log->start_order != NULL && log->end_order != NULL &&
                             log->memop_ns != NULL && log->memop_order != NULL;
    return is_complete ? PS_OK : ps_fail_nomem(err);
}

static ps_code check_length(ps_replay_session *self, ps_error *err)
{
    ps_ns *planned = &self->report->planned_ns;
    PS_TRY(
        ps_replay_graph_length(&self->graph, self->plan, self->options.time_scale, planned, err));
    if ((self->ops->capabilities & PS_BACKEND_TIMED) != 0 && *planned > MAX_LENGTH_NS) {
        return ps_fail(err, PS_LIMIT, "the plan takes at least %lld s, a run at most %lld s",
                       (long long)(*planned / 1000000000), (long long)(MAX_LENGTH_NS / 1000000000));
    }
    return PS_OK;
}

/* Everything that can be refused before a device is touched. */
static ps_code prepare(ps_replay_session *self, ps_error *err)
{
    const ps_plan *plan = self->plan;
    PS_TRY(check_options(&self->options, err));
    PS_TRY(ps_backend_check(self->ops, err));
    PS_TRY(ps_plan_check(plan, err));
    PS_TRY(ps_replay_graph_init(&self->graph, plan, err));
    PS_TRY(ps_replay_graph_sort(&self->graph, plan, err));
    PS_TRY(init_report(self, err));
    PS_TRY(check_length(self, err));
    self->uses_links = ps_calloc(plan->task.head.count, sizeof *self->uses_links);
    if (self->uses_links == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < plan->transfer.head.count; i++) {
        const uint32_t task = plan->transfer.task[i];
        self->uses_links[task] = plan->task.bytes[task] > 0 ? 1 : 0;
    }
    return PS_OK;
}

static ps_code execute(ps_replay_session *self, ps_error *err)
{
    const ps_backend_setup setup = {.plan = self->plan, .stop = &self->stop};
    PS_TRY(self->ops->open(&setup, &self->backend, err));
    PS_TRY(guard_memory(self, err));
    PS_TRY(ps_replay_ledger_init(&self->ledger, self->plan, self->options.memory_scale,
                                 self->report->devices, err));
    ps_replay_ledger_attach(&self->ledger, self->ops, self->backend);
    PS_TRY(ps_replay_ledger_open(&self->ledger, err));
    const bool is_timed = (self->ops->capabilities & PS_BACKEND_TIMED) != 0;
    PS_TRY(is_timed ? ps_replay_run_lanes(self, err) : ps_replay_run_inline(self, err));
    return ps_replay_measure(self, err);
}

ps_code ps_replay_run_on(const ps_plan *plan, const ps_backend_ops *ops,
                         const ps_replay_options *options, ps_replay_report *out, ps_error *err)
{
    ps_replay_report report = {0};
    ps_replay_session session = {.plan = plan, .ops = ops, .report = &report};
    atomic_init(&session.stop, false);
    if (options != NULL) {
        session.options = *options;
    } else {
        ps_replay_options_init(&session.options);
    }
    ps_code code = prepare(&session, err);
    if (code == PS_OK) {
        code = execute(&session, err);
        ps_replay_ledger_fini(&session.ledger);
        ops->close(session.backend);
    }
    ps_replay_graph_fini(&session.graph);
    ps_free(session.uses_links);
    if (code != PS_OK) {
        ps_replay_report_fini(&report);
        return code;
    }
    *out = report;
    return PS_OK;
}

ps_code ps_replay_run(const ps_plan *plan, const char *backend, const ps_replay_options *options,
                      ps_replay_report *out, ps_error *err)
{
    const ps_backend_ops *ops = ps_backend_find(backend);
    if (ops == NULL) {
        return ps_fail(err, PS_NOT_FOUND, "there is no replay backend \"%s\"", backend);
    }
    return ps_replay_run_on(plan, ops, options, out, err);
}

void ps_replay_report_fini(ps_replay_report *report)
{
    ps_free(report->steps);
    ps_free(report->devices);
    ps_free(report->log.start_ns);
    ps_free(report->log.end_ns);
    ps_free(report->log.start_order);
    ps_free(report->log.end_order);
    ps_free(report->log.memop_ns);
    ps_free(report->log.memop_order);
    memset(report, 0, sizeof *report);
}
