/* SPDX-License-Identifier: MIT
 *
 * Device work of another size: each task finds its row of the trace and the
 * operator that made it, whose work says how the task's length grows.
 */
#include "policy/whatif_scale_work_parts.h"

typedef struct work_stage {
    ps_scaling *scaling;
    ps_scaled_device device;
    ps_idmap call_of_correlation;
} work_stage;

/* The operator a call was made under. */
static uint32_t operator_of(const work_stage *self, uint64_t correlation)
{
    const ps_call_table *call = &self->scaling->trace->call;
    const uint32_t row =
        correlation == 0 ? PS_IDMAP_NONE : ps_idmap_get(&self->call_of_correlation, correlation);
    return row == PS_IDMAP_NONE
               ? PS_SCALING_NO_RANGE
               : ps__scaling_maker_at(self->scaling, call->tid[row], call->start_ns[row]);
}

static const ps_kernel_class memory_bound = {PS_BOUND_MEMORY, PS_FIGURE_MEMORY_BANDWIDTH};

static const char *name_of(const ps_plan *plan, size_t task)
{
    return ps_strings_text(plan->strings, plan->task.name[task]);
}

/* Work of a task's operator. An arithmetic that its shapes do not tell is taken for bytes, and
 * *class becomes that. */
static ps_scaled_amount amount_of(const ps_scaling *scaling, uint32_t range, ps_kernel_class *class)
{
    if (range == PS_SCALING_NO_RANGE) {
        return (ps_scaled_amount){0};
    }
    if (class->bound == PS_BOUND_ARITHMETIC) {
        const ps_scaled_amount arithmetic = ps__scaled_arithmetic(scaling, range);
        if (arithmetic.old_amount != 0) {
            return arithmetic;
        }
    }
    *class = memory_bound;
    return ps__scaled_bytes(scaling, range);
}

static bool is_inside_device(const ps_plan_task_table *table, size_t task)
{
    return table->kind[task] == PS_TASK_MEMSET || table->copy_kind[task] == PS_COPY_DTOD;
}

/* [ns] new length of a copy or fill of `moved` bytes. Between host and device a link bounds it. */
static ps_ns transfer_ns(const work_stage *self, size_t task, ps_scaled_amount amount,
                         ps_scaled_amount moved)
{
    const ps_plan_task_table *table = &self->scaling->plan->task;
    if (!is_inside_device(table, task)) {
        return (ps_ns)ps_mul_div_u64((uint64_t)table->dur_ns[task], amount.new_amount,
                                     amount.old_amount);
    }
    const uint64_t passes = table->kind[task] == PS_TASK_MEMCPY ? 2 : 1; /* read and write */
    moved.old_amount *= passes;
    moved.new_amount *= passes;
    return ps__scaled_copy_ns(&self->device, table->dur_ns[task], moved);
}

static void resize_task(work_stage *self, size_t task, ps_kernel_class class,
                        ps_scaled_amount amount, const char *launch)
{
    ps_scaling *scaling = self->scaling;
    ps_plan_task_table *table = &scaling->plan->task;
    const ps_scaled_amount moved = {
        .old_amount = table->bytes[task],
        .new_amount = ps_mul_div_u64(table->bytes[task], amount.new_amount, amount.old_amount),
    };
    table->bytes[task] = moved.new_amount;
    if (table->kind[task] == PS_TASK_KERNEL || moved.new_amount == 0) {
        const ps_scaled_kernel kernel = {.recorded_ns = table->dur_ns[task],
                                         .name = name_of(scaling->plan, task),
                                         .class = class,
                                         .amount = amount,
                                         .launch = ps__kernel_launch_read(launch)};
        table->dur_ns[task] = ps__scaled_kernel_ns(&self->device, &kernel);
    } else {
        table->dur_ns[task] = transfer_ns(self, task, amount, moved);
    }
    table->basis[task] = PS_BASIS_SCALED;
    if (class.bound == PS_BOUND_ARITHMETIC) {
        scaling->work_by_arithmetic++;
    } else {
        scaling->work_by_bytes++;
    }
}

static void scale_task(work_stage *self, size_t task, uint64_t correlation, const char *launch)
{
    ps_scaling *scaling = self->scaling;
    ps_kernel_class class = memory_bound;
    if (scaling->plan->task.kind[task] == PS_TASK_KERNEL) {
        class = ps_kernel_classify(name_of(scaling->plan, task));
    }
    const ps_scaled_amount amount = amount_of(scaling, operator_of(self, correlation), &class);
    if (amount.old_amount == 0) {
        scaling->work_unknown++;
    } else if (amount.old_amount == amount.new_amount) {
        scaling->work_same++;
    } else {
        resize_task(self, task, class, amount, launch);
    }
}

/* Lowering made the nth kernel task of the nth kernel row, and so with copies and fills. */
static void scale_tasks(work_stage *self)
{
    const ps_trace *trace = self->scaling->trace;
    const ps_plan *plan = self->scaling->plan;
    size_t kernel = 0, copy = 0, fill = 0;
    uint32_t device = UINT32_MAX;
    for (size_t i = 0; i < plan->task.head.count; i++) {
        const ps_task_kind kind = (ps_task_kind)plan->task.kind[i];
        const uint32_t of_lane = plan->lane.device[plan->task.lane[i]];
        if (of_lane != 0 && of_lane - 1 != device) {
            device = of_lane - 1;
            ps__scaled_device_choose(&self->device, self->scaling, device);
        }
        if (kind == PS_TASK_KERNEL && kernel < trace->kernel.head.count) {
            scale_task(self, i, trace->kernel.correlation[kernel],
                       ps_strings_text(trace->strings, trace->kernel.launch[kernel]));
            kernel++;
        } else if (kind == PS_TASK_COLLECTIVE) {
            kernel++; /* gradients: as long as before */
        } else if (kind == PS_TASK_MEMCPY && copy < trace->memcpy.head.count) {
            scale_task(self, i, trace->memcpy.correlation[copy], "");
            copy++;
        } else if (kind == PS_TASK_MEMSET && fill < trace->memset.head.count) {
            scale_task(self, i, trace->memset.correlation[fill], "");
            fill++;
        }
    }
}

static ps_code index_calls(work_stage *self, ps_error *err)
{
    const ps_call_table *call = &self->scaling->trace->call;
    for (size_t i = 0; i < call->head.count; i++) {
        if (call->correlation[i] != 0) {
            PS_TRY(
                ps_idmap_put(&self->call_of_correlation, call->correlation[i], (uint32_t)i, err));
        }
    }
    return PS_OK;
}

ps_code ps__scaling_work(ps_scaling *scaling, const ps_catalogue *catalogue, ps_error *err)
{
    work_stage self = {.scaling = scaling};
    PS_TRY(ps__scaled_device_init(&self.device, scaling->plan, catalogue, err));
    const ps_code code = index_calls(&self, err);
    if (code == PS_OK) {
        scale_tasks(&self);
    }
    ps_idmap_fini(&self.call_of_correlation);
    return code;
}
