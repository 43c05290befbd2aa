/* SPDX-License-Identifier: MIT
 *
 * The pickle reader: every instruction, what it refuses, damage, limits.
 *
 * A visitor writes down what it is told; containers get numbers in the order
 * of their first filling as nodes, so a log line shows what went into what.
 */
#include "support/test.h"

#include <string.h>

#include "base/memory.h"
#include "import/pickle.h"
#include "pickle_writer.h"

typedef struct logger {
    ps_pickle *pickle;
    char text[4096];
    size_t used;
    uint32_t node_count;
} logger;

static void say(logger *self, const char *text)
{
    const size_t bytes = strlen(text);
    if (self->used + bytes < sizeof self->text) {
        memcpy(self->text + self->used, text, bytes + 1);
        self->used += bytes;
    }
}

/* Long texts are told by their first character and length. */
static void say_text(logger *self, ps_str id)
{
    const ps_strings *strings = ps_pickle_strings(self->pickle);
    const char *text = ps_strings_text(strings, id);
    const size_t bytes = ps_strings_bytes(strings, id);
    char brief[64];
    if (bytes > 64 && strspn(text, (const char[]){text[0], '\0'}) == bytes) {
        (void)snprintf(brief, sizeof brief, "%c*%zu", text[0], bytes);
        text = brief;
    }
    say(self, "'");
    say(self, text);
    say(self, "'");
}

static void say_value(logger *self, const ps_pickle_value *value)
{
    static const char bracket[] = "[{(";
    char text[64];
    switch ((ps_pickle_type)value->type) {
    case PS_PICKLE_NONE:
        say(self, "None");
        return;
    case PS_PICKLE_BOOL:
        say(self, value->as.boolean ? "True" : "False");
        return;
    case PS_PICKLE_INT:
        (void)snprintf(text, sizeof text, "%lld", (long long)value->as.integer);
        say(self, text);
        return;
    case PS_PICKLE_UINT:
        (void)snprintf(text, sizeof text, "%lluu", (unsigned long long)value->as.natural);
        say(self, text);
        return;
    case PS_PICKLE_FLOAT:
        (void)snprintf(text, sizeof text, "%g", value->as.real);
        say(self, text);
        return;
    case PS_PICKLE_TEXT:
        say_text(self, value->as.text);
        return;
    case PS_PICKLE_OTHER:
        say(self, "other");
        return;
    case PS_PICKLE_LIST:
    case PS_PICKLE_DICT:
    case PS_PICKLE_TUPLE:
        (void)snprintf(text, sizeof text, "%c%u%s", bracket[value->type - PS_PICKLE_LIST],
                       value->tag == 0 ? 0 : value->as.box.node, value->is_shared ? "s" : "");
        say(self, text);
        return;
    }
}

static ps_code note(logger *self, ps_pickle_value *container, const char *sign,
                    const ps_pickle_value *items, size_t count)
{
    if (container->tag == 0) {
        container->tag = 1;
        container->as.box.node = ++self->node_count;
    }
    say_value(self, container);
    say(self, sign);
    for (size_t i = 0; i < count; i++) {
        say(self, i == 0 ? "" : ",");
        say_value(self, &items[i]);
    }
    say(self, " ");
    return PS_OK;
}

static ps_code on_list(void *self, ps_pickle_value *list, const ps_pickle_value *items,
                       size_t count, ps_error *err)
{
    (void)err;
    return note(self, list, "+", items, count);
}

static ps_code on_dict(void *self, ps_pickle_value *dict, const ps_pickle_value *pairs,
                       size_t pair_count, ps_error *err)
{
    (void)err;
    return note(self, dict, "+", pairs, 2 * pair_count);
}

static ps_code on_tuple(void *self, ps_pickle_value *tuple, const ps_pickle_value *items,
                        size_t count, ps_error *err)
{
    (void)err;
    return note(self, tuple, "=", items, count);
}

/* Reads a pickle; the log ends with the top value after "-> ". */
static ps_code read_bytes(const void *bytes, size_t count, logger *log, ps_error *err)
{
    ps_source *source;
    ps_pickle_value top;
    const ps_pickle_visitor visitor = {log, on_list, on_dict, on_tuple};
    *log = (logger){0};
    PS_TRY(ps_source_open_memory(bytes, count, &source, err));
    ps_code code = ps_pickle_create(source, &visitor, &log->pickle, err);
    if (code == PS_OK) {
        code = ps_pickle_read(log->pickle, &top, err);
        if (code == PS_OK) {
            say(log, "-> ");
            say_value(log, &top);
        }
        ps_pickle_destroy(log->pickle);
    }
    ps_source_close(source);
    return code;
}

/* One case a line, and texts cut where an escape ends. */
/* clang-format off */

typedef struct good_case {
    const char *bytes;
    size_t count;
    const char *log;
} good_case;

#define GOOD(literal, log) {literal, sizeof(literal) - 1, log}

static void check_good(const good_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ps_error err = {0};
        logger log;
        assert_ok(&err, read_bytes(cases[i].bytes, cases[i].count, &log, &err));
        assert_string_equal(log.text, cases[i].log);
    }
}

static void scalars_read_as_written(void **state)
{
    (void)state;
    static const good_case cases[] = {
        GOOD("N.", "-> None"),
        GOOD("\x80\x02\x88.", "-> True"),
        GOOD("\x80\x02\x89.", "-> False"),
        GOOD("I01\n.", "-> True"),
        GOOD("I00\n.", "-> False"),
        GOOD("I-12\n.", "-> -12"),
        GOOD("L281474976710656L\n.", "-> 281474976710656"),
        GOOD("L-5\n.", "-> -5"),
        GOOD("L99999999999999999999L\n.", "-> other"),
        GOOD("K\xff.", "-> 255"),
        GOOD("M\x01\xff.", "-> 65281"),
        GOOD("J\xff\xff\xff\xff.", "-> -1"),
        GOOD("J\x00\x00\x00\x40.", "-> 1073741824"),
        GOOD("G\x3f\xf8\0\0\0\0\0\0.", "-> 1.5"),
        GOOD("X\x03\0\0\0abc.", "-> 'abc'"),
        GOOD("T\x03\0\0\0abc.", "-> 'abc'"),
        GOOD("U\x03\x61\x62\x63.", "-> 'abc'"),
        GOOD("\x80\x04\x8c\x03\x61\x62\x63.", "-> 'abc'"),
        GOOD("\x80\x04\x8d\x03\0\0\0\0\0\0\0abc.", "-> 'abc'"),
        GOOD("\x80\x04\x8c\0.", "-> ''"),
        GOOD("C\x02xy.", "-> other"),
        GOOD("B\x02\0\0\0xy.", "-> other"),
        GOOD("\x80\x04\x8e\x02\0\0\0\0\0\0\0xy.", "-> other"),
        GOOD("\x80\x05\x96\x02\0\0\0\0\0\0\0xy.", "-> other"),
        GOOD("\x80\x04\x95\x02\0\0\0\0\0\0\0N.", "-> None"),
    };
    check_good(cases, sizeof cases / sizeof cases[0]);
}

static void long_integers_keep_sign_and_width(void **state)
{
    (void)state;
    static const good_case cases[] = {
        GOOD("\x80\x02\x8a\0.", "-> 0"),
        GOOD("\x80\x02\x8a\x01\xff.", "-> -1"),
        GOOD("\x80\x02\x8a\x02\xff\x00.", "-> 255"),
        GOOD("\x80\x02\x8a\x06\0\0\0\0\0\x7f.", "-> 139637976727552"),
        GOOD("\x80\x02\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f.", "-> 9223372036854775807"),
        GOOD("\x80\x02\x8a\x08\0\0\0\0\0\0\0\x80.", "-> -9223372036854775808"),
        GOOD("\x80\x02\x8a\x09\xff\xff\xff\xff\xff\xff\xff\xff\0.", "-> 18446744073709551615u"),
        GOOD("\x80\x02\x8a\x09\0\0\0\0\0\0\0\x80\0.", "-> 9223372036854775808u"),
        GOOD("\x80\x02\x8a\x09\0\0\0\0\0\0\0\x80\xff.", "-> -9223372036854775808"),
        GOOD("\x80\x02\x8a\x09\0\0\0\0\0\0\0\0\x01.", "-> other"),
        GOOD("\x80\x02\x8a\x09\0\0\0\0\0\0\0\0\xff.", "-> other"),
        GOOD("\x80\x02\x8b\x02\0\0\0\xff\x00.", "-> 255"),
    };
    check_good(cases, sizeof cases / sizeof cases[0]);
}

static void containers_report_their_items(void **state)
{
    (void)state;
    static const good_case cases[] = {
        GOOD("].", "-> [0"),
        GOOD("}.", "-> {0"),
        GOOD(").", "(1= -> (1"),
        GOOD("(t.", "(1= -> (1"),
        GOOD("](K\x01K\x02" "e.", "[1+1,2 -> [1"),
        GOOD("]K\x01" "aK\x02" "a.", "[1+1 [1+2 -> [1"),
        GOOD("](e.", "-> [0"),
        GOOD("}(U\x01" "aK\x01U\x01" "bK\x02u.", "{1+'a',1,'b',2 -> {1"),
        GOOD("}U\x01" "aK\x01s.", "{1+'a',1 -> {1"),
        GOOD("(K\x01K\x02l.", "[1+1,2 -> [1"),
        GOOD("(l.", "-> [0"),
        GOOD("(U\x01" "aNd.", "{1+'a',None -> {1"),
        GOOD("\x80\x02K\x01\x85.", "(1=1 -> (1"),
        GOOD("\x80\x02K\x01K\x02\x86.", "(1=1,2 -> (1"),
        GOOD("\x80\x02K\x01K\x02K\x03\x87.", "(1=1,2,3 -> (1"),
        GOOD("(K\x01K\x02K\x03t.", "(1=1,2,3 -> (1"),
        GOOD("](]K\x01" "a]e.", "[1+1 [2+[1,[0 -> [2"),
        GOOD("\x80\x04\x8f(K\x01\x90.", "-> other"),
        GOOD("\x80\x04(K\x01\x91.", "-> other"),
        GOOD("NK\x01" "0.", "-> None"),
        GOOD("N(K\x01K\x02" "1.", "-> None"),
        GOOD("N(0.", "-> None"),
    };
    check_good(cases, sizeof cases / sizeof cases[0]);
}

static void memo_gives_values_back(void **state)
{
    (void)state;
    static const good_case cases[] = {
        GOOD("(U\x01" "aq\x05h\x05t.", "(1='a','a' -> (1"),
        GOOD("(U\x01" "ar\x05\0\0\0j\x05\0\0\0t.", "(1='a','a' -> (1"),
        GOOD("\x80\x04(\x8c\x01" "a\x94h\0t.", "(1='a','a' -> (1"),
        GOOD("(K\x07q\0h\0t.", "(1=7,7 -> (1"),
        GOOD("(G\x3f\xf8\0\0\0\0\0\0q\0h\0t.", "(1=1.5,1.5 -> (1"),
        /* a list fetched after it was filled is what it became */
        GOOD("(]q\0K\x01" "ah\0t.", "[1+1 (2=[1,[1s -> (2"),
        GOOD("(]q\0h\0t.", "(1=[0,[0s -> (1"),
        GOOD("(K\x01K\x02\x86q\0h\0t.", "(1=1,2 (2=(1,(1s -> (2"),
    };
    check_good(cases, sizeof cases / sizeof cases[0]);
}

static void protocols_agree(void **state)
{
    (void)state;
    for (int protocol = 1; protocol <= 5; protocol++) {
        for (int memoises = 0; memoises <= 1; memoises++) {
            static pickle_writer writer;
            ps_error err = {0};
            logger log;
            pw_begin(&writer, protocol, memoises != 0);
            (void)pw_dict(&writer);
            pw_text(&writer, "list");
            (void)pw_list(&writer);
            pw_int(&writer, -7);
            pw_int(&writer, INT64_C(1) << 40);
            pw_bool(&writer, true);
            pw_list_end(&writer);
            pw_text(&writer, "pair");
            pw_pair(&writer, 1, 70000);
            pw_dict_end(&writer);
            pw_end(&writer);
            assert_ok(&err, read_bytes(writer.bytes, writer.used, &log, &err));
            assert_string_equal(log.text, "[1+-7,1099511627776,True (2=1,70000 "
                                          "{3+'list',[1,'pair',(2 -> {3");
        }
    }
}

static void invalid_utf8_is_repaired(void **state)
{
    (void)state;
    static const good_case cases[] = {GOOD("U\x04" "a\xff\xc3z.", "-> 'a??z'")};
    check_good(cases, 1);
}

typedef struct bad_case {
    const char *bytes;
    size_t count;
    ps_code code;
    uint64_t offset_bytes;
    const char *part; /* of the message */
} bad_case;

#define BAD(literal, code, offset, part) {literal, sizeof(literal) - 1, code, offset, part}

static void check_bad(const bad_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ps_error err = {0};
        logger log;
        const ps_code code = read_bytes(cases[i].bytes, cases[i].count, &log, &err);
        if (code != cases[i].code || strstr(err.message, cases[i].part) == NULL ||
            !err.has_offset || err.offset_bytes != cases[i].offset_bytes) {
            char text[1024];
            ps_error_format(&err, text, sizeof text);
            fail_msg("case %zu (%s): %s: %s", i, cases[i].part, ps_code_name(code), text);
        }
    }
}

static void code_and_outside_data_are_refused_by_name(void **state)
{
    (void)state;
    static const bad_case cases[] = {
        BAD("\x80\x02" "cos\nsystem\n.", PS_UNSUPPORTED, 2, " GLOBAL would load or run code"),
        BAD("\x80\x04\x8c\x02os\x8c\x06system\x93.", PS_UNSUPPORTED, 14, " STACK_GLOBAL would"),
        BAD("N)R.", PS_UNSUPPORTED, 2, " REDUCE would"),
        BAD("N}b.", PS_UNSUPPORTED, 2, " BUILD would"),
        BAD("(ios\nsystem\n.", PS_UNSUPPORTED, 1, " INST would"),
        BAD("(No.", PS_UNSUPPORTED, 2, " OBJ would"),
        BAD("N)\x81.", PS_UNSUPPORTED, 2, " NEWOBJ would"),
        BAD("N)}\x92.", PS_UNSUPPORTED, 3, " NEWOBJ_EX would"),
        BAD("\x82\x01.", PS_UNSUPPORTED, 0, " EXT1 would"),
        BAD("\x83\x01\x00.", PS_UNSUPPORTED, 0, " EXT2 would"),
        BAD("\x84\x01\x00\x00\x00.", PS_UNSUPPORTED, 0, " EXT4 would"),
        BAD("P1\n.", PS_UNSUPPORTED, 0, " PERSID refers to data outside"),
        BAD("NQ.", PS_UNSUPPORTED, 1, " BINPERSID refers to"),
        BAD("\x80\x05\x97.", PS_UNSUPPORTED, 2, " NEXT_BUFFER refers to"),
        BAD("\x80\x05N\x98.", PS_UNSUPPORTED, 3, " READONLY_BUFFER refers to"),
        BAD("F1.5\n.", PS_UNSUPPORTED, 0, " FLOAT belongs to text pickles"),
        BAD("S'a'\n.", PS_UNSUPPORTED, 0, " STRING belongs to"),
        BAD("Va\n.", PS_UNSUPPORTED, 0, " UNICODE belongs to"),
        BAD("Np0\n.", PS_UNSUPPORTED, 1, " PUT belongs to"),
        BAD("Nq\0g0\n.", PS_UNSUPPORTED, 3, " GET belongs to"),
        BAD("N2.", PS_UNSUPPORTED, 1, " DUP is not written"),
    };
    check_bad(cases, sizeof cases / sizeof cases[0]);
}

static void damage_is_told_with_its_place(void **state)
{
    (void)state;
    static const bad_case cases[] = {
        BAD("\x80\x06N.", PS_UNSUPPORTED, 0, "protocol 6"),
        BAD("N\xff.", PS_BAD_INPUT, 1, "0xff is not a pickle instruction"),
        BAD(".", PS_BAD_INPUT, 0, "0 values and 0 marks"),
        BAD("NN.", PS_BAD_INPUT, 2, "2 values"),
        BAD("N(.", PS_BAD_INPUT, 2, "1 marks"),
        BAD("N.N", PS_BAD_INPUT, 2, "bytes follow"),
        BAD("e.", PS_BAD_INPUT, 0, "needs a mark"),
        BAD("(e.", PS_BAD_INPUT, 1, "list to fill"),
        BAD("N(Ne.", PS_BAD_INPUT, 3, "list to fill"),
        BAD("](u.", PS_BAD_INPUT, 2, "dict to fill"),
        BAD("a.", PS_BAD_INPUT, 0, "needs 2 values"),
        BAD("](Na.", PS_BAD_INPUT, 3, "needs 2 values"),
        BAD("NNa.", PS_BAD_INPUT, 2, "list to fill"),
        BAD("}Ns.", PS_BAD_INPUT, 2, "needs 3 values"),
        BAD("}(Nu.", PS_BAD_INPUT, 3, "key without a value"),
        BAD("(Nd.", PS_BAD_INPUT, 2, "key without a value"),
        BAD("N\x86.", PS_BAD_INPUT, 1, "needs 2 values"),
        BAD("0.", PS_BAD_INPUT, 0, "needs 1 values"),
        BAD("q\0.", PS_BAD_INPUT, 0, "needs 1 values"),
        BAD("(q\0.", PS_BAD_INPUT, 1, "needs 1 values"),
        BAD("h\x03.", PS_BAD_INPUT, 0, "memo entry 3 is fetched"),
        BAD("Nq\x02h\x01.", PS_BAD_INPUT, 3, "memo entry 1 is fetched"),
        BAD("Nq\0q\0.", PS_UNSUPPORTED, 3, "set twice"),
        BAD("]q\0q\x01.", PS_UNSUPPORTED, 3, "memoised twice"),
        BAD("(]q\0h\0q\x01t.", PS_UNSUPPORTED, 6, "memoised twice"),
        BAD("]q\0h\0a.", PS_UNSUPPORTED, 5, "contains itself"),
        BAD("(]q\0h\0Na.", PS_UNSUPPORTED, 7, "after it was shared"),
        BAD("N(N\x90.", PS_BAD_INPUT, 3, "set to fill"),
        BAD("I1x\n.", PS_BAD_INPUT, 0, "\"1x\" is not a decimal number"),
        BAD("I\n.", PS_BAD_INPUT, 0, "not a decimal number"),
        BAD("\x80\x02\x8b\xff\xff\xff\xff.", PS_BAD_INPUT, 2, "negative length"),
        BAD("I0000000000000000000000000000000000000000000000000000000000000000000\n.",
            PS_BAD_INPUT, 0, "more than 63 characters"),
    };
    check_bad(cases, sizeof cases / sizeof cases[0]);
}

static void limits_are_told(void **state)
{
    (void)state;
    static const bad_case cases[] = {
        BAD("X\xff\xff\xff\xff.", PS_LIMIT, 0, "a text of 4294967295 bytes"),
        BAD("\x8d\xff\xff\xff\xff\xff\xff\xff\xff.", PS_LIMIT, 0, "a text of 18446744073709551615"),
        BAD("Nr\xff\xff\xff\x7f.", PS_LIMIT, 1, "memo entry 2147483647"),
        BAD("Nr\xff\xff\xff\x00.", PS_LIMIT, 1, "when only 0 are in use"),
    };
    check_bad(cases, sizeof cases / sizeof cases[0]);

    static unsigned char deep[3 * PS_PICKLE_DEPTH_MAX];
    for (size_t i = 0; i < sizeof deep; i += 2) {
        deep[i] = ']';
        deep[i + 1] = '(';
    }
    const bad_case nested = {(const char *)deep, sizeof deep, PS_LIMIT, 2 * PS_PICKLE_DEPTH_MAX + 1,
                             "nest deeper than 4096"};
    check_bad(&nested, 1);
}

/* clang-format on */

static size_t write_sample(pickle_writer *writer)
{
    pw_begin(writer, 4, true);
    (void)pw_dict(writer);
    pw_text(writer, "list");
    const uint32_t list = pw_list(writer);
    pw_int(writer, 1);
    pw_int(writer, 70000);
    pw_int(writer, INT64_MAX);
    pw_float(writer, 0.5);
    pw_list_end(writer);
    pw_text(writer, "again");
    pw_get(writer, list);
    pw_text(writer, "pair");
    pw_pair(writer, 5, 6);
    pw_dict_end(writer);
    pw_end(writer);
    return writer->used;
}

static void every_cut_is_truncated(void **state)
{
    (void)state;
    static pickle_writer writer;
    const size_t bytes = write_sample(&writer);
    logger log;
    ps_error err = {0};
    assert_ok(&err, read_bytes(writer.bytes, bytes, &log, &err));
    for (size_t cut = 1; cut < bytes; cut++) {
        assert_int_equal(read_bytes(writer.bytes, cut, &log, &err), PS_TRUNCATED);
        assert_true(err.has_offset);
        assert_int_equal(err.offset_bytes, cut);
    }
}

static void operands_may_cross_the_buffer(void **state)
{
    (void)state;
    /* texts of just under 1 MiB, so that each lies across a refill */
    const size_t text_bytes = (1u << 20) - 3, count = 5;
    const size_t total = 1 + count * (5 + text_bytes) + 2;
    unsigned char *bytes = malloc(total);
    size_t at = 0;
    assert_non_null(bytes);
    bytes[at++] = '(';
    for (size_t i = 0; i < count; i++) {
        const unsigned char head[5] = {'X', text_bytes & 0xff, text_bytes >> 8 & 0xff,
                                       text_bytes >> 16 & 0xff, 0};
        memcpy(bytes + at, head, sizeof head);
        memset(bytes + at + sizeof head, 'a' + (int)i, text_bytes);
        at += sizeof head + text_bytes;
    }
    bytes[at++] = 't';
    bytes[at++] = '.';
    ps_error err = {0};
    logger log;
    assert_ok(&err, read_bytes(bytes, at, &log, &err));
    free(bytes);
    assert_string_equal(log.text, "(1='a*1048573','b*1048573','c*1048573','d*1048573','e*1048573' "
                                  "-> (1");
}

static void running_out_of_memory_leaves_nothing(void **state)
{
    (void)state;
    static pickle_writer writer;
    const size_t bytes = write_sample(&writer);
    unsigned long n = 0;
    ps_code code;
    do {
        ps_error err = {0};
        logger log;
        ps_memory_fail_nth(++n);
        code = read_bytes(writer.bytes, bytes, &log, &err);
        ps_memory_fail_nth(0);
        assert_true(code == PS_OK || code == PS_NOMEM);
    } while (code != PS_OK);
    assert_true(n > 5);
}

static ps_code refuse(void *self, ps_pickle_value *tuple, const ps_pickle_value *items,
                      size_t count, ps_error *err)
{
    (void)self, (void)tuple, (void)items, (void)count;
    return ps_fail(err, PS_BAD_INPUT, "no tuples here");
}

static void a_visitor_can_stop_the_reading(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_source *source;
    ps_pickle *pickle;
    ps_pickle_value top;
    const ps_pickle_visitor visitor = {.on_tuple = refuse};
    assert_ok(&err, ps_source_open_memory("NN\x86.", 4, &source, &err));
    assert_ok(&err, ps_pickle_create(source, &visitor, &pickle, &err));
    assert_int_equal(ps_pickle_read(pickle, &top, &err), PS_BAD_INPUT);
    assert_string_equal(err.message, "no tuples here");
    assert_int_equal(err.offset_bytes, 2);
    ps_pickle_destroy(pickle);
    ps_source_close(source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars_read_as_written),
        cmocka_unit_test(long_integers_keep_sign_and_width),
        cmocka_unit_test(containers_report_their_items),
        cmocka_unit_test(memo_gives_values_back),
        cmocka_unit_test(protocols_agree),
        cmocka_unit_test(invalid_utf8_is_repaired),
        cmocka_unit_test(code_and_outside_data_are_refused_by_name),
        cmocka_unit_test(damage_is_told_with_its_place),
        cmocka_unit_test(limits_are_told),
        cmocka_unit_test(every_cut_is_truncated),
        cmocka_unit_test(operands_may_cross_the_buffer),
        cmocka_unit_test(running_out_of_memory_leaves_nothing),
        cmocka_unit_test(a_visitor_can_stop_the_reading),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
