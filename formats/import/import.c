/* SPDX-License-Identifier: MIT
 *
 * Driving an import: detection by the importers' probes, the choice of an
 * archive's member, and the facts every import has.
 */
#include "import/import.h"

#include <stdio.h>
#include <string.h>

#include "base/archive.h"
#include "base/memory.h"

#define FORMAT_LIST_BYTES 200u

#define X(name) extern const ps_importer_ops ps_importer_##name;
#include "import/importers.def"
#undef X

const ps_importer_ops *const *ps_importers(void)
{
    static const ps_importer_ops *const all[] = {
#define X(name) &ps_importer_##name,
#include "import/importers.def"
#undef X
        NULL};
    return all;
}

const ps_importer_ops *ps_import_detect(const unsigned char *head, size_t head_bytes)
{
    const ps_importer_ops *best = NULL;
    int best_score = 0;
    for (const ps_importer_ops *const *ops = ps_importers(); *ops != NULL; ops++) {
        const int score = (*ops)->probe(head, head_bytes);
        if (score > best_score) {
            best = *ops;
            best_score = score;
        }
    }
    return best;
}

/* ---- one source ---- */

static void list_formats(char *out, size_t room)
{
    size_t used = 0;
    out[0] = '\0';
    for (const ps_importer_ops *const *ops = ps_importers(); *ops != NULL && used < room; ops++) {
        const int n =
            snprintf(out + used, room - used, "%s%s", used == 0 ? "" : ", ", (*ops)->name);
        used += n > 0 ? (size_t)n : 0;
    }
}

static ps_code unknown_format(const char *name, const unsigned char *head, size_t head_bytes,
                              ps_error *err)
{
    char formats[FORMAT_LIST_BYTES];
    const char *phrase = ps_import_recognise(head, head_bytes);
    list_formats(formats, sizeof formats);
    if (phrase != NULL) {
        return ps_fail(err, PS_UNSUPPORTED, "%s is %s (known formats: %s)", name, phrase, formats);
    }
    return ps_fail(err, PS_BAD_INPUT, "%s: not a trace in any known format: %s", name, formats);
}

/* Text behind the last slash. */
static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

static ps_code import_source(ps_source *source, ps_trace_builder *out, const char **format,
                             ps_error *err)
{
    const unsigned char *head = NULL;
    size_t head_bytes = 0;
    PS_TRY(ps_source_peek(source, PS_IMPORT_PROBE_BYTES, &head, &head_bytes, err));
    const ps_importer_ops *ops = ps_import_detect(head, head_bytes);
    if (ops == NULL) {
        return unknown_format(ps_source_name(source), head, head_bytes, err);
    }
    ps_code code = ops->import(source, out, err);
    if (code == PS_OK) {
        code = ps_trace_builder_meta(out, PS_META_TITLE, base_name(ps_source_name(source)), err);
    }
    if (code != PS_OK) {
        ps_error_note(err, "cannot import %s as %s", ps_source_name(source), ops->name);
        return code;
    }
    *format = ops->name;
    return PS_OK;
}

/* ---- archives ---- */

/* The members that can be imported: how many, and the first in the archive's own order. */
typedef struct member_choice {
    char *name; /* owned */
    uint64_t count;
    uint64_t seen;
    const char *phrase; /* what the first recognised one of the others is; NULL when none */
} member_choice;

static ps_code consider_member(void *context, ps_source *member, ps_error *err)
{
    member_choice *choice = context;
    const unsigned char *head = NULL;
    const char *name = ps_source_name(member);
    size_t head_bytes = 0;
    choice->seen++;
    const ps_code code = ps_source_peek(member, PS_IMPORT_PROBE_BYTES, &head, &head_bytes, err);
    if (code == PS_CORRUPT || code == PS_TRUNCATED) {
        return PS_OK; /* damage inside one file does not concern the others */
    }
    PS_TRY(code);
    if (ps_import_detect(head, head_bytes) == NULL) {
        if (choice->phrase == NULL) {
            choice->phrase = ps_import_recognise(head, head_bytes);
        }
        return PS_OK;
    }
    choice->count++;
    if (choice->name != NULL) {
        return PS_OK;
    }
    char *copy = ps_calloc(strlen(name) + 1, 1);
    if (copy == NULL) {
        return ps_fail_nomem(err);
    }
    memcpy(copy, name, strlen(name));
    choice->name = copy;
    return PS_OK;
}

static ps_code put_archive_facts(ps_trace_builder *out, const char *member, uint64_t count,
                                 ps_error *err)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)count);
    PS_TRY(ps_trace_builder_meta(out, PS_META_ARCHIVE_MEMBER, member, err));
    return ps_trace_builder_meta(out, PS_META_ARCHIVE_MEMBERS, text, err);
}

static ps_code import_member(const char *path, const char *member, uint64_t count,
                             ps_trace_builder *out, ps_import_report *report, ps_error *err)
{
    ps_source *file = NULL, *source = NULL;
    PS_TRY(ps_source_open(path, &file, err));
    PS_TRY(ps_archive_open_member(file, member, &source, err));
    ps_code code = import_source(source, out, &report->format, err);
    ps_source_close(source);
    if (code == PS_OK) {
        code = put_archive_facts(out, member, count, err);
    }
    if (code != PS_OK) {
        return code;
    }
    report->member_count = count;
    (void)snprintf(report->member, sizeof report->member, "%s", member);
    return PS_OK;
}

/* Which member is meant: looks at all of them, because the choice names how many there are. */
static ps_code choose_member(ps_source *file, const char *wanted, member_choice *choice,
                             ps_error *err)
{
    PS_TRY(ps_archive_walk(file, consider_member, choice, err));
    if (wanted == NULL && choice->name == NULL) {
        char formats[FORMAT_LIST_BYTES];
        list_formats(formats, sizeof formats);
        return ps_fail(
            err, choice->phrase == NULL ? PS_BAD_INPUT : PS_UNSUPPORTED,
            "none of the %llu files in the archive is a trace in a known format (%s)%s%s",
            (unsigned long long)choice->seen, formats, choice->phrase == NULL ? "" : "; one is ",
            choice->phrase == NULL ? "" : choice->phrase);
    }
    return PS_OK;
}

/* `file` is the opened archive, taken; its path serves to open it again. */
static ps_code import_archive(ps_source *file, const char *path, const char *wanted,
                              ps_trace_builder *out, ps_import_report *report, ps_error *err)
{
    member_choice choice = {0};
    ps_code code = choose_member(file, wanted, &choice, err);
    if (code == PS_OK) {
        code = import_member(path, wanted != NULL ? wanted : choice.name, choice.count, out, report,
                             err);
    }
    ps_free(choice.name);
    if (code != PS_OK) {
        ps_error_note(err, "cannot import from %s", path);
    }
    return code;
}

/* ---- files ---- */

ps_code ps_import_file(const char *path, const ps_import_options *options, ps_trace_builder *out,
                       ps_import_report *report, ps_error *err)
{
    const char *member = options == NULL ? NULL : options->member;
    const unsigned char *head = NULL;
    size_t head_bytes = 0;
    ps_import_report made = {0};
    ps_source *source = NULL;
    PS_TRY(ps_source_open(path, &source, err));
    ps_code code = ps_source_peek(source, PS_IMPORT_PROBE_BYTES, &head, &head_bytes, err);
    if (code != PS_OK) {
        ps_error_note(err, "cannot read %s", path);
    } else if (ps_archive_is_tar(head, head_bytes)) {
        code = import_archive(source, path, member, out, &made, err);
        source = NULL;
    } else if (member != NULL) {
        code = ps_fail(err, PS_USAGE, "%s is not an archive, so it has no member %s", path, member);
    } else {
        code = import_source(source, out, &made.format, err);
    }
    ps_source_close(source);
    if (code == PS_OK && report != NULL) {
        *report = made;
    }
    return code;
}

ps_code ps_import_to_file(const char *path, const ps_import_options *options, const char *out_path,
                          ps_import_report *report, ps_error *err)
{
    ps_trace_builder *out = NULL;
    PS_TRY(ps_trace_builder_open(out_path, &out, err));
    const ps_code code = ps_import_file(path, options, out, report, err);
    if (code != PS_OK) {
        ps_trace_builder_abandon(out);
        return code;
    }
    return ps_trace_builder_finish(out, err);
}
