"""A foreign PyTorch model, for `diff`: its layers by hooks, its gradients and updates by its own loss and optimiser.

The contract is in common.probing. A function with parameters={name: tensor} is a model without layers.
"""

import copy

import numpy as np
import torch
from torch import nn

from backends.pytorch.probe import layers
from backends.pytorch.probe.layers import named
from backends.pytorch.probe.source import source
from backends.pytorch.probe.updates import optimizer
from common.probing import Call, Description, Layer, Refused, Tensor, mask, structure


class Probe:
    """`side` is what the user's function returned: model, and where there are, loss, optimizer, parameters."""

    def __init__(self, side: dict, dtype: str):
        torch.use_deterministic_algorithms(True, warn_only=True)
        self.dtype, self.side = dtype, side
        self.model, self.loss_function, self.optimizer = side["model"], side.get("loss"), side.get("optimizer")
        if isinstance(self.model, nn.Module):
            self._build(list((side.get("inputs") or {}).values()))
            self.model.to(getattr(torch, dtype))
            self.known = layers.layers(self.model)
            self.rest = layers.others(self.model, self.known)
        else:
            self.known = {}
            for value in side["parameters"].values():  # the same tensors: the optimiser holds them
                value.data = value.data.to(getattr(torch, dtype))
                value.requires_grad_()
            self.rest = {name: layers.Part(value) for name, value in side["parameters"].items()}
        self.fresh = copy.deepcopy(self.optimizer.state_dict()) if self.optimizer else None

    def _build(self, inputs):
        """What only a first call makes."""
        lazy = nn.parameter.UninitializedTensorMixin
        if inputs and any(isinstance(one, lazy) for one in (*self.model.parameters(), *self.model.buffers())):
            with torch.no_grad():
                self.model.eval()(*map(torch.from_numpy, inputs))

    # -------------------------------------------------------------------------------------- what there is

    def describe(self) -> Description:
        moved = {id(p) for group in self.optimizer.param_groups for p in group["params"]} if self.optimizer else None

        def tensor(name, part):
            is_moved = part.whole.requires_grad and (moved is None or id(part.whole) in moved)
            return Tensor(name, tuple(part.value.shape), is_moved)

        found = [
            Layer(path, one.kind, one.title, one.settings, {r: tensor(f"{path}.{one.names[r]}", v) for r, v in one.tensors.items()})
            for path, one in self.known.items()
        ]  # fmt: skip
        found += [Layer(path, "unknown", "", {}, {"": tensor(path, value)}) for path, value in self.rest.items()]
        return Description(
            "PyTorch", {"torch": torch.__version__}, found, self.dtype,
            loss={"title": structure.title(self.loss_function)} if self.loss_function else None,
            optimizer=optimizer(self.optimizer) if self.optimizer else None,
        )  # fmt: skip

    def _tensors(self) -> dict[str, layers.Part]:
        found = {f"{path}/{role}": part for path, one in self.known.items() for role, part in one.tensors.items()}
        return found | {f"{path}/": part for path, part in self.rest.items()}

    def put(self, tensors):
        for key, part in self._tensors().items():
            if key in tensors:
                part.value.copy_(torch.from_numpy(np.array(tensors[key])))

    def get(self):
        return {key: _array(part.value) for key, part in self._tensors().items()}

    # ------------------------------------------------------------------------------------------- forward

    def forward(self, inputs, training):
        calls, handles = [], []
        for path, one in self.known.items():
            record = Recorder(path, one, calls)
            handles.append(one.module.register_forward_pre_hook(record.before, with_kwargs=True))
            handles.append(one.module.register_forward_hook(record.after))
        try:
            with torch.no_grad():
                outputs = self._run(inputs, training)
        finally:
            for handle in handles:
                handle.remove()
        return {name: _array(value) for name, value in named(outputs).items()}, calls

    def _run(self, inputs, training):
        """The model's own call, with dropout replayed; whatever else draws is refused."""
        inputs = [torch.from_numpy(np.array(value)) for value in inputs]  # copies: layers may change them in place
        if not isinstance(self.model, nn.Module):
            return self.model(self.side["parameters"], *inputs)
        self.model.train(training)
        drops = iter(range(1_000_000))
        replaced = [one for one in self.known.values() if training and one.kind == "dropout" and one.settings["rate"]]
        before = torch.get_rng_state()
        for one in replaced:
            one.module.forward = self._dropper(one, drops)
        try:
            outputs = self.model(*inputs)
        finally:
            for one in replaced:
                del one.module.forward
        if not torch.equal(before, torch.get_rng_state()):
            raise Refused(f'{self._drawing()}; no draw may be left to chance: take it as an input, or compare with mode = "eval"')  # fmt: skip
        return outputs

    def _drawing(self):
        """Who draws, as far as it can be told."""
        kinds = [
            path for path, one in self.known.items()
            if getattr(one.module, "dropout", 0) or (isinstance(one.module, nn.modules.dropout._DropoutNd) and one.kind != "dropout")
        ]  # fmt: skip
        return f"{', '.join(kinds)} draws" if kinds else "the model draws between its layers"

    def _dropper(self, one, drops):
        def drop(input):
            one.number = next(drops)
            kept = mask(one.number, tuple(input.shape), one.settings["rate"])
            return input * torch.from_numpy(kept.astype(self.dtype)) / (1 - one.settings["rate"])

        return drop

    def alone(self, path, arrays, training):
        one = self.known[path]
        one.module.train(training)
        given = [torch.from_numpy(np.array(value)) for value in arrays]
        if training and one.kind == "dropout" and one.settings["rate"]:  # what it dropped in the last pass
            return [_array(self._dropper(one, iter([one.number]))(*given))]
        with torch.no_grad():
            return [_array(value) for value in one.call(given)]

    def source(self, path, training):
        return source(self.known[path], self.dtype, training)

    # ------------------------------------------------------------------------- loss, gradients and updates

    def loss(self, outputs, rest):
        given = {
            name: torch.from_numpy(np.array(value)).requires_grad_(value.dtype.kind == "f")
            for name, value in outputs.items()
        }
        value = self._loss(structure.structured(given), rest)
        value.backward()
        return float(value.detach()), {name: _array(one.grad) for name, one in given.items() if one.grad is not None}

    def _loss(self, outputs, rest):
        value = self.loss_function(outputs, *(torch.from_numpy(np.array(one)) for one in rest))
        if not isinstance(value, torch.Tensor) or value.numel() != 1:
            raise Refused(
                f"the loss is to return one number, not {tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__}"
            )
        return value.reshape(())

    def gradients(self, inputs, rest):
        tensors = {key: part for key, part in self._tensors().items() if part.whole.requires_grad}
        self._forget()
        value = self._loss(self._run(inputs, self.side.get("mode") != "eval"), rest)
        value.backward()
        return float(value.detach()), {
            k: _array(part.gradient) for k, part in tensors.items() if part.gradient is not None
        }

    def update(self, gradients, rates):
        self._restart()
        found = []
        for one, rate in zip(gradients, rates, strict=True):
            self._forget()
            for key, part in self._tensors().items():
                if key in one and part.whole.requires_grad:
                    if part.whole.grad is None:
                        part.whole.grad = torch.zeros_like(part.whole)
                    part.gradient.copy_(torch.from_numpy(np.array(one[key])))
            self._rate(rate)
            self.optimizer.step()
            found.append(self.get())
        self._rate(1.0)
        return found

    def train(self, inputs, rest, steps):
        self._restart()
        losses = []
        for _ in range(steps):
            losses.append(self.gradients(inputs, rest)[0])
            self.optimizer.step()
        return losses

    def _forget(self):
        for part in self._tensors().values():
            part.whole.grad = None

    def _restart(self):
        self.optimizer.load_state_dict(copy.deepcopy(self.fresh))

    def _rate(self, factor):
        for group, fresh in zip(self.optimizer.param_groups, self.fresh["param_groups"], strict=True):
            group["lr"] = fresh["lr"] * factor


class Recorder:
    """The calls of the layer `path`; what it is given is kept before, as it may be changed in place."""

    def __init__(self, path, one, calls):
        self.path, self.one, self.calls, self.given = path, one, calls, []

    def before(self, module, given, named_given):
        self.given = [_array(value) for value in self.one.pack(given, named_given)]

    def after(self, module, given, output):
        outputs = [_array(value) for value in self.one.outputs(output)]
        self.calls.append(Call(self.path, self.given, outputs))


def _array(value):
    return value.detach().numpy().copy()
