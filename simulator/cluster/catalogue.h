/* SPDX-License-Identifier: MIT
 *
 * The hardware catalogue: what is known of GPUs, links, host memory and
 * storage, each figure with its unit, where it comes from and how good that
 * is. No other file of the simulator holds a hardware number.
 *
 * A catalogue is CSV text, one figure a row:
 *
 *   device,quantity,value,unit,origin
 *   H200-SXM,memory-bandwidth,4800,GB/s,recalled: vendor datasheet
 *
 * The built-in files of this folder are part of the program. A user's file in the same form adds entries and overrides single
 * figures. "like" names an entry that supplies what is not stated; "alias" is
 * another name, in which * stands for any text. Lines that begin with # are
 * comments. An origin begins with its quality: "measured: on my machine".
 */
#ifndef PS_CLUSTER_CATALOGUE_H
#define PS_CLUSTER_CATALOGUE_H

#include "base/status.h"
#include "base/units.h"

/* X(symbol, name in files, doc) */
#define PS_HARDWARE_CLASSES(X)                                          \
    X(GPU, "gpu", "an accelerator with its own memory")                 \
    X(LINK, "link", "a host link, a GPU-to-GPU link or a network port") \
    X(MEMORY, "memory", "host memory of one socket")                    \
    X(STORAGE, "storage", "a disk")                                     \
    X(HOST, "host", "a processor with the framework that runs on it")   \
    X(SOFTWARE, "software", "a generation of driver and libraries")     \
    X(FAMILY, "family", "figures for others to inherit; not a device")

typedef enum ps_hardware_class {
#define PS_HARDWARE_CLASS_ENUM(sym, name, doc) PS_HARDWARE_##sym,
    PS_HARDWARE_CLASSES(PS_HARDWARE_CLASS_ENUM)
#undef PS_HARDWARE_CLASS_ENUM
        PS_HARDWARE_CLASS_COUNT
} ps_hardware_class;

/*
 * X(symbol, name in files, unit kind, least value, class, needed, doc)
 * needed 1: every entry of that class has the figure, stated or inherited.
 * A rate of 0 means that the hardware lacks it.
 */
#define PS_FIGURES(X)                                                                             \
    X(MEMORY, "memory", SIZE, 1, GPU, 1, "total memory as the driver reports it")                 \
    X(MEMORY_NOMINAL, "memory-nominal", SIZE, 1, GPU, 0, "memory on the box")                     \
    X(MEMORY_BANDWIDTH, "memory-bandwidth", BANDWIDTH, 1, GPU, 1, "peak of device memory")        \
    X(FP32_RATE, "fp32-rate", FLOP_RATE, 1, GPU, 1, "peak outside matrix units")                  \
    X(TF32_RATE, "tf32-rate", FLOP_RATE, 0, GPU, 0, "peak, dense")                                \
    X(FP16_RATE, "fp16-rate", FLOP_RATE, 0, GPU, 1, "peak, dense, fp32 accumulation")             \
    X(BF16_RATE, "bf16-rate", FLOP_RATE, 0, GPU, 1, "peak, dense")                                \
    X(FP8_RATE, "fp8-rate", FLOP_RATE, 0, GPU, 0, "peak, dense, fp32 accumulation")               \
    X(MATMUL_SHARE, "matmul-share", RATIO, 1, GPU, 0,                                             \
      "what large matrix products reach of the peak")                                             \
    X(STREAM_SHARE, "stream-share", RATIO, 1, GPU, 0,                                             \
      "what memory-bound kernels reach of the peak")                                              \
    X(SM_COUNT, "sm-count", COUNT, 1, GPU, 0, "multiprocessors or compute units")                 \
    X(THREADS_PER_SM, "threads-per-sm", COUNT, 1, GPU, 0, "threads one of them holds at a time")  \
    X(REGISTERS_PER_SM, "registers-per-sm", COUNT, 1, GPU, 0, "32-bit registers of one of them")  \
    X(H2D, "h2d", BANDWIDTH, 1, GPU, 1, "large pinned copies to the device, alone")               \
    X(D2H, "d2h", BANDWIDTH, 1, GPU, 1, "large pinned copies from the device, alone")             \
    X(HOST_BOTH_FACTOR, "host-both-factor", RATIO, 1, GPU, 0,                                     \
      "both directions together over one alone")                                                  \
    X(HOST_THEORY, "host-theory", BANDWIDTH, 1, GPU, 0,                                           \
      "signalling rate of the host link, one way")                                                \
    X(PAGEABLE, "pageable", BANDWIDTH, 1, GPU, 0, "copies of pageable host memory")               \
    X(COPY_LATENCY, "copy-latency", DURATION, 0, GPU, 0, "start of one copy")                     \
    X(LAUNCH_LATENCY, "launch-latency", DURATION, 0, GPU, 0, "host time of one kernel launch")    \
    X(NVLINK, "nvlink", BANDWIDTH, 0, GPU, 0, "all links to other GPUs together, one direction")  \
    X(CONTEXT_MEMORY, "context-memory", SIZE, 0, GPU, 1,                                          \
      "memory in use before and beside the framework's allocator")                                \
    X(L2_SIZE, "l2-size", SIZE, 1, GPU, 0, "last cache before device memory")                     \
    X(CLOCK_SHARE, "clock-share", RATIO, 1, GPU, 0,                                               \
      "clock of the multiprocessors under load over the boost clock of the rates")                \
    X(SUSTAINED_SHARE, "sustained-share", RATIO, 1, GPU, 0,                                       \
      "rate of arithmetic that power and heat leave over minutes, over that of short runs")       \
    X(KERNEL_FLOOR, "kernel-floor", DURATION, 0, GPU, 0, "shortest kernel, at the boost clock")   \
    X(VECTOR_SHARE, "vector-share", RATIO, 1, GPU, 0,                                             \
      "what large matrix products outside matrix units reach of fp32-rate")                       \
    X(UNALIGNED_SHARE, "unaligned-share", RATIO, 1, GPU, 0,                                       \
      "what matrix units reach on rows that do not begin on 16 bytes")                            \
    X(OVERLAP_LOSS, "overlap-loss", RATIO, 0, GPU, 0,                                             \
      "part of the shorter of arithmetic and traffic that a matrix product does not hide")        \
    X(TILE_HALF, "tile-half", COUNT, 0, GPU, 0,                                                   \
      "edge of a square tile of a matrix product that halves its arithmetic rate, over two")      \
    X(TILE_FIXED, "tile-fixed", DURATION, 0, GPU, 0, "start and end of one tile")                 \
    X(VECTOR_TILE_FIXED, "vector-tile-fixed", DURATION, 0, GPU, 0,                                \
      "the same outside matrix units")                                                            \
    X(STEP_DEPTH, "step-depth", SIZE, 1, GPU, 0, "depth of the contraction done in one step")     \
    X(STEP_LATENCY, "step-latency", DURATION, 0, GPU, 0, "least time of a step on matrix units")  \
    X(VECTOR_STEP_LATENCY, "vector-step-latency", DURATION, 0, GPU, 0,                            \
      "least time of a step outside matrix units")                                                \
    X(SPLIT_FIXED, "split-fixed", DURATION, 0, GPU, 0,                                            \
      "summing the parts of a contraction that was split")                                        \
    X(L2_SHARE, "l2-share", RATIO, 0, GPU, 0,                                                     \
      "part of l2-size up to which a kernel's operands stay in it")                               \
    X(L2_FADE, "l2-fade", RATIO, PS_RATIO_ONE, GPU, 0,                                            \
      "operands over that part from which nothing stays")                                         \
    X(L2_SPEED, "l2-speed", RATIO, PS_RATIO_ONE, GPU, 0,                                          \
      "bandwidth of the last cache over that of device memory")                                   \
    X(CONTIGUOUS_RATE, "contiguous-rate", COUNT, 1, GPU, 0,                                       \
      "elements that a multiprocessor computes in a microsecond, contiguous operands")            \
    X(STRIDED_RATE, "strided-rate", COUNT, 1, GPU, 0,                                             \
      "the same where each element's place is worked out: broadcast, strided, mixed formats")     \
    X(ROWS_RATE, "rows-rate", COUNT, 1, GPU, 0, "the same a row at a time: softmax, norms")       \
    X(REDUCTION_RATE, "reduction-rate", COUNT, 1, GPU, 0, "the same for sums over a dimension")   \
    X(STRIDED_FIXED, "strided-fixed", DURATION, 0, GPU, 0, "what such a kernel takes beyond")     \
    X(ROWS_FIXED, "rows-fixed", DURATION, 0, GPU, 0, "what such a kernel takes beyond")           \
    X(REDUCTION_FIXED, "reduction-fixed", DURATION, 0, GPU, 0, "what such a kernel takes beyond") \
    X(ATTENTION_FORWARD_SHARE, "attention-forward-share", RATIO, 1, GPU, 0,                       \
      "what fused attention reaches of the peak, head dimension 128")                             \
    X(ATTENTION_BACKWARD_SHARE, "attention-backward-share", RATIO, 1, GPU, 0, "its backward")     \
    X(ATTENTION_HALF, "attention-half", COUNT, 0, GPU, 0,                                         \
      "head dimension at which fused attention does half of what it does at large ones")          \
    X(ATTENTION_FIXED, "attention-fixed", DURATION, 0, GPU, 0, "start and end of one block")      \
    X(ATTENTION_ROWS, "attention-rows", COUNT, 1, GPU, 0, "query rows of one block")              \
    X(COLLECTIVE_DELAY, "collective-delay", DURATION, 0, GPU, 0,                                  \
      "what a collective takes longer while a job trains than in a benchmark of it alone")        \
    X(OVERLAP_COST, "overlap-cost", RATIO, 0, GPU, 0,                                             \
      "part of a collective's time by which it holds up computation that runs beside it")         \
    X(LOADED_MEMORY, "loaded-memory", SIZE, 0, GPU, 0,                                            \
      "what a first step loads outside the allocator")                                            \
    X(DEVICE_MALLOC, "device-malloc", DURATION, 0, GPU, 0,                                        \
      "host time of one request to the driver for device memory")                                 \
    X(DEVICE_FREE, "device-free", DURATION, 0, GPU, 0,                                            \
      "host time of giving it back, beside waiting for the device")                               \
    X(DRIVER_MEMORY, "driver-memory", SIZE, 0, GPU, 0,                                            \
      "what driver and firmware keep of the card; NVML counts it as used unless asked not to")    \
    X(EAGER_MODULES, "eager-modules", SIZE, 0, SOFTWARE, 0,                                       \
      "device code loaded with the context, beyond what lazy loading needs")                      \
    X(COLLECTIVE_PAIR, "collective-pair", SIZE, 0, SOFTWARE, 0,                                   \
      "buffers of a process group of two ranks")                                                  \
    X(COLLECTIVE_GROUP, "collective-group", SIZE, 0, SOFTWARE, 0, "of one of more ranks")         \
    X(WIDE_WORKSPACE, "wide-workspace", COUNT, 0, SOFTWARE, 0,                                    \
      "1: majors 9, 10 and 12 get the large matrix workspace, 0: 9.0 alone")                      \
    X(HOST_PAGE, "host-page", SIZE, 1, SOFTWARE, 0,                                               \
      "page in which pinned host memory is mapped for the device")                                \
    X(PAGE_ENTRY, "page-entry", SIZE, 0, SOFTWARE, 0,                                             \
      "device memory that the entry of one such page takes")                                      \
    X(FORWARD_LAUNCH, "forward-launch", DURATION, 1, HOST, 1,                                     \
      "between two launches of a forward pass, as recorded")                                      \
    X(BACKWARD_LAUNCH, "backward-launch", DURATION, 1, HOST, 1, "of a backward pass")             \
    X(OPTIMIZER_LAUNCH, "optimizer-launch", DURATION, 1, HOST, 1, "of an optimizer's step")       \
    X(SUBCLASS_DISPATCH, "subclass-dispatch", DURATION, 0, HOST, 0,                               \
      "what an operation on a Python subclass of tensors takes beyond its launch")                \
    X(MODULE_HOOK, "module-hook", DURATION, 0, HOST, 0,                                           \
      "a framework's Python around one module: fetching its parameters, releasing them")          \
    X(LATE_RANKS, "late-ranks", DURATION, 0, HOST, 0,                                             \
      "what ranks wait in a collective, in the mean, for one whose host comes late")              \
    X(PROFILER_FACTOR, "profiler-factor", RATIO, PS_RATIO_ONE, HOST, 1,                           \
      "host time as recorded over that without a profiler")                                       \
    X(BANDWIDTH, "bandwidth", BANDWIDTH, 1, LINK, 1, "large transfers, one direction")            \
    X(BANDWIDTH_THEORY, "bandwidth-theory", BANDWIDTH, 1, LINK, 0,                                \
      "signalling rate, one direction")                                                           \
    X(BANDWIDTH_BOTH, "bandwidth-both", BANDWIDTH, 1, LINK, 0, "both directions together")        \
    X(LATENCY, "latency", DURATION, 0, LINK, 1, "start of one transfer")                          \
    X(STREAM_BANDWIDTH, "stream-bandwidth", BANDWIDTH, 1, MEMORY, 1, "what programs reach")       \
    X(PEAK_BANDWIDTH, "peak-bandwidth", BANDWIDTH, 1, MEMORY, 0, "channels at their rate")        \
    X(READ_BANDWIDTH, "read-bandwidth", BANDWIDTH, 1, STORAGE, 1, "large sequential reads")       \
    X(WRITE_BANDWIDTH, "write-bandwidth", BANDWIDTH, 1, STORAGE, 1, "large sequential writes")

typedef enum ps_figure_id {
#define PS_FIGURE_ENUM(sym, name, kind, min, class, needed, doc) PS_FIGURE_##sym,
    PS_FIGURES(PS_FIGURE_ENUM)
#undef PS_FIGURE_ENUM
        PS_FIGURE_COUNT
} ps_figure_id;

/* Best first. X(symbol, word in files, doc) */
#define PS_QUALITIES(X)                                          \
    X(MEASURED, "measured", "timed or counted on such hardware") \
    X(REPORTED, "reported", "what a driver said")                \
    X(PUBLISHED, "published", "read in a public table")          \
    X(DERIVED, "derived", "arithmetic on other figures")         \
    X(RECALLED, "recalled", "from memory, unchecked")            \
    X(GIVEN, "given", "the word of whoever wrote the file")

typedef enum ps_quality {
#define PS_QUALITY_ENUM(sym, name, doc) PS_QUALITY_##sym,
    PS_QUALITIES(PS_QUALITY_ENUM)
#undef PS_QUALITY_ENUM
        PS_QUALITY_COUNT
} ps_quality;

/** Index of an entry; ascending in the order of first mention. */
typedef struct ps_hardware_id {
    uint32_t v;
} ps_hardware_id;

/** One figure; texts are borrowed until the catalogue changes. */
typedef struct ps_figure {
    uint64_t value; /* in the base unit of `kind` */
    ps_unit_kind kind;
    ps_quality quality;
    const char *text;         /* as written: "4800 GB/s" */
    const char *origin;       /* "recalled: vendor datasheet" */
    const char *file;         /* where it is stated */
    uint32_t line;            /* from 1 */
    ps_hardware_id stated_by; /* the entry itself, or one it is like */
} ps_figure;

typedef struct ps_catalogue ps_catalogue;

/** Name in files and the sentence of the X-macro. Static storage. */
const char *ps_figure_name(ps_figure_id figure);
const char *ps_figure_doc(ps_figure_id figure);
const char *ps_hardware_class_name(ps_hardware_class class_of);
const char *ps_quality_name(ps_quality quality);

/** New catalogue with the built-in entries. PS_OK · PS_NOMEM */
ps_code ps_catalogue_create(ps_catalogue **out, ps_error *err) PS_MUST_USE;

/** New catalogue without entries, or NULL when out of memory. */
ps_catalogue *ps_catalogue_create_empty(void) PS_MUST_USE;

void ps_catalogue_destroy(ps_catalogue *self);

/**
 * Adds entries and overrides figures from a CSV file, then checks the whole.
 *
 * @return PS_OK · PS_IO · PS_NOMEM · PS_LIMIT file too large ·
 *         PS_BAD_INPUT with "file:line:" and what is wrong: a column missing, an unknown quantity
 *         or quality, a value that does not parse, a figure stated twice in the file, a figure
 *         of another class, a needed figure missing, "like" that names nothing or itself
 * After a failure the catalogue is only good for ps_catalogue_destroy.
 */
ps_code ps_catalogue_read_file(ps_catalogue *self, const char *path, ps_error *err) PS_MUST_USE;

/** ps_catalogue_read_file from memory; `name` stands in messages and figures. All copied. */
ps_code ps_catalogue_read_memory(ps_catalogue *self, const char *name, const void *bytes,
                                 size_t count, ps_error *err) PS_MUST_USE;

/** Number of entries; ids are 0 .. count - 1. */
uint32_t ps_catalogue_count(const ps_catalogue *self);

/** Borrowed until the catalogue changes. */
const char *ps_catalogue_name(const ps_catalogue *self, ps_hardware_id id);

ps_hardware_class ps_catalogue_class(const ps_catalogue *self, ps_hardware_id id);

/** "8.0", "gfx942"; "" when unknown. Borrowed until the catalogue changes. */
const char *ps_catalogue_compute_capability(const ps_catalogue *self, ps_hardware_id id);

/**
 * Finds an entry by its name or an alias, as people type it or drivers report
 * it: case, blanks and punctuation do not count.
 *
 * @return PS_OK · PS_NOT_FOUND with the nearest names
 */
ps_code ps_catalogue_find(const ps_catalogue *self, ps_hardware_class class_of, const char *name,
                          ps_hardware_id *out, ps_error *err) PS_MUST_USE;

/** True and *out filled when the figure is known, stated or inherited. */
bool ps_catalogue_get(const ps_catalogue *self, ps_hardware_id id, ps_figure_id figure,
                      ps_figure *out);

/** ps_catalogue_get of a figure that is indispensable: PS_NOT_FOUND says how to supply it. */
ps_code ps_catalogue_need(const ps_catalogue *self, ps_hardware_id id, ps_figure_id figure,
                          ps_figure *out, ps_error *err) PS_MUST_USE;

#endif
