#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Python that Colossal-AI's Gemini runs beside operations, in time of a plain one (docs/MODEL.md, 12).

    measure_gemini_python.py COLOSSALAI TRANSFORMERS [FAMILY ...]

COLOSSALAI is the unpacked source of Colossal-AI 0.3.0, TRANSFORMERS the folder that the wheel of
transformers 4.29.2 unpacks to. Small models run on the CPU in 16 bits, recomputed: as they are, under
GeminiDDP, and under row-wise tensor parallelism of four ranks whose group exchanges nothing. Eight
blocks less two, the least of many steps; a machine with nothing else to do gives the steadiest times.
Text that asks for CUDA, or that this Python does not take, is replaced as the modules are read.
"""
import collections
import contextlib
import gc
import importlib.abc
import importlib.machinery
import importlib.util
import logging
import sys
import time
import types
import warnings

STEPS, FEW, MANY = 130, 2, 8
WIDTH, HEADS, WORDS, PLACES, RANKS = 64, 4, 320, 64, 4
# modules that are not installed, and nothing here runs
ABSENT = set("click fabric contexttimer ninja apex torch._six triton xformers rich "
             "colossalai._C colossalai.fx colossalai._analyzer colossalai.auto_parallel".split())
PATCHES = {
    "colossalai.tensor.distspec": [("    def __eq__",
                                    "    __hash__ = object.__hash__\n\n    def __eq__")],
    "colossalai.tensor.dist_spec_mgr": [("assert tensor.device.type == 'cuda'", "pass"),
                                        ("tensor.data = tensor.data.cuda()", "pass"),
                                        ("is_cpu_tensor = True", "pass")],
    "colossalai.nn._ops._utils": [("    assert input_.device.type == 'cuda'", "    pass")],
    # LLMem's embeddings have their columns shared
    "colossalai.nn.parallel.layers.embedding": [("target_mode='row'", "target_mode='col'")],
    "transformers.dependency_versions_check": [(None, "def dep_version_check(*a, **k): pass\n")],
}


class Nothing(type):
    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Stub


class Stub(metaclass=Nothing):
    def __init__(self, *args, **kwargs):
        pass

    def __call__(self, *args, **kwargs):
        return Stub()

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Stub()


class StubModule(types.ModuleType):
    __path__ = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Stub


class Absent(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path, target=None):
        if any(name == one or name.startswith(one + ".") for one in ABSENT):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        return StubModule(spec.name)

    def exec_module(self, module):
        pass


class Patched(importlib.machinery.SourceFileLoader):
    def get_data(self, path):
        data = super().get_data(path)
        if not path.endswith(".py"):
            return data
        text = data.decode()
        for old, new in PATCHES[self.name]:
            text = new if old is None else text.replace(old, new)
        return text.encode()

    def path_stats(self, path):
        raise OSError("no cache: the text is changed")


class Patching(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name not in PATCHES:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        return importlib.util.spec_from_file_location(name, spec.origin,
                                                      loader=Patched(name, spec.origin))


def begin(colossalai, transformers):
    """A group of four ranks that exchange nothing, and libraries that take a CPU for their device."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    sys.meta_path[:0] = [Absent(), Patching()]
    sys.path[:0] = [colossalai, transformers]
    import torch
    import torch.distributed as dist
    from torch.testing._internal.distributed.fake_pg import FakeStore
    torch.set_num_threads(1)
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=RANKS)
    group = dist.new_group
    dist.new_group = lambda ranks=None, backend=None, **k: group(ranks=ranks)
    torch.Tensor.cuda = lambda self, *a, **k: self
    torch.cuda.Stream = torch.cuda.current_stream = Stub
    import colossalai as _  # noqa: F401
    import colossalai.context
    from colossalai.core import global_context
    for mode in (colossalai.context.ParallelMode.GLOBAL, colossalai.context.ParallelMode.DATA):
        global_context._global_ranks[mode] = global_context._local_ranks[mode] = 0
        global_context._world_sizes[mode] = RANKS
        global_context._groups[mode] = global_context._cpu_groups[mode] = dist.group.WORLD
        global_context._ranks_in_group[mode] = list(range(RANKS))
    keep_whole()
    for family in FAMILIES:  # classes must be there before parameters of theirs are converted
        model_of(family, FEW)


def keep_whole():
    """Chunks on the device that stays whole, and modules of which a head has no bias."""
    import torch
    import colossalai.nn.parallel.layers.module_utils as utils
    import colossalai.zero.gemini.chunk.chunk as chunk
    import colossalai.zero.gemini.placement_policy as placement
    policy, made = placement.CUDAPlacementPolicy, chunk.Chunk.__init__
    policy.__init__ = lambda self, *a, **k: placement.PlacementPolicy.__init__(self, *a, **k)
    policy.get_default_device = staticmethod(lambda: torch.device("cpu"))

    def whole(self, *args, **kwargs):
        kwargs["keep_gathered"] = True
        made(self, *args, **kwargs)

    chunk.Chunk.__init__ = whole
    utils.check_colo_module = lambda *a, **k: None


FAMILIES = {
    "opt": ("OPT", dict(hidden_size=WIDTH, ffn_dim=4 * WIDTH, max_position_embeddings=PLACES - 2,
                        num_attention_heads=HEADS, word_embed_proj_dim=WIDTH), "num_hidden_layers"),
    "bloom": ("Bloom", dict(hidden_size=WIDTH, n_head=HEADS), "n_layer"),
    "gpt_bigcode": ("GPTBigCode", dict(n_embd=WIDTH, n_head=HEADS, n_positions=PLACES), "n_layer"),
    "biogpt": ("BioGpt", dict(hidden_size=WIDTH, intermediate_size=4 * WIDTH,
                              max_position_embeddings=PLACES - 2, num_attention_heads=HEADS),
               "num_hidden_layers"),
    "codegen": ("CodeGen", dict(n_embd=WIDTH, n_head=HEADS, n_positions=PLACES, n_ctx=PLACES,
                                rotary_dim=8), "n_layer"),
    "gpt_neo": ("GPTNeo", dict(hidden_size=WIDTH, num_heads=HEADS, max_position_embeddings=PLACES),
                "num_layers"),
}


def model_of(family, blocks):
    import transformers
    name, shape, count = FAMILIES[family]
    shape = dict(shape, **{count: blocks, "vocab_size": WORDS})
    if family == "gpt_neo":
        shape["attention_types"] = [[["global", "local"], blocks // 2]]
    config = getattr(transformers, name + "Config")(**shape)
    return getattr(transformers, name + "ForCausalLM")(config)


def build(family, blocks, way):
    import torch
    from colossalai.nn.parallel.layers import init_colo_module
    from colossalai.tensor import ComputePattern, ComputeSpec, ProcessGroup
    from colossalai.zero import ColoInitContext, zero_model_wrapper
    cpu = torch.device("cpu")
    with ColoInitContext(device=cpu) if way == "tp" else contextlib.nullcontext():
        model = model_of(family, blocks)
    model.half()
    model.gradient_checkpointing_enable()
    if way == "tp":
        init_colo_module(model, ComputeSpec(ComputePattern.TP1D),
                         pg=ProcessGroup(tp_degree=RANKS), recursive=True)
    model.train()
    if way == "plain":
        return model
    model = zero_model_wrapper(model, zero_stage=3, gemini_config=dict(
        device=cpu, placement_policy="cuda", search_range_mb=1, hidden_dim=WIDTH,
        min_chunk_size_mb=0.02))
    model.train()
    return model


def step_us(model, ids):
    import torch
    model.zero_grad()
    begin_s = time.perf_counter()
    loss = model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=ids,
                 use_cache=False)["loss"]
    model.backward(loss) if hasattr(model, "backward") else loss.backward()
    return 1e6 * (time.perf_counter() - begin_s)


def block_us(family):
    """{way: us of a block, forward and backward with what is recomputed}"""
    import torch
    ids = torch.randint(0, WORDS, (1, 4))
    ways = ("plain", "gemini", "tp")
    models = {(way, blocks): build(family, blocks, way) for way in ways for blocks in (FEW, MANY)}
    least = collections.defaultdict(lambda: float("inf"))
    gc.disable()
    for step in range(STEPS):
        for key, model in models.items():
            least[key] = min(least[key], step_us(model, ids))
        if step % 10 == 0:
            gc.collect()
    return {way: (least[way, MANY] - least[way, FEW]) / (MANY - FEW) for way in ways}


def main():
    if len(sys.argv) < 3 or not set(sys.argv[3:]) <= set(FAMILIES):
        sys.exit(__doc__)
    begin(*sys.argv[1:3])
    print("us of a block: as it is, and beyond that under GeminiDDP and under TP")
    for family in sys.argv[3:] or FAMILIES:
        us = block_us(family)
        print(f"{family:12} {us['plain']:7.0f} {us['gemini'] - us['plain']:+7.0f} "
              f"{us['tp'] - us['plain']:+7.0f}", flush=True)


if __name__ == "__main__":
    main()
