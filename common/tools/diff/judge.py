"""The stages of `tetrapla diff`, one after the other: matching, trainable sets, settings, forward in evaluation and in training mode,
loss, gradients, update, state, trajectory.

Both sides are asked in float64; where one cannot, in float32, against what one rounding of inputs and weights makes of each number.
"""

import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from common.errors import UsageError
from common.probing import Arrays, Description
from common.processes import Children
from common.tools.diff import causes, initial, matching, numbers, repro
from common.tools.diff.numbers import deviation
from common.tools.diff.sides import Side, read_inputs
from common.tools.diff.verdict import DIFFERENT, EQUAL, NOT_JUDGED, Cause, Row, Stage, Verdict, differing

RATES = (1.0, 0.5, 2.0)  # of the update stage, as factors
STEPS = 10  # of the trajectory
GATED = ("lstm", "gru")
LED, CUT = ("conv", "pool"), "conv_transpose"
WIDER = 16.0  # times what an activation is given


@dataclass
class Pass:
    """A forward pass of one side: outputs, and each call as (path, inputs, outputs)."""

    outputs: Arrays
    calls: list[tuple[str, list[np.ndarray], list[np.ndarray]]]

    def of(self, path: str) -> list:
        return [call for call in self.calls if call[0] == path]

    @property
    def order(self) -> list[str]:
        return [path for path, _, _ in self.calls]


def forward(side: Side, inputs: Arrays, training: bool) -> Pass:
    answer, arrays = side.ask("forward", inputs, inputs=True, training=training)
    calls = []
    for k, (path, ins, outs) in enumerate(answer["calls"]):
        given, made = ([arrays[f"call/{k}/{way}/{j}"] for j in range(n)] for way, n in (("in", ins), ("out", outs)))
        calls.append((path, given, made))
    return Pass(
        {name.removeprefix("output/"): value for name, value in arrays.items() if name.startswith("output/")}, calls
    )


class Judge:
    """Two sides that are asked; `verdict` grows stage by stage."""

    def __init__(self, file: Path, sides: tuple[Side, Side], inputs: Arrays, about: dict, dtype: str):
        self.inputs, self.dtype, self.mode = inputs, dtype, about["mode"]
        self.reference, self.port = sides
        self.rng = np.random.default_rng(1)
        self.described: tuple[Description, Description] = tuple(side.describe() for side in sides)
        a, b = self.described
        self.verdict = Verdict(str(file), dtype, (a.framework, b.framework), (a.versions, b.versions))
        self.pins = about["pins"]
        self.rows: dict[str, Row] = {}
        self.repro: repro.Repro | None = None
        self.noise: dict[str, float] = {}  # {layer: what its numbers' passing through float32 makes of its output}
        self.rounded = 0.0  # likewise of an update
        # {path of a layer: the layer of padding before it} and {path: the one that cuts what it gives}, of both sides
        self.leads: tuple[dict, dict] = ({}, {})
        self.tails: tuple[dict, dict] = ({}, {})
        self.unlike = ""  # how the outputs differ in structure
        self.restored: set[Side] = set()  # those that hold `values`

    @property
    def sides(self):
        return self.reference, self.port

    # ------------------------------------------------------------------------------------------ before

    def start(self) -> None:
        """Matching, and the same numbers on both sides."""
        begun = [side.get() for side in self.sides]
        first = [forward(side, self.inputs, False) for side in self.sides]
        calls = tuple(one.order for one in first)
        layers = tuple(one.layers for one in self.described)
        found = {}
        for weights in (matching.ORDER, matching.NAME):
            one = matching.match(*layers, calls, self.pins, weights)
            found.setdefault(tuple(sorted(one.paths.items())), one)
        self.orders = calls
        self.matching = max(found.values(), key=self._agreeing) if len(found) > 1 else next(iter(found.values()))
        self._share(self.matching)
        self._report_matching(len(found) > 1)
        self.verdict.initial = initial.differing(*begun, self.matching.keys())

    def _share(self, matched):
        """Random tensors for the reference, and the same for the port."""
        present = self.reference.get()
        self.reference.put(numbers.drawn(self.described[0].layers, present, np.random.default_rng(2)))
        self.values = self.reference.get()
        keys = matched.keys()
        theirs = numbers.drawn(self.described[1].layers, self.port.get(), np.random.default_rng(3))
        self.port.put(theirs)
        self.tied = tied(self.values), tied(self.port.get())
        spare = numbers.idle(self.described[1].layers, theirs, set(keys.values()))
        self.port.put(theirs | spare | {keys[key]: value for key, value in self.values.items() if key in keys})
        if alone := numbers.idle(self.described[0].layers, self.values, set(keys)):
            self.reference.put(alone)
            self.values |= alone

    def _agreeing(self, matched):
        """How many calls of matched layers agree."""
        self._share(matched)
        ours, theirs = (forward(side, self.inputs, False) for side in self.sides)
        count = sum(
            deviation(a, b) < 1e-6
            for left, right in matched.paths.items()
            for one, other in zip(ours.of(left), theirs.of(right), strict=False)
            for a, b in zip(one[2], other[2], strict=False)
        )
        return count + sum(deviation(v, theirs.outputs.get(n, np.nan)) < 1e-6 for n, v in ours.outputs.items())

    def _report_matching(self, guessed):
        left = [(one, "reference") for one in self.matching.only_reference] + [
            (one, "port") for one in self.matching.only_port
        ]
        held = [(one, side) for one, side in left if one.tensors]
        self.verdict.uncovered += [
            f"{side}: {one.path} ({one.title or 'what it is'}) has no partner" for one, side in held
        ]
        for side in ("reference", "port"):
            if count := Counter(one.title or one.kind for one, which in left if which == side and not one.tensors):
                what = ", ".join(f"{number} {title}" for title, number in count.items())
                self.verdict.uncovered.append(f"{side}: layers without weights and without partner, judged by what the next is given: {what}")  # fmt: skip
        lacking = []
        for a, b in self.matching.pairs:
            differ = {k: (a.settings.get(k), b.settings.get(k)) for k in sorted(a.settings.keys() | b.settings.keys()) if a.settings.get(k) != b.settings.get(k)}  # fmt: skip
            self.rows[a.path] = Row(a.path, b.path, a.kind, a.title, b.title, differ=differ)
            for role in sorted(a.tensors.keys() ^ b.tensors.keys()):
                side = "port" if role in a.tensors else "reference"
                if a.kind in GATED:  # two biases that are added may be one
                    line = f"{role} of {a.path}: the {side} has none; it was set to 0 on the other side"
                    self.verdict.uncovered.append(line)
                else:
                    words = f"the {side} has no {role} there; in all that follows the other side's is as if it had none"
                    lacking.append(
                        Cause("matching", a.path, words, {role: (side == "port", side != "port")}, proven=True)
                    )
        shapes = [
            f"{a.path}/{r}: {a.tensors[r].shape} here, {b.tensors[r].shape} there"
            for a, b in self.matching.pairs for r in a.tensors.keys() & b.tensors.keys() if a.tensors[r].shape != b.tensors[r].shape
        ]  # fmt: skip
        lacking += self._ties()
        verdict = DIFFERENT if held and any(one.kind != "unknown" for one, _ in held) or shapes or lacking else EQUAL
        if not self.matching.pairs and (held or not any(one.layers for one in self.described)):
            verdict = NOT_JUDGED
        notes = shapes + ([f"{len(held)} layers with parameters have no partner: name them in pins"] if held else [])
        where = held[0][0].path if held else lacking[0].where if lacking else ""
        self.verdict.stages.append(Stage("matching", verdict, where=where, notes=notes))
        self.verdict.causes += lacking
        if held:
            for one, side in held:
                words = f"only the {side} has {one.path} ({one.title}) with {', '.join(f'{r} {t.shape}' for r, t in one.tensors.items())}"
                # A layer that one side alone has is a fact; of two on either side, the matching may have missed a pair.
                fact = len({side for _, side in held}) == 1 and one.kind != "unknown"
                settings = {"layer": (side == "reference", side == "port")} if fact else {}
                self.verdict.causes.append(Cause("matching", one.path, words, settings, proven=fact))

    def _ties(self) -> list[Cause]:
        """Tensors that are one on one side and two on the other."""
        keys, found = self.matching.keys(), []
        back = {port: reference for reference, port in keys.items()}
        ours, theirs = self.tied
        theirs = {tuple(back.get(key, key) for key in pair) for pair in theirs}
        for pairs, others, sides in ((ours, theirs, (True, False)), (theirs, ours, (False, True))):
            for one, two in sorted(pairs - others - {pair[::-1] for pair in others}):
                words = f"{two} is {one} in the {'reference' if sides[0] else 'port'}, and a tensor of its own on the other side"
                found.append(Cause("matching", two.rsplit("/", 1)[0], words, {"tied": sides}, proven=True))
        return found

    def trainable(self) -> None:
        wrong = []
        for a, b in self.matching.pairs:
            for role in a.tensors.keys() & b.tensors.keys():
                if a.tensors[role].trainable != b.tensors[role].trainable:
                    which = ("trained in the reference, not in the port", "trained in the port, not in the reference")
                    words = f"{a.tensors[role].name} is {which[b.tensors[role].trainable]}"
                    wrong.append((a.path, words))
        for path, words in wrong:
            self.verdict.causes.append(Cause("trainable sets", path, words, {"trainable": (words,)}, proven=True))
        self.verdict.stages.append(
            Stage("trainable sets", DIFFERENT if wrong else EQUAL, where=wrong[0][0] if wrong else "")
        )

    def settings(self) -> None:
        """Declared numbers beside each other; whether they matter, later stages say."""
        rows = [row for row in self.rows.values() if row.differ]
        notes = [f"{row.reference}: {differing(row.differ)}" for row in rows]
        a, b = (one.optimizer for one in self.described)
        if a and b:
            names = sorted(k for k in a.keys() | b.keys() if k != "title" and a.get(k) != b.get(k))
            notes += [f"optimizer: {differing({k: (a.get(k), b.get(k)) for k in names})}"] if names else []
        self.verdict.stages.append(Stage("settings", EQUAL, notes=notes))

    # ----------------------------------------------------------------------------------------- forward

    def passes(self, training: bool) -> None:
        """One mode: every layer in the models, and alone on the reference's inputs."""
        name = f"forward, {'training' if training else 'evaluation'}"
        self._restore()
        ours, theirs = (self._led(k, forward(side, self.inputs, training)) for k, side in enumerate(self.sides))
        if training:
            self.restored.clear()
        again = self._led(0, self._shaken(training))
        bars = self._bars(ours, again)
        parted, drops = None, -1
        dropping = {one.path for one in self.described[0].layers if one.kind == "dropout" and one.settings.get("rate")}
        for path, ins, outs in ours.calls:
            drops += path in dropping
            row = self.rows.get(path)
            if row is None or row.port is None:
                continue
            number = sum(1 for one in ours.calls[: self._index(ours, path, ins)] if one[0] == path)
            others = theirs.of(row.port)
            if number >= len(others):
                row.note = "called more often in the reference"
                continue
            _, other_ins, other_outs = others[number]
            bar = max(bars.get((path, number), 0.0), numbers.LEAST[self.dtype])
            row.bar = max(row.bar, bar)
            row.inputs = _worst(row.inputs, ins, other_ins)
            row.outputs = _worst(row.outputs, outs, other_outs)
            if row.kind == "dropout" and training:  # alone it would draw; in the models its mask is replayed
                made = other_outs if not _worst(None, ins, other_ins) > bar else None
            else:
                made = self._alone(row.port, ins, training)
            if made is None:
                continue
            if row.kind == "activation" and "name" in row.differ and not _worst(None, outs, made) > bar:
                ins, outs, made = self._wider(path, row.port, ins, training)
            row.alone = _worst(row.alone, outs, made)
            if row.faulty and _worst(None, outs, made) > bar:
                cause = self._layer_cause(name, row, ins, outs, made, training, drops)
                if set(cause.settings) and set(cause.settings) <= set(causes.ROUNDED):
                    row.note, row.bar = cause.words, max(row.bar, row.alone)
                    where = self._weighted(ours, path)
                    self.noise[where] = max(self.noise.get(where, 0.0), row.alone)
                    continue
                if parted is None:
                    parted = row
                    if path not in self.leads[0] and row.port not in self.leads[1]:
                        self.repro = self.repro or repro.Repro(name, path, row.port, training, ins, self._tensors(path))
                self._add(cause)
        if self.noise:
            bars = self._bars(ours, self._led(0, self._shaken(training)))
        self._finish(name, ours, theirs, bars, parted)

    def _led(self, side: int, passed: Pass) -> Pass:
        """Layers of padding without a partner become part of the convolution or pooling that they alone lead to, layers that cut
        part of the transposed convolution before them."""
        layers = {one.path: one for one in self.described[side].layers}
        lonely = {
            one.path for one in (self.matching.only_reference, self.matching.only_port)[side] if one.kind == "pad"
        }
        calls = []
        for path, ins, outs in passed.calls:
            if path in layers and layers[path].kind == "attention":
                ins = (ins * 3)[:3] if len(ins) == 1 else [*ins, ins[-1]][:3]  # keys and values that are left out
            before = calls[-1] if calls else None
            if before and before[0] in lonely and layers[path].kind in LED and np.array_equal(before[2][0], ins[0]):
                self.leads[side][path] = layers[before[0]]
                calls[-1] = (path, before[1], outs)
            elif before and path in lonely and layers[before[0]].kind == CUT and np.array_equal(before[2][0], ins[0]):
                self.tails[side][before[0]] = layers[path]
                calls[-1] = (before[0], before[1], outs)
            else:
                calls.append((path, ins, outs))
        return Pass(passed.outputs, calls)

    def _weighted(self, passed, path):
        """The layer with weights at which noise of the layer `path` can be made: itself, or the last before it, or the first."""
        held = {one.path for one in self.described[0].layers if one.tensors}
        before = [one for one in passed.order[: passed.order.index(path) + 1] if one in held]
        return before[-1] if before else next((one for one in passed.order if one in held), path)

    def _index(self, passed, path, ins):
        return next(k for k, call in enumerate(passed.calls) if call[0] == path and call[1] is ins)

    def _theirs(self):
        keys = self.matching.keys()
        return {keys[key]: value for key, value in self.values.items() if key in keys}

    def _moved(self) -> Arrays:
        """The weights, each off by a rounding; those of a layer of which a number passes through float32 by as much as that makes."""
        self.restored.discard(self.reference)
        found = numbers.moved(self.values, self.dtype, self.rng)
        for path, apart in self.noise.items():
            for key in self.values:
                if key.rsplit("/", 1)[0] == path and key.rsplit("/", 1)[1] not in ("mean", "variance"):
                    found[key] = self.values[key] * (1 + apart * self.rng.choice((-1.0, 1.0), self.values[key].shape))
        return found

    def _shaken(self, training):
        """The reference's pass when every input and weight is off by a rounding."""
        self.reference.put(self._moved())
        return forward(self.reference, numbers.moved(self.inputs, self.dtype, self.rng), training)

    def _bars(self, ours, again):
        found, seen = {}, {}
        for (path, _, outs), (_, _, moved) in zip(ours.calls, again.calls, strict=True):
            number = seen[path] = seen.get(path, -1) + 1
            worst = max((deviation(a, b) for a, b in zip(outs, moved, strict=True)), default=0.0)
            found[path, number] = numbers.FACTOR * worst
        for name, value in ours.outputs.items():
            found["output", name] = max(
                numbers.FACTOR * deviation(value, again.outputs[name]), numbers.LEAST[self.dtype]
            )
        return found

    def _alone(self, path, ins, training):
        """Of the port, after the padding that leads to it, and cut by what cuts it."""
        if lead := self.leads[1].get(path):
            ins = self._alone(lead.path, ins, training)
        if training:
            self.restored.discard(self.port)
        try:
            _, made = self.port.ask("alone", {str(k): v for k, v in enumerate(ins)}, path=path, training=training)
        except Exception as error:
            self.verdict.uncovered.append(f"port: {path} cannot be run alone: {error}")
            return None
        made = [made[str(k)] for k in range(len(made))]
        return self._alone(tail.path, made, training) if (tail := self.tails[1].get(path)) else made

    def _wider(self, path, partner, ins, training):
        """(inputs, the reference's outputs, the port's) of two activations of other names that agree where they were called: ReLU6 is
        ReLU of what is below 6."""
        wide = [WIDER * x for x in ins]
        _, outs = self.reference.ask("alone", {str(k): v for k, v in enumerate(wide)}, path=path, training=training)
        return wide, [outs[str(k)] for k in range(len(outs))], self._alone(partner, wide, training)

    def _layer_cause(self, stage, row, ins, outs, made, training, number):
        """`number`: which dropout of the pass it is, if it is one."""
        a, b = next((a, b) for a, b in self.matching.pairs if a.path == row.reference)
        a, b = (causes.led(one, self.leads[k].get(one.path)) for k, one in enumerate((a, b)))
        a, b = (causes.cut(one, self.tails[k].get(one.path)) for k, one in enumerate((a, b)))
        if a.kind == "dropout":
            a, b = (replace(one, settings=one.settings | {"number": number}) for one in (a, b))
        return causes.of_layer(stage, a, b, self._tensors(a.path), ins, outs, made, training, row.bar)

    def _add(self, cause):
        """Once for a layer in both modes, if it is the same."""
        if not any((one.where, one.settings) == (cause.where, cause.settings) for one in self.verdict.causes):
            self.verdict.causes.append(cause)

    def _tensors(self, path):
        """{role: array} of the reference's layer."""
        return {key.rsplit("/", 1)[1]: value for key, value in self.values.items() if key.rsplit("/", 1)[0] == path}

    def _finish(self, name, ours, theirs, bars, parted):
        """The stage's verdict; and where no layer is faulty alone, what lies between two of them."""
        worst, where = 0.0, ""
        outputs = dict(ours.outputs)
        if list(outputs) != list(theirs.outputs):
            note = f"outputs {list(outputs)} here, {list(theirs.outputs)} there"
            self.verdict.stages.append(Stage(name, DIFFERENT, float("inf"), None, "outputs", [note]))
            self._add(Cause(name, "outputs", f"the models return other structures: {note}"))
            self.passed, self.unlike = ours, note
            return
        if not any(np.isfinite(value).any() for one in (ours, theirs) for value in one.outputs.values()):
            note = "no output is finite, on neither side: inputs(rng) is to draw what the models can take with random weights"
            self.verdict.stages.append(Stage(name, NOT_JUDGED, notes=[note]))
            self.passed = ours
            return
        different = False
        for key, value in outputs.items():
            apart = deviation(value, theirs.outputs[key])
            different |= not apart <= bars["output", key]
            if apart >= worst:
                worst, where = apart, f"output {key}".strip()
        bar = max(bars["output", key] for key in outputs)
        if not different and parted is None:
            self.verdict.stages.append(Stage(name, EQUAL, worst, bar, where))
            self.passed = ours
            return
        if parted is None:
            cause = causes.of_glue(name, self.matching, ours, theirs, numbers.LEAST[self.dtype] * 1e3, self.inputs)
            self._add(cause)
            where = cause.where
        else:
            where = parted.reference
            for cause in causes.of_gaps(
                name, self.matching, ours, theirs, numbers.LEAST[self.dtype] * 1e3, self.inputs
            ):
                self._add(cause)
        self.verdict.stages.append(Stage(name, DIFFERENT, worst, bar, where))
        self.passed = ours

    # --------------------------------------------------------------------- loss, gradients, update, state

    def loss(self) -> None:
        """Both losses on the reference's outputs."""
        if not all(one.loss for one in self.described):
            return self._skip("loss", "loss")
        if any(one.whole for one in self.described):
            return  # they are among the outputs
        if self.unlike:
            self.verdict.stages.append(Stage("loss", NOT_JUDGED, notes=[self.unlike]))
            return
        arrays = {f"output/{k}": v for k, v in self.passed.outputs.items()} | self.inputs
        (a, ours), (b, theirs) = (side.ask("loss", arrays, inputs=True) for side in self.sides)
        apart = max(deviation(np.array(a["value"]), np.array(b["value"])), *(deviation(v, theirs.get(k, np.nan)) for k, v in ours.items()), 0.0)  # fmt: skip
        bar = 1e3 * numbers.LEAST[self.dtype]
        different = not apart <= bar
        if different:
            self.verdict.causes.append(causes.of_loss(self.described, self.passed.outputs, self.inputs, (a["value"], ours), (b["value"], theirs), bar))  # fmt: skip
        self.verdict.stages.append(
            Stage("loss", DIFFERENT if different else EQUAL, apart, bar, "loss" if different else "")
        )

    def _skip(self, name, what):
        missing = [
            side for side, one in zip(("reference", "port"), self.described, strict=True) if not getattr(one, what)
        ]
        self.verdict.stages.append(Stage(name, NOT_JUDGED, notes=[f"no {what} in {' and '.join(missing)}"]))

    def gradients(self) -> None:
        if not all(one.loss for one in self.described):
            return self._skip("gradients", "loss")
        self._restore()
        (_, ours), (_, theirs) = (side.ask("gradients", self.inputs, inputs=True) for side in self.sides)
        self.restored.clear()
        self.reference.put(self._moved())
        _, shaken = self.reference.ask("gradients", numbers.moved(self.inputs, self.dtype, self.rng), inputs=True)
        keys, worst, where, wrong = self.matching.keys(), 0.0, "", []
        scale = max((float(np.abs(v).max()) for v in ours.values()), default=0.0)
        places = {path: k for k, path in enumerate(self.passed.order)}
        soft, before_soft = self._soft()
        for key, value in sorted(ours.items(), key=lambda item: places.get(item[0].rsplit("/", 1)[0], -1)):
            if key not in keys:
                continue
            other = theirs.get(keys[key])
            bar = max(numbers.FACTOR * deviation(value, shaken[key]), 1e2 * numbers.LEAST[self.dtype])
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
        earlier = self.verdict.parted
        if wrong and earlier is None:
            self._add(causes.of_gradients(wrong, len(ours)))
        notes = [f"as stage {earlier.name!r} makes them"] if wrong and earlier else []
        notes += [f"the gradient of {', '.join(soft[:3])} passes through float32: what comes before it is judged by that"] if soft else []  # fmt: skip
        where = wrong[0][0] if wrong else where
        self.verdict.stages.append(Stage("gradients", DIFFERENT if wrong else EQUAL, worst, None, where, notes))
        self.given = ours

    def _soft(self) -> tuple[list[str], set[str]]:
        """Layers whose gradient passes through float32 on either side, and what comes before them, by the reference's paths;
        where float64 is asked for."""
        names, before, back = [], set(), {port: reference for reference, port in self.matching.paths.items()}
        for side, (one, order) in enumerate(zip(self.described, self.orders, strict=True)):
            soft = {layer.path for layer in one.layers if "gradient" in (layer.settings.get("float32") or ())} & set(
                order
            )
            if soft and self.dtype == "float64":
                names += sorted(soft, key=order.index)
                until = max(k for k, path in enumerate(order) if path in soft)
                before |= {path if side == 0 else back.get(path) for path in order[:until]}
        return names, before

    def _restore(self):
        """Every stage begins with the same numbers; a side that has them still is given none."""
        for side, values in ((self.reference, lambda: self.values), (self.port, self._theirs)):
            if side not in self.restored:
                side.put(values())
                self.restored.add(side)

    def update(self) -> None:
        """Three updates with given gradients and a rate that changes."""
        if not all(one.optimizer for one in self.described):
            return self._skip("update", "optimizer")
        if any(one.whole for one in self.described):
            return  # the trajectory has them
        keys = self.matching.keys()
        shared = {key for key in self.given if key in keys} if getattr(self, "given", None) else set()
        trained, theirs = (
            {f"{one.path}/{role}" for one in side.layers for role, t in one.tensors.items() if t.trainable}
            for side in self.described
        )
        shared = sorted(key for key in shared or set(keys) if key in trained and keys.get(key) in theirs)
        draws = [{key: (self.rng.standard_normal(self.values[key].shape) * 10.0 ** (-4 * (k == 1))).astype(self.dtype) for key in shared} for k in range(len(RATES))]  # fmt: skip
        self._restore()
        _, ours = self.reference.ask(
            "update", {f"{k}/{n}": v for k, one in enumerate(draws) for n, v in one.items()}, rates=RATES
        )
        _, theirs = self.port.ask(
            "update", {f"{k}/{keys[n]}": v for k, one in enumerate(draws) for n, v in one.items()}, rates=RATES
        )
        self.restored.clear()
        worst, where, bar = 0.0, "", 1e4 * numbers.LEAST[self.dtype]
        for k in range(len(RATES)):
            for key in shared:
                # Of how far it moved, not of where it is.
                a, b = (
                    side[f"{k}/{name}"].astype(np.float64) - self.values[key]
                    for side, name in ((ours, key), (theirs, keys[key]))
                )
                apart = deviation(a, b)
                if apart > worst:
                    worst, where = apart, f"update {k + 1} of {key}"
        different = not worst <= bar
        if different:
            before = {key: self.values[key] for key in shared}
            after = [
                {key: side[f"{k}/{name(key)}"] for key in shared}
                for side, name in ((ours, str), (theirs, keys.get))
                for k in range(len(RATES))
            ]
            n = len(RATES)
            cause = causes.of_update(self.described, before, draws, RATES, after[:n], after[n:], bar)
            if set(cause.settings) and set(cause.settings) <= set(causes.ROUNDED):
                self.rounded = worst
                self.verdict.stages.append(Stage("update", EQUAL, worst, worst, notes=[cause.words]))
                return
            self.verdict.causes.append(cause)
        self.verdict.stages.append(
            Stage("update", DIFFERENT if different else EQUAL, worst, bar, where if different else "")
        )

    def state(self) -> None:
        """Running statistics after a pass in training mode."""
        keys = self.matching.keys()
        kept = [k for k in keys if k.rsplit("/", 1)[1] in ("mean", "variance")]
        if not kept or self.mode == "eval" or any(one.whole for one in self.described):
            return
        self._restore()
        ours, theirs = (forward(side, self.inputs, True) for side in self.sides)
        after, other = self.reference.get(), self.port.get()
        self.restored.clear()
        worst, where, different = 0.0, "", False
        bar, notes, seen = 1e3 * numbers.LEAST[self.dtype], [], {}
        for key in kept:
            apart, layer = deviation(after[key], other[keys[key]]), key.rsplit("/", 1)[0]
            if apart > worst:
                worst, where = apart, key
            if apart <= bar or layer in seen:
                different |= apart > bar and seen[layer]
                continue
            a, b = next(pair for pair in self.matching.pairs if pair[0].path == layer)
            own = tuple({n: v[f"{p}/{n}"] for n in ("mean", "variance")} for v, p in ((after, a.path), (other, b.path)))
            before = {n: self.values[f"{layer}/{n}"] for n in ("mean", "variance")}
            inputs = (ours.of(a.path)[0][1][0], theirs.of(b.path)[0][1][0])
            cause = causes.of_state(a, b, before, inputs, own, bar)
            earlier = self.verdict.parted
            seen[layer] = cause is not None or earlier is not None
            different |= seen[layer]
            if cause is None:
                notes.append(f"{layer}: as stage {earlier.name!r} makes them" if earlier else f"{layer}: by what passes through float32")  # fmt: skip
            elif not any(c.where == layer and "frozen" in c.settings for c in self.verdict.causes):  # that says it all
                self.verdict.causes.append(cause)
        self.verdict.stages.append(Stage("state", DIFFERENT if different else EQUAL, worst, bar, where, notes))

    def trajectory(self) -> None:
        """Several updates with the models' own gradients, the same batch each time."""
        if not all(one.optimizer and one.loss for one in self.described):
            return self._skip("trajectory", "optimizer")
        if any(stage.verdict == DIFFERENT for stage in self.verdict.stages):
            self.verdict.stages.append(Stage("trajectory", NOT_JUDGED, notes=["an earlier stage differs"]))
            return
        self._restore()
        (a, ours), (b, theirs) = (side.ask("train", self.inputs, inputs=True, steps=STEPS) for side in self.sides)
        self.restored.clear()
        self.reference.put(self._moved())
        c, shaken = self.reference.ask(
            "train", numbers.moved(self.inputs, self.dtype, self.rng), inputs=True, steps=STEPS
        )
        keys = self.matching.keys()
        pairs = [(np.array(a["losses"]), np.array(b["losses"]), np.array(c["losses"]))]
        pairs += [(value, theirs[keys[key]], shaken[key]) for key, value in ours.items() if key in keys]
        soft = numbers.FACTOR * numbers.EPSILON["float32"] * bool(self._soft()[0])
        least = max(1e3 * numbers.LEAST[self.dtype], numbers.FACTOR * self.rounded, soft)
        apart, bar = 0.0, 1.0
        for one, other, moved in pairs:
            found, allowed = deviation(one, other), max(numbers.FACTOR * deviation(one, moved), least)
            if not found / allowed <= apart / bar:
                apart, bar = found, allowed
        different = not apart <= bar
        if different:
            self.verdict.causes.append(
                Cause("trajectory", "losses", f"the losses part over {STEPS} updates, though every stage before agrees")
            )
        self.verdict.stages.append(Stage("trajectory", DIFFERENT if different else EQUAL, apart, bar))


def tied(values: Arrays) -> set[tuple[str, str]]:
    """Pairs of keys of one tensor, told by the random numbers that they hold."""
    first, found = {}, set()
    for key, value in values.items():
        if key.rsplit("/", 1)[1] in ("mean", "variance"):
            continue
        other = first.setdefault((value.shape, value.tobytes()), key)
        if other != key:
            found.add((other, key))
    return found


def _worst(before, ours, theirs):
    apart = (
        float("inf")
        if len(ours) != len(theirs)
        else max((deviation(a, b) for a, b in zip(ours, theirs, strict=True)), default=0.0)
    )
    return apart if before is None else max(before, apart)


def diff(
    file: Path,
    *,
    timeout: float = 300.0,
    pythons: tuple[str | None, str | None] = (None, None),
    dtype: str | None = None,
) -> Verdict:
    """Judge the two functions of `file`.

    Raises SideFailed where a side cannot be built or asked, UsageError for pins that fit nothing.
    """
    start = time.perf_counter()
    file = file.resolve()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tetrapla-diff-")))
        children = stack.enter_context(Children())
        about, inputs = read_inputs(children, file, folder, timeout, pythons[0])
        if about["mode"] not in ("train", "eval"):
            raise UsageError(f"{file}: mode is {about['mode']!r}; expected 'train' or 'eval'")
        why = []
        for wanted in (dtype,) if dtype else ("float64", "float32"):
            sides = tuple(
                Side(children, file, n, folder, wanted, timeout, p)
                for n, p in zip(("reference", "port"), pythons, strict=True)
            )
            import scipy.optimize  # noqa: F401  what matching needs, while they start

            for side in sides:
                side.wait()
            judge = Judge(file, sides, inputs, about, wanted)
            lower = [
                (side.name, one.dtype_why)
                for side, one in zip(sides, judge.described, strict=True)
                if one.dtype != wanted
            ]
            if not lower:
                break
            why = lower
            for side in sides:
                side.process.kill()
        judge.start()
        judge.trainable()
        judge.settings()
        judge.passes(False)
        if about["mode"] == "train":
            judge.passes(True)
            judge.loss()
            judge.gradients()
            judge.update()
            judge.state()
            judge.trajectory()
        judge.verdict.rows = list(judge.rows.values())
        if judge.repro:
            judge.verdict.repro = judge.repro.written(judge.reference, judge.port)
        judge.verdict.seconds = time.perf_counter() - start
        if wanted == "float32" and dtype is None:
            judge.verdict.uncovered.insert(
                0, f"judged in float32, {'; '.join(f'{name}(): {line}' for name, line in why)}"
            )
        return judge.verdict
