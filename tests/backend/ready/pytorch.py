"""PyTorch: the model on the device `meta`, whose tensors have shapes and no numbers, in the place of a GPU.

A build for CPUs has no autograd for `cuda`: "not linked with support for cuda devices". `meta` refuses most tensors of the
processor beside its own, but not a weight of `linear`, nor, as CUDA does not either, a number of no dimension or an index. So each
operator is watched for what is not on `meta`: in a step nothing is to come from the processor, and a CUDA graph would not ask again.
"""

from backends.pytorch import process  # isort: skip

import contextlib
import sys

import pytest
import torch
from torch.utils import _pytree
from torch.utils._python_dispatch import TorchDispatchMode

import backends
from backends.pytorch.noise import Draws
from backends.pytorch.steps import gather
from common.data.batches import batch_indices, row_sets
from common.parameters import initial_parameters
from tests.backend.ready import BATCH

# These ask for the kinds of devices that have a fused or capturable kernel.
OPTIMIZERS = ("torch.optim.optimizer", "torch.optim.adam", "torch.optim.rmsprop")
ASKED = ("_get_fused_kernels_supported_devices", "_get_capturable_supported_devices")


class Watch(TorchDispatchMode):
    """Notes every operator that takes or makes a tensor that is not on `meta`, or one of float64."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        # The one operator of ours that has no kernel for `meta`; it changes its arguments and returns nothing.
        missing = operator is torch.ops.aten._fused_sgd_.default
        result = None if missing else operator(*args, **(kwargs or {}))
        for one in _pytree.tree_leaves((args, kwargs, result)):
            if isinstance(one, torch.Tensor) and (one.device.type != "meta" or one.dtype is torch.float64):
                self.found.append(f"{operator}: {one.dtype} {tuple(one.shape)} on {one.device}")
        return result


@contextlib.contextmanager
def meta_for_gpu():
    """While "gpu" means `meta`, for the engine and for PyTorch's optimisers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(process.DEVICES, "gpu", "meta")
        patch.setattr(process, "check_device", lambda device: None)
        patch.setattr(torch.Tensor, "is_cuda", property(lambda tensor: tensor.device.type == "meta"), raising=False)
        patch.setattr("backends.pytorch.column.Draws", draws_on_meta)
        for name in OPTIMIZERS:
            for asked in ASKED:
                if hasattr(sys.modules[name], asked):
                    patch.setattr(sys.modules[name], asked, lambda *given, **more: ["meta"])
        yield


def draws_on_meta(declared, seed, dtype, device):
    """With a generator of the processor: `meta` has none, and asks it for nothing."""
    made = Draws(declared, seed, dtype, torch.device("cpu"))
    made.kind["device"] = device
    return made


def findings(spec, module, train):
    """Of build, one train step with native noise, encode, reconstruct and sample."""
    engine, _ = backends.load("pytorch", spec)
    rows = {name: one[0] for name, one in batch_indices(row_sets(spec, train, 0), BATCH, 0, range(1)).items()}
    with meta_for_gpu():
        column = engine.Column(spec, module, initial_parameters(spec, 0), dtype="float32", device="gpu", seed=0)
        column.upload(train)
        column.steps.with_graphs = False
        indices = {name: torch.tensor(one, device="meta") for name, one in rows.items()}
        latents = {one.name: torch.empty((BATCH, *one.shape), device="meta") for one in spec.sampling_noise}
        assert all(group.get("capturable", True) for group in _groups(column)), "made as on a CPU"
        with Watch() as watch:
            try:
                noise = column.draws(BATCH, 0)
                column.steps(indices, noise)
                with column._evaluating():
                    inputs = gather(spec.inputs, column.steps.data, indices, column.dtype)
                    given = {"encode": (inputs,), "reconstruct": (inputs, noise), "sample": (latents,)}
                    for job in set(given) & set(vars(module)):
                        getattr(module, job)(column.state.model, *given[job])
            except RuntimeError as error:
                watch.found.append(str(error))
        return watch.found


def _groups(column):
    return [group for one in column.state.optimizers.values() for group in one.param_groups]
