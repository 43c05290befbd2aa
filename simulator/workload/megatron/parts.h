/* SPDX-License-Identifier: MIT
 *
 * A Megatron rank from inside.
 *
 * There is no autograd here: a module's forward pass leaves what it keeps in a
 * record, and its backward pass, written out by hand, takes the record apart
 * in the order in which PyTorch's engine would. A tensor in a record owns its
 * storage; 0 is none.
 *
 *   figures.c    what a rank has of the model
 *   init.c       parameters, flat buffers, the optimizer's copies
 *   linear.c norm.c attention.c mlp.c ...   modules, forward and backward
 *   layer.c      a transformer layer
 *   embedding.c head.c   the ends of the model
 *   schedule.c   micro-batches, and what goes between stages
 *   optimizer.c  reduction of gradients, the step
 */
#ifndef PS_WORKLOAD_MEGATRON_PARTS_H
#define PS_WORKLOAD_MEGATRON_PARTS_H

#include "workload/eager/eager_parts.h"
#include "workload/eager/ops.h"
#include "workload/megatron/grid.h"

/* Lanes of communicators, and of memory that is asked for beside the main stream. */
#define PS__MEG_LANE_TENSOR ((ps_eager_lane)PS_EAGER_GROUP)
#define PS__MEG_LANE_EXCHANGE ((ps_eager_lane)(PS_EAGER_GROUP + 1)) /* context or experts */
#define PS__MEG_LANE_DATA ((ps_eager_lane)(PS_EAGER_GROUP + 2))
#define PS__MEG_LANE_EXPERT_DATA ((ps_eager_lane)(PS_EAGER_GROUP + 3))
#define PS__MEG_LANE_TO_NEXT ((ps_eager_lane)(PS_EAGER_GROUP + 4))
#define PS__MEG_LANE_FROM_PREVIOUS ((ps_eager_lane)(PS_EAGER_GROUP + 5))
#define PS__MEG_LANE_TO_PREVIOUS ((ps_eager_lane)(PS_EAGER_GROUP + 6))
#define PS__MEG_LANE_FROM_NEXT ((ps_eager_lane)(PS_EAGER_GROUP + 7))

/** A parameter of this rank, in module order. */
typedef struct ps__meg_parameter {
    int64_t elements;
    bool is_matrix, is_expert;
    bool is_whole; /* on every tensor rank, which sees a part of the tokens */
    int64_t begin; /* in its buffer, in elements */
    ps_tensor own; /* before it moves into the buffer */
} ps__meg_parameter;

/** Parameters of one kind in one piece of memory. */
typedef struct ps__meg_buffer {
    uint32_t axes; /* of its replicas */
    ps_eager_lane lane;
    int64_t elements; /* padded */
    ps_tensor parameters, gradients;
} ps__meg_buffer;

enum { PS__MEG_DENSE, PS__MEG_EXPERTS, PS__MEG_BUFFERS };

/** A part of a parameter whose states this rank keeps. */
typedef struct ps__meg_piece {
    int64_t elements;
    ps_tensor main, mean, variance,
        gradient; /* gradient: during a step, where it is not the buffer's */
} ps__meg_piece;

/** What a norm keeps. */
typedef struct ps__meg_norm {
    ps_tensor input, spread, mean, output;
} ps__meg_norm;

/** What an attention keeps. */
typedef struct ps__meg_attention {
    ps__meg_norm norm;
    ps_tensor q, k, v, out, random, statistics;
    ps_tensor exchanged; /* output after the exchange between context ranks */
} ps__meg_attention;

/** What a latent attention keeps. */
typedef struct ps__meg_latent {
    ps__meg_norm norm, q_norm, kv_norm;
    ps_tensor q, k, v, out, random, statistics;
    ps_tensor rotary_grad; /* of k's shared part, during backward */
} ps__meg_latent;

typedef struct ps__meg_router {
    ps_tensor softmax, balance; /* in 32 bits */
    ps_tensor mask, map;        /* bytes: experts outside the best groups; tokens taken */
    ps_tensor weights, chosen;  /* of each token's experts */
    ps_tensor taken;            /* tokens of each expert */
} ps__meg_router;

typedef struct ps__meg_mixture {
    ps__meg_norm norm;
    ps__meg_router router;
    ps_tensor places;      /* of each token's rows among those that are sent */
    ps_tensor row_weights; /* probabilities of the rows */
    ps_tensor sorted, wide, active;
    ps_tensor shared_wide, shared_active;
} ps__meg_mixture;

typedef struct ps__meg_mlp {
    ps__meg_norm norm;
    ps_tensor wide, active;
} ps__meg_mlp;

/** What a layer of the older program keeps. */
typedef struct ps__meg_gpt {
    ps__meg_norm norm[2];
    ps_tensor joined, weights, mask, dropped; /* q, k, v; softmax; its dropout */
    ps_tensor context;                        /* heads of a token behind one another */
    ps_tensor wide, active;
    ps_tensor branch_mask[2]; /* dropout of what is added to x */
} ps__meg_gpt;

/** What a layer keeps: tensors and nothing else, see ps__meg_drop_layer. */
typedef struct ps__meg_layer {
    ps__meg_attention attention;
    ps__meg_latent latent;
    ps__meg_mlp mlp;
    ps__meg_mixture mixture;
    ps__meg_gpt gpt;
} ps__meg_layer;

typedef struct ps__meg_head {
    ps__meg_norm norm;
    ps_tensor logits, losses, labels, mask;
    ps_tensor softmax; /* of the older program, in 32 bits */
} ps__meg_head;

/** A micro-batch in flight. */
typedef struct ps__meg_micro {
    ps_tensor ids;       /* for the embedding's backward */
    ps_tensor positions; /* during the forward pass */
    ps_tensor input;     /* received from the stage before */
    ps_tensor output;    /* of the stage; of the last one: the loss */
    ps__meg_layer *layer;
    ps_tensor *checkpoint; /* inputs of layers that are recomputed */
    ps_tensor mask;        /* dropout of the embedding */
    ps__meg_head head;
} ps__meg_micro;

/** A gradient that TransformerEngine hands to autograd in place of the real one. */
typedef struct ps__meg_dummy {
    int64_t rows, columns;
    ps_tensor tensor;
} ps__meg_dummy;

typedef struct ps__meg ps__meg;

/** A program: what differs between dialects. */
typedef struct ps__meg_program {
    void (*make_beginning)(ps__meg *self); /* parameters, in module order */
    void (*make_layer)(ps__meg *self, int64_t layer);
    void (*make_end)(ps__meg *self);
    void (*prepare)(ps__meg *self); /* what a forward pass needs once; NULL: nothing */
    ps_tensor (*embed)(ps__meg *self, ps__meg_micro *micro);
    void (*embed_backward)(ps__meg *self, ps__meg_micro *micro, ps_tensor grad); /* takes it */
    ps_tensor (*layer)(ps__meg *self, ps__meg_layer *kept, ps_tensor x);         /* takes x */
    ps_tensor (*layer_backward)(ps__meg *self, ps__meg_layer *kept, ps_tensor grad);
    ps_tensor (*head)(ps__meg *self, ps__meg_head *kept, ps_tensor x); /* takes x; the loss */
    ps_tensor (*head_backward)(ps__meg *self, ps__meg_head *kept);     /* gradient of x */
    void (*finish_gradients)(ps__meg *self); /* after the last backward pass; NULL: nothing */
    bool adds_document_end;   /* the vocabulary has one word more than the model says */
    bool waits_for_transfers; /* the host does, whenever stages exchange something */
    bool scatters_transfers;  /* tensor ranks send a part each, and gather what comes */
    ps_dtype gradients;       /* of their buffer; F16: as the parameters */
} ps__meg_program;

extern const ps__meg_program ps__meg_core, ps__meg_gpt_program;

struct ps__meg {
    ps_eager *e;
    const ps__meg_program *program;
    const ps_megatron_shape *shape;
    const ps_megatron_recipe *recipe;
    ps__meg_grid grid;
    ps_dtype dtype, grad_dtype;
    /* of this rank */
    int64_t tokens; /* of a micro-batch, of the rank's part of the sequence */
    int64_t slice;  /* of these between modules: divided by tensor where sequences are */
    int64_t heads, kv_heads, ffn, vocabulary; /* vocabulary: padded */
    int64_t layers, first_layer;
    int64_t layer; /* of the stage, that runs */
    bool is_first, is_last, is_sequence_parallel;
    /* memory that is made once */
    ps_tensor *probabilities; /* of each layer's router, until its next call */
    bool has_grouped_workspaces;
    ps_tensor gemm_workspace, rope, inverse_frequencies, gather_buffer;
    ps__meg_dummy *dummy;
    size_t dummy_count, dummy_capacity;
    ps__meg_parameter *parameter;
    size_t parameter_count, parameter_capacity;
    ps__meg_buffer buffer[PS__MEG_BUFFERS];
    ps__meg_piece *piece;
    size_t piece_count, piece_capacity;
    /* the schedule's variables */
    ps__meg_micro *micro;
    int64_t in_flight;
    ps_tensor input_grad, output_grad;
    ps_tensor kept_input; /* the last graph's leaf */
};

/* ---- tensors.c ---- */

/** A result in the type of computation, or in another. */
ps_tensor ps__meg_make(ps__meg *self, int64_t elements);
ps_tensor ps__meg_make_as(ps__meg *self, int64_t elements, ps_dtype dtype);

/** A kernel that reads and writes so many elements of the type of computation. */
void ps__meg_kernel(ps__meg *self, const char *name, int64_t elements);
/** ... so many bytes. */
void ps__meg_bytes(ps__meg *self, const char *name, int64_t bytes);
/** ... so many bytes, not one after another. */
void ps__meg_way(ps__meg *self, const char *name, ps_access access, int64_t bytes);
/** ... of which it reads so many elements, to sum or compare them. */
void ps__meg_sums(ps__meg *self, const char *name, ps_access access, int64_t bytes,
                  int64_t elements);

/** The host waits for the main stream, as where it reads a number. */
void ps__meg_wait(ps__meg *self);

/**
 * Adds a gradient to a sum: in place when nobody else can see the sum, else into a new tensor.
 * Takes the part.
 */
void ps__meg_accumulate(ps__meg *self, ps_tensor *sum, ps_tensor part);

/* ---- exchange.c: what ranks do together ---- */

/** Begins a collective in a communicator's lane; nothing waits for it. No effect in a group of one. */
void ps__meg_start(ps__meg *self, const char *name, ps_collective_op op, ps_eager_lane lane,
                   uint32_t axes, uint64_t bytes);
/** The main lane waits for what the communicator's lane was given. */
void ps__meg_await(ps__meg *self, ps_eager_lane lane);

/** Whole rows out of the parts that tensor ranks have: a new tensor; borrows. */
ps_tensor ps__meg_gather(ps__meg *self, ps_tensor part, int64_t width);
/** As ps__meg_gather, but the caller has to await PS__MEG_LANE_TENSOR. */
ps_tensor ps__meg_start_gather(ps__meg *self, ps_tensor part, int64_t width);
/**
 * Sums of tensor ranks: scattered over them where sequences are divided, else in place. Takes the
 * addends; returns the sum.
 */
ps_tensor ps__meg_reduce(ps__meg *self, ps_tensor whole, int64_t width);
/** As ps__meg_reduce, but the caller has to await PS__MEG_LANE_TENSOR, and keeps the addends. */
ps_tensor ps__meg_start_reduce(ps__meg *self, ps_tensor whole, int64_t width);

/** A tensor goes to the neighbouring stage and one comes from it, in one batch; then the host waits. */
typedef struct ps__meg_transfer {
    bool sends_forward, receives_forward, sends_backward, receives_backward;
} ps__meg_transfer;
void ps__meg_transfer_run(ps__meg *self, const ps__meg_transfer *what);

/* ---- context.c ---- */

/**
 * Exchanges up to 3 tensors of `width` elements a token between context ranks.
 *
 * @param is_before  the sequence comes together and heads are divided, else the other way round
 * @param out        receives the new tensors, of the context stream's pool
 */
void ps__meg_exchange(ps__meg *self, const int64_t *width, uint32_t count, bool is_before,
                      ps_tensor *out);

/* ---- linear.c ---- */

/** A product of size = {rows of the result, its columns, length of the sums, products}. */
void ps__meg_product(ps__meg *self, const char *name, const int64_t size[4],
                     ps_operand_layout layout);
/** A product that is added to gradients of weights. */
void ps__meg_weight_product(ps__meg *self, const char *name, const int64_t size[4]);

/** rows x in times in x out, in a new tensor. */
ps_tensor ps__meg_linear(ps__meg *self, const char *name, int64_t rows, int64_t in, int64_t out);
ps_tensor ps__meg_linear_input(ps__meg *self, const char *name, int64_t rows, int64_t in,
                               int64_t out);
/** Adds to the gradient of the weight. */
void ps__meg_linear_weight(ps__meg *self, const char *name, int64_t rows, int64_t in, int64_t out);
/** The stand-in of a shape, made when it is first needed. */
void ps__meg_stand_in(ps__meg *self, int64_t rows, int64_t columns);

/** Norm and linear layer in one module: columns of the weight over tensor ranks. */
ps_tensor ps__meg_norm_linear(ps__meg *self, ps__meg_norm *kept, ps_tensor x, int64_t in,
                              int64_t out);
/** Takes the gradient; returns that of the norm's input. */
ps_tensor ps__meg_norm_linear_backward(ps__meg *self, ps__meg_norm *kept, ps_tensor grad,
                                       int64_t in, int64_t out);
/** Columns of the weight over tensor ranks; borrows x. */
ps_tensor ps__meg_column_linear(ps__meg *self, ps_tensor x, int64_t in, int64_t out);
/** Takes the gradient, borrows x; returns x's gradient. */
ps_tensor ps__meg_column_linear_backward(ps__meg *self, ps_tensor x, ps_tensor grad, int64_t in,
                                         int64_t out);
/** Rows of the weight over tensor ranks; borrows x. */
ps_tensor ps__meg_row_linear(ps__meg *self, int64_t in);
/** Borrows the gradient; the caller drops what was kept. */
ps_tensor ps__meg_row_linear_backward(ps__meg *self, ps_tensor grad, int64_t in);

/** Memory that cuBLAS works in, kept for ever. */
ps_tensor ps__meg_make_workspace(ps__meg *self);

/* ---- norm.c ---- */

void ps__meg_norm_forward(ps__meg *self, ps__meg_norm *kept, ps_tensor x, int64_t rows,
                          int64_t width);
/** Gradient of the input; borrows that of the output and what was kept. */
ps_tensor ps__meg_norm_backward(ps__meg *self, int64_t rows, int64_t width);
/** Ends the record. */
void ps__meg_norm_drop(ps__meg *self, ps__meg_norm *kept);

/* ---- layers ---- */

/**
 * The kernel of a causal attention over all heads of the rank.
 *
 * @param head      elements of one
 * @param elements  that each of its products moves
 */
void ps__meg_tell_attention(ps__meg *self, int64_t head, int64_t elements, bool is_backward);
/** Where the backward kernel adds up the gradient of q, in 32 bits. */
ps_tensor ps__meg_query_sums(ps__meg *self, int64_t elements);

/** Returns what is added to x. */
ps_tensor ps__meg_attention_forward(ps__meg *self, ps__meg_attention *kept, ps_tensor x);
/** Borrows the gradient of the result; returns that of x. */
ps_tensor ps__meg_attention_backward(ps__meg *self, ps__meg_attention *kept, ps_tensor grad);
ps_tensor ps__meg_latent_forward(ps__meg *self, ps__meg_latent *kept, ps_tensor x);
ps_tensor ps__meg_latent_backward(ps__meg *self, ps__meg_latent *kept, ps_tensor grad);
void ps__meg_latent_parameters(ps__meg *self);
ps_tensor ps__meg_mixture_forward(ps__meg *self, ps__meg_mixture *kept, ps_tensor x);
ps_tensor ps__meg_mixture_backward(ps__meg *self, ps__meg_mixture *kept, ps_tensor grad);
void ps__meg_mixture_parameters(ps__meg *self);
/** Rows that a rank sends to experts, and that come from other ranks' tokens, padding included. */
int64_t ps__meg_dispatched_rows(const ps__meg *self);
/** Probabilities of experts for each token. */
ps_tensor ps__meg_router_forward(ps__meg *self, ps__meg_router *kept);
/** Takes the gradient of the probabilities; returns that of the norm's output. */
ps_tensor ps__meg_router_backward(ps__meg *self, ps__meg_router *kept, ps_tensor grad);
ps_tensor ps__meg_mlp_forward(ps__meg *self, ps__meg_mlp *kept, ps_tensor x);
ps_tensor ps__meg_mlp_backward(ps__meg *self, ps__meg_mlp *kept, ps_tensor grad);

/* ---- head.c, embedding.c: the ends of Megatron core ---- */

ps_tensor ps__meg_head_forward(ps__meg *self, ps__meg_head *kept, ps_tensor x);
ps_tensor ps__meg_head_backward(ps__meg *self, ps__meg_head *kept);
/** The table of rotary positions, made once. */
void ps__meg_need_rope(ps__meg *self);

/* ---- layer.c ---- */

/** Lets go of all that a layer keeps. */
void ps__meg_drop_layer(ps__meg *self, ps__meg_layer *kept);

/** Words of this rank's part of the vocabulary, summed over tensor ranks. */
ps_tensor ps__meg_words(ps__meg *self, ps__meg_micro *micro);
/** Takes the gradient. */
void ps__meg_words_backward(ps__meg *self, ps__meg_micro *micro, ps_tensor grad);

/* ---- figures.c, init.c, optimizer.c, schedule.c ---- */

/** Figures of the rank; PS_USAGE: degrees that do not divide the model, figures beyond all models. */
ps_code ps__meg_figures(ps__meg *self, ps_error *err) PS_MUST_USE;
void ps__meg_add_parameter(ps__meg *self, int64_t rows, int64_t columns, bool is_expert);
/** A matrix that every tensor rank has whole. */
void ps__meg_add_whole_parameter(ps__meg *self, int64_t rows, int64_t columns);
/** Parameters of all modules of the stage. */
void ps__meg_make_parameters(ps__meg *self);
/** They move into flat buffers. */
void ps__meg_make_buffers(ps__meg *self);
void ps__meg_make_optimizer(ps__meg *self);

/** Gradients of parameters that tensor ranks have whole become those of the whole sequence. */
void ps__meg_sum_whole_gradients(ps__meg *self);

void ps__meg_begin_step(ps__meg *self);
void ps__meg_run_micro_batches(ps__meg *self);
void ps__meg_end_step(ps__meg *self);

#endif
