"""Causes, each named only when NumPy under the conventions of both sides gives the numbers of both; else "unknown"."""

import numpy as np

from common.probing import Arrays, Layer
from common.tools.diff.conventions import updates
from common.tools.diff.conventions.explain import differing, explain
from common.tools.diff.conventions.glue import explain_glue
from common.tools.diff.conventions.layers import KNOBS, run, statistics
from common.tools.diff.conventions.losses import explain_loss
from common.tools.diff.numbers import deviation
from common.tools.diff.verdict import Cause

SOURCES = 4  # calls before one whose outputs may be what it is given


def shown(value) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def said(knobs: dict, settings: dict[str, tuple]) -> str:
    """ "ε that is added to the variance: 1e-05 in the reference, 0.001 in the port"."""
    return "; ".join(
        f"{knobs[name].says if name in knobs else name}: {shown(a)} in the reference, {shown(b)} in the port"
        for name, (a, b) in settings.items()
    )


def guide(knobs: dict, settings) -> str:
    return next((knobs[name].anchor for name in settings if name in knobs and knobs[name].anchor), "")


def of_layer(stage: str, a: Layer, b: Layer, tensors: Arrays, ins, outs, made, training: bool, bar: float) -> Cause:
    """Why the two layers give `outs` and `made` on the same inputs."""
    unknown = Cause(stage, a.path, f"{a.title} and {b.title} give different results on the same input; no convention that is known explains both")  # fmt: skip
    if a.kind == "unknown" or a.kind != b.kind:
        return unknown
    ours = explain(a.kind, a.settings, tensors, ins, outs, training, bar)
    theirs = explain(b.kind, b.settings, tensors, ins, made, training, bar)
    if ours is None or theirs is None:
        return unknown
    names = differing(a.kind, ours, theirs, tensors, ins, training)
    if not names:
        return unknown
    settings = {name: (ours.get(name), theirs.get(name)) for name in names}
    mended = run(a.kind, theirs | {name: ours.get(name) for name in names}, tensors, ins, training)
    left = max(deviation(x, y) for x, y in zip(outs, mended, strict=True))
    knobs = KNOBS.get(a.kind, {})
    return Cause(
        stage, a.path, said(knobs, settings), settings, True, guide(knobs, settings), advice(b, settings), left
    )


def advice(b: Layer, settings) -> str:
    """Which line of the port to change."""
    return f"in the port, {b.path} ({b.title}): " + _numbers(settings)


def of_glue(stage: str, matching, ours, theirs, tolerance: float, inputs: Arrays) -> Cause:
    """What lies between layers that agree: where the inputs of a call first differ though all outputs before it agree."""
    partner, seen = matching.paths, {}
    given = [list(inputs.values())[:1] or [], list(inputs.values())[:1] or []]
    before = ([("the input", x) for x in given[0]], [("the input", x) for x in given[1]])
    targets = []
    for path, ins, outs in ours.calls:
        number = seen[path] = seen.get(path, -1) + 1
        others = theirs.of(partner[path]) if path in partner else []
        if number >= len(others):
            continue
        for x, y in zip(ins, others[number][1], strict=False):
            if not deviation(x, y) <= tolerance:
                targets.append((path, x, y))
                break
        if targets:
            break
        before[0].append((path, outs[0]))
        before[1].append((path, others[number][2][0]))
    if not targets:
        (name, x), *_ = ours.outputs.items()
        targets.append(("the output", x, theirs.outputs[name]))
    path, x, y = targets[0]
    for (name, source), (_, other) in list(zip(*before, strict=True))[: -SOURCES - 1 : -1]:
        a, b = explain_glue(source, x, tolerance), explain_glue(other, y, tolerance)
        if a is None or b is None or a == b:
            continue
        words = f"between {name} and {path}: {_steps(a)} in the reference, {_steps(b)} in the port"
        settings = {f"{k + 1}": (one, two) for k, (one, two) in enumerate(_aligned(a, b)) if one != two}
        return Cause(
            stage,
            path,
            words,
            settings,
            True,
            _glue_guide(a, b),
            f"in the port, before {partner.get(path, path)}: {_steps(a)}",
            0.0,
        )
    last = before[0][-1][0] if before[0] else "the input"
    return Cause(
        stage,
        path,
        f"what lies between {last} and {path} gives other numbers; no convention that is known explains both",
    )


def _aligned(a, b):
    width = max(len(a), len(b))
    return zip(a + [None] * (width - len(a)), b + [None] * (width - len(b)), strict=True)


def _steps(steps):
    return ", then ".join(_step(one) for one in steps) or "nothing"


def _step(one):
    numbers = {k: v for k, v in one["settings"].items() if k not in ("name", "op")}
    name = one["settings"].get("name") or one["settings"].get("op") or ""
    title = f"{name} {one['kind']}" if one["kind"] != "activation" else name
    return title.strip() + (f" ({', '.join(f'{k} {shown(v)}' for k, v in numbers.items())})" if numbers else "")


def _glue_guide(a, b):
    for one, two in _aligned(a, b):
        if one != two and (step := one or two):
            knobs = KNOBS.get(step["kind"], {})
            names = [
                n for n in step["settings"] if not one or not two or one["settings"].get(n) != two["settings"].get(n)
            ]
            if found := guide(knobs, names):
                return found
    return ""


def of_loss(described, outputs: Arrays, inputs: Arrays, ours, theirs, bar: float) -> Cause:
    """Each is (value, gradient with respect to the outputs)."""
    a, b = (explain_loss(outputs, inputs, value, gradient, bar) for value, gradient in (ours, theirs))
    titles = " and ".join(one.loss["title"] for one in described)
    if a is None or b is None or a == b:
        ratio = theirs[0] / ours[0] if ours[0] else float("nan")
        return Cause("loss", "loss", f"{titles} give {ours[0]:.6g} and {theirs[0]:.6g} on the same output (a ratio of {ratio:.6g}); no loss that is known explains both")  # fmt: skip
    settings = {n: (a.get(n), b.get(n)) for n in sorted(a.keys() | b.keys()) if a.get(n) != b.get(n)}
    words = f"the reference's loss is {_loss(a)}, the port's {_loss(b)}"
    return Cause("loss", "loss", words, settings, True, "reductions" if "reduction" in settings else "", f"in the port's loss: {', '.join(f'{n} {shown(x)}' for n, (x, _) in settings.items())}", 0.0)  # fmt: skip


def _loss(one):
    return f"{one.get('name')} ({', '.join(f'{k} {shown(v)}' for k, v in one.items() if k != 'name')})"


def of_gradients(wrong, count: int) -> Cause:
    """Where all before agrees. `wrong`: (key, the reference's, the port's or None)."""
    where = wrong[0][0].rsplit("/", 1)[0]
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


def of_update(described, before: Arrays, gradients, rates, ours, theirs, bar: float) -> Cause:
    a, b = (
        updates.explain_update(one.optimizer, before, gradients, list(rates), after, bar)
        for one, after in zip(described, (ours, theirs), strict=True)
    )
    titles = " and ".join(one.optimizer["title"] for one in described)
    if a is None or b is None:
        which = " and ".join(n for n, one in zip(("the reference's", "the port's"), (a, b), strict=True) if one is None)
        return Cause("update", "optimizer", f"{titles} move the same parameters differently; {which} update is explained by no convention that is known")  # fmt: skip
    names = ["name"] if a["name"] != b["name"] else updates.differing(a, b, before, gradients, list(rates))
    if not names:
        return Cause(
            "update",
            "optimizer",
            f"{titles} move the same parameters differently; no convention that is known explains it",
        )
    settings = {name: (a.get(name), b.get(name)) for name in names}
    advice = f"in the port's {described[1].optimizer['title']}: {_numbers(settings)}"
    return Cause(
        "update", "optimizer", said(updates.KNOBS, settings), settings, True, updates.anchor(a, names[0]), advice, 0.0
    )


def _numbers(settings):
    return ", ".join(f"{name} {shown(a)}" for name, (a, _) in settings.items())


def of_state(a: Layer, b: Layer, before: Arrays, inputs, after, bar: float) -> Cause:
    """Why running statistics differ after the same pass. `after`: those of both sides, {"mean", "variance"}."""
    found = []
    for layer, x, own in zip((a, b), inputs, after, strict=True):
        found.append(_explained_state(layer, before, x, own, bar))
    if None in found:
        return Cause(
            "state",
            a.path,
            f"the running statistics of {a.title} and {b.title} differ; no convention that is known explains both",
        )
    settings = {n: (found[0][n], found[1][n]) for n in ("keep", "unbiased") if found[0][n] != found[1][n]}
    if not settings:
        return Cause("state", a.path, "the running statistics differ, as the inputs of the layer do")
    knobs = KNOBS.get("batch_norm", {})
    return Cause(
        "state", a.path, said(knobs, settings), settings, True, guide(knobs, settings), advice(b, settings), 0.0
    )


def _explained_state(layer, before, x, own, bar):
    keeps = dict.fromkeys(
        (layer.settings.get("keep"), *(m for k in (0.1, 0.01, 0.001, 0.2, 0.05, 0.003) for m in (1 - k, k)))
    )
    for keep in keeps:
        for unbiased in (layer.settings.get("unbiased", False), not layer.settings.get("unbiased", False)):
            if keep is None:
                continue
            tried = {"keep": keep, "unbiased": unbiased, "epsilon": layer.settings.get("epsilon", 0.0)}
            new = statistics(tried, before, [x])
            if all(deviation(own[n], new[n]) <= bar for n in own):
                return tried
    return None
