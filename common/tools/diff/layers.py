"""The stages of a forward pass: every layer in the models, and alone on the reference's inputs."""

from dataclasses import replace

import numpy as np

from common.tools.diff import causes, gaps, numbers, repro
from common.tools.diff.arrangement import alike, joined
from common.tools.diff.conventions.dense import padded
from common.tools.diff.numbers import deviation
from common.tools.diff.pair import Pair, forward
from common.tools.diff.verdict import DIFFERENT, EQUAL, NOT_JUDGED, Cause, Stage

WIDER = 16.0  # times what an activation is given


def passes(pair: Pair, training: bool) -> None:
    """One mode: every layer in the models, and alone on the reference's inputs."""
    name = f"forward, {'training' if training else 'evaluation'}"
    pair.restore()
    ours, theirs = (joined(pair, k, forward(side, pair.inputs, training)) for k, side in enumerate(pair.sides))
    if training:
        pair.restored.clear()
    again = joined(pair, 0, _shaken(pair, training))
    bars = _bars(pair, ours, again)
    ours, theirs = alike(pair, ours, theirs)
    parted, drops = None, -1
    dropping = {one.path for one in pair.described[0].layers if one.kind == "dropout" and one.settings.get("rate")}
    for number, path, ins, outs in ours.numbered():
        drops += path in dropping
        row = pair.rows.get(path)
        if row is None or row.port is None:
            continue
        others = theirs.of(row.port)
        if number >= len(others):
            row.note = "called more often in the reference"
            continue
        _, other_ins, other_outs = others[number]
        bar = max(bars.get((path, number), 0.0), numbers.LEAST[pair.dtype])
        row.bar = max(row.bar, bar)
        row.inputs = _worst(row.inputs, ins, other_ins)
        row.outputs = _worst(row.outputs, outs, other_outs)
        if row.kind == "dropout" and training:  # alone it would draw; in the models its mask is replayed
            made = other_outs if not _worst(None, ins, other_ins) > bar else None
        else:
            made = _alone(pair, row.port, ins, training)
        if made is None:
            continue
        if row.kind == "activation" and "name" in row.differ and not _worst(None, outs, made) > bar:
            ins, outs, made = _wider(pair, path, row.port, ins, training)
        row.alone = _worst(row.alone, outs, made)
        if row.faulty and _worst(None, outs, made) > bar:
            cause = _layer_cause(pair, name, row, ins, outs, made, training, drops)
            if set(cause.settings) and set(cause.settings) <= set(causes.ROUNDED):
                row.note, row.bar = cause.words, max(row.bar, row.alone)
                where = _weighted(pair, ours, path)
                pair.noise[where] = max(pair.noise.get(where, 0.0), row.alone)
                continue
            if parted is None:
                parted = row
                if path not in pair.leads[0] and row.port not in pair.leads[1]:
                    pair.repro = pair.repro or repro.Repro(name, path, row.port, training, ins, pair.tensors(path))
            pair.add(cause)
    if pair.noise:
        bars = _bars(pair, ours, joined(pair, 0, _shaken(pair, training)))
    pair.passed = ours
    _finish(pair, name, ours, theirs, bars, parted)


def _weighted(pair: Pair, passed, path):
    """The layer with weights at which noise of the layer `path` can be made: itself, or the last before it, or the first."""
    held = {one.path for one in pair.described[0].layers if one.tensors}
    until = passed.order.index(path) + 1 if path in passed.order else len(passed.order)
    before = [one for one in passed.order[:until] if one in held]
    return before[-1] if before else next((one for one in passed.order if one in held), path)


def _shaken(pair: Pair, training):
    """The reference's pass when every input and weight is off by a rounding."""
    pair.reference.put(pair.moved())
    return forward(pair.reference, numbers.moved(pair.inputs, pair.dtype, pair.rng), training)


def _bars(pair: Pair, ours, again):
    found = {}
    for (number, path, _, outs), (_, _, moved) in zip(ours.numbered(), again.calls, strict=True):
        worst = max((deviation(a, b) for a, b in zip(outs, moved, strict=True)), default=0.0)
        found[path, number] = numbers.FACTOR * worst
    least = numbers.LEAST[pair.dtype] * (1 + len(ours.calls))  # each layer may be so far off by itself
    for name, value in ours.outputs.items():
        found["output", name] = max(numbers.FACTOR * deviation(value, again.outputs[name]), least)
    return found


def _alone(pair: Pair, path, ins, training):
    """Of the port, after the padding that leads to it, and cut by what cuts it."""
    if (lead := pair.leads[1].get(path)) is not None:
        ins = _alone(pair, lead.path, ins, training) if lead.path else [padded(ins[0], lead.settings["padding"])]
    if axes := pair.axes.get(path):
        ins = [np.moveaxis(one, *axes[::-1]) for one in ins]
    if training:
        pair.restored.discard(pair.port)
    try:
        _, made = pair.port.ask("alone", {str(k): v for k, v in enumerate(ins)}, path=path, training=training)
    except Exception as error:
        if (line := f"port: {path} cannot be run alone: {error}") not in pair.verdict.uncovered:
            pair.verdict.uncovered.append(line)
        return None
    made = [made[str(k)] for k in range(len(made))]
    made = [np.moveaxis(one, *axes) for one in made] if axes else made
    return _alone(pair, tail.path, made, training) if (tail := pair.tails[1].get(path)) else made


def _wider(pair: Pair, path, partner, ins, training):
    """(inputs, the reference's outputs, the port's) of two activations of other names that agree where they were called: ReLU6 is
    ReLU of what is below 6."""
    wide = [WIDER * x for x in ins]
    _, outs = pair.reference.ask("alone", {str(k): v for k, v in enumerate(wide)}, path=path, training=training)
    return wide, [outs[str(k)] for k in range(len(outs))], _alone(pair, partner, wide, training)


def _layer_cause(pair: Pair, stage, row, ins, outs, made, training, number):
    """`number`: which dropout of the pass it is, if it is one."""
    a, b = next((a, b) for a, b in pair.matching.pairs if a.path == row.reference)
    a, b = (causes.led(one, pair.leads[k].get(one.path)) for k, one in enumerate((a, b)))
    a, b = (causes.cut(one, pair.tails[k].get(one.path)) for k, one in enumerate((a, b)))
    if a.kind == "dropout":
        a, b = (replace(one, settings=one.settings | {"number": number}) for one in (a, b))
    return causes.of_layer(stage, a, b, pair.tensors(a.path), ins, outs, made, training, row.bar)


def _finish(pair: Pair, name, ours, theirs, bars, parted, notes=()):
    """The stage's verdict; and where no layer is faulty alone, what lies between two of them."""
    worst, where = 0.0, ""
    outputs = dict(ours.outputs)
    if list(outputs) != list(theirs.outputs):
        note = f"outputs {list(outputs)} here, {list(theirs.outputs)} there"
        pair.verdict.stages.append(Stage(name, DIFFERENT, float("inf"), None, "outputs", [note]))
        pair.add(Cause(name, "outputs", f"the models return other structures: {note}"))
        pair.unlike = note
        return
    if not any(np.isfinite(value).any() for one in (ours, theirs) for value in one.outputs.values()):
        note = (
            "no output is finite, on neither side: inputs(rng) is to draw what the models can take with random weights"
        )
        pair.verdict.stages.append(Stage(name, NOT_JUDGED, notes=[note]))
        return
    different = False
    for key, value in outputs.items():
        apart = deviation(value, theirs.outputs[key])
        different |= not apart <= bars["output", key]
        if apart >= worst:
            worst, where = apart, f"output {key}".strip()
    bar = max(bars["output", key] for key in outputs)
    if not different and parted is None:
        pair.verdict.stages.append(Stage(name, EQUAL, worst, bar, where, list(notes)))
        return
    if parted is None:
        cause, apart = gaps.of_glue(name, pair.matching, ours, theirs, numbers.LEAST[pair.dtype] * 1e3, pair.inputs)
        if cause.settings and set(cause.settings) <= set(causes.ROUNDED):
            place = _weighted(pair, ours, cause.where)
            if apart > pair.noise.get(place, 0.0):  # once for each place
                pair.noise[place] = apart
                bars = _bars(pair, ours, joined(pair, 0, _shaken(pair, name.endswith("training"))))
                return _finish(pair, name, ours, theirs, bars, parted, [*notes, cause.words])
        pair.add(cause)
        where = cause.where
    else:
        where = parted.reference
        for cause in gaps.of_gaps(name, pair.matching, ours, theirs, numbers.LEAST[pair.dtype] * 1e3, pair.inputs):
            pair.add(cause)
    pair.verdict.stages.append(Stage(name, DIFFERENT, worst, bar, where))


def _worst(before, ours, theirs):
    apart = (
        float("inf")
        if len(ours) != len(theirs)
        else max((deviation(a, b) for a, b in zip(ours, theirs, strict=True)), default=0.0)
    )
    return apart if before is None else max(before, apart)
