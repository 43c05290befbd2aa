/* SPDX-License-Identifier: MIT
 *
 * An AVL tree with parent links over block indices.
 */
#include "alloc/free_set.h"

#define NONE PS__BLOCK_NONE

void ps__free_set_init(ps__free_set *self, bool is_by_address)
{
    self->root = NONE;
    self->count = 0;
    self->is_by_address = is_by_address;
}

/*
 * Equal addresses only happen when a caller chose overlapping ones; the index still
 * makes the order total.
 */
static bool is_before(const ps__block_store *store, uint32_t a, uint32_t b, bool is_by_address)
{
    const ps__block *x = &store->at[a];
    const ps__block *y = &store->at[b];
    if (x->stream != y->stream) {
        return x->stream < y->stream;
    }
    if (!is_by_address && x->bytes != y->bytes) {
        return x->bytes < y->bytes;
    }
    return x->addr != y->addr ? x->addr < y->addr : a < b;
}

static void replace_child(ps__free_set *self, ps__block_store *store, uint32_t parent,
                          uint32_t old_child, uint32_t new_child)
{
    if (parent == NONE) {
        self->root = new_child;
    } else if (store->at[parent].left == old_child) {
        store->at[parent].left = new_child;
    } else {
        store->at[parent].right = new_child;
    }
    if (new_child != NONE) {
        store->at[new_child].parent = parent;
    }
}

static void rotate_left(ps__free_set *self, ps__block_store *store, uint32_t id)
{
    const uint32_t up = store->at[id].right;
    const uint32_t moved = store->at[up].left;
    replace_child(self, store, store->at[id].parent, id, up);
    store->at[id].right = moved;
    if (moved != NONE) {
        store->at[moved].parent = id;
    }
    store->at[up].left = id;
    store->at[id].parent = up;
}

static void rotate_right(ps__free_set *self, ps__block_store *store, uint32_t id)
{
    const uint32_t up = store->at[id].left;
    const uint32_t moved = store->at[up].right;
    replace_child(self, store, store->at[id].parent, id, up);
    store->at[id].left = moved;
    if (moved != NONE) {
        store->at[moved].parent = id;
    }
    store->at[up].right = id;
    store->at[id].parent = up;
}

/*
 * Balances of the three nodes of a double rotation, from the balance of the one that
 * ends on top.
 */
static void settle_double(ps__block_store *store, uint32_t top, uint32_t left, uint32_t right)
{
    const int8_t balance = store->at[top].balance;
    store->at[left].balance = (int8_t)(balance > 0 ? -1 : 0);
    store->at[right].balance = (int8_t)(balance < 0 ? 1 : 0);
    store->at[top].balance = 0;
}

/* Repairs a node whose balance became +2 or -2; returns the new top of that subtree. */
static uint32_t rebalance(ps__free_set *self, ps__block_store *store, uint32_t id)
{
    ps__block *at = store->at;
    if (at[id].balance > 0) {
        const uint32_t right = at[id].right;
        if (at[right].balance < 0) {
            const uint32_t top = at[right].left;
            rotate_right(self, store, right);
            rotate_left(self, store, id);
            settle_double(store, top, id, right);
            return top;
        }
        rotate_left(self, store, id);
        at[id].balance = (int8_t)(at[right].balance == 0 ? 1 : 0);
        at[right].balance = (int8_t)(at[right].balance == 0 ? -1 : 0);
        return right;
    }
    const uint32_t left = at[id].left;
    if (at[left].balance > 0) {
        const uint32_t top = at[left].right;
        rotate_left(self, store, left);
        rotate_right(self, store, id);
        settle_double(store, top, left, id);
        return top;
    }
    rotate_right(self, store, id);
    at[id].balance = (int8_t)(at[left].balance == 0 ? -1 : 0);
    at[left].balance = (int8_t)(at[left].balance == 0 ? 1 : 0);
    return left;
}

void ps__free_set_insert(ps__free_set *self, ps__block_store *store, uint32_t id)
{
    ps__block *at = store->at;
    uint32_t parent = NONE;
    bool goes_left = false;
    for (uint32_t walk = self->root; walk != NONE;) {
        parent = walk;
        goes_left = is_before(store, id, walk, self->is_by_address);
        walk = goes_left ? at[walk].left : at[walk].right;
    }
    at[id].left = NONE;
    at[id].right = NONE;
    at[id].parent = parent;
    at[id].balance = 0;
    self->count++;
    if (parent == NONE) {
        self->root = id;
        return;
    }
    if (goes_left) {
        at[parent].left = id;
    } else {
        at[parent].right = id;
    }
    uint32_t child = id;
    while (parent != NONE) {
        at[parent].balance = (int8_t)(at[parent].balance + (at[parent].left == child ? -1 : 1));
        if (at[parent].balance == 0) {
            return;
        }
        if (at[parent].balance == 2 || at[parent].balance == -2) {
            (void)rebalance(self, store, parent);
            return;
        }
        child = parent;
        parent = at[parent].parent;
    }
}

/* The subtree of `parent` on one side became lower: walk up until a height stays. */
static void retrace_erase(ps__free_set *self, ps__block_store *store, uint32_t parent,
                          bool was_left)
{
    ps__block *at = store->at;
    while (parent != NONE) {
        at[parent].balance = (int8_t)(at[parent].balance + (was_left ? 1 : -1));
        uint32_t top = parent;
        if (at[parent].balance == 2 || at[parent].balance == -2) {
            top = rebalance(self, store, parent);
        }
        if (at[top].balance != 0) {
            return;
        }
        parent = at[top].parent;
        was_left = parent != NONE && at[parent].left == top;
    }
}

void ps__free_set_erase(ps__free_set *self, ps__block_store *store, uint32_t id)
{
    ps__block *at = store->at;
    self->count--;
    if (at[id].left == NONE || at[id].right == NONE) {
        const uint32_t child = at[id].left != NONE ? at[id].left : at[id].right;
        const uint32_t parent = at[id].parent;
        const bool was_left = parent != NONE && at[parent].left == id;
        replace_child(self, store, parent, id, child);
        retrace_erase(self, store, parent, was_left);
        return;
    }
    /* Two children: the successor, which has no left child, takes the place. */
    uint32_t heir = at[id].right;
    while (at[heir].left != NONE) {
        heir = at[heir].left;
    }
    uint32_t from = at[heir].parent;
    bool was_left = true;
    if (from == id) {
        from = heir;
        was_left = false;
    } else {
        replace_child(self, store, from, heir, at[heir].right);
        at[heir].right = at[id].right;
        at[at[heir].right].parent = heir;
    }
    at[heir].left = at[id].left;
    at[at[heir].left].parent = heir;
    at[heir].balance = at[id].balance;
    replace_child(self, store, at[id].parent, id, heir);
    retrace_erase(self, store, from, was_left);
}

uint32_t ps__free_set_lower_bound(const ps__free_set *self, const ps__block_store *store,
                                  uint64_t stream, uint64_t bytes)
{
    const ps__block *at = store->at;
    const uint64_t wanted = self->is_by_address ? 0 : bytes;
    uint32_t best = NONE;
    for (uint32_t walk = self->root; walk != NONE;) {
        const bool is_low =
            at[walk].stream != stream ? at[walk].stream < stream : at[walk].bytes < wanted;
        if (is_low) {
            walk = at[walk].right;
        } else {
            best = walk;
            walk = at[walk].left;
        }
    }
    return best;
}

uint32_t ps__free_set_first(const ps__free_set *self, const ps__block_store *store)
{
    uint32_t id = self->root;
    while (id != NONE && store->at[id].left != NONE) {
        id = store->at[id].left;
    }
    return id;
}

uint32_t ps__free_set_last(const ps__free_set *self, const ps__block_store *store)
{
    uint32_t id = self->root;
    while (id != NONE && store->at[id].right != NONE) {
        id = store->at[id].right;
    }
    return id;
}

uint32_t ps__free_set_next(const ps__block_store *store, uint32_t id)
{
    const ps__block *at = store->at;
    if (at[id].right != NONE) {
        id = at[id].right;
        while (at[id].left != NONE) {
            id = at[id].left;
        }
        return id;
    }
    uint32_t parent = at[id].parent;
    while (parent != NONE && at[parent].right == id) {
        id = parent;
        parent = at[id].parent;
    }
    return parent;
}

uint32_t ps__free_set_prev(const ps__block_store *store, uint32_t id)
{
    const ps__block *at = store->at;
    if (at[id].left != NONE) {
        id = at[id].left;
        while (at[id].right != NONE) {
            id = at[id].right;
        }
        return id;
    }
    uint32_t parent = at[id].parent;
    while (parent != NONE && at[parent].left == id) {
        id = parent;
        parent = at[id].parent;
    }
    return parent;
}
