/* SPDX-License-Identifier: MIT
 *
 * The hardware catalogue: what is built in, names, overriding, and every way
 * a file can be wrong.
 */
#include "support/test.h"

#include <string.h>

#include "base/memory.h"
#include "cluster/catalogue.h"

#define HEADER "device,quantity,value,unit,origin\n"

/* All that a GPU needs, to be completed with more rows. */
#define MINE                                    \
    HEADER                                      \
    "mine,class,gpu,,given: test\n"             \
    "mine,memory,16,GiB,measured: test\n"       \
    "mine,memory-bandwidth,300,GB/s,given: x\n" \
    "mine,fp32-rate,8.1,TFLOP/s,given: x\n"     \
    "mine,fp16-rate,65,TFLOP/s,given: x\n"      \
    "mine,bf16-rate,0,TFLOP/s,given: x\n"       \
    "mine,h2d,12,GB/s,given: x\n"               \
    "mine,d2h,12.5,GB/s,given: x\n"             \
    "mine,context-memory,300,MiB,given: x\n"

static ps_catalogue *builtin(void)
{
    ps_error err = {0};
    ps_catalogue *catalogue = NULL;
    assert_ok(&err, ps_catalogue_create(&catalogue, &err));
    return catalogue;
}

static ps_hardware_id find(const ps_catalogue *catalogue, ps_hardware_class class_of,
                           const char *name)
{
    ps_error err = {0};
    ps_hardware_id id = {0};
    assert_ok(&err, ps_catalogue_find(catalogue, class_of, name, &id, &err));
    return id;
}

static uint64_t value_of(const ps_catalogue *catalogue, ps_hardware_id id, ps_figure_id which)
{
    ps_error err = {0};
    ps_figure figure;
    assert_ok(&err, ps_catalogue_need(catalogue, id, which, &figure, &err));
    return figure.value;
}

static ps_code read_text(ps_catalogue *catalogue, const char *text, ps_error *err)
{
    return ps_catalogue_read_memory(catalogue, "mine.csv", text, strlen(text), err);
}

static void built_in_figures_have_unit_and_origin(void **state)
{
    (void)state;
    ps_catalogue *catalogue = builtin();
    const ps_hardware_id h200 = find(catalogue, PS_HARDWARE_GPU, "H200-SXM");
    assert_string_equal(ps_catalogue_name(catalogue, h200), "H200-SXM");
    assert_int_equal(ps_catalogue_class(catalogue, h200), PS_HARDWARE_GPU);
    ps_figure figure;
    assert_true(ps_catalogue_get(catalogue, h200, PS_FIGURE_H2D, &figure));
    assert_true(figure.value == UINT64_C(55430000000));
    assert_int_equal(figure.kind, PS_UNIT_BANDWIDTH);
    assert_int_equal(figure.quality, PS_QUALITY_MEASURED);
    assert_string_equal(figure.text, "55.43 GB/s");
    assert_non_null(strstr(figure.origin, "measured: H200"));
    assert_string_equal(figure.file, "devices.csv");
    assert_true(figure.line > 1);
    assert_int_equal(figure.stated_by.v, h200.v);
    assert_string_equal(ps_catalogue_compute_capability(catalogue, h200), "9.0");
    /* inherited along two families */
    assert_true(ps_catalogue_get(catalogue, h200, PS_FIGURE_LAUNCH_LATENCY, &figure));
    assert_string_equal(ps_catalogue_name(catalogue, figure.stated_by), "family-gpu");
    assert_int_equal(ps_catalogue_class(catalogue, figure.stated_by), PS_HARDWARE_FAMILY);
    ps_catalogue_destroy(catalogue);
    ps_catalogue_destroy(NULL);
}

/* Plausibility of every built-in entry: a slip of a unit would be off by 1000. */
static void built_in_figures_are_plausible(void **state)
{
    (void)state;
    static const struct {
        ps_figure_id figure;
        uint64_t least, most;
    } limits[] = {
        {PS_FIGURE_MEMORY, UINT64_C(3) << 30, UINT64_C(300) << 30},
        {PS_FIGURE_MEMORY_BANDWIDTH, UINT64_C(100000000000), UINT64_C(20000000000000)},
        {PS_FIGURE_FP32_RATE, UINT64_C(5000000000000), UINT64_C(200000000000000)},
        {PS_FIGURE_FP16_RATE, UINT64_C(10000000000000), UINT64_C(3000000000000000)},
        {PS_FIGURE_MATMUL_SHARE, 400000, 1000000},
        {PS_FIGURE_STREAM_SHARE, 500000, 1000000},
        {PS_FIGURE_HOST_BOTH_FACTOR, 1000000, 2000000},
        {PS_FIGURE_H2D, UINT64_C(2500000000), UINT64_C(60000000000)}, /* from PCIe 3.0 x4 on */
        {PS_FIGURE_D2H, UINT64_C(2500000000), UINT64_C(60000000000)},
        {PS_FIGURE_CONTEXT_MEMORY, UINT64_C(100) << 20, UINT64_C(1) << 30},
        {PS_FIGURE_LAUNCH_LATENCY, 1000, 20000},
        {PS_FIGURE_BANDWIDTH, UINT64_C(1000000000), UINT64_C(2000000000000)},
        {PS_FIGURE_LATENCY, 500, 100000},
    };
    ps_catalogue *catalogue = builtin();
    unsigned gpus = 0;
    for (uint32_t i = 0; i < ps_catalogue_count(catalogue); i++) {
        const ps_hardware_id id = {i};
        gpus += ps_catalogue_class(catalogue, id) == PS_HARDWARE_GPU;
        for (size_t k = 0; k < sizeof limits / sizeof limits[0]; k++) {
            ps_figure figure;
            if (ps_catalogue_get(catalogue, id, limits[k].figure, &figure) &&
                (figure.value < limits[k].least || figure.value > limits[k].most)) {
                fail_msg("%s of %s is %s", ps_figure_name(limits[k].figure),
                         ps_catalogue_name(catalogue, id), figure.text);
            }
        }
        ps_figure total;
        ps_figure nominal;
        if (ps_catalogue_get(catalogue, id, PS_FIGURE_MEMORY, &total) &&
            ps_catalogue_get(catalogue, id, PS_FIGURE_MEMORY_NOMINAL, &nominal)) {
            assert_in_range(total.value, nominal.value / 100 * 97, nominal.value / 100 * 108);
        }
    }
    assert_in_range(gpus, 30, 200);
    ps_catalogue_destroy(catalogue);
}

/* Names as drivers report them in recordings, and as people type them. */
static void names_and_aliases_are_found(void **state)
{
    (void)state;
    static const struct {
        const char *given, *name;
    } cases[] = {
        {"NVIDIA A100-SXM4-40GB", "A100-SXM-40"},
        {"NVIDIA A100-PG509-200", "A100-SXM-40"},
        {"NVIDIA A100-SXM4-80GB", "A100-SXM-80"},
        {"NVIDIA A100-PCIE-40GB", "A100-PCIe-40"},
        {"NVIDIA A100 80GB PCIe", "A100-PCIe-80"},
        {"Tesla V100-SXM2-32GB", "V100-SXM2-32"},
        {"Tesla V100-PCIE-32GB", "V100-PCIe-32"},
        {"Tesla V100-DGXS-32GB", "V100-DGXS-32"},
        {"NVIDIA H100 80GB HBM3", "H100-SXM-80"},
        {"NVIDIA H800", "H800-SXM-80"},
        {"NVIDIA H200", "H200-SXM"},
        {"NVIDIA B200", "B200-SXM"},
        {"AMD Instinct MI300X", "MI300X"},
        {"AMD Instinct MI300X VF", "MI300X"},
        {"Quadro GP100", "GP100"},
        {"Tesla T4", "T4"},
        {"NVIDIA GeForce RTX 2080 Ti", "RTX-2080-Ti"},
        {"NVIDIA GeForce RTX 2070 SUPER", "RTX-2070-SUPER"},
        {"NVIDIA GeForce RTX 3060", "RTX-3060"},
        {"a100 sxm 80", "A100-SXM-80"},
        {"rtx4090", "RTX-4090"},
        {"  h200_sxm ", "H200-SXM"},
        {"V100-16GB", "V100-SXM2-16"},
        {"v100-32gb", "V100-SXM2-32"},
        {"NVIDIA GeForce RTX 3090", "RTX-3090"},
        {"NVIDIA GeForce RTX 4060", "RTX-4060"},
        {"NVIDIA GeForce RTX 4090", "RTX-4090"},
        {"NVIDIA RTX A6000", "RTX-A6000"},
        {"a6000", "RTX-A6000"},
        {"NVIDIA RTX A1000 Laptop GPU", "RTX-A1000-laptop-4"},
        {"NVIDIA RTX PRO 6000 Blackwell Workstation Edition", "RTX-PRO-6000"},
        {"NVIDIA RTX 6000 Ada Generation", "RTX-6000-Ada"},
        {"NVIDIA A10", "A10"},
        {"NVIDIA A40", "A40"},
        {"NVIDIA L4", "L4"},
        {"NVIDIA L20", "L20"},
        {"NVIDIA L40S", "L40S"},
        {"h100", "H100-SXM-80"},
    };
    ps_catalogue *catalogue = builtin();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const ps_hardware_id id = find(catalogue, PS_HARDWARE_GPU, cases[i].given);
        assert_string_equal(ps_catalogue_name(catalogue, id), cases[i].name);
    }
    (void)find(catalogue, PS_HARDWARE_LINK, "ib-ndr");
    (void)find(catalogue, PS_HARDWARE_MEMORY, "DDR5-4800-8ch");
    (void)find(catalogue, PS_HARDWARE_STORAGE, "NVMe PCIe4x4");
    ps_catalogue_destroy(catalogue);
}

static void expect_not_found(const ps_catalogue *catalogue, const char *name, const char *message)
{
    ps_error err = {0};
    ps_hardware_id id = {77};
    assert_int_equal(ps_catalogue_find(catalogue, PS_HARDWARE_GPU, name, &id, &err), PS_NOT_FOUND);
    assert_string_equal(err.message, message);
    assert_int_equal(id.v, 77);
}

static void a_miss_offers_the_nearest_names(void **state)
{
    (void)state;
    ps_catalogue *catalogue = builtin();
    expect_not_found(catalogue, "H20O-SXM",
                     "no gpu \"H20O-SXM\" in the catalogue: did you mean H20, H200-SXM, "
                     "H100-SXM-80 or B200-SXM?");
    expect_not_found(catalogue, "A100",
                     "no gpu \"A100\" in the catalogue: did you mean A100-SXM-40, A100-SXM-80, "
                     "A100-PCIe-40, A100-PCIe-80, A10 or RTX-A1000-laptop-4?");
    expect_not_found(catalogue, "abacus", "no gpu \"abacus\" in the catalogue");
    expect_not_found(catalogue, "", "no gpu \"\" in the catalogue");
    expect_not_found(catalogue, "*", "no gpu \"*\" in the catalogue");
    char longest[600];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    ps_hardware_id id;
    assert_int_equal(ps_catalogue_find(catalogue, PS_HARDWARE_GPU, longest, &id, NULL),
                     PS_NOT_FOUND);
    /* a family and a link are not GPUs */
    assert_int_equal(ps_catalogue_find(catalogue, PS_HARDWARE_GPU, "family-gpu", &id, NULL),
                     PS_NOT_FOUND);
    assert_int_equal(ps_catalogue_find(catalogue, PS_HARDWARE_GPU, "IB-NDR", &id, NULL),
                     PS_NOT_FOUND);
    ps_catalogue_destroy(catalogue);
}

static void a_user_file_adds_and_overrides(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_catalogue *catalogue = builtin();
    const ps_hardware_id t4 = find(catalogue, PS_HARDWARE_GPU, "T4");
    const uint64_t before = value_of(catalogue, t4, PS_FIGURE_MEMORY);
    assert_ok(&err, read_text(catalogue,
                              "\xef\xbb\xbf# my machines\n" HEADER "\n"
                              "t4,h2d,6.2,GB/s,\"measured: my host, slot 3\"\n"
                              "My-Card,class,gpu,,given: me\r\n"
                              "My-Card,like,L4,,given: me\r\n"
                              "My-Card,memory,20,GiB,given: me\r\n"
                              "My-Card,alias,NVIDIA Prototype*,,given: me\n"
                              "My-Card,alias,NVIDIA H200,,given: mine now",
                              &err));
    ps_figure figure;
    assert_true(ps_catalogue_get(catalogue, t4, PS_FIGURE_H2D, &figure));
    assert_true(figure.value == UINT64_C(6200000000));
    assert_string_equal(figure.origin, "measured: my host, slot 3");
    assert_string_equal(figure.file, "mine.csv");
    assert_int_equal(figure.line, 4);
    assert_true(value_of(catalogue, t4, PS_FIGURE_MEMORY) == before);
    const ps_hardware_id mine = find(catalogue, PS_HARDWARE_GPU, "nvidia prototype 7 (40W)");
    assert_string_equal(ps_catalogue_name(catalogue, mine), "My-Card");
    assert_true(value_of(catalogue, mine, PS_FIGURE_MEMORY) == UINT64_C(20) << 30);
    assert_true(value_of(catalogue, mine, PS_FIGURE_MEMORY_BANDWIDTH) == UINT64_C(300000000000));
    assert_string_equal(ps_catalogue_compute_capability(catalogue, mine), "8.9");
    assert_int_equal(find(catalogue, PS_HARDWARE_GPU, "NVIDIA H200").v, mine.v);
    assert_string_equal(ps_catalogue_name(catalogue, find(catalogue, PS_HARDWARE_GPU, "H200-SXM")),
                        "H200-SXM");
    ps_catalogue_destroy(catalogue);
}

static void a_missing_figure_says_how_to_supply_it(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_catalogue *catalogue = ps_catalogue_create_empty();
    assert_ok(&err, read_text(catalogue, MINE, &err));
    const ps_hardware_id mine = find(catalogue, PS_HARDWARE_GPU, "mine");
    ps_figure figure;
    assert_false(ps_catalogue_get(catalogue, mine, PS_FIGURE_NVLINK, &figure));
    assert_int_equal(ps_catalogue_need(catalogue, mine, PS_FIGURE_NVLINK, &figure, &err),
                     PS_NOT_FOUND);
    assert_string_equal(err.message,
                        "the catalogue does not know nvlink of mine (all links to other GPUs "
                        "together, one direction): add a line \"mine,nvlink,VALUE,UNIT,ORIGIN\" to "
                        "a file and name it with --catalogue");
    assert_string_equal(ps_catalogue_compute_capability(catalogue, mine), "");
    ps_catalogue_destroy(catalogue);
}

typedef struct slip {
    const char *text, *message;
} slip;

static void every_slip_is_told_with_its_line(void **state)
{
    (void)state;
    static const slip cases[] = {
        {"", "mine.csv: a catalogue begins with the line device,quantity,value,unit,origin"},
        {"# only this\n",
         "mine.csv: a catalogue begins with the line device,quantity,value,unit,origin"},
        {"\ndevice,value\n",
         "mine.csv:2: a catalogue begins with the line device,quantity,value,unit,origin"},
        {HEADER "mine,class,gpu,\n",
         "mine.csv:2: 4 fields, but device,quantity,value,unit,origin are 5"},
        {HEADER "mine,class,gpu,,given: x,more\n",
         "mine.csv:2: 6 fields, but device,quantity,value,unit,origin are 5"},
        {HEADER "mine,class,gpu,,\n",
         "mine.csv:2: the origin \"\" does not begin with its quality: measured, reported, "
         "published, derived, recalled or given"},
        {HEADER "mine,class,gpu,,guess: x\n",
         "mine.csv:2: the origin \"guess: x\" does not begin with its quality: measured, reported, "
         "published, derived, recalled or given"},
        {HEADER "--,class,gpu,,given: x\n", "mine.csv:2: \"--\" is not a name for a device"},
        {HEADER "mine,class,cpu,,given: x\n", "mine.csv:2: class \"cpu\" is unknown: use gpu, "
                                              "link, memory, storage, host, software or family"},
        {HEADER "mine,class,gpu,GB,given: x\n",
         "mine.csv:2: class has no unit, but \"GB\" is given"},
        {HEADER "mine,memroy,4,GiB,given: x\n", "mine.csv:2: quantity \"memroy\" is unknown"},
        {MINE "mine,sm-count,40,,given: x\n\n# again\nmine,sm-count,41,,given: x\n",
         "mine.csv:14: sm-count of mine is already stated in line 11"},
        {MINE "mine,class,gpu,,given: x\n",
         "mine.csv:11: class of mine is already stated in line 2"},
        {HEADER "mine,memory,4,GiB,given: x\n", "mine.csv:2: an entry without a class: mine"},
        {HEADER "mine,class,gpu,,given: x\nmine,memory,4,GiB,given: x\n",
         "mine.csv:2: mine lacks memory-bandwidth: peak of device memory"},
        {MINE "mine,latency,4,us,given: x\n",
         "mine.csv:11: latency is a figure of a link, but mine is a gpu"},
        {MINE "mine,like,yours,,given: x\n", "mine.csv:11: no entry to be like: \"yours\""},
        {MINE "mine,like,mine2,,given: x\nmine2,like,mine,,given: x\nmine2,class,gpu,,given: x\n",
         "mine.csv:11: an entry is like itself in the end: mine"},
        {MINE "mine,like,net,,given: x\nnet,class,link,,given: x\nnet,bandwidth,1,GB/s,given: x\n"
              "net,latency,1,us,given: x\n",
         "mine.csv:11: an entry can only be like one of its class: net"},
        {MINE "mine,alias,--,,given: x\n", "mine.csv:11: \"--\" is not a name for a device"},
        {HEADER "mine,cl\"ass,gpu,,given: x\n",
         "mine.csv:2: a quote that neither encloses a field nor is doubled"},
        {HEADER "mine,class,gpu,,\"given: x\n",
         "mine.csv:2: a quote that neither encloses a field nor is doubled"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ps_error err = {0};
        ps_catalogue *catalogue = ps_catalogue_create_empty();
        assert_int_equal(read_text(catalogue, cases[i].text, &err), PS_BAD_INPUT);
        assert_string_equal(err.message, cases[i].message);
        ps_catalogue_destroy(catalogue);
    }
}

static void a_value_that_does_not_parse_is_told_with_its_line(void **state)
{
    (void)state;
    static const slip cases[] = {
        {MINE "mine,nvlink,25,Gb,given: x\n",
         "mine.csv:11: nvlink of mine: \"25 Gb\" is not a bandwidth: use B/s, kB/s, MB/s, GB/s, "
         "TB/s, MiB/s, GiB/s, Mb/s, Gb/s, Tb/s"},
        {MINE "mine,sm-count,many,,given: x\n",
         "mine.csv:11: sm-count of mine: \"many\" is not a count: it must begin with a number"},
        {MINE "mine,memory-nominal,0,GB,given: x\n",
         "mine.csv:11: memory-nominal of mine: \"0 GB\" is out of range for a size: 1 B to "
         "16777216 TiB are allowed"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ps_error err = {0};
        char text[512];
        ps_catalogue *catalogue = ps_catalogue_create_empty();
        assert_int_equal(read_text(catalogue, cases[i].text, &err), PS_BAD_INPUT);
        assert_int_equal(err.code, PS_BAD_INPUT);
        ps_error_format(&err, text, sizeof text);
        assert_string_equal(text, cases[i].message);
        ps_catalogue_destroy(catalogue);
    }
    ps_error err = {0};
    static const char nul[] = HEADER "mine,class,g\0pu,,given: x\n";
    ps_catalogue *catalogue = ps_catalogue_create_empty();
    assert_int_equal(ps_catalogue_read_memory(catalogue, "mine.csv", nul, sizeof nul - 1, &err),
                     PS_BAD_INPUT);
    assert_string_equal(err.message, "mine.csv:2: a NUL byte");
    ps_catalogue_destroy(catalogue);
}

static void files_are_read(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_catalogue *catalogue = builtin();
    assert_int_equal(ps_catalogue_read_file(catalogue, "/nonexistent/mine.csv", &err), PS_IO);
    ps_catalogue_destroy(catalogue);
    catalogue = ps_catalogue_create_empty();
    assert_ok(&err, ps_catalogue_read_file(
                        catalogue, PS_TEST_SOURCE_DIR "/simulator/cluster/links.csv", &err));
    const ps_hardware_id ndr = find(catalogue, PS_HARDWARE_LINK, "IB-NDR");
    assert_true(value_of(catalogue, ndr, PS_FIGURE_BANDWIDTH) == UINT64_C(47500000000));
    ps_catalogue_destroy(catalogue);
}

/* The CSV library makes do with less memory when it can, so not every failure is fatal. */
static void failed_allocations_are_reported(void **state)
{
    (void)state;
    unsigned failures = 0;
    for (unsigned long n = 1; n < 100; n++) {
        ps_error err = {0};
        ps_memory_fail_nth(n);
        ps_catalogue *catalogue = ps_catalogue_create_empty();
        ps_code code = PS_NOMEM;
        if (catalogue != NULL) {
            code = read_text(catalogue, MINE "mine,alias,m*,,given: x\n", &err);
        }
        ps_memory_fail_nth(0);
        ps_catalogue_destroy(catalogue);
        assert_true(code == PS_OK || code == PS_NOMEM);
        failures += code == PS_NOMEM;
    }
    assert_in_range(failures, 8, 90);
}

/* Whatever a file holds, reading it ends with a code. */
static void damaged_text_does_no_harm(void **state)
{
    (void)state;
    static const char good[] = MINE "mine,alias,\"a \"\"quoted\"\" name\",,given: x\n";
    uint64_t x = UINT64_C(0x2545f4914f6cdd1d);
    for (unsigned round = 0; round < 3000; round++) {
        char text[sizeof good];
        memcpy(text, good, sizeof good);
        for (unsigned k = 0; k < 1 + round % 4; k++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            static const char bytes[] = "\",\n\r#*:0- \0\xff";
            text[x % (sizeof good - 1)] = bytes[(x >> 32) % (sizeof bytes - 1)];
        }
        ps_error err = {0};
        ps_catalogue *catalogue = ps_catalogue_create_empty();
        const ps_code code = ps_catalogue_read_memory(catalogue, "x", text, sizeof good - 1, &err);
        assert_true(code == PS_OK || code == PS_BAD_INPUT);
        ps_catalogue_destroy(catalogue);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(built_in_figures_have_unit_and_origin),
        cmocka_unit_test(built_in_figures_are_plausible),
        cmocka_unit_test(names_and_aliases_are_found),
        cmocka_unit_test(a_miss_offers_the_nearest_names),
        cmocka_unit_test(a_user_file_adds_and_overrides),
        cmocka_unit_test(a_missing_figure_says_how_to_supply_it),
        cmocka_unit_test(every_slip_is_told_with_its_line),
        cmocka_unit_test(a_value_that_does_not_parse_is_told_with_its_line),
        cmocka_unit_test(files_are_read),
        cmocka_unit_test(failed_allocations_are_reported),
        cmocka_unit_test(damaged_text_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
