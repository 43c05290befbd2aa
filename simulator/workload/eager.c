/* SPDX-License-Identifier: MIT
 *
 * Tensors, storages and graph nodes, and who owns them.
 */
#include "workload/eager.h"

#include <string.h>

#include "base/memory.h"
#include "workload/eager_parts.h"
#include "workload/reduce.h"

#define MAX_ITEMS ((size_t)1 << 26)
#define NO_SLOT UINT32_MAX

typedef struct ps__storage {
    uint32_t owners; /* tensors; while free: the next free slot */
    uint32_t buffer;
} ps__storage;

typedef struct ps__tensor {
    uint32_t owners; /* 0: the slot is free */
    uint32_t storage;
    int64_t elements;
    uint32_t node, output; /* whose output it is; node number + 1, 0 none */
    uint32_t accumulator;  /* of a leaf: node number + 1 while a graph refers to it */
    ps_tensor grad;
    uint32_t next_free;
    uint8_t dtype;
    bool requires_grad, is_view;
} ps__tensor;

struct ps_eager {
    ps_eager_sink sink;
    ps_code code;
    ps_error err;
    ps__tensor *tensor;
    size_t tensor_count, tensor_capacity;
    uint32_t free_tensor;
    ps__storage *storage;
    size_t storage_count, storage_capacity;
    uint32_t free_storage;
    ps_node **node; /* nodes do not move */
    size_t node_count, node_capacity;
    uint32_t *free_node;
    size_t free_node_count, free_node_capacity;
    uint64_t sequence;
    uint32_t buffer_count;
    bool is_recording;
    ps_reduce_device device;
    uint64_t workspace_bytes;
    bool is_backward, has_workspace[2]; /* of the program's thread, of backward's */
};

uint64_t ps_dtype_bytes(ps_dtype dtype)
{
    static const uint64_t bytes[] = {4, 2, 2, 8, 1};
    return bytes[dtype];
}

ps_eager *ps_eager_create(const ps_eager_sink *sink)
{
    ps_eager *self = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return NULL;
    }
    self->sink = *sink;
    self->free_tensor = NO_SLOT;
    self->free_storage = NO_SLOT;
    self->is_recording = true;
    self->tensor_count = 1; /* 0 is no tensor */
    if (ps_grow((void **)&self->tensor, &self->tensor_capacity, 64, MAX_ITEMS, sizeof *self->tensor,
                NULL) != PS_OK) {
        ps_free(self);
        return NULL;
    }
    memset(self->tensor, 0, sizeof *self->tensor);
    return self;
}

void ps_eager_destroy(ps_eager *self)
{
    if (self == NULL) {
        return;
    }
    for (size_t i = 0; i < self->node_count; i++) {
        ps_free(self->node[i]);
    }
    ps_free(self->node);
    ps_free(self->free_node);
    ps_free(self->tensor);
    ps_free(self->storage);
    ps_free(self);
}

ps_code ps_eager_code(const ps_eager *self, ps_error *err)
{
    if (self->code != PS_OK && err != NULL) {
        *err = self->err;
    }
    return self->code;
}

bool ps_eager_has_failed(const ps_eager *self)
{
    return self->code != PS_OK;
}

void ps_eager_fail(ps_eager *self, ps_code code, const char *text)
{
    if (self->code == PS_OK) {
        self->code = ps_fail(&self->err, code, "%s", text);
    }
}

static void note(ps_eager *self, ps_code code)
{
    if (self->code == PS_OK) {
        self->code = code;
    }
}

/* ---- storages ---- */

static uint32_t new_storage(ps_eager *self, uint64_t bytes, ps_role role)
{
    uint32_t slot = self->free_storage;
    if (slot != NO_SLOT) {
        self->free_storage = self->storage[slot].owners;
    } else {
        note(self, ps_grow((void **)&self->storage, &self->storage_capacity,
                           self->storage_count + 1, MAX_ITEMS, sizeof *self->storage, &self->err));
        if (self->code != PS_OK) {
            return NO_SLOT;
        }
        slot = (uint32_t)self->storage_count++;
    }
    self->storage[slot] = (ps__storage){.owners = 0, .buffer = self->buffer_count++};
    note(self,
         self->sink.alloc(self->sink.context, self->storage[slot].buffer, bytes, role, &self->err));
    return slot;
}

static void disown_storage(ps_eager *self, uint32_t slot)
{
    ps__storage *s = &self->storage[slot];
    if (--s->owners == 0) {
        note(self, self->sink.free(self->sink.context, s->buffer, &self->err));
        s->owners = self->free_storage;
        self->free_storage = slot;
    }
}

/* ---- tensors ---- */

static ps_tensor new_tensor(ps_eager *self, uint32_t storage_slot, int64_t elements, ps_dtype dtype)
{
    uint32_t id = self->free_tensor;
    if (self->code != PS_OK) {
        return 0;
    }
    if (id != NO_SLOT) {
        self->free_tensor = self->tensor[id].next_free;
    } else {
        note(self, ps_grow((void **)&self->tensor, &self->tensor_capacity, self->tensor_count + 1,
                           MAX_ITEMS, sizeof *self->tensor, &self->err));
        if (self->code != PS_OK) {
            return 0;
        }
        id = (uint32_t)self->tensor_count++;
    }
    self->tensor[id] = (ps__tensor){.owners = 1,
                                    .storage = storage_slot,
                                    .elements = elements,
                                    .dtype = (uint8_t)dtype,
                                    .next_free = NO_SLOT};
    self->storage[storage_slot].owners++;
    return id;
}

ps_tensor ps_eager_make(ps_eager *self, int64_t elements, ps_dtype dtype, ps_role role)
{
    if (self->code != PS_OK) {
        return 0;
    }
    const uint32_t slot = new_storage(self, (uint64_t)elements * ps_dtype_bytes(dtype), role);
    return slot == NO_SLOT ? 0 : new_tensor(self, slot, elements, dtype);
}

ps_tensor ps_op_result(ps_eager *self, int64_t elements, ps_dtype dtype)
{
    return ps_eager_make(self, elements, dtype, PS_ROLE_ACTIVATION);
}

ps_tensor ps_op_view_of(ps_eager *self, ps_tensor tensor, int64_t elements)
{
    if (tensor == 0) {
        return 0;
    }
    const ps_tensor view = new_tensor(self, self->tensor[tensor].storage, elements,
                                      (ps_dtype)self->tensor[tensor].dtype);
    self->tensor[view].is_view = true;
    return view;
}

ps_tensor ps_eager_hold(ps_eager *self, ps_tensor tensor)
{
    if (tensor != 0) {
        self->tensor[tensor].owners++;
    }
    return tensor;
}

void ps_eager_drop(ps_eager *self, ps_tensor id)
{
    if (id == 0 || self->code != PS_OK || --self->tensor[id].owners > 0) {
        return;
    }
    const ps__tensor dead = self->tensor[id];
    self->tensor[id].next_free = self->free_tensor;
    self->free_tensor = id;
    disown_storage(self, dead.storage);
    ps_eager_drop(self, dead.grad);
    if (dead.node != 0) {
        ps_eager_disown_node(self, dead.node - 1);
    }
}

void ps_eager_clear(ps_eager *self, ps_tensor *tensor)
{
    ps_eager_drop(self, *tensor);
    *tensor = 0;
}

void ps_eager_assign(ps_eager *self, ps_tensor *variable, ps_tensor value)
{
    const ps_tensor old = *variable;
    *variable = value;
    ps_eager_drop(self, old);
}

int64_t ps_eager_elements(const ps_eager *self, ps_tensor tensor)
{
    return self->tensor[tensor].elements;
}

ps_dtype ps_eager_dtype(const ps_eager *self, ps_tensor tensor)
{
    return (ps_dtype)self->tensor[tensor].dtype;
}

uint64_t ps_eager_bytes(const ps_eager *self, ps_tensor tensor)
{
    return (uint64_t)self->tensor[tensor].elements *
           ps_dtype_bytes((ps_dtype)self->tensor[tensor].dtype);
}

uint32_t ps_eager_owners(const ps_eager *self, ps_tensor tensor)
{
    return self->tensor[tensor].owners;
}

bool ps_eager_is_sole(const ps_eager *self, ps_tensor tensor)
{
    /* a view keeps its base, which is another owner of the storage */
    return self->tensor[tensor].owners == 1 && !self->tensor[tensor].is_view &&
           self->storage[self->tensor[tensor].storage].owners == 1;
}

void ps_eager_require_grad(ps_eager *self, ps_tensor leaf)
{
    self->tensor[leaf].requires_grad = true;
}

bool ps_eager_requires_grad(const ps_eager *self, ps_tensor tensor)
{
    return tensor != 0 && (self->tensor[tensor].requires_grad || self->tensor[tensor].node != 0);
}

ps_tensor ps_eager_grad(const ps_eager *self, ps_tensor leaf)
{
    return self->tensor[leaf].grad;
}

void ps_eager_set_grad(ps_eager *self, ps_tensor leaf, ps_tensor grad)
{
    self->tensor[leaf].grad = grad;
    self->sink.rename(self->sink.context, self->storage[self->tensor[grad].storage].buffer,
                      PS_ROLE_GRADIENT);
}

void ps_eager_forget_grad(ps_eager *self, ps_tensor leaf)
{
    ps_eager_clear(self, &self->tensor[leaf].grad);
}

bool ps_eager_set_grad_mode(ps_eager *self, bool is_on)
{
    const bool was = self->is_recording;
    self->is_recording = is_on;
    return was;
}

/* ---- kernels ---- */

void ps_op_kernel(ps_eager *self, const char *name, uint64_t moved_bytes)
{
    const ps_eager_kernel kernel = {.name = name, .moved_bytes = moved_bytes};
    if (self->code == PS_OK) {
        note(self, self->sink.kernel(self->sink.context, &kernel, &self->err));
    }
}

void ps_eager_set_workspace(ps_eager *self, uint64_t bytes)
{
    self->workspace_bytes = bytes;
}

void ps_eager_set_device(ps_eager *self, int64_t sm_count, int64_t threads_per_sm)
{
    self->device = (ps_reduce_device){sm_count, threads_per_sm};
}

ps_tensor ps_op_sum_rows(ps_eager *self, ps_tensor matrix, int64_t columns)
{
    const int64_t rows = self->tensor[matrix].elements / columns;
    const ps_tensor sum = ps_op_result(self, columns, ps_eager_dtype(self, matrix));
    const ps_reduce_memory need = ps_reduce_rows(rows, columns, self->device);
    if (need.partial_bytes > 0) {
        ps_tensor partial =
            ps_eager_make(self, (int64_t)need.partial_bytes, PS_DTYPE_BOOL, PS_ROLE_TEMPORARY);
        ps_tensor counter =
            ps_eager_make(self, (int64_t)need.counter_bytes, PS_DTYPE_BOOL, PS_ROLE_TEMPORARY);
        ps_eager_clear(self, &counter);
        ps_eager_clear(self, &partial);
    }
    ps_op_kernel(self, "sum", ps_eager_bytes(self, matrix));
    return sum;
}

void ps_eager_set_backward(ps_eager *self, bool is_backward)
{
    self->is_backward = is_backward;
}

void ps_op_workspace(ps_eager *self)
{
    if (self->workspace_bytes > 0 && !self->has_workspace[self->is_backward]) {
        self->has_workspace[self->is_backward] = true;
        (void)ps_eager_make(self, (int64_t)self->workspace_bytes, PS_DTYPE_BOOL, PS_ROLE_WORKSPACE);
    }
}

void ps_op_matmul(ps_eager *self, const char *name, ps_dtype dtype, uint64_t flop,
                  uint64_t moved_bytes)
{
    const ps_eager_kernel kernel = {.name = name,
                                    .kind = PS_KERNEL_MATMUL,
                                    .dtype = dtype,
                                    .flop = flop,
                                    .moved_bytes = moved_bytes};
    if (self->code == PS_OK) {
        note(self, self->sink.kernel(self->sink.context, &kernel, &self->err));
    }
}

/* ---- graph nodes ---- */

ps_node *ps_eager_node(ps_eager *self, uint32_t number)
{
    return self->node[number];
}

uint32_t ps_eager_node_of(const ps_eager *self, ps_tensor tensor, uint32_t *output)
{
    *output = self->tensor[tensor].output;
    return self->tensor[tensor].node;
}

void ps_eager_own_node(ps_eager *self, uint32_t number)
{
    self->node[number]->owners++;
}

void ps_eager_release_saved(ps_eager *self, ps_node *node)
{
    for (uint32_t i = 0; i < node->saved_count; i++) {
        ps_eager_clear(self, &node->saved[i]);
    }
}

/* A graph is as deep as a model is long: nodes are dropped one after the other, not by recursion. */
void ps_eager_disown_node(ps_eager *self, uint32_t number)
{
    uint32_t first = number + 1; /* list of nodes to look at, through waiting_for */
    self->node[number]->waiting_for = 0;
    while (first != 0) {
        ps_node *node = self->node[first - 1];
        const uint32_t at = first - 1;
        first = node->waiting_for;
        node->waiting_for = 0;
        if (--node->owners > 0) {
            continue;
        }
        ps_eager_release_saved(self, node);
        if (node->leaf != 0) {
            self->tensor[node->leaf].accumulator = 0;
        }
        for (uint32_t i = 0; i < node->edge_count; i++) {
            if (node->edge[i].node != 0) {
                ps_node *next = self->node[node->edge[i].node - 1];
                if (next->owners == 1) {
                    next->waiting_for = first;
                    first = node->edge[i].node;
                } else {
                    next->owners--;
                }
            }
        }
        node->ops = NULL;
        if (ps_grow((void **)&self->free_node, &self->free_node_capacity, self->free_node_count + 1,
                    MAX_ITEMS, sizeof *self->free_node, NULL) == PS_OK) {
            self->free_node[self->free_node_count++] = at;
        }
    }
}

static ps_node *new_node(ps_eager *self, uint32_t *number)
{
    ps_node *node;
    if (self->free_node_count > 0) {
        *number = self->free_node[--self->free_node_count];
        node = self->node[*number];
        memset(node, 0, sizeof *node);
        return node;
    }
    note(self, ps_grow((void **)&self->node, &self->node_capacity, self->node_count + 1, MAX_ITEMS,
                       sizeof *self->node, &self->err));
    node = self->code == PS_OK ? ps_calloc(1, sizeof *node) : NULL;
    if (node == NULL) {
        note(self, ps_fail_nomem(&self->err));
        return NULL;
    }
    *number = (uint32_t)self->node_count;
    self->node[self->node_count++] = node;
    return node;
}

static void accumulate_nothing(ps_eager *self, ps_node *node, const ps_tensor *grads,
                               ps_tensor *out)
{
    (void)self;
    (void)node;
    (void)grads;
    (void)out;
}

static const ps_node_ops accumulate_ops = {"AccumulateGrad", accumulate_nothing};

/* The node that adds to a leaf's gradient: one a leaf while any graph refers to it. */
static uint32_t accumulator_of(ps_eager *self, ps_tensor leaf)
{
    uint32_t number;
    if (self->tensor[leaf].accumulator == 0) {
        ps_node *node = new_node(self, &number);
        if (node == NULL) {
            return 0;
        }
        node->ops = &accumulate_ops;
        node->sequence = UINT64_MAX;
        node->leaf = leaf;
        self->tensor[leaf].accumulator = number + 1;
    }
    return self->tensor[leaf].accumulator;
}

static ps_edge edge_to(ps_eager *self, ps_tensor input)
{
    const ps__tensor *t = &self->tensor[input];
    ps_edge edge = {.elements = t->elements, .dtype = (ps_dtype)t->dtype};
    if (t->node != 0) {
        edge.node = t->node;
        edge.input = t->output;
    } else if (t->requires_grad) {
        edge.node = accumulator_of(self, input);
        edge.is_parameter = true;
    }
    return edge;
}

ps_node *ps_op_record(ps_eager *self, const ps_node_ops *ops, const ps_tensor *inputs,
                      uint32_t count)
{
    bool is_wanted = false;
    for (uint32_t i = 0; i < count; i++) {
        is_wanted = is_wanted || ps_eager_requires_grad(self, inputs[i]);
    }
    uint32_t number;
    ps_node *node =
        is_wanted && self->is_recording && self->code == PS_OK ? new_node(self, &number) : NULL;
    if (node == NULL) {
        return NULL;
    }
    node->ops = ops;
    node->sequence = self->sequence++;
    node->edge_count = count;
    for (uint32_t i = 0; i < count; i++) {
        if (inputs[i] != 0) {
            node->edge[i] = edge_to(self, inputs[i]);
        }
        if (node->edge[i].node != 0) {
            ps_eager_own_node(self, node->edge[i].node - 1);
        }
    }
    node->number[PS_NODE_NUMBERS - 1] = number; /* its own, for ps_op_output */
    return node;
}

void ps_op_output(ps_eager *self, ps_node *node, ps_tensor output, uint32_t number)
{
    if (node == NULL || output == 0) {
        return;
    }
    const uint32_t own = (uint32_t)node->number[PS_NODE_NUMBERS - 1];
    self->tensor[output].node = own + 1;
    self->tensor[output].output = number;
    ps_eager_own_node(self, own);
}

void ps_op_save(ps_eager *self, ps_node *node, ps_tensor tensor)
{
    if (node == NULL || tensor == 0) {
        return;
    }
    /* a saved variable has a tensor of its own: it must not keep its own node alive */
    node->saved[node->saved_count++] = ps_op_view_of(self, tensor, self->tensor[tensor].elements);
}
