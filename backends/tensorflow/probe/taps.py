"""One forward pass of a Keras model, watched, for `diff`: every layer's calls, and dropout with the masks of both sides."""

import inspect
from contextlib import nullcontext

import keras
import tensorflow as tf

from backends.tensorflow.probe.known import SEQUENCE, Slot, replaced
from common.probing import Call, structure

# Arguments that come from the model around a layer, not from who wrote its call
SET_BY_KERAS = ("training", "mask", "query_mask", "key_mask", "value_mask")


class Pass:
    """`calls` is what is recorded, None for nothing.

    Where channels are flows along: what a convolution gives has them last, and so has what an activation or a dropout makes of
    it. A tensor that no known layer gave, such as a sum, has them where one of the same shape had, if it has four axes or more.
    """

    def __init__(self, calls: list | None, images: list[tuple]):
        self.calls, self.drops = calls, iter(range(1_000_000))
        self.held = {}  # {id: (tensor, axis)}; the tensor is held so that its id stays its own
        self.shapes = dict.fromkeys(
            images, -1
        )  # {shape: axis}, at first of the inputs that the user says have channels last

    def watched(self, parts: list, original):
        """The `call` of a layer of which `parts` [(path, Known)] are known, first to last."""

        def call(*args, **named):
            if not tf.executing_eagerly():
                return original(*args, **named)
            steps = [part for part in parts if not part[0].endswith(":activation")]
            first, tapped = steps[0][1], []
            tensors = self._pack(first, original, args, named)
            if first.follows:
                axes = [self._axis(value) for value in tensors if value.shape.rank > 2]
                first.channels = axes[0] if axes and None not in axes else None
            if first.kind == "dropout" and named.get("training") and first.settings["rate"]:
                first.drop = next(self.drops)
                output = first.dropped(args[0])
            else:
                with self._tap(parts, tapped):
                    output = original(*args, **named)
            self._mark(steps[-1][1], output)
            if self.calls is not None:
                self._record(parts, steps, tensors, tapped[-1] if tapped else None, output, original, args, named)
            return output

        return call

    def _tap(self, parts, tapped):
        """What the layer's activation is given, and what it gives."""
        path, one = parts[-1]
        if not path.endswith(":activation"):
            return nullcontext()

        def activation(value):
            found = one.run([value])
            tapped.append((value, found))
            return found

        return replaced(one.layer, activation=activation)

    def _pack(self, one, original, args, named):
        """The tensors of a call in canonical order; how they stand in it is kept for a call of the layer alone."""
        if one.kind == "attention":
            bound = inspect.signature(original).bind(*args, **named).arguments
            key = bound.get("key")
            args, named = (), {"query": bound.pop("query"), "key": bound["value"] if key is None else key} | {k: v for k, v in bound.items() if k != "key"}  # fmt: skip
        kept = {name: value for name, value in named.items() if name not in SET_BY_KERAS}
        tensors = []

        def slot(value):
            if not tf.is_tensor(value):
                return value
            tensors.append(value)
            return Slot(len(tensors) - 1)

        args = keras.tree.map_structure(slot, list(args))
        kept = {name: keras.tree.map_structure(slot, value) for name, value in kept.items()}
        one.packed = (len(tensors), args, kept)
        return tensors

    def _axis(self, tensor):
        if id(tensor) in self.held:
            return self.held[id(tensor)][1]
        return self.shapes.get(tuple(tensor.shape)) if tensor.shape.rank > 3 else None

    def _mark(self, one, output):
        for value in keras.tree.flatten(output):
            if not tf.is_tensor(value) or one.kind == "unknown" and one.channels is None:
                continue
            axis = one.channels if value.shape.rank > 2 else None
            self.held[id(value)] = (value, axis)
            if axis is not None:
                self.shapes[tuple(value.shape)] = axis

    def _record(self, parts, steps, tensors, tapped, output, original, args, named):
        one = steps[-1][1]
        given = [one.to_canonical(value.numpy()) for value in tensors]
        if one.kind in ("lstm", "gru"):
            with replaced(one.layer, **SEQUENCE):
                output = original(*args, **named)
        made = tapped[0] if tapped else output
        if len(steps) == 2:
            between = steps[0][1].results(steps[0][1].run(tensors))
            self.calls.append(Call(steps[0][0], given, between))
            given = between
        self.calls.append(Call(steps[-1][0], given, one.results(made)))
        if tapped:
            path, last = parts[-1]
            self.calls.append(Call(path, last.results(tapped[0]), last.results(tapped[1])))


def named(outputs) -> dict[str, tf.Tensor]:
    """As common.probing.structure has them."""
    return structure.named(outputs, tf.is_tensor)
