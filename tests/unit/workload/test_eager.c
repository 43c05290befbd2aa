/* SPDX-License-Identifier: MIT
 *
 * Who owns what in the eager model: the rules that sequences rest on, one by
 * one, and that nothing is left when all owners are gone.
 */
#include "support/eager_sinks.h"
#include "support/test.h"

#include <string.h>

#include "workload/eager/eager.h"
#include "workload/eager/ops.h"
#include "workload/eager/reduce.h"

#define MAX_BUFFERS 256

/* What is live, and the most that ever was. */
typedef struct ledger {
    uint64_t bytes[MAX_BUFFERS], live, peak;
    uint32_t count, live_count;
    ps_role role[MAX_BUFFERS];
} ledger;

static ps_code on_alloc(void *context, uint32_t buffer, uint64_t bytes, ps_role role, ps_error *err)
{
    ledger *self = context;
    if (buffer >= MAX_BUFFERS) {
        return ps_fail(err, PS_LIMIT, "too many buffers for this test");
    }
    self->bytes[buffer] = bytes;
    self->role[buffer] = role;
    self->live += bytes;
    self->peak = self->live > self->peak ? self->live : self->peak;
    self->count++;
    self->live_count++;
    return PS_OK;
}

static ps_code on_free(void *context, uint32_t buffer, ps_error *err)
{
    ledger *self = context;
    (void)err;
    assert_true(self->live_count > 0);
    self->live -= self->bytes[buffer];
    self->live_count--;
    return PS_OK;
}

static void on_rename(void *context, uint32_t buffer, ps_role role)
{
    ((ledger *)context)->role[buffer] = role;
}

static ps_eager *open_eager(ledger *book)
{
    memset(book, 0, sizeof *book);
    const ps_eager_sink sink = {.context = book,
                                .alloc = on_alloc,
                                .free = on_free,
                                .kernel = deaf_kernel,
                                .rename = on_rename};
    ps_eager *eager = ps_eager_create(&sink);
    assert_non_null(eager);
    return eager;
}

static ps_tensor leaf(ps_eager *eager, int64_t elements)
{
    const ps_tensor made = ps_eager_make(eager, elements, PS_DTYPE_F32, PS_ROLE_PARAMETER);
    ps_eager_require_grad(eager, made);
    return made;
}

static void a_storage_lives_as_long_as_its_views(void **state)
{
    ledger book;
    (void)state;
    ps_eager *eager = open_eager(&book);
    ps_tensor a = ps_eager_make(eager, 10, PS_DTYPE_F32, PS_ROLE_INPUT);
    ps_tensor view = ps_op_view(eager, a, 10, false);
    ps_eager_clear(eager, &a);
    assert_int_equal(book.live, 40);
    ps_eager_clear(eager, &view);
    assert_int_equal(book.live, 0);
    ps_eager_destroy(eager);
}

static void saved_tensors_live_until_backward(void **state)
{
    ledger book;
    (void)state;
    ps_eager *eager = open_eager(&book);
    ps_tensor w = leaf(eager, 1), x = ps_eager_make(eager, 1, PS_DTYPE_F32, PS_ROLE_INPUT);
    ps_tensor y = ps_op_mul(eager, w, x);
    ps_eager_clear(eager, &x);
    assert_int_equal(book.live, 12); /* w, x for w's gradient, y */
    ps_eager_backward(eager, y);
    ps_eager_clear(eager, &y);
    assert_int_equal(book.live, 8); /* w and its gradient */
    assert_int_not_equal(ps_eager_grad(eager, w), 0);
    ps_eager_forget_grad(eager, w);
    ps_eager_clear(eager, &w);
    assert_int_equal(book.live_count, 0);
    assert_int_equal(ps_eager_code(eager, NULL), PS_OK);
    ps_eager_destroy(eager);
}

static void a_graph_dies_with_its_result(void **state)
{
    ledger book;
    (void)state;
    ps_eager *eager = open_eager(&book);
    ps_tensor w = leaf(eager, 4), y = ps_op_power(eager, w);
    for (int i = 0; i < 50; i++) {
        ps_eager_assign(eager, &y, ps_op_power(eager, y));
    }
    assert_int_equal(book.live_count, 52);
    ps_eager_clear(eager, &y);
    assert_int_equal(book.live_count, 1);
    ps_eager_clear(eager, &w);
    ps_eager_destroy(eager);
}

static void without_grad_nothing_is_kept(void **state)
{
    ledger book;
    (void)state;
    ps_eager *eager = open_eager(&book);
    ps_tensor w = leaf(eager, 4);
    assert_true(ps_eager_set_grad_mode(eager, false));
    ps_tensor y = ps_op_power(eager, w);
    for (int i = 0; i < 50; i++) {
        ps_eager_assign(eager, &y, ps_op_power(eager, y));
    }
    assert_int_equal(book.live_count, 2);
    assert_int_equal(book.peak, 3 * 16);
    ps_eager_destroy(eager);
}

/* Two uses of one value: the second gradient goes into the first when nobody else sees it. */
static void gradients_meet_in_place(void **state)
{
    ledger book;
    (void)state;
    ps_eager *eager = open_eager(&book);
    ps_tensor w = leaf(eager, 1), h = ps_op_neg(eager, w);
    ps_tensor a = ps_op_neg(eager, h), b = ps_op_neg(eager, h), y = ps_op_add(eager, a, b);
    const uint32_t before = book.count;
    ps_eager_backward(eager, y);
    /* ones, one of each neg; the sum takes nothing new */
    assert_int_equal(book.count - before, 4);
    assert_int_equal(book.role[book.count - 1], PS_ROLE_GRADIENT);
    ps_eager_destroy(eager);
}

static void a_second_backward_adds_in_place(void **state)
{
    ledger book;
    (void)state;
    ps_eager *eager = open_eager(&book);
    ps_tensor w = leaf(eager, 1);
    for (int i = 0; i < 3; i++) {
        ps_tensor y = ps_op_neg(eager, w);
        ps_eager_backward(eager, y);
        ps_eager_clear(eager, &y);
        assert_int_equal(book.live_count, 2);
    }
    ps_eager_destroy(eager);
}

static void a_failure_stops_everything(void **state)
{
    ledger book;
    (void)state;
    ps_eager *eager = open_eager(&book);
    ps_tensor w = leaf(eager, 1), y = ps_op_neg(eager, w);
    for (int i = 0; i < 2 * MAX_BUFFERS; i++) {
        y = ps_op_neg(eager, y == 0 ? w : y);
    }
    ps_error err = {0};
    assert_int_equal(ps_eager_code(eager, &err), PS_LIMIT);
    assert_string_equal(err.message, "too many buffers for this test");
    ps_eager_backward(eager, y);
    ps_eager_destroy(eager);
}

/* Sizes seen in recordings of PyTorch on a device of 132 multiprocessors. */
static void sums_of_many_rows_meet_in_a_buffer(void **state)
{
    (void)state;
    const ps_reduce_device device = {132, 2048};
    ps_reduce_memory need = ps_reduce_rows(1500, 192, device);
    assert_int_equal(need.partial_bytes, 2359296);
    assert_int_equal(need.counter_bytes, 8);
    need = ps_reduce_rows(16384, 96, device);
    assert_int_equal(need.partial_bytes, 3145728);
    assert_int_equal(need.counter_bytes, 8);
    need = ps_reduce_rows(260, 192, device);
    assert_int_equal(need.partial_bytes, 0);
    need = ps_reduce_rows(1, 1, device);
    assert_int_equal(need.partial_bytes, 0);
}

/* Sizes that backward of a layer norm asked for, beside ones_like first: by PyTorch 2.6 and 2.11. */
static void check_layer_norm(int64_t release, int64_t sm_count, const int64_t size[2],
                             const uint64_t *bytes, uint32_t count)
{
    ledger book;
    ps_eager *eager = open_eager(&book);
    ps_eager_set_device(eager, sm_count, 2048);
    ps_eager_set_release(eager, release);
    const ps_tensor x = leaf(eager, size[0] * size[1]);
    const ps_tensor weight = leaf(eager, size[1]), bias = leaf(eager, size[1]);
    ps_tensor y = ps_op_layer_norm(eager, x, weight, bias, size[1], false);
    const uint32_t first = book.count + 1;
    ps_eager_backward(eager, y);
    assert_int_equal(book.count - first, count);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(book.bytes[first + i], bytes[i]);
    }
    ps_eager_clear(eager, &y);
    assert_int_equal(book.live_count, 6);
    ps_eager_destroy(eager);
}

static void many_rows_of_a_layer_norm_are_added_in_parts(void **state)
{
    (void)state;
    const int64_t wide[2] = {70000, 768}, narrow[2] = {65537, 240}, few[2] = {65536, 240};
    const uint64_t wide_bytes[] = {215040000, 3072, 3072, 4193280, 4193280, 3072,
                                   8650752,   24,   3072, 8650752, 24};
    const uint64_t narrow_bytes[] = {62915520, 960, 960, 1967040, 1967040, 960,
                                     4055040,  8,   960, 4055040, 8};
    const uint64_t few_bytes[] = {62914560, 960, 960};
    check_layer_norm(211, 132, wide, wide_bytes, 11);
    check_layer_norm(211, 132, narrow, narrow_bytes, 11);
    check_layer_norm(211, 132, few, few_bytes, 3);
    check_layer_norm(211, 28, wide, wide_bytes, 3); /* blocks of columns fill a small device */
    check_layer_norm(206, 132, wide, wide_bytes, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_storage_lives_as_long_as_its_views),
        cmocka_unit_test(saved_tensors_live_until_backward),
        cmocka_unit_test(a_graph_dies_with_its_result),
        cmocka_unit_test(without_grad_nothing_is_kept),
        cmocka_unit_test(gradients_meet_in_place),
        cmocka_unit_test(a_second_backward_adds_in_place),
        cmocka_unit_test(a_failure_stops_everything),
        cmocka_unit_test(sums_of_many_rows_meet_in_a_buffer),
        cmocka_unit_test(many_rows_of_a_layer_norm_are_added_in_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
