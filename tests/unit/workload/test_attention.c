/* SPDX-License-Identifier: MIT
 *
 * scaled_dot_product_attention against what PyTorch 2.6 asked of its allocator, for many shapes,
 * types and devices (recorded/torch-2.6/attention.txt.gz, made by tests/workload/record_attention.py):
 * which kernel is picked, and every allocation of it in order and to the byte.
 */
#include "support/eager_sinks.h"
#include "support/test.h"

#include <inttypes.h>
#include <string.h>

#include "base/memory.h"
#include "base/source.h"
#include "workload/eager/eager_parts.h"
#include "workload/model/attention.h"

#define RECORDED PS_TEST_SOURCE_DIR "/tests/unit/workload/recorded/torch-2.6/attention.txt.gz"
#define MAX_TEXT ((size_t)8 << 20)
#define MAX_EVENTS 256
#define SHOWN_FAILURES 10

/* Bytes of an allocation, or minus the number of one that ends, minus 1. */
typedef struct events {
    int64_t at[MAX_EVENTS];
    size_t count, allocated;
    bool is_told;
} events;

/* One recorded call. */
typedef struct call {
    int64_t capability, multiprocessors;
    ps_dtype dtype;
    int64_t batch, heads, queries, keys, width;
    bool has_mask, is_causal;
    double dropout;
} call;

static void add(events *self, int64_t event)
{
    assert_true(self->count < MAX_EVENTS);
    self->at[self->count++] = event;
}

/* Ends between two allocations in the order of their tensors: no allocator can tell. */
static void settle(events *self)
{
    for (size_t i = 1; i < self->count; i++) {
        for (size_t k = i;
             k > 0 && self->at[k] < 0 && self->at[k - 1] < 0 && self->at[k] > self->at[k - 1];
             k--) {
            const int64_t event = self->at[k];
            self->at[k] = self->at[k - 1];
            self->at[k - 1] = event;
        }
    }
}

/* ---- the model ---- */

static uint32_t first_buffer; /* made before the call: not told */

static ps_code on_alloc(void *context, uint32_t buffer, uint64_t bytes, ps_role role, ps_error *err)
{
    events *self = context;
    (void)role;
    (void)err;
    if (self->is_told) {
        add(self, (int64_t)bytes);
    } else {
        first_buffer = buffer + 1;
    }
    return PS_OK;
}

static ps_code on_free(void *context, uint32_t buffer, ps_error *err)
{
    events *self = context;
    (void)err;
    if (self->is_told && buffer >= first_buffer) {
        add(self, -(int64_t)(buffer - first_buffer) - 1);
    }
    return PS_OK;
}

static ps_attention_call as_call(const call *of, ps_tensor mask)
{
    return (ps_attention_call){.shape = {.batch = of->batch,
                                         .heads = of->heads,
                                         .kv_heads = of->heads,
                                         .queries = of->queries,
                                         .keys = of->keys,
                                         .head_width = of->width},
                               .mask = mask,
                               .is_causal = of->is_causal,
                               .dropout = of->dropout};
}

/* contiguous() of a view by heads; with one head nothing moves */
static ps_tensor by_heads(ps_model *m, const call *of, const ps_attention_call *about,
                          ps_tensor leaf, ps_attention_part part)
{
    /* written out, the key's gradient comes transposed: a leaf, unlike a view, lays it in rows */
    const bool is_turned =
        part == PS_ATTENTION_KEY && ps_attention_pick(m, of->dtype, about) == PS_ATTENTION_MATH;
    const bool is_copied = is_turned || ps_attention_returns_by_heads(m, of->dtype, about, part);
    ps_tensor view = ps_op_view(m->e, leaf, ps_eager_elements(m->e, leaf), is_copied);
    const ps_tensor own = of->heads > 1 ? ps_op_copy(m->e, view) : ps_eager_hold(m->e, view);
    ps_eager_clear(m->e, &view);
    return own;
}

static void run(ps_model *m, const call *of, events *made)
{
    const int64_t length[3] = {of->queries, of->keys, of->keys};
    ps_tensor leaf[3], own[3];
    for (int i = 0; i < 3; i++) {
        leaf[i] = ps_eager_make(m->e, of->batch * length[i] * of->heads * of->width, of->dtype,
                                PS_ROLE_PARAMETER);
        ps_eager_require_grad(m->e, leaf[i]);
    }
    const ps_tensor mask = of->has_mask ? ps_eager_make(m->e, of->batch * of->queries * of->keys,
                                                        of->dtype, PS_ROLE_INPUT)
                                        : 0;
    const ps_attention_call about = as_call(of, mask);
    made->is_told = true;
    for (int i = 0; i < 3; i++) {
        own[i] = by_heads(m, of, &about, leaf[i], (ps_attention_part)i);
    }
    ps_tensor out = ps_attention_run(m, own[0], own[1], own[2], &about);
    for (int i = 0; i < 3; i++) {
        ps_eager_clear(m->e, &own[i]);
    }
    ps_eager_backward(m->e, out);
    ps_eager_clear(m->e, &out);
}

static void make(const call *of, events *made)
{
    const ps_eager_sink sink = {.context = made,
                                .alloc = on_alloc,
                                .free = on_free,
                                .kernel = deaf_kernel,
                                .rename = deaf_rename};
    const ps_recipe recipe = ps_recipe_default();
    ps_model m = {.e = ps_eager_create(&sink), .recipe = &recipe};
    ps_error err = {0};
    assert_non_null(m.e);
    memset(made, 0, sizeof *made);
    ps_eager_set_device(m.e, of->multiprocessors, 2048);
    ps_eager_set_capability(m.e, of->capability);
    ps_eager_set_release(m.e, 206);
    run(&m, of, made);
    assert_ok(&err, ps_eager_code(m.e, &err));
    settle(made);
    ps_eager_destroy(m.e);
}

/* ---- the recording ---- */

static char *read_text(void)
{
    ps_error err = {0};
    ps_source *source = NULL;
    char *text = ps_calloc(1, MAX_TEXT + 1);
    size_t got = 0;
    assert_non_null(text);
    assert_ok(&err, ps_source_open(RECORDED, &source, &err));
    assert_ok(&err, ps_source_read(source, text, MAX_TEXT, &got, &err));
    assert_true(got > 0 && got < MAX_TEXT);
    ps_source_close(source);
    return text;
}

static ps_dtype dtype_of(const char *word)
{
    return strcmp(word, "float32") == 0   ? PS_DTYPE_F32
           : strcmp(word, "float16") == 0 ? PS_DTYPE_F16
                                          : PS_DTYPE_BF16;
}

static void read_events(const char *at, events *out)
{
    memset(out, 0, sizeof *out);
    for (int used = 0; *at != '\0'; at += used) {
        char word[32];
        if (sscanf(at, "%31s%n", word, &used) != 1) {
            break;
        }
        int64_t value = 0;
        assert_int_equal(sscanf(word[0] == '-' ? word + 1 : word, "%" SCNd64, &value), 1);
        add(out, word[0] == '-' ? -value - 1 : value);
    }
    settle(out);
}

static void read_call(const char *line, call *of, events *recorded)
{
    char dtype[16];
    int major = 0, minor = 0, has_mask = 0, is_causal = 0, used = 0;
    const int fields =
        sscanf(line,
               "%d.%d %" SCNd64 " %15s %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64
               " %d %lf %d :%n",
               &major, &minor, &of->multiprocessors, dtype, &of->batch, &of->heads, &of->queries,
               &of->keys, &of->width, &has_mask, &of->dropout, &is_causal, &used);
    assert_int_equal(fields, 12);
    of->capability = 10 * major + minor;
    of->dtype = dtype_of(dtype);
    of->has_mask = has_mask != 0;
    of->is_causal = is_causal != 0;
    read_events(line + used, recorded);
}

static bool are_equal(const events *a, const events *b)
{
    return a->count == b->count && memcmp(a->at, b->at, a->count * sizeof a->at[0]) == 0;
}

static void show(const char *title, const events *of)
{
    (void)fprintf(stderr, "  %s", title);
    for (size_t i = 0; i < of->count; i++) {
        (void)fprintf(stderr, " %" PRId64, of->at[i]);
    }
    (void)fprintf(stderr, "\n");
}

static void test_every_call_equals_its_recording(void **state)
{
    (void)state;
    char *text = read_text();
    size_t calls = 0, failures = 0;
    for (char *line = text, *next; *line != '\0'; line = next) {
        static events made, recorded;
        call of;
        next = strchr(line, '\n');
        assert_non_null(next);
        *next++ = '\0';
        read_call(line, &of, &recorded);
        make(&of, &made);
        calls++;
        if (!are_equal(&made, &recorded) && failures++ < SHOWN_FAILURES) {
            (void)fprintf(stderr, "%.60s\n", line);
            show("made    ", &made);
            show("recorded", &recorded);
        }
    }
    ps_free(text);
    assert_true(calls > 1000);
    assert_int_equal(failures, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_call_equals_its_recording),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
