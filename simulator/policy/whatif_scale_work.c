/* SPDX-License-Identifier: MIT
 *
 * New lengths of device work.
 *
 * An operator's shapes tell how its work grows: the bytes of what it reads and
 * makes, or for a matrix product rows x columns x length of the sums. A kernel
 * that does not fill the GPU does not take longer in proportion: with x waves
 * of blocks (blocks over what all multiprocessors hold at a time)
 *
 *   new = fixed + (recorded - fixed) * max(1, new x) / max(1, x)
 *
 * where `fixed` is the 1st percentile of the recorded kernel times, and x
 * grows with the work. No kernel moves bytes or multiplies faster than the
 * part can: where that takes longer, it is the new length.
 *
 * Libraries choose the tile of a matrix product by its size. A product of less
 * than one wave was cut into small tiles so that there are enough of them; with
 * more work it gets the largest usual tile, and each tile of a x b reads
 * a + b operands for a * b results, so the whole reads 1/a + 1/b as much. One
 * that shrinks gets smaller tiles, down to the shortest product of the trace.
 *
 * Copies inside the device and fills take a start and a rate, that of the
 * part's memory.
 */
#include <string.h>

#include "base/memory.h"
#include "cost/kernel_class.h"
#include "policy/whatif_parts.h"
#include "policy/whatif_scale_parts.h"

/* Old and new amount of one operator's work; old 0: unknown. */
typedef struct work {
    uint64_t old_amount, new_amount;
} work;

typedef struct work_stage {
    ps_scaling *scaling;
    const ps_catalogue *catalogue;
    ps_idmap call_of_correlation;
    ps_ns fixed_ns;
    ps_ns shortest_product_ns;
    bool has_gpu;
    ps_hardware_id gpu; /* of the device at hand */
    uint64_t sm_count;
} work_stage;

static const char *operator_name(const ps_scaling *self, uint32_t range)
{
    const char *name = ps_strings_text(self->trace->strings, self->trace->range.name[range]);
    return strncmp(name, "aten::", 6) == 0 ? name + 6 : name;
}

/* The operator a call was made under. */
static uint32_t operator_of(const work_stage *self, uint64_t correlation)
{
    const ps_scaling *scaling = self->scaling;
    const ps_call_table *call = &scaling->trace->call;
    const uint32_t row =
        correlation == 0 ? PS_IDMAP_NONE : ps_idmap_get(&self->call_of_correlation, correlation);
    if (row == PS_IDMAP_NONE) {
        return PS_SCALING_NO_RANGE;
    }
    size_t next;
    return ps__scaling_maker_of(
        scaling, ps__scaling_open_at(scaling, call->tid[row], call->start_ns[row], &next));
}

static void add_bytes(work *sum, uint64_t old_bytes, uint64_t new_bytes)
{
    sum->old_amount += old_bytes;
    sum->new_amount += new_bytes;
}

/* A table that is looked up is not read from end to end. */
static bool is_table(const char *operator, uint32_t argument)
{
    return argument == 0 &&
           (strcmp(operator, "embedding") == 0 || strcmp(operator, "index_select") == 0);
}

static work bytes_of(const ps_scaling *self, uint32_t range)
{
    work sum = {self->born_old[range], self->born_new[range]};
    const ps_shapes *shapes = ps__scaling_shapes_of(self, range);
    for (uint32_t i = 0; shapes != NULL && i < shapes->count; i++) {
        const ps_shape *shape = &shapes->tensor[i];
        const uint64_t element = shape->element_bytes == 0 ? 4 : shape->element_bytes;
        if (is_table(operator_name(self, range), shape->argument)) {
            continue;
        }
        const ps_scaled_shape scaled = ps__scaling_shape(self, shape);
        add_bytes(&sum, ps_mul_div_u64(scaled.old_elements, element, 1),
                  ps_mul_div_u64(scaled.new_elements, element, 1));
    }
    return sum;
}

/* Multiplications and additions of a product of two tensors: those of the left times the columns
 * of the right. */
static work arithmetic_of(const ps_scaling *self, uint32_t range)
{
    const char *name = operator_name(self, range);
    const ps_shapes *shapes = ps__scaling_shapes_of(self, range);
    const bool is_added = strcmp(name, "addmm") == 0 || strcmp(name, "baddbmm") == 0;
    const bool is_linear = strcmp(name, "linear") == 0;
    if (shapes == NULL || shapes->count < (is_added ? 3u : 2u)) {
        return (work){0};
    }
    const ps_shape *left = &shapes->tensor[is_added], *right = &shapes->tensor[is_added + 1];
    const ps_scaled_shape l = ps__scaling_shape(self, left), r = ps__scaling_shape(self, right);
    if (is_added || is_linear || strcmp(name, "mm") == 0 || strcmp(name, "bmm") == 0) {
        const uint32_t width = is_linear ? 0 : right->dim_count - 1;
        return (work){ps_mul_div_u64(l.old_elements, 2 * right->dim[width], 1),
                      ps_mul_div_u64(l.new_elements, 2 * r.new_dim[width], 1)};
    }
    /* a convolution: its input times the kernel's elements for each output channel */
    if (strstr(name, "conv") != NULL && right->dim_count >= 2 && right->dim[1] > 0) {
        const uint64_t per_element = ps__shape_elements(right) / right->dim[1];
        return (work){ps_mul_div_u64(l.old_elements, 2 * per_element, 1),
                      ps_mul_div_u64(l.new_elements, 2 * per_element, 1)};
    }
    return (work){0};
}

/* ---- waves ---- */

/* "gx,gy,gz|bx,by,bz|registers|shared bytes" */
typedef struct launch {
    uint64_t blocks, threads, registers;
} launch;

static uint64_t read_number(const char **at)
{
    uint64_t value = 0;
    for (; **at >= '0' && **at <= '9' && value < (uint64_t)1 << 40; (*at)++) {
        value = value * 10 + (uint64_t)(**at - '0');
    }
    *at += **at == ',' || **at == '|';
    return value;
}

static launch read_launch(const char *text)
{
    uint64_t value[7];
    for (size_t i = 0; i < 7; i++) {
        value[i] = read_number(&text);
    }
    return (launch){
        .blocks = ps_mul_div_u64(value[0], ps_mul_div_u64(value[1], value[2], 1), 1),
        .threads = ps_mul_div_u64(value[3], ps_mul_div_u64(value[4], value[5], 1), 1),
        .registers = value[6],
    };
}

static bool figure_of(const work_stage *self, ps_figure_id id, uint64_t *out)
{
    ps_figure figure;
    if (!self->has_gpu || !ps_catalogue_get(self->catalogue, self->gpu, id, &figure) ||
        figure.value == 0) {
        return false;
    }
    *out = figure.value;
    return true;
}

/* Waves of a launch in thousandths; 0 unknown. */
static uint64_t waves_of(const work_stage *self, const launch *at)
{
    uint64_t threads = 0, registers = 0, resident = 1;
    if (self->sm_count == 0 || at->blocks == 0 || at->threads == 0) {
        return 0;
    }
    if (figure_of(self, PS_FIGURE_THREADS_PER_SM, &threads) && threads > at->threads) {
        resident = threads / at->threads;
    }
    if (figure_of(self, PS_FIGURE_REGISTERS_PER_SM, &registers) && at->registers > 0) {
        const uint64_t fitting = registers / (at->registers * at->threads);
        resident = fitting < resident ? (fitting == 0 ? 1 : fitting) : resident;
    }
    const uint64_t waves = ps_mul_div_u64(at->blocks, 1000, self->sm_count * resident);
    return waves == 0 ? 1 : waves;
}

/* ---- tiles ---- */

/* The tile that large products get: what the libraries' guides call their largest efficient one. */
#define LARGE_TILE 128u

/* "..._s16816gemm_fp16_64x128_sliced1x2_...": rows and columns of a tile. The first pair of numbers
 * of at least 16 is it; pairs of one digit count slices and stages. */
static bool read_tile(const char *name, uint64_t *rows, uint64_t *columns)
{
    for (const char *at = name; *at != '\0'; at++) {
        const char *end = at;
        if (*at < '0' || *at > '9' || (at != name && at[-1] >= '0' && at[-1] <= '9')) {
            continue;
        }
        *rows = *columns = 0;
        for (; *end >= '0' && *end <= '9' && *rows < 10000; end++) {
            *rows = *rows * 10 + (uint64_t)(*end - '0');
        }
        if (*end++ != 'x') {
            continue;
        }
        for (; *end >= '0' && *end <= '9' && *columns < 10000; end++) {
            *columns = *columns * 10 + (uint64_t)(*end - '0');
        }
        if (*rows >= 16 && *columns >= 16) {
            return true;
        }
    }
    return false;
}

/* Operands read with large tiles, for `load` with those of the name. */
static uint64_t with_large_tiles(const char *name, uint64_t load)
{
    uint64_t rows, columns;
    if (!read_tile(name, &rows, &columns) || rows + columns >= 2 * LARGE_TILE) {
        return load;
    }
    /* (1/L + 1/L) / (1/rows + 1/columns) */
    return ps_mul_div_u64(load, 2 * rows * columns, LARGE_TILE * (rows + columns));
}

/* ---- lengths ---- */

/* [ns] the part needs at least; 0 unknown. */
static uint64_t least_ns(const work_stage *self, const ps_kernel_class *class, uint64_t amount)
{
    uint64_t rate = 0;
    if (!figure_of(self,
                   class->bound == PS_BOUND_ARITHMETIC ? class->rate : PS_FIGURE_MEMORY_BANDWIDTH,
                   &rate)) {
        return 0;
    }
    return ps_mul_div_u64(amount, 1000000000, rate);
}

/* What a task is, for its new length. */
typedef struct task_facts {
    ps_ns recorded_ns;
    const char *name;
    ps_kernel_class class;
    work amount;
    launch at;
} task_facts;

static ps_ns at_least(ps_ns length, ps_ns least)
{
    return length < least ? least : length;
}

/* A kernel by its waves; both loads in thousandths of a wave where they are known. */
static ps_ns kernel_length(const work_stage *self, const task_facts *task)
{
    const ps_ns fixed = task->recorded_ns < self->fixed_ns ? task->recorded_ns : self->fixed_ns;
    const bool is_product = task->class.bound == PS_BOUND_ARITHMETIC;
    const uint64_t waves = waves_of(self, &task->at);
    uint64_t old_load = task->amount.old_amount, new_load = task->amount.new_amount;
    const bool shrinks = new_load < old_load;
    if (waves > 0 && !(is_product && shrinks)) {
        new_load = ps_mul_div_u64(waves, new_load, old_load);
        if (is_product && waves < 1000 && new_load > 1000) {
            new_load = with_large_tiles(task->name, new_load);
        }
        new_load = new_load < 1000 ? 1000 : new_load;
        old_load = waves < 1000 ? 1000 : waves;
    }
    const ps_ns body =
        (ps_ns)ps_mul_div_u64((uint64_t)(task->recorded_ns - fixed), new_load, old_load);
    if (!is_product || !shrinks) {
        return fixed + body;
    }
    const ps_ns shortest = self->shortest_product_ns < task->recorded_ns ? self->shortest_product_ns
                                                                         : task->recorded_ns;
    return at_least(fixed + body, shortest);
}

/* A copy or fill: what it took beyond its bytes at the part's rate is its start. */
static ps_ns copy_length(const work_stage *self, ps_ns recorded, uint64_t old_bytes,
                         uint64_t new_bytes)
{
    uint64_t rate = 0, share = PS_RATIO_ONE;
    if (!figure_of(self, PS_FIGURE_MEMORY_BANDWIDTH, &rate)) {
        return (ps_ns)ps_mul_div_u64((uint64_t)recorded, new_bytes, old_bytes);
    }
    (void)figure_of(self, PS_FIGURE_STREAM_SHARE, &share);
    rate = ps_mul_div_u64(rate, share, PS_RATIO_ONE);
    const uint64_t old_ns = ps_mul_div_u64(old_bytes, 1000000000, rate);
    if (old_ns >= (uint64_t)recorded) {
        return (ps_ns)ps_mul_div_u64((uint64_t)recorded, new_bytes, old_bytes);
    }
    return recorded - (ps_ns)old_ns + (ps_ns)ps_mul_div_u64(new_bytes, 1000000000, rate);
}

static ps_ns new_length(const work_stage *self, const task_facts *task)
{
    const ps_ns scaled = kernel_length(self, task);
    const ps_kernel_class *class = &task->class;
    const work *amount = &task->amount;
    const ps_ns recorded = task->recorded_ns;
    /* amounts that the recorded length contradicts say nothing about the new one */
    const bool is_sound = least_ns(self, class, amount->old_amount) <= (uint64_t)recorded;
    const uint64_t least = is_sound ? least_ns(self, class, amount->new_amount) : 0;
    return (uint64_t)scaled < least ? (ps_ns)least : scaled;
}

static bool is_of_device(const ps_plan_task_table *table, size_t task)
{
    return table->kind[task] == PS_TASK_MEMSET || table->copy_kind[task] == PS_COPY_DTOD;
}

static void scale_task(work_stage *self, size_t task, uint64_t correlation, const char *launched)
{
    ps_scaling *scaling = self->scaling;
    ps_plan_task_table *table = &scaling->plan->task;
    const uint32_t range = operator_of(self, correlation);
    ps_kernel_class class = {PS_BOUND_MEMORY, PS_FIGURE_MEMORY_BANDWIDTH};
    if (table->kind[task] == PS_TASK_KERNEL) {
        class = ps_kernel_classify(ps_strings_text(scaling->plan->strings, table->name[task]));
    }
    work amount = {0};
    if (range != PS_SCALING_NO_RANGE && class.bound == PS_BOUND_ARITHMETIC) {
        amount = arithmetic_of(scaling, range);
    }
    if (range != PS_SCALING_NO_RANGE && amount.old_amount == 0) {
        class = (ps_kernel_class){PS_BOUND_MEMORY, PS_FIGURE_MEMORY_BANDWIDTH};
        amount = bytes_of(scaling, range);
    }
    if (amount.old_amount == 0) {
        scaling->work_unknown++;
        return;
    }
    if (amount.old_amount == amount.new_amount) {
        scaling->work_same++;
        return;
    }
    const uint64_t old_bytes = table->bytes[task];
    table->bytes[task] = ps_mul_div_u64(old_bytes, amount.new_amount, amount.old_amount);
    if (table->kind[task] == PS_TASK_KERNEL || table->bytes[task] == 0) {
        const task_facts facts = {.recorded_ns = table->dur_ns[task],
                                  .name =
                                      ps_strings_text(scaling->plan->strings, table->name[task]),
                                  .class = class,
                                  .amount = amount,
                                  .at = read_launch(launched)};
        table->dur_ns[task] = new_length(self, &facts);
    } else if (is_of_device(table, task)) {
        const uint64_t passes = table->kind[task] == PS_TASK_MEMCPY ? 2 : 1; /* read and write */
        table->dur_ns[task] =
            copy_length(self, table->dur_ns[task], passes * old_bytes, passes * table->bytes[task]);
    } else {
        table->dur_ns[task] = (ps_ns)ps_mul_div_u64((uint64_t)table->dur_ns[task],
                                                    amount.new_amount, amount.old_amount);
    }
    table->basis[task] = PS_BASIS_SCALED;
    if (class.bound == PS_BOUND_ARITHMETIC) {
        scaling->work_by_arithmetic++;
    } else {
        scaling->work_by_bytes++;
    }
}

/* ---- which task is which row ---- */

static void choose_device(work_stage *self, uint32_t device)
{
    const ps_plan *plan = self->scaling->plan;
    const ps_device_table *table = &self->scaling->trace->device;
    uint64_t known = 0;
    self->has_gpu =
        ps__whatif_recorded_gpu(plan, device, self->catalogue, &self->gpu, NULL) == PS_OK;
    for (size_t i = 0; i < table->head.count; i++) {
        if (table->device[i] == plan->device.ordinal[device] || table->head.count == 1) {
            known = table->sm_count[i];
        }
    }
    if (known == 0) {
        (void)figure_of(self, PS_FIGURE_SM_COUNT, &known);
    }
    self->sm_count = known;
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
            choose_device(self, device);
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

static ps_ns shortest_product(const ps_plan *plan)
{
    ps_ns shortest = PS_TIME_NEVER;
    for (size_t i = 0; i < plan->task.head.count; i++) {
        const char *name = ps_strings_text(plan->strings, plan->task.name[i]);
        if (plan->task.kind[i] == PS_TASK_KERNEL && plan->task.dur_ns[i] < shortest &&
            ps_kernel_classify(name).bound == PS_BOUND_ARITHMETIC) {
            shortest = plan->task.dur_ns[i];
        }
    }
    return shortest;
}

ps_code ps__scaling_work(ps_scaling *scaling, const ps_catalogue *catalogue, ps_error *err)
{
    work_stage self = {.scaling = scaling, .catalogue = catalogue};
    const ps_call_table *call = &scaling->trace->call;
    ps_code code = ps__whatif_fixed_part(scaling->plan, &self.fixed_ns, err);
    for (size_t i = 0; i < call->head.count && code == PS_OK; i++) {
        if (call->correlation[i] != 0) {
            code = ps_idmap_put(&self.call_of_correlation, call->correlation[i], (uint32_t)i, err);
        }
    }
    if (code == PS_OK) {
        self.shortest_product_ns = shortest_product(scaling->plan);
        scale_tasks(&self);
    }
    ps_idmap_fini(&self.call_of_correlation);
    return code;
}
