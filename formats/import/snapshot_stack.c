/* SPDX-License-Identifier: MIT
 *
 * Call stacks of a memory snapshot as short texts.
 *
 * A recorded stack has 30 to 120 frames, most of them the interpreter, the
 * dispatcher and the allocator itself. Kept are, innermost first and in the
 * recorded order,
 *   - up to 8 Python frames ("file:line function"), without the two wrappers
 *     through which every module call goes; of a file in an installed package
 *     only the path from the package on;
 *   - inside the first of them, up to 6 native frames that say which operator,
 *     collective or step of the backward pass it was (the bare function name).
 *
 * Frames are dicts shared through the memo and lists of them repeat, so a
 * stack is a path in a tree of frames and costs about 40 bytes when new and
 * nothing when seen before. The order and number of dropped frames is lost.
 */
#include <string.h>

#include "base/memory.h"
#include "import/snapshot_parts.h"

#define PYTHON_FRAMES_MAX 8u
#define NATIVE_FRAMES_MAX 6u
/* Longer names (templates) are cut. */
#define FRAME_TEXT_BYTES 512u
/* Different stacks and starts of stacks; past that new ones are cut. Some 40 bytes each. */
#define STACKS_MAX ((size_t)1 << 22)

_Static_assert(STACKS_MAX < PS_PICKLE_NODE_LIMIT, "a stack fits a node number");

struct ps_snapshot_stack {
    uint32_t inner; /* the stack without its outermost frame */
    uint32_t frame;
    uint8_t python_count, native_count;
};

/* A frame number is its text's id with this bit telling native from Python; 0 is a frame not kept. */
#define FRAME_IS_NATIVE 1u

ps_code ps_snapshot_stacks_init(ps_snapshot_stacks *self, ps_error *err)
{
    ps_idmap_init(&self->child);
    self->frames = ps_strings_create();
    if (self->frames == NULL) {
        return ps_fail_nomem(err);
    }
    PS_TRY(
        ps_grow((void **)&self->stack, &self->capacity, 1, STACKS_MAX, sizeof *self->stack, err));
    self->stack[0] = (struct ps_snapshot_stack){0};
    self->count = 1;
    return PS_OK;
}

void ps_snapshot_stacks_fini(ps_snapshot_stacks *self)
{
    ps_strings_destroy(self->frames);
    ps_idmap_fini(&self->child);
    ps_free(self->stack);
    ps_free(self->text);
}

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static bool ends_with(const char *text, const char *end)
{
    const size_t bytes = strlen(text), end_bytes = strlen(end);
    return bytes >= end_bytes && strcmp(text + bytes - end_bytes, end) == 0;
}

static bool is_python(const char *file)
{
    return ends_with(file, ".py") || file[0] == '<'; /* <string>, <frozen ...>, <eval_with_key> */
}

/* Every call of a torch.nn.Module passes through both and they say nothing about which. */
static bool is_module_wrapper(const char *file, const char *function)
{
    return ends_with(file, "module.py") &&
           (strcmp(function, "_call_impl") == 0 || strcmp(function, "_wrapped_call_impl") == 0);
}

static bool is_telling_native(const char *function)
{
    if (starts_with(function, "at::_ops::")) {
        return strstr(function, "::call(") != NULL; /* not the redispatch of the same call */
    }
    return starts_with(function, "torch::autograd::generated::") ||
           starts_with(function, "torch::autograd::AccumulateGrad::") ||
           starts_with(function, "torch::autograd::Engine::evaluate_function(") ||
           starts_with(function, "c10d::");
}

/* The part of a path from the installed package on; all of it for the program's own files. */
static const char *in_package(const char *file)
{
    static const char *const folder[] = {"site-packages", "dist-packages"};
    for (size_t i = 0; i < sizeof folder / sizeof folder[0]; i++) {
        const char *at = strstr(file, folder[i]);
        if (at != NULL && (at[strlen(folder[i])] == '/' || at[strlen(folder[i])] == '\\')) {
            return at + strlen(folder[i]) + 1;
        }
    }
    return file;
}

/* [bytes] of a C++ function name before its argument list. */
static size_t name_bytes(const char *function)
{
    static const char anonymous[] = "(anonymous namespace)";
    static const char call[] = "operator()";
    size_t at = 0;
    while (function[at] != '\0' && function[at] != '(') {
        if (starts_with(function + at, call)) {
            at += sizeof call - 1;
        } else {
            at++;
        }
        if (starts_with(function + at, anonymous)) {
            at += sizeof anonymous - 1;
        }
    }
    return at;
}

/* Appends a text, cut between characters when the buffer is full. */
static size_t append(char *buf, size_t used, size_t buf_bytes, const char *text, size_t bytes)
{
    const size_t room = buf_bytes - used;
    if (bytes > room) {
        bytes = room;
        while (bytes > 0 && ((unsigned char)text[bytes] & 0xc0) == 0x80) {
            bytes--;
        }
    }
    memcpy(buf + used, text, bytes);
    return used + bytes;
}

static size_t append_z(char *buf, size_t used, size_t buf_bytes, const char *text)
{
    return append(buf, used, buf_bytes, text, strlen(text));
}

static ps_code put_frame(ps_snapshot_stacks *self, const char *text, size_t bytes, bool is_native,
                         uint32_t *frame, ps_error *err)
{
    ps_str id;
    PS_TRY(ps_strings_put(self->frames, text, bytes, &id, err));
    if (id >= PS_PICKLE_NODE_LIMIT / 2) {
        return ps_fail(err, PS_LIMIT, "more than %u different frames", PS_PICKLE_NODE_LIMIT / 2);
    }
    *frame = id << 1 | (is_native ? FRAME_IS_NATIVE : 0);
    return PS_OK;
}

/* Decimal text of a line number into buf (at least 21 bytes). */
static const char *line_text(uint64_t line, char *buf, size_t buf_bytes)
{
    size_t at = buf_bytes - 1;
    buf[at] = '\0';
    do {
        buf[--at] = (char)('0' + line % 10);
        line /= 10;
    } while (line > 0 && at > 0);
    return buf + at;
}

static ps_code put_python_frame(ps_snapshot_stacks *self, const char *file, uint64_t line,
                                const char *function, uint32_t *frame, ps_error *err)
{
    char text[FRAME_TEXT_BYTES], digits[24];
    size_t used = append_z(text, 0, sizeof text, in_package(file));
    used = append_z(text, used, sizeof text, ":");
    used = append_z(text, used, sizeof text, line_text(line, digits, sizeof digits));
    used = append_z(text, used, sizeof text, " ");
    used = append_z(text, used, sizeof text, function);
    return put_frame(self, text, used, false, frame, err);
}

ps_code ps_snapshot_frame(ps_snapshot *self, ps_pickle_value *dict, const ps_pickle_value *pairs,
                          size_t pair_count, ps_error *err)
{
    ps_str file_id = 0, function_id = 0;
    uint64_t line = 0;
    for (size_t i = 0; i < pair_count; i++) {
        const ps_pickle_value *pair = &pairs[2 * i];
        const ps_str key = ps_snapshot_key(pair);
        if (key == PS_WORD_FILENAME) {
            PS_TRY(ps_snapshot_get_text(self, pair, &file_id, err));
        } else if (key == PS_WORD_NAME) {
            PS_TRY(ps_snapshot_get_text(self, pair, &function_id, err));
        } else if (key == PS_WORD_LINE) {
            PS_TRY(ps_snapshot_get_u64(self, pair, &line, err));
        }
    }
    const char *file = ps_strings_text(self->texts, file_id);
    const char *function = ps_strings_text(self->texts, function_id);
    uint32_t frame = 0;
    if (is_python(file)) {
        if (!is_module_wrapper(file, function)) {
            PS_TRY(put_python_frame(&self->stacks, file, line, function, &frame, err));
        }
    } else if (is_telling_native(function)) {
        char text[FRAME_TEXT_BYTES];
        const size_t bytes = append(text, 0, sizeof text, function, name_bytes(function));
        PS_TRY(put_frame(&self->stacks, text, bytes, true, &frame, err));
    }
    dict->tag = PS_TAG_FRAME;
    dict->as.box.node = frame;
    return PS_OK;
}

/* The stack one frame longer than `inner`, or `inner` itself when there is no room for another. */
static ps_code extend(ps_snapshot_stacks *self, uint32_t inner, uint32_t frame, uint32_t *out,
                      ps_error *err)
{
    const uint64_t key = (uint64_t)inner << 32 | frame;
    const uint32_t found = ps_idmap_get(&self->child, key);
    if (found != PS_IDMAP_NONE) {
        *out = found;
        return PS_OK;
    }
    if (self->count >= STACKS_MAX) {
        *out = inner;
        return PS_OK;
    }
    struct ps_snapshot_stack made = self->stack[inner];
    made.inner = inner;
    made.frame = frame;
    made.native_count = (uint8_t)(made.native_count + (frame & FRAME_IS_NATIVE));
    made.python_count = (uint8_t)(made.python_count + !(frame & FRAME_IS_NATIVE));
    PS_TRY(ps_grow((void **)&self->stack, &self->capacity, self->count + 1, STACKS_MAX,
                   sizeof *self->stack, err));
    PS_TRY(ps_idmap_put(&self->child, key, (uint32_t)self->count, err));
    self->stack[self->count] = made;
    *out = (uint32_t)self->count++;
    return PS_OK;
}

ps_code ps_snapshot_frames(ps_snapshot *self, ps_pickle_value *list, const ps_pickle_value *items,
                           size_t count, ps_error *err)
{
    uint32_t stack = list->tag == PS_TAG_FRAME ? list->as.box.node : 0;
    for (size_t i = 0; i < count; i++) {
        const uint32_t frame = items[i].as.box.node;
        const struct ps_snapshot_stack *inner = &self->stacks.stack[stack];
        const bool is_native = (frame & FRAME_IS_NATIVE) != 0;
        if (inner->python_count >= PYTHON_FRAMES_MAX) {
            break;
        }
        if (frame == 0 ||
            (is_native && (inner->python_count > 0 || inner->native_count >= NATIVE_FRAMES_MAX))) {
            continue;
        }
        uint32_t longer = stack;
        PS_TRY(extend(&self->stacks, stack, frame, &longer, err));
        if (longer == stack) {
            PS_TRY(ps_trace_builder_loss(self->out, "lost-stacks", 1, err));
            break;
        }
        stack = longer;
    }
    list->tag = PS_TAG_FRAME;
    list->as.box.node = stack;
    return PS_OK;
}

ps_code ps_snapshot_stack_put(ps_snapshot *self, uint32_t stack, ps_strings *strings, ps_str *out,
                              ps_error *err)
{
    ps_snapshot_stacks *stacks = &self->stacks;
    uint32_t frame[PYTHON_FRAMES_MAX + NATIVE_FRAMES_MAX];
    size_t count = 0, bytes = 0, used = 0;
    for (uint32_t at = stack; at != 0; at = stacks->stack[at].inner) {
        frame[count] = stacks->stack[at].frame >> 1;
        bytes += ps_strings_bytes(stacks->frames, frame[count]) + 2;
        count++;
    }
    PS_TRY(ps_grow((void **)&stacks->text, &stacks->text_capacity, bytes + 1, SIZE_MAX, 1, err));
    for (size_t i = count; i-- > 0;) {
        used = append_z(stacks->text, used, bytes, ps_strings_text(stacks->frames, frame[i]));
        if (i > 0) {
            used = append_z(stacks->text, used, bytes, "; ");
        }
    }
    return ps_strings_put(strings, stacks->text, used, out, err);
}
