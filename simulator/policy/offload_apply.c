/* SPDX-License-Identifier: MIT
 *
 * What of a recorded job goes to the host: all that is asked for is found in
 * the plan as recorded, and put into what has become of it at once.
 */
#include "base/memory.h"
#include "plan/hazards.h"
#include "policy/offload_optimizer.h"
#include "policy/offload_parameter_parts.h"

/* ---- finding ---- */

static ps_code check(const ps_plan *plan, const ps_offload *change, ps_error *err)
{
    if (change->trace == NULL || change->structure == NULL) {
        return ps_fail(err, PS_USAGE,
                       "offloading needs the recording: a plan does not say which tensors wait "
                       "for what");
    }
    if (plan->device.head.count == 0) {
        return ps_fail(err, PS_USAGE, "no GPU is recorded");
    }
    if (plan->device.head.count > 1) {
        return ps_fail(err, PS_USAGE,
                       "the recording holds %zu GPUs: one of one rank can be offloaded, which "
                       "stands for all ranks of its job",
                       plan->device.head.count);
    }
    if (change->delayed && !change->optimizer) {
        return ps_fail(err, PS_USAGE, "updates of an optimizer on the device are not delayed");
    }
    if (change->delayed && change->parameters) {
        return ps_fail(err, PS_USAGE,
                       "delayed updates write weights that copies of parameters in the host would "
                       "read at the same time: one or the other");
    }
    return plan->memop.head.count > 0
               ? PS_OK
               : ps_fail(err, PS_USAGE, "no memory is recorded: nothing could be offloaded");
}

static ps_code find(const ps_plan *plan, const ps_offload *change, ps_offload_plan *out,
                    ps_error *err)
{
    PS_TRY(check(plan, change, err));
    if (change->activations) {
        out->activations = ps_calloc(1, sizeof *out->activations);
        if (out->activations == NULL) {
            return ps_fail_nomem(err);
        }
        PS_TRY(ps__offload_find(plan, change, out->activations, err));
    }
    if (change->optimizer) {
        out->optimizer = ps_calloc(1, sizeof *out->optimizer);
        if (out->optimizer == NULL) {
            return ps_fail_nomem(err);
        }
        PS_TRY(ps__offload_optimizer_find(plan, change, out->optimizer, err));
    }
    if (change->parameters) {
        out->parameters = ps_calloc(1, sizeof *out->parameters);
        if (out->parameters == NULL) {
            return ps_fail_nomem(err);
        }
        PS_TRY(ps__offload_parameters_find(plan, change, out->parameters, err));
    }
    return change->optimizer && change->parameters
               ? ps__offload_parameters_join(out->parameters, out->optimizer, err)
               : PS_OK;
}

ps_code ps__offload_plan(const ps_plan *plan, const ps_offload *change, ps_offload_plan *out,
                         ps_error *err)
{
    ps_offload_plan found = {0};
    const ps_code code = find(plan, change, &found, err);
    if (code != PS_OK) {
        ps__offload_plan_fini(&found);
        return code;
    }
    *out = found;
    return PS_OK;
}

void ps__offload_plan_fini(ps_offload_plan *self)
{
    if (self->activations != NULL) {
        ps__offload_places_fini(self->activations);
    }
    if (self->optimizer != NULL) {
        ps__offload_optimizer_fini(self->optimizer);
    }
    if (self->parameters != NULL) {
        ps__offload_parameters_fini(self->parameters);
    }
    ps_free(self->activations);
    ps_free(self->optimizer);
    ps_free(self->parameters);
    *self = (ps_offload_plan){0};
}

/* ---- moving ---- */

static ps_code build(ps_offload_building *b, const ps_catalogue *catalogue, ps_hardware_id gpu,
                     const ps_offload_plan *what, ps_error *err)
{
    ps_figure launch, copy;
    PS_TRY(ps_catalogue_need(catalogue, gpu, PS_FIGURE_LAUNCH_LATENCY, &launch, err));
    PS_TRY(ps_catalogue_need(catalogue, gpu, PS_FIGURE_COPY_LATENCY, &copy, err));
    b->launch_ns = (ps_ns)launch.value;
    b->copy_ns = (ps_ns)copy.value;
    PS_TRY(ps__offload_open(b, err));
    if (what->activations != NULL) {
        PS_TRY(ps__offload_activations(b, err));
    }
    if (what->optimizer != NULL) {
        PS_TRY(ps__offload_optimizer(b, what->optimizer, err));
    }
    if (what->parameters != NULL) {
        PS_TRY(ps__offload_parameters(b, what->parameters, err));
    }
    PS_TRY(ps__offload_sort_requests(b, err));
    PS_TRY(ps__insertion_finish(&b->insertion, err));
    return what->optimizer != NULL ? ps__offload_optimizer_memory(b, what->optimizer, err) : PS_OK;
}

/* The first of the rule that comes first. */
static ps_code refuse_hazard(const ps_plan *plan, const ps_hazards *found, ps_error *err)
{
    char text[512];
    int rule = 0;
    while (found->count[rule] == 0) {
        rule++;
    }
    ps_hazard_text(plan, &found->first[rule], text, sizeof text);
    return ps_fail(
        err, PS_USAGE,
        "nothing proves that tensors of this recording can wait in the host, because its "
        "events are out of order or incomplete: %s",
        text);
}

/* What was found of a recording that contradicts itself need not hold: no plan goes out that the
 * checkers find anything in. */
static ps_code prove(const ps_plan *plan, ps_error *err)
{
    ps_error why = {0};
    ps_hazards found;
    ps_code code = ps_plan_check(plan, &why);
    if (code == PS_OK) {
        code = ps_plan_hazards(plan, &found, &why);
    }
    if (code == PS_CHECK_FAILED) {
        return ps_fail(err, PS_USAGE,
                       "events of the recording contradict each other, so that its tensors cannot "
                       "be moved: %s",
                       why.message);
    }
    if (code != PS_OK) {
        return ps_fail(err, code, "%s", why.message);
    }
    return found.total > 0 ? refuse_hazard(plan, &found, err) : PS_OK;
}

ps_code ps__offload_apply(ps_plan *plan, const ps_catalogue *catalogue, ps_hardware_id gpu,
                          const ps_offload *change, const ps_offload_plan *what, ps_error *err)
{
    ps_offload_building b = {
        .plan = plan,
        .change = change,
        .places = what->activations,
        .compute = what->activations != NULL ? what->activations->compute
                   : what->optimizer != NULL ? what->optimizer->compute
                                             : what->parameters->compute,
        .old_memops = plan->memop.head.count,
    };
    ps__insertion_init(&b.insertion, plan);
    ps_code code = build(&b, catalogue, gpu, what, err);
    ps__insertion_fini(&b.insertion);
    ps_free(b.link);
    ps_free(b.path[PS_HOST_UPLOAD].link);
    ps_free(b.path[PS_HOST_OFFLOAD].link);
    ps_free(b.pinned);
    ps_free(b.copy);
    ps_free(b.move);
    ps_free(b.update);
    if (code == PS_CHECK_FAILED) {
        code = PS_USAGE; /* tasks that wait in a circle: the sentence says so */
    }
    return code == PS_OK ? prove(plan, err) : code;
}
