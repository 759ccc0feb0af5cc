"""Steps between layers in one order, where several give the same."""

import numpy as np

KEEP_ZERO = {"relu", "relu6", "leaky_relu", "elu", "selu", "tanh", "softsign", "gelu", "silu"}
POSITIVE = {"relu", "relu6", "sigmoid", "softplus", "exponential", "softmax", "hard_sigmoid"}
RISING = {"relu", "relu6", "leaky_relu", "elu", "selu", "softplus", "sigmoid", "log_sigmoid", "tanh", "softsign", "hard_sigmoid", "hard_tanh", "exponential"}  # fmt: skip


def canonical(steps: list[dict]) -> list[dict]:
    """The same steps in one order, where several give the same: an activation before what only moves numbers, what rises before a
    maximum, what keeps 0 before a padding with it; then such a padding is part of a pooling without one."""
    steps = [*steps]
    for way in (_exchanged, _padded):
        k = 0
        while k + 1 < len(steps):
            if found := way(steps[k], steps[k + 1], steps[:k]):
                steps[k : k + 2], k = found, 0
            else:
                k += 1
    return [_filled(step, steps[:k]) for k, step in enumerate(steps)]


def _exchanged(one, two, before):
    if one["kind"] == "activation" or two["kind"] != "activation":
        return None
    moves = one["kind"] in ("transpose", "flatten", "reshape", "select") and "axis" not in two
    moves |= one["kind"] == "select" and two.get("axis") == -1
    rises = two["name"] in RISING and one.get("op") == "max"
    return [two, one] if moves or rises or two["name"] in KEEP_ZERO and _of_zeros(one) else None


def _padded(one, two, before):
    if not _of_zeros(one) or two["kind"] != "pool" or isinstance(two["padding"], str) or np.any(two["padding"]):
        return None
    return [two | {"padding": one["padding"]} | ({"counted": True} if two["op"] == "average" else {"fill": 0})]


def _filled(step, before):
    """A maximum of what is positive does not tell a padding with 0 from one with less."""
    positive = step.get("fill") == 0 and any(one.get("name") in POSITIVE for one in before)
    return {key: value for key, value in step.items() if key != "fill"} if positive else step


def _of_zeros(step):
    return step["kind"] == "pad" and step["mode"] == "constant" and not step.get("value")
