"""A foreign Paddle model, for `diff`: its layers by post-hooks, its gradients and updates by its own loss and optimiser.

The contract is in common.probing. A function with parameters={name: tensor} is a model without layers; static Programs are in
program.py.
"""

import copy
import itertools
from contextlib import ExitStack, contextmanager

import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional as F

from backends.paddle.probe import layers, source, updates
from backends.paddle.probe.layers import Held, named, tensor
from common.probing import Call, Description, Layer, Refused, Tensor, mask, structure


def Probe(side: dict, dtype: str):
    """Of what the user's function returned."""
    if "program" in side:
        from backends.paddle.probe.program import ProgramProbe

        return ProgramProbe(side, dtype)
    return LayerProbe(side, dtype)


class LayerProbe:
    """`side` is what the user's function returned: model, and where there are, loss, optimizer, parameters."""

    def __init__(self, side: dict, dtype: str):
        paddle.disable_static()
        paddle.jit.enable_to_static(False)  # what was compiled calls no hooks
        self.side, self.dtype, self.dtype_why = side, dtype, ""
        self.model, self.loss_function, self.optimizer = side["model"], side.get("loss"), side.get("optimizer")
        if self.optimizer is not None and not isinstance(self.optimizer, paddle.optimizer.Optimizer):
            raise Refused(f"the optimiser is {type(self.optimizer).__name__}; expected one of paddle.optimizer")
        clip = getattr(self.optimizer, "_grad_clip", None)
        if dtype == "float64" and isinstance(clip, nn.ClipGradByNorm):
            self.dtype, self.dtype_why = "float32", "nn.ClipGradByNorm has no kernel of float64"
        if isinstance(self.model, nn.Layer):
            for value in [*self.model.parameters(), *self.model.buffers()]:
                self._cast(value)
            self.known = layers.layers(self.model)
            self.rest = layers.others(self.model, self.known)
        else:
            self.known, self.rest = {}, {}
            for name, value in side.get("parameters", {}).items():
                self._cast(value)
                value.stop_gradient = False
                self.rest[name] = Held(value, name)

    def _cast(self, value):
        """In place, as Layer.to does, which fails on the empty buffer of a recurrent layer."""
        if value.is_floating_point() and str(value.dtype) != f"paddle.{self.dtype}":
            new = value.detach().cast(self.dtype)
            value.value().get_tensor()._share_data_with(new.value().get_tensor())

    # -------------------------------------------------------------------------------------- what there is

    def describe(self) -> Description:
        moved = {id(p) for p in updates.moved(self.optimizer)} if self.optimizer else None

        def known(name, one):
            is_moved = not one.value.stop_gradient and (moved is None or id(one.value) in moved)
            return Tensor(name, one.canonical(one.value.numpy()).shape, is_moved)

        found = [
            Layer(path, one.kind, one.title, one.settings, {r: known(f"{path}.{h.name}", h) for r, h in one.tensors.items()})
            for path, one in self.known.items()
        ]  # fmt: skip
        found += [Layer(path, "unknown", "", {}, {"": known(path, one)}) for path, one in self.rest.items()]
        return Description(
            "Paddle", {"paddlepaddle": paddle.__version__}, found, self.dtype, self.dtype_why,
            loss={"title": structure.title(self.loss_function)} if self.loss_function else None,
            optimizer=updates.optimizer(self.optimizer) if self.optimizer else None,
        )  # fmt: skip

    def _tensors(self) -> dict[str, Held]:
        found = {f"{path}/{role}": held for path, one in self.known.items() for role, held in one.tensors.items()}
        return found | {f"{path}/": held for path, held in self.rest.items()}

    def put(self, tensors):
        for key, held in self._tensors().items():
            if key in tensors:
                held.value.set_value(held.own(tensors[key]).cast(self.dtype))

    def get(self):
        return {key: held.canonical(held.value.numpy()) for key, held in self._tensors().items()}

    # ------------------------------------------------------------------------------------------- forward

    def forward(self, inputs, training):
        calls, handles = [], []
        stack = ExitStack()
        for path, one in self.known.items():
            if one.inside:
                continue
            last = self.known.get(f"{path}:activation")
            recorder = self._recorder(path, one, calls, last)
            handles.append(one.module.register_forward_post_hook(recorder, with_kwargs=True))
            if last is not None:
                stack.enter_context(layers.bare(one.module))
        try:
            with paddle.no_grad(), stack:
                outputs = self._run([tensor(value) for value in inputs], training)
        finally:
            for handle in handles:
                handle.remove()
        outputs = {name: value.numpy().copy() for name, value in named(outputs).items()}
        for call in calls:
            self._check(call.outputs, f"{call.path}, {self.known[call.path].title},")
        self._check(outputs.values(), "the model")
        return outputs, calls

    def _check(self, arrays, what):
        if self.dtype == "float64" and any(value.dtype == np.float32 for value in arrays):
            raise Refused(f"{what} gives float32 although its parameters are float64; compare the two in float32")

    def _recorder(self, path, one, calls, last):
        """`last`: the activation that the layer ends with, which it has been left without."""

        def record(module, given, named_given, output):
            inputs = [value for value in (*given, *named_given.values()) if isinstance(value, paddle.Tensor)]
            calls.append(Call(path, [one.canonical(value) for value in inputs], one.results(output)))
            if last is not None:
                given, output = output, last.run(output)
                calls.append(Call(f"{path}:activation", one.results(given), last.results(output)))
                return output

        return record

    def _run(self, inputs, training):
        with replaying():
            if not isinstance(self.model, nn.Layer):
                return self.model({name: held.value for name, held in self.rest.items()}, *inputs)
            self.model.train() if training else self.model.eval()
            for path, one in self.known.items() if training else ():
                if isinstance(one.module, layers.RANDOM) or getattr(one.module, "num_layers", 1) > 1 and one.module.dropout:  # fmt: skip
                    raise Refused(
                        f"{path}, {one.title}, draws in a way that cannot be replayed; give it no share to drop"
                    )
            return self.model(*inputs)

    def alone(self, path, arrays, training):
        one = self.known[path]
        one.module.train() if training else one.module.eval()
        with paddle.no_grad(), replaying():
            return one.call(arrays)

    def source(self, path, training):
        return source.source(self.known[path], self.dtype, training)

    # ------------------------------------------------------------------------- loss, gradients and updates

    def loss(self, outputs, rest):
        given = {name: tensor(value) for name, value in outputs.items()}
        for one in given.values():
            one.stop_gradient = not one.is_floating_point()
        value = self._loss(structure.structured(given), rest)
        value.backward()
        return float(value), {name: one.grad.numpy().copy() for name, one in given.items() if one.grad is not None}

    def _loss(self, outputs, rest):
        value = self.loss_function(outputs, *(tensor(one) for one in rest))
        if not isinstance(value, paddle.Tensor) or value.size != 1:
            found = tuple(value.shape) if isinstance(value, paddle.Tensor) else type(value).__name__
            raise Refused(f"the loss is to return one number, not {found}")
        return value.reshape([])

    def gradients(self, inputs, rest):
        tensors = {key: held for key, held in self._tensors().items() if not held.value.stop_gradient}
        for held in tensors.values():
            held.value.clear_gradient(False)
        value = self._loss(self._run([tensor(one) for one in inputs], self.side.get("mode") != "eval"), rest)
        value.backward()
        found = {key: held for key, held in tensors.items() if held.value.grad is not None}
        if sparse := [key for key, held in found.items() if held.value.grad.is_selected_rows()]:
            raise Refused(
                f"{sparse[0].rstrip('/')} has a gradient of some rows alone; make its layer with sparse=False"
            )
        return float(value), {key: held.canonical(held.value.grad.numpy()) for key, held in found.items()}

    def update(self, gradients, rates):
        optimizer, base, found = self._fresh(), float(self.optimizer.get_lr()), []
        for one, rate in zip(gradients, rates, strict=True):
            for key, held in self._tensors().items():
                if not held.value.stop_gradient:
                    held.value.clear_gradient(False)
                    if key in one:
                        held.value.grad = held.own(one[key])
            optimizer.set_lr(base * rate)
            optimizer.step()
            found.append(self.get())
        return found

    def train(self, inputs, rest, steps):
        optimizer, losses = self._fresh(), []
        for _ in range(steps):
            losses.append(self.gradients(inputs, rest)[0])
            optimizer.step()
        return losses

    def _fresh(self):
        """A copy of the user's optimiser as it was handed over, of the same parameters; a schedule's rate as it is now."""
        kept = [*updates.moved(self.optimizer), *self.optimizer._learning_rate_map]  # parameters, and Programs
        optimizer = copy.deepcopy(self.optimizer, {id(one): one for one in kept})
        for value in [v for one in optimizer._accumulators.values() for v in one.values()]:
            self._cast(value)
        optimizer._dtype = updates.moved(optimizer)[0].dtype  # its rate's, which may have been cast since
        optimizer._learning_rate_map.clear()
        optimizer._learning_rate = float(self.optimizer.get_lr())
        return optimizer


@contextmanager
def replaying():
    """Inside, dropout keeps what the mask of its number in the pass keeps, whoever calls it."""
    own, numbers = F.dropout, itertools.count()

    def dropout(
        x=None, p=0.5, axis=None, training=True, inplace=False, mode="upscale_in_train", name=None, *, input=None
    ):
        x, p = input if x is None else x, float(p)
        if not training or p == 0:
            return own(x, p, axis, training, inplace, mode, name)
        axes = range(x.ndim) if axis is None else [axis] if isinstance(axis, int) else axis
        kept = mask(next(numbers), tuple(size if k in axes else 1 for k, size in enumerate(x.shape)), p)
        scale = 1 / (1 - p) if mode == "upscale_in_train" and p < 1 else 1.0
        return x * tensor(kept * scale).cast(x.dtype)

    F.dropout = F.common.dropout = dropout
    try:
        yield
    finally:
        F.dropout = F.common.dropout = own
