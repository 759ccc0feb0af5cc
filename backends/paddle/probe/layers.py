"""A Paddle model's layers for `diff`: their paths, their tensors in canonical layouts, what flows through them.

An activation inside a batch norm, nn.BatchNorm(act="relu"), is a layer of its own here, "path:activation".
"""

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import paddle
from paddle import nn
from paddle.base.dygraph_utils import _append_activation_in_dygraph
from paddle.nn.layer import rnn

from backends.paddle.probe.settings import READERS, last
from common.probing import Refused, structure

# Layers that draw in a way of their own, which cannot be replayed.
RANDOM = (nn.RReLU, nn.AlphaDropout, nn.FeatureAlphaDropout, nn.FractionalMaxPool2D, nn.FractionalMaxPool3D)
WHOLE = (
    rnn.RNNBase,
    nn.RNN,
    nn.BiRNN,
    nn.MultiHeadAttention,
)  # with layers inside that it does not call, or not as layers
CHANNELS = {"conv", "conv_transpose", "batch_norm", "group_norm", "instance_norm", "pool", "adaptive_pool", "resize", "pad"}  # fmt: skip


@dataclass
class Held:
    """A tensor of Paddle's, its name below the layer's, and how its canonical array lies: `turned`, or of another `shape`."""

    value: paddle.Tensor
    name: str
    turned: bool = False
    shape: tuple[int, ...] | None = None

    def canonical(self, array) -> np.ndarray:
        array = np.array(array)
        return np.ascontiguousarray(array.T) if self.turned else array.reshape(self.shape or array.shape)

    def own(self, array) -> paddle.Tensor:
        array = np.array(array)
        return tensor(array.T if self.turned else array.reshape(self.value.shape))


@dataclass
class Known:
    """A layer, its kind with settings, and {role: Held}. `last`: it has channels, and they are its last axis. `inside`: it is the
    activation of that name, which the layer `module` ends with."""

    module: nn.Layer
    kind: str
    settings: dict[str, Any]
    tensors: dict[str, Held] = field(default_factory=dict)
    last: bool = False
    inside: str = ""

    @property
    def title(self) -> str:
        name = type(self.module).__name__
        if self.inside:
            return f"F.{self.inside}"
        return f"nn.{name}" if type(self.module).__module__.startswith("paddle.") else name

    def call(self, arrays) -> list[np.ndarray]:
        given = [tensor(np.moveaxis(one, 1, -1) if self.last and one.ndim > 2 else one) for one in arrays]
        if self.inside:
            return self.results(self.run(*given))
        with bare(self.module):
            return self.results(self.module(*given))

    def run(self, value: paddle.Tensor) -> paddle.Tensor:
        """Of an activation inside a layer."""
        return _append_activation_in_dygraph(value, act=self.inside)

    def results(self, outputs) -> list[np.ndarray]:
        """Canonical arrays of what it returned; attention's weights are left out, as its users may,
        and what a recurrent layer gives beside its sequence. None of another structure."""
        try:
            found = [self.canonical(value) for value in named(outputs).values()]
        except Refused:
            return []
        return found[:1] if self.kind in ("attention", "lstm", "gru") else found

    def canonical(self, value) -> np.ndarray:
        value = np.array(value.numpy())
        return np.ascontiguousarray(np.moveaxis(value, -1, 1)) if self.last and value.ndim > 2 else value


@contextmanager
def bare(module: nn.Layer):
    """Inside, a batch norm leaves out the activation that it ends with."""
    act = getattr(module, "_act", None)
    if act is not None:
        module._act = None
    try:
        yield
    finally:
        if act is not None:
            module._act = act


def tensor(array) -> paddle.Tensor:
    return paddle.to_tensor(np.array(array, order="C"))


def named(outputs) -> dict[str, paddle.Tensor]:
    """As common.probing.structure has them."""
    return structure.named(outputs, lambda one: isinstance(one, paddle.Tensor))


def layers(model: nn.Layer) -> dict[str, Known]:
    """{path: Known} of every layer of its own: one that has none inside, or one that is known as a whole. Shared, it has the
    first of its paths."""
    found, seen = {}, set()

    def walk(module, path):
        if id(module) in seen:
            return
        seen.add(id(module))
        known = of(module)
        if known.kind == "unknown" and not isinstance(module, WHOLE) and any(True for _ in module.children()):
            for name, child in module.named_children():
                walk(child, f"{path}.{name}" if path else name)
        else:
            found[path] = known
            if known.kind == "batch_norm" and getattr(module, "_act", None):
                about = {"name": "silu" if module._act == "swish" else module._act}
                found[f"{path}:activation"] = Known(module, "activation", about, last=known.last, inside=module._act)

    walk(model, "")
    return found


def others(model: nn.Layer, known: dict[str, Known]) -> dict[str, Held]:
    """Parameters that a layer with others inside has for itself."""
    held = {id(one.value) for layer in known.values() for one in layer.tensors.values()}
    return {name: Held(value, name) for name, value in model.named_parameters() if id(value) not in held}


def of(module: nn.Layer) -> Known:
    kind, settings = "unknown", {}
    # A user's class is read as the layer that it derives from: its numbers are what is judged. One whose weights a hook computes
    # is unknown.
    if not module._forward_pre_hooks:
        kind, settings = next((read(module) for kinds, read in READERS if isinstance(module, kinds)), (kind, settings))
    one = Known(module, kind, settings, last=kind in CHANNELS and last(module))
    if kind == "attention":
        for part, layer in zip(("query", "key", "value", "out"), (module.q_proj, module.k_proj, module.v_proj, module.out_proj), strict=True):  # fmt: skip
            name = f"{'out' if part == 'out' else part[0]}_proj"
            one.tensors[f"{part}_weight"] = Held(layer.weight, f"{name}.weight", turned=True)
            if layer.bias is not None:
                one.tensors[f"{part}_bias"] = Held(layer.bias, f"{name}.bias")
    elif kind in ("lstm", "gru"):
        cell = module[0].cell  # its names are right even where a bias is left out, the layer's own are not
        for role in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            one.tensors[role] = Held(getattr(cell, role), f"0.cell.{role}")
    else:
        roles = {"_mean": "mean", "_variance": "variance", "scale": "weight"}
        shape = tuple(module._normalized_shape) if kind == "layer_norm" else None
        for name, value in [*module.named_parameters(), *module.named_buffers()]:
            if value.is_floating_point():
                turned = kind == "dense" and name == "weight"
                one.tensors[roles.get(name, name)] = Held(value, name, turned, shape)
    return one
