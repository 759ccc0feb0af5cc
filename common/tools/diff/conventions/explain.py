"""The settings under which NumPy gives what a layer gave, and which of two sides' settings matter."""

import numpy as np

from common.tools.diff.conventions.activations import NAMES
from common.tools.diff.conventions.base import deviation, deviations
from common.tools.diff.conventions.glue import ACTIVATIONS
from common.tools.diff.conventions.layers import DEFAULTS, KNOBS, run, statistics
from common.tools.diff.conventions.search import Search, changing

ROUNDING = 1e-14  # what differs by less, relative, is the same number computed in another order
ACROSS = ("batch_norm",)  # kinds in which samples of a batch see each other


def explain(kind: str, settings: dict, tensors: dict, inputs: list, outputs: list, training: bool, tolerance: float, state: dict | None = None) -> dict | None:  # fmt: skip
    """The settings, as they are or with one or two of them changed, under which NumPy gives `outputs`; None if there are none.

    `tolerance`: largest deviation, relative to the largest magnitude. `state`: {"mean", "variance"} that a batch norm kept, to
    be explained too. What a recurrent layer returns beside its sequence may be left out of `outputs`.
    """
    if kind not in KNOBS:
        return None
    outputs = [np.asarray(one, np.float64) for one in outputs]
    if not all(np.isfinite(one).all() for one in outputs):
        return None
    small = _part(kind, inputs, outputs)

    def fits(changed: dict, given: list = inputs, wanted: list[np.ndarray] = outputs) -> bool:
        if deviations(wanted, _returned(kind, run(kind, changed, tensors, given, training), wanted)) >= tolerance:
            return False
        if state is None or kind != "batch_norm":
            return True
        found = statistics(changed, tensors, inputs)
        return all(deviation(value, found[role]) < tolerance for role, value in state.items())

    def quickly(changed: dict) -> bool:
        is_part = (
            small is not None and "axis" not in NAMES.get(changed.get("name"), ()) and not changed.get("backwards")
        )
        return (not is_part or fits(changed, *small)) and fits(changed)

    if kind == "activation" and settings.get("name") not in NAMES:
        # A function of the user's, or one that says nothing of itself.
        known = ({name: value for name, value in one.items() if name != "kind"} for one in ACTIVATIONS)
        return next((one for one in known if quickly(one)), None)
    return Search(KNOBS[kind], DEFAULTS[kind], quickly).find(settings)


def _part(kind, inputs, outputs):
    """(inputs, outputs) of one sample, or of some numbers, to reject by, where the others do not matter for them."""
    if kind == "activation" and outputs[0].shape == np.shape(inputs[0]) and outputs[0].size > 1000:
        step = outputs[0].size // 500
        return [np.asarray(inputs[0]).ravel()[::step]], [outputs[0].ravel()[::step]]
    if kind in ("lstm", "gru"):  # two steps of all samples, or all steps of two samples
        fit = len(inputs) == 1 and outputs[0].ndim == 3 and outputs[0].shape[:2] == np.shape(inputs[0])[:2]
        return ([inputs[0][:, :2]], [outputs[0][:, :2]]) if fit else None
    arrays = [*inputs, *outputs]
    count = inputs[0].shape[0] if np.ndim(inputs[0]) > 1 else 1
    if kind in ACROSS or count < 2 or any(one.ndim < 2 or len(one) != count for one in arrays):
        return None
    if kind in ("activation", "dropout", "attention", "flatten"):  # what they mean by the first axis is a setting
        return None
    return [one[:1] for one in inputs], [one[:1] for one in outputs]


def _returned(kind, found, wanted):
    """Of a recurrent layer's sequence, last h and last c what it returned: PyTorch the three, Keras h in the place of the
    sequence unless it is asked for it, and the states only if it is."""
    if kind not in ("lstm", "gru") or len(found) < 2 or not wanted:
        return found
    sequence, *states = found
    if wanted[0].ndim == sequence.ndim:
        return [sequence, *states][: len(wanted)]
    # h; h, h, c; or h, c
    return [*states[:1], *states][: len(wanted)] if len(wanted) != len(states) or len(states) == 1 else states


def differing(kind: str, a: dict, b: dict, tensors: dict, inputs: list, training: bool) -> list[str]:
    """Of the settings in which a and b differ those that change the outputs, or in training what a batch norm keeps."""

    def results(settings: dict) -> list[np.ndarray]:
        found = run(kind, settings, tensors, inputs, training)
        if kind == "batch_norm" and training and {"mean", "variance"} <= set(tensors):
            found = [*found, *statistics(settings, tensors, inputs).values()]
        return found

    return changing(a, b, DEFAULTS.get(kind, {}), results, ROUNDING)
