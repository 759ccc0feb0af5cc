"""Which layer of the port is which of the reference: by kind, shape, order of calls and name.

Layers with parameters are matched first, inside groups of the same kind and the same shape of weights, by an assignment of
least cost. Those without (activations, pooling, dropout) are matched by their order between two that are. What cannot be matched
is listed, and judged as part of what lies between its neighbours. `pins` {path of the reference: path of the port} come first.
"""

import difflib
from dataclasses import dataclass, field

import numpy as np

from common.errors import UsageError, choose
from common.probing import Layer

ORDER, NAME = (1.0, 0.2), (0.2, 1.0)  # (weight of the distance in the order of calls, weight of that of the names)


@dataclass
class Matching:
    """Pairs of layers in the reference's order of calls, and what is left over on either side."""

    pairs: list[tuple[Layer, Layer]] = field(default_factory=list)
    only_reference: list[Layer] = field(default_factory=list)
    only_port: list[Layer] = field(default_factory=list)

    @property
    def paths(self) -> dict[str, str]:
        """{path of the reference: path of the port}."""
        return {a.path: b.path for a, b in self.pairs}

    def keys(self) -> dict[str, str]:
        """{key of the reference's tensor: key of the port's}, of roles that both have in the same shape."""
        return {
            f"{a.path}/{role}": f"{b.path}/{role}"
            for a, b in self.pairs
            for role, tensor in a.tensors.items()
            if role in b.tensors and b.tensors[role].shape == tensor.shape
        }


def signature(layer: Layer) -> tuple:
    """What two layers that are the same must share. Of biases one side may have more than the other."""
    shapes = {role: tensor.shape for role, tensor in layer.tensors.items() if "bias" not in role}
    if layer.kind in ("batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm"):
        # Scale and shift may be left out on one side alone; the number of channels is what counts.
        return layer.kind, max((tensor.shape for tensor in layer.tensors.values()), default=())
    if layer.kind == "unknown":
        return layer.kind, tuple(sorted(tensor.shape for tensor in layer.tensors.values()))
    return layer.kind, tuple(sorted(shapes.items()))


def _roles(layer: Layer) -> tuple:
    return tuple(sorted((role, tensor.shape) for role, tensor in layer.tensors.items()))


def match(
    reference: list[Layer],
    port: list[Layer],
    calls: tuple[list[str], list[str]],
    pins: dict[str, str],
    weights: tuple[float, float] = ORDER,
) -> Matching:
    """`calls`: the paths of both sides in the order in which a forward pass called them.

    Raises UsageError for a pin that names no layer, or two of different shapes.
    """
    from scipy.optimize import linear_sum_assignment  # after the sides were started, which take longer to start

    pinned = _pinned(reference, port, pins)
    places = [_places(layers, order) for layers, order in zip((reference, port), calls, strict=True)]
    pairs = list(pinned)
    left = [one for one in reference if one.tensors and one.path not in pins]
    right = [one for one in port if one.tensors and one.path not in pins.values()]
    for group in dict.fromkeys(map(signature, left)):
        ours, theirs = ([one for one in side if signature(one) == group] for side in (left, right))
        if ours and theirs:
            costs = np.array([[_cost(a, b, places, weights) for b in theirs] for a in ours])
            pairs += [(ours[i], theirs[j]) for i, j in zip(*linear_sum_assignment(costs), strict=True)]
    # What is unknown on one side may be what the other side knows: a layer that somebody wrote themselves.
    for group in dict.fromkeys(map(_roles, left)):
        taken = {one.path for pair in pairs for one in pair[:1]}, {one.path for pair in pairs for one in pair[1:]}
        ours, theirs = (
            [one for one in side if one.path not in used and _roles(one) == group]
            for side, used in zip((left, right), taken, strict=True)
        )
        if len(ours) == len(theirs) and any(one.kind == "unknown" for one in (*ours, *theirs)):
            pairs += zip(*(sorted(side, key=lambda one, k=k: places[k][one.path]) for k, side in enumerate((ours, theirs))), strict=True)  # fmt: skip
    pairs += _between(reference, port, calls, pairs)
    return _sorted(pairs, reference, port, places[0])


def _pinned(reference, port, pins):
    found = []
    for a, b in pins.items():
        pair = []
        for path, layers, side in ((a, reference, "reference"), (b, port, "port")):
            names = {one.path: one for one in layers}
            if path not in names:
                raise UsageError(f"pins: the {side} has no layer {path!r}{choose(path, names)}")
            pair.append(names[path])
        if signature(pair[0]) != signature(pair[1]):
            raise UsageError(
                f"pins: {a!r} and {b!r} are not the same kind of layer with the same shape: {signature(pair[0])}, {signature(pair[1])}"
            )
        found.append(tuple(pair))
    return found


def _places(layers, order):
    """{path: where in a pass it is called, from 0 to 1}; what is not called comes last."""
    called = list(dict.fromkeys(order))
    found = {path: k / max(len(called) - 1, 1) for k, path in enumerate(called)}
    return {one.path: found.get(one.path, 2.0) for one in layers}


def _cost(a, b, places, weights):
    apart = abs(places[0][a.path] - places[1][b.path])
    unlike = 1 - difflib.SequenceMatcher(None, _words(a.path), _words(b.path), autojunk=False).ratio()
    return weights[0] * apart + weights[1] * unlike


def _words(path):
    return path.lower().replace(".", "_").replace("/", "_")


def _between(reference, port, calls, pairs):
    """Layers without parameters, by their kinds in order, between each two neighbours that are matched."""
    partner = {a.path: b.path for a, b in pairs}
    known = [{one.path: one for one in layers} for layers in (reference, port)]
    ours, theirs = (
        _stretches(list(dict.fromkeys(order)), anchors)
        for order, anchors in zip(calls, (set(partner), set(partner.values())), strict=True)
    )
    found = []
    for anchor, stretch in ours.items():
        other = theirs.get(partner.get(anchor) if anchor else None, [])
        left, right = (
            [side[p] for p in paths if p in side and not side[p].tensors]
            for side, paths in zip(known, (stretch, other), strict=True)
        )
        matcher = difflib.SequenceMatcher(None, [one.kind for one in left], [one.kind for one in right], autojunk=False)
        for block in matcher.get_matching_blocks():
            found += zip(left[block.a : block.a + block.size], right[block.b : block.b + block.size], strict=True)
    return found


def _stretches(order, anchors):
    """{anchor, or None at the start: the paths that are called after it and before the next}."""
    found, last = {None: []}, None
    for path in order:
        if path in anchors:
            last = path
            found[last] = []
        else:
            found[last].append(path)
    return found


def _sorted(pairs, reference, port, places):
    pairs = sorted(pairs, key=lambda pair: places[pair[0].path])
    ours, theirs = {a.path for a, _ in pairs}, {b.path for _, b in pairs}
    return Matching(
        pairs,
        [one for one in reference if one.path not in ours],
        [one for one in port if one.path not in theirs],
    )
