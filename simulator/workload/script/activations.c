/* SPDX-License-Identifier: MIT
 *
 * The keeper that streams.
 */
#include "workload/script/activations.h"

#include "base/memory.h"
#include "workload/eager/eager_parts.h"
#include "workload/eager/ops_host.h"

#define MAX_ITEMS ((size_t)1 << 26)

/* Smaller tensors stay, as libraries have it: a copy of them costs more than they take. */
#define LEAST_BYTES 1024u

/* A storage that was sent to the host. */
typedef struct entry {
    ps_tensor device; /* while it is there, or there again; owned; 0: it is not */
    ps_tensor host;   /* owned */
    int64_t elements;
    ps_dtype dtype;
    uint32_t block; /* the last one that keeps it */
    uint32_t users; /* tickets that were not given back */
    uint32_t sent;  /* mark of its copy to the host */
    bool is_safe;   /* the computation has waited for that copy */
} entry;

typedef struct ticket {
    uint32_t entry;
    int64_t elements;
} ticket;

struct ps_activations {
    const ps_model *m;
    ps_eager *e;
    ps_eager_keeper keeper;
    bool streams;
    int64_t prefetch;
    uint32_t blocks;
    uint32_t first, last; /* blocks whose tensors go */
    entry *entry;
    size_t entry_count, entry_capacity;
    ticket *ticket; /* number 1 is the first */
    size_t ticket_count, ticket_capacity;
    size_t oldest; /* entries before it are not on the device, or are backward's */
    size_t users;
    uint32_t block;    /* that keeps something at the moment */
    uint32_t asked;    /* block that asked last in backward; 0: it is forward */
    uint32_t *brought; /* per block: mark of its last copy to the device */
    bool *is_awaited;  /* ... and the computation waits for it */
};

static bool no_memory(ps_activations *self, ps_code code)
{
    if (code != PS_OK) {
        ps_eager_fail(self->e, PS_NOMEM, "out of memory");
    }
    return code != PS_OK;
}

/* ---- what stays ---- */

static bool is_parameter(const ps_activations *self, ps_tensor tensor)
{
    const ps_model *m = self->m;
    for (size_t i = 0; i < m->every_count; i++) {
        if (ps_eager_shares(self->e, m->every[i], tensor)) {
            return true;
        }
    }
    for (size_t i = 0; i < m->buffer_count; i++) {
        if (ps_eager_shares(self->e, m->buffer[i], tensor)) {
            return true;
        }
    }
    return false;
}

static bool stays(const ps_activations *self, uint32_t block, ps_tensor tensor)
{
    return block < self->first || block > self->last ||
           ps_eager_bytes(self->e, tensor) < LEAST_BYTES || is_parameter(self, tensor) ||
           ps_eager_is_cast(self->e, tensor);
}

/* ---- forward ---- */

static void leave_device(ps_activations *self, entry *it)
{
    if (!it->is_safe) { /* the copy may still read what the computation would get */
        ps_op_join_mark(self->e, PS_EAGER_MAIN, it->sent);
        it->is_safe = true;
    }
    ps_eager_clear(self->e, &it->device);
}

/* Block `block` begins: what was kept two blocks ago is on the host by now. */
static void enter_block(ps_activations *self, uint32_t block)
{
    self->block = block;
    for (size_t i = self->oldest; i < self->entry_count; i++) {
        entry *it = &self->entry[i];
        if (it->users > 0 && it->device != 0 && it->block + 1 < block) {
            leave_device(self, it);
        }
        if (i == self->oldest && it->device == 0) {
            self->oldest++;
        }
    }
}

static uint32_t find(const ps_activations *self, ps_tensor tensor)
{
    for (size_t i = self->entry_count; i > self->oldest; i--) {
        const entry *it = &self->entry[i - 1];
        if (it->users > 0 && ps_eager_shares(self->e, it->device, tensor) &&
            ps_eager_elements(self->e, tensor) <= it->elements) {
            return (uint32_t)i - 1;
        }
    }
    return UINT32_MAX;
}

static ps_tensor make_on_host(ps_activations *self, int64_t elements, ps_dtype dtype)
{
    const ps_memory_kind was = ps_eager_set_memory(self->e, PS_MEMORY_PINNED);
    const ps_tensor made = ps_eager_make(self->e, elements, dtype, PS_ROLE_ACTIVATION);
    (void)ps_eager_set_memory(self->e, was);
    return made;
}

/* Streamed beside the computation, or at once while the host waits. */
static void send(ps_activations *self, entry *it, ps_tensor tensor)
{
    ps_eager *e = self->e;
    const ps_eager_lane lane = self->streams ? PS_EAGER_OFFLOAD : PS_EAGER_MAIN;
    it->elements = ps_eager_elements(e, tensor);
    it->dtype = ps_eager_dtype(e, tensor);
    it->sent = ps_eager_new_mark(e);
    it->host = make_on_host(self, it->elements, it->dtype);
    ps_eager_touch(e, tensor, true); /* the newest kernel is what made it, or comes after that */
    ps_op_join(e, lane, PS_EAGER_MAIN);
    const ps_host_copy copy = {.name = "offload",
                               .kind = PS_COPY_DTOH,
                               .memory = PS_MEMORY_PINNED,
                               .lane = lane,
                               .bytes = ps_eager_bytes(e, tensor),
                               .is_blocking = !self->streams,
                               .mark = it->sent,
                               .from = tensor,
                               .to = it->host};
    ps_op_host_copy(e, &copy);
    it->is_safe = !self->streams;
    it->device = self->streams ? ps_eager_alias(e, tensor, it->elements) : 0;
}

static uint32_t new_entry(ps_activations *self, ps_tensor tensor)
{
    if (no_memory(self, ps_grow((void **)&self->entry, &self->entry_capacity, self->entry_count + 1,
                                MAX_ITEMS, sizeof *self->entry, NULL))) {
        return UINT32_MAX;
    }
    entry *it = &self->entry[self->entry_count];
    *it = (entry){0};
    send(self, it, tensor);
    return (uint32_t)self->entry_count++;
}

static uint32_t pack(void *context, ps_tensor tensor)
{
    ps_activations *self = context;
    const uint32_t block = ps_eager_block_now(self->e);
    if (self->streams && stays(self, block, tensor)) {
        return 0;
    }
    if (no_memory(self, ps_grow((void **)&self->ticket, &self->ticket_capacity,
                                self->ticket_count + 1, MAX_ITEMS, sizeof *self->ticket, NULL))) {
        return 0;
    }
    self->asked = 0;
    if (self->streams && block != self->block) {
        enter_block(self, block);
    }
    uint32_t number = self->streams ? find(self, tensor) : UINT32_MAX;
    number = number == UINT32_MAX ? new_entry(self, tensor) : number;
    if (number == UINT32_MAX) {
        return 0;
    }
    self->entry[number].block = block;
    self->entry[number].users++;
    self->users++;
    self->ticket[self->ticket_count++] = (ticket){number, ps_eager_elements(self->e, tensor)};
    return (uint32_t)self->ticket_count;
}

/* ---- backward ---- */

static void bring(ps_activations *self, entry *it, ps_eager_lane lane, uint32_t mark)
{
    it->device = ps_eager_make(self->e, it->elements, it->dtype, PS_ROLE_ACTIVATION);
    ps_op_join_mark(self->e, lane, it->sent);
    const ps_host_copy copy = {.name = "upload",
                               .kind = PS_COPY_HTOD,
                               .memory = PS_MEMORY_PINNED,
                               .lane = lane,
                               .bytes = ps_eager_bytes(self->e, it->host),
                               .mark = mark,
                               .from = it->host,
                               .to = it->device};
    if (lane != PS_EAGER_MAIN) { /* what had that memory before may still be read */
        ps_op_join(self->e, lane, PS_EAGER_MAIN);
    }
    ps_op_host_copy(self->e, &copy);
}

static void bring_block(ps_activations *self, uint32_t block)
{
    for (size_t i = 0; i < self->entry_count; i++) {
        entry *it = &self->entry[i];
        if (it->users > 0 && it->device == 0 && it->block == block) {
            if (self->brought[block] == 0) {
                self->brought[block] = ps_eager_new_mark(self->e);
            }
            bring(self, it, PS_EAGER_UPLOAD, self->brought[block]);
        }
    }
}

/* Backward comes to a block: the ones before it are brought beside its computation. */
static void ask(ps_activations *self, uint32_t block)
{
    if (self->asked == 0) { /* no block is entered any more */
        self->oldest = 0;
        for (uint32_t i = 0; i <= self->blocks; i++) {
            self->brought[i] = 0;
            self->is_awaited[i] = false;
        }
    }
    self->asked = block;
    bring_block(self, block);
    for (int64_t ahead = 1; ahead <= self->prefetch && ahead < block; ahead++) {
        bring_block(self, block - (uint32_t)ahead);
    }
}

static void release(ps_activations *self, entry *it)
{
    self->users--;
    if (--it->users > 0) {
        return;
    }
    if (it->device != 0) {
        leave_device(self, it);
    }
    ps_eager_clear(self->e, &it->host);
    if (self->users == 0) { /* forward begins anew */
        self->entry_count = self->ticket_count = self->oldest = 0;
        self->block = 0;
    }
}

static ps_tensor unpack(void *context, uint32_t number)
{
    ps_activations *self = context;
    const ticket with = self->ticket[number - 1];
    entry *it = &self->entry[with.entry];
    const uint32_t block = ps_eager_block_now(self->e);
    if (!self->streams) {
        bring(self, it, PS_EAGER_MAIN, 0);
    } else if (self->asked != block) {
        ask(self, block);
    }
    if (self->streams && self->brought[it->block] != 0 && !self->is_awaited[it->block]) {
        ps_op_join_mark(self->e, PS_EAGER_MAIN, self->brought[it->block]);
        self->is_awaited[it->block] = true;
    }
    const ps_tensor out = ps_eager_alias(self->e, it->device, with.elements);
    release(self, it);
    return out;
}

static void forget(void *context, uint32_t number)
{
    ps_activations *self = context;
    release(self, &self->entry[self->ticket[number - 1].entry]);
}

/* ---- all ---- */

ps_code ps_activations_check(const ps_recipe *r, ps_error *err)
{
    const ps_streaming *s = &r->streaming;
    if (s->activations == PS_ACTIVATION_OFFLOAD_NONE) {
        return PS_OK;
    }
    if (s->prefetch < 0 || s->keep_first < 0 || s->keep_last < 0) {
        return ps_fail(err, PS_USAGE, "blocks brought ahead, and blocks that stay, are 0 or more");
    }
    if (r->is_forward_only) {
        return ps_fail(err, PS_USAGE, "a forward pass alone keeps no activations to offload");
    }
    if (r->policy != PS_TRAIN_POLICY_NONE) {
        return ps_fail(err, PS_USAGE, "activations are offloaded with --policy none alone");
    }
    return PS_OK;
}

static uint32_t count_blocks(const ps_model *m)
{
    uint32_t last = 0;
    for (size_t i = 0; i < m->every_count; i++) {
        last = m->every_shape[i].block > last ? m->every_shape[i].block : last;
    }
    return last;
}

static ps_code prepare(ps_activations *self, ps_error *err)
{
    const ps_streaming *s = &self->m->recipe->streaming;
    const int64_t blocks = count_blocks(self->m);
    self->blocks = (uint32_t)blocks;
    self->streams = s->activations == PS_ACTIVATION_OFFLOAD_STREAMED;
    self->prefetch = s->prefetch;
    self->first = (uint32_t)(s->keep_first < blocks ? s->keep_first + 1 : blocks + 1);
    self->last = (uint32_t)(s->keep_last < blocks ? blocks - s->keep_last : 0);
    self->brought = ps_calloc((size_t)blocks + 1, sizeof *self->brought);
    self->is_awaited = ps_calloc((size_t)blocks + 1, sizeof *self->is_awaited);
    self->keeper = (ps_eager_keeper){self, pack, unpack, forget};
    return self->brought == NULL || self->is_awaited == NULL ? ps_fail_nomem(err) : PS_OK;
}

ps_code ps_activations_create(const ps_model *m, ps_activations **out, ps_error *err)
{
    *out = NULL;
    if (m->recipe->streaming.activations == PS_ACTIVATION_OFFLOAD_NONE) {
        return PS_OK;
    }
    ps_activations *self = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return ps_fail_nomem(err);
    }
    self->m = m;
    self->e = m->e;
    const ps_code code = prepare(self, err);
    if (code != PS_OK) {
        ps_activations_destroy(self);
        return code;
    }
    ps_eager_set_keeper(m->e, &self->keeper);
    *out = self;
    return PS_OK;
}

void ps_activations_destroy(ps_activations *self)
{
    if (self == NULL) {
        return;
    }
    ps_eager_set_keeper(self->e, NULL);
    ps_free(self->entry);
    ps_free(self->ticket);
    ps_free(self->brought);
    ps_free(self->is_awaited);
    ps_free(self);
}
