"""The stages before anything is computed: which layer is which, what either side trains, what either side declares."""

from collections import Counter

import numpy as np

from common.probing import Arrays
from common.tools.diff import initial, matching, numbers
from common.tools.diff.numbers import deviation
from common.tools.diff.pair import Pair, forward
from common.tools.diff.verdict import DIFFERENT, EQUAL, NOT_JUDGED, Cause, Row, Stage, differing

GATED = ("lstm", "gru")


def start(pair: Pair) -> None:
    """Matching, and the same numbers on both sides."""
    begun = [side.get() for side in pair.sides]
    first = [forward(side, pair.inputs, False) for side in pair.sides]
    calls = tuple(one.order for one in first)
    layers = tuple(one.layers for one in pair.described)
    found = {}
    for weights in (matching.ORDER, matching.NAME):
        one = matching.match(*layers, calls, pair.pins, weights)
        found.setdefault(tuple(sorted(one.paths.items())), one)
    pair.orders = calls
    pair.matching = (
        max(found.values(), key=lambda one: _agreeing(pair, one)) if len(found) > 1 else next(iter(found.values()))
    )
    _share(pair, pair.matching)
    _report_matching(pair)
    pair.verdict.initial = initial.differing(*begun, pair.matching.keys())


def _share(pair: Pair, matched):
    """Random tensors for the reference, and the same for the port."""
    present = pair.reference.get()
    pair.reference.put(numbers.drawn(pair.described[0].layers, present, np.random.default_rng(2)))
    pair.values = pair.reference.get()
    keys = matched.keys()
    theirs = numbers.drawn(pair.described[1].layers, pair.port.get(), np.random.default_rng(3))
    pair.port.put(theirs)
    pair.tied = tied(pair.values), tied(pair.port.get())
    spare = numbers.idle(pair.described[1].layers, theirs, set(keys.values()))
    pair.port.put(theirs | spare | {keys[key]: value for key, value in pair.values.items() if key in keys})
    if alone := numbers.idle(pair.described[0].layers, pair.values, set(keys)):
        pair.reference.put(alone)
        pair.values |= alone


def _agreeing(pair: Pair, matched):
    """How many calls of matched layers agree."""
    _share(pair, matched)
    ours, theirs = (forward(side, pair.inputs, False) for side in pair.sides)
    count = sum(
        deviation(a, b) < 1e-6
        for left, right in matched.paths.items()
        for one, other in zip(ours.of(left), theirs.of(right), strict=False)
        for a, b in zip(one[2], other[2], strict=False)
    )
    return count + sum(deviation(v, theirs.outputs.get(n, np.nan)) < 1e-6 for n, v in ours.outputs.items())


def _report_matching(pair: Pair):
    left = [(one, "reference") for one in pair.matching.only_reference] + [
        (one, "port") for one in pair.matching.only_port
    ]
    held = [(one, side) for one, side in left if one.tensors]
    pair.verdict.uncovered += [f"{side}: {one.path} ({one.title or 'what it is'}) has no partner" for one, side in held]
    for side in ("reference", "port"):
        if count := Counter(one.title or one.kind for one, which in left if which == side and not one.tensors):
            what = ", ".join(f"{number} {title}" for title, number in count.items())
            pair.verdict.uncovered.append(f"{side}: layers without weights and without partner, judged by what the next is given: {what}")  # fmt: skip
    lacking = []
    for a, b in pair.matching.pairs:
        differ = {k: (a.settings.get(k), b.settings.get(k)) for k in sorted(a.settings.keys() | b.settings.keys()) if a.settings.get(k) != b.settings.get(k)}  # fmt: skip
        pair.rows[a.path] = Row(a.path, b.path, a.kind, a.title, b.title, differ=differ)
        for role in sorted(a.tensors.keys() ^ b.tensors.keys()):
            side = "port" if role in a.tensors else "reference"
            if a.kind in GATED:  # two biases that are added may be one
                line = f"{role} of {a.path}: the {side} has none; it was set to 0 on the other side"
                pair.verdict.uncovered.append(line)
            else:
                words = f"the {side} has no {role} there; in all that follows the other side's is as if it had none"
                lacking.append(Cause("matching", a.path, words, {role: (side == "port", side != "port")}, proven=True))
    shapes = [
        f"{a.path}/{r}: {a.tensors[r].shape} here, {b.tensors[r].shape} there"
        for a, b in pair.matching.pairs for r in a.tensors.keys() & b.tensors.keys() if a.tensors[r].shape != b.tensors[r].shape
    ]  # fmt: skip
    lacking += _ties(pair)
    verdict = DIFFERENT if held and any(one.kind != "unknown" for one, _ in held) or shapes or lacking else EQUAL
    if not pair.matching.pairs and (held or not any(one.layers for one in pair.described)):
        verdict = NOT_JUDGED
    notes = shapes + ([f"{len(held)} layers with parameters have no partner: name them in pins"] if held else [])
    where = held[0][0].path if held else lacking[0].where if lacking else ""
    pair.verdict.stages.append(Stage("matching", verdict, where=where, notes=notes))
    pair.verdict.causes += lacking
    if held:
        for one, side in held:
            words = f"only the {side} has {one.path} ({one.title}) with {', '.join(f'{r} {t.shape}' for r, t in one.tensors.items())}"
            # A layer that one side alone has is a fact; of two on either side, the matching may have missed a pair.
            fact = len({side for _, side in held}) == 1 and one.kind != "unknown"
            settings = {"layer": (side == "reference", side == "port")} if fact else {}
            pair.verdict.causes.append(Cause("matching", one.path, words, settings, proven=fact))


def _ties(pair: Pair) -> list[Cause]:
    """Tensors that are one on one side and two on the other."""
    keys, found = pair.matching.keys(), []
    back = {port: reference for reference, port in keys.items()}
    ours, theirs = pair.tied
    theirs = {tuple(back.get(key, key) for key in pair) for pair in theirs}
    for pairs, others, sides in ((ours, theirs, (True, False)), (theirs, ours, (False, True))):
        for one, two in sorted(pairs - others - {pair[::-1] for pair in others}):
            words = f"{two} is {one} in the {'reference' if sides[0] else 'port'}, and a tensor of its own on the other side"
            found.append(Cause("matching", two.rsplit("/", 1)[0], words, {"tied": sides}, proven=True))
    return found


def trainable(pair: Pair) -> None:
    wrong = []
    for a, b in pair.matching.pairs:
        for role in a.tensors.keys() & b.tensors.keys():
            if a.tensors[role].trainable != b.tensors[role].trainable:
                which = ("trained in the reference, not in the port", "trained in the port, not in the reference")
                words = f"{a.tensors[role].name} is {which[b.tensors[role].trainable]}"
                wrong.append((a.path, words))
    for path, words in wrong:
        pair.verdict.causes.append(Cause("trainable sets", path, words, {"trainable": (words,)}, proven=True))
    pair.verdict.stages.append(
        Stage("trainable sets", DIFFERENT if wrong else EQUAL, where=wrong[0][0] if wrong else "")
    )


def settings(pair: Pair) -> None:
    """Declared numbers beside each other; whether they matter, later stages say."""
    rows = [row for row in pair.rows.values() if row.differ]
    notes = [f"{row.reference}: {differing(row.differ)}" for row in rows]
    a, b = (one.optimizer for one in pair.described)
    if a and b:
        names = sorted(k for k in a.keys() | b.keys() if k != "title" and a.get(k) != b.get(k))
        notes += [f"optimizer: {differing({k: (a.get(k), b.get(k)) for k in names})}"] if names else []
    pair.verdict.stages.append(Stage("settings", EQUAL, notes=notes))


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
