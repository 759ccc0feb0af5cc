"""Anybody's model, asked from outside: what `tetrapla diff` knows of a side, whatever its framework.

A side is a model of a user's, in a process of its own, perhaps in an interpreter of its own. There `common.probing.server` builds
it and answers the judge; everything below this package, and every `backends/*/probe.py`, imports the standard library, NumPy
and that one framework, nothing else: the interpreter may hold no more.

Canonical terms are PyTorch's. Of every layer that a probe knows it says:

    path      the framework's own name of it, "encoder.0"
    kind      a key of KINDS below, or "unknown"
    title     as its users write it, "nn.Conv2d"
    settings  its numbers in canonical terms, those of KINDS[kind]; what the framework does beyond them stands there too.
              "float32" lists those that it rounds to float32 even where it computes in float64, and "gradient" where a number
              in its gradient is; optimisers have it too
    tensors   {role: Tensor}: "weight" (O, I), "bias", "mean" ...; each in the canonical layout that KINDS gives

A tensor's key is "path/role", also across the two sides once layers are matched; a parameter of no known layer has the key
"path/", and the layout that it has.

What flows between layers is canonical too where the layer knows of channels (convolutions, batch norm, pooling, resizing): the
channels are axis 1. Activations, dropout and flattening have them where the layer before had; a flattening that takes them last
says so: "order": "channels_last". Elsewhere it is as it is. A pool over everything keeps its axes, (N, C, 1, 1); attention gives the
one output, and takes (query, key, value); a recurrent layer gives the whole sequence (N, T, H) and nothing else.

A probe (`backends/<x>/probe.py`) has

    claims(model) -> bool              by its type, without importing a framework that is not imported yet
    prepare(dtype)                     before the user's function runs: the framework's default float type, no TF32, one seed
    class Probe(side, dtype), `side` what the user's function returned, and "inputs": what the model is called with, {name: array}
    or None, for a model that only its first call builds; with
        look(inputs)                       where a probe has it: before all else, for what only a call shows
        describe() -> Description
        put(tensors), get() -> tensors     {key: array} of parameters and statistics, canonical
        forward(inputs, training) -> (outputs, calls)       outputs: {"": array}, or {"0": ..., "name": ...} of a structure
        alone(path, arrays, training) -> arrays             the layer `path` by itself on canonical inputs
        source(path, training) -> lines    Python that users of the framework would write: given `data`, a dict of the layer's
                                           canonical tensors by role and its inputs "x0", "x1" ..., it leaves its canonical output
                                           in `y`, a NumPy array; a layer that cannot be written so: an empty list
        loss(outputs, inputs) -> (value, {name: gradient with respect to the output})
        gradients(inputs) -> (loss, {key: array})           in training mode, or in evaluation mode if mode == "eval"
        update(gradients, rates) -> [{key: array}]          parameters after each update with these gradients, from what `put` left
        train(inputs, steps) -> [loss]                      gradients and update, `steps` times
"""

from dataclasses import asdict, dataclass, field

import numpy as np

Arrays = dict[str, np.ndarray]

# {kind: (settings, {role: canonical shape})}. O outputs, I inputs, K a kernel's sides, G groups, C channels, H hidden.
KINDS = {
    "dense": ((), {"weight": "(O, I)", "bias": "(O,)"}),
    "embedding": (("padding",), {"weight": "(N, D)"}),  # padding: the row that is kept at 0, or None
    # padding: [[before, after], ...] a side, or "same" (after the input: as TensorFlow has it), or "causal"
    "conv": (("stride", "padding", "dilation", "groups"), {"weight": "(O, I/G, K...)", "bias": "(O,)"}),
    # padding: what is cut off the full result, [[before, after], ...], negative where zeros are added; or "same" (Paddle's: what
    # "same" would pad the input with)
    "conv_transpose": (("stride", "padding", "dilation", "groups"), {"weight": "(I, O/G, K...)", "bias": "(O,)"}),
    # keep: the share of the running value that stays; unbiased: the variance that it takes in
    "batch_norm": (("epsilon", "keep", "unbiased"), dict.fromkeys(("weight", "bias", "mean", "variance"), "(C,)")),
    "layer_norm": (("epsilon", "axes"), {"weight": "(the last `axes`)", "bias": "(the last `axes`)"}),
    "group_norm": (("epsilon", "groups"), {"weight": "(C,)", "bias": "(C,)"}),
    "instance_norm": (("epsilon",), {"weight": "(C,)", "bias": "(C,)"}),
    "rms_norm": (("epsilon", "axes"), {"weight": "(the last `axes`)"}),
    # op: "max" | "average"; counted: whether an average counts its padding; ceil: whether a last part of a window makes an output
    "pool": (("op", "size", "stride", "padding", "counted", "ceil"), {}),
    "adaptive_pool": (("op", "size"), {}),  # size: of the result; 1 everywhere: a global pool
    "dropout": (("rate",), {}),
    # name: relu, leaky_relu (slope), elu (alpha), selu, gelu (approximate), silu, softplus (beta), sigmoid, tanh, softmax (axis),
    # log_softmax (axis), hard_sigmoid and hard_swish (slope, offset), relu6, identity; prelu alone has a tensor, its slopes
    "activation": (("name",), {"weight": "(C,)"}),
    # Gates in PyTorch's order: LSTM i, f, g, o; GRU r, z, n. One bias alone is bias_ih.
    # reset_after: n = tanh(Wx + r * (Uh + b)), PyTorch's and CuDNN's
    "lstm": (("layers", "both_ways"), {"weight_ih": "(4H, I)", "weight_hh": "(4H, H)", "bias_ih": "(4H,)", "bias_hh": "(4H,)"}),
    "gru": (
        ("layers", "both_ways", "reset_after"),
        {"weight_ih": "(3H, I)", "weight_hh": "(3H, H)", "bias_ih": "(3H,)", "bias_hh": "(3H,)"},
    ),
    # Roles: query, key, value, out, each with _weight (E, E) and _bias (E,)
    "attention": (("heads",), {f"{part}_weight": "(E, E)" for part in ("query", "key", "value", "out")}),
    # mode: "nearest" | "nearest-exact" (the nearest centre) | "linear" | "cubic"; corners: corner pixels stay where they are
    "resize": (("size", "scale", "mode", "corners"), {}),
    "flatten": (("first",), {}),  # the first axis that is flattened
    "reshape": (("shape",), {}),
    "pad": (("padding", "mode", "value"), {}),
}  # fmt: skip


@dataclass(frozen=True)
class Tensor:
    """One tensor of a layer: the framework's own `name`, the canonical `shape`, whether the optimiser is to move it."""

    name: str
    shape: tuple[int, ...]
    trainable: bool


@dataclass(frozen=True)
class Layer:
    """The docstring of this package says what is what."""

    path: str
    kind: str
    title: str
    settings: dict = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """One call of the layer `path` in a forward pass, in the order of calls; `inputs` and `outputs` are canonical."""

    path: str
    inputs: list[np.ndarray]
    outputs: list[np.ndarray]


@dataclass(frozen=True)
class Description:
    """A side as it stands. `optimizer`: {"name", "title", numbers in canonical terms}, None if there is none; `loss` likewise
    {"title"}. `dtype` is what the model computes in, which may be float32 though float64 was asked for: `dtype_why` says why."""

    framework: str
    versions: dict[str, str]
    layers: list[Layer]
    dtype: str
    dtype_why: str = ""
    loss: dict | None = None
    optimizer: dict | None = None
    whole: bool = False  # it is asked for its own losses and updates, and not for those of given outputs and gradients

    def plain(self) -> dict:
        """In plain JSON values."""
        return asdict(self)


def described(value: dict) -> Description:
    """The Description of which `plain` made `value`."""
    layers = [
        Layer(**one | {"tensors": {r: Tensor(t["name"], tuple(t["shape"]), t["trainable"]) for r, t in one["tensors"].items()}})
        for one in value["layers"]
    ]  # fmt: skip
    return Description(**value | {"layers": layers})


class Refused(Exception):
    """What a side cannot be asked, in one line: the thing, what was expected, what to do."""


def mask(number: int, shape: tuple[int, ...], rate: float) -> np.ndarray:
    """What the dropout that is called as the `number`-th in a pass keeps, bool, of a canonical `shape`: the same on both sides."""
    return np.random.default_rng((7, number)).random(shape) >= rate
