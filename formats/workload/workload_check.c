/* SPDX-License-Identifier: MIT
 *
 * The workload checker: what rows of one table mean for rows of another.
 * Cells by themselves are workload_check_cells.c's matter.
 *
 * The life of a tensor:
 *
 *   absent ──ALLOC──► live ──FREE──► gone
 */
#include "workload/workload_check.h"

#include "base/checked.h"
#include "base/idmap.h"
#include "base/memory.h"

typedef enum tensor_state {
    TENSOR_ABSENT = 0,
    TENSOR_LIVE,
    TENSOR_GONE,
} tensor_state;

/* All tensors while the events pass. */
typedef struct lives {
    uint8_t *state; /* tensor_state by row */
    uint64_t live_bytes;
} lives;

static const char *state_words(uint8_t state)
{
    static const char *const words[] = {"not allocated", "live", "freed"};
    return words[state];
}

static ps_code check_blocks(const ps_workload *workload, ps_error *err)
{
    for (size_t i = 0; i < workload->block.head.count; i++) {
        if (workload->block.parent[i] > i) {
            return ps_fail(err, PS_CHECK_FAILED,
                           "block %zu lies in block %u, which does not stand before it", i,
                           workload->block.parent[i] - 1);
        }
    }
    return PS_OK;
}

static ps_code check_axes(const ps_workload *workload, ps_error *err)
{
    const ps_workload_axis_table *axis = &workload->axis;
    uint64_t ranks = 1;
    if (axis->head.count > PS_WORKLOAD_MAX_AXES) {
        return ps_fail(err, PS_CHECK_FAILED, "%zu axes, at most %d can be", axis->head.count,
                       PS_WORKLOAD_MAX_AXES);
    }
    for (size_t i = 0; i < axis->head.count; i++) {
        if (axis->size[i] == 0) {
            return ps_fail(err, PS_CHECK_FAILED, "axis %zu has no rank", i);
        }
        if (axis->place[i] != PS_WORKLOAD_ANYWHERE && axis->place[i] >= axis->size[i]) {
            return ps_fail(err, PS_CHECK_FAILED, "axis %zu: place %u of %u", i, axis->place[i],
                           axis->size[i]);
        }
        ranks *= axis->size[i]; /* at most 2^32 times at most 2^31 */
        if (ranks > INT32_MAX) {
            return ps_fail(err, PS_CHECK_FAILED, "more than 2^31 ranks");
        }
    }
    return PS_OK;
}

/* What a recording measured it need not know the shape of. */
static ps_code check_shape(const ps_workload_op_table *op, size_t row, ps_error *err)
{
    const uint64_t sizes[] = {op->m[row], op->n[row], op->k[row], op->batch[row]};
    size_t told = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        told += sizes[i] > 0 ? 1 : 0;
    }
    if (told != 0 && told != sizeof sizes / sizeof sizes[0]) {
        return ps_fail(err, PS_CHECK_FAILED,
                       "op %zu: m, n, k, batch are %llu, %llu, %llu, %llu: all or none are 0", row,
                       (unsigned long long)sizes[0], (unsigned long long)sizes[1],
                       (unsigned long long)sizes[2], (unsigned long long)sizes[3]);
    }
    if (told == 0 && op->kind[row] == PS_OP_MATMUL && op->basis[row] != PS_BASIS_MEASURED) {
        return ps_fail(err, PS_CHECK_FAILED,
                       "op %zu is a matrix product without m, n, k, batch, and nobody measured it",
                       row);
    }
    return PS_OK;
}

static bool is_point_to_point(uint8_t collective)
{
    return collective == PS_COLLECTIVE_SEND || collective == PS_COLLECTIVE_RECV;
}

/* The group of a collective: axes that exist, one alone where two ranks meet. */
static ps_code check_group(const ps_workload *workload, size_t row, ps_error *err)
{
    const ps_workload_op_table *op = &workload->op;
    const size_t axes = workload->axis.head.count;
    const uint32_t span = op->axes[row];
    if (op->collective[row] != PS_COLLECTIVE_NONE && op->kind[row] != PS_OP_COLLECTIVE) {
        return ps_fail(err, PS_CHECK_FAILED, "op %zu has a collective and is of another kind", row);
    }
    if (axes < PS_WORKLOAD_MAX_AXES && span >> axes != 0) {
        return ps_fail(err, PS_CHECK_FAILED, "op %zu spans axes 0x%x: there are %zu", row, span,
                       axes);
    }
    if (!is_point_to_point(op->collective[row])) {
        return PS_OK;
    }
    for (size_t i = 0; i < axes; i++) {
        if (span == UINT32_C(1) << i && op->peer[row] < workload->axis.size[i]) {
            return PS_OK;
        }
    }
    return ps_fail(err, PS_CHECK_FAILED,
                   "op %zu goes to place %u along axes 0x%x: expected a place on one axis", row,
                   op->peer[row], span);
}

static bool is_worker(uint8_t lane)
{
    return lane >= PS_WORKLOAD_WORKER && lane < PS_WORKLOAD_STREAM;
}

/* Threads compute and wait for disks, and device work is not theirs; names of runs are counted from 1. */
static ps_code check_thread(const ps_workload_op_table *op, size_t row, ps_error *err)
{
    if (op->mark[row] > PS_WORKLOAD_MAX_MARK) {
        return ps_fail(err, PS_CHECK_FAILED, "op %zu has mark %u: expected at most %u", row,
                       op->mark[row], PS_WORKLOAD_MAX_MARK);
    }
    const uint8_t kind = op->kind[row], lane = op->lane[row];
    if (ps_op_is_of_thread(kind) && lane != PS_WORKLOAD_MAIN && !is_worker(lane)) {
        return ps_fail(err, PS_CHECK_FAILED,
                       "op %zu is work of the host in lane %u, neither main nor a worker", row,
                       lane);
    }
    if (is_worker(lane) && !ps_op_is_of_thread(kind) && kind != PS_OP_HOST && kind != PS_OP_JOIN) {
        return ps_fail(err, PS_CHECK_FAILED, "op %zu is device work in lane %u, a worker", row,
                       lane);
    }
    return PS_OK;
}

static ps_code check_ops(const ps_workload *workload, ps_error *err)
{
    for (size_t i = 0; i < workload->op.head.count; i++) {
        PS_TRY(check_shape(&workload->op, i, err));
        PS_TRY(check_group(workload, i, err));
        PS_TRY(check_thread(&workload->op, i, err));
    }
    return PS_OK;
}

/* The state an event needs and the one it leaves. */
static ps_code move_tensor(size_t event, uint32_t tensor, uint8_t needed, lives *self,
                           ps_error *err)
{
    if (self->state[tensor] != needed) {
        return ps_fail(err, PS_CHECK_FAILED, "event %zu: tensor %u is %s, must be %s", event,
                       tensor, state_words(self->state[tensor]), state_words(needed));
    }
    self->state[tensor]++;
    return PS_OK;
}

static ps_code check_event(const ps_workload *workload, size_t row, lives *self, ps_error *err)
{
    const bool is_op = workload->event.kind[row] == PS_WORKLOAD_EVENT_OP;
    const uint32_t ref = workload->event.ref[row];
    const size_t end = is_op ? workload->op.head.count : workload->tensor.head.count;
    if (workload->event.kind[row] == PS_WORKLOAD_EVENT_RELEASE_CACHE) {
        return ref == 0 ? PS_OK
                        : ps_fail(err, PS_CHECK_FAILED,
                                  "event %zu releases the cache: ref is %u, must be 0", row, ref);
    }
    if (ref >= end) {
        return ps_fail(err, PS_CHECK_FAILED, "event %zu: ref is %u, must be below %zu %ss", row,
                       ref, end, is_op ? "op" : "tensor");
    }
    if (is_op) {
        return PS_OK;
    }
    if (workload->event.kind[row] == PS_WORKLOAD_EVENT_FREE) {
        PS_TRY(move_tensor(row, ref, TENSOR_LIVE, self, err));
        self->live_bytes -= workload->tensor.bytes[ref];
        return PS_OK;
    }
    PS_TRY(move_tensor(row, ref, TENSOR_ABSENT, self, err));
    if (!ps_add_u64(self->live_bytes, workload->tensor.bytes[ref], &self->live_bytes)) {
        return ps_fail(err, PS_CHECK_FAILED, "event %zu: more than 2^64 bytes are live", row);
    }
    return PS_OK;
}

/* The accesses of one run, at its moment; `next` goes behind them. */
static ps_code check_accesses(const ps_workload *workload, size_t event, const lives *self,
                              size_t *next, ps_error *err)
{
    const ps_workload_access_table *access = &workload->access;
    for (; *next < access->head.count && access->event[*next] <= event; (*next)++) {
        const uint32_t tensor = access->tensor[*next];
        if (access->event[*next] < event) {
            return ps_fail(err, PS_CHECK_FAILED,
                           "access %zu is of event %u, after one of event %zu", *next,
                           access->event[*next], event);
        }
        if (workload->event.kind[event] != PS_WORKLOAD_EVENT_OP) {
            return ps_fail(err, PS_CHECK_FAILED, "access %zu is of event %zu, no run of an op",
                           *next, event);
        }
        if (self->state[tensor] != TENSOR_LIVE) {
            return ps_fail(err, PS_CHECK_FAILED, "access %zu: tensor %u is %s, must be live", *next,
                           tensor, state_words(self->state[tensor]));
        }
    }
    return PS_OK;
}

static ps_code check_lives(const ps_workload *workload, lives *self, ps_error *err)
{
    size_t access = 0;
    for (size_t i = 0; i < workload->event.head.count; i++) {
        PS_TRY(check_event(workload, i, self, err));
        PS_TRY(check_accesses(workload, i, self, &access, err));
    }
    for (size_t i = 0; i < workload->tensor.head.count; i++) {
        if (self->state[i] == TENSOR_ABSENT) {
            return ps_fail(err, PS_CHECK_FAILED, "tensor %zu is never allocated", i);
        }
    }
    return PS_OK;
}

static ps_code check_events(const ps_workload *workload, ps_error *err)
{
    lives all = {.state = ps_calloc(workload->tensor.head.count, sizeof *all.state)};
    const ps_code code = all.state == NULL ? ps_fail_nomem(err) : check_lives(workload, &all, err);
    ps_free(all.state);
    return code;
}

static ps_code check_steps(const ps_workload *workload, ps_error *err)
{
    const ps_workload_step_table *step = &workload->step;
    uint32_t last_end = 0;
    for (size_t i = 0; i < step->head.count; i++) {
        if (step->end_event[i] > workload->event.head.count) {
            return ps_fail(err, PS_CHECK_FAILED, "step %zu ends at event %u of %zu", i,
                           step->end_event[i], workload->event.head.count);
        }
        if (step->begin_event[i] > step->end_event[i]) {
            return ps_fail(err, PS_CHECK_FAILED, "step %zu ends before it begins", i);
        }
        if (step->begin_event[i] < last_end) {
            return ps_fail(err, PS_CHECK_FAILED, "step %zu begins before step %zu ends", i, i - 1);
        }
        last_end = step->end_event[i];
    }
    return PS_OK;
}

static ps_code add_meta_keys(const ps_workload *workload, ps_idmap *seen, ps_error *err)
{
    for (size_t i = 0; i < workload->meta.head.count; i++) {
        const ps_str key = workload->meta.key[i];
        const uint32_t earlier = ps_idmap_get(seen, key);
        if (key == 0) {
            return ps_fail(err, PS_CHECK_FAILED, "meta %zu has no key", i);
        }
        if (earlier != PS_IDMAP_NONE) {
            return ps_fail(err, PS_CHECK_FAILED, "meta %zu repeats the key \"%s\" of meta %u", i,
                           ps_strings_text(workload->strings, key), earlier);
        }
        PS_TRY(ps_idmap_put(seen, key, (uint32_t)i, err));
    }
    return PS_OK;
}

static ps_code check_meta(const ps_workload *workload, ps_error *err)
{
    ps_idmap seen;
    ps_idmap_init(&seen);
    const ps_code code = add_meta_keys(workload, &seen, err);
    ps_idmap_fini(&seen);
    return code;
}

ps_code ps_workload_check(const ps_workload *workload, ps_error *err)
{
    PS_TRY(ps_workload_check_cells(workload, err));
    PS_TRY(check_blocks(workload, err));
    PS_TRY(check_axes(workload, err));
    PS_TRY(check_ops(workload, err));
    PS_TRY(check_events(workload, err));
    PS_TRY(check_steps(workload, err));
    return check_meta(workload, err);
}
