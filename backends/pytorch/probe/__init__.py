"""A foreign PyTorch model, for `diff`: its layers by forward hooks, its gradients and updates by its own loss and optimiser.

The contract is in common.probing. A function with parameters={name: tensor} is a model without layers.
"""

import copy

import numpy as np
import torch
from torch import nn

from backends.pytorch.probe import layers
from common.probing import Call, Description, Layer, Refused, Tensor, mask


class Probe:
    """`side` is what the user's function returned: model, and where there are, loss, optimizer, parameters."""

    def __init__(self, side: dict, dtype: str):
        torch.use_deterministic_algorithms(True, warn_only=True)
        self.dtype, self.side = dtype, side
        self.model, self.loss_function, self.optimizer = side["model"], side.get("loss"), side.get("optimizer")
        if isinstance(self.model, nn.Module):
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
            loss={"title": _title(self.loss_function)} if self.loss_function else None,
            optimizer=layers.optimizer(self.optimizer) if self.optimizer else None,
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
            handles.append(one.module.register_forward_hook(self._recorder(path, one, calls), with_kwargs=True))
        try:
            with torch.no_grad():
                outputs = self._run([torch.from_numpy(value) for value in inputs], training)
        finally:
            for handle in handles:
                handle.remove()
        return {name: value.detach().numpy().copy() for name, value in named(outputs).items()}, calls

    def _recorder(self, path, one, calls):
        def record(module, given, named_given, output):
            inputs = [value for value in (*given, *named_given.values()) if isinstance(value, torch.Tensor)]
            one.inputs = len(inputs)
            outputs = list(named(output).values())
            calls.append(Call(path, [_array(value) for value in inputs], [_array(value) for value in outputs]))

        return record

    def _run(self, inputs, training):
        if not isinstance(self.model, nn.Module):
            return self.model(self.side["parameters"], *inputs)
        self.model.train(training)
        drops, handles = iter(range(1_000_000)), []
        if training:
            for one in self.known.values():
                if one.kind == "dropout" and one.settings["rate"]:
                    handles.append(one.module.register_forward_hook(self._dropper(one, drops), prepend=True))
        try:
            return self.model(*inputs)
        finally:
            for handle in handles:
                handle.remove()

    def _dropper(self, one, drops):
        def drop(module, given, output):
            rate = one.settings["rate"]
            kept = mask(next(drops), tuple(given[0].shape), rate)
            return given[0] * torch.from_numpy(kept.astype(self.dtype)) / (1 - rate)

        return drop

    def alone(self, path, arrays, training):
        one = self.known[path]
        one.module.train(training)
        given = [torch.from_numpy(np.array(value)) for value in arrays]
        with torch.no_grad():
            return [_array(value) for value in named(one.call(one.module, given)).values()]

    def source(self, path, training):
        one = self.known[path]
        state = ", ".join(f"{name!r}: torch.from_numpy(data[{role!r}])" for role, name in one.names.items())
        given = ", ".join(f"torch.from_numpy(data['x{k}'])" for k in range(one.inputs))
        return [
            "import torch",
            "from torch import nn",
            f"torch.set_default_dtype(torch.{self.dtype})",
            f"layer = nn.{one.module!r}.train({training})",
            *([f"layer.load_state_dict({{{state}}}, strict=False)"] if state else []),
            f"y = layer({given}).detach().numpy()",
        ]

    # ------------------------------------------------------------------------- loss, gradients and updates

    def loss(self, outputs, rest):
        given = {
            name: torch.from_numpy(np.array(value)).requires_grad_(value.dtype.kind == "f")
            for name, value in outputs.items()
        }
        value = self._loss(structured(given), rest)
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
        value = self._loss(self._run([torch.from_numpy(one) for one in inputs], self.side.get("mode") != "eval"), rest)
        value.backward()
        return float(value.detach()), {k: _array(part.gradient) for k, part in tensors.items() if part.gradient is not None}

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


def named(outputs) -> dict[str, torch.Tensor]:
    """{"": tensor} of one, {"0": ..., "h": ...} of a structure, nested ones with dots."""
    if isinstance(outputs, torch.Tensor):
        return {"": outputs}
    if outputs is None:
        return {}
    if isinstance(outputs, dict):
        parts = {str(name): value for name, value in outputs.items()}
    elif isinstance(outputs, (tuple, list)):
        parts = {str(k): value for k, value in enumerate(outputs)}
    else:
        raise Refused(f"the model returns {type(outputs).__name__}; expected tensors, or tuples and dicts of them")
    return {f"{name}.{rest}".rstrip("."): value for name, part in parts.items() for rest, value in named(part).items()}


def structured(outputs: dict):
    """What the loss is called with, of `named` outputs: the tensor, or a tuple or dict of those."""
    if list(outputs) == [""]:
        return outputs[""]
    return tuple(outputs.values()) if list(outputs) == [str(k) for k in range(len(outputs))] else outputs


def _array(value):
    return value.detach().numpy().copy()


def _title(function):
    return getattr(function, "__name__", type(function).__name__)
