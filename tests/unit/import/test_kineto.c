/* SPDX-License-Identifier: MIT
 *
 * Every quirk of Kineto files, by small texts: what becomes which row.
 */
#include "kineto_run.h"

#include "base/memory.h"

/* ---- times ---- */

static void times_in_all_three_forms(void **state)
{
    (void)state;
    ps_trace *t = kineto_run(
        "[{'ph':'X','cat':'cpu_op','name':'a','pid':1,'tid':2,'ts':1606910596297023,'dur':13},"
        "{'ph':'X','cat':'cpu_op','name':'b','pid':1,'tid':2,'ts':1712195495519689.0,'dur':0.5},"
        "{'ph':'X','cat':'cpu_op','name':'c','pid':1,'tid':2,'ts':4458676522690.655,'dur':1e2}]");
    /* sorted by start */
    assert_int_equal(t->range.start_ns[0], 4458676522690655);
    assert_int_equal(t->range.dur_ns[0], 100000);
    assert_int_equal(t->range.start_ns[1], 1606910596297023000);
    assert_int_equal(t->range.dur_ns[1], 13000);
    assert_int_equal(t->range.start_ns[2], 1712195495519689000);
    assert_int_equal(t->range.dur_ns[2], 500);
    assert_string_equal(ps_trace_meta(t, PS_META_CLOCK), "unix-ns");
    assert_string_equal(ps_trace_meta(t, PS_META_SOURCE), "kineto");
    assert_null(ps_trace_meta(t, PS_META_BASE_TIME));
    ps_trace_destroy(t);
}

static void the_base_may_come_last(void **state)
{
    (void)state;
    ps_trace *before =
        kineto_run("{'baseTimeNanoseconds': 1711964646000000000, 'traceEvents': ["
                   "{'ph':'X','cat':'cpu_op','name':'a','pid':1,'tid':2,'ts':5.001,'dur':'2'}]}");
    ps_trace *after =
        kineto_run("{'traceEvents': "
                   "[{'ph':'X','cat':'cpu_op','name':'a','pid':1,'tid':2,'ts':5.001,'dur':'2'}],"
                   "'baseTimeNanoseconds': 1711964646000000000}");
    assert_int_equal(after->range.start_ns[0], 5001);
    assert_int_equal(after->range.dur_ns[0], 2000);
    assert_string_equal(ps_trace_meta(after, PS_META_BASE_TIME), "1711964646000000000");
    assert_same_trace(before, after);
    ps_trace_destroy(before);
    ps_trace_destroy(after);
    kineto_refuse("{'traceEvents': [], 'baseTimeNanoseconds': 'soon'}", PS_BAD_INPUT,
                  "baseTimeNanoseconds");
}

/* ---- categories ---- */

#define SPAN(cat, name, ts) \
    "{'ph':'X','cat':'" cat "','name':'" name "','pid':0,'tid':7,'ts':" ts ",'dur':1}"

static void categories_old_and_new(void **state)
{
    (void)state;
    ps_trace *new_names = kineto_run("[" SPAN("cpu_op", "aten::add", "1") "," SPAN(
        "user_annotation", "ProfilerStep#5",
        "2") "," SPAN("gpu_user_annotation", "ProfilerStep#5",
                      "3") "," SPAN("cuda_runtime", "cudaFree",
                                    "4") "," SPAN("kernel", "k",
                                                  "5") "," SPAN("gpu_memcpy",
                                                                "Memcpy DtoD (Device -> Device)",
                                                                "6") "," SPAN("gpu_memset",
                                                                              "Memset (Device)",
                                                                              "7") "]");
    ps_trace *old_names = kineto_run(
        "[" SPAN("Operator", "aten::add", "1") "," SPAN("Operator", "ProfilerStep#5", "2") "," SPAN(
            "gpu_user_Annotation", "ProfilerStep#5",
            "3") "," SPAN("Runtime", "cudaFree",
                          "4") "," SPAN("Kernel", "k",
                                        "5") "," SPAN("Memcpy", "Memcpy DtoD (Device -> Device)",
                                                      "6") "," SPAN("Memset", "Memset (Device)",
                                                                    "7") "]");
    assert_same_trace(new_names, old_names);
    assert_int_equal(new_names->range.head.count, 3);
    assert_int_equal(new_names->range.category[0], PS_RANGE_OPERATOR);
    assert_int_equal(new_names->range.category[1], PS_RANGE_ANNOTATION);
    assert_int_equal(new_names->range.category[2], PS_RANGE_GPU_ANNOTATION);
    assert_int_equal(new_names->range.pid[2], 0);
    assert_int_equal(new_names->range.tid[2], 7);
    assert_int_equal(new_names->kernel.stream[0], 7);
    ps_trace_destroy(new_names);
    ps_trace_destroy(old_names);
}

static void other_spans(void **state)
{
    (void)state;
    ps_trace *t = kineto_run(
        "[" SPAN("python_function", "a.py(1): f", "1") "," SPAN("overhead", "Lazy", "2") "," SPAN(
            "cuda_profiler_range", "r",
            "3") "," SPAN("cuda_driver", "cuLaunchKernelEx_v12000",
                          "4") "," SPAN("Trace", "PyTorch Profiler (0)",
                                        "5") "," SPAN("something_new", "x",
                                                      "6") ","
                                                           "{'ph':'s','id':1,'pid':0,'tid':7,'ts':"
                                                           "1,'cat':'ac2g','name':'ac2g'},"
                                                           "{'ph':'f','id':1,'pid':0,'tid':7,'ts':"
                                                           "1,'cat':'ac2g','name':'ac2g','bp':'e'},"
                                                           "{'ph':'C','name':'gpu','ts':1,'args':{'"
                                                           "used':5}},"
                                                           "{'ph':'i','name':'Iteration Start: "
                                                           "PyTorch "
                                                           "Profiler','s':'g','pid':'Traces','tid':"
                                                           "'T','ts':1},"
                                                           "{'ph':'i','name':'Record Window "
                                                           "End','s':'g','pid':'','tid':'','ts':9}"
                                                           "]");
    assert_int_equal(t->range.category[0], PS_RANGE_PYTHON);
    assert_int_equal(t->range.category[1], PS_RANGE_OVERHEAD);
    assert_int_equal(t->range.category[2], PS_RANGE_PROFILER);
    assert_int_equal(t->call.api[0], PS_API_DRIVER);
    assert_string_equal(trace_text(t, t->call.name[0]), "cuLaunchKernelEx");
    assert_int_equal(trace_loss(t, "profiler-tracks"), 3);
    assert_int_equal(trace_loss(t, "flow-arrows"), 2);
    assert_int_equal(trace_loss(t, "unknown-categories"), 2);
    assert_int_equal(trace_loss(t, "malformed-events"), 0);
    ps_trace_destroy(t);
}

/* ---- host ---- */

static void operators_keep_their_links_and_shapes(void **state)
{
    (void)state;
    ps_trace *t = kineto_run(
        "[{'ph':'X','cat':'cpu_op','name':'aten::mm','pid':10,'tid':11,'ts':1,'dur':1,'args':"
        "{'External id':42,'Sequence number':0,'Input Dims':[[32, 3], [], [[1], [2]]],"
        "'Input type':['float', '', 'TensorList']}},"
        "{'ph':'X','cat':'Operator','name':'a\\'b\\u00e9\\\\c','pid':10,'tid':'4093687616','ts':2,'"
        "dur':1,"
        "'args':{'external id':'43','Input dims':[[1]]}}]");
    assert_int_equal(t->range.op_id[0], 42);
    assert_int_equal(t->range.sequence[0], 1);
    assert_string_equal(trace_text(t, t->range.shapes[0]),
                        "[[32,3],[],[[1],[2]]];[\"float\",\"\",\"TensorList\"]");
    assert_int_equal(t->range.op_id[1], 43);
    assert_int_equal(t->range.sequence[1], 0);
    assert_string_equal(trace_text(t, t->range.shapes[1]), "[[1]]");
    assert_string_equal(trace_text(t, t->range.name[1]), "a\"b\xc3\xa9\\c");
    assert_true(t->range.tid[1] == 4093687616u);
    ps_trace_destroy(t);
}

static void ids_may_be_text(void **state)
{
    (void)state;
    ps_trace *t = kineto_run(
        "[{'ph':'X','cat':'Kernel','name':'k','pid':'GPU 3','tid':'stream 7','ts':1,'dur':1},"
        "{'ph':'X','cat':'cpu_op','name':'x','pid':5,'tid':'main loop #1','ts':2,'dur':1},"
        "{'ph':'X','cat':'cpu_op','name':'y','pid':5,'tid':'main loop #1','ts':3,'dur':1},"
        "{'ph':'X','cat':'overhead','name':'o','pid':-1,'tid':-7,'ts':4,'dur':1},"
        "{'ph':'M','name':'thread_name','pid':5,'tid':6,'ts':0,'args':{'name':'thread 6 (python) "
        "'}},"
        "{'ph':'M','name':'process_name','pid':5,'tid':0,'ts':0,'args':{'name':'python3'}},"
        "{'ph':'M','name':'thread_sort_index','pid':5,'tid':6,'ts':0,'args':{'sort_index':6}}]");
    assert_int_equal(t->kernel.device[0], 3);
    assert_int_equal(t->kernel.stream[0], 7);
    assert_int_equal(t->range.pid[2], UINT32_MAX);
    assert_true(t->range.tid[2] == (uint64_t)-7);
    assert_int_equal(t->thread.head.count, 3);
    assert_string_equal(trace_text(t, t->thread.name[0]), "main loop #1");
    assert_true(t->thread.tid[0] == t->range.tid[0] && t->range.tid[0] == t->range.tid[1]);
    assert_string_equal(trace_text(t, t->thread.name[1]), "thread 6 (python)");
    assert_int_equal(t->thread.tid[1], 6);
    assert_string_equal(trace_text(t, t->thread.name[2]), "python3");
    assert_true(t->thread.tid[2] == UINT64_MAX);
    ps_trace_destroy(t);
}

static void waits(void **state)
{
    (void)state;
    ps_trace *t = kineto_run(
        "[{'ph':'X','cat':'cuda_sync','name':'Stream Wait "
        "Event','pid':0,'tid':20,'ts':1,'dur':0,'args':"
        "{'cuda_sync_kind':'Stream Wait "
        "Event','wait_on_stream':7,'wait_on_cuda_event_record_corr_id':5596,"
        "'wait_on_cuda_event_id':39,'stream':20,'correlation':5599,'device':1}},"
        "{'ph':'X','cat':'cuda_sync','name':'Context Sync','pid':0,'tid':1,'ts':2,'dur':5,'args':"
        "{'cuda_sync_kind':'Context Sync','stream':4294967295,'correlation':5,'device':0}},"
        "{'ph':'X','cat':'cuda_sync','name':'Stream "
        "Sync','pid':0,'tid':1,'ts':3,'dur':5,'args':{'stream':-1}},"
        "{'ph':'X','cat':'cuda_sync','name':'Event Sync','pid':0,'tid':1,'ts':4,'dur':5}]");
    assert_int_equal(t->sync.kind[0], PS_SYNC_STREAM_WAIT);
    assert_int_equal(t->sync.stream[0], 20);
    assert_int_equal(t->sync.device[0], 1);
    assert_int_equal(t->sync.correlation[0], 5599);
    assert_int_equal(t->sync.event_id[0], 39);
    assert_int_equal(t->sync.record_correlation[0], 5596);
    assert_int_equal(t->sync.record_stream[0], 7);
    assert_int_equal(t->sync.kind[1], PS_SYNC_DEVICE);
    assert_true(t->sync.stream[1] == UINT64_MAX && t->sync.record_stream[1] == UINT64_MAX);
    assert_int_equal(t->sync.kind[2], PS_SYNC_STREAM);
    assert_true(t->sync.stream[2] == UINT64_MAX);
    assert_int_equal(t->sync.kind[3], PS_SYNC_EVENT);
    ps_trace_destroy(t);
}

/* ---- device ---- */

static void kernels(void **state)
{
    (void)state;
    ps_trace *t =
        kineto_run("[{'ph':'X','cat':'kernel','name':'k1','pid':0,'tid':7,'ts':1,'dur':2,'args':{'"
                   "External id':9,"
                   "'device':2,'stream':20,'correlation':8211,'registers per thread':96,'shared "
                   "memory':103808,"
                   "'grid':[11, 1, 1],'block':[512, 1, 1],'graph node id':77}},"
                   "{'ph':'X','cat':'kernel','name':'k2','pid':4,'tid':3,'ts':2,'dur':2,'args':"
                   "{'grid':[ 56, 1,1 ],'block':[256, 1, 1],'correlation':'12'}},"
                   "{'ph':'X','cat':'kernel','name':'k3','pid':4,'tid':3,'ts':3,'dur':2}]");
    assert_int_equal(t->kernel.device[0], 2);
    assert_int_equal(t->kernel.stream[0], 20);
    assert_int_equal(t->kernel.correlation[0], 8211);
    assert_int_equal(t->kernel.op_id[0], 9);
    assert_int_equal(t->kernel.graph_node[0], 77);
    assert_string_equal(trace_text(t, t->kernel.launch[0]), "11,1,1|512,1,1|96|103808");
    assert_int_equal(t->kernel.device[1], 4);
    assert_int_equal(t->kernel.stream[1], 3);
    assert_int_equal(t->kernel.correlation[1], 12);
    assert_string_equal(trace_text(t, t->kernel.launch[1]), "56,1,1|256,1,1||");
    assert_string_equal(trace_text(t, t->kernel.launch[2]), "");
    ps_trace_destroy(t);
}

static void check_copy(const char *name, const char *args, int kind, int src, int dst,
                       uint32_t peer)
{
    char text[400];
    (void)snprintf(
        text, sizeof text,
        "[{'ph':'X','cat':'gpu_memcpy','name':'%s','pid':0,'tid':7,'ts':1,'dur':2,'args':{%s}}]",
        name, args);
    ps_trace *t = kineto_run(text);
    if (t->memcpy.kind[0] != kind || t->memcpy.src[0] != src || t->memcpy.dst[0] != dst ||
        t->memcpy.peer[0] != peer) {
        fail_msg("%s: kind %d, %d -> %d, peer %u", name, t->memcpy.kind[0], t->memcpy.src[0],
                 t->memcpy.dst[0], t->memcpy.peer[0]);
    }
    ps_trace_destroy(t);
}

static void copies(void **state)
{
    (void)state;
    check_copy("Memcpy HtoD (Pinned -> Device)", "'bytes':8", PS_COPY_HTOD, PS_MEMORY_PINNED,
               PS_MEMORY_DEVICE, 0);
    check_copy("Memcpy DtoH (Device -> Pageable)", "", PS_COPY_DTOH, PS_MEMORY_DEVICE,
               PS_MEMORY_PAGEABLE, 0);
    check_copy("Memcpy HtoD (Host -> Device)", "", PS_COPY_HTOD, PS_MEMORY_UNKNOWN,
               PS_MEMORY_DEVICE, 0);
    check_copy("Memcpy HtoH (Managed -> Array)", "", PS_COPY_HTOH, PS_MEMORY_MANAGED,
               PS_MEMORY_ARRAY, 0);
    check_copy("CopyHostToDevice", "", PS_COPY_HTOD, PS_MEMORY_UNKNOWN, PS_MEMORY_DEVICE, 0);
    check_copy("CopyDeviceToDevice", "", PS_COPY_DTOD, PS_MEMORY_DEVICE, PS_MEMORY_DEVICE, 0);
    check_copy("copy", "'kind':'DtoH'", PS_COPY_DTOH, PS_MEMORY_DEVICE, PS_MEMORY_UNKNOWN, 0);
    check_copy("Memcpy PtoP (Device -> Device)",
               "'fromDevice':0,'inDevice':0,'toDevice':3,'device':0", PS_COPY_PTOP,
               PS_MEMORY_DEVICE, PS_MEMORY_DEVICE, 4);
    check_copy("Memcpy PtoP (Device -> Device)", "'fromDevice':2,'toDevice':0,'device':0",
               PS_COPY_PTOP, PS_MEMORY_DEVICE, PS_MEMORY_DEVICE, 3);
    check_copy("what", "", PS_COPY_UNKNOWN, PS_MEMORY_UNKNOWN, PS_MEMORY_UNKNOWN, 0);
    ps_trace *t =
        kineto_run("[{'ph':'X','cat':'gpu_memset','name':'Memset (Device)','pid':0,'tid':7,"
                   "'ts':1,'dur':2,'args':{'bytes':4096,'device':1,'stream':9}}]");
    assert_int_equal(t->memset.bytes[0], 4096);
    assert_int_equal(t->memset.device[0], 1);
    assert_int_equal(t->memset.stream[0], 9);
    ps_trace_destroy(t);
}

static void check_collective(const char *name, const char *args, const char *kind)
{
    char text[600];
    (void)snprintf(
        text, sizeof text,
        "[{'ph':'X','cat':'kernel','name':'%s','pid':0,'tid':7,'ts':1,'dur':2,'args':{%s}}]", name,
        args);
    ps_trace *t = kineto_run(text);
    assert_int_equal(t->kernel.head.count, 1);
    if (kind == NULL) {
        assert_int_equal(t->collective.head.count, 0);
    } else {
        assert_int_equal(t->collective.head.count, 1);
        assert_string_equal(trace_text(t, t->collective.kind[0]), kind);
    }
    ps_trace_destroy(t);
}

static void collectives_by_name(void **state)
{
    (void)state;
    check_collective("ncclKernel_AllReduce_RING_LL_Sum_float(ncclWorkElem)", "", "all-reduce");
    check_collective("ncclDevKernel_AllGather_RING_LL(ncclDevKernelArgsStorage<4096ul>)", "",
                     "all-gather");
    check_collective("ncclDevKernel_ReduceScatter_Sum_bf16_RING_LL(x)", "", "reduce-scatter");
    check_collective("ncclKernel_SendRecv_RING_SIMPLE_Sum_int8_t(x)", "", "send-recv");
    check_collective("ncclKernel_Broadcast_RING_LL_Sum_int8_t(x)", "", "broadcast");
    check_collective("ncclAllReduceRingLLKernel_sum_f32(ncclColl)", "", "all-reduce");
    check_collective("ncclDevKernel_Generic(x)", "", "unknown");
    check_collective("void dpsk::ep::internode::combine<false, 8>(int4*)", "", "all-to-all");
    check_collective("void deep_ep::intranode::dispatch<4>(int)", "", "all-to-all");
    check_collective("void dpsk::ep::internode::notify_dispatch<false>(int)", "", NULL);
    check_collective("void step::reduce_kernel<512>(float)", "", NULL);
    check_collective("ncclDevKernel_Generic(x)", "'Collective name':'_allgather_base'",
                     "all-gather");
    check_collective("custom", "'Collective name':'reduce_scatter_tensor_coalesced'",
                     "reduce-scatter");
    check_collective("custom", "'Collective name':'all_to_allv'", "all-to-all");
    check_collective("custom", "'Collective name':'my_exchange'", "my_exchange");
}

static void collectives_with_arguments(void **state)
{
    (void)state;
    ps_trace *t = kineto_run(
        "[{'ph':'X','cat':'kernel','name':'ncclDevKernel_Generic(x)','pid':2,'tid':4,'ts':1,'dur':"
        "2,"
        "'args':{'device':2,'stream':4,'correlation':8211,'Collective name':'allreduce','In msg "
        "nelems':"
        "8816192,'Out msg nelems':'8816192','Group size':8,'dtype':'BFloat16','Process Group "
        "Name':'0',"
        "'Process Group Ranks':'[0, 1, 2]','Seq':0}},"
        "{'ph':'X','cat':'kernel','name':'ncclKernel_x','pid':2,'tid':4,'ts':2,'dur':2,'args':"
        "{'Collective name':'broadcast','In msg size':20,'Out msg size':21}}]");
    const ps_collective_table *c = &t->collective;
    assert_int_equal(c->start_ns[0], 1000);
    assert_int_equal(c->dur_ns[0], 2000);
    assert_int_equal(c->device[0], 2);
    assert_int_equal(c->stream[0], 4);
    assert_int_equal(c->correlation[0], 8211);
    assert_int_equal(c->elements_in[0], 8816192);
    assert_int_equal(c->elements_out[0], 8816192);
    assert_int_equal(c->group_size[0], 8);
    assert_string_equal(trace_text(t, c->dtype[0]), "BFloat16");
    assert_string_equal(trace_text(t, c->group[0]), "0");
    assert_string_equal(trace_text(t, c->ranks[0]), "[0, 1, 2]");
    assert_int_equal(c->sequence[0], 1);
    assert_int_equal(c->elements_in[1], 20);
    assert_int_equal(c->elements_out[1], 21);
    assert_int_equal(c->sequence[1], 0);
    ps_trace_destroy(t);
}

/* ---- memory ---- */

static void memory_events_new(void **state)
{
    (void)state;
    ps_trace *t = kineto_run(
        "[{'ph':'i','cat':'cpu_instant_event','s':'t','name':'[memory]','pid':1,'tid':2,'ts':9,'"
        "args':"
        "{'Total Reserved':2097152,'Total "
        "Allocated':512,'Bytes':512,'Addr':139939862282240,'Device Id':1,"
        "'Device Type':1,'External id':6}},"
        "{'ph':'i','cat':'cpu_instant_event','s':'t','name':'[memory]','pid':1,'tid':2,'ts':8,'"
        "args':"
        "{'Device Type':1,'Device Id':1,'Addr':139939862282240,'Bytes':-512,'Total Allocated':0,"
        "'Total Reserved':2097152}},"
        "{'ph':'i','cat':'cpu_instant_event','s':'t','name':'[memory]','pid':1,'tid':2,'ts':8,'"
        "args':"
        "{'Device Type':6,'Device Id':0,'Addr':139939862282240,'Bytes':-512,'Total Allocated':0}},"
        "{'ph':'i','cat':'cpu_instant_event','s':'t','name':'[memory]','pid':1,'tid':2,'ts':8,'"
        "args':"
        "{'Device Type':0,'Device Id':-1,'Addr':5,'Bytes':64,'Total Allocated':0,'Total "
        "Reserved':0}},"
        "{'ph':'i','cat':'cpu_instant_event','s':'t','name':'[OutOfMemory]','pid':1,'tid':2,'ts':9,"
        "'args':"
        "{'Device Type':1,'Device Id':0,'Bytes':1073741824,'Total Allocated':7,'Total "
        "Reserved':8}}]");
    const ps_memory_table *m = &t->memory;
    assert_int_equal(m->head.count, 5); /* in file order, whatever their times */
    assert_int_equal(m->time_ns[0], 9000);
    assert_int_equal(m->action[0], PS_ACTION_ALLOC);
    assert_int_equal(m->device_kind[0], PS_DEVICE_CUDA);
    assert_int_equal(m->device[0], 1);
    assert_int_equal(m->bytes[0], 512);
    assert_true(m->addr[0] == 139939862282240u);
    assert_int_equal(m->tid[0], 2);
    assert_int_equal(m->op_id[0], 6);
    assert_int_equal(m->total_allocated[0], 513);
    assert_int_equal(m->total_reserved[0], 2097153);
    assert_int_equal(m->action[1], PS_ACTION_FREE);
    assert_int_equal(m->bytes[1], 512);
    assert_int_equal(m->total_allocated[1], 1);
    assert_int_equal(m->device_kind[2], PS_DEVICE_HIP);
    assert_int_equal(m->total_reserved[2], 0);
    assert_int_equal(m->device_kind[3], PS_DEVICE_HOST);
    assert_int_equal(m->device[3], 0);
    assert_int_equal(m->total_allocated[3], 0);
    assert_int_equal(m->action[4], PS_ACTION_OOM);
    assert_true(m->bytes[4] == (uint64_t)1 << 30);
    assert_string_equal(ps_trace_meta(t, PS_META_MEMORY_SIZES), "block");
    ps_trace_destroy(t);
}

static void memory_events_old(void **state)
{
    (void)state;
    ps_trace *t =
        kineto_run("[{'ph':'i','s':'t','name':'[memory]','pid':1,'tid':'5555','ts':9,'args':"
                   "{'Device Type':1,'Device Id':0,'Bytes':-512}}]");
    assert_int_equal(t->memory.action[0], PS_ACTION_FREE);
    assert_int_equal(t->memory.addr[0], 0);
    assert_int_equal(t->memory.tid[0], 5555);
    assert_int_equal(t->memory.total_allocated[0], 0);
    ps_trace_destroy(t);
}

/* ---- around the events ---- */

static void facts_around_the_events(void **state)
{
    (void)state;
    ps_trace *t = kineto_run(
        "{'schemaVersion': 1, 'deviceProperties': [{'id': 0, 'name': 'A100 \\u0022x\\u0022', "
        "'totalGlobalMem': "
        "42297524224, 'computeMajor': 8, 'computeMinor': 6, 'numSms': 108}, {'id': 1, 'name': ''}],"
        "'distributedInfo': {'backend': 'nccl', 'rank': 3, 'world_size': 8, 'pg_config': "
        "[{'pg_name': '0'}]},"
        "'record_shapes': 1, 'with_stack': true, 'trace_id': '3F', 'rank': 99, 'source': 'me', "
        "'nested': {'a': 1},"
        "'traceEvents': [" SPAN("kernel", "k", "1") "]}");
    assert_string_equal(ps_trace_meta(t, PS_META_RANK), "3"); /* not the foreign member */
    assert_string_equal(ps_trace_meta(t, PS_META_WORLD_SIZE), "8");
    assert_string_equal(ps_trace_meta(t, "collective-backend"), "nccl");
    assert_string_equal(ps_trace_meta(t, "process-groups"), "[{\"pg_name\":\"0\"}]");
    assert_string_equal(ps_trace_meta(t, "schemaVersion"), "1");
    assert_string_equal(ps_trace_meta(t, "record_shapes"), "1");
    assert_string_equal(ps_trace_meta(t, "with_stack"), "true");
    assert_string_equal(ps_trace_meta(t, "trace_id"), "3F");
    assert_string_equal(ps_trace_meta(t, PS_META_SOURCE), "kineto");
    assert_null(ps_trace_meta(t, "nested"));
    assert_null(ps_trace_meta(t, "note"));
    assert_int_equal(t->device.head.count, 2);
    assert_string_equal(trace_text(t, t->device.name[0]), "A100 \"x\"");
    assert_int_equal(t->device.kind[0], PS_DEVICE_CUDA);
    assert_true(t->device.memory_bytes[0] == 42297524224u);
    assert_int_equal(t->device.sm_count[0], 108);
    assert_int_equal(t->device.cc_major[0], 8);
    assert_int_equal(t->device.cc_minor[0], 6);
    assert_int_equal(t->device.device[1], 1);
    ps_trace_destroy(t);
}

static void a_giant_member_is_left_out(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_trace *t = NULL;
    const size_t bytes = (size_t)9 << 20;
    const char *tail = "\",\"traceEvents\":[]}";
    char *text = malloc(bytes);
    assert_non_null(text);
    memset(text, 'x', bytes);
    memcpy(text, "{\"big\":\"", 8);
    memcpy(text + bytes - strlen(tail), tail, strlen(tail));
    assert_ok(&err, kineto_try_bytes(text, bytes, 1 << 16, &t, &err));
    assert_string_equal(ps_trace_meta(t, PS_META_LEFT_OUT), "1");
    ps_trace_destroy(t);
    free(text);
}

static void devices_without_properties(void **state)
{
    (void)state;
    ps_trace *t =
        kineto_run("{'deviceProperties': [], 'hip_runtime_version': 5, 'traceEvents': ["
                   "{'ph':'X','cat':'kernel','name':'k','pid':5,'tid':1,'ts':1,'dur':1},"
                   "{'ph':'X','cat':'kernel','name':'k','pid':2,'tid':1,'ts':1,'dur':1}]}");
    assert_int_equal(t->device.head.count, 2);
    assert_int_equal(t->device.device[0], 2);
    assert_int_equal(t->device.device[1], 5);
    assert_int_equal(t->device.kind[0], PS_DEVICE_HIP);
    ps_trace_destroy(t);
}

static void a_host_only_trace_says_so(void **state)
{
    (void)state;
    ps_trace *t = kineto_run("[" SPAN("cpu_op", "a", "1") "]");
    assert_string_equal(ps_trace_meta(t, "note"), "no device work was recorded");
    assert_int_equal(t->device.head.count, 0);
    ps_trace_destroy(t);
}

/* ---- damage and refusals ---- */

static void damage_is_counted(void **state)
{
    (void)state;
    ps_trace *t = kineto_run("[" SPAN("cpu_op", "a", "1") "," SPAN("cpu_op", "b'c", "2") "," SPAN(
        "cpu_op", "\xff\xfe",
        "3") "," SPAN("cpu_op", "\\ud800",
                      "4") "," SPAN("cpu_op", "e",
                                    "5") ","
                                         "{'ph':'X','cat':'cpu_op','name':'no "
                                         "time','pid':1,'tid':2,'dur':1},"
                                         "{'cat':'cpu_op','name':'no phase','ts':1}]");
    assert_int_equal(t->range.head.count, 4);
    assert_string_equal(trace_text(t, t->range.name[1]), "??");
    assert_string_equal(trace_text(t, t->range.name[2]), "?");
    assert_int_equal(trace_loss(t, "malformed-events"), 3);
    assert_int_equal(trace_loss(t, "invalid-text"), 3);
    ps_trace_destroy(t);
    kineto_refuse("[" SPAN("cpu_op", "a", "1") "," SPAN("cpu_op", "b'c",
                                                        "2") "," SPAN("cpu_op", "d'e", "3") "]",
                  PS_CORRUPT, "2 of 3 events cannot be read, the first one (at byte 69)");
    kineto_refuse("[{'name':'x'},{'name':'y'}]", PS_CORRUPT, "2 of 2");
}

static void bad_values_are_refused(void **state)
{
    (void)state;
    kineto_refuse(
        "[" SPAN("cpu_op", "a", "1") ",{'ph':'X','cat':'cpu_op','name':'b','pid':1,'tid':2,'ts':1,"
                                     "'dur':-5}]",
        PS_BAD_INPUT, "event 2: \"dur\" is -5, must not be negative (at byte 69)");
    kineto_refuse("[" SPAN("kernel", "a", "'soon'") "]", PS_BAD_INPUT,
                  "event 1: \"ts\" is soon, must be");
    kineto_refuse("[" SPAN("kernel", "a", "null") "]", PS_BAD_INPUT, "\"ts\" is null");
    kineto_refuse("[" SPAN("kernel", "a", "[1]") "]", PS_BAD_INPUT, "\"ts\" is [1]");
    kineto_refuse("[" SPAN("kernel", "a", "1e30") "]", PS_BAD_INPUT, "\"ts\" is 1e30");
    kineto_refuse(
        "[{'ph':'X','cat':'cpu_op','name':'b','pid':1,'tid':2,'ts':1,'dur':1,'args':[1]}]",
        PS_BAD_INPUT, "\"args\" is [1], must be an object");
    kineto_refuse("[{'ph':'i','name':'[memory]','ts':1,'args':{'Bytes':'many'}}]", PS_BAD_INPUT,
                  "\"Bytes\" is many, must be a number of bytes");
    kineto_refuse("{'traceEvents': {}}", PS_BAD_INPUT, "\"traceEvents\" is not a list");
    kineto_refuse("{'schemaVersion': 1}", PS_BAD_INPUT, "no \"traceEvents\"");
    kineto_refuse("{'a': 'b\nc', 'traceEvents': []}", PS_BAD_INPUT, "not well-formed JSON");
    kineto_refuse("[" SPAN("kernel", "a", "1") ",{'ph':'X', 'name': 'cu", PS_TRUNCATED,
                  "the file ends inside the list of events (at byte");
}

/* ---- all windows, all failures ---- */

static const char everything[] =
    "{'schemaVersion': 1, 'deviceProperties': [{'id': 0, 'name': 'G'}], 'distributedInfo': "
    "{'rank': 1},"
    "'traceEvents': [\n"
    "{'ph':'X','cat':'cpu_op','name':'aten::mm','pid':10,'tid':11,'ts':1,'dur':1,'args':{'External "
    "id':42,"
    "'Input Dims':[[32, 3]],'Input type':['float']}},\n"
    "{'ph':'X','cat':'kernel','name':'ncclDevKernel_Generic(x)','pid':0,'tid':4,'ts':1,'dur':2,'"
    "args':{'grid':"
    "[1,2,3],'Collective name':'allreduce'}},\n"
    "{'ph':'i','name':'[memory]','pid':1,'tid':'t#1','ts':9,'args':{'Device "
    "Type':1,'Bytes':512,'Addr':77}},\n"
    "{'ph':'X','cat':'cpu_op','name':'\\n\xff','pid':10,'tid':11,'ts':2,'dur':1},\n"
    "{'ph':'X','cat':'cpu_op','name':'a'b','pid':10,'tid':11,'ts':2,'dur':1},\n"
    "{'ph':'X','cat':'gpu_memcpy','name':'Memcpy HtoD (Pinned -> "
    "Device)','pid':0,'tid':7,'ts':3,'dur':1},\n"
    "{'ph':'M','name':'thread_name','pid':10,'tid':11,'ts':0,'args':{'name':'main'}}\n"
    "], 'traceName': 'x', 'baseTimeNanoseconds': 5}";

static void the_window_does_not_matter(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_trace *large = kineto_run(everything);
    assert_int_equal(trace_loss(large, "malformed-events"), 1);
    for (size_t window = 1; window < sizeof everything + 10; window += window < 40 ? 1 : 37) {
        ps_trace *small = NULL;
        assert_ok(&err, kineto_try(everything, window, &small, &err));
        assert_same_trace(small, large);
        ps_trace_destroy(small);
    }
    ps_trace_destroy(large);
}

static void running_out_of_memory_anywhere(void **state)
{
    (void)state;
    ps_code code = PS_NOMEM;
    unsigned long n = 1;
    for (; code != PS_OK; n++) {
        ps_error err = {0};
        ps_trace *trace = NULL;
        ps_memory_fail_nth(n);
        code = kineto_try(everything, 100, &trace, &err);
        ps_memory_fail_nth(0);
        assert_true(code == PS_OK || code == PS_NOMEM);
        assert_true(n < 2000);
        if (code == PS_OK) {
            ps_trace_destroy(trace);
        }
    }
    assert_true(n > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_in_all_three_forms),
        cmocka_unit_test(the_base_may_come_last),
        cmocka_unit_test(categories_old_and_new),
        cmocka_unit_test(other_spans),
        cmocka_unit_test(operators_keep_their_links_and_shapes),
        cmocka_unit_test(ids_may_be_text),
        cmocka_unit_test(waits),
        cmocka_unit_test(kernels),
        cmocka_unit_test(copies),
        cmocka_unit_test(collectives_by_name),
        cmocka_unit_test(collectives_with_arguments),
        cmocka_unit_test(memory_events_new),
        cmocka_unit_test(memory_events_old),
        cmocka_unit_test(facts_around_the_events),
        cmocka_unit_test(a_giant_member_is_left_out),
        cmocka_unit_test(devices_without_properties),
        cmocka_unit_test(a_host_only_trace_says_so),
        cmocka_unit_test(damage_is_counted),
        cmocka_unit_test(bad_values_are_refused),
        cmocka_unit_test(the_window_does_not_matter),
        cmocka_unit_test(running_out_of_memory_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
