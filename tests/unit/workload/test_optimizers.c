/* SPDX-License-Identifier: MIT
 *
 * Optimizers by formula: what they keep, what they need for a moment, what
 * they launch. Those of torch.optim and transformers are also held against
 * recordings, to the byte (sequences.c).
 */
#include "support/test.h"

#include <string.h>

#include "workload/eager/eager_parts.h"
#include "workload/optimizer/optimizer.h"
#include "workload/script/masters.h"
#include "workload/script/train.h"

#define MAX_BUFFERS 65536
#define MAX_KERNELS 65536

/* What is live by role, the most that ever was, and the kernels. */
typedef struct ledger {
    uint64_t bytes[MAX_BUFFERS];
    ps_role role[MAX_BUFFERS];
    uint64_t live, peak, of_role[PS_ROLE_COUNT], most_grad;
    uint64_t launches[MAX_KERNELS], moved[MAX_KERNELS];
    const char *name[MAX_KERNELS];
    size_t kernels;
} ledger;

static ledger book;

static void count_role(ps_role role, uint64_t bytes, bool is_more)
{
    book.of_role[role] += is_more ? bytes : 0 - bytes;
    if (book.of_role[PS_ROLE_GRADIENT] > book.most_grad) {
        book.most_grad = book.of_role[PS_ROLE_GRADIENT];
    }
}

static ps_code on_alloc(void *context, uint32_t buffer, uint64_t bytes, ps_role role, ps_error *err)
{
    (void)context;
    if (buffer >= MAX_BUFFERS) {
        return ps_fail(err, PS_LIMIT, "too many buffers for this test");
    }
    book.bytes[buffer] = bytes;
    book.role[buffer] = role;
    count_role(role, bytes, true);
    book.live += bytes;
    book.peak = book.live > book.peak ? book.live : book.peak;
    return PS_OK;
}

static ps_code on_free(void *context, uint32_t buffer, ps_error *err)
{
    (void)context;
    (void)err;
    count_role(book.role[buffer], book.bytes[buffer], false);
    book.live -= book.bytes[buffer];
    return PS_OK;
}

static ps_code on_kernel(void *context, const ps_eager_kernel *kernel, ps_error *err)
{
    (void)context;
    if (book.kernels >= MAX_KERNELS) {
        return ps_fail(err, PS_LIMIT, "too many kernels for this test");
    }
    book.name[book.kernels] = kernel->name;
    book.moved[book.kernels] = kernel->moved_bytes;
    book.launches[book.kernels++] = kernel->launches;
    return PS_OK;
}

static void on_rename(void *context, uint32_t buffer, ps_role role)
{
    (void)context;
    count_role(book.role[buffer], book.bytes[buffer], false);
    count_role(role, book.bytes[buffer], true);
    book.role[buffer] = role;
}

static const ps_eager_sink sink = {
    .context = NULL, .alloc = on_alloc, .free = on_free, .kernel = on_kernel, .rename = on_rename};

/* ---- a model that is parameters alone ---- */

/* A tall matrix of a linear module, an embedding, a vector. */
enum { TALL = 96, NARROW = 64, WORDS = 50, VECTOR = 7 };
enum { LINEAR = TALL * NARROW, EMBEDDING = WORDS * NARROW, ALL = LINEAR + EMBEDDING + VECTOR };

static ps_model open_model(const ps_recipe *recipe)
{
    memset(&book, 0, sizeof book);
    ps_model m = {.e = ps_eager_create(&sink), .recipe = recipe};
    assert_non_null(m.e);
    ps_eager_set_device(m.e, 132, 2048);
    return m;
}

static ps_model open_three(const ps_recipe *recipe)
{
    ps_model m = open_model(recipe);
    (void)ps_model_weight(&m, TALL, NARROW);
    (void)ps_model_matrix(&m, WORDS, NARROW);
    (void)ps_model_parameter(&m, VECTOR);
    return m;
}

static void close_model(ps_model *m)
{
    ps_eager_destroy(m->e);
    free(m->parameter);
    free(m->shape);
    free(m->every);
    free(m->every_shape);
}

static void give_grads(const ps_model *m)
{
    for (size_t i = 0; i < m->parameter_count; i++) {
        const ps_tensor of = m->parameter[i];
        ps_eager_set_grad(m->e, of,
                          ps_eager_make(m->e, ps_eager_elements(m->e, of), ps_eager_dtype(m->e, of),
                                        PS_ROLE_TEMPORARY));
    }
}

static ps_optimizer *open_optimizer(const ps_model *m)
{
    ps_optimizer *optimizer;
    ps_error err = {0};
    assert_ok(&err, ps_optimizer_create(m, &optimizer, &err));
    return optimizer;
}

/* What one optimizer is, with parameters of `dtype`. */
typedef struct expected {
    const char *word;
    ps_optimizer_style style;
    ps_dtype dtype;
    int64_t rank;
    uint64_t state_bytes;     /* after the first step */
    uint64_t temporary_bytes; /* the most at once in a later step, above all that stays */
} expected;

/* A later step ends with what it began with. */
static void check_one(const expected *of)
{
    ps_recipe recipe = ps_recipe_default();
    recipe.optimizer = of->word;
    recipe.style = of->style;
    recipe.parameters = of->dtype;
    recipe.optimizer_rank = of->rank;
    ps_model m = open_three(&recipe);
    ps_optimizer *optimizer = open_optimizer(&m);
    give_grads(&m);
    ps_optimizer_step(optimizer);
    assert_int_equal(book.of_role[PS_ROLE_OPTIMIZER_STATE], of->state_bytes);
    const uint64_t before = book.live;
    book.peak = before;
    ps_optimizer_step(optimizer);
    assert_int_equal(book.live, before);
    assert_int_equal(book.of_role[PS_ROLE_OPTIMIZER_STATE], of->state_bytes);
    assert_int_equal(book.peak - before, of->temporary_bytes);
    ps_optimizer_zero_grad(optimizer);
    assert_int_equal(book.of_role[PS_ROLE_GRADIENT], 0);
    assert_int_equal(ps_eager_code(m.e, NULL), PS_OK);
    ps_optimizer_destroy(optimizer);
    close_model(&m);
}

static void states_and_temporaries_follow_formulas(void **state)
{
    enum {
        RANK = 8,
        LOW = TALL * RANK,
        /* moments of the matrix are of a low rank, those of the others whole */
        LOW_MOMENTS = 2 * (LOW + EMBEDDING + VECTOR),
        TABLES = 2 * 256 * 4,
        BLOCKS_BYTES = 2 * (LINEAR / 256) * 4,
    };
    static const expected rows[] = {
        {"adamw", PS_OPTIMIZER_AUTO, PS_DTYPE_F32, 0, 2 * 4 * ALL, 4 * ALL},
        {"adamw", PS_OPTIMIZER_FOREACH, PS_DTYPE_BF16, 0, 2 * 2 * ALL, 2 * ALL},
        {"adam", PS_OPTIMIZER_FUSED, PS_DTYPE_F32, 0, 2 * 4 * ALL + 3 * 4, 0},
        /* a root and a quotient, and the quotient of the parameter before */
        {"adamw", PS_OPTIMIZER_LOOP, PS_DTYPE_F32, 0, 2 * 4 * ALL, 4 * (LINEAR + 2 * EMBEDDING)},
        {"sgd", PS_OPTIMIZER_AUTO, PS_DTYPE_F32, 0, 0, 0},
        {"momentum", PS_OPTIMIZER_AUTO, PS_DTYPE_BF16, 0, 2 * ALL, 0},
        {"rmsprop", PS_OPTIMIZER_AUTO, PS_DTYPE_F32, 0, 4 * ALL, 4 * ALL},
        {"adagrad", PS_OPTIMIZER_AUTO, PS_DTYPE_F32, 0, 4 * ALL, 2 * 4 * ALL},
        /* the matrix of 6144 elements alone is large enough for one byte an element */
        {"adamw-8bit", PS_OPTIMIZER_AUTO, PS_DTYPE_F32, 0,
         2 * LINEAR + BLOCKS_BYTES + TABLES + 2 * 4 * (EMBEDDING + VECTOR), 0},
        {"adamw-8bit", PS_OPTIMIZER_AUTO, PS_DTYPE_BF16, 0,
         2 * LINEAR + BLOCKS_BYTES + TABLES + 2 * 4 * (EMBEDDING + VECTOR), 0},
        /* in 32 bits the directions are a view that keeps all of them; the full update twice */
        {"galore", PS_OPTIMIZER_AUTO, PS_DTYPE_F32, RANK, 4 * (LOW_MOMENTS + NARROW * NARROW),
         4 * (3 * LOW + 2 * LINEAR)},
        {"galore", PS_OPTIMIZER_AUTO, PS_DTYPE_BF16, RANK, 2 * (LOW_MOMENTS + NARROW * RANK),
         2 * (3 * LOW + 2 * LINEAR)},
        /* directions of their own, and a number: the gradient scaled, and limited into another */
        {"apollo", PS_OPTIMIZER_AUTO, PS_DTYPE_BF16, RANK, 2 * (LOW_MOMENTS + NARROW * RANK + 1),
         2 * (3 * LOW + 2 * LINEAR)},
        {"apollo-mini", PS_OPTIMIZER_AUTO, PS_DTYPE_F32, 0,
         4 * (2 * (TALL + EMBEDDING + VECTOR) + NARROW + 1), 4 * (3 * TALL + 2 * LINEAR)},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_one(&rows[i]);
    }
}

/* 2 bytes of weights, 4 of copies, 8 of moments, and for a while 4 of gradients, a parameter. */
static void masters_follow_formulas(void **state)
{
    ps_recipe recipe = ps_recipe_default();
    ps_masters masters;
    ps_error err = {0};
    (void)state;
    recipe.parameters = PS_DTYPE_BF16;
    recipe.has_masters = true;
    ps_model m = open_three(&recipe);
    assert_ok(&err, ps_masters_make(&masters, &m, &err));
    assert_int_equal(book.of_role[PS_ROLE_OPTIMIZER_STATE], 4 * ALL);
    assert_int_equal(book.live, (2 + 4) * ALL);
    /* the clone of the embedding beside its copy */
    assert_int_equal(book.peak, 2 * ALL + 4 * (LINEAR + EMBEDDING) + 2 * EMBEDDING);
    ps_optimizer *optimizer = open_optimizer(&masters.of);
    give_grads(&m);
    assert_int_equal(book.of_role[PS_ROLE_GRADIENT], 2 * ALL);
    ps_masters_take_grads(&masters);
    assert_int_equal(book.of_role[PS_ROLE_GRADIENT], 4 * ALL);
    assert_int_equal(book.most_grad, 4 * (LINEAR + EMBEDDING) + 2 * (EMBEDDING + VECTOR));
    ps_optimizer_step(optimizer);
    assert_int_equal(book.of_role[PS_ROLE_OPTIMIZER_STATE], (4 + 2 * 4) * ALL);
    const size_t kernels = book.kernels;
    ps_masters_write_back(&masters);
    assert_int_equal(book.kernels, kernels + 3);
    assert_int_equal(book.moved[kernels], (4 + 2) * LINEAR);
    ps_optimizer_zero_grad(optimizer);
    assert_int_equal(book.live, (2 + 4 + 2 * 4) * ALL);
    ps_optimizer_destroy(optimizer);
    ps_masters_fini(&masters);
    close_model(&m);
}

static void masters_need_gradients_of_16_bits(void **state)
{
    static const struct {
        ps_dtype parameters;
        int64_t lora_rank;
        const char *optimizer;
        ps_train_policy policy;
    } refused[] = {
        {PS_DTYPE_F32, 0, "adamw", PS_TRAIN_POLICY_NONE},
        {PS_DTYPE_BF16, 4, "adamw", PS_TRAIN_POLICY_NONE},
        {PS_DTYPE_BF16, 0, "lomo", PS_TRAIN_POLICY_NONE},
        {PS_DTYPE_BF16, 0, "mezo", PS_TRAIN_POLICY_NONE},
        {PS_DTYPE_BF16, 0, "adamw", PS_TRAIN_POLICY_GEMINI},
    };
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        ps_recipe recipe = ps_recipe_default();
        ps_error err = {0};
        recipe.parameters = refused[i].parameters;
        recipe.lora_rank = refused[i].lora_rank;
        recipe.optimizer = refused[i].optimizer;
        recipe.policy = refused[i].policy;
        assert_int_equal(ps_masters_check(&recipe, &err), PS_OK);
        recipe.has_masters = true;
        assert_int_equal(ps_masters_check(&recipe, &err), PS_USAGE);
    }
}

/* Of a matrix one number a row and one a column, whatever its size. */
static void factored_states_are_vectors(void **state)
{
    static const char *const words[] = {"adafactor", "hf-adafactor"};
    const uint64_t factors = TALL + NARROW + WORDS + NARROW + VECTOR;
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        ps_recipe recipe = ps_recipe_default();
        recipe.optimizer = words[i];
        recipe.parameters = PS_DTYPE_BF16;
        ps_model m = open_three(&recipe);
        ps_optimizer *optimizer = open_optimizer(&m);
        give_grads(&m);
        ps_optimizer_step(optimizer);
        /* torch keeps them in the parameters' type, transformers in 32 bits */
        assert_int_equal(book.of_role[PS_ROLE_OPTIMIZER_STATE], (i == 0 ? 2 : 4) * factors);
        ps_optimizer_destroy(optimizer);
        close_model(&m);
    }
}

static void parameters_without_gradient_are_passed_over(void **state)
{
    ps_recipe recipe = ps_recipe_default();
    (void)state;
    ps_model m = open_three(&recipe);
    ps_optimizer *optimizer = open_optimizer(&m);
    give_grads(&m);
    ps_eager_forget_grad(m.e, m.parameter[0]);
    ps_optimizer_step(optimizer);
    assert_int_equal(book.of_role[PS_ROLE_OPTIMIZER_STATE], 2 * 4 * (EMBEDDING + VECTOR));
    give_grads(&m); /* the first one's, and new ones of the others */
    ps_optimizer_step(optimizer);
    assert_int_equal(book.of_role[PS_ROLE_OPTIMIZER_STATE], 2 * 4 * ALL);
    ps_optimizer_destroy(optimizer);
    close_model(&m);
}

/* ---- kernels ---- */

static size_t first_kernel_after(size_t at, const char *name)
{
    while (at < book.kernels && strcmp(book.name[at], name) != 0) {
        at++;
    }
    assert_true(at < book.kernels);
    return at;
}

/* 200 vectors: a launch holds 110 tensors of one list, 96 with scalars, 64 of two, 48 of three. */
static void a_row_is_a_multi_tensor_call(void **state)
{
    enum { COUNT = 200, ELEMENTS = 1000 };
    static const struct {
        const char *name;
        uint64_t launches, passes;
    } calls[] = {
        {"foreach_mul", 2, 2},     {"foreach_lerp", 4, 3},    {"foreach_mul", 2, 2},
        {"foreach_addcmul", 5, 3}, {"foreach_sqrt", 4, 2},    {"foreach_div", 3, 2},
        {"foreach_add", 2, 2},     {"foreach_addcdiv", 5, 4},
    };
    ps_recipe recipe = ps_recipe_default();
    (void)state;
    ps_model m = open_model(&recipe);
    for (int i = 0; i < COUNT; i++) {
        (void)ps_model_parameter(&m, ELEMENTS);
    }
    ps_optimizer *optimizer = open_optimizer(&m);
    give_grads(&m);
    ps_optimizer_step(optimizer);
    size_t at = first_kernel_after(0, "foreach_mul");
    assert_int_equal(book.kernels - at, sizeof calls / sizeof calls[0]);
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++, at++) {
        assert_string_equal(book.name[at], calls[i].name);
        assert_int_equal(book.launches[at], calls[i].launches);
        assert_int_equal(book.moved[at], calls[i].passes * 4 * COUNT * ELEMENTS);
    }
    ps_optimizer_destroy(optimizer);
    close_model(&m);
}

/* One matrix of 321 chunks does not fit a launch of 320 blocks. */
static void a_large_tensor_is_cut(void **state)
{
    ps_recipe recipe = ps_recipe_default();
    recipe.optimizer = "sgd";
    (void)state;
    ps_model m = open_model(&recipe);
    (void)ps_model_matrix(&m, 321, 65536);
    ps_optimizer *optimizer = open_optimizer(&m);
    give_grads(&m);
    ps_optimizer_step(optimizer);
    assert_int_equal(book.launches[first_kernel_after(0, "foreach_add")], 2);
    ps_optimizer_destroy(optimizer);
    close_model(&m);
}

/* ---- whole training ---- */

static const char gpt2[] =
    "{\"model_type\":\"gpt2\",\"vocab_size\":101,\"n_positions\":32,\"n_embd\":48,"
    "\"n_layer\":2,\"n_head\":4}";

/* What a step left, and the gradients that lived when the first activation of the next was made. */
static uint64_t left_grad;

static ps_code on_step(void *context, int64_t number, bool is_end, ps_error *err)
{
    (void)context;
    (void)number;
    (void)err;
    if (is_end) {
        left_grad = book.of_role[PS_ROLE_GRADIENT];
    }
    return PS_OK;
}

static ps_code train(const ps_recipe *recipe, ps_error *err)
{
    ps_model_config *config;
    const ps_family *family;
    memset(&book, 0, sizeof book);
    assert_ok(err, ps_model_config_read_memory("test", gpt2, strlen(gpt2), &config, err));
    assert_ok(err, ps_family_of(config, &family, err));
    const ps_training run = {.family = family,
                             .config = config,
                             .recipe = recipe,
                             .device = {.sm_count = 132, .threads_per_sm = 2048},
                             .sink = sink,
                             .marks = {.step = on_step}};
    const ps_code code = ps_train(&run, err);
    ps_model_config_destroy(config);
    return code;
}

static ps_recipe small_recipe(const char *optimizer)
{
    ps_recipe recipe = ps_recipe_default();
    recipe.length = 16;
    recipe.optimizer = optimizer;
    return recipe;
}

/* The memory of the gradients is there in the next forward unless they went before it. */
static void gradients_go_where_zero_grad_stands(void **state)
{
    ps_error err = {0};
    ps_recipe recipe = small_recipe("sgd");
    uint64_t peak[3];
    (void)state;
    for (int at = PS_ZERO_GRAD_END; at <= PS_ZERO_GRAD_BEFORE_BACKWARD; at++) {
        recipe.zero_grad = (ps_zero_grad)at;
        assert_ok(&err, train(&recipe, &err));
        assert_int_equal(left_grad == 0, at == PS_ZERO_GRAD_END);
        peak[at] = book.peak;
    }
    assert_int_equal(peak[PS_ZERO_GRAD_START], peak[PS_ZERO_GRAD_END]);
    assert_true(peak[PS_ZERO_GRAD_BEFORE_BACKWARD] > peak[PS_ZERO_GRAD_END]);
}

static void without_an_optimizer_gradients_stay(void **state)
{
    ps_error err = {0};
    const ps_recipe recipe = small_recipe("none");
    (void)state;
    assert_ok(&err, train(&recipe, &err));
    /* words and positions, two blocks, the last norm */
    assert_int_equal(left_grad, 4 * ((101 + 32) * 48 + 2 * (12 * 48 * 48 + 13 * 48) + 2 * 48));
    assert_int_equal(book.of_role[PS_ROLE_OPTIMIZER_STATE], 0);
}

/* Two gradients live at once, of which one is at most the table of words. */
static void lomo_applies_gradients_as_they_come(void **state)
{
    ps_error err = {0};
    const ps_recipe recipe = small_recipe("lomo");
    const uint64_t words = 4 * 101 * 48, widest = 4 * 48 * 192;
    (void)state;
    assert_ok(&err, train(&recipe, &err));
    assert_int_equal(left_grad, 0);
    assert_true(book.most_grad > 0);
    assert_true(book.most_grad <= (words > widest ? words : widest) + widest);
}

static void mezo_keeps_nothing(void **state)
{
    ps_error err = {0};
    ps_recipe recipe = small_recipe("mezo");
    (void)state;
    assert_ok(&err, train(&recipe, &err));
    assert_int_equal(book.most_grad, 0);
    assert_int_equal(book.of_role[PS_ROLE_OPTIMIZER_STATE], 0);
    const uint64_t peak = book.peak;
    recipe.checkpoint_every = 1; /* nothing to recompute: the same step */
    assert_ok(&err, train(&recipe, &err));
    assert_int_equal(book.peak, peak);
}

/* ---- refusals ---- */

static void refuses(const ps_recipe *recipe, const char *words)
{
    ps_error err = {0};
    assert_int_equal(train(recipe, &err), PS_USAGE);
    assert_non_null(strstr(err.message, words));
}

static void what_cannot_be_is_refused(void **state)
{
    ps_recipe recipe = small_recipe("adamax");
    (void)state;
    refuses(&recipe, "\"adamax\"");
    recipe = small_recipe("rmsprop");
    recipe.style = PS_OPTIMIZER_FUSED;
    refuses(&recipe, "\"rmsprop\" has no kind \"fused\"");
    recipe = small_recipe("adamw");
    recipe.optimizer_rank = 4;
    refuses(&recipe, "\"adamw\" has no rank");
    recipe = small_recipe("mezo");
    recipe.accumulate = 2;
    refuses(&recipe, "\"mezo\" has no gradients to accumulate: 1 micro-batch a step");
    recipe = small_recipe("mezo");
    recipe.clips = true;
    refuses(&recipe, "\"mezo\" has no gradients to clip");
    recipe = small_recipe("lomo");
    recipe.scales_loss = true;
    refuses(&recipe, "\"lomo\" does not work with a scaled loss");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_and_temporaries_follow_formulas),
        cmocka_unit_test(masters_follow_formulas),
        cmocka_unit_test(masters_need_gradients_of_16_bits),
        cmocka_unit_test(factored_states_are_vectors),
        cmocka_unit_test(parameters_without_gradient_are_passed_over),
        cmocka_unit_test(a_row_is_a_multi_tensor_call),
        cmocka_unit_test(a_large_tensor_is_cut),
        cmocka_unit_test(gradients_go_where_zero_grad_stands),
        cmocka_unit_test(without_an_optimizer_gradients_stay),
        cmocka_unit_test(lomo_applies_gradients_as_they_come),
        cmocka_unit_test(mezo_keeps_nothing),
        cmocka_unit_test(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
