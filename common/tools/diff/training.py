"""The stages of training: loss, gradients, updates, running statistics, and several updates in a row."""

import numpy as np

from common.tools.diff import causes, numbers
from common.tools.diff.numbers import deviation
from common.tools.diff.pair import Pair, forward
from common.tools.diff.verdict import DIFFERENT, EQUAL, NOT_JUDGED, Cause, Stage

RATES = (1.0, 0.5, 2.0)  # of the update stage, as factors
STEPS = 10  # of the trajectory


def loss(pair: Pair) -> None:
    """Both losses on the reference's outputs."""
    if not all(one.loss for one in pair.described):
        return _skip(pair, "loss", "loss")
    if any(one.whole for one in pair.described):
        return  # they are among the outputs
    if pair.unlike:
        pair.verdict.stages.append(Stage("loss", NOT_JUDGED, notes=[pair.unlike]))
        return
    arrays = {f"output/{k}": v for k, v in pair.passed.outputs.items()} | pair.inputs
    (a, ours), (b, theirs) = (side.ask("loss", arrays, inputs=True) for side in pair.sides)
    apart = max(deviation(np.array(a["value"]), np.array(b["value"])), *(deviation(v, theirs.get(k, np.nan)) for k, v in ours.items()), 0.0)  # fmt: skip
    bar = 1e3 * numbers.LEAST[pair.dtype]
    different = not apart <= bar
    if different:
        pair.verdict.causes.append(causes.of_loss(pair.described, pair.passed.outputs, pair.inputs, (a["value"], ours), (b["value"], theirs), bar))  # fmt: skip
    pair.verdict.stages.append(
        Stage("loss", DIFFERENT if different else EQUAL, apart, bar, "loss" if different else "")
    )


def _skip(pair: Pair, name, what):
    missing = [side for side, one in zip(("reference", "port"), pair.described, strict=True) if not getattr(one, what)]
    pair.verdict.stages.append(Stage(name, NOT_JUDGED, notes=[f"no {what} in {' and '.join(missing)}"]))


def gradients(pair: Pair) -> None:
    if not all(one.loss for one in pair.described):
        return _skip(pair, "gradients", "loss")
    pair.restore()
    (_, ours), (_, theirs) = (side.ask("gradients", pair.inputs, inputs=True) for side in pair.sides)
    pair.restored.clear()
    pair.reference.put(pair.moved())
    _, shaken = pair.reference.ask("gradients", numbers.moved(pair.inputs, pair.dtype, pair.rng), inputs=True)
    keys, worst, where, wrong = pair.matching.keys(), 0.0, "", []
    scale = max((float(np.abs(v).max()) for v in ours.values()), default=0.0)
    places = {path: k for k, path in enumerate(pair.passed.order)}
    soft, before_soft = _soft(pair)
    for key, value in sorted(ours.items(), key=lambda item: places.get(item[0].rsplit("/", 1)[0], -1)):
        if key not in keys:
            continue
        other = theirs.get(keys[key])
        bar = max(numbers.FACTOR * deviation(value, shaken[key]), 1e2 * numbers.LEAST[pair.dtype])
        if key.rsplit("/", 1)[0] in before_soft:
            bar = max(bar, numbers.FACTOR * numbers.EPSILON["float32"])
        apart = float("inf") if other is None else deviation(value, other)
        # What is 0 up to rounding (a bias before a batch norm) deviates by any factor from another 0.
        if other is not None and max(np.abs(value).max(), np.abs(other).max()) < 1e-9 * scale:
            apart = 0.0
        if not apart <= bar:
            wrong.append((key, value, other))
        if apart >= worst:
            worst, where = apart, key
    earlier = pair.verdict.parted
    if wrong and earlier is None:
        pair.add(causes.of_gradients(wrong, len(ours), {a.path: a.kind for a, _ in pair.matching.pairs}))
    notes = [f"as stage {earlier.name!r} makes them"] if wrong and earlier else []
    notes += [f"the gradient of {', '.join(soft[:3])} passes through float32: what comes before it is judged by that"] if soft else []  # fmt: skip
    where = wrong[0][0] if wrong else where
    pair.verdict.stages.append(Stage("gradients", DIFFERENT if wrong else EQUAL, worst, None, where, notes))
    pair.given = ours


def _soft(pair: Pair) -> tuple[list[str], set[str]]:
    """Layers whose gradient passes through float32 on either side, and what comes before them, by the reference's paths;
    where float64 is asked for."""
    names, before, back = [], set(), {port: reference for reference, port in pair.matching.paths.items()}
    for side, (one, order) in enumerate(zip(pair.described, pair.orders, strict=True)):
        soft = {layer.path for layer in one.layers if "gradient" in (layer.settings.get("float32") or ())} & set(order)
        if soft and pair.dtype == "float64":
            names += sorted(soft, key=order.index)
            until = max(k for k, path in enumerate(order) if path in soft)
            before |= {path if side == 0 else back.get(path) for path in order[:until]}
    return names, before


def update(pair: Pair) -> None:
    """Three updates with given gradients and a rate that changes."""
    if not all(one.optimizer for one in pair.described):
        return _skip(pair, "update", "optimizer")
    if any(one.whole for one in pair.described):
        return  # the trajectory has them
    keys = pair.matching.keys()
    shared = {key for key in pair.given if key in keys} if getattr(pair, "given", None) else set()
    trained, theirs = (
        {f"{one.path}/{role}" for one in side.layers for role, t in one.tensors.items() if t.trainable}
        for side in pair.described
    )
    shared = sorted(key for key in shared or set(keys) if key in trained and keys.get(key) in theirs)
    draws = [{key: (pair.rng.standard_normal(pair.values[key].shape) * 10.0 ** (-4 * (k == 1))).astype(pair.dtype) for key in shared} for k in range(len(RATES))]  # fmt: skip
    pair.restore()
    _, ours = pair.reference.ask(
        "update", {f"{k}/{n}": v for k, one in enumerate(draws) for n, v in one.items()}, rates=RATES
    )
    _, theirs = pair.port.ask(
        "update", {f"{k}/{keys[n]}": v for k, one in enumerate(draws) for n, v in one.items()}, rates=RATES
    )
    pair.restored.clear()
    worst, where, bar = 0.0, "", 1e4 * numbers.LEAST[pair.dtype]
    for k in range(len(RATES)):
        for key in shared:
            # Of how far it moved, not of where it is.
            a, b = (
                side[f"{k}/{name}"].astype(np.float64) - pair.values[key]
                for side, name in ((ours, key), (theirs, keys[key]))
            )
            apart = deviation(a, b)
            if apart > worst:
                worst, where = apart, f"update {k + 1} of {key}"
    different = not worst <= bar
    if different:
        before = {key: pair.values[key] for key in shared}
        after = [
            {key: side[f"{k}/{name(key)}"] for key in shared}
            for side, name in ((ours, str), (theirs, keys.get))
            for k in range(len(RATES))
        ]
        n = len(RATES)
        cause = causes.of_update(pair.described, before, draws, RATES, after[:n], after[n:], bar)
        if set(cause.settings) and set(cause.settings) <= set(causes.ROUNDED):
            pair.rounded = worst
            pair.verdict.stages.append(Stage("update", EQUAL, worst, worst, notes=[cause.words]))
            return
        pair.verdict.causes.append(cause)
    pair.verdict.stages.append(
        Stage("update", DIFFERENT if different else EQUAL, worst, bar, where if different else "")
    )


def state(pair: Pair) -> None:
    """Running statistics after a pass in training mode."""
    keys = pair.matching.keys()
    kept = [k for k in keys if k.rsplit("/", 1)[1] in ("mean", "variance")]
    if not kept or pair.mode == "eval" or any(one.whole for one in pair.described):
        return
    pair.restore()
    ours, theirs = (forward(side, pair.inputs, True) for side in pair.sides)
    after, other = pair.reference.get(), pair.port.get()
    pair.restored.clear()
    worst, where, different = 0.0, "", False
    bar, notes, seen = 1e3 * numbers.LEAST[pair.dtype], [], {}
    for key in kept:
        apart, layer = deviation(after[key], other[keys[key]]), key.rsplit("/", 1)[0]
        if apart > worst:
            worst, where = apart, key
        if apart <= bar or layer in seen:
            different |= apart > bar and seen[layer]
            continue
        a, b = next(pair for pair in pair.matching.pairs if pair[0].path == layer)
        own = tuple({n: v[f"{p}/{n}"] for n in ("mean", "variance")} for v, p in ((after, a.path), (other, b.path)))
        before = {n: pair.values[f"{layer}/{n}"] for n in ("mean", "variance")}
        inputs = (ours.of(a.path)[0][1][0], theirs.of(b.path)[0][1][0])
        cause = causes.of_state(a, b, before, inputs, own, bar)
        # Both keep what their settings say of what they are given: that differs, or it is a matter of what passes through float32.
        earlier = pair.verdict.parted if not deviation(*inputs) <= bar else None
        seen[layer] = cause is not None or earlier is not None
        different |= seen[layer]
        if cause is None:
            pair.rounded = max(pair.rounded, apart if earlier is None else 0.0)
            notes.append(f"{layer}: as stage {earlier.name!r} makes them" if earlier else f"{layer}: by what passes through float32")  # fmt: skip
        elif not any(c.where == layer and "frozen" in c.settings for c in pair.verdict.causes):  # that says it all
            pair.verdict.causes.append(cause)
    pair.verdict.stages.append(Stage("state", DIFFERENT if different else EQUAL, worst, bar, where, notes))


def trajectory(pair: Pair) -> None:
    """Several updates with the models' own gradients, the same batch each time."""
    if not all(one.optimizer and one.loss for one in pair.described):
        return _skip(pair, "trajectory", "optimizer")
    if any(stage.verdict == DIFFERENT for stage in pair.verdict.stages):
        pair.verdict.stages.append(Stage("trajectory", NOT_JUDGED, notes=["an earlier stage differs"]))
        return
    pair.restore()
    (a, ours), (b, theirs) = (side.ask("train", pair.inputs, inputs=True, steps=STEPS) for side in pair.sides)
    pair.restored.clear()
    pair.reference.put(pair.moved())
    c, shaken = pair.reference.ask("train", numbers.moved(pair.inputs, pair.dtype, pair.rng), inputs=True, steps=STEPS)
    keys = pair.matching.keys()
    pairs = [(np.array(a["losses"]), np.array(b["losses"]), np.array(c["losses"]))]
    pairs += [(value, theirs[keys[key]], shaken[key]) for key, value in ours.items() if key in keys]
    soft = numbers.FACTOR * numbers.EPSILON["float32"] * bool(_soft(pair)[0])
    least = max(1e3 * numbers.LEAST[pair.dtype], numbers.FACTOR * pair.rounded, soft)
    apart, bar = 0.0, 1.0
    for one, other, moved in pairs:
        found, allowed = deviation(one, other), max(numbers.FACTOR * deviation(one, moved), least)
        if not found / allowed <= apart / bar:
            apart, bar = found, allowed
    different = not apart <= bar
    if different:
        words = f"the losses diverge over {STEPS} updates, though every stage before agrees"
        pair.verdict.causes += _biases(pair) or [Cause("trajectory", "losses", words)]
    pair.verdict.stages.append(Stage("trajectory", DIFFERENT if different else EQUAL, apart, bar))


def _biases(pair: Pair) -> list[Cause]:
    """Recurrent layers of which one side adds two biases and the other has one, where one update moves the sum of the two farther:
    asked of both sides, with the same gradient for all."""
    found = []
    for a, b in pair.matching.pairs:
        counts = tuple(
            sum(role.startswith("bias") and t.trainable for role, t in one.tensors.items()) for one in (a, b)
        )
        if set(counts) != {1, 2}:
            continue
        pair.restore()
        gradient, moves = pair.rng.standard_normal(a.tensors["bias_ih"].shape).astype(pair.dtype), []
        for side, one in zip(pair.sides, (a, b), strict=True):
            keys = [f"{one.path}/{role}" for role in one.tensors if role.startswith("bias")]
            before = side.get()
            _, after = side.ask("update", {f"0/{key}": gradient for key in keys}, rates=[1.0])
            moves.append(sum(after[f"0/{key}"].astype(np.float64) - before[key] for key in keys))
        pair.restored.clear()
        if deviation(counts[1] * moves[0], counts[0] * moves[1]) <= 1e5 * numbers.LEAST[pair.dtype]:
            words = f"biases that are added: {counts[0]} in the reference, {counts[1]} in the port; each is moved by the same gradient, so their sum moves {max(counts)} times as far"  # fmt: skip
            found.append(
                Cause("trajectory", a.path, words, {"biases": counts}, True, "Gates and biases of LSTM and GRU")
            )
    return found
