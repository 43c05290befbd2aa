# SPDX-License-Identifier: MIT
"""Wraps a model as one of several ranks that train together.

The process group is PyTorch's own fake one: collectives of RANKS ranks return at once and
change nothing, so that one process makes every request that a rank would make.
"""
RANKS = 4
SCHEMES = {"ddp", "ddpview", "fsdp1", "fsdp2", "fsdp2keep"}
CONFIGURATIONS = [f"{model}-{rest}-{scheme}"
                  for scheme in ("ddp", "ddpview", "fsdp1", "fsdp2")
                  for model, rest in (("gpt2", "fp32-sdpa-adamw"), ("llama", "bf16-sdpa-adamw"),
                                      ("opt", "fp32-eager-adamw"), ("llama", "amp-sdpa-adamw"))] + [
    "llama-fp32-sdpa-adamw-checkpoint-ddp", "llama-fp32-sdpa-adamw-accumulate-ddp",
    "llama-fp32-sdpa-adamw-checkpoint-fsdp2", "llama-fp32-sdpa-adamw-fsdp2keep",
    "llama-fp32-sdpa-adamw-checkpoint-fsdp1", "llama-bf16-sdpa-adamw-lora-ddp",
    "llama-fp32-sdpa-adamw-lora-fsdp1", "llama-fp32-sdpa-adamw-lora-fsdp2",
    "llama-fp32-sdpa-adamw-accumulate-fsdp1", "llama-fp32-sdpa-adamw-accumulate-fsdp2",
    "gpt2-amp-sdpa-adamw-checkpoint-fsdp1", "bloom-fp32-eager-adamw-fsdp2",
    "qwen3-bf16-sdpa-adamw-fsdp1", "llama-fp32-sdpa-adamw-mixed-fsdp1",
    "llama-fp32-sdpa-adamw-mixed-fsdp2", "gpt2-fp32-sdpa-adamw-mixed-fsdp2",
]


def scheme_of(extras):
    return next(iter(extras & SCHEMES), None)


def blocks_of(model):
    """The modules that the library repeats: all members of the longest list of modules."""
    import torch
    lists = [module for module in model.modules() if isinstance(module, torch.nn.ModuleList)]
    return list(max(lists, key=len))


def begin(extras):
    """DDP asks its group for results, which the fake one has not: a real group of one rank has, and
    DDP makes the same requests for one as for many."""
    import torch.distributed as dist
    if scheme_of(extras).startswith("ddp"):
        dist.init_process_group("gloo", rank=0, world_size=1, store=dist.HashStore())
        return
    from torch.testing._internal.distributed.fake_pg import FakeStore
    dist.init_process_group("fake", rank=0, world_size=RANKS, store=FakeStore())


def move_in_order(model):
    """FSDP1 brings parameters to the device by the depth of their modules; here in their order."""
    from torch.distributed.fsdp import _init_utils
    place = {parameter: number for number, parameter in enumerate(model.parameters())}
    move = _init_utils._move_states_to_device
    _init_utils._move_states_to_device = lambda parameters, *rest: move(
        sorted(parameters, key=place.get), *rest)


def wrap(model, extras):
    """The model as a rank has it, on the device."""
    import torch
    scheme = scheme_of(extras)
    model.config.use_cache = False  # which fully_shard would hand out as a copy
    if scheme in ("ddp", "ddpview"):
        model.cuda()
        # numbers that come back from the stand-in are zeros: shapes cannot be compared, and buckets
        # not be made anew by numbers that a rank sends; with find_unused_parameters they are not
        torch.nn.parallel.distributed._verify_param_shape_across_processes = lambda *_: None
        return torch.nn.parallel.DistributedDataParallel(
            model, device_ids=[0], gradient_as_bucket_view=scheme == "ddpview",
            find_unused_parameters=True)
    mixed = "mixed" in extras
    if scheme == "fsdp1":
        move_in_order(model)
        from torch.distributed.fsdp import FullyShardedDataParallel, MixedPrecision
        from torch.distributed.fsdp.wrap import ModuleWrapPolicy
        return FullyShardedDataParallel(
            model, auto_wrap_policy=ModuleWrapPolicy({type(blocks_of(model)[0])}),
            use_orig_params=True, device_id=torch.device("cuda", 0), sync_module_states=True,
            limit_all_gathers=False,
            mixed_precision=MixedPrecision(param_dtype=torch.bfloat16) if mixed else None)
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
    mesh = init_device_mesh("cuda", (RANKS,))
    keeps = {"reshard_after_forward": False} if scheme == "fsdp2keep" else {}
    if mixed:
        keeps["mp_policy"] = MixedPrecisionPolicy(param_dtype=torch.bfloat16,
                                                  reduce_dtype=torch.float32)
    for block in blocks_of(model):
        fully_shard(block, mesh=mesh, **keeps)
    return fully_shard(model, mesh=mesh, **keeps)


def synchronise(model, extras, is_last):
    """Gradients of the last micro-batch alone are exchanged. A context for the micro-batch."""
    import contextlib
    scheme = scheme_of(extras)
    if scheme is None or is_last and not scheme.startswith("fsdp2"):
        return contextlib.nullcontext()
    if scheme.startswith("fsdp2"):
        model.set_requires_gradient_sync(is_last)
        return contextlib.nullcontext()
    return model.no_sync()
