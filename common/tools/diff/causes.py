"""Causes, each named only when NumPy under the conventions of both sides gives the numbers of both; else "unknown"."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from common.probing import Arrays, Description, Layer
from common.tools.diff.conventions import updates
from common.tools.diff.conventions.activations import NAMES
from common.tools.diff.conventions.base import Unknown
from common.tools.diff.conventions.explain import ROUNDING, explain
from common.tools.diff.conventions.layers import DEFAULTS, KNOBS, run, statistics
from common.tools.diff.conventions.losses import explain_loss
from common.tools.diff.conventions.search import changing, moved
from common.tools.diff.numbers import deviation
from common.tools.diff.verdict import Cause

LOSSES = {  # {setting of a loss: heading of docs/differences.md}
    "reduction": "Reductions", "factor": "Reductions", "smoothing": "Cross-entropy's label smoothing",
    "spread": "Cross-entropy's label smoothing", "guard": "Cross-entropy on probabilities is clamped",
}  # fmt: skip
ROUNDED = ("float32", "rounded", "root", "cube")  # settings that tell what passes through float32; the last two of GELU


def shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def said(knobs: dict, settings: dict[str, tuple]) -> str:
    """ "ε that is added to the variance: 1e-05 in the reference, 0.001 in the port"."""
    return "; ".join(
        f"{knobs[name].says if name in knobs else name}: {shown(a)} in the reference, {shown(b)} in the port"
        for name, (a, b) in settings.items()
    )


def guide(knobs: dict, settings: Iterable[str]) -> str:
    return next((knobs[name].anchor for name in settings if name in knobs and knobs[name].anchor), "")


def of_layer(
    stage: str,
    a: Layer,
    b: Layer,
    tensors: Arrays,
    ins: list[np.ndarray],
    outs: list[np.ndarray],
    made: list[np.ndarray],
    training: bool,
    bar: float,
) -> Cause:
    """Why the two layers give `outs` and `made` on the same inputs."""
    unknown = Cause(stage, a.path, f"{a.title} and {b.title} give different results on the same input; no convention that is known explains both")  # fmt: skip
    if a.kind == "unknown" or a.kind != b.kind:
        return unknown
    ours = explain(a.kind, a.settings, tensors, ins, outs, training, bar)
    theirs = explain(b.kind, b.settings, tensors, ins, made, training, bar)
    if ours is None or theirs is None:
        return unknown
    names = _mending(a.kind, ours, theirs, tensors, ins, outs, training, bar)
    if not names:
        return unknown
    settings = {name: tuple(_value(a.kind, side, name) for side in (ours, theirs)) for name in names}
    mended = theirs
    for name in dict.fromkeys((*ROUNDED, *names)):
        mended = moved(mended, ours, name)
    mended = run(a.kind, mended, tensors, ins, training)
    left, knobs = _apart(outs, mended), KNOBS.get(a.kind, {})
    own = (_apart(real, run(a.kind, of, tensors, ins, training)) for real, of in ((outs, ours), (made, theirs)))
    return Cause(
        stage,
        a.path,
        said(knobs, settings),
        settings,
        True,
        guide(knobs, settings),
        advice(b, settings),
        left,
        tuple(own),
    )


def _apart(expected, found) -> float:
    return max(deviation(x, y) for x, y in zip(expected, found, strict=False))


def _value(kind, settings, name):
    """Of the setting `name`, with what it is where nothing is said."""
    usual = NAMES.get(settings.get("name"), {}) if kind == "activation" else DEFAULTS.get(kind, {})
    return settings.get(name, usual.get(name))


def _mending(kind, ours, theirs, tensors, ins, outs, training, bar) -> list[str]:
    """Of the settings in which two sides differ those that change the outputs: the one that alone turns the port's into the
    reference's, if there is one and no other does, else all."""

    def made(settings):
        return run(kind, settings, tensors, ins, training)

    names = changing(ours, theirs, DEFAULTS.get(kind, {}), made, ROUNDING)
    # What passes through float32 is named only where nothing else makes a difference.
    small = [name for name in names if name in ROUNDED]
    names = [name for name in names if name not in small] or small
    alone, rest = [], theirs
    for name in small:
        rest = moved(rest, ours, name)
    for name in names:
        try:
            found = made(moved(rest, ours, name))
        except Unknown:
            continue
        if len(found) >= len(outs) and all(deviation(x, y) <= bar for x, y in zip(outs, found, strict=False)):
            alone.append(name)
    return alone if len(alone) == 1 else names


def led(layer: Layer, pad: Layer | None) -> Layer:
    """The layer with the zeros that one before it puts around its input. What cannot be said so becomes unknown."""
    if pad is None:
        return layer
    own, more = layer.settings.get("padding", 0), pad.settings.get("padding")
    plain = pad.settings.get("mode") == "constant" and not pad.settings.get("value") and "mode" not in layer.settings
    if not plain or isinstance(own, str) or layer.kind == "pool" and np.any(own):
        return replace(layer, kind="unknown")
    padding = [[a + c, b + d] for (a, b), (c, d) in zip(own or [[0, 0]] * len(more), more, strict=True)]
    fill = {} if layer.kind == "conv" else {"fill": 0, "counted": True}
    return replace(layer, settings=layer.settings | {"padding": padding} | fill)


def cut(layer: Layer, pad: Layer | None) -> Layer:
    """The transposed convolution with what one after it cuts off. What cannot be said so becomes unknown."""
    if pad is None:
        return layer
    own, less = layer.settings.get("padding", 0), pad.settings.get("padding")
    if isinstance(own, str) or pad.settings.get("mode") != "constant" or np.max(less) > 0:
        return replace(layer, kind="unknown")
    padding = [[a - c, b - d] for (a, b), (c, d) in zip(own or [[0, 0]] * len(less), less, strict=True)]
    return replace(layer, settings=layer.settings | {"padding": padding})


def advice(b: Layer, settings: dict[str, tuple]) -> str:
    """Which line of the port to change."""
    return f"in the port, {b.path} ({b.title}): " + _numbers(settings)


def of_loss(
    described: tuple[Description, Description],
    outputs: Arrays,
    inputs: Arrays,
    ours: tuple[float, Arrays],
    theirs: tuple[float, Arrays],
    bar: float,
) -> Cause:
    """Each is (value, gradient with respect to the outputs)."""
    a, b = (explain_loss(outputs, inputs, value, gradient, bar) for value, gradient in (ours, theirs))
    titles = " and ".join(one.loss["title"] for one in described)
    if a is None or b is None or a == b:
        ratio = theirs[0] / ours[0] if ours[0] else float("nan")
        return Cause("loss", "loss", f"{titles} give {ours[0]:.6g} and {theirs[0]:.6g} on the same output (a ratio of {ratio:.6g}); no loss that is known explains both")  # fmt: skip
    names = [n for n in sorted(a.keys() | b.keys()) if a.get(n) != b.get(n)]
    # How smoothed labels are spread is nothing where there are none; what is rounded is named where nothing else differs.
    names = [n for n in names if n != "spread" or {n} <= a.keys() & b.keys()]
    settings = {n: (a.get(n), b.get(n)) for n in [n for n in names if n not in ROUNDED] or names}
    words = f"{titles} are {_loss(a)} and {_loss(b)}: {said({}, settings)}"
    guided = next((LOSSES[name] for name in settings if name in LOSSES), "")
    return Cause("loss", "loss", words, settings, True, guided, f"in the port's loss: {_numbers(settings)}")


def _loss(one):
    return f"{one['name']} of {one['takes']}" if "takes" in one else one["name"]


def of_gradients(wrong: list[tuple[str, np.ndarray, np.ndarray | None]], count: int, kinds: dict[str, str]) -> Cause:
    """Where all before agrees. `wrong`: (key, the reference's, the port's or None), in the order of calls; `kinds` of layers."""
    where = wrong[-1][0].rsplit("/", 1)[0]  # the nearest to the loss: gradients come from there
    if len(wrong) == 1 and kinds.get(where) == "embedding" and (rows := _padding_row(*wrong[0][1:])):
        words = f"the row that is kept as it is, whose gradient is 0: {rows[0]} in the reference, {rows[1]} in the port; all other rows have the same gradient"  # fmt: skip
        return Cause("gradients", where, words, {"padding": rows}, True, "The padding row of an embedding")
    names = ", ".join(key for key, _, _ in wrong[:4])
    if all(b is None or not np.any(b) for _, _, b in wrong):
        words = f"{len(wrong)} of {count} gradients are 0 or missing in the port ({names}): they are cut off from the loss there"
        return Cause("gradients", where, words, {"flows": (True, False)}, True)
    if all(not np.any(a) for _, a, _ in wrong):
        words = (
            f"{len(wrong)} of {count} gradients are 0 in the reference ({names}): they are cut off from the loss there"
        )
        return Cause("gradients", where, words, {"flows": (False, True)}, True)
    present = [
        (a.astype(np.float64), b.astype(np.float64)) for _, a, b in wrong if b is not None and a.shape == b.shape
    ]
    if len(present) == len(wrong):
        factor = float(np.vdot(*present[0]) / np.vdot(present[0][0], present[0][0]))
        if all(deviation(factor * a, b) < 1e-9 for a, b in present):
            words = f"{len(wrong)} of {count} gradients are {factor:.6g} times as large in the port, while the loss is the same"
            return Cause("gradients", where, words, {"factor": (1.0, factor)}, True)
    words = f"{len(wrong)} of {count} gradients differ ({names}), though the loss is the same; no convention that is known explains it"
    return Cause("gradients", where, words)


def _padding_row(a, b) -> tuple | None:
    """(the reference's, the port's) row without a gradient, None on the side that has none, if that is all that differs."""
    if b is None or a.shape != b.shape:
        return None
    rows = np.flatnonzero(np.any(a != 0, 1) != np.any(b != 0, 1))
    rest = np.delete(np.arange(len(a)), rows)
    if len(rows) != 1 or not deviation(a[rest], b[rest]) < 1e-9:
        return None
    row = int(rows[0])
    return (None, row) if a[row].any() else (row, None)


def of_update(
    described: tuple[Description, Description],
    before: Arrays,
    gradients: list[Arrays],
    rates: Sequence[float],
    ours: list[Arrays],
    theirs: list[Arrays],
    bar: float,
) -> Cause:
    a, b = (
        updates.explain_update(one.optimizer, before, gradients, list(rates), after, bar)
        for one, after in zip(described, (ours, theirs), strict=True)
    )
    titles = " and ".join(one.optimizer["title"] for one in described)
    if a is None or b is None:
        which = " and ".join(n for n, one in zip(("the reference's", "the port's"), (a, b), strict=True) if one is None)
        return Cause("update", "optimizer", f"{titles} move the same parameters differently; {which} update is explained by no convention that is known")  # fmt: skip
    names = ["name"] if a["name"] != b["name"] else updates.differing(a, b, before, gradients, list(rates))
    names = [name for name in names if name not in ROUNDED] or names
    if "decay" in names and not (a.get("decay") and b.get("decay")):
        names = [name for name in names if name not in ("decoupled", "decay_rate", "decay_first")]  # of no decay
    if not names:
        return Cause(
            "update",
            "optimizer",
            f"{titles} move the same parameters differently; no convention that is known explains it",
        )
    settings = {name: (a.get(name), b.get(name)) for name in names}
    advice = f"in the port's {described[1].optimizer['title']}: {_numbers(settings)}"
    defaults = updates.COMMON | updates.RULES[a["name"]][1]
    mended = a if names == ["name"] else b | {name: a.get(name, defaults.get(name)) for name in names}
    left, *own = (
        updates.apart(one, before, gradients, list(rates), after)
        for one, after in ((mended, ours), (a, ours), (b, theirs))
    )
    words, guided = said(updates.KNOBS, settings), updates.anchor(a, names[0])
    return Cause("update", "optimizer", words, settings, True, guided, advice, left, tuple(own))


def _numbers(settings):
    return ", ".join(f"{name} {shown(a)}" for name, (a, _) in settings.items())


def of_state(
    a: Layer, b: Layer, before: Arrays, inputs: Sequence[np.ndarray], after: Sequence[Arrays], bar: float
) -> Cause | None:
    """Why running statistics differ after the same pass; None if they do as the inputs do, or by what passes through float32.
    `after`: those of both sides, {"mean", "variance"}."""
    found = [_explained_state(layer, before, x, own, bar) for layer, x, own in zip((a, b), inputs, after, strict=True)]
    if None in found:
        words = f"the running statistics of {a.title} and {b.title} differ; no convention that is known explains both"
        return Cause("state", a.path, words)
    settings = {n: (found[0][n], found[1][n]) for n in ("keep", "unbiased") if found[0][n] != found[1][n]}
    if not settings:
        return None
    knobs = KNOBS.get("batch_norm", {})
    made = (found[1] | {n: found[0][n] for n in settings}, inputs[1], after[0]), *zip(found, inputs, after, strict=True)
    left, *own = (
        max(deviation(kept[n], new) for n, new in statistics(one, before, [x]).items()) for one, x, kept in made
    )
    words = said(knobs, settings)
    return Cause("state", a.path, words, settings, True, guide(knobs, settings), advice(b, settings), left, tuple(own))


def _explained_state(layer, before, x, own, bar):
    declared = layer.settings.get("keep")
    keeps = dict.fromkeys((declared, *(m for k in (0.1, 0.01, 0.001, 0.2, 0.05, 0.003) for m in (1 - k, k))))
    is_unbiased = layer.settings.get("unbiased", False)
    for keep in keeps:
        for unbiased in (is_unbiased, not is_unbiased):
            if keep is None:
                continue
            tried = {"keep": keep, "unbiased": unbiased, "epsilon": layer.settings.get("epsilon", 0.0)}
            rounded = {name: layer.settings[name] for name in ROUNDED if name in layer.settings}
            new = statistics(tried | rounded, before, [x])
            if all(deviation(own[n], new[n]) <= bar for n in own):
                return tried
    return None
