/* SPDX-License-Identifier: MIT
 *
 * Writes a profiler trace (Kineto JSON) of a fine-tuning job that never ran:
 * a 12-layer transformer, batch 8 x 512 tokens, bf16, AdamW, data parallel
 * over two GPUs, four steps. Names, nesting, streams, correlations, the
 * backward thread, all-reduce buckets and allocator events are laid out as
 * the profiler lays them out; the times follow from stated rates and are not
 * measurements. It gives every machine a trace to start with.
 *
 *   make_finetune > finetune.json
 *
 * The same bytes come out everywhere: integer arithmetic, one seeded generator.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the job ---- */
enum {
    LAYERS = 12,
    HIDDEN = 1024,
    VOCABULARY = 32000,
    TOKENS = 8 * 512,
    STEPS = 4,
    BUCKET_BYTES = 25 << 20,
};

/* ---- the machine: round figures of an A100-class device ---- */
#define GEMM_FLOP_PER_US 200000000u /* 200 TFLOP/s */
#define MEMORY_BYTES_PER_US 1300000u /* 1.3 TB/s */
#define LINK_BYTES_PER_US 24000u     /* 24 GB/s pinned copies */
#define REDUCE_BYTES_PER_US 90000u   /* 90 GB/s all-reduce */

enum { PID = 4242, MAIN = 4242, BACKWARD = 4301, COMPUTE = 7, NCCL = 20 };

/* All times in ns from the start; the file states a base. */
static uint64_t host_ns[2], stream_ns[2], rng = 20261121;
static uint32_t correlation = 100, op_id = 1;
static uint64_t allocated, reserved, next_addr = 0x7f0000000000u;
static bool first_event = true;

static uint64_t jitter(uint64_t span)
{
    rng = rng * 6364136223846793005u + 1442695040888963407u;
    return (rng >> 33) % span;
}

static int host_of(int tid)
{
    return tid == BACKWARD;
}

static int lane_of(int stream)
{
    return stream == NCCL;
}

static void begin_event(void)
{
    (void)printf(first_event ? "\n  {" : ",\n  {");
    first_event = false;
}

static void put_us(const char *key, uint64_t ns)
{
    (void)printf(", \"%s\": %" PRIu64 ".%03u", key, ns / 1000, (unsigned)(ns % 1000));
}

static void put_range(const char *category, const char *name, int tid, uint64_t start, uint64_t end)
{
    begin_event();
    (void)printf("\"ph\": \"X\", \"cat\": \"%s\", \"name\": \"%s\", \"pid\": %d, \"tid\": %d",
                 category, name, PID, tid);
    put_us("ts", start);
    put_us("dur", end - start);
    (void)printf(", \"args\": {\"External id\": %u}}", op_id++);
}

/* A runtime call that takes `ns`; returns its start. */
static uint64_t call(const char *name, int tid, uint64_t ns, uint32_t id)
{
    uint64_t *now = &host_ns[host_of(tid)];
    const uint64_t start = *now;
    begin_event();
    (void)printf("\"ph\": \"X\", \"cat\": \"cuda_runtime\", \"name\": \"%s\", \"pid\": %d, \"tid\": %d",
                 name, PID, tid);
    put_us("ts", start);
    put_us("dur", ns);
    (void)printf(", \"args\": {\"External id\": %u, \"cbid\": 0, \"correlation\": %u}}", op_id, id);
    *now = start + ns;
    return start;
}

/* Device work: begins when its launch has reached the device and the stream is free. */
static void device_work(const char *category, const char *name, int stream, uint64_t launched,
                        uint64_t ns, uint32_t id, const char *args)
{
    uint64_t *lane = &stream_ns[lane_of(stream)];
    const uint64_t ready = launched + 5000 + jitter(800);
    const uint64_t start = ready > *lane + 900 ? ready : *lane + 900 + jitter(300);
    begin_event();
    (void)printf("\"ph\": \"X\", \"cat\": \"%s\", \"name\": \"%s\", \"pid\": 0, \"tid\": %d", category,
                 name, stream);
    put_us("ts", start);
    put_us("dur", ns);
    (void)printf(", \"args\": {\"External id\": %u, \"device\": 0, \"context\": 1, \"stream\": %d, "
                 "\"correlation\": %u%s}}",
                 op_id, stream, id, args);
    *lane = start + ns;
}

static void kernel(const char *name, int tid, uint64_t ns)
{
    const uint64_t start = call("cudaLaunchKernel", tid, 4200 + jitter(900), correlation);
    device_work("kernel", name, COMPUTE, start, ns, correlation,
                ", \"registers per thread\": 128, \"shared memory\": 49152, "
                "\"grid\": [256, 1, 1], \"block\": [256, 1, 1]");
    correlation++;
}

static void note_memory(int tid, uint64_t addr, int64_t bytes)
{
    begin_event();
    (void)printf("\"ph\": \"i\", \"cat\": \"cpu_instant_event\", \"s\": \"t\", \"name\": \"[memory]\", "
                 "\"pid\": %d, \"tid\": %d",
                 PID, tid);
    put_us("ts", host_ns[host_of(tid)]);
    (void)printf(", \"args\": {\"Device Type\": 1, \"Device Id\": 0, \"Addr\": %" PRIu64
                 ", \"Bytes\": %" PRId64 ", \"Total Allocated\": %" PRIu64
                 ", \"Total Reserved\": %" PRIu64 "}}",
                 addr, bytes, allocated, reserved);
    host_ns[host_of(tid)] += 400;
}

typedef struct tensor {
    uint64_t addr, bytes;
} tensor;

static tensor allocate(int tid, uint64_t bytes)
{
    const uint64_t block = (bytes + 511) / 512 * 512;
    const tensor out = {next_addr, block};
    next_addr += (block + (2u << 20) - 1) / (2u << 20) * (2u << 20);
    allocated += block;
    reserved = allocated > reserved ? (allocated + (20u << 20) - 1) / (20u << 20) * (20u << 20)
                                    : reserved;
    note_memory(tid, out.addr, (int64_t)block);
    return out;
}

static void release(int tid, tensor *t)
{
    if (t->bytes != 0) {
        allocated -= t->bytes;
        note_memory(tid, t->addr, -(int64_t)t->bytes);
        t->bytes = 0;
    }
}

static uint64_t gemm_ns(uint64_t rows, uint64_t inner, uint64_t columns)
{
    return 2 * rows * inner * columns * 1000 / GEMM_FLOP_PER_US / 1 + 3000 + jitter(2000);
}

static uint64_t stream_bytes_ns(uint64_t bytes)
{
    return bytes * 1000 / MEMORY_BYTES_PER_US + 2000 + jitter(700);
}

/* ---- the model: what a layer launches and keeps ---- */
typedef struct operation {
    const char *op, *backward, *kernel;
    unsigned inner, columns; /* of a matrix product, in units of HIDDEN; 0: element-wise */
    unsigned saved;          /* activations kept for backward, in units of TOKENS x HIDDEN bf16 */
    unsigned weights;        /* parameters, in units of HIDDEN x HIDDEN */
} operation;

static const operation layer[] = {
    {"aten::layer_norm", "NativeLayerNormBackward0",
     "void at::native::(anonymous namespace)::vectorized_layer_norm_kernel<c10::BFloat16, float>(int, "
     "float, c10::BFloat16 const*)",
     0, 1, 1, 0},
    {"aten::linear", "AddmmBackward0", "ampere_bf16_s16816gemm_bf16_128x128_ldg8_f2f_stages_64x3_tn",
     1, 3, 3, 3},
    {"aten::scaled_dot_product_attention", "ScaledDotProductFlashAttentionBackward0",
     "void pytorch_flash::flash_fwd_kernel<Flash_fwd_kernel_traits<64, 128, 128, 4, cutlass::bfloat16_t>>"
     "(Flash_fwd_params)",
     1, 1, 1, 0},
    {"aten::linear", "AddmmBackward0", "ampere_bf16_s16816gemm_bf16_128x64_ldg8_f2f_stages_64x4_tn",
     1, 1, 1, 1},
    {"aten::add", "AddBackward0",
     "void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<c10::BFloat16>, "
     "at::detail::Array<char*, 3> >(int)",
     0, 1, 1, 0},
    {"aten::linear", "AddmmBackward0", "ampere_bf16_s16816gemm_bf16_128x128_ldg8_f2f_stages_64x3_tn",
     1, 4, 4, 4},
    {"aten::gelu", "GeluBackward0",
     "void at::native::vectorized_elementwise_kernel<4, at::native::GeluCUDAKernelImpl, "
     "at::detail::Array<char*, 2> >(int)",
     0, 4, 4, 0},
    {"aten::linear", "AddmmBackward0", "ampere_bf16_s16816gemm_bf16_256x128_ldg8_f2f_stages_32x3_tn",
     4, 1, 1, 4},
};

enum { OPERATIONS = sizeof layer / sizeof layer[0] };

static tensor saved[LAYERS][OPERATIONS], gradient[LAYERS][OPERATIONS];
static tensor state[LAYERS][2], logits, loss_gradient, batch;
static uint64_t bucket_bytes;

static const uint64_t unit = (uint64_t)TOKENS * HIDDEN * 2;

static uint64_t operation_ns(const operation *o)
{
    return o->inner == 0 ? stream_bytes_ns(2 * unit * o->columns)
                         : gemm_ns(TOKENS, (uint64_t)o->inner * HIDDEN,
                                   (uint64_t)o->columns * HIDDEN);
}

static void forward_operation(int l, int o)
{
    const uint64_t start = host_ns[0];
    host_ns[0] += 6000 + jitter(2500);
    saved[l][o] = allocate(MAIN, layer[o].saved * unit);
    kernel(layer[o].kernel, MAIN, operation_ns(&layer[o]));
    host_ns[0] += 1500;
    put_range("cpu_op", layer[o].op, MAIN, start, host_ns[0]);
}

/* A full bucket goes to the communication stream, which waits for the gradients. */
static void reduce_bucket(int tid)
{
    char args[320];
    uint64_t *now = &host_ns[host_of(tid)];
    const uint64_t start = *now;
    (void)call("cudaEventRecord", tid, 1500, correlation++);
    (void)call("cudaStreamWaitEvent", tid, 1200, correlation++);
    const uint64_t launched = call("cudaLaunchKernelExC", tid, 6000, correlation);
    if (stream_ns[1] < stream_ns[0]) {
        stream_ns[1] = stream_ns[0]; /* the gradients are ready when compute has come this far */
    }
    (void)snprintf(args, sizeof args,
                   ", \"Collective name\": \"allreduce\", \"In msg nelems\": %" PRIu64
                   ", \"Out msg nelems\": %" PRIu64 ", \"Group size\": 2, \"dtype\": \"BFloat16\", "
                   "\"Process Group Name\": \"0\", \"Process Group Ranks\": \"[0, 1]\"",
                   bucket_bytes / 2, bucket_bytes / 2);
    device_work("kernel",
                "ncclDevKernel_AllReduce_Sum_bf16_RING_LL(ncclDevKernelArgsStorage<4096ul>)", NCCL,
                launched, bucket_bytes * 1000 / REDUCE_BYTES_PER_US + 20000 + jitter(9000),
                correlation++, args);
    (void)call("cudaEventRecord", tid, 1500, correlation++);
    put_range("user_annotation", "nccl:all_reduce", tid, start, *now);
    bucket_bytes = 0;
}

static void backward_operation(int l, int o)
{
    char name[128];
    const uint64_t start = host_ns[1];
    host_ns[1] += 7000 + jitter(2500);
    kernel(layer[o].kernel, BACKWARD, operation_ns(&layer[o]));
    if (layer[o].weights > 0) {
        const uint64_t bytes = (uint64_t)layer[o].weights * HIDDEN * HIDDEN * 2;
        gradient[l][o] = allocate(BACKWARD, bytes);
        kernel("ampere_bf16_s16816gemm_bf16_128x128_ldg8_f2f_stages_64x3_nt", BACKWARD,
               operation_ns(&layer[o]));
        bucket_bytes += bytes;
    }
    release(BACKWARD, &saved[l][o]);
    (void)snprintf(name, sizeof name, "autograd::engine::evaluate_function: %s", layer[o].backward);
    put_range("cpu_op", name, BACKWARD, start, host_ns[1]);
    if (bucket_bytes >= BUCKET_BYTES) {
        reduce_bucket(BACKWARD);
    }
}

static void load_batch(void)
{
    const uint64_t start = host_ns[0];
    const uint64_t bytes = (uint64_t)TOKENS * 8;
    char args[64];
    batch = allocate(MAIN, bytes);
    const uint64_t launched = call("cudaMemcpyAsync", MAIN, 5200, correlation);
    (void)snprintf(args, sizeof args, ", \"bytes\": %" PRIu64, bytes);
    device_work("gpu_memcpy", "Memcpy HtoD (Pinned -> Device)", COMPUTE, launched,
                bytes * 1000 / LINK_BYTES_PER_US + 900, correlation++, args);
    put_range("cpu_op", "aten::to", MAIN, start, host_ns[0]);
}

static void output_layer(void)
{
    const uint64_t start = host_ns[0];
    logits = allocate(MAIN, (uint64_t)TOKENS * VOCABULARY * 2);
    kernel("ampere_bf16_s16816gemm_bf16_256x128_ldg8_f2f_stages_32x3_tn", MAIN,
           gemm_ns(TOKENS, HIDDEN, VOCABULARY));
    put_range("cpu_op", "aten::linear", MAIN, start, host_ns[0]);
    const uint64_t loss = host_ns[0];
    loss_gradient = allocate(MAIN, (uint64_t)TOKENS * VOCABULARY * 4);
    kernel("void (anonymous namespace)::softmax_warp_forward<c10::BFloat16, float, float, 10, true, "
           "false>(float*, c10::BFloat16 const*, int, int, int)",
           MAIN, stream_bytes_ns((uint64_t)TOKENS * VOCABULARY * 6));
    put_range("cpu_op", "aten::cross_entropy_loss", MAIN, loss, host_ns[0]);
}

static void backward(void)
{
    host_ns[1] = host_ns[0] + 30000 + jitter(9000); /* hand-over to the engine's thread */
    kernel("void at::native::vectorized_elementwise_kernel<4, at::native::LogSoftmaxBackward, "
           "at::detail::Array<char*, 2> >(int)",
           BACKWARD, stream_bytes_ns((uint64_t)TOKENS * VOCABULARY * 6));
    release(BACKWARD, &loss_gradient);
    kernel("ampere_bf16_s16816gemm_bf16_256x128_ldg8_f2f_stages_32x3_nn", BACKWARD,
           gemm_ns(TOKENS, VOCABULARY, HIDDEN));
    release(BACKWARD, &logits);
    for (int l = LAYERS; l-- > 0;) {
        for (int o = OPERATIONS; o-- > 0;) {
            backward_operation(l, o);
        }
    }
    if (bucket_bytes > 0) {
        reduce_bucket(BACKWARD);
    }
    host_ns[0] = host_ns[1] + 25000 + jitter(6000);
}

static void optimizer(void)
{
    const uint64_t start = host_ns[0];
    (void)call("cudaStreamWaitEvent", MAIN, 1200, correlation++);
    if (stream_ns[0] < stream_ns[1]) {
        stream_ns[0] = stream_ns[1]; /* updates wait for the last bucket */
    }
    for (int l = 0; l < LAYERS; l++) {
        const uint64_t parameters = 12u * HIDDEN * HIDDEN;
        for (int s = 0; s < 2 && state[l][s].bytes == 0; s++) {
            state[l][s] = allocate(MAIN, parameters * 2); /* lazy: first step only */
        }
        kernel("void at::native::(anonymous namespace)::multi_tensor_apply_kernel<at::native::("
               "anonymous namespace)::FusedOptimizerTensorListMetadata<4>, FusedAdamMathFunctor>",
               MAIN, stream_bytes_ns(parameters * 14));
        for (int o = 0; o < OPERATIONS; o++) {
            release(MAIN, &gradient[l][o]);
        }
    }
    put_range("user_annotation", "Optimizer.step#AdamW.step", MAIN, start, host_ns[0]);
}

/* loss.item(): a copy to pageable memory, then a wait for the stream. */
static void read_loss(void)
{
    const uint64_t start = host_ns[0];
    const uint64_t launched = call("cudaMemcpyAsync", MAIN, 7000, correlation);
    device_work("gpu_memcpy", "Memcpy DtoH (Device -> Pinned)", COMPUTE, launched, 1500,
                correlation++, ", \"bytes\": 4");
    const uint64_t waited = stream_ns[0] > host_ns[0] ? stream_ns[0] - host_ns[0] : 0;
    (void)call("cudaStreamSynchronize", MAIN, waited + 6000 + jitter(2000), correlation++);
    put_range("cpu_op", "aten::_local_scalar_dense", MAIN, start, host_ns[0]);
}

static void step(int number)
{
    char name[32];
    const uint64_t start = host_ns[0];
    load_batch();
    for (int l = 0; l < LAYERS; l++) {
        for (int o = 0; o < OPERATIONS; o++) {
            forward_operation(l, o);
        }
    }
    output_layer();
    backward();
    optimizer();
    release(MAIN, &batch);
    read_loss();
    (void)snprintf(name, sizeof name, "ProfilerStep#%d", number);
    put_range("user_annotation", name, MAIN, start, host_ns[0]);
    host_ns[0] += 40000 + jitter(20000);
}

int main(void)
{
    (void)printf("{\"schemaVersion\": 1, \"deviceProperties\": [{\"id\": 0, \"name\": "
                 "\"NVIDIA A100-SXM4-40GB\", \"totalGlobalMem\": 42298834944, \"computeMajor\": 8, "
                 "\"computeMinor\": 0, \"numSms\": 108}],\n\"distributedInfo\": {\"backend\": \"nccl\", "
                 "\"rank\": 0, \"world_size\": 2}, \"profile_memory\": 1,\n"
                 "\"displayTimeUnit\": \"ms\", \"baseTimeNanoseconds\": 1790000000000000000,\n"
                 "\"traceEvents\": [");
    host_ns[0] = 1000000;
    allocated = (uint64_t)LAYERS * 12 * HIDDEN * HIDDEN * 2 + (uint64_t)VOCABULARY * HIDDEN * 2;
    reserved = (allocated + (20u << 20) - 1) / (20u << 20) * (20u << 20);
    for (int i = 0; i < STEPS; i++) {
        step(10 + i);
    }
    (void)printf("\n]}\n");
    return ferror(stdout) != 0 || fflush(stdout) != 0;
}
