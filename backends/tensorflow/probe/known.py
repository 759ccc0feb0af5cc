"""What `diff` holds of a layer of Keras's: its variables under canonical roles, and how it is called by itself."""

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from common.probing import mask

ACTIVATED = ("dense", "conv", "conv_transpose")  # kinds whose `activation` is a layer of its own
SEQUENCE = {"return_sequences": True, "return_state": False}  # what a recurrent layer gives is the whole sequence here


@dataclass
class Weight:
    """A role of a layer: a variable, or part of one. `read` makes it canonical; `write` gives the whole variable anew."""

    variable: Any
    name: str
    read: Callable[[np.ndarray], np.ndarray] = lambda whole: whole
    write: Callable[[np.ndarray, np.ndarray], np.ndarray] = lambda whole, value: value

    @property
    def shape(self) -> tuple[int, ...]:
        return self.read(np.empty(tuple(self.variable.shape))).shape


@dataclass(frozen=True)
class Slot:
    """Where the `number`-th tensor stands in the arguments of a call."""

    number: int


@dataclass
class Known:
    """A layer or an activation inside of one, its kind with settings, and {role: Weight}.

    `channels`: the axis of its channels if it knows of them. A layer that `follows` has that of what it was given last.
    """

    layer: Any
    kind: str
    settings: dict[str, Any]
    tensors: dict[str, Weight] = field(default_factory=dict)
    channels: int | None = None
    follows: bool = False
    title: str = ""
    run: Callable | None = None  # of canonical arguments in Keras's layout; None: the layer's own call
    packed: tuple = (-1, (), {})  # of its last call: how many tensors, and the arguments with a Slot for each
    drop: int = 0  # which dropout of a pass its last call was

    def __post_init__(self):
        if not self.title:
            ours = type(self.layer).__module__.startswith("keras.")
            self.title = f"keras.layers.{type(self.layer).__name__}" if ours else type(self.layer).__qualname__

    def described(self) -> dict:
        """Its settings; axes are counted as in a canonical array."""
        if self.kind == "activation" and self.channels == -1 and self.settings.get("axis") == -1:
            return self.settings | {"axis": 1}
        return self.settings | ({"order": "channels_last"} if self.kind == "flatten" and self.channels == -1 else {})

    def call(self, given: list, training: bool):
        if self.run is not None:
            return self.run(given)
        if self.kind == "dropout" and training and self.settings["rate"]:
            return self.dropped(given[0])
        changed = {"activation": None} if self.kind in ACTIVATED else SEQUENCE if self.kind in ("lstm", "gru") else {}
        count, args, named = self.packed
        if count != len(given) and self.kind == "attention":
            count, args, named = len(given), (), {"query": Slot(0), "key": Slot(min(1, len(given) - 1)), "value": Slot(-1)}  # fmt: skip
        if count == len(given):
            args, named = keras.tree.map_structure(lambda v: given[v.number] if isinstance(v, Slot) else v, (args, named))  # fmt: skip
        else:
            args, named = given, {}
        with replaced(self.layer, **changed):
            return self.layer(*args, **named, training=training)

    def dropped(self, value):
        """With the mask of both sides."""
        shape = self.to_canonical(np.empty(tuple(value.shape), bool)).shape
        kept = self.from_canonical(mask(self.drop, shape, self.settings["rate"]))
        return value * kept.astype(value.dtype.name) / (1 - self.settings["rate"])

    def results(self, output) -> list[np.ndarray]:
        """Canonical arrays of what a call gave; of attention and recurrent layers the first alone."""
        found = [value for value in keras.tree.flatten(output) if value is not None]
        found = found[:1] if self.kind in ("attention", "lstm", "gru") else found
        return [self.to_canonical(keras.ops.convert_to_numpy(value)) for value in found]

    def to_canonical(self, value: np.ndarray) -> np.ndarray:
        if self.kind == "adaptive_pool" and value.ndim == 2:  # a global pool that dropped its axes
            return value.reshape(*value.shape, *self.settings["size"])
        return np.moveaxis(value, self.channels, 1) if self.channels is not None and value.ndim > 2 else value

    def from_canonical(self, value: np.ndarray) -> np.ndarray:
        return np.moveaxis(value, 1, self.channels) if self.channels is not None and value.ndim > 2 else value


@contextmanager
def replaced(thing, **values):
    """Attributes are `values` meanwhile, untracked by Keras."""
    before = {name: vars(thing)[name] for name in values if name in vars(thing)}
    vars(thing).update(values)
    try:
        yield
    finally:
        for name in values:
            del vars(thing)[name]
        vars(thing).update(before)


def exact(thing) -> None:
    """Numbers that it has become NumPy's float64: what is none, tf.cast makes float32 first, and 0.999 another number."""
    for name, value in vars(thing).items():
        if type(value) is float:
            vars(thing)[name] = np.float64(value)
