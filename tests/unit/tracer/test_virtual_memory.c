/* SPDX-License-Identifier: MIT
 *
 * Watched driver calls become rows when they return well, and only then.
 */
#include "support/test.h"

#include <string.h>
#include <time.h>

#include "virtual_memory.h"

/* CUpti_driver_api_trace_cbid */
enum { CREATE = 549, RELEASE = 550, MAP = 551, UNMAP = 552 };

/* As CUPTI gives it. */
typedef struct call_data {
    uint32_t site;
    const char *function_name;
    const void *parameters;
    const void *return_value;
} call_data;

typedef struct watch {
    ps_virtual_memory memory;
    ps_marks *marks;
    ps_trace *rows;
} watch;

static int open_watch(void **state)
{
    static watch self;
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    self.marks = ps_marks_create();
    self.rows = ps_trace_create();
    ps_virtual_memory_init(&self.memory, (ps_ns)now.tv_sec * 1000000000);
    *state = &self;
    return self.marks != NULL && self.rows != NULL ? 0 : -1;
}

static int close_watch(void **state)
{
    watch *self = *state;
    ps_marks_destroy(self->marks);
    ps_trace_destroy(self->rows);
    return 0;
}

static void call(watch *self, uint32_t id, uint32_t result, const void *parameters)
{
    const call_data data = {1, "cuMem", parameters, &result};
    ps_virtual_memory_call(&self->memory, self->marks, id, &data);
}

static void assert_memory(const watch *self, size_t row, uint8_t action, uint32_t device,
                          uint64_t addr, uint64_t bytes)
{
    const ps_driver_memory_table *memory = &self->rows->driver_memory;
    assert_int_equal(memory->action[row], action);
    assert_int_equal(memory->device[row], device);
    assert_int_equal(memory->addr[row], addr);
    assert_int_equal(memory->bytes[row], bytes);
    assert_true(memory->time_ns[row] >= 0 && memory->time_ns[row] < INT64_C(600000000000));
}

static void calls_that_return_well_make_rows(void **state)
{
    watch *self = *state;
    const uint64_t handle = 0xabc;
    const uint32_t on_device[6] = {1, 0, 1, 5}, on_host[6] = {1, 0, 2, 5};
    const struct {
        const uint64_t *handle;
        uint64_t bytes;
        const void *properties;
        uint64_t flags;
    } create = {&handle, 2097152, on_device, 0}, create_host = {&handle, 4096, on_host, 0};
    const uint64_t map[] = {0x7000, 2097152, 0, 0xabc, 0}, unmap[] = {0x7000, 2097152};
    call(self, CREATE, 0, &create);
    call(self, CREATE, 0, &create_host);
    call(self, MAP, 0, map);
    call(self, UNMAP, 0, unmap);
    call(self, RELEASE, 0, &handle);
    call(self, CREATE - 1, 0, map); /* not watched */
    call(self, UNMAP + 1, 0, map);
    assert_true(ps_marks_swap(self->marks, &self->rows));
    assert_int_equal(self->rows->driver_memory.head.count, 5);
    assert_memory(self, 0, PS_DRIVER_CREATE, 5, 0xabc, 2097152);
    assert_memory(self, 1, PS_DRIVER_CREATE, 0, 0xabc, 4096);
    assert_memory(self, 2, PS_DRIVER_MAP, 0, 0x7000, 2097152);
    assert_memory(self, 3, PS_DRIVER_UNMAP, 0, 0x7000, 2097152);
    assert_memory(self, 4, PS_DRIVER_RELEASE, 0, 0xabc, 0);
}

static void entries_and_failures_make_none(void **state)
{
    watch *self = *state;
    const uint64_t map[] = {0x7000, 2097152, 0, 0xabc, 0};
    const uint32_t well = 0;
    const call_data entry = {0, "cuMemMap", map, &well}, no_result = {1, "cuMemMap", map, NULL},
                    no_parameters = {1, "cuMemMap", NULL, &well};
    call(self, MAP, 2, map); /* out of memory */
    call(self, CREATE, 2, NULL);
    ps_virtual_memory_call(&self->memory, self->marks, MAP, &entry);
    ps_virtual_memory_call(&self->memory, self->marks, MAP, &no_result);
    ps_virtual_memory_call(&self->memory, self->marks, MAP, &no_parameters);
    assert_false(ps_marks_swap(self->marks, &self->rows));
}

static uint32_t enabled[8];
static size_t enabled_count;

static int enable(uint32_t is_on, void *subscriber, uint32_t domain, uint32_t id)
{
    assert_int_equal(is_on, 1);
    assert_ptr_equal(subscriber, enabled);
    assert_int_equal(domain, PS_CUPTI_DOMAIN_DRIVER);
    assert_true(enabled_count < 8);
    enabled[enabled_count++] = id;
    return PS_CUPTI_SUCCESS;
}

static void the_four_calls_are_asked_for(void **state)
{
    watch *self = *state;
    static const ps_cupti_api none;
    const ps_cupti_api cupti = {.enable_callback = enable};
    static const uint32_t expected[] = {CREATE, RELEASE, MAP, UNMAP};
    ps_virtual_memory_enable(&self->memory, &none, NULL); /* an old CUPTI: nothing to ask */
    ps_virtual_memory_enable(&self->memory, &cupti, enabled);
    assert_int_equal(enabled_count, 4);
    assert_memory_equal(enabled, expected, sizeof expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(calls_that_return_well_make_rows, open_watch, close_watch),
        cmocka_unit_test_setup_teardown(entries_and_failures_make_none, open_watch, close_watch),
        cmocka_unit_test_setup_teardown(the_four_calls_are_asked_for, open_watch, close_watch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
