"""Convolutions of one to three axes, and transposed ones, by products of matrices."""

from collections.abc import Sequence

import numpy as np

from common.probing import Arrays
from common.tools.diff.conventions.base import BOTH, Knob, Unknown, channels, one_of, pairs, read, sides
from common.tools.diff.conventions.dense import padded

PADDINGS = ("same", "same_lower", "half", "valid", "causal")


def resolved(
    padding: str | int | Sequence, size: Sequence[int], stride: Sequence[int], window: Sequence[int]
) -> list[tuple[int, int]]:
    """[(before, after)] of each axis. Words: "same" as TensorFlow has it, what is odd at the end; "same_lower" at the beginning;
    "half" of the `window` less one on both sides, whatever the stride; "valid" none; "causal" all before."""
    if not isinstance(padding, str):
        return pairs(padding, len(size))
    found = []
    for n, s, w in zip(size, stride, window, strict=True):
        total = max((-(-n // s) - 1) * s + w - n, 0)
        found.append(
            {
                "same": (total // 2, total - total // 2),
                "same_lower": (total - total // 2, total // 2),
                "half": ((w - 1) // 2, (w - 1) // 2),
                "valid": (0, 0),
                "causal": (w - 1, 0),
            }[one_of("padding", "the word", padding, PADDINGS)]
        )
    return found


def windows(x: np.ndarray, size: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> np.ndarray:
    """(N, C, outputs..., window...) of a padded (N, C, ...), a view."""
    counts = [(n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(x.shape[2:], size, stride, dilation, strict=True)]
    if min(counts) < 1:
        raise Unknown(f"windows of {size} do not fit into {x.shape[2:]}")
    steps = x.strides
    strides = (*steps[:2], *(a * s for a, s in zip(steps[2:], stride, strict=True)), *(a * d for a, d in zip(steps[2:], dilation, strict=True)))  # fmt: skip
    return np.lib.stride_tricks.as_strided(x, (*x.shape[:2], *counts, *size), strides, writeable=False)


def correlate(
    x: np.ndarray, weight: np.ndarray, stride: Sequence[int], dilation: Sequence[int], groups: int
) -> np.ndarray:
    """(N, O, ...) of a padded `x` (N, C, ...) and `weight` (O, C/G, K...), a sample at a time: memory stays small."""
    size = weight.shape[2:]
    if x.shape[1] != weight.shape[1] * groups or len(weight) % groups:
        raise Unknown(f"conv: {x.shape[1]} channels, a weight {weight.shape} in {groups} groups")
    seen = windows(x, size, stride, dilation)
    counts = seen.shape[2 : 2 + len(size)]
    weight = weight.reshape(groups, len(weight) // groups, -1)
    out = np.empty((len(x), weight.shape[0] * weight.shape[1], *counts))
    order = (0, *range(1 + len(size), 1 + 2 * len(size)), *range(1, 1 + len(size)))
    for n, sample in enumerate(seen):
        columns = sample.transpose(order).reshape(groups, weight.shape[2], -1)
        out[n] = (weight @ columns).reshape(out.shape[1:])
    return out


def _kernel(about, weight):
    """As it is used: turned by half a circle, with its first and last spatial axis exchanged, or its first two."""
    spatial = tuple(range(2, weight.ndim))
    if about["transposed"]:
        weight = weight.swapaxes(0, 1)
    if about["turned"]:
        weight = np.flip(weight, spatial)
    return np.swapaxes(weight, 2, -1) if about["swapped"] else weight


def conv(settings: dict, tensors: Arrays, inputs: list[np.ndarray], training: bool) -> list[np.ndarray]:
    """mode: what is padded with. turned: a convolution as mathematics has it. swapped: height and width of the kernel exchanged."""
    about = read("conv", settings, DEFAULTS["conv"])
    x, weight = inputs[0], _kernel(about, tensors["weight"])
    dims = weight.ndim - 2
    if x.ndim != dims + 2:
        raise Unknown(f"conv: an input of {x.ndim} axes, a weight of {weight.ndim}")
    stride, dilation = sides(about["stride"], dims), sides(about["dilation"], dims)
    window = [d * (k - 1) + 1 for k, d in zip(weight.shape[2:], dilation, strict=True)]
    padding = resolved(about["padding"], x.shape[2:], stride, window)
    found = correlate(padded(x, padding, about["mode"]), weight, stride, dilation, about["groups"])
    return [found + channels(tensors["bias"], found.ndim) if "bias" in tensors else found]


def _cuts(padding, stride, window):
    """[(before, after)] that is cut off the full result, (n - 1) * stride + window: "same" leaves n * stride of it."""
    if not isinstance(padding, str):
        return pairs(padding, len(stride))
    found = []
    for s, w in zip(stride, window, strict=True):
        less, more = max(w - s, 0) // 2, max(w - s, 0) - max(w - s, 0) // 2
        found.append(
            {
                "same": (less, w - s - less),
                "same_lower": (more, w - s - more),
                "valid": (0, min(w - s, 0)),
                "half": ((w - 1) // 2, (w - 1) // 2),
                "causal": (0, w - s),
            }[one_of("padding", "the word", padding, PADDINGS)]
        )
    return found


def conv_transpose(settings: dict, tensors: Arrays, inputs: list[np.ndarray], training: bool) -> list[np.ndarray]:
    """The gradient of a convolution with respect to its input. turned: Flax's way, the kernel as it is on the spread input."""
    about = read("conv_transpose", settings, DEFAULTS["conv_transpose"])
    x, weight, groups = inputs[0], _kernel(about, tensors["weight"]), about["groups"]
    dims = weight.ndim - 2
    if x.ndim != dims + 2 or x.shape[1] != len(weight) or len(weight) % groups:
        raise Unknown(f"conv_transpose: an input {x.shape}, a weight {weight.shape} in {groups} groups")
    stride, dilation = sides(about["stride"], dims), sides(about["dilation"], dims)
    window = [d * (k - 1) + 1 for k, d in zip(weight.shape[2:], dilation, strict=True)]
    spread = np.zeros((*x.shape[:2], *((n - 1) * s + 1 for n, s in zip(x.shape[2:], stride, strict=True))))
    spread[(slice(None), slice(None), *(slice(None, None, s) for s in stride))] = x
    cuts = _cuts(about["padding"], stride, window)
    spread = padded(spread, [(w - 1 - a, w - 1 - b) for w, (a, b) in zip(window, cuts, strict=True)])
    if min(spread.shape) < 1:
        raise Unknown(f"conv_transpose: nothing is left of {x.shape} when {cuts} is cut")
    # (I, O/G, K...) -> (O, I/G, K...), turned by half a circle
    parts = weight.reshape(groups, len(weight) // groups, *weight.shape[1:]).swapaxes(1, 2)
    turned = np.flip(parts.reshape(-1, *parts.shape[2:]), tuple(range(2, 2 + dims)))
    found = correlate(spread, turned, [1] * dims, dilation, groups)
    return [found + channels(tensors["bias"], found.ndim) if "bias" in tensors else found]


WAYS = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "turned": False, "swapped": False, "transposed": False}
DEFAULTS = {"conv": WAYS | {"mode": "zeros"}, "conv_transpose": WAYS}
RUN = {"conv": conv, "conv_transpose": conv_transpose}


def _paddings(settings):
    """The words; and the numbers that are given, at the other ends."""
    found, padding = list(PADDINGS), settings.get("padding", 0)
    if not isinstance(padding, (str, int)):
        each = pairs(padding, len(padding))
        found += [[[b, a] for a, b in each], [[a + b, 0] for a, b in each], [[0, a + b] for a, b in each]]
        found += [[[a - 1, b] for a, b in each], [[a, b - 1] for a, b in each]] if all(a and b for a, b in each) else []
        found += [[[(a + b) // 2, (a + b) - (a + b) // 2] for a, b in each]]
    return found


SAME, KERNELS, TRANSPOSED = (
    '"same" is not a padding of 1',
    "Images and kernels of convolutions",
    "Transposed convolutions",
)
SWAPPED = Knob("height and width of the kernel", KERNELS, BOTH)
CHANNELS = Knob("a kernel's inputs and outputs", KERNELS, BOTH)
KNOBS = {
    "conv": {
        "padding": Knob("how much is padded at which end", SAME, _paddings),
        "turned": Knob("whether the kernel is turned by half a circle", KERNELS, BOTH),
        "swapped": SWAPPED,
        "transposed": CHANNELS,
        "dilation": Knob("the distance of a kernel's numbers", KERNELS, (1, 2, 3)),
        "mode": Knob("what is padded with", "Padding with other than zeros", ("zeros", "reflect", "replicate", "circular")),
        "groups": Knob("groups of channels that do not see each other", KERNELS),
        "stride": Knob("the step of the window", KERNELS),
    },
    "conv_transpose": {
        "padding": Knob("what is cut off the full result, at which end", TRANSPOSED, _paddings),
        "turned": Knob("whether the kernel is turned by half a circle", TRANSPOSED, BOTH),
        "swapped": SWAPPED,
        "transposed": CHANNELS,
        "dilation": Knob("the distance of a kernel's numbers", KERNELS, (1, 2, 3)),
        "groups": Knob("groups of channels that do not see each other", KERNELS),
        "stride": Knob("the step of the window", KERNELS),
    },
}  # fmt: skip
