"""Every layer of `common.probing.KINDS`, under any settings of it."""

import numpy as np

from common.tools.diff.conventions import (
    activations,
    attention,
    convolution,
    dense,
    norms,
    pooling,
    recurrent,
    resizing,
)
from common.tools.diff.conventions.base import Knob, Unknown, floats, rounded

FAMILIES = (activations, attention, convolution, dense, norms, pooling, recurrent, resizing)
RUN = {kind: function for family in FAMILIES for kind, function in family.RUN.items()}
DEFAULTS = {kind: defaults for family in FAMILIES for kind, defaults in family.DEFAULTS.items()}
FLOAT32 = Knob("which of a layer's numbers pass through float32", "float64 that is not", floats, alone=True)
KNOBS = {kind: knobs | {"float32": FLOAT32} for family in FAMILIES for kind, knobs in family.KNOBS.items()}

# What an activation of their own means is said by these themselves.
INSIDE = ("activation", "lstm", "gru")


def run(kind: str, settings: dict, tensors: dict, inputs: list, training: bool) -> list[np.ndarray]:
    """The layer's outputs in float64, of canonical tensors and inputs. Raises Unknown for what is not understood."""
    settings, after, inputs, tensors = _prepared(kind, settings, tensors, inputs)
    try:
        found = RUN[kind](settings, tensors, inputs, training)
    except KeyError as error:
        raise Unknown(f"{kind} lacks {error}") from None
    except (ValueError, IndexError, TypeError) as error:  # NumPy's own refusal of shapes that do not fit together
        raise Unknown(f"{kind}: {error}") from None
    return [activations.activate(after, one) for one in found] if after else found


def statistics(settings: dict, tensors: dict, inputs: list) -> dict[str, np.ndarray]:
    """{"mean", "variance"} that a batch norm keeps after a pass in training."""
    settings, _, inputs, tensors = _prepared("batch_norm", settings, tensors, inputs)
    return norms.statistics(settings, tensors, inputs)


def _prepared(kind, settings, tensors, inputs):
    if kind not in RUN:
        raise Unknown(f"{kind!r} is no kind of layer that is known; expected one of {', '.join(RUN)}")
    settings = dict(settings)
    after = settings.pop("activation", None) if kind not in INSIDE else None
    if narrow := settings.pop("float32", None):
        settings |= {"positions": "float32"} if kind == "resize" and "positions" in narrow else {}
        # gelu's own numbers are among those that may be narrow, and nobody sets them.
        settings = rounded(
            (activations.NAMES.get(settings.get("name"), {}) if kind == "activation" else {}) | settings, narrow
        )
    wide = {role: np.asarray(value, np.float64) for role, value in tensors.items()}
    return settings, after, [np.asarray(one, np.float64) for one in inputs], wide
