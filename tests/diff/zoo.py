"""Small networks in a mini-language that says everything, built in each framework as its users would (builders/), all four equal.

A specification is plain data:

    inputs     {name: ("normal" | "tokens" | "labels" | "uniform" | "binary", shape, N of tokens or labels)}; images are (C, H, W)
    nodes      [(name, op, settings)], each given what the one before made; "add" adds what the node `of` made
    loss       name, takes ("logits" | "probabilities"), reduction ("mean" | "sum" | "batch"), smoothing, factor
    optimizer  in the words of common.tools.diff.conventions.updates
    frozen     names of nodes that are not trained
    tied       {name of a node: name of the one whose weight it shares}

What is canonical is what PyTorch, Keras, Paddle and Flax can all be told: flattening in C, H, W order, padding on both sides, a batch
norm that keeps 0.9 of its statistics and takes in the biased variance, every ε given. `changed` turns knobs.
"""

import copy

import numpy as np

SGD = {"name": "sgd", "rate": 2**-7, "momentum": 0.0, "nesterov": False, "decay": 0.0, "decoupled": False, "clip": None}
LOGITS = {"name": "cross_entropy", "takes": "logits", "reduction": "mean", "smoothing": 0.0, "factor": 1.0}
SQUARED = {"name": "squared", "reduction": "mean", "factor": 1.0}
CONV = {"size": 3, "stride": 1, "padding": 1, "dilation": 1, "groups": 1, "bias": True, "turned": False}
NORM = {"epsilon": 1e-5}
BATCH = NORM | {"keep": 0.9, "unbiased": False, "frozen": False}
PASS = ("start", "affine", {"factor": 1.0, "shift": 0.0})  # leaves what it is given as it is, until a knob is turned
CUT = ("cut", "flow", {"factor": 1.0})  # a gradient that flows back is multiplied by `factor`


def _act(name, function="relu", **numbers):
    return name, "activation", {"name": function} | numbers


def _dense(name, out):
    return name, "dense", {"out": out, "bias": True}


def classifier() -> dict:
    nodes = [
        PASS,
        ("conv1", "conv", CONV | {"out": 4, "stride": 2}),
        ("norm1", "batch_norm", BATCH),
        _act("act1"),
        ("pool1", "pool", {"op": "max", "size": 2, "stride": 2, "padding": 0, "ceil": False, "counted": False}),
        ("conv2", "conv", CONV | {"out": 6}),
        _act("act2"),
        ("pool2", "pool", {"op": "average", "size": 3, "stride": 2, "padding": 1, "ceil": False, "counted": False}),
        ("flat", "flatten", {"order": "channels_first"}),
        _dense("dense1", 12),
        CUT,
        _act("act3"),
        _dense("dense2", 5),
    ]
    return {"inputs": {"x": ("normal", (3, 20, 20)), "y": ("labels", (), 5)}, "nodes": nodes, "loss": LOGITS, "optimizer": SGD}  # fmt: skip


def deep(blocks: int = 20) -> dict:
    """Residual blocks of 4 channels."""
    nodes = [PASS, ("stem", "conv", CONV | {"out": 4}), ("stem_norm", "batch_norm", BATCH), _act("stem_act")]
    last = "stem_act"
    for k in range(1, blocks + 1):
        nodes += [
            (f"b{k}_conv1", "conv", CONV | {"out": 4}),
            (f"b{k}_norm1", "batch_norm", BATCH),
            _act(f"b{k}_act1"),
            (f"b{k}_conv2", "conv", CONV | {"out": 4}),
            (f"b{k}_norm2", "batch_norm", BATCH),
            (f"b{k}_add", "add", {"of": last}),
            (f"b{k}_pass", "affine", {"factor": 1.0, "shift": 0.0}),
            _act(f"b{k}_act2"),
        ]
        last = f"b{k}_act2"
    nodes += [
        ("down1", "conv", CONV | {"out": 6, "size": 1, "padding": 0}),
        _act("down1_act"),
        ("down2", "conv", CONV | {"out": 6, "stride": 2}),
        ("pool", "pool", {"op": "average", "size": 2, "stride": 2, "padding": 0, "ceil": False, "counted": False}),
        ("flat", "flatten", {"order": "channels_first"}),
        CUT,
        _dense("head", 5),
    ]
    return {"inputs": {"x": ("normal", (3, 8, 8)), "y": ("labels", (), 5)}, "nodes": nodes, "loss": LOGITS, "optimizer": SGD}  # fmt: skip


def sequence() -> dict:
    nodes = [
        ("embed", "embedding", {"count": 11, "out": 8, "padding": None}),
        ("gru", "gru", {"out": 8, "reset_after": True, "order": "rzn"}),
        ("attend", "attention", {"heads": 2, "scale": "root"}),
        ("add1", "add", {"of": "gru"}),
        ("norm1", "layer_norm", NORM),
        _dense("up", 16),
        _act("act1", "gelu", approximate=False),
        CUT,
        _dense("down", 8),
        ("add2", "add", {"of": "norm1"}),
        ("norm2", "layer_norm", NORM),
        ("gates", "activation", {"name": "softmax", "axis": -1}),
        ("last", "last", {}),
        _dense("head", 5),
    ]
    return {"inputs": {"x": ("tokens", (6,), 11), "y": ("labels", (), 5)}, "nodes": nodes, "loss": LOGITS, "optimizer": SGD}  # fmt: skip


def memory() -> dict:
    """An LSTM over given vectors."""
    nodes = [("lstm", "lstm", {"out": 6, "order": "ifgo"}), ("last", "last", {}), _dense("head", 5)]
    return {"inputs": {"x": ("normal", (5, 7)), "y": ("labels", (), 5)}, "nodes": nodes, "loss": LOGITS, "optimizer": SGD}  # fmt: skip


def upsampling() -> dict:
    nodes = [
        _dense("dense1", 36),
        ("shape", "reshape", {"shape": (4, 3, 3), "order": "channels_first"}),
        ("up1", "conv_transpose", {"out": 5, "size": 4, "stride": 2, "padding": 1, "more": 0, "bias": True, "turned": False}),
        ("norm1", "batch_norm", BATCH),
        _act("act1"),
        ("resize", "resize", {"scale": 2, "mode": "nearest", "corners": False}),
        ("conv1", "conv", CONV | {"out": 4}),
        _act("act2", "leaky_relu", slope=0.2),
        ("up2", "conv_transpose", {"out": 3, "size": 3, "stride": 2, "padding": 1, "more": 1, "bias": True, "turned": False}),
        _act("act3", "tanh"),
    ]  # fmt: skip
    return {"inputs": {"x": ("normal", (12,)), "y": ("normal", (3, 24, 24))}, "nodes": nodes, "loss": SQUARED, "optimizer": SGD}  # fmt: skip


def mlp() -> dict:
    nodes = [
        PASS,
        _dense("dense1", 9),
        _act("act1"),
        ("drop1", "dropout", {"rate": 0.25}),
        _dense("dense2", 9),
        _act("act2", "tanh"),
        CUT,
        _dense("dense3", 5),
    ]
    return {"inputs": {"x": ("normal", (7,)), "y": ("labels", (), 5)}, "nodes": nodes, "loss": LOGITS, "optimizer": SGD}  # fmt: skip


def probabilities() -> dict:
    """Its loss takes what a softmax made."""
    nodes = [_dense("dense1", 9), _act("act1"), _dense("dense2", 5), _act("out", "softmax", axis=-1)]
    return {"inputs": {"x": ("normal", (7,)), "y": ("labels", (), 5)}, "nodes": nodes, "loss": LOGITS | {"takes": "probabilities"}, "optimizer": SGD}  # fmt: skip


def binary() -> dict:
    """Probabilities so near to 0 and 1 that what keeps their logarithm finite matters."""
    nodes = [_dense("dense1", 9), _act("act1"), _dense("dense2", 3), ("sharp", "affine", {"factor": 60.0, "shift": 0.0}), _act("out", "sigmoid")]  # fmt: skip
    loss = {"name": "bce", "takes": "probabilities", "reduction": "mean", "factor": 1.0, "guard": ["clip", 1e-7]}
    return {"inputs": {"x": ("normal", (7,)), "y": ("binary", (3,))}, "nodes": nodes, "loss": loss, "optimizer": SGD}


def norms() -> dict:
    """Every norm but that over the batch."""
    nodes = [
        ("conv1", "conv", CONV | {"out": 6}),
        ("group", "group_norm", NORM | {"groups": 3}),
        _act("act1", "silu"),
        ("conv2", "conv", CONV | {"out": 4}),
        ("instance", "instance_norm", NORM),
        ("flat", "flatten", {"order": "channels_first"}),
        _dense("dense1", 8),
        ("layer", "layer_norm", NORM),
        _dense("dense2", 8),
        ("rms", "rms_norm", NORM),
        _dense("dense3", 5),
    ]
    return {"inputs": {"x": ("normal", (3, 5, 5)), "y": ("labels", (), 5)}, "nodes": nodes, "loss": LOGITS, "optimizer": SGD}  # fmt: skip


NETWORKS = {f.__name__: f for f in (classifier, deep, sequence, memory, upsampling, mlp, probabilities, binary, norms)}
BATCHES = {"deep": 4}


def changed(spec: dict, knobs: dict) -> dict:
    """`spec` with {"node.setting": value}, {"loss.setting": ...}, {"optimizer": whole}, {"node": None} for one that is left out,
    {"frozen": [...]} and {"tied": {...}}. KeyError for what is not there: a knob that turns nothing is a mistake of the test."""
    spec = copy.deepcopy(spec)
    spec["nodes"] = [(name, op, dict(settings)) for name, op, settings in spec["nodes"]]
    for knob, value in knobs.items():
        name, _, setting = knob.partition(".")
        if knob in ("frozen", "tied", "optimizer", "loss"):
            spec[knob] = value
        elif name in ("loss", "optimizer"):
            spec[name] = spec[name] | {setting: value}
        else:
            place = [k for k, node in enumerate(spec["nodes"]) if node[0] == name]
            if not place:
                raise KeyError(knob)
            if value is None and not setting:
                before = next(n for n, op, _ in spec["nodes"][place[0] - 1 :: -1] if op not in ("affine", "flow"))
                del spec["nodes"][place[0]]
                for _, _, settings in spec["nodes"]:
                    settings |= {"of": before} if settings.get("of") == name else {}
            else:
                spec["nodes"][place[0]][2][setting] = value
    return spec


def build(framework: str, network: str, knobs: dict | None = None) -> dict:
    """The dict that a side of `tetrapla diff` returns."""
    import importlib

    spec = changed(NETWORKS[network](), knobs or {})
    batch = BATCHES.get(network, 6)
    spec["shapes"] = shapes(spec)
    spec["batch"] = batch
    return importlib.import_module(f"builders.{framework}").build(spec)


def inputs(network: str, rng: np.random.Generator) -> dict[str, np.ndarray]:
    batch, found = BATCHES.get(network, 6), {}
    for name, (kind, shape, *count) in NETWORKS[network]()["inputs"].items():
        whole = (batch, *shape)
        match kind:
            case "normal":
                found[name] = rng.normal(size=whole)
            case "binary":
                found[name] = rng.integers(0, 2, whole).astype(float)
            case _:
                found[name] = rng.integers(0, count[0], whole)
    return found


# -------------------------------------------------------------------------------------------------- shapes


def pads(value, dims: int) -> list[tuple[int, int]]:
    """[(before, after)] of a number, or of one pair for every axis."""
    return [(value, value) if isinstance(value, int) else tuple(value)] * dims


def sides(n: int, s: dict) -> int:
    """What a window makes of a side of n."""
    (before, after), window = pads(s["padding"], 1)[0], s.get("dilation", 1) * (s["size"] - 1) + 1
    free = n + before + after - window
    found = -(-free // s["stride"]) if s.get("ceil") else free // s["stride"]
    return found + 1 - (s.get("ceil", False) and found * s["stride"] >= n + before)


def grown(n: int, s: dict) -> int:
    """What a transposed convolution makes of a side of n."""
    before, after = pads(s["padding"], 1)[0]
    return (n - 1) * s["stride"] + s["size"] - before - after + s["more"]


def shapes(spec: dict) -> dict[str, tuple]:
    """{name of a node: the shape that it is given, canonical, without the batch}, and "" what comes out."""
    shape, found = spec["inputs"]["x"][1], {}
    for name, op, s in spec["nodes"]:
        found[name] = shape
        match op:
            case "conv" | "pool":
                shape = (s.get("out", shape[0]), *(sides(n, s) for n in shape[1:]))
            case "conv_transpose":
                shape = (s["out"], *(grown(n, s) for n in shape[1:]))
            case "resize":
                shape = (shape[0], *(n * s["scale"] for n in shape[1:]))
            case "flatten":
                shape = (int(np.prod(shape)),)
            case "reshape":
                shape = s["shape"]
            case "last":
                shape = shape[1:]
            case "dense" | "embedding" | "gru" | "lstm":
                shape = (*shape[: len(shape) - (op != "embedding")], s["out"])
    found[""] = shape
    return found
