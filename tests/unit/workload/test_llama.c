/* SPDX-License-Identifier: MIT
 *
 * Every allocation and every end of one of two training steps of small
 * Llamas, in order and to the byte, as PyTorch itself made them on the
 * stand-in for CUDA (record.py, recorded/).
 */
#include "support/test.h"

#include <string.h>

#include "workload/adamw.h"
#include "workload/llama.h"

#define LINE_BYTES 64

/* The recording, read along while the model is built. */
typedef struct reading {
    FILE *file;
    const char *name;
    uint64_t line;

} reading;

static void next_line(reading *self, char text[LINE_BYTES])
{
    do {
        if (fgets(text, LINE_BYTES, self->file) == NULL) {
            fail_msg("%s ends at line %llu", self->name, (unsigned long long)self->line);
        }
        self->line++;
    } while (text[0] == '#');
    text[strcspn(text, "\n")] = '\0';
}

static void expect(reading *self, const char *made)
{
    char recorded[LINE_BYTES];
    next_line(self, recorded);
    if (strcmp(made, recorded) != 0) {
        fail_msg("%s line %llu: made \"%s\", recorded \"%s\"", self->name,
                 (unsigned long long)self->line, made, recorded);
    }
}

static ps_code on_alloc(void *context, uint32_t buffer, uint64_t bytes, ps_role role, ps_error *err)
{
    char made[LINE_BYTES];
    (void)buffer;
    (void)role;
    (void)err;
    (void)snprintf(made, sizeof made, "A %llu", (unsigned long long)bytes);
    expect(context, made);
    return PS_OK;
}

static ps_code on_free(void *context, uint32_t buffer, ps_error *err)
{
    char made[LINE_BYTES];
    (void)err;
    (void)snprintf(made, sizeof made, "F %u", buffer);
    expect(context, made);
    return PS_OK;
}

static ps_code on_kernel(void *context, const ps_eager_kernel *kernel, ps_error *err)
{
    (void)context;
    (void)err;
    assert_non_null(kernel->name);
    return PS_OK;
}

static void on_rename(void *context, uint32_t buffer, ps_role role)
{
    (void)context;
    (void)buffer;
    (void)role;
}

static ps_llama_shape read_shape(reading *from, int64_t *batch, int64_t *length)
{
    int64_t n[10] = {0};
    char text[256], *at = text + 1;
    assert_non_null(fgets(text, sizeof text, from->file));
    for (size_t i = 0; i < 10; i++) {
        n[i] = strtoll(at, &at, 10);
        assert_true(n[i] > 0 || i == 7);
    }
    from->line = 1;
    *batch = n[8];
    *length = n[9];
    return (ps_llama_shape){.layers = n[0],
                            .hidden = n[1],
                            .feed_forward = n[2],
                            .heads = n[3],
                            .kv_heads = n[4],
                            .head_width = n[5],
                            .vocabulary = n[6],
                            .is_tied = n[7] != 0,
                            .dtype = PS_DTYPE_BF16};
}

static void run_steps(ps_eager *eager, const ps_llama_shape *shape, int64_t batch, int64_t length)
{
    size_t count;
    ps_tensor ids = 0;
    ps_llama_output output = {0};
    ps_llama *model = ps_llama_create(eager, shape);
    assert_non_null(model);
    const ps_tensor *parameters = ps_llama_parameters(model, &count);
    ps_adamw *optimizer = ps_adamw_create(eager, parameters, count);
    assert_non_null(optimizer);
    for (int step = 0; step < 2; step++) {
        ps_llama_output next;
        ps_eager_assign(eager, &ids,
                        ps_eager_make(eager, batch * length, PS_DTYPE_I64, PS_ROLE_INPUT));
        ps_llama_forward(model, ids, batch, length, &next);
        ps_llama_drop_output(model, &output);
        output = next;
        ps_eager_backward(eager, output.loss);
        ps_adamw_step(optimizer);
        ps_adamw_zero_grad(optimizer);
    }
    free(output.cache);
    ps_adamw_destroy(optimizer);
    ps_llama_destroy(model);
}

static void is_as_recorded(void **state)
{
    char path[512];
    ps_error err = {0};
    int64_t batch, length;
    reading from = {.name = *state};
    (void)snprintf(path, sizeof path, "%s/tests/unit/workload/recorded/%s.txt", PS_TEST_SOURCE_DIR,
                   from.name);
    from.file = fopen(path, "r");
    assert_non_null(from.file);
    const ps_llama_shape shape = read_shape(&from, &batch, &length);
    const ps_eager_sink sink = {&from, on_alloc, on_free, on_kernel, on_rename};
    ps_eager *eager = ps_eager_create(&sink);
    assert_non_null(eager);
    ps_eager_set_workspace(eager, (uint64_t)32 << 20);
    ps_eager_set_device(eager, 132, 2048); /* what the stand-in says it has */
    run_steps(eager, &shape, batch, length);
    assert_ok(&err, ps_eager_code(eager, &err));
    ps_eager_destroy(eager);
    assert_int_equal(fclose(from.file), 0);
    assert_true(from.line > 1000);
}

int main(void)
{
    static char grouped[] = "grouped", plain[] = "plain", reduced[] = "reduced", tied[] = "tied",
                sorted[] = "sorted";
    const struct CMUnitTest tests[] = {
        {"two heads share a key", is_as_recorded, NULL, NULL, grouped},
        {"each head has its key", is_as_recorded, NULL, NULL, plain},
        {"sums of many rows", is_as_recorded, NULL, NULL, reduced},
        {"the head is the embedding", is_as_recorded, NULL, NULL, tied},
        {"many indices are sorted", is_as_recorded, NULL, NULL, sorted},
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
