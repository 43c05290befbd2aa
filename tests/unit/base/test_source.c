/* SPDX-License-Identifier: MIT
 *
 * Byte sources: files, memory, gzip, members of archives.
 */
#include "support/test.h"

#include <isa-l/igzip_lib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/archive.h"
#include "base/memory.h"
#include "base/source.h"
#include "unit/base/tar_writer.h"

/* ---- material ---- */

#define TEXT_BYTES 20000u

/* Text that compresses, but not to nothing. */
static void make_text(unsigned char *text, size_t bytes)
{
    uint32_t seed = 12345;
    for (size_t i = 0; i < bytes; i++) {
        seed = seed * 1103515245u + 12345u;
        text[i] = (unsigned char)("the quick brown fox"[(seed >> 16) % 19]);
    }
}

static size_t compress_gzip(const unsigned char *text, size_t bytes, unsigned char *out,
                            size_t room)
{
    struct isal_zstream stream;
    isal_deflate_stateless_init(&stream);
    stream.gzip_flag = IGZIP_GZIP;
    stream.end_of_stream = 1;
    stream.next_in = (unsigned char *)(uintptr_t)text;
    stream.avail_in = (uint32_t)bytes;
    stream.next_out = out;
    stream.avail_out = (uint32_t)room;
    assert_int_equal(isal_deflate_stateless(&stream), COMP_OK);
    return room - stream.avail_out;
}

/* Reads all in pieces of `step`; on failure *failure is the code and the bytes before it are kept. */
static size_t read_all(ps_source *source, size_t step, unsigned char *out, size_t room,
                       ps_code *failure, ps_error *err)
{
    size_t total = 0;
    for (;;) {
        size_t got = 0;
        *failure = ps_source_read(source, out + total, step < room - total ? step : room - total,
                                  &got, err);
        if (*failure != PS_OK || got == 0) {
            return total;
        }
        total += got;
        assert_int_equal(ps_source_offset(source), total);
        assert_true(total < room);
    }
}

typedef struct material {
    unsigned char text[TEXT_BYTES];
    unsigned char packed[TEXT_BYTES + 1000];
    unsigned char out[3 * TEXT_BYTES];
    size_t packed_bytes;
} material;

static material *make_material(void)
{
    material *made = calloc(1, sizeof *made);
    assert_non_null(made);
    make_text(made->text, TEXT_BYTES);
    made->packed_bytes = compress_gzip(made->text, TEXT_BYTES, made->packed, sizeof made->packed);
    return made;
}

/* Opens and reads memory to its end; returns the code and leaves the bytes in m->out. */
static ps_code read_memory(material *m, const unsigned char *bytes, size_t count, size_t step,
                           size_t *got, ps_error *err)
{
    ps_source *source = NULL;
    ps_code code = ps_source_open_memory(bytes, count, &source, err);
    *got = 0;
    if (code == PS_OK) {
        *got = read_all(source, step, m->out, sizeof m->out, &code, err);
        ps_source_close(source);
    }
    return code;
}

static void write_file(const char *path, const void *bytes, size_t count)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, count, file), count);
    assert_int_equal(fclose(file), 0);
}

static const char *temp_path(const char *name)
{
    static char path[1024];
    (void)snprintf(path, sizeof path, "%s/test_source_%ld_%s", PS_TEST_BINARY_DIR, (long)getpid(),
                   name);
    return path;
}

/* ---- files and memory ---- */

static void a_file_is_read_in_any_steps(void **state)
{
    (void)state;
    material *m = make_material();
    const char *path = temp_path("plain");
    const size_t steps[] = {1, 7, 4096, 100000};
    write_file(path, m->text, TEXT_BYTES);
    for (size_t i = 0; i < 4; i++) {
        ps_error err = {0};
        ps_code code = PS_OK;
        ps_source *source = NULL;
        assert_ok(&err, ps_source_open(path, &source, &err));
        assert_string_equal(ps_source_name(source), path);
        assert_int_equal(read_all(source, steps[i], m->out, sizeof m->out, &code, &err),
                         TEXT_BYTES);
        assert_int_equal(code, PS_OK);
        assert_memory_equal(m->out, m->text, TEXT_BYTES);
        ps_source_close(source);
    }
    (void)remove(path);
    free(m);
}

static void a_peek_does_not_consume(void **state)
{
    (void)state;
    material *m = make_material();
    const unsigned char *inputs[] = {m->text, m->packed};
    const size_t sizes[] = {TEXT_BYTES, m->packed_bytes};
    for (size_t i = 0; i < 2; i++) {
        ps_error err = {0};
        ps_code code = PS_OK;
        ps_source *source = NULL;
        const unsigned char *head = NULL;
        size_t got = 0;
        assert_ok(&err, ps_source_open_memory(inputs[i], sizes[i], &source, &err));
        assert_ok(&err, ps_source_peek(source, 10, &head, &got, &err));
        assert_int_equal(got, 10);
        assert_memory_equal(head, m->text, 10);
        assert_ok(&err, ps_source_peek(source, (size_t)1 << 20, &head, &got, &err));
        assert_int_equal(got, TEXT_BYTES);
        assert_memory_equal(head, m->text, TEXT_BYTES);
        assert_int_equal(ps_source_offset(source), 0);
        assert_int_equal(read_all(source, 999, m->out, sizeof m->out, &code, &err), TEXT_BYTES);
        assert_memory_equal(m->out, m->text, TEXT_BYTES);
        assert_int_equal(ps_source_peek(source, 10, &head, &got, &err), PS_USAGE);
        ps_source_close(source);
    }
    free(m);
}

static void check_refused(const char *path, ps_code wanted, const char *words)
{
    ps_error err = {0};
    ps_source *source = NULL;
    char text[700];
    assert_int_equal(ps_source_open(path, &source, &err), wanted);
    ps_error_format(&err, text, sizeof text);
    if (strstr(text, words) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", text, words);
    }
}

static void what_is_no_file_is_named(void **state)
{
    (void)state;
    const char *path = temp_path("special");
    check_refused("/nonexistent/file", PS_IO, "cannot open /nonexistent/file: No such file");
    check_refused(PS_TEST_BINARY_DIR, PS_BAD_INPUT, "is a directory, not a file");
    check_refused("/dev/null", PS_BAD_INPUT, "is a device, not a file");
    assert_int_equal(mkfifo(path, 0600), 0);
    check_refused(path, PS_BAD_INPUT, "is a pipe, not a file");
    (void)remove(path);
    write_file(path, "", 0);
    check_refused(path, PS_BAD_INPUT, "is empty");
    if (geteuid() != 0) {
        assert_int_equal(chmod(path, 0), 0);
        check_refused(path, PS_IO, "Permission denied");
    }
    (void)remove(path);
}

/* ---- gzip ---- */

static void gzip_is_undone(void **state)
{
    (void)state;
    material *m = make_material();
    const size_t steps[] = {1, 7, 4096, 100000};
    for (size_t i = 0; i < 4; i++) {
        ps_error err = {0};
        size_t got = 0;
        assert_ok(&err, read_memory(m, m->packed, m->packed_bytes, steps[i], &got, &err));
        assert_int_equal(got, TEXT_BYTES);
        assert_memory_equal(m->out, m->text, TEXT_BYTES);
    }
    free(m);
}

static void gzip_members_follow_one_another(void **state)
{
    (void)state;
    material *m = make_material();
    ps_error err = {0};
    size_t got = 0;
    unsigned char *two = calloc(1, 2 * m->packed_bytes + 600);
    memcpy(two, m->packed, m->packed_bytes);
    memcpy(two + m->packed_bytes, m->packed, m->packed_bytes);
    /* followed by zero padding, as on tapes */
    assert_ok(&err, read_memory(m, two, 2 * m->packed_bytes + 600, 777, &got, &err));
    assert_int_equal(got, 2 * TEXT_BYTES);
    assert_memory_equal(m->out + TEXT_BYTES, m->text, TEXT_BYTES);
    memcpy(two + 2 * m->packed_bytes, "junk", 4);
    assert_int_equal(read_memory(m, two, 2 * m->packed_bytes + 4, 777, &got, &err), PS_CORRUPT);
    assert_int_equal(got, 2 * TEXT_BYTES);
    assert_int_equal(err.offset_bytes, 2 * TEXT_BYTES);
    free(two);
    free(m);
}

static void gzip_header_fields_are_passed_over(void **state)
{
    (void)state;
    material *m = make_material();
    ps_error err = {0};
    size_t got = 0;
    /* FEXTRA, FNAME and FCOMMENT, then the deflate data of the plain member */
    static const unsigned char header[] = {0x1f, 0x8b, 8,   4 | 8 | 16, 0,   0,   0, 0,   0, 255,
                                           3,    0,    'a', 'b',        'c', 'n', 0, 'c', 0};
    unsigned char *whole = calloc(1, m->packed_bytes + sizeof header);
    memcpy(whole, header, sizeof header);
    memcpy(whole + sizeof header, m->packed + 10, m->packed_bytes - 10);
    assert_ok(&err, read_memory(m, whole, m->packed_bytes - 10 + sizeof header, 4096, &got, &err));
    assert_memory_equal(m->out, m->text, TEXT_BYTES);
    free(whole);
    free(m);
}

static void gzip_cut_anywhere_is_truncated(void **state)
{
    (void)state;
    material *m = make_material();
    for (size_t cut = 3; cut < m->packed_bytes; cut += cut < 40 ? 1 : 97) {
        ps_error err = {0};
        size_t got = 0;
        assert_int_equal(read_memory(m, m->packed, cut, 4096, &got, &err), PS_TRUNCATED);
        assert_true(err.has_offset);
        assert_int_equal(err.offset_bytes, got);
        assert_memory_equal(m->out, m->text, got);
    }
    for (size_t left = 1; left <= 8; left++) { /* inside the trailer: all text, no checksum */
        ps_error err = {0};
        size_t got = 0;
        assert_int_equal(read_memory(m, m->packed, m->packed_bytes - left, 4096, &got, &err),
                         PS_TRUNCATED);
        assert_int_equal(got, TEXT_BYTES);
    }
    free(m);
}

static void gzip_damage_is_found(void **state)
{
    (void)state;
    material *m = make_material();
    for (size_t at = 10; at < m->packed_bytes; at += 53) {
        ps_error err = {0};
        size_t got = 0;
        m->packed[at] ^= 0x10;
        const ps_code code = read_memory(m, m->packed, m->packed_bytes, 4096, &got, &err);
        assert_true(code == PS_CORRUPT || code == PS_TRUNCATED);
        m->packed[at] ^= 0x10;
    }
    ps_error err = {0};
    size_t got = 0;
    m->packed[m->packed_bytes - 8] ^= 1;
    assert_int_equal(read_memory(m, m->packed, m->packed_bytes, 4096, &got, &err), PS_CORRUPT);
    assert_non_null(strstr(err.message, "checksum"));
    assert_true(got <= TEXT_BYTES);
    free(m);
}

/* Gzip of that many zeros. */
static size_t make_bomb(uint64_t bytes, unsigned char *out, size_t room)
{
    static unsigned char zeros[1 << 16];
    static unsigned char level_buf[ISAL_DEF_LVL1_DEFAULT];
    struct isal_zstream stream;
    isal_deflate_init(&stream);
    stream.gzip_flag = IGZIP_GZIP;
    stream.level = 1;
    stream.level_buf = level_buf;
    stream.level_buf_size = sizeof level_buf;
    stream.next_out = out;
    stream.avail_out = (uint32_t)room;
    for (uint64_t done = 0; done < bytes; done += sizeof zeros) {
        stream.next_in = zeros;
        stream.avail_in = sizeof zeros;
        stream.end_of_stream = done + sizeof zeros >= bytes;
        assert_int_equal(isal_deflate(&stream), COMP_OK);
    }
    return room - stream.avail_out;
}

static void a_bomb_is_refused(void **state)
{
    (void)state;
    const size_t room = (size_t)8 << 20;
    const uint64_t whole = PS_SOURCE_FREE_BYTES + ((uint64_t)64 << 20);
    unsigned char *packed = calloc(1, room);
    unsigned char *out = calloc(1, 1 << 20);
    ps_error err = {0};
    ps_source *source = NULL;
    ps_code code = PS_OK;
    const size_t packed_bytes = make_bomb(whole, packed, room);
    assert_true(whole / PS_SOURCE_MAX_RATIO > packed_bytes);
    assert_ok(&err, ps_source_open_memory(packed, packed_bytes, &source, &err));
    size_t got = 1;
    while (code == PS_OK && got > 0) {
        code = ps_source_read(source, out, 1 << 20, &got, &err);
    }
    assert_int_equal(code, PS_LIMIT);
    assert_true(ps_source_offset(source) >= PS_SOURCE_FREE_BYTES);
    ps_source_close(source);
    free(packed);
    free(out);
}

static void running_out_of_memory_is_reported(void **state)
{
    (void)state;
    material *m = make_material();
    ps_code code = PS_NOMEM;
    for (unsigned long n = 1; code != PS_OK; n++) {
        ps_error err = {0};
        size_t got = 0;
        ps_memory_fail_nth(n);
        code = read_memory(m, m->packed, m->packed_bytes, 4096, &got, &err);
        ps_memory_fail_nth(0);
        assert_true(code == PS_OK || code == PS_NOMEM);
        assert_true(n < 50);
    }
    free(m);
}

/* ---- archives ---- */

#define ARCHIVE_ROOM ((size_t)64 << 10)

/* A folder, an empty file, a text, a gzip text. */
static size_t make_archive(const material *m, unsigned char *out)
{
    size_t at = 0;
    memset(out, 0, ARCHIVE_ROOM);
    at += tar_put_member(out + at, "run/", '5', "", 0);
    at += tar_put_member(out + at, "run/none", '0', "", 0);
    at += tar_put_member(out + at, "run/b.txt", '0', "second", 6);
    at += tar_put_member(out + at, "run/a.txt.gz", '0', m->packed, m->packed_bytes);
    return at + TAR_END_BYTES;
}

static ps_code count_members(void *context, ps_source *member, ps_error *err)
{
    unsigned char buf[64];
    size_t got = 0;
    char *names = context;
    PS_TRY(ps_source_read(member, buf, sizeof buf, &got, err));
    assert_true(got > 0);
    (void)strcat(strcat(names, ps_source_name(member)), ";");
    return PS_OK;
}

static ps_source *open_file(const char *path)
{
    ps_error err = {0};
    ps_source *source = NULL;
    assert_ok(&err, ps_source_open(path, &source, &err));
    return source;
}

static void archive_members_are_sources(void **state)
{
    (void)state;
    material *m = make_material();
    unsigned char *archive = calloc(1, ARCHIVE_ROOM + 1000);
    const char *path = temp_path("tar");
    const size_t bytes = make_archive(m, archive);
    assert_true(ps_archive_is_tar(archive, 512));
    assert_false(ps_archive_is_tar(m->text, 512));
    assert_false(ps_archive_is_tar(archive, 511));
    unsigned char *packed = calloc(1, ARCHIVE_ROOM);
    const size_t packed_bytes = compress_gzip(archive, bytes, packed, ARCHIVE_ROOM);
    for (int is_packed = 0; is_packed < 2; is_packed++) {
        ps_error err = {0};
        ps_source *source = NULL;
        ps_code code = PS_OK;
        char names[200] = "";
        write_file(path, is_packed ? packed : archive, is_packed ? packed_bytes : bytes);
        assert_ok(&err, ps_archive_walk(open_file(path), count_members, names, &err));
        assert_string_equal(names, "run/b.txt;run/a.txt.gz;");
        assert_ok(&err, ps_archive_open_member(open_file(path), "run/a.txt.gz", &source, &err));
        assert_int_equal(read_all(source, 1000, m->out, sizeof m->out, &code, &err), TEXT_BYTES);
        assert_int_equal(code, PS_OK);
        assert_memory_equal(m->out, m->text, TEXT_BYTES);
        ps_source_close(source);
        assert_int_equal(ps_archive_open_member(open_file(path), "a.txt", &source, &err),
                         PS_NOT_FOUND);
        assert_int_equal(ps_archive_open_member(open_file(path), "run/none", &source, &err),
                         PS_NOT_FOUND);
    }
    (void)remove(path);
    free(packed);
    free(archive);
    free(m);
}

static void damaged_archives_are_refused(void **state)
{
    (void)state;
    material *m = make_material();
    unsigned char *archive = calloc(1, ARCHIVE_ROOM + 1000);
    const char *path = temp_path("badtar");
    const size_t bytes = make_archive(m, archive);
    ps_error err = {0};
    char names[200] = "";
    write_file(path, archive, bytes - 3000); /* ends inside the last member */
    ps_source *source = NULL;
    ps_code code = PS_OK;
    code = ps_archive_open_member(open_file(path), "run/a.txt.gz", &source, &err);
    assert_int_equal(code, PS_CORRUPT);
    archive[512 + 512 + 3] ^= 1; /* the third header */
    write_file(path, archive, bytes);
    assert_int_equal(ps_archive_walk(open_file(path), count_members, names, &err), PS_CORRUPT);
    const size_t packed_bytes = compress_gzip(archive, bytes, m->out, sizeof m->out);
    write_file(path, m->out, packed_bytes / 2);
    assert_int_not_equal(ps_archive_walk(open_file(path), count_members, names, &err), PS_OK);
    (void)remove(path);
    free(archive);
    free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_read_in_any_steps),
        cmocka_unit_test(a_peek_does_not_consume),
        cmocka_unit_test(what_is_no_file_is_named),
        cmocka_unit_test(gzip_is_undone),
        cmocka_unit_test(gzip_members_follow_one_another),
        cmocka_unit_test(gzip_header_fields_are_passed_over),
        cmocka_unit_test(gzip_cut_anywhere_is_truncated),
        cmocka_unit_test(gzip_damage_is_found),
        cmocka_unit_test(a_bomb_is_refused),
        cmocka_unit_test(running_out_of_memory_is_reported),
        cmocka_unit_test(archive_members_are_sources),
        cmocka_unit_test(damaged_archives_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
