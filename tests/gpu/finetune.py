#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A fine-tuning job as people write it, with random weights, that measures itself.

The model has the shape of a well-known one and weights nobody trained; nothing is fetched. The
loop is a plain one: batch to the device, forward, backward, optimizer step. What it knows about
itself goes into one JSON document: step times by CUDA events, PyTorch's own peak counters, and
what the driver says is in use.

Measuring never waits for the device inside the measured steps: events are recorded and read at the
end, the host clock is read beside them. What waits is the job, by reading its loss, as people do.
"""
import argparse
import gzip
import json
import os
import pickle
import random
import signal
import statistics
import sys
import time
import traceback

GPT2, LLAMA, QWEN = "gpt2", "llama", "qwen2"

# name: family, layers, width, heads, key/value heads, feed-forward width, vocabulary, tied
SHAPES = {
    "gpt2-tiny": (GPT2, 2, 64, 4, 4, 256, 512, True),
    "gpt2-100m": (GPT2, 12, 768, 12, 12, 3072, 50257, True),
    "gpt2-350m": (GPT2, 24, 1024, 16, 16, 4096, 50257, True),
    "gpt2-800m": (GPT2, 36, 1280, 20, 20, 5120, 50257, True),
    "llama-tiny": (LLAMA, 2, 64, 4, 2, 128, 512, False),
    "llama-1b": (LLAMA, 16, 2048, 32, 8, 8192, 128256, True),
    "llama-3b": (LLAMA, 28, 3072, 24, 8, 8192, 128256, True),
    "qwen-tiny": (QWEN, 2, 64, 4, 2, 128, 512, True),
    "qwen-0.5b": (QWEN, 24, 896, 14, 2, 4864, 151936, True),
    "qwen-1.5b": (QWEN, 28, 1536, 12, 2, 8960, 151936, True),
    "qwen-3b": (QWEN, 36, 2048, 16, 2, 11008, 151936, True),
}
METHODS = ("full", "lora", "checkpoint", "accumulate", "cpu-offload-optimizer")
MICRO_BATCHES = 4  # of "accumulate"

STATS = (
    "allocated_bytes.all.current", "allocated_bytes.all.peak", "reserved_bytes.all.current",
    "reserved_bytes.all.peak", "requested_bytes.all.peak", "active_bytes.all.peak",
    "inactive_split_bytes.all.peak", "allocation.all.allocated", "allocation.all.freed",
    "segment.all.current", "segment.all.peak", "num_alloc_retries", "num_ooms",
    "num_device_alloc", "num_device_free", "num_sync_all_streams")


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", choices=sorted(SHAPES), default="gpt2-tiny")
    parser.add_argument("--method", choices=METHODS, default="full")
    parser.add_argument("--batch", type=int, default=2, help="samples a micro-batch")
    parser.add_argument("--seq", type=int, default=64, help="tokens a sample")
    parser.add_argument("--dtype", choices=("bf16", "fp32", "amp"), default="bf16")
    parser.add_argument("--steps", type=int, default=5, help="measured steps")
    parser.add_argument("--warmup", type=int, default=3, help="steps before them")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--json", help="where the measurements go; standard output without it")
    parser.add_argument("--snapshot", help="memory snapshot of the whole job; .gz compresses")
    parser.add_argument("--profiler", help="PyTorch profiler trace of the last steps; .gz")
    parser.add_argument("--profile-steps", type=int, default=2, help="how many steps it holds")
    parser.add_argument("--attention", choices=("sdpa", "flash", "eager"), default="sdpa",
                        help="flash: sdpa without the kernels of cuDNN")
    parser.add_argument("--log-every", type=int, default=1,
                        help="read the loss at every such step, which waits for it; 0 never")
    parser.add_argument("--step-peaks", action="store_true",
                        help="reset the peak counters at every step (implied by --profiler)")
    return parser.parse_args(argv)


# What the driver says, beside PyTorch ------------------------------------------------------------

class Nvml:
    """Bytes in use on the device, whoever uses them; None where NVML is not there."""

    def __init__(self, wanted):
        self.library = self.handle = None
        if not wanted:
            return
        try:
            import pynvml
            pynvml.nvmlInit()
            first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
            if first.isdigit():
                self.handle = pynvml.nvmlDeviceGetHandleByIndex(int(first))
            else:
                self.handle = pynvml.nvmlDeviceGetHandleByUUID(first)
            self.library = pynvml
        except Exception:
            self.handle = None

    def used(self):
        if self.handle is None:
            return None
        try:
            return int(self.library.nvmlDeviceGetMemoryInfo(self.handle).used)
        except Exception:
            return None

    def driver(self):
        if self.handle is None:
            return None
        version = self.library.nvmlSystemGetDriverVersion()
        return version.decode() if isinstance(version, bytes) else version


# The job -----------------------------------------------------------------------------------------

def make_config(name, seq):
    import transformers
    family, layers, width, heads, kv_heads, inner, vocabulary, tied = SHAPES[name]
    if family == GPT2:
        return transformers.GPT2Config(
            n_layer=layers, n_embd=width, n_head=heads, n_inner=inner, vocab_size=vocabulary,
            n_positions=max(seq, 1024), use_cache=False, bos_token_id=0, eos_token_id=0)
    kind = transformers.LlamaConfig if family == LLAMA else transformers.Qwen2Config
    return kind(
        num_hidden_layers=layers, hidden_size=width, num_attention_heads=heads,
        num_key_value_heads=kv_heads, intermediate_size=inner, vocab_size=vocabulary,
        max_position_embeddings=max(seq, 4096), tie_word_embeddings=tied, use_cache=False,
        bos_token_id=0, eos_token_id=0)


def make_model(args):
    import torch
    import transformers
    dtype = torch.bfloat16 if args.dtype == "bf16" else torch.float32
    with torch.device(args.device):
        model = transformers.AutoModelForCausalLM.from_config(
            make_config(args.model, args.seq), dtype=dtype,
            attn_implementation="eager" if args.attention == "eager" else "sdpa")
    if args.attention == "flash":
        torch.backends.cuda.enable_cudnn_sdp(False)
    if args.method == "lora":
        import peft
        model = peft.get_peft_model(model, peft.LoraConfig(
            r=16, lora_alpha=32, lora_dropout=0.05, target_modules="all-linear",
            task_type="CAUSAL_LM"))
    if args.method == "checkpoint":
        model.gradient_checkpointing_enable(
            gradient_checkpointing_kwargs={"use_reentrant": False})
    model.train()
    return model


class OffloadedAdamW:
    """AdamW whose weights in fp32 and moments live in host memory."""

    def __init__(self, parameters, lr):
        import torch
        self.torch = torch
        self.parameters = list(parameters)
        pinned = self.parameters[0].is_cuda
        self.grads = [torch.empty(p.shape, dtype=p.dtype, pin_memory=pinned)
                      for p in self.parameters]
        self.results = [torch.empty(p.shape, dtype=p.dtype, pin_memory=pinned)
                        for p in self.parameters]
        self.masters = [p.detach().to("cpu", torch.float32) for p in self.parameters]
        for master in self.masters:
            master.grad = torch.zeros_like(master)
        self.adam = torch.optim.AdamW(self.masters, lr=lr, fused=True)

    def step(self):
        with self.torch.no_grad():
            for parameter, grad in zip(self.parameters, self.grads):
                grad.copy_(parameter.grad, non_blocking=True)
            if self.parameters[0].is_cuda:
                self.torch.cuda.current_stream().synchronize()
            for master, grad in zip(self.masters, self.grads):
                master.grad.copy_(grad)
            self.adam.step()
            for parameter, result, master in zip(self.parameters, self.results, self.masters):
                result.copy_(master)
                parameter.copy_(result, non_blocking=True)

    def zero_grad(self):
        for parameter in self.parameters:
            parameter.grad = None


def make_optimizer(args, model):
    import torch
    trained = [p for p in model.parameters() if p.requires_grad]
    if args.method == "cpu-offload-optimizer":
        return OffloadedAdamW(trained, lr=1e-4)
    return torch.optim.AdamW(trained, lr=1e-4)


def make_batches(args):
    """Random tokens, the same for every run of a seed, behind a plain DataLoader."""
    import torch
    micro_batches = MICRO_BATCHES if args.method == "accumulate" else 1
    generator = torch.Generator().manual_seed(args.seed)
    samples = torch.randint(0, SHAPES[args.model][6], (8 * args.batch, args.seq),
                            generator=generator)
    loader = torch.utils.data.DataLoader(samples, batch_size=args.batch,
                                         pin_memory=args.device == "cuda")

    def endless():
        while True:
            yield from loader
    return endless(), micro_batches


def train_step(args, model, optimizer, batches, micro_batches):
    import torch
    for _ in range(micro_batches):
        tokens = next(batches).to(args.device, non_blocking=True)
        if args.dtype == "amp":
            with torch.autocast(args.device, dtype=torch.bfloat16):
                loss = model(input_ids=tokens, labels=tokens).loss
        else:
            loss = model(input_ids=tokens, labels=tokens).loss
        (loss / micro_batches).backward()
    optimizer.step()
    optimizer.zero_grad()
    return loss


# Measuring it ------------------------------------------------------------------------------------

class Meter:
    """Marks at the edges of steps; on a GPU events of the stream, else the host clock."""

    def __init__(self, args):
        self.cuda = args.device == "cuda"
        self.step_peaks = args.step_peaks or bool(args.profiler)
        self.starts, self.ends, self.host_ns, self.memory = [], [], [], []
        self.highest = {}

    def mark(self):
        if not self.cuda:
            return time.perf_counter_ns()
        import torch
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def begin(self):
        self.host_ns.append(time.time_ns())
        self.starts.append(self.mark())

    def end(self):
        self.ends.append(self.mark())
        if self.cuda:
            self.read_memory()

    def read_memory(self):
        import torch
        stats = torch.cuda.memory_stats_as_nested_dict()
        row = {"allocated_bytes": stats["allocated_bytes"]["all"]["current"]}
        for what in ("allocated", "reserved", "requested"):
            peak = stats[what + "_bytes"]["all"]["peak"]
            row["peak_" + what + "_bytes"] = peak
            self.highest[what] = max(self.highest.get(what, 0), peak)
        self.memory.append(row)
        if self.step_peaks:
            torch.cuda.reset_peak_memory_stats()

    def between(self, begin, end):
        return begin.elapsed_time(end) if self.cuda else (end - begin) / 1e6

    def rows(self):
        """Start to start; the last one start to end, since what follows is no step."""
        rows = []
        for index, start in enumerate(self.starts):
            last = index + 1 == len(self.starts)
            end = self.ends[index] if last else self.starts[index + 1]
            row = {"index": index, "ms": self.between(start, end), "start_ns": self.host_ns[index]}
            if self.cuda:
                row.update(self.memory[index])
            rows.append(row)
        return rows


def quartiles(values):
    if len(values) < 2:
        return [values[0]] * 3 if values else [None] * 3
    return statistics.quantiles(values, n=4, method="inclusive")


def make_profiler(args):
    import torch
    count = min(args.profile_steps, args.steps)
    wait = max(args.warmup + args.steps - count - 1, 0)
    activities = [torch.profiler.ProfilerActivity.CPU]
    if args.device == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    return count, torch.profiler.profile(
        activities=activities, profile_memory=True,
        schedule=torch.profiler.schedule(wait=wait, warmup=1, active=count, repeat=1))


def write_snapshot(path):
    import torch
    snapshot = torch.cuda.memory._snapshot()
    if path.endswith(".gz"):
        with gzip.open(path, "wb", compresslevel=6) as file:
            pickle.dump(snapshot, file, protocol=4)
    else:
        with open(path, "wb") as file:
            pickle.dump(snapshot, file, protocol=4)


def run_steps(args, job, meter, nvml, device_used):
    """Returns the profiled steps (or None) and the mean host time of the measured steps."""
    profiler, profiled = None, None
    if args.profiler:
        profiled, profiler = make_profiler(args)
        profiler.start()
    host_begin, losses = 0, []
    for index in range(args.warmup + args.steps):
        if index == args.warmup:
            synchronize(args)
            device_used.append(nvml.used())
            host_begin = time.perf_counter_ns()
        meter.begin()
        loss = train_step(args, *job)
        if args.log_every and (index + 1) % args.log_every == 0:
            losses.append(loss.item())
        meter.end()
        if profiler:
            profiler.step()
    synchronize(args)
    host_ms = (time.perf_counter_ns() - host_begin) / 1e6 / args.steps
    device_used.append(nvml.used())
    if profiler:
        profiler.stop()
        profiler.export_chrome_trace(args.profiler)
    return profiled, host_ms


def synchronize(args):
    if args.device == "cuda":
        import torch
        torch.cuda.synchronize()


def measure(args, report):
    import torch
    begun = time.perf_counter()
    nvml = Nvml(args.device == "cuda")
    report["nvml_used_before_context_bytes"] = nvml.used()
    report["driver"] = nvml.driver()
    torch.manual_seed(args.seed)
    random.seed(args.seed)
    if args.device == "cuda":
        torch.cuda.init()
        torch.cuda.current_stream().synchronize()
        report["nvml_used_after_context_bytes"] = nvml.used()
        report["device"] = torch.cuda.get_device_name()
        if args.snapshot:
            torch.cuda.memory._record_memory_history(
                enabled="all", context=None, stacks="python", max_entries=5_000_000)
    else:
        report["device"] = "cpu"
    model = make_model(args)
    job = (model, make_optimizer(args, model), *make_batches(args))
    report["parameters"] = sum(p.numel() for p in model.parameters())
    report["trained_parameters"] = sum(
        p.numel() for p in model.parameters() if p.requires_grad)
    synchronize(args)
    report["setup_seconds"] = time.perf_counter() - begun
    meter, device_used = Meter(args), []
    profiled, host_ms = run_steps(args, job, meter, nvml, device_used)
    if args.device == "cuda":
        finish_memory(report, meter, nvml, [b for b in device_used if b is not None])
        if args.snapshot:
            write_snapshot(args.snapshot)
    finish_times(args, report, meter.rows(), profiled, host_ms)
    report["job_seconds"] = time.perf_counter() - begun


def finish_memory(report, meter, nvml, device_used):
    import torch
    stats = torch.cuda.memory_stats()
    report["memory_stats"] = {key: stats.get(key) for key in STATS}
    for what in ("allocated", "reserved", "requested"):
        peak = max(meter.highest.get(what, 0), stats[what + "_bytes.all.peak"])
        report["peak_" + what + "_bytes"] = peak
    free, total = torch.cuda.mem_get_info()
    report["device_used_at_end_bytes"] = total - free
    report["device_total_bytes"] = total
    report["reserved_at_end_bytes"] = stats["reserved_bytes.all.current"]
    # segments rarely go back to the driver, so that the highest of few readings is the peak
    report["nvml_used_highest_bytes"] = max(device_used, default=None)


def finish_times(args, report, rows, profiled, host_ms):
    measured = [row["ms"] for row in rows[args.warmup:]]
    low, middle, high = quartiles(measured)
    report.update(steps=rows, warmup=args.warmup, step_ms=middle, step_ms_lower_quartile=low,
                  step_ms_upper_quartile=high, host_step_ms=host_ms, profiled_steps=profiled)
    if profiled:
        last = rows[-profiled:]
        report["profiled_step_ms"] = statistics.median(row["ms"] for row in last)
        if args.device == "cuda":
            for what in ("allocated", "reserved", "requested"):
                key = "peak_" + what + "_bytes"
                report["profiled_" + key] = max(row[key] for row in last)


def allocator_conf():
    for name in ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"):
        if name in os.environ:
            return os.environ[name]
    return ""


def main(argv=None):
    args = parse(argv)
    import torch
    import transformers
    report = {"schema": "peakstep.finetune/1", "arguments": vars(args), "error": None,
              "allocator_conf": allocator_conf(), "torch": torch.__version__,
              "transformers": transformers.__version__, "python": sys.version.split()[0],
              "cuda": torch.version.cuda}
    status = 0
    try:
        measure(args, report)
    except Exception as error:
        traceback.print_exc()
        report["error"] = f"{type(error).__name__}: {error}".split("\n")[0][:300]
        status = 1
    text = json.dumps(report, indent=1) + "\n"
    if args.json:
        with open(args.json + ".part", "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(args.json + ".part", args.json)
    else:
        sys.stdout.write(text)
    return status


# One process that has everything imported and forks a job for each line it is given ---------------

def serve_one(order):
    begun = time.monotonic()
    pid = os.fork()
    if pid == 0:
        status = 120
        try:
            log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.environ.update(order["environment"])
            status = main(order["argv"])
            sys.stdout.flush()
            sys.stderr.flush()
        except BaseException:
            traceback.print_exc()
        os._exit(status)
    while True:
        done, code = os.waitpid(pid, os.WNOHANG)
        if done:
            return {"status": os.waitstatus_to_exitcode(code), "timed_out": False,
                    "seconds": time.monotonic() - begun}
        if time.monotonic() - begun > order["timeout"]:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return {"status": -9, "timed_out": True, "seconds": time.monotonic() - begun}
        time.sleep(0.02)


def serve():
    import torch  # noqa: F401
    import torch.profiler  # noqa: F401
    from transformers import GPT2LMHeadModel, LlamaForCausalLM, Qwen2ForCausalLM  # noqa: F401
    import peft  # noqa: F401
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        print(json.dumps(serve_one(json.loads(line))), flush=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        serve()
    else:
        sys.exit(main())
