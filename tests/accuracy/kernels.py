#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Recorded device work with known shapes, as CSV for accuracy_kernels.

    kernels.py recordings FOLDER > kernels.csv    PyTorch profiler traces with operand shapes
    kernels.py tables FOLDER > tables.csv         measured shares per shape, SimuMax's system files
    kernels.py shapes FOLDER > shapes.csv         the same as simulator/cost/shapes.csv holds them
    kernels.py half FOLDER > half.csv             of these the half that figures are fitted on

One row is one operator with its operand shapes in one recording: the device
time of all kernels that one call launches, the median over the calls. Rows of
operators whose bytes or flops do not follow from operand shapes are left out;
FILES says which recordings give shapes and name their GPU. `half` is what the
figures of simulator/cost may be calibrated on ("fit") and what they are only
compared with ("check"): it alternates within each machine, by recording.
"""
import bisect
import collections
import csv
import gzip
import json
import os
import re
import statistics
import sys

# label, half, file, execution trace that has the shapes where the profiler has not
FILES = [
    ("V100 ResNet-50 workers 0", "fit", "pytorch+kineto/tb_plugin/samples/resnet50_num_workers_0/worker0.1623143566756.pt.trace.json.gz", None),
    ("V100 ResNet-50 workers 4", "check", "pytorch+kineto/tb_plugin/samples/resnet50_num_workers_4/worker0.1623213129365.pt.trace.json.gz", None),
    ("V100 Megatron GPT tp 2", "check", "NVIDIA+Megatron-LM/tp2/result/0/9c44bd29b3f0_1375.1724066820235157909.pt.trace.json", "NVIDIA+Megatron-LM/tp2/pytorch_et_0.json"),
    ("T4 MLP fp32", "fit", "incredere+gpu-profiling-pytorch-lab/Level2_mixed_precision_profiling/fp32.pt.trace.json", None),
    ("T4 MLP amp", "check", "incredere+gpu-profiling-pytorch-lab/Level2_mixed_precision_profiling/amp.pt.trace.json", None),
    ("A100 Particle Transformer 128", "fit", "harryjmoss+particle_transformer/run1_chrome_traces/single_epoch_forward_pass_batch_size_128.json", None),
    ("A100 Particle Transformer 16", "check", "harryjmoss+particle_transformer/run1_chrome_traces/single_epoch_forward_pass_batch_size_16.json", None),
    ("H100 Qwen1.5-0.5B", "fit", "AMD-AGI+TraceLens/tests/traces/h100/Qwen_Qwen1.5-0.5B-Chat__1016005.json.gz", None),
    ("H100 BERT-small", "check", "AMD-AGI+TraceLens/tests/traces/h100/gaunernst_bert-small-uncased__1016001.json.gz", None),
    ("H100 ViT", "check", "AMD-AGI+TraceLens/tests/traces/h100/Falconsai_nsfw_image_detection__1016002.json.gz", None),
    ("H100 VGG-13", "check", "sarchlab+triosim/tracer/data/profiler/profiler_vgg13-iter41.json", None),
    ("B200 gpt-oss", "check", "AMD-AGI+TraceLens/tests/traces/b200/eager_trace.json.gz", None),
    ("MI300X Qwen1.5-0.5B", "fit", "AMD-AGI+TraceLens/tests/traces/mi300/Qwen_Qwen1.5-0.5B-Chat__1016005.json.gz", None),
    ("MI300X BERT-small", "check", "AMD-AGI+TraceLens/tests/traces/mi300/gaunernst_bert-small-uncased__1016001.json.gz", None),
    ("MI300X ViT", "check", "AMD-AGI+TraceLens/tests/traces/mi300/Falconsai_nsfw_image_detection__1016002.json.gz", None),
    ("MI300X ResNet checkpointing", "check", "AMD-AGI+TraceLens/tests/traces/mi300/resnet_act_checkpoint.json.gz", None),
]
ELEMENTS = {"float": ("f32", 4), "c10::Half": ("f16", 2), "c10::BFloat16": ("bf16", 2),
            "double": ("f64", 8), "long int": ("i64", 8), "long": ("i64", 8), "int": ("i32", 4),
            "bool": ("i8", 1), "unsigned char": ("i8", 1), "signed char": ("i8", 1)}
COLUMNS = ["half", "recording", "gpu", "operator", "kind", "element", "layout", "b", "m", "n", "k",
           "access", "flop", "moved_bytes", "elements", "launches", "calls", "dur_ns", "kernel"]
# operators of one operand; a second shape is that of the result
UNARY = {"neg", "pow", "sqrt", "rsqrt", "silu", "gelu", "relu", "clamp_min", "clamp_min_", "tanh", "exp",
         "sigmoid", "cos", "sin", "clamp", "log", "_softmax", "_log_softmax"}
# operators that sum over a dimension
REDUCTIONS = {"mean", "sum"}
# operators that normalise a row at a time
ROWS = {"_softmax", "_log_softmax", "_softmax_backward_data", "native_layer_norm"}
# operators that read every operand and write one result of the broadcast shape
POINTWISE = {"add", "add_", "sub", "mul", "mul_", "div", "div_", "gelu_backward", "silu_backward",
             "threshold_backward", "masked_fill_", "where", "_softmax_backward_data",
             "native_layer_norm"}


def load(path):
    opener = gzip.open if path.endswith("gz") else open
    with opener(path, "rt", errors="replace") as file:
        return json.load(file)


def shapes_of(event, executed):
    """Operand shapes and types of an operator event; of the execution trace where it has none."""
    args = event.get("args", {})
    dims = args.get("Input Dims", args.get("Input dims"))
    types = args.get("Input type")
    if dims is None and executed is not None:
        node = executed.get(args.get("Record function id"))
        if node is None:
            return None, None
        dims, types = node
    return dims, types


def load_executed(path):
    """Shapes by record function id of a PyTorch execution trace."""
    out = {}
    for node in load(path)["nodes"]:
        inputs = node.get("inputs")
        if isinstance(inputs, dict):
            shapes, types = inputs.get("shapes"), inputs.get("types")
        else:
            shapes, types = node.get("input_shapes"), node.get("input_types")
        key = node.get("rf_id")
        for attr in node.get("attrs", []):
            if attr.get("name") == "rf_id":
                key = attr.get("value")
        if shapes is not None:
            out[key] = (shapes, [re.sub(r"^Tensor\((.*)\)$", r"\1", t) for t in types])
    return out


def numel(shape):
    count = 1
    for extent in shape:
        count *= extent
    return count


def is_shape(shape):
    return isinstance(shape, list) and len(shape) > 0 and all(isinstance(x, int) for x in shape)


def matmul_of(name, dims):
    if name in ("aten::mm", "aten::bmm"):
        a, b = dims[0], dims[1]
    else:
        a, b = dims[1], dims[2]
    batch = a[0] if len(a) == 3 else 1
    return batch, a[-2], b[-1], a[-1]


def matmul_element(element, kernels, gpu):
    """The arithmetic that 32-bit operands were multiplied in, which the kernel's name tells."""
    if element != "f32":
        return element
    name = " ".join(kernels).lower()
    is_tf32 = "tf32" in name or "s1688" in name or "s16816" in name
    return "tf32" if is_tf32 else "f32"


def layout_of(name, event):
    """TN: a row-major, b transposed (forward); NN: neither; NT: a transposed (weight gradient)."""
    strides = event.get("args", {}).get("Input Strides")
    if not strides:
        return ""
    a, b = (strides[0], strides[1]) if name in ("aten::mm", "aten::bmm") else (strides[1], strides[2])
    if len(a) < 2 or len(b) < 2:
        return ""
    a_is_rows, b_is_rows = a[-1] == 1, b[-1] == 1
    return {(True, False): "TN", (True, True): "NN", (False, True): "NT"}.get((a_is_rows, b_is_rows), "")


def broadcast(shapes):
    rank = max(len(s) for s in shapes)
    out = [1] * rank
    for shape in shapes:
        for i, extent in enumerate(reversed(shape)):
            out[rank - 1 - i] = max(out[rank - 1 - i], extent)
    return out


def traffic_of(name, dims, types):
    """(kind, element, bytes read and written, elements) of an operator bound by memory; None when unknown."""
    short = name.replace("aten::", "")
    operands = []
    for shape, type_name in zip(dims, types):
        if is_shape(shape) and type_name in ELEMENTS:
            operands.append((shape, ELEMENTS[type_name]))
    if not operands:
        return None
    widest = max((o[1] for o in operands), key=lambda e: e[1])
    if short == "copy_":
        if len(operands) < 2:
            return None
        (to, to_element), (_, from_element) = operands[0], operands[1]
        moved = numel(to) * to_element[1] + numel(operands[1][0]) * from_element[1]
        return "memory", to_element[0], moved, numel(to)
    if short in ("fill_", "zero_"):
        return "fill", operands[0][1][0], numel(operands[0][0]) * operands[0][1][1], numel(operands[0][0])
    if short in ("mean", "sum"):
        return "memory", operands[0][1][0], numel(operands[0][0]) * operands[0][1][1], numel(operands[0][0])
    if short in UNARY:
        return "memory", operands[0][1][0], 2 * numel(operands[0][0]) * operands[0][1][1], numel(operands[0][0])
    if short in POINTWISE:
        out = broadcast([o[0] for o in operands])
        read = sum(numel(o[0]) * o[1][1] for o in operands)
        return "memory", widest[0], read + numel(out) * widest[1], numel(out)
    return None


def access_of(short, kernels):
    """How the kernel goes through its operands; PyTorch's generic kernel is for strided ones."""
    if short in REDUCTIONS:
        return "reduction"
    if short in ROWS:
        return "rows"
    names = " ".join(kernel["name"] for kernel in kernels)
    return "strided" if "::elementwise_kernel" in names or "unrolled" in names else "contiguous"


def attention_of(dims, types, event):
    """Flash attention forward: q, k, v as (batch, sequence, heads, head_dim) or packed (tokens, heads, head_dim)."""
    q, k = dims[0], dims[1]
    if types[0] not in ELEMENTS or len(q) != 4:
        return None
    element = ELEMENTS[types[0]]
    batch, tokens, heads, head_dim = q
    concrete = event.get("args", {}).get("Concrete Inputs", [])
    is_causal = len(concrete) > 8 and concrete[8] in ("True", "true", "1")
    flop = 4 * batch * heads * tokens * k[1] * head_dim
    if is_causal:
        flop //= 2
    moved = 2 * (numel(q) + numel(k)) * element[1]
    return element[0], flop, moved, batch * heads, tokens, k[1], head_dim


def innermost(by_thread, call):
    """The operator a runtime call was made in."""
    rows, starts = by_thread.get(call["tid"], ([], []))
    at = bisect.bisect_right(starts, call["ts"]) - 1
    for i in range(at, max(-1, at - 200), -1):
        if rows[i]["ts"] + rows[i]["dur"] >= call["ts"]:
            return rows[i]
    return None


def calls_of(events):
    """Operator event -> kernels that it launched itself."""
    by_id, calls, by_thread, kernels = {}, {}, collections.defaultdict(list), []
    for event in events:
        if not isinstance(event, dict):
            continue
        category, args = str(event.get("cat", "")).lower(), event.get("args", {})
        if category in ("cpu_op", "operator"):
            by_thread[event["tid"]].append(event)
            key = args.get("External id", args.get("external id"))
            if key is not None:
                by_id[key] = event
        elif category in ("cuda_runtime", "cuda_driver", "runtime") and "correlation" in args:
            calls[args["correlation"]] = event
        elif category == "kernel":
            kernels.append(event)
    for tid, rows in by_thread.items():
        rows.sort(key=lambda e: (e["ts"], -e["dur"]))
        by_thread[tid] = (rows, [e["ts"] for e in rows])
    out = {}
    for kernel in kernels:
        args = kernel["args"]
        op = by_id.get(args.get("External id", args.get("external id")))
        if op is None and args.get("correlation") in calls:
            op = innermost(by_thread, calls[args["correlation"]])
        if op is not None:
            out.setdefault(id(op), (op, []))[1].append(kernel)
    return list(out.values())


def row_of(op, kernels, executed):
    """What one operator call did, without its time; None when the shapes do not tell."""
    name = op["name"]
    dims, types = shapes_of(op, executed)
    if not dims or not types:
        return None
    row = dict.fromkeys(COLUMNS, 0)
    row.update(operator=name, launches=len(kernels), layout="", access="contiguous", kernel=kernels[0]["name"][:60])
    if name in ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm"):
        b, m, n, k = matmul_of(name, dims)
        first = types[0] if name in ("aten::mm", "aten::bmm") else types[1]
        if first not in ELEMENTS:
            return None
        element, size = ELEMENTS[first]
        row.update(kind="matmul", element=matmul_element(element, [k["name"] for k in kernels], ""),
                   layout=layout_of(name, op), b=b, m=m, n=n, k=k, flop=2 * b * m * n * k,
                   moved_bytes=b * (m * k + k * n + m * n) * size)
        return row
    if name == "aten::_flash_attention_forward":
        found = attention_of(dims, types, op)
        if found is None:
            return None
        row.update(kind="attention-forward")
        (row["element"], row["flop"], row["moved_bytes"], row["b"], row["m"], row["n"], row["k"]) = found
        return row
    traffic = traffic_of(name, dims, types)
    if traffic is None or traffic[2] == 0:
        return None
    row["kind"], row["element"], row["moved_bytes"], row["elements"] = traffic
    row["access"] = access_of(name.replace("aten::", ""), kernels)
    return row


def recordings(folder):
    writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for label, half, file, executed_file in FILES:
        trace = load(os.path.join(folder, file))
        executed = load_executed(os.path.join(folder, executed_file)) if executed_file else None
        gpu = trace["deviceProperties"][0]["name"]
        groups = collections.OrderedDict()
        for op, kernels in calls_of(trace["traceEvents"]):
            row = row_of(op, kernels, executed)
            if row is not None:
                key = tuple(str(row[c]) for c in COLUMNS)
                groups.setdefault(key, (row, []))[1].append(sum(k["dur"] for k in kernels))
        for row, times in groups.values():
            if statistics.median(times) == 0:  # below the clock's resolution
                continue
            row.update(half=half, recording=label, gpu=gpu, calls=len(times),
                       dur_ns=round(statistics.median(times) * 1000))
            writer.writerow(row)


# gradients of weights that are added to sums of 32 bits
WIDE = "NT-wide"
SYSTEMS = [("A100-PCIe-80", "a100_pcie_system.json"), ("B200-SXM", "b200_system.json")]


def measured(folder):
    """(gpu, peak flop/s, kind, key fields, share) of every measured shape of SimuMax's system files."""
    for gpu, file in SYSTEMS:
        operations = load(os.path.join(folder, file))["accelerator"]["op"]
        for kind, name in (("matmul", "matmul"), ("attention-forward", "sdp_fwd"),
                           ("attention-backward", "sdp_bwd")):
            for key, share in operations[name]["accurate_efficient_factor"].items():
                field = dict(part.split("=") for part in key.split(", "))
                if (field.get("layout"), field.get("out_dtype")) == ("NT", "fp32"):
                    field["layout"] = WIDE
                yield gpu, operations[name]["tflops"] * 1e12, kind, field, share


# stage of a linear layer of experts -> its layout, and m, n, k from the forward pass's M, N, K
GROUPED = {"fwd": ("TN", "MNK"), "bwd_grad_act": ("NN", "MKN"), "bwd_grad_w": ("NT", "NKM")}


def grouped(folder):
    """(gpu, layout, [batch, m, n, k], share) of products of all experts of a GPU in one call."""
    for gpu, file in SYSTEMS:
        operation = load(os.path.join(folder, file))["accelerator"]["op"].get("group_matmul", {})
        for key, share in (operation.get("accurate_efficient_factor") or {}).items():
            field = dict(part.split("=") for part in key.split(", "))
            layout, order = GROUPED[field["stage"]]
            if layout == "NT" and field["main_grad_dtype"] == "fp32":
                layout = WIDE
            yield gpu, layout, [int(field[x]) for x in ("ng", *order)], share


def attention_extents(field):
    """batch x heads, tokens and mean head dimension; shares there count the square that causality halves."""
    dims = (int(field["qk_head_dim"]) + int(field["v_head_dim"])) // 2
    return int(field["batch"]) * int(field["head_num"]), int(field["seq_len"]), dims


def table_row(gpu, peak, kind, field, share):
    row = dict.fromkeys(COLUMNS, 0)
    row.update(recording=gpu + " table", gpu=gpu, operator=kind, kind=kind, element="bf16", layout="",
               access="contiguous", launches=1, calls=1, kernel="")
    if kind == "matmul":
        b, m, n, k = (int(field[x]) for x in "bmnk")
        out = 4 if field["out_dtype"] == "fp32" else 2
        updated = 2 if field["accumulate"] == "True" else 1
        row.update(layout=field["layout"], b=b, m=m, n=n, k=k, flop=2 * b * m * n * k,
                   moved_bytes=b * ((m * k + k * n) * 2 + m * n * out * updated))
    else:
        heads, tokens, dims = attention_extents(field)
        products = 2 if kind == "attention-forward" else 5
        row.update(b=heads, m=tokens, n=tokens, k=dims, flop=products * heads * tokens * tokens * dims,
                   moved_bytes=4 * products * heads * tokens * dims)
        share /= 2
    row["dur_ns"] = round(row["flop"] / (peak * share) * 1e9)
    return row


def tables(folder):
    writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for i, entry in enumerate(measured(folder)):
        row = table_row(*entry)
        row["half"] = "fit" if i % 2 == 0 else "check"
        writer.writerow(row)


SHAPES_HEAD = """\
# SPDX-License-Identifier: MIT
# Measured shares of the peak by shape; cost.h says what batch, m, n and k are. Rows of one shape and
# layout are averaged. Attention counts the flop of the causal half, with k the mean of the head
# dimensions of keys and values. Made by tests/accuracy/kernels.py shapes; SimuMax is Apache-2.0.
gpu,kind,element,layout,batch,m,n,k,share,origin
"""


def shapes(folder, every=1):
    sys.stdout.write(SHAPES_HEAD)
    for i, (gpu, _, kind, field, share) in enumerate(measured(folder)):
        if i % every != 0:
            continue
        if kind == "matmul":
            extents, layout = [int(field[x]) for x in "bmnk"], field["layout"]
        else:
            heads, tokens, dims = attention_extents(field)
            extents, layout, share = [heads, tokens, tokens, dims], "", share / 2
        row = [gpu, kind, "bf16", layout, *extents, "%.4f" % share,
               "measured: SimuMax 1.2 system file"]
        sys.stdout.write(",".join(map(str, row)) + "\n")
    for gpu, layout, extents, share in grouped(folder) if every == 1 else ():
        row = [gpu, "matmul", "bf16", layout, *extents, "%.4f" % share,
               "measured: SimuMax 1.2 system file; grouped"]
        sys.stdout.write(",".join(map(str, row)) + "\n")


MODES = {"recordings": recordings, "tables": tables, "shapes": shapes,
         "half": lambda folder: shapes(folder, 2)}


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in MODES:
        sys.exit("kernels.py recordings|tables|shapes|half FOLDER")
    MODES[sys.argv[1]](sys.argv[2])


if __name__ == "__main__":
    main()
