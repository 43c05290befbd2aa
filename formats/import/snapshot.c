/* SPDX-License-Identifier: MIT
 *
 * Importer of PyTorch CUDA memory snapshots (torch.cuda.memory._dump_snapshot).
 *
 *   dict                                           trace
 *   segments: [segment {blocks: [block]}]          segment, block
 *   device_traces: [[event], ..], one a device     memory
 *   allocator_settings: {..}                       meta allocator-conf
 *   external_annotations: [annotation]             range
 *   frames: [frame]                                the stack of events and blocks
 *
 * A bare list of segments, as some tools save it, is taken as well. Sizes of
 * events are what the program asked for; blocks carry the rounded size too.
 * Whatever else a snapshot holds (compile_context, user_metadata, unknown
 * keys) has no place in a trace and is left out.
 *
 * Memory: what grows with the file are 4 bytes for each object its writer
 * memoised (two to three an event) and what is distinct: texts, stacks, pool
 * ids. All of it is limited; a file of 2 GB with 8 million events takes about
 * 110 MiB. A writer that does not batch its lists (PyTorch's own from C++)
 * costs 16 bytes an event more and nothing for the memo.
 *
 * What it does not do: judge whether events and segments agree. That needs the
 * allocator's rules; only what is wrong in itself is refused here.
 */
#include <string.h>

#include "base/memory.h"
#include "import/importer.h"
#include "import/snapshot_parts.h"

/* The first of its keys that only one kind of dict has decides. */
static ps_snapshot_tag kind_of(const ps_pickle_value *pairs, size_t pair_count)
{
    for (size_t i = 0; i < pair_count; i++) {
        switch (ps_snapshot_key(&pairs[2 * i])) {
        case PS_WORD_FILENAME:
            return PS_TAG_FRAME;
        case PS_WORD_ACTION:
            return PS_TAG_EVENT;
        case PS_WORD_STATE:
            return PS_TAG_BLOCK;
        case PS_WORD_BLOCKS:
            return PS_TAG_SEGMENT;
        case PS_WORD_REAL_SIZE:
            return PS_TAG_HISTORY;
        case PS_WORD_STAGE:
            return PS_TAG_ANNOTATION;
        case PS_WORD_ALLOC_CONF:
        case PS_WORD_MAX_SPLIT_SIZE:
            return PS_TAG_SETTINGS;
        case PS_WORD_SEGMENTS:
        case PS_WORD_DEVICE_TRACES:
            return PS_TAG_WHOLE;
        default:
            break;
        }
    }
    return PS_TAG_OTHER;
}

static bool is_list_of(const ps_pickle_value *value, ps_snapshot_tag tag)
{
    return value->type == PS_PICKLE_LIST && !value->is_shared && value->tag == tag;
}

/* Everything that became rows must stand in the list it is looked for in, and only there. */
static ps_code check_complete(const ps_snapshot *self, const ps_pickle_value *pair,
                              ps_snapshot_tag tag, uint32_t written, ps_error *err)
{
    const ps_pickle_value *list = &pair[1];
    const bool is_empty = list->type == PS_PICKLE_LIST && list->tag == PS_TAG_NOTHING;
    if (is_empty ? written != 0 : !is_list_of(list, tag) || list->as.box.count != written) {
        return ps_fail(err, PS_BAD_INPUT,
                       "\"%s\" does not hold all that looks like part of it, and nothing else",
                       ps_strings_text(self->texts, ps_snapshot_key(pair)));
    }
    return PS_OK;
}

static ps_code check_traces(const ps_snapshot *self, const ps_pickle_value *pair, ps_error *err)
{
    const ps_pickle_value *list = &pair[1];
    const bool is_empty = list->type == PS_PICKLE_LIST && list->tag == PS_TAG_NOTHING;
    const bool has_events = is_list_of(list, PS_TAG_TRACE) && list->as.box.node != 0;
    if ((!is_empty && !is_list_of(list, PS_TAG_TRACE)) ||
        has_events != (self->events.event_count > 0)) {
        return ps_snapshot_fail_key(self, pair, "a list with one list of trace events a device",
                                    err);
    }
    return PS_OK;
}

static ps_code read_whole(const ps_snapshot *self, const ps_pickle_value *pairs, size_t pair_count,
                          ps_error *err)
{
    bool has_segments = false, has_traces = false, has_annotations = false;
    for (size_t i = 0; i < pair_count; i++) {
        const ps_pickle_value *pair = &pairs[2 * i];
        switch (ps_snapshot_key(pair)) {
        case PS_WORD_SEGMENTS:
            has_segments = true;
            PS_TRY(check_complete(self, pair, PS_TAG_SEGMENT, self->segments.segment_count, err));
            break;
        case PS_WORD_DEVICE_TRACES:
            has_traces = true;
            PS_TRY(check_traces(self, pair, err));
            break;
        case PS_WORD_EXTERNAL_ANNOTATIONS:
            has_annotations = true;
            PS_TRY(
                check_complete(self, pair, PS_TAG_ANNOTATION, self->ranges.annotation_count, err));
            break;
        default:
            break;
        }
    }
    if ((!has_segments && self->segments.segment_count > 0) ||
        (!has_traces && self->events.event_count > 0) ||
        (!has_annotations && self->ranges.annotation_count > 0)) {
        return ps_fail(err, PS_BAD_INPUT,
                       "segments, events or annotations lie outside the snapshot's own lists");
    }
    return PS_OK;
}

static ps_code read_dict(ps_snapshot *self, ps_pickle_value *dict, const ps_pickle_value *pairs,
                         size_t pair_count, ps_error *err)
{
    const ps_snapshot_tag kind = kind_of(pairs, pair_count);
    dict->tag = (uint8_t)kind;
    switch (kind) {
    case PS_TAG_FRAME:
        return ps_snapshot_frame(self, dict, pairs, pair_count, err);
    case PS_TAG_EVENT:
        return ps_snapshot_event_read(self, dict, pairs, pair_count, err);
    case PS_TAG_BLOCK:
        return ps_snapshot_block_read(self, dict, pairs, pair_count, err);
    case PS_TAG_SEGMENT:
        return ps_snapshot_segment_read(self, pairs, pair_count, err);
    case PS_TAG_HISTORY:
        return ps_snapshot_history_read(self, dict, pairs, pair_count, err);
    case PS_TAG_ANNOTATION:
        return ps_snapshot_annotation_read(self, pairs, pair_count, err);
    case PS_TAG_SETTINGS:
        return ps_snapshot_settings_read(self, pairs, pair_count, err);
    case PS_TAG_WHOLE:
        return read_whole(self, pairs, pair_count, err);
    case PS_TAG_NOTHING:
    case PS_TAG_DIVISIONS:
    case PS_TAG_POOL:
    case PS_TAG_TRACE:
    case PS_TAG_OTHER:
        break;
    }
    if (ps_snapshot_divisions_read(self, pairs, pair_count)) {
        dict->tag = PS_TAG_DIVISIONS;
    }
    return PS_OK;
}

static ps_code on_dict(void *context, ps_pickle_value *dict, const ps_pickle_value *pairs,
                       size_t pair_count, ps_error *err)
{
    if (dict->tag == PS_TAG_OTHER) {
        return PS_OK; /* what it was not at first it does not become later */
    }
    if (dict->tag != PS_TAG_NOTHING) {
        return ps_fail(err, PS_UNSUPPORTED,
                       "a dict of the snapshot is written in several steps, as text pickles "
                       "(protocol 0) do");
    }
    return read_dict(context, dict, pairs, pair_count, err);
}

/* What a list becomes by an item; PS_TAG_OTHER when the item says nothing. */
static ps_snapshot_tag tag_by_item(const ps_pickle_value *item)
{
    if (item->type == PS_PICKLE_DICT) {
        switch (item->tag) {
        case PS_TAG_FRAME:
        case PS_TAG_EVENT:
        case PS_TAG_BLOCK:
        case PS_TAG_SEGMENT:
        case PS_TAG_HISTORY:
        case PS_TAG_ANNOTATION:
            return (ps_snapshot_tag)item->tag;
        default:
            return PS_TAG_OTHER;
        }
    }
    if (item->type == PS_PICKLE_LIST &&
        (item->tag == PS_TAG_EVENT || item->tag == PS_TAG_NOTHING)) {
        return PS_TAG_TRACE;
    }
    return PS_TAG_OTHER;
}

/* Blocks and history entries must lie one after the other in their store. */
static ps_snapshot_tag run_tag(const ps_pickle_value *list, const ps_pickle_value *items,
                               size_t count, ps_snapshot_tag tag)
{
    const uint32_t first = list->tag == PS_TAG_NOTHING ? items[0].as.box.node : list->as.box.node;
    for (size_t i = 0; i < count; i++) {
        if (items[i].as.box.node != first + list->as.box.count + i) {
            return PS_TAG_OTHER;
        }
    }
    return tag;
}

static ps_code on_list(void *context, ps_pickle_value *list, const ps_pickle_value *items,
                       size_t count, ps_error *err)
{
    ps_snapshot *self = context;
    const ps_snapshot_tag tag =
        list->tag == PS_TAG_NOTHING ? tag_by_item(&items[0]) : (ps_snapshot_tag)list->tag;
    for (size_t i = 0; i < count; i++) {
        if (tag == PS_TAG_OTHER || tag_by_item(&items[i]) != tag) {
            list->tag = PS_TAG_OTHER;
            return PS_OK;
        }
        if (items[i].is_shared && tag != PS_TAG_FRAME && items[i].tag != PS_TAG_NOTHING) {
            return ps_fail(err, PS_BAD_INPUT, "the same part of the snapshot stands in two places");
        }
    }
    switch (tag) {
    case PS_TAG_FRAME:
        return ps_snapshot_frames(self, list, items, count, err);
    case PS_TAG_EVENT:
        return ps_snapshot_events_list(self, list, items, count, err);
    case PS_TAG_TRACE:
        return ps_snapshot_traces_list(self, list, items, count, err);
    case PS_TAG_BLOCK:
    case PS_TAG_HISTORY:
        if (run_tag(list, items, count, tag) != tag) {
            list->tag = PS_TAG_OTHER;
            return PS_OK;
        }
        if (list->tag == PS_TAG_NOTHING) {
            list->as.box.node = items[0].as.box.node;
        }
        break;
    case PS_TAG_NOTHING:
    case PS_TAG_SEGMENT:
    case PS_TAG_ANNOTATION:
    case PS_TAG_SETTINGS:
    case PS_TAG_DIVISIONS:
    case PS_TAG_WHOLE:
    case PS_TAG_POOL:
    case PS_TAG_OTHER:
        break;
    }
    list->tag = (uint8_t)tag;
    return PS_OK;
}

static ps_code on_tuple(void *context, ps_pickle_value *tuple, const ps_pickle_value *items,
                        size_t count, ps_error *err)
{
    ps_snapshot *self = context;
    uint64_t owner, serial;
    tuple->tag = PS_TAG_OTHER;
    if (count == 2 && ps_pickle_get_u64(&items[0], &owner) &&
        ps_pickle_get_u64(&items[1], &serial)) {
        tuple->tag = PS_TAG_POOL;
        return ps_snapshot_pool_intern(&self->pools, owner, serial, &tuple->as.box.node, err);
    }
    return PS_OK;
}

static ps_code intern_words(ps_strings *texts, ps_error *err)
{
    static const char *const words[] = {
#define WORD_TEXT(sym, text) text,
        PS_SNAPSHOT_WORDS(WORD_TEXT)
#undef WORD_TEXT
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        ps_str id;
        PS_TRY(ps_strings_put_z(texts, words[i], &id, err));
        if (id != i + 1) {
            return ps_fail(err, PS_INTERNAL, "the word \"%s\" is listed twice", words[i]);
        }
    }
    return PS_OK;
}

static ps_code check_top(const ps_snapshot *self, const ps_pickle_value *top, ps_error *err)
{
    const bool is_whole = top->type == PS_PICKLE_DICT && top->tag == PS_TAG_WHOLE;
    const bool is_segments = is_list_of(top, PS_TAG_SEGMENT) &&
                             top->as.box.count == self->segments.segment_count &&
                             self->events.event_count == 0;
    if (!is_whole && !is_segments) {
        return ps_fail(err, PS_BAD_INPUT,
                       "the pickle is not a memory snapshot: neither a dict with segments or "
                       "device_traces nor a list of segments");
    }
    return PS_OK;
}

static ps_code read_snapshot(ps_snapshot *self, ps_error *err)
{
    ps_pickle_value top;
    uint32_t default_pool;
    PS_TRY(ps_snapshot_stacks_init(&self->stacks, err));
    PS_TRY(ps_snapshot_pool_intern(&self->pools, 0, 0, &default_pool, err));
    PS_TRY(intern_words(ps_pickle_strings(self->pickle), err));
    PS_TRY(ps_pickle_read(self->pickle, &top, err));
    PS_TRY(check_top(self, &top, err));
    PS_TRY(ps_snapshot_events_finish(self, err));
    PS_TRY(ps_snapshot_ranges_finish(self, err));
    PS_TRY(ps_snapshot_settings_finish(self, err));
    PS_TRY(ps_trace_builder_loss(self->out, "invalid-text", ps_pickle_bad_text_bytes(self->pickle),
                                 err));
    PS_TRY(ps_trace_builder_meta(self->out, PS_META_SOURCE, "memory-snapshot", err));
    return ps_trace_builder_meta(self->out, PS_META_MEMORY_SIZES, "requested", err);
}

static void fini(ps_snapshot *self)
{
    ps_pickle_destroy(self->pickle);
    ps_snapshot_stacks_fini(&self->stacks);
    ps_snapshot_pools_fini(&self->pools);
    ps_free(self->events.device);
    ps_free(self->segments.block);
    ps_free(self->segments.history);
    ps_free(self->ranges.open);
}

static bool is_zip(const unsigned char *head, size_t head_bytes)
{
    return head_bytes >= 4 && memcmp(head, "PK\x03\x04", 4) == 0;
}

static ps_code import(ps_source *source, ps_trace_builder *out, ps_error *err)
{
    const unsigned char *head;
    size_t head_bytes;
    ps_snapshot self = {.out = out};
    const ps_pickle_visitor visitor = {
        .self = &self, .on_list = on_list, .on_dict = on_dict, .on_tuple = on_tuple};
    PS_TRY(ps_source_peek(source, 4, &head, &head_bytes, err));
    if (is_zip(head, head_bytes)) {
        return ps_fail_at(err, PS_UNSUPPORTED, 0,
                          "this is a zip archive as torch.save writes; export the snapshot with "
                          "torch.cuda.memory._dump_snapshot");
    }
    PS_TRY(ps_pickle_create(source, &visitor, &self.pickle, err));
    self.texts = ps_pickle_strings(self.pickle);
    const ps_code code = read_snapshot(&self, err);
    fini(&self);
    return code;
}

static bool contains(const unsigned char *head, size_t head_bytes, const char *word)
{
    const size_t bytes = strlen(word);
    for (size_t i = 0; i + bytes <= head_bytes; i++) {
        if (memcmp(head + i, word, bytes) == 0) {
            return true;
        }
    }
    return false;
}

/* A snapshot's first key stands within its first bytes, whoever wrote it. */
static bool has_snapshot_word(const unsigned char *head, size_t head_bytes)
{
    static const char *const words[] = {"segments", "device_traces", "allocator_settings",
                                        "external_annotations", "segment_type"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (contains(head, head_bytes, words[i])) {
            return true;
        }
    }
    return false;
}

static int probe(const unsigned char *head, size_t head_bytes)
{
    if (is_zip(head, head_bytes)) {
        /* not readable, but the refusal says what to do instead */
        return contains(head, head_bytes, "data.pkl") ? 10 : 0;
    }
    if (head_bytes < 2 || !has_snapshot_word(head, head_bytes)) {
        return 0;
    }
    if (head[0] == 0x80 && head[1] <= PS_PICKLE_PROTOCOL_MAX) {
        return 95;
    }
    /* protocols 0 and 1 have no header; none of these begins JSON */
    return head[0] == '}' || head[0] == ']' || head[0] == '(' ? 60 : 0;
}

const ps_importer_ops ps_importer_snapshot = {
    .abi = PS_IMPORTER_ABI,
    .name = "memory-snapshot",
    .summary = "PyTorch CUDA memory snapshot (pickle)",
    .probe = probe,
    .import = import,
};
