"""Normalisations: over the batch, a layer's axes, groups, single channels, and by the root of the mean square."""

import numpy as np

from common.probing import Arrays
from common.tools.diff.conventions.base import BOTH, EPSILONS, REQUIRED, Knob, Unknown, channels, one_of, read

PLACES = ("inside", "outside")


def normalised(
    x: np.ndarray, mean: np.ndarray | float, variance: np.ndarray, epsilon: float | None, place: str
) -> np.ndarray:
    """place: of ε, inside the root or added to it."""
    one_of("norm", "place", place, PLACES)
    if epsilon is None:
        epsilon = float(np.finfo(np.float64).eps)
    with np.errstate(divide="ignore", invalid="ignore"):
        root = np.sqrt(variance + epsilon) if place == "inside" else np.sqrt(variance) + epsilon
        return (x - mean) / root


def _moments(x, axes, unbiased=False):
    count = int(np.prod([x.shape[axis] for axis in axes]))
    variance = x.var(axes, keepdims=True)
    return x.mean(axes, keepdims=True), variance * (count / max(count - 1, 1) if unbiased else 1)


def batch_norm(settings: dict, tensors: Arrays, inputs: list[np.ndarray], training: bool) -> list[np.ndarray]:
    """Training: by the batch's own moments, in evaluation, or if `frozen`, by the running ones.
    normalised: by the "biased" or "unbiased" variance of the batch; axis: that of the channels."""
    about, x = read("batch_norm", settings, DEFAULTS["batch_norm"]), inputs[0]
    x = np.moveaxis(x, about["axis"], 1)
    shape = (1, -1) + (1,) * (x.ndim - 2)
    roles = [one for one in tensors.values() if one.ndim]
    if any(one.shape != (x.shape[1],) for one in roles):
        raise Unknown(f"batch_norm: {x.shape[1]} channels, tensors of {roles[0].shape}")
    if "mean" not in tensors or training and not about["frozen"]:
        axes = (0, *range(2, x.ndim))
        mean, variance = _moments(x, axes, one_of("batch_norm", "normalised", about["normalised"], ("biased", "unbiased")) == "unbiased")  # fmt: skip
    else:
        mean, variance = tensors["mean"].reshape(shape), tensors["variance"].reshape(shape)
    found = normalised(x, mean, variance, about["epsilon"], about["place"])
    return [np.moveaxis(_scaled(found, tensors, shape), 1, about["axis"])]


def statistics(settings: dict, tensors: dict, inputs: list) -> dict[str, np.ndarray]:
    """{"mean", "variance"} after one pass in training. keep: the share of the old that stays; unbiased: the variance that comes in."""
    about, x = read("batch_norm", settings, DEFAULTS["batch_norm"]), np.asarray(inputs[0], np.float64)
    if about["frozen"]:
        return {role: tensors[role].copy() for role in ("mean", "variance")}
    if about["keep"] is None:
        raise Unknown("batch_norm: a cumulative average depends on how many batches it has seen")
    x = np.moveaxis(x, about["axis"], 1)
    mean, variance = (one.ravel() for one in _moments(x, (0, *range(2, x.ndim)), about["unbiased"]))
    keep = about["keep"]
    return {role: keep * tensors[role] + (1 - keep) * new for role, new in (("mean", mean), ("variance", variance))}


def _scaled(x, tensors, shape, offset=0.0):
    if "weight" in tensors:
        x = x * (tensors["weight"].reshape(shape) + offset)
    return x + tensors["bias"].reshape(shape) if "bias" in tensors else x


def layer_norm(settings: dict, tensors: Arrays, inputs: list[np.ndarray], training: bool) -> list[np.ndarray]:
    """axes: how many of the last ones, or which. unbiased: by n - 1. offset: what is added to the weight."""
    about = read("layer_norm", settings, DEFAULTS["layer_norm"])
    x = inputs[0]
    axes = _axes(about["axes"], x)
    mean, variance = _moments(x, axes, about["unbiased"])
    found = normalised(x, mean, variance, about["epsilon"], about["place"])
    return [_scaled(found, tensors, _shape(axes, x), about["offset"])]


def _axes(axes, x):
    axes = range(x.ndim - axes, x.ndim) if isinstance(axes, int) else [axis % x.ndim for axis in axes]
    if not axes or min(axes) < 0:
        raise Unknown(f"a norm over {list(axes)} of {x.ndim} axes")
    return tuple(axes)


def _shape(axes, x):
    return tuple(n if axis in axes else 1 for axis, n in enumerate(x.shape))


def rms_norm(settings: dict, tensors: Arrays, inputs: list[np.ndarray], training: bool) -> list[np.ndarray]:
    about = read("rms_norm", settings, DEFAULTS["rms_norm"])
    x = inputs[0]
    axes = _axes(about["axes"], x)
    found = normalised(x, 0.0, (x * x).mean(axes, keepdims=True), about["epsilon"], about["place"])
    return [_scaled(found, tensors, _shape(axes, x), about["offset"])]


def _grouped(x, groups, tensors, about):
    if x.shape[1] % groups:
        raise Unknown(f"{x.shape[1]} channels in {groups} groups")
    parts = x.reshape(len(x), groups, -1)
    if about.get("interleaved"):
        parts = x.reshape(len(x), x.shape[1] // groups, groups, -1).swapaxes(1, 2).reshape(len(x), groups, -1)
    found = normalised(parts, *_moments(parts, (2,), about["unbiased"]), about["epsilon"], about["place"])
    if about.get("interleaved"):
        found = found.reshape(len(x), groups, x.shape[1] // groups, -1).swapaxes(1, 2)
    return _scaled(found.reshape(x.shape), tensors, (1, -1) + (1,) * (x.ndim - 2))


def group_norm(settings: dict, tensors: Arrays, inputs: list[np.ndarray], training: bool) -> list[np.ndarray]:
    """interleaved: every `groups`-th channel is one group, not neighbours."""
    about = read("group_norm", settings, DEFAULTS["group_norm"])
    groups = inputs[0].shape[1] if about["groups"] == -1 else about["groups"]
    return [_grouped(inputs[0], groups, {role: tensors[role] for role in ("weight", "bias") if role in tensors}, about)]


def instance_norm(settings: dict, tensors: Arrays, inputs: list[np.ndarray], training: bool) -> list[np.ndarray]:
    """Of a layer that keeps running statistics those are used in evaluation."""
    about = read("instance_norm", settings, DEFAULTS["instance_norm"])
    x, shape = inputs[0], (1, -1) + (1,) * (inputs[0].ndim - 2)
    if "mean" in tensors and not training:
        mean, variance = channels(tensors["mean"], x.ndim), channels(tensors["variance"], x.ndim)
        return [_scaled(normalised(x, mean, variance, about["epsilon"], about["place"]), tensors, shape)]
    return [_grouped(x, x.shape[1], tensors, about)]


DEFAULTS = {
    "batch_norm": {"epsilon": REQUIRED, "keep": 0.9, "unbiased": False, "place": "inside", "normalised": "biased", "frozen": False, "axis": 1},
    "layer_norm": {"epsilon": REQUIRED, "axes": 1, "unbiased": False, "place": "inside", "offset": 0.0},
    "group_norm": {"epsilon": REQUIRED, "groups": REQUIRED, "unbiased": False, "place": "inside", "interleaved": False},
    "instance_norm": {"epsilon": REQUIRED, "unbiased": False, "place": "inside", "keep": None},
    "rms_norm": {"epsilon": REQUIRED, "axes": 1, "place": "inside", "offset": 0.0},
}  # fmt: skip
RUN = {"batch_norm": batch_norm, "layer_norm": layer_norm, "group_norm": group_norm, "instance_norm": instance_norm, "rms_norm": rms_norm}  # fmt: skip

BATCH, LAYER = "Batch norm: three conventions in one name", "Layer, group and RMS norm: ε and what is counted"
UNBIASED = Knob("whether the variance is divided by n or n - 1", LAYER, BOTH)


def _epsilon(anchor):
    return {
        "epsilon": Knob("ε that is added to the variance", anchor, EPSILONS),
        "place": Knob("whether ε is added to the variance or to its root", anchor, PLACES),
    }


def _keeps(settings):
    keep = settings.get("keep")
    return (*(() if keep is None else (round(1 - keep, 12),)), 0.9, 0.99, 0.999, 0.1, 0.01, 0.95, 0.9997)


OFFSET = Knob("what is added to the weight, as where weights start at 0", LAYER, (0.0, 1.0))
AXES = Knob("how many of the last axes are normalised", LAYER, (1, 2, 3))
KNOBS = {
    "batch_norm": {
        **_epsilon(BATCH),
        "keep": Knob("the share of the running statistics that stays", BATCH, _keeps),
        "unbiased": Knob("whether the running variance takes in n / (n - 1) times the batch's", BATCH, BOTH),
        "frozen": Knob("whether training too normalises by the running statistics", BATCH, BOTH),
        "normalised": Knob("by which variance the batch is normalised", BATCH, ("biased", "unbiased")),
        "axis": Knob("the axis of the channels", BATCH, (1, -1)),
    },
    "layer_norm": {**_epsilon(LAYER), "unbiased": UNBIASED, "offset": OFFSET, "axes": AXES},
    "group_norm": {
        **_epsilon(LAYER),
        "unbiased": UNBIASED,
        "groups": Knob("how many groups of channels", LAYER, (32, 16, 8, 4, 2, 1, -1)),
        "interleaved": Knob("whether a group's channels are neighbours", LAYER, BOTH),
    },
    "instance_norm": {**_epsilon(LAYER), "unbiased": UNBIASED},
    "rms_norm": {**_epsilon(LAYER), "offset": OFFSET, "axes": AXES},
}
