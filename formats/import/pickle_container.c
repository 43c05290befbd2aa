/* SPDX-License-Identifier: MIT
 *
 * Instructions that create and fill containers. Items go to the visitor when
 * the container receives them and are then dropped from the stack.
 */
#include "base/memory.h"
#include "import/pickle_machine.h"

/* Stack depth of the innermost mark, 0 when none is open. */
static size_t floor_of(const ps_pickle *self)
{
    return self->mark_count > 0 ? self->mark[self->mark_count - 1] : 0;
}

ps_code ps_pickle_require(const ps_pickle *self, size_t count, ps_error *err)
{
    if (self->depth - floor_of(self) < count) {
        return ps_fail(err, PS_BAD_INPUT,
                       "the instruction needs %zu values on the stack, found %zu", count,
                       self->depth - floor_of(self));
    }
    return PS_OK;
}

static ps_code pop_mark(ps_pickle *self, size_t *first, ps_error *err)
{
    if (self->mark_count == 0) {
        return ps_fail(err, PS_BAD_INPUT, "the instruction needs a mark on the stack");
    }
    *first = self->mark[--self->mark_count];
    return PS_OK;
}

/* Tells the visitor about `count` items that lie from slot `first` on, above the container. */
static ps_code visit(ps_pickle *self, ps_pickle_value *container, size_t first, size_t count,
                     ps_error *err)
{
    const ps_pickle_visitor *visitor = self->visitor;
    const ps_pickle_value *items = self->stack + first;
    if (container->type == PS_PICKLE_TUPLE) {
        return visitor->on_tuple(visitor->self, container, items, count, err);
    }
    return container->type == PS_PICKLE_LIST
               ? visitor->on_list(visitor->self, container, items, count, err)
               : visitor->on_dict(visitor->self, container, items, count / 2, err);
}

/* Puts the items from slot `first` to the top into the container just beneath them. */
static ps_code fill(ps_pickle *self, ps_pickle_type type, size_t first, ps_error *err)
{
    const size_t count = self->depth - first;
    if (first <= floor_of(self) || self->stack[first - 1].type != type) {
        return ps_fail(err, PS_BAD_INPUT,
                       "%s to fill is not where the instruction expects it (text pickles, "
                       "protocol 0, are not supported)",
                       type == PS_PICKLE_LIST ? "the list" : "the dict");
    }
    if (type == PS_PICKLE_DICT && count % 2 != 0) {
        return ps_fail(err, PS_BAD_INPUT, "a dict receives a key without a value");
    }
    ps_pickle_value *container = &self->stack[first - 1];
    if (container->is_shared || ps_pickle_memo_is_fetched(&self->memo, container)) {
        return ps_fail(err, PS_UNSUPPORTED,
                       "a container is changed after it was shared, or contains itself");
    }
    if (count == 0) {
        return PS_OK;
    }
    self->depth = first;
    self->visited_slot = first - 1;
    PS_TRY(visit(self, container, first, count, err));
    container->as.box.count += (uint32_t)count;
    ps_pickle_memo_update(&self->memo, container);
    return PS_OK;
}

ps_code ps_pickle_op_mark(ps_pickle *self, unsigned arg, ps_error *err)
{
    (void)arg;
    if (self->mark_count >= PS_PICKLE_DEPTH_MAX) {
        return ps_fail(err, PS_LIMIT, "containers nest deeper than %zu", PS_PICKLE_DEPTH_MAX);
    }
    PS_TRY(ps_grow((void **)&self->mark, &self->mark_capacity, self->mark_count + 1,
                   PS_PICKLE_DEPTH_MAX, sizeof *self->mark, err));
    self->mark[self->mark_count++] = self->depth;
    return PS_OK;
}

ps_code ps_pickle_op_pop(ps_pickle *self, unsigned arg, ps_error *err)
{
    (void)arg;
    if (self->mark_count > 0 && floor_of(self) == self->depth) {
        self->mark_count--; /* a mark is a stack item to this instruction */
        return PS_OK;
    }
    PS_TRY(ps_pickle_require(self, 1, err));
    self->depth--;
    return PS_OK;
}

ps_code ps_pickle_op_pop_mark(ps_pickle *self, unsigned arg, ps_error *err)
{
    (void)arg;
    return pop_mark(self, &self->depth, err);
}

ps_code ps_pickle_op_empty(ps_pickle *self, unsigned arg, ps_error *err)
{
    const ps_pickle_value pushed = {.type = (uint8_t)arg};
    return ps_pickle_push(self, &pushed, err);
}

/* Replaces the items from slot `first` on by a container of them. */
static ps_code gather(ps_pickle *self, ps_pickle_type type, size_t first, ps_error *err)
{
    const size_t count = self->depth - first;
    ps_pickle_value made = {.type = (uint8_t)type};
    if (type == PS_PICKLE_DICT && count % 2 != 0) {
        return ps_fail(err, PS_BAD_INPUT, "a dict receives a key without a value");
    }
    self->depth = first;
    self->visited_slot = first;
    if (type == PS_PICKLE_TUPLE || (count > 0 && type != PS_PICKLE_OTHER)) {
        PS_TRY(visit(self, &made, first, count, err));
        made.as.box.count = (uint32_t)count;
    }
    return ps_pickle_push(self, &made, err);
}

ps_code ps_pickle_op_make(ps_pickle *self, unsigned arg, ps_error *err)
{
    size_t first = 0;
    PS_TRY(pop_mark(self, &first, err));
    return gather(self, (ps_pickle_type)arg, first, err);
}

ps_code ps_pickle_op_tuple(ps_pickle *self, unsigned arg, ps_error *err)
{
    PS_TRY(ps_pickle_require(self, arg, err));
    return gather(self, PS_PICKLE_TUPLE, self->depth - arg, err);
}

ps_code ps_pickle_op_append(ps_pickle *self, unsigned arg, ps_error *err)
{
    (void)arg;
    PS_TRY(ps_pickle_require(self, 2, err));
    return fill(self, PS_PICKLE_LIST, self->depth - 1, err);
}

ps_code ps_pickle_op_appends(ps_pickle *self, unsigned arg, ps_error *err)
{
    (void)arg;
    size_t first = 0;
    PS_TRY(pop_mark(self, &first, err));
    return fill(self, PS_PICKLE_LIST, first, err);
}

ps_code ps_pickle_op_setitem(ps_pickle *self, unsigned arg, ps_error *err)
{
    (void)arg;
    PS_TRY(ps_pickle_require(self, 3, err));
    return fill(self, PS_PICKLE_DICT, self->depth - 2, err);
}

ps_code ps_pickle_op_setitems(ps_pickle *self, unsigned arg, ps_error *err)
{
    (void)arg;
    size_t first = 0;
    PS_TRY(pop_mark(self, &first, err));
    return fill(self, PS_PICKLE_DICT, first, err);
}

/* Sets are known to be there and nothing more. */
ps_code ps_pickle_op_additems(ps_pickle *self, unsigned arg, ps_error *err)
{
    (void)arg;
    size_t first = 0;
    PS_TRY(pop_mark(self, &first, err));
    if (first <= floor_of(self) || self->stack[first - 1].type != PS_PICKLE_OTHER) {
        return ps_fail(err, PS_BAD_INPUT,
                       "the set to fill is not where the instruction expects it");
    }
    self->depth = first;
    return PS_OK;
}
