#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Answers questions about the CUDA driver and CUPTI by measuring: questions.py CASE [--json FILE].

    context               device memory of a bare context, with cuBLAS, after PyTorch's first work
    context-cupti-device  of a context while CUPTI records into buffers in device memory
    context-cupti-pinned  the same with its buffers in pinned host memory
    alloc-latency         cudaMalloc, cudaFree and the virtual memory calls, by size
    copy                  host link: one way, both ways, pinned, pageable, by size; start-up cost
    clock                 CUPTI's clock against CLOCK_REALTIME: offset, jitter, drift
    memory2               which allocations CUPTI's MEMORY2 records show
    subscribe             CUPTI beside the PyTorch profiler in one process
    exit                  which records arrive when a process ends without a farewell
    launch                host time of a launch, bare and with CUPTI recording

Everything goes through ctypes. A case starts with no context, so each is a process of its own. A
part of a case that the machine refuses becomes a row "refused" with the reason, not an end.
"""
import argparse
import ctypes
import glob
import json
import os
import signal
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time

MIB = 1 << 20
RECORDED_KINDS = (10, 1, 2, 5, 49)  # kernel, memcpy, memset, runtime, memory2
MEMCPY, MEMSET, RUNTIME, KERNEL, MEMORY2 = 1, 2, 5, 10, 49

NOTHING_PTX = b"""
.version 7.0
.target sm_75
.address_size 64
.visible .entry nothing()
{
    ret;
}
"""


class Refused(Exception):
    """The machine said no."""


# Libraries ---------------------------------------------------------------------------------------

def find_library(name):
    """Path of a CUDA library: what the loader finds, PyTorch's wheels, the toolkit."""
    folders = [sysconfig.get_paths()["purelib"] + "/nvidia/*/lib",
               "/usr/local/cuda/lib64", "/usr/local/cuda/extras/CUPTI/lib64"]
    folders = os.environ.get("LD_LIBRARY_PATH", "").split(":") + folders
    for folder in folders:
        found = sorted(glob.glob(f"{folder}/{name}*")) if folder else []
        if found:
            return found[0]
    return name


class Library:
    """A library whose functions return 0 or an error; calls raise Refused with the code."""

    def __init__(self, name):
        # a library that stands in for CUDA is loaded before the program and wins
        self.own = ctypes.CDLL(None)
        try:
            self.library = ctypes.CDLL(find_library(name), mode=ctypes.RTLD_GLOBAL)
        except OSError as error:
            self.library = None
            self.missing = str(error)

    def function(self, name):
        for library in (self.own, self.library):
            try:
                return getattr(library, name)
            except AttributeError:
                continue
        raise Refused(f"{name} is not there")

    def __getattr__(self, name):
        function = self.function(name)

        def call(*arguments):
            code = function(*arguments)
            if code != 0:
                raise Refused(f"{name} returned {code}")
        return call


u64, size_t, pointer = ctypes.c_uint64, ctypes.c_size_t, ctypes.c_void_p


class Properties(ctypes.Structure):
    """CUmemAllocationProp"""
    _fields_ = [("kind", ctypes.c_int), ("handles", ctypes.c_int), ("location", ctypes.c_int),
                ("device", ctypes.c_int), ("meta", pointer), ("flags", ctypes.c_ubyte * 8)]


class Access(ctypes.Structure):
    """CUmemAccessDesc"""
    _fields_ = [("location", ctypes.c_int), ("device", ctypes.c_int), ("flags", ctypes.c_int)]


class MemoryRow(ctypes.Structure):
    _fields_ = [("kind", ctypes.c_uint32), ("operation", ctypes.c_uint32),
                ("memory_kind", ctypes.c_uint32), ("correlation", ctypes.c_uint32),
                ("address", u64), ("bytes", u64), ("time_ns", u64)]


class Machine:
    def __init__(self, probe):
        self.runtime = Library("libcudart.so.13")
        self.driver = Library("libcuda.so.1")
        self.probe_path = probe
        self.probe_library = None

    @property
    def probe(self):
        if not self.probe_library:
            if not self.probe_path or not os.path.exists(self.probe_path):
                raise Refused("the probe is not built")
            os.environ.setdefault("PEAKSTEP_LIBCUPTI", find_library("libcupti.so"))
            self.probe_library = ctypes.CDLL(self.probe_path)
            for name in ("probe_count", "probe_dropped", "probe_memory_rows"):
                getattr(self.probe_library, name).restype = u64
        return self.probe_library

    def record(self, kinds=RECORDED_KINDS, pinned=-1):
        try:
            self.driver.cuInit(0)
        except Refused:
            pass  # CUPTI says what is wrong
        code = self.probe.probe_start((ctypes.c_int * len(kinds))(*kinds), len(kinds), pinned)
        if code != 0:
            raise Refused(f"CUPTI returned {code}")

    def stop(self, kinds=RECORDED_KINDS):
        self.probe.probe_stop((ctypes.c_int * len(kinds))(*kinds), len(kinds))

    def context(self):
        self.runtime.cudaFree(None)

    def used(self):
        free, total = size_t(), size_t()
        self.runtime.cudaMemGetInfo(ctypes.byref(free), ctypes.byref(total))
        return total.value - free.value

    def malloc(self, size):
        address = pointer()
        self.runtime.cudaMalloc(ctypes.byref(address), size_t(size))
        return address

    def pinned(self, size):
        address = pointer()
        self.runtime.cudaHostAlloc(ctypes.byref(address), size_t(size), 0)
        return address

    def stream(self):
        stream = pointer()
        self.runtime.cudaStreamCreateWithFlags(ctypes.byref(stream), 1)
        return stream

    def event(self):
        event = pointer()
        self.runtime.cudaEventCreate(ctypes.byref(event))
        return event

    def nothing(self):
        """A kernel that does nothing, from text the driver compiles."""
        module, function = pointer(), pointer()
        self.driver.cuModuleLoadData(ctypes.byref(module), NOTHING_PTX)
        self.driver.cuModuleGetFunction(ctypes.byref(function), module, b"nothing")
        return function


class Rows(list):
    """Written anew with every row, so that they are there when the process does not come back."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def put(self, metric, value, unit):
        self.append({"metric": metric, "value": value, "unit": unit})
        if self.path:
            with open(self.path, "w", encoding="utf-8") as file:
                json.dump(self, file, indent=1)

    def refuse(self, metric, error):
        self.put(metric, f"refused: {error}", "text")

    def attempt(self, metric, function, *arguments):
        try:
            return function(*arguments)
        except Refused as error:
            self.refuse(metric, error)
            return None


def nvml_used():
    try:
        import pynvml
        pynvml.nvmlInit()
        return int(pynvml.nvmlDeviceGetMemoryInfo(pynvml.nvmlDeviceGetHandleByIndex(0)).used)
    except Exception:
        return None


def microseconds(function, *arguments):
    begin = time.perf_counter_ns()
    function(*arguments)
    return (time.perf_counter_ns() - begin) / 1e3


def size_name(size):
    for unit, name in ((1 << 30, "GiB"), (MIB, "MiB"), (1 << 10, "KiB")):
        if size >= unit:
            return f"{size // unit}{name}"
    return f"{size}B"


# Cases -------------------------------------------------------------------------------------------

def context(machine, rows):
    before = nvml_used()
    machine.context()
    bare, after = machine.used(), nvml_used()
    rows.put("used_bare_context", bare, "bytes")
    if before is not None:
        rows.put("nvml_used_before", before, "bytes")
        rows.put("nvml_context_size", after - before, "bytes")
    blas, handle = Library("libcublas.so.13"), pointer()
    if rows.attempt("cublas_handle", blas.cublasCreate_v2, ctypes.byref(handle)) is None:
        rows.put("cublas_handle_adds", machine.used() - bare, "bytes")
    import torch
    torch.cuda.init()
    outside = machine.used() - torch.cuda.memory_reserved()
    rows.put("used_outside_torch_after_import", outside, "bytes")
    for dtype in (torch.float32, torch.bfloat16):
        matrix = torch.ones(512, 512, device="cuda", dtype=dtype)
        (matrix @ matrix).sum()
        torch.cuda.synchronize()
    rows.put("used_outside_torch_after_matmul", machine.used() - torch.cuda.memory_reserved(),
             "bytes")
    torch.backends.cuda.enable_cudnn_sdp(False)
    query = torch.ones(2, 8, 256, 64, device="cuda", dtype=torch.bfloat16, requires_grad=True)
    torch.nn.functional.scaled_dot_product_attention(query, query, query).sum().backward()
    torch.cuda.synchronize()
    rows.put("used_outside_torch_after_attention", machine.used() - torch.cuda.memory_reserved(),
             "bytes")


def context_cupti(machine, rows, pinned):
    machine.record(pinned=pinned)
    machine.context()
    rows.put("used_context_recording", machine.used(), "bytes")
    rows.put("cupti_version", machine.probe.probe_version(), "number")
    address = machine.malloc(MIB)
    before_work = machine.used()
    for _ in range(1000):
        machine.runtime.cudaMemsetAsync(address, 0, size_t(MIB), None)
    machine.runtime.cudaDeviceSynchronize()
    rows.put("used_after_1000_memsets", machine.used(), "bytes")
    rows.put("recording_adds", machine.used() - before_work, "bytes")
    machine.probe.probe_flush(1)
    rows.put("memset_records", machine.probe.probe_count(MEMSET), "count")


def timed_malloc(machine, size, rounds):
    taken, given = [], []
    for _ in range(rounds):
        address = pointer()
        taken.append(microseconds(machine.runtime.cudaMalloc, ctypes.byref(address),
                                  size_t(size)))
        given.append(microseconds(machine.runtime.cudaFree, address))
    return {"cudaMalloc": taken, "cudaFree": given}


def timed_mapping(machine, size, rounds):
    """The calls of expandable segments, one after the other."""
    where = Properties(kind=1, location=1, device=0)
    access = Access(location=1, device=0, flags=3)
    times = {}

    def timed(name, *arguments):
        spent = microseconds(getattr(machine.driver, name), *arguments)
        times.setdefault(name, []).append(spent)

    for _ in range(rounds):
        address, handle = u64(), u64()
        timed("cuMemAddressReserve", ctypes.byref(address), size_t(size), size_t(0), u64(0), u64(0))
        timed("cuMemCreate", ctypes.byref(handle), size_t(size), ctypes.byref(where), u64(0))
        timed("cuMemMap", address, size_t(size), size_t(0), handle, u64(0))
        timed("cuMemSetAccess", address, size_t(size), ctypes.byref(access), size_t(1))
        timed("cuMemUnmap", address, size_t(size))
        timed("cuMemRelease", handle)
        timed("cuMemAddressFree", address, size_t(size))
    return times


def alloc_latency(machine, rows):
    machine.context()
    for size in (2 * MIB, 20 * MIB, 64 * MIB, 256 * MIB, 1024 * MIB, 4096 * MIB):
        for timed in (timed_malloc, timed_mapping):
            times = rows.attempt(f"{timed.__name__}_{size_name(size)}", timed, machine, size, 12)
            for name, values in (times or {}).items():
                # the first two make page tables that stay
                rows.put(f"{name}_{size_name(size)}", statistics.median(values[2:]), "us")
                if size == 2 * MIB:
                    rows.put(f"{name}_{size_name(size)}_first", values[0], "us")


def copy_ms(machine, jobs, size, count):
    """Milliseconds of one of `count` copies on each of the jobs: (target, source, kind, stream).

    A large copy before them gives the host time to queue them all."""
    for target, source, kind, stream in jobs:
        machine.runtime.cudaMemcpyAsync(target, source, size_t(256 * MIB), kind, stream)
    begin = [machine.event() for _ in jobs]
    end = [machine.event() for _ in jobs]
    for event, job in zip(begin, jobs):
        machine.runtime.cudaEventRecord(event, job[3])
    for _ in range(count):
        for target, source, kind, stream in jobs:
            machine.runtime.cudaMemcpyAsync(target, source, size_t(size), kind, stream)
    for event, job in zip(end, jobs):
        machine.runtime.cudaEventRecord(event, job[3])
    machine.runtime.cudaDeviceSynchronize()
    longest = 0.0
    for first, last in zip(begin, end):
        elapsed = ctypes.c_float()
        machine.runtime.cudaEventElapsedTime(ctypes.byref(elapsed), first, last)
        longest = max(longest, elapsed.value / count)
    return longest


def copy(machine, rows):
    machine.context()
    to_device, to_host, on_device = 1, 2, 3
    largest = 1024 * MIB
    device, device2 = machine.malloc(largest), machine.malloc(largest)
    pinned, pinned2 = machine.pinned(largest), machine.pinned(largest)
    pageable = ctypes.create_string_buffer(256 * MIB)
    streams = machine.stream(), machine.stream()
    h2d = (device, pinned, to_device, streams[0])
    d2h = (pinned2, device2, to_host, streams[1])
    copy_ms(machine, [h2d, d2h], 64 * MIB, 2)
    small = {"h2d": [], "d2h": []}
    for size in (4, 4 << 10, 64 << 10, 256 << 10, MIB, 16 * MIB, 256 * MIB, largest):
        count = max(2, min(200, 256 * MIB // size))
        for name, job in (("h2d", h2d), ("d2h", d2h)):
            spent = statistics.median(copy_ms(machine, [job], size, count) for _ in range(3))
            rows.put(f"{name}_pinned_{size_name(size)}", spent * 1e3, "us")
            put_bandwidth(rows, f"{name}_pinned_{size_name(size)}_rate", size, spent)
            if size <= MIB:
                small[name].append((size, spent * 1e3))
    for name, points in small.items():
        rows.put(f"{name}_startup", max(intercept(points), 0.0), "us")
    for size in (16 * MIB, 256 * MIB, largest):
        spent = copy_ms(machine, [h2d, d2h], size, 4)
        put_bandwidth(rows, f"both_ways_{size_name(size)}_rate_each", size, spent)
    spent = copy_ms(machine, [(device, device2, on_device, streams[0])], largest, 10)
    put_bandwidth(rows, "on_device_1GiB_rate", largest, spent)
    for size in (MIB, 16 * MIB, 256 * MIB):
        for name, job in (("h2d", (device, pageable, to_device)),
                          ("d2h", (pageable, device, to_host))):
            times = [microseconds(machine.runtime.cudaMemcpy, job[0], job[1], size_t(size), job[2])
                     for _ in range(4)]
            put_bandwidth(rows, f"{name}_pageable_{size_name(size)}_rate", size,
                          statistics.median(times[1:]) / 1e3)
    one = [microseconds(machine.runtime.cudaMemcpy, device, pinned, size_t(4), to_device)
           for _ in range(200)]
    rows.put("blocking_copy_4B_host_time", statistics.median(one[20:]), "us")


def put_bandwidth(rows, metric, size, spent_ms):
    if spent_ms > 0:
        rows.put(metric, size / spent_ms / 1e6, "GB/s")


def intercept(points):
    mean_x = statistics.mean(x for x, _ in points)
    mean_y = statistics.mean(y for _, y in points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    return mean_y - slope * mean_x


def clock(machine, rows, seconds=8.0):
    probe = machine.probe
    if probe.probe_load() != 0:
        raise Refused("libcupti is not there")
    machine.record(kinds=(MEMSET,))
    machine.context()
    readings, offsets, widths, moments = (u64 * 3)(), [], [], []
    begin = time.monotonic()
    while time.monotonic() - begin < seconds:
        code = probe.probe_clocks(readings)
        if code != 0:
            raise Refused(f"cuptiGetTimestamp returned {code}")
        before, between, after = readings
        # whole numbers: as floating point they would be good to a quarter of a microsecond
        offsets.append(between - (before + after) // 2)
        widths.append(after - before)
        moments.append(before)
        time.sleep(0.002)
    rows.put("offset_median", statistics.median(offsets), "ns")
    rows.put("offset_highest", max(offsets), "ns")
    rows.put("offset_lowest", min(offsets), "ns")
    rows.put("bracket_median", statistics.median(widths), "ns")
    tenth = max(len(offsets) // 10, 1)
    seconds = (moments[-1] - moments[0]) / 1e9 or 1.0
    drift = statistics.median(offsets[-tenth:]) - statistics.median(offsets[:tenth])
    rows.put("drift", drift / seconds, "ns/s")
    rows.put("samples", len(offsets), "count")


def memory2(machine, rows):
    """Every way has a size of its own, by which its records are found."""
    machine.record(kinds=(MEMORY2, RUNTIME))
    machine.context()
    granule = 2 * MIB
    sizes = {"cudaMalloc": 3 * granule, "cudaHostAlloc": 5 * granule, "cudaHostRegister":
             7 * granule, "cudaMallocAsync": 9 * granule, "cuMemCreate_cuMemMap": 11 * granule}
    hold = ctypes.create_string_buffer(sizes["cudaHostRegister"] + 4096)
    aligned = pointer((ctypes.addressof(hold) + 4095) & ~4095)

    def do_malloc(size):
        machine.runtime.cudaFree(machine.malloc(size))

    def do_host_alloc(size):
        machine.runtime.cudaFreeHost(machine.pinned(size))

    def do_register(size):
        machine.runtime.cudaHostRegister(aligned, size_t(size), 0)
        machine.runtime.cudaHostUnregister(aligned)

    def do_async(size):
        address = pointer()
        machine.runtime.cudaMallocAsync(ctypes.byref(address), size_t(size), None)
        machine.runtime.cudaFreeAsync(address, None)

    def do_map(size):
        timed_mapping(machine, size, 1)

    ways = (do_malloc, do_host_alloc, do_register, do_async, do_map)
    for (name, size), way in zip(sizes.items(), ways):
        rows.attempt(name, way, size)
    machine.runtime.cudaDeviceSynchronize()
    machine.probe.probe_flush(1)
    found = (MemoryRow * 4096)()
    count = machine.probe.probe_memory_rows(found, u64(4096))
    seen = [found[i] for i in range(min(count, 4096))]
    rows.put("records", count, "count")
    for name, size in sizes.items():
        mine = [row for row in seen if row.bytes == size]
        rows.put(f"{name}_allocations_seen", sum(r.operation == 1 for r in mine), "count")
        rows.put(f"{name}_releases_seen", sum(r.operation == 2 for r in mine), "count")
        if mine:
            rows.put(f"{name}_memory_kind", mine[0].memory_kind, "number")


def subscribe(machine, rows):
    """First our recording with the profiler on top of it, then the profiler with us on top."""
    rows.put("subscribe_first", machine.probe.probe_subscribe(), "result")
    machine.record()
    import torch
    ones = torch.ones(64, device="cuda")

    def work():
        for _ in range(200):
            ones.add_(1)
        torch.cuda.synchronize()

    def delivered():
        machine.probe.probe_flush(1)
        return machine.probe.probe_count(KERNEL)

    def profiled():
        activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
        with torch.profiler.profile(activities=activities) as profiler:
            work()
        on_device = torch.autograd.DeviceType.CUDA
        return sum(event.device_type == on_device for event in profiler.events())

    work()
    ours = delivered()
    rows.put("our_kernels_of_200", ours, "count")
    rows.put("profiler_kernels_of_200_beside_us", profiled(), "count")
    rows.put("our_kernels_of_200_during_profiler", delivered() - ours, "count")
    ours = delivered()
    work()
    rows.put("our_kernels_of_200_after_profiler", delivered() - ours, "count")
    rows.put("unsubscribe", machine.probe.probe_unsubscribe(), "result")
    machine.stop()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]):
        work()
        rows.put("subscribe_during_profiler", machine.probe.probe_subscribe(), "result")


def exit_case(machine, rows):
    for ending in ("normal", "unsynchronised", "os._exit", "sigterm"):
        path = os.path.join(tempfile.gettempdir(), f"peakstep-probe-{os.getpid()}.json")
        machine.probe.probe_load()
        environment = dict(os.environ, CUDA_INJECTION64_PATH=os.path.abspath(machine.probe_path),
                           PEAKSTEP_PROBE_REPORT=path)
        done = subprocess.run([sys.executable, __file__, "ending", "--ending", ending],
                              env=environment, capture_output=True, timeout=60, text=True)
        name = "of_1000_memsets_" + ending
        try:
            with open(path, encoding="utf-8") as file:
                rows.put(name, json.load(file)["memset"], "count")
            os.unlink(path)
        except (OSError, ValueError):
            rows.put(name, f"no report, exit status {done.returncode}", "text")


def end_somehow(machine, ending):
    address = machine.malloc(MIB)
    for _ in range(1000):
        machine.runtime.cudaMemsetAsync(address, 0, size_t(MIB), None)
    if ending == "unsynchronised":
        return
    machine.runtime.cudaDeviceSynchronize()
    if ending == "os._exit":
        os._exit(0)
    if ending == "sigterm":
        os.kill(os.getpid(), signal.SIGTERM)


def launch(machine, rows):
    """Two processes of each kind, alternating; the figure is the median of their medians."""
    results = {}
    for _ in range(2):
        for mode in ("bare", "recording"):
            done = subprocess.run(
                [sys.executable, __file__, "launch-once", "--ending", mode, "--probe",
                 machine.probe_path or ""], capture_output=True, text=True, timeout=120)
            if done.returncode != 0:
                raise Refused((done.stderr.strip().split("\n") or ["failed"])[-1])
            for name, value in json.loads(done.stdout).items():
                results.setdefault((name, mode), []).append(value)
    for (name, mode), values in results.items():
        rows.put(f"{name}_{mode}", statistics.median(values), "us")
        if mode == "recording" and (name, "bare") in results:
            bare = statistics.median(results[name, "bare"])
            rows.put(f"{name}_recording_adds", statistics.median(values) - bare, "us")


def launch_once(machine, mode):
    if mode == "recording":
        machine.record(kinds=(KERNEL, MEMCPY, MEMSET, RUNTIME, 4))
    machine.context()
    figures = {}
    address = machine.malloc(MIB)
    memset = machine.runtime.function("cudaMemsetAsync")
    size = size_t(4)
    figures["memset_call"] = repeated(machine, lambda: memset(address, 0, size, None))
    try:
        nothing = machine.nothing()
        start = machine.driver.function("cuLaunchKernel")
        one, zero = ctypes.c_uint(1), ctypes.c_uint(0)
        figures["kernel_launch"] = repeated(
            machine, lambda: start(nothing, one, one, one, one, one, one, zero, None, None, None))
    except Refused:
        machine.runtime.function("cudaGetLastError")()  # not PyTorch's concern
    import torch
    ones = torch.ones(64, device="cuda")
    figures["torch_add"] = repeated(machine, lambda: ones.add_(1))
    print(json.dumps(figures))


def repeated(machine, function, rounds=20, count=500):
    """Host microseconds a call; the queue is drained between rounds so that it never fills."""
    times = []
    for _ in range(rounds):
        begin = time.perf_counter_ns()
        for _ in range(count):
            function()
        times.append((time.perf_counter_ns() - begin) / count / 1e3)
        machine.runtime.cudaDeviceSynchronize()
    return statistics.median(times[2:])


CASES = {
    "context": context,
    "context-cupti-device": lambda machine, rows: context_cupti(machine, rows, 0),
    "context-cupti-pinned": lambda machine, rows: context_cupti(machine, rows, 1),
    "alloc-latency": alloc_latency,
    "copy": copy,
    "clock": clock,
    "memory2": memory2,
    "subscribe": subscribe,
    "exit": exit_case,
    "launch": launch,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("case", choices=[*CASES, "ending", "launch-once"])
    parser.add_argument("--probe", default=os.environ.get("PEAKSTEP_PROBE", ""),
                        help="libcupti_probe.so, made of cupti_probe.c")
    parser.add_argument("--json", help="where the rows go; standard output without it")
    parser.add_argument("--ending", default="normal", help=argparse.SUPPRESS)
    args = parser.parse_args()
    machine, rows, status = Machine(args.probe), Rows(args.json), 0
    try:
        if args.case == "ending":
            end_somehow(machine, args.ending)
            return 0
        if args.case == "launch-once":
            launch_once(machine, args.ending)
            return 0
        CASES[args.case](machine, rows)
    except Exception as error:
        if args.case in ("ending", "launch-once"):
            print(error, file=sys.stderr)
            return 1
        rows.refuse("rest", str(error).split("\n")[0][:200])
        status = 1
    if not args.json:
        print(json.dumps(rows, indent=1))
    return status


if __name__ == "__main__":
    sys.exit(main())
