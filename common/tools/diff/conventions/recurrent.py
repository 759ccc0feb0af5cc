"""LSTM and GRU, along a sequence or for one step."""

import itertools
from collections.abc import Callable

import numpy as np

from common.probing import Arrays
from common.tools.diff.conventions.activations import activate
from common.tools.diff.conventions.base import BOTH, Knob, Unknown, read

GATES = {"lstm": "ifgo", "gru": "rzn"}
DROPPING = ("dropout", "recurrent_dropout")


def _rows(weight, gates, kind):
    """(gates, H, ...) in canonical order of what lies in the order `gates`."""
    if sorted(gates) != sorted(GATES[kind]):
        raise Unknown(f"{kind}: the gates {gates!r}; expected the letters of {GATES[kind]}")
    parts = weight.reshape(len(gates), -1, *weight.shape[1:])
    return parts[[gates.index(letter) for letter in GATES[kind]]]


def _cell(kind, about, tensors):
    """(step(x, state) -> state, H): a state is (h,) or (h, c)."""
    gates, n = about["gates"], len(GATES[kind])
    ih, hh = (_rows(tensors[f"weight_{side}"], gates, kind) for side in ("ih", "hh"))
    size = ih.shape[1]
    order = about["bias_gates"] or gates
    b_ih, b_hh = (
        _rows(tensors[name], order, kind) if name in tensors else np.zeros((n, size)) for name in ("bias_ih", "bias_hh")
    )
    if "bias_hn" in tensors:  # all that Flax's GRU has of bias_hh
        b_hh = np.concatenate([np.zeros((n - 1, size)), tensors["bias_hn"][None]])
    inner, gate = ({"name": one} if isinstance(one, str) else one for one in (about["activation"], about["recurrent_activation"]))  # fmt: skip

    def project(weight, bias, value):
        return np.einsum("ghi,ni->gnh", weight, value) + bias[:, None]

    def lstm(x, state):
        h, c = state
        i, f, g, o = project(ih, b_ih, x) + project(hh, b_hh, h)
        c = activate(gate, f + about["forget_bias"]) * c + activate(gate, i) * activate(inner, g)
        return activate(gate, o) * activate(inner, c), c

    def gru(x, state):
        (h,) = state
        given, held = project(ih, b_ih, x), project(hh, b_hh, h)
        r, z = (activate(gate, given[k] + held[k]) for k in (0, 1))
        after = r * held[2] if about["reset_after"] else (r * h) @ hh[2].T + b_hh[2]
        new = activate(inner, given[2] + after)
        return ((1 - z) * new + z * h if about["keeps"] else z * new + (1 - z) * h,)

    return (lstm if kind == "lstm" else gru), size


def recurrent(kind: str) -> Callable[..., list[np.ndarray]]:
    def run(settings: dict, tensors: Arrays, inputs: list[np.ndarray], training: bool) -> list[np.ndarray]:
        """[sequence, last h, and of an LSTM last c]; inputs: a sequence, and the states to begin with if there are more.

        batch: the axis of the samples. keeps: z is the share of the old. forget_bias: added before the gate. backwards: from
        the end, keep_order: but given back from the beginning. cell: one step, called with its state and an input.
        """
        about = read(kind, settings, DEFAULTS[kind])
        if about["layers"] != 1 or about["both_ways"]:
            raise Unknown(f"{kind} of several layers or both ways; expected layers=1, both_ways=False")
        if training and any(about[name] for name in DROPPING):
            raise Unknown(f"{kind} that drops in training; expected {' and '.join(DROPPING)} to be 0")
        step, size = _cell(kind, about, tensors)
        count = 2 if kind == "lstm" else 1
        if about["cell"]:  # Flax's carry is (c, h)
            return [step(inputs[-1], tuple(inputs[:-1][::-1]))[0]]
        x = np.moveaxis(inputs[0], about["batch"], 0)
        state = tuple(one.reshape(len(x), size) for one in inputs[1 : 1 + count])
        state = state if len(state) == count else (np.zeros((len(x), size)),) * count
        found = []
        for t in range(x.shape[1])[:: -1 if about["backwards"] else 1]:
            state = step(x[:, t], state)
            found.append(state[0])
        found = found[::-1] if about["backwards"] and about["keep_order"] else found
        sequence = np.moveaxis(np.stack(found, 1), 0, about["batch"])
        return [sequence, *(one[None] for one in state)]

    return run


RUN = {kind: recurrent(kind) for kind in GATES}
WAYS = {
    "layers": 1, "both_ways": False, "batch": 0, "bias_gates": None, "activation": "tanh", "recurrent_activation": "sigmoid",
    "backwards": False, "keep_order": False, "cell": False, "dropout": 0.0, "recurrent_dropout": 0.0,
}  # fmt: skip
DEFAULTS = {
    "lstm": WAYS | {"gates": "ifgo", "forget_bias": 0.0},
    "gru": WAYS | {"gates": "rzn", "reset_after": True, "keeps": True},
}


def _orders(kind):
    return tuple("".join(one) for one in itertools.permutations(GATES[kind]))


ORDER, RESET = "Gates and biases of LSTM and GRU", "GRU: where the reset gate stands"
HARD = {"name": "hard_sigmoid", "slope": 0.2, "offset": 0.5}
KNOBS = {
    kind: {
        "gates": Knob("the order of the gates in weights and biases", ORDER, _orders(kind)),
        "bias_gates": Knob("the order of the gates in biases alone", ORDER, _orders(kind)),
        **({
            "forget_bias": Knob("what is added to the forget gate", ORDER, (0.0, 1.0)),
        } if kind == "lstm" else {
            "reset_after": Knob("whether the reset gate meets the product with the state, or the state", RESET, BOTH),
            "keeps": Knob("whether the update gate is the share of the old or of the new", RESET, BOTH),
        }),
        "recurrent_activation": Knob("the function of the gates", ORDER, ("sigmoid", HARD, {"name": "hard_sigmoid"})),
        "activation": Knob("the function of state and output", ORDER, ("tanh", "relu", "sigmoid")),
        "batch": Knob("the axis of the samples", ORDER, (0, 1)),
        "backwards": Knob("whether the sequence is read from its end", ORDER, BOTH),
        "keep_order": Knob("whether what was read from its end is given back from its beginning", ORDER, BOTH),
    }
    for kind in GATES
}  # fmt: skip
