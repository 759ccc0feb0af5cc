"""Optimisers under every convention of them: Adam, SGD, RMSprop, Adagrad, with decay and clipping.

Settings, beside "name", "rate" and what each name is known by:

    decay, decoupled     λ; added to the gradient before the moments, or taken off the parameter by itself
    decay_rate           decoupled only: λ is multiplied by the "rate" of the step, by the "base" rate whatever the step's is, or by "none"
    clip                 {"kind": "norm" of each tensor | "global_norm" | "value", "value", "guard": added to a norm that divides}
    decay_first          coupled decay is added before gradients are clipped
    float32              the settings that pass through float32; "powers" among them: the β of Adam's bias correction
"""

import numpy as np

from common.probing import Arrays
from common.tools.diff.conventions.base import (
    BOTH,
    EPSILONS,
    Knob,
    Unknown,
    deviation,
    floats,
    one_of,
    read,
    rounded,
)
from common.tools.diff.conventions.rules import COMMON, RULES
from common.tools.diff.conventions.search import Search, changing


def _settings(settings):
    if settings.get("name") not in RULES:
        raise Unknown(f"the optimizer {settings.get('name')!r} is not understood; expected {', '.join(RULES)}")
    rule, more = RULES[settings["name"]]
    # A clip may come by a name of its own.
    for kind in ("norm", "global_norm", "value"):
        if (limit := settings.get(f"clip_{kind}")) is not None:
            settings = settings | {f"clip_{kind}": None, "clip": {"kind": kind, "value": limit}}
    about = read(settings["name"], settings, COMMON | more)
    return rule, rounded(about, about["float32"] or ())


def clipped(clip: dict | None, gradients: Arrays, norms: dict[str, float] | None = None) -> Arrays:
    """`norms`: of whole gradients, where these are parts of them."""
    if not clip:
        return gradients
    limit, guard = clip["value"], clip.get("guard", 0.0)
    norms = norms or _norms(gradients)

    def factor(norm: float) -> float:
        return min(limit / (norm + guard), 1.0) if norm + guard > 0 else 1.0

    match one_of("clip", "kind", clip.get("kind"), ("norm", "global_norm", "value")):
        case "value":
            return {name: np.clip(g, clip.get("low", -limit), limit) for name, g in gradients.items()}
        case "norm":
            return {name: g * factor(norms[name]) for name, g in gradients.items()}
    whole = factor(np.linalg.norm([norms[name] for name in gradients]))
    return {name: g * whole for name, g in gradients.items()}


def _norms(gradients):
    return {name: float(np.linalg.norm(g)) for name, g in gradients.items()}


def run(settings: dict, parameters: Arrays, gradients: list[Arrays], rates: list[float], norms: list | None = None) -> list[Arrays]:  # fmt: skip
    """Parameters after each update, in float64. `rates`: factors of the rate, an update. A parameter without a gradient stays.
    `norms`: {name: norm} of each update's gradients, where only parts of them are given.

    Raises Unknown for settings that are not understood.
    """
    rule, s = _settings(settings)
    values = {name: np.asarray(value, np.float64) for name, value in parameters.items()}
    states, found = {name: {} for name in values}, []
    decay = s["decay"] or 0.0
    one_of("optimizer", "decay_rate", s["decay_rate"], ("rate", "base", "none"))
    for t, (given, factor) in enumerate(zip(gradients, rates, strict=True), 1):
        given = {name: np.asarray(g, np.float64) for name, g in given.items() if name in values}
        rate = s["rate"] * factor
        if decay and not s["decoupled"] and s["decay_first"]:
            given = {name: g + decay * values[name] for name, g in given.items()}
        given = clipped(s["clip"], given, norms and norms[t - 1])
        if decay and not s["decoupled"] and not s["decay_first"]:
            given = {name: g + decay * values[name] for name, g in given.items()}
        after = dict(values)
        for name, g in given.items():
            with np.errstate(divide="ignore", invalid="ignore"):
                after[name] = values[name] - rule(s, g, states[name], t, rate)
            if decay and s["decoupled"]:
                after[name] -= {"rate": rate, "base": s["rate"], "none": 1.0}[s["decay_rate"]] * decay * values[name]
        values = after
        found.append(values)
    return found


def explain_update(settings: dict, parameters: Arrays, gradients: list[Arrays], rates: list[float], after: list[Arrays], tolerance: float) -> dict | None:  # fmt: skip
    """The settings, as they are or with one or two of them changed, that give `after`, relative to how far parameters moved.
    None if there are none."""
    if settings.get("name") not in RULES:
        return None
    norms = [_norms(given) for given in gradients]
    few = [[_few(one) for one in arrays] for arrays in ([parameters], gradients, after)]

    def fits(
        changed: dict,
        parameters: Arrays = parameters,
        gradients: list[Arrays] = gradients,
        after: list[Arrays] = after,
        norms: list | None = None,
        tolerance: float = tolerance,
    ) -> bool:
        found = run(changed, parameters, gradients, rates, norms)
        moves = ((_moves(parameters, a), _moves(parameters, b)) for a, b in zip(after, found, strict=True))
        return all(deviation(a[name], b[name]) < tolerance for a, b in moves for name in a)

    def quickly(changed: dict) -> bool:
        # What is added before a clip changes norms, which then only the whole has.
        part = changed.get("decay_first") or fits(changed, *few[0], *few[1:], norms, 100 * tolerance)
        return part and fits(changed)

    knobs = {name: knob for name, knob in KNOBS.items() if name in COMMON or name in RULES[settings["name"]][1]}
    return Search(knobs, COMMON | RULES[settings["name"]][1], quickly).find(settings)


def _few(arrays):
    """Up to a hundred numbers of each."""
    return {name: np.asarray(value).ravel()[:: max(np.size(value) // 100, 1)] for name, value in arrays.items()}


def _moves(before, after):
    return {name: np.asarray(after[name], np.float64) - before[name] for name in before if name in after}


def apart(settings: dict, parameters: Arrays, gradients: list[Arrays], rates: list[float], after: list[Arrays]) -> float:  # fmt: skip
    """The largest deviation of `after` from these settings' parameters, relative to how far each moved."""
    found = run(settings, parameters, gradients, rates)
    moves = ((_moves(parameters, a), _moves(parameters, b)) for a, b in zip(after, found, strict=True))
    return max(deviation(a[name], b[name]) for a, b in moves for name in a)


def differing(a: dict, b: dict, parameters: Arrays, gradients: list[Arrays], rates: list[float]) -> list[str]:
    """Of the settings in which a and b differ those that change the parameters."""

    def moved(settings: dict) -> list[np.ndarray]:
        return [
            value for one in run(settings, parameters, gradients, rates) for value in _moves(parameters, one).values()
        ]

    return changing(a, b, COMMON | RULES.get(a.get("name"), (None, {}))[1], moved, 1e-11, ("title",))


ADAM, RMS, ADAGRAD = "Where Adam adds ε, and through which precision its numbers pass", "RMSprop: ε, its place and the first accumulator", "Adagrad: ε, its place and the first accumulator"  # fmt: skip
MOMENTUM, DECAY, CLIP = "Momentum: where the rate stands, and what is kept", "L2 and weight decay", "Gradient clipping"
OF = {"adam": ADAM, "rmsprop": RMS, "adagrad": ADAGRAD}


def anchor(settings: dict, name: str) -> str:
    """The heading of docs/differences.md for the setting `name` of this optimiser."""
    if name == "epsilon" and settings.get("name") == "adam":
        return "Adam's default ε"
    return (
        OF.get(settings.get("name"), KNOBS[name].anchor)
        if name in ("epsilon", "place", "start", "float32")
        else KNOBS[name].anchor
    )


def _clips(settings):
    """The same limit, applied otherwise, and none."""
    clip = settings.get("clip") or {"kind": "norm", "value": 1.0}
    kinds = [clip | {"kind": kind} for kind in ("norm", "global_norm", "value")]
    return [None, *kinds, *(one | {"guard": 1e-6} for one in kinds[:2])]


def _decays(settings):
    decay = settings.get("decay") or 0.0
    return 0.0, 2 * decay, decay / 2, 1e-4, 1e-2, 5e-4, 4e-3


KNOBS = {
    "epsilon": Knob("ε that is added to the root of the second moment", ADAM, EPSILONS),
    "place": Knob("where ε is added: to the corrected root, before the correction (hat), under the root", ADAM, ("outside", "hat", "root")),
    "corrected": Knob("whether moments are corrected for their start at 0", ADAM, BOTH),
    "amsgrad": Knob("whether the largest second moment divides, plain or corrected", ADAM, (False, True, "corrected")),
    "beta1": Knob("the share of the first moment that stays", ADAM, (0.9, 0.5, 0.0, 0.95)),
    "beta2": Knob("the share of the second moment that stays", ADAM, (0.999, 0.99, 0.95, 0.98)),
    "keep": Knob("the share of the mean square that stays", RMS, (0.9, 0.99, 0.95, 0.999)),
    "start": Knob("what the squares' accumulator starts from", RMS, (0.0, 1.0, 0.1)),
    "centered": Knob("whether the squared mean is taken off", RMS, BOTH),
    "momentum": Knob("the share of the velocity that stays", MOMENTUM, (0.0, 0.9, 0.99, 0.5)),
    "rate_inside": Knob("whether the velocity holds the rate: v = m v + rate g", MOMENTUM, BOTH),
    "nesterov": Knob("whether the step looks ahead", MOMENTUM, BOTH),
    "dampening": Knob("what is taken off a gradient that comes into the velocity", MOMENTUM, lambda s: (0.0, s.get("momentum") or 0.9)),
    "first_whole": Knob("whether the first gradient comes in undampened", MOMENTUM, BOTH),
    "decoupled": Knob("whether decay is in the gradient, or taken off the parameter", DECAY, BOTH),
    "decay_rate": Knob("which rate decoupled decay is multiplied by", DECAY, ("rate", "base", "none")),
    "decay": Knob("the factor of weight decay", DECAY, _decays),
    "decay_first": Knob("whether decay is added before gradients are clipped", CLIP, BOTH),
    "clip": Knob("how gradients are clipped", CLIP, _clips),
    "float32": Knob("which numbers pass through float32", "float64 that is not", lambda s: floats(s, ("powers",) if "beta1" in s else ()), alone=True),
    "rate_decay": Knob("how the rate falls by itself", ADAGRAD, (0.0,)),
    "rate": Knob("the learning rate", "Adam's default ε", ()),
}  # fmt: skip
