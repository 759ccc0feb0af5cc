"""Causes that lie between layers: functions, joins, dropouts, found in what layers are given and what others before gave."""

import difflib
import itertools

import numpy as np

from common.probing import Arrays
from common.tools.diff.causes import ROUNDED, guide, shown
from common.tools.diff.conventions.glue import explain_glue, followed
from common.tools.diff.conventions.layers import KNOBS
from common.tools.diff.conventions.order import canonical
from common.tools.diff.matching import Matching
from common.tools.diff.numbers import FACTOR, deviation
from common.tools.diff.pair import Pass
from common.tools.diff.verdict import Cause

SOURCES = 8  # calls before one whose outputs may be what it is given
TRIES = 3  # gaps that no steps explain, after which no other is looked at


def of_glue(
    stage: str, matching: Matching, ours: Pass, theirs: Pass, tolerance: float, inputs: Arrays
) -> tuple[Cause, float]:
    """(what lies between layers that agree, the deviation there): where the inputs of a call first differ though all outputs before
    it agree; a difference of rounding only where there is no other."""
    rounding = None
    for path, before, x, y in _gaps(matching, ours, theirs, inputs):
        if (apart := deviation(x, y)) <= tolerance:
            continue
        found = _dropped(before, ours, theirs, matching, x, y, tolerance) or _between(before, x, y, tolerance)
        if found is None:
            words = f"what lies between {before[-1][0]} and {path} gives other numbers; no convention that is known explains both"
            return Cause(stage, path, words), apart
        cause = _glued(stage, path, matching, found)
        if not set(cause.settings) <= set(ROUNDED):
            return cause, apart
        # All that follows is as far apart as that makes it: another is looked for beyond.
        rounding, tolerance = rounding or (cause, apart), max(tolerance, FACTOR * apart)
    if rounding is None:
        words = f"the outputs are farther apart than their bar, but no layer is given what differs by more than {tolerance:g}"
        return Cause(stage, "output", words), tolerance
    return rounding


def of_gaps(stage: str, matching: Matching, ours: Pass, theirs: Pass, tolerance: float, inputs: Arrays) -> list[Cause]:
    """What lies between layers where one before is at fault, so that all numbers differ: where one side hands on what a layer before
    gave, and the other does something to it. What no known steps explain is not said: what is handed on may be another layer's."""
    causes, failed = [], 0
    for path, before, x, y in _gaps(matching, ours, theirs, inputs):
        recent = before[: -SOURCES - 1 : -1]
        handed = [next((k for k, one in enumerate(recent) if _same(one[1 + side], z)), None) for side, z in enumerate((x, y))]  # fmt: skip
        if (handed[0] is None) == (handed[1] is None) or failed == TRIES:
            continue
        name, source, other = recent[handed[0] if handed[1] is None else handed[1]]
        found = _dropped(before, ours, theirs, matching, x, y, tolerance)
        if found is None:
            a, b = explain_glue(source, x, tolerance), explain_glue(other, y, tolerance)
            found = None if a is None or b is None or a == b else ([name], a, b)
        if found is None:
            failed += 1
        elif not set((cause := _glued(stage, path, matching, found)).settings) <= set(ROUNDED):
            causes.append(cause)
    return causes


def _same(a, b):
    """But for axes of size 1, and for what is flattened."""
    return a.size == b.size and np.array_equal(a.ravel(), b.ravel())


def _gaps(matching, ours, theirs, inputs):
    """(layer, what came before, what it is given in the reference and in the port) of each call of a layer that has a partner, and
    of the outputs. What came before: [(name, the reference's, the port's)]."""
    partner = matching.paths
    first = next(iter(inputs.values()))
    before = [("the input", first, first)]
    for number, path, ins, outs in ours.numbered():
        others = theirs.of(partner[path]) if path in partner else []
        if number >= len(others):
            continue
        yield from ((path, before, x, y) for x, y in zip(ins, others[number][1], strict=False))
        # What a layer is given is known on both sides too: where functions lie between layers it is nobody's output.
        if ins and not any(x.shape == ins[0].shape and np.array_equal(x, ins[0]) for _, x, _ in before[-SOURCES:]):
            before.append((f"the input of {path}", ins[0], others[number][1][0]))
        before.append((path, outs[0], others[number][2][0]))
    yield from (("the output", before, x, theirs.outputs[name]) for name, x in ours.outputs.items())


def _glued(stage, path, matching, found):
    names, a, b = found
    settings = _differing_steps(a, b)
    words = f"between {' and '.join(names)} and {path}: {_steps(a)} in the reference, {_steps(b)} in the port"
    advice = f"in the port, before {matching.paths.get(path, path)}: {_steps(a)}"
    return Cause(stage, path, words, settings, True, _glue_guide(a, b), advice)


def _between(before, x, y, tolerance):
    """(names of what it is made of, steps of the reference, steps of the port): of one output before, or of two that are joined."""
    recent = before[: -SOURCES - 1 : -1]
    singles = {}
    for k, (name, source, other) in enumerate(recent):
        a, b = explain_glue(source, x, tolerance), explain_glue(other, y, tolerance)
        if a is not None and b is not None:
            a, b = _nearer(a, b, source, x, tolerance), _nearer(b, a, other, y, tolerance)
            if a != b:
                return [name], a, b
        singles[k] = (a, b)
    for j, k in itertools.combinations(range(len(recent)), 2):
        (one, *first), (two, *second) = recent[j], recent[k]
        if first[0].shape != second[0].shape:
            continue
        # What one of the two gives alone is not joined on that side.
        a, b = (
            next((alone[side] for alone in (singles[j], singles[k]) if alone[side] is not None), None)
            for side in (0, 1)
        )
        if a is not None and b is not None:
            continue
        a = explain_glue([first[0], second[0]], x, tolerance) if a is None else a
        b = explain_glue([first[1], second[1]], y, tolerance) if b is None else b
        if a is not None and b is not None and a != b:
            return [one, two], a, b
    return None


def _nearer(steps, others, source, target, tolerance):
    """The steps after the other side's first, if that is an activation which changes nothing here: it may stand there too."""
    if not others or others[0]["kind"] != "activation" or steps and steps[0]["kind"] == "activation":
        return steps
    longer = canonical([others[0], *steps])
    found = followed(longer, np.asarray(source, np.float64))
    return longer if found is not None and deviation(target, found) <= tolerance else steps


def _dropped(before, ours, theirs, matching, x, y, tolerance):
    """A dropout that only one side has, right before: its input is made as on the other side what is given."""
    name, source, other = before[-1]
    for passed, side, target, rest, own, start in ((ours, matching.only_reference, x, y, source, other), (theirs, matching.only_port, y, x, other, source)):  # fmt: skip
        for layer in side:
            for _, ins, outs in passed.of(layer.path):
                if layer.kind != "dropout" or deviation(outs[0], target) > tolerance:
                    continue
                steps = explain_glue(start, rest, tolerance)
                if steps is not None and steps == explain_glue(own, ins[0], tolerance):
                    with_it = [*steps, {"kind": "dropout", "rate": layer.settings["rate"]}]
                    return [name], *((with_it, steps) if passed is ours else (steps, with_it))
    return None


def _label(step):
    return step["name"] if step["kind"] == "activation" else step["kind"]


def _differing_steps(a, b) -> dict[str, tuple]:
    """{setting: (the reference's, the port's)} of steps that only differ in their numbers, {kind: ...} of those that one side has."""
    found = {}
    matcher = difflib.SequenceMatcher(None, [s["kind"] for s in a], [s["kind"] for s in b], autojunk=False)
    for tag, i, j, k, m in matcher.get_opcodes():
        for one, two in itertools.zip_longest(a[i:j], b[k:m]):
            if tag == "equal" and one.get("name") != two.get("name"):
                found["name"] = (one["name"], two["name"])
            elif tag == "equal":
                found |= {n: (one.get(n), two.get(n)) for n in {*one, *two} if one.get(n) != two.get(n)}
            else:
                for step, place in ((one, 0), (two, 1)):
                    if step is not None:
                        pair = list(found.get(step["kind"], (None, None)))
                        pair[place] = _step(step)
                        found[step["kind"]] = tuple(pair)
    return found


def _steps(steps):
    return ", then ".join(_step(one) for one in steps) or "nothing"


def _step(one):
    numbers = {k: v for k, v in one.items() if k not in ("kind", "name", "op")}
    name = one.get("name") or one.get("op") or ""
    title = f"{name} {one['kind']}" if one["kind"] != "activation" else name
    return title.strip() + (f" ({', '.join(f'{k} {shown(v)}' for k, v in numbers.items())})" if numbers else "")


def _glue_guide(a, b):
    names = _differing_steps(a, b)
    return next((found for step in [*a, *b] if (found := guide(KNOBS.get(step["kind"], {}), names))), "")
