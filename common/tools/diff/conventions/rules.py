"""The rules of optimisers: what each takes off a parameter, given a gradient, at one step."""

import numpy as np

from common.tools.diff.conventions.base import REQUIRED, one_of

COMMON = {"title": None, "name": REQUIRED, "rate": REQUIRED, "decay": 0.0, "decoupled": False, "decay_rate": "rate", "clip": None, "decay_first": False, "float32": None}  # fmt: skip


def sgd(s: dict, g: np.ndarray, state: dict[str, np.ndarray], t: int, rate: float) -> np.ndarray:
    """Each gives what is taken off the parameter. state: a dict of this parameter's own; t: from 1."""
    if not s["momentum"]:
        return rate * g
    m = s["momentum"]
    step = rate * g if s["rate_inside"] else g
    if t == 1:
        velocity = step if s["first_whole"] else (1 - s["dampening"]) * step
    else:
        velocity = m * state["velocity"] + (1 - s["dampening"]) * step
    state["velocity"] = velocity
    moved = step + m * velocity if s["nesterov"] else velocity
    return moved if s["rate_inside"] else rate * moved


def adam(s: dict, g: np.ndarray, state: dict[str, np.ndarray], t: int, rate: float) -> np.ndarray:
    b1, b2 = s["beta1"], s["beta2"]
    p1, p2 = (float(np.float32(b)) if "powers" in (s["float32"] or ()) else b for b in (b1, b2))
    m = state["m"] = b1 * state.get("m", 0.0) + (1 - b1) * g
    v = state["v"] = b2 * state.get("v", 0.0) + (1 - b2) * g * g
    one, two = (1 - p1**t, 1 - p2**t) if s["corrected"] else (1.0, 1.0)
    if s["amsgrad"]:
        largest = v / two if s["amsgrad"] == "corrected" else v
        largest = state["largest"] = np.maximum(state.get("largest", 0.0), largest)
        v = largest * two if s["amsgrad"] == "corrected" else largest
    if s["nesterov"]:
        m = (b1 * m / (1 - p1 ** (t + 1)) + (1 - b1) * g / one) * one
    return rate * (m / one) / _root(s, v, two)


def _root(s, v, correction):
    """place: ε is added to the corrected root ("outside"), to the root before it is corrected ("hat"), or under it ("root")."""
    epsilon, v = s["epsilon"], v + s.get("epsilon_root", 0.0) * correction
    match one_of("optimizer", "place", s["place"], ("outside", "hat", "root")):
        case "outside":
            return np.sqrt(v / correction) + epsilon
        case "hat":
            return (np.sqrt(v) + epsilon) / np.sqrt(correction)
    return np.sqrt(v / correction + epsilon)


def rmsprop(s: dict, g: np.ndarray, state: dict[str, np.ndarray], t: int, rate: float) -> np.ndarray:
    keep = s["keep"]
    v = state["v"] = keep * state.get("v", np.full(g.shape, float(s["start"]))) + (1 - keep) * g * g
    one = 1 - keep**t if s["corrected"] else 1.0
    if s["centered"]:
        mean = state["mean"] = keep * state.get("mean", 0.0) + (1 - keep) * g
        v = v - mean * mean / one
    step = g / _root(s, v, one)
    if not s["momentum"]:
        return rate * step
    step = rate * step if s["rate_inside"] else step
    velocity = state["velocity"] = s["momentum"] * state.get("velocity", 0.0) + step
    moved = step + s["momentum"] * velocity if s["nesterov"] else velocity
    return moved if s["rate_inside"] else rate * moved


def adagrad(s: dict, g: np.ndarray, state: dict[str, np.ndarray], t: int, rate: float) -> np.ndarray:
    v = state["v"] = state.get("v", np.full(g.shape, float(s["start"]))) + g * g
    return rate / (1 + (t - 1) * s["rate_decay"]) * g / _root(s, v, 1.0)


# {name: (rule, its settings with what they are where nothing is said)}
RULES = {
    "sgd": (sgd, {"momentum": 0.0, "dampening": 0.0, "nesterov": False, "rate_inside": False, "first_whole": True}),
    "adam": (
        adam,
        {"beta1": 0.9, "beta2": 0.999, "epsilon": REQUIRED, "place": "outside", "epsilon_root": 0.0, "corrected": True, "amsgrad": False, "nesterov": False},
    ),
    "rmsprop": (
        rmsprop,
        {"keep": REQUIRED, "epsilon": REQUIRED, "place": "outside", "start": 0.0, "momentum": 0.0, "nesterov": False, "centered": False, "corrected": False, "rate_inside": False},
    ),
    "adagrad": (adagrad, {"epsilon": REQUIRED, "place": "outside", "start": 0.0, "rate_decay": 0.0}),
}  # fmt: skip
