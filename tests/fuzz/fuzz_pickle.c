/* SPDX-License-Identifier: MIT
 *
 * The pickle reader given any bytes. Whatever it accepts must have handed the
 * visitor sound values, and must not be accepted any more when cut.
 */
#include "base/source.h"
#include "fuzz.h"
#include "import/pickle.h"

static void check_items(const ps_pickle_value *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        fuzz_require(items[i].type <= PS_PICKLE_TUPLE);
        if (items[i].type >= PS_PICKLE_LIST) {
            fuzz_require(items[i].tag < PS_PICKLE_TAG_LIMIT);
            fuzz_require(items[i].as.box.node < PS_PICKLE_NODE_LIMIT);
            fuzz_require((items[i].tag == 0) == (items[i].as.box.node == 0));
        }
    }
}

/* Each container gets the next node when it is first filled and keeps it. */
static ps_code visit(uint32_t *last_node, ps_pickle_value *container, const ps_pickle_value *items,
                     size_t count)
{
    check_items(items, count);
    fuzz_require(!container->is_shared);
    if (container->tag == 0) {
        container->tag = (uint8_t)(1 + *last_node % (PS_PICKLE_TAG_LIMIT - 1));
        container->as.box.node = ++*last_node;
    }
    fuzz_require(container->as.box.node <= *last_node);
    return PS_OK;
}

static ps_code on_list(void *self, ps_pickle_value *list, const ps_pickle_value *items,
                       size_t count, ps_error *err)
{
    (void)err;
    fuzz_require(list->type == PS_PICKLE_LIST && count > 0);
    return visit(self, list, items, count);
}

static ps_code on_dict(void *self, ps_pickle_value *dict, const ps_pickle_value *pairs,
                       size_t pair_count, ps_error *err)
{
    (void)err;
    fuzz_require(dict->type == PS_PICKLE_DICT && pair_count > 0);
    return visit(self, dict, pairs, 2 * pair_count);
}

static ps_code on_tuple(void *self, ps_pickle_value *tuple, const ps_pickle_value *items,
                        size_t count, ps_error *err)
{
    (void)err;
    fuzz_require(tuple->type == PS_PICKLE_TUPLE && tuple->tag == 0);
    return visit(self, tuple, items, count);
}

static ps_code read_bytes(const uint8_t *data, size_t size)
{
    ps_error err = {0};
    uint32_t last_node = 0;
    const ps_pickle_visitor visitor = {&last_node, on_list, on_dict, on_tuple};
    ps_source *source;
    ps_pickle *pickle;
    ps_pickle_value top;
    ps_code code = ps_source_open_memory(data, size, &source, &err);
    if (code != PS_OK) {
        return code;
    }
    fuzz_require(ps_pickle_create(source, &visitor, &pickle, &err) == PS_OK);
    code = ps_pickle_read(pickle, &top, &err);
    if (code == PS_OK) {
        check_items(&top, 1);
    } else {
        fuzz_require(err.message[0] != '\0');
    }
    ps_pickle_destroy(pickle);
    ps_source_close(source);
    return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const int is_gzip = size >= 2 && data[0] == 0x1f && data[1] == 0x8b;
    if (read_bytes(data, size) == PS_OK && !is_gzip && size > 1) {
        fuzz_require(read_bytes(data, size - 1) == PS_TRUNCATED);
    }
    return 0;
}
