"""Multi-head attention."""

import numpy as np

from common.probing import Arrays
from common.tools.diff.conventions.activations import log_softmax
from common.tools.diff.conventions.base import BOTH, REQUIRED, Knob, Unknown, one_of, read

ORDERS, SPLITS = ("qkv", "qvk"), ("heads_first", "heads_last")
SCALES = ("head", "width", "none")


def attention(settings: dict, tensors: Arrays, inputs: list[np.ndarray], training: bool) -> list[np.ndarray]:
    """Inputs: one for query, key and value; query and another; or the three in `order`; after three others a mask, of which
    `mask` says whether what is true is "masked" or "kept".

    scale: of the products, 1 / √ of a head's size or of the whole width. split: which part of a row tells the head. batch: the
    axis of the samples. over: the axis of softmax, -1 for the keys.
    """
    about = read("attention", settings, DEFAULTS["attention"])
    if training and about["dropout"]:
        raise Unknown("attention that drops in training; expected dropout to be 0")
    arrays, mask = (inputs[:3], inputs[3]) if len(inputs) > 3 else (inputs, None)
    query, key, value = {1: lambda: arrays * 3, 2: lambda: [arrays[0], arrays[1], arrays[1]], 3: lambda: arrays}[len(arrays)]()  # fmt: skip
    if one_of("attention", "order", about["order"], ORDERS) == "qvk":
        key, value = value, key
    query, key, value = (
        _heads(_dense(np.moveaxis(x, about["batch"], 0), tensors, part), about)
        for x, part in ((query, "query"), (key, "key"), (value, "value"))
    )
    size = query.shape[-1]
    scale = {"head": size**-0.5, "width": (size * about["heads"]) ** -0.5, "none": 1.0}.get(about["scale"], about["scale"])  # fmt: skip
    if not isinstance(scale, float):
        raise Unknown(f"attention: scale is {scale!r}; expected one of {', '.join(SCALES)}, or a number")
    logits = scale * query @ key.swapaxes(-1, -2)
    kept = np.ones(logits.shape[-2:], bool)
    if about["causal"]:
        kept = np.tril(kept)
    if mask is not None:
        kept = kept & ((mask == 0) == (one_of("attention", "mask", about["mask"], ("masked", "kept")) == "masked"))
    shares = np.exp(log_softmax(np.where(kept, logits, -1e300), about["over"]))
    found = shares @ value
    found = found.transpose(0, 2, 1, 3) if about["split"] == "heads_first" else found.transpose(0, 2, 3, 1)
    found = _dense(found.reshape(*found.shape[:2], -1), tensors, "out")
    return [np.moveaxis(found, 0, about["batch"])]


def _dense(x, tensors, part):
    return x @ tensors[f"{part}_weight"].T + tensors.get(f"{part}_bias", 0.0)


def _heads(x, about):
    """(N, T, E) as (N, heads, T, E / heads)."""
    n, t, width = x.shape
    if width % about["heads"]:
        raise Unknown(f"attention: {width} numbers for {about['heads']} heads")
    if one_of("attention", "split", about["split"], SPLITS) == "heads_first":
        return x.reshape(n, t, about["heads"], -1).transpose(0, 2, 1, 3)
    return x.reshape(n, t, -1, about["heads"]).transpose(0, 3, 1, 2)


RUN = {"attention": attention}
DEFAULTS = {
    "attention": {
        "heads": REQUIRED, "scale": "head", "causal": False, "split": "heads_first", "batch": 0, "order": "qkv", "mask": "masked",
        "over": -1, "dropout": 0.0,
    }
}  # fmt: skip

ATTENTION = "Multi-head attention: scale, heads and masks"
KNOBS = {
    "attention": {
        "scale": Knob("what the products are multiplied by", ATTENTION, SCALES),
        "causal": Knob("whether a place sees what comes after it", ATTENTION, BOTH),
        "mask": Knob("whether a mask tells what is kept or what is masked", ATTENTION, ("masked", "kept")),
        "split": Knob("whether neighbours in a row are of one head", ATTENTION, SPLITS),
        "order": Knob("the order in which query, key and value are given", ATTENTION, ORDERS),
        "batch": Knob("the axis of the samples", ATTENTION, (0, 1)),
        "over": Knob("the axis of softmax", ATTENTION, (-1, -2, 1)),
        "heads": Knob("how many heads", ATTENTION, (1, 2, 4, 8)),
    }
}
