"""What two sides may arrange otherwise and compute the same: padding by a layer or a function of its own, channels last."""

import numpy as np

from common.probing import Layer
from common.tools.diff.pair import Pair, Pass

LED, CUT = ("conv", "pool"), "conv_transpose"
ANYHOW = ("activation", "dropout")  # kinds that take every number by itself, wherever channels stand


def joined(pair: Pair, side: int, passed: Pass) -> Pass:
    """Layers of padding without a partner become part of the convolution or pooling that they alone lead to, layers that cut
    part of the transposed convolution before them."""
    layers = {one.path: one for one in pair.described[side].layers}
    lonely = {one.path for one in (pair.matching.only_reference, pair.matching.only_port)[side] if one.kind == "pad"}
    calls = []
    for path, ins, outs in passed.calls:
        if path in layers and layers[path].kind == "attention":
            ins = (ins * 3)[:3] if len(ins) == 1 else [*ins, ins[-1]][:3]  # keys and values that are left out
        before = calls[-1] if calls else None
        if before and before[0] in lonely and layers[path].kind in LED and np.array_equal(before[2][0], ins[0]):
            pair.leads[side][path] = layers[before[0]]
            calls[-1] = (path, before[1], outs)
        elif before and path in lonely and layers[before[0]].kind == CUT and np.array_equal(before[2][0], ins[0]):
            pair.tails[side][before[0]] = layers[path]
            calls[-1] = (before[0], before[1], outs)
        else:
            calls.append((path, ins, outs))
    return Pass(passed.outputs, calls)


def alike(pair: Pair, ours: Pass, theirs: Pass) -> tuple[Pass, Pass]:
    """Where a convolution or pooling is given inputs of other sizes, the borders of zeros that a function has put around them become
    part of it; where an activation has its channels at another place in the port, they are put where the reference's are."""
    kinds = {a.path: a.kind for a, _ in pair.matching.pairs}
    partner = pair.matching.paths
    for k, (number, path, ins, outs) in enumerate(ours.numbered()):
        places = [j for j, call in enumerate(theirs.calls) if call[0] == partner.get(path)]
        if number >= len(places) or len(ins) != 1 or kinds[path] not in (*LED, *ANYHOW):
            continue
        _, others, results = theirs.calls[places[number]]
        if len(others) != 1 or ins[0].ndim != others[0].ndim or ins[0].shape == others[0].shape:
            continue
        if kinds[path] in LED:
            borders = [_border(one) for one in (ins[0], others[0])]
            inner = [_inside(one, border) for one, border in zip((ins[0], others[0]), borders, strict=True)]
            if inner[0].shape != inner[1].shape:
                continue
            for side, (name, border) in enumerate(zip((path, partner[path]), borders, strict=True)):
                if np.any(border) and name not in pair.leads[side]:
                    pair.leads[side][name] = Layer("", "pad", "", {"padding": border, "mode": "constant", "value": 0.0})
            ours.calls[k], theirs.calls[places[number]] = (path, [inner[0]], outs), (partner[path], [inner[1]], results)
        elif (axes := _moved(others[0].shape, ins[0].shape)) and "axis" not in pair.rows[path].differ:
            pair.axes[partner[path]] = axes
            theirs.calls[places[number]] = (partner[path], *([np.moveaxis(x, *axes) for x in one] for one in (others, results)))  # fmt: skip
    return ours, theirs


def _border(x: np.ndarray) -> list[list[int]]:
    """[[before, after]] of each spatial axis of (N, C, ...): how many places at its ends hold nothing but 0."""
    found = []
    for axis in range(2, x.ndim):
        held = np.flatnonzero(x.any(tuple(k for k in range(x.ndim) if k != axis)))
        found.append([int(held[0]), int(x.shape[axis] - 1 - held[-1])] if len(held) else [0, 0])
    return found


def _inside(x, border):
    return x[(..., *(slice(before, x.shape[2 + k] - after) for k, (before, after) in enumerate(border)))]


def _moved(shape, wanted) -> tuple[int, int] | None:
    """(from, to) of the axis of channels, the second or the last."""
    for axes in ((-1, 1), (1, -1)):
        if np.moveaxis(np.empty(shape, bool), *axes).shape == tuple(wanted):
            return axes
    return None
