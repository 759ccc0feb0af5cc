"""PyTorch's layers in canonical terms, for `diff`: which there are, and how each is called; what each is, is in kinds.py."""

import inspect
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from backends.pytorch.probe import kinds
from common.probing import KINDS, structure

SINGLE = ("lstm", "gru", "attention")  # of what they return, the first counts


@dataclass(frozen=True)
class Part:
    """A tensor, or some of its rows: attention has three projections in one."""

    whole: torch.Tensor
    rows: slice | None = None

    def of(self, value: torch.Tensor) -> torch.Tensor:
        """Of a tensor as large as the whole."""
        return value if self.rows is None else value[self.rows]

    @property
    def value(self) -> torch.Tensor:
        return self.of(self.whole.detach())

    @property
    def gradient(self) -> torch.Tensor | None:
        return None if self.whole.grad is None else self.of(self.whole.grad)


@dataclass(frozen=True)
class Slot:
    """Where the `number`-th tensor of a call stands in its arguments."""

    number: int


@dataclass
class Known:
    """A module, its kind with settings, and {role: tensor} with the attribute that each is."""

    module: nn.Module
    kind: str
    settings: dict[str, Any]
    tensors: dict[str, Part] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    number: int = 0  # of a dropout: as the how manieth of a pass it was called last
    packed: tuple = (-1, (), {})  # of its last call: how many tensors, and the arguments with a Slot for each

    @property
    def title(self) -> str:
        return f"nn.{type(self.module).__name__}" if _is_torch(type(self.module)) else type(self.module).__name__

    def pack(self, given: tuple, named_given: dict) -> list[torch.Tensor]:
        """The tensors of a call, in canonical order; how they stood in it is kept for a call of the layer alone."""
        tensors = []

        def slot(value):
            if isinstance(value, torch.Tensor):
                tensors.append(value)
                return Slot(len(tensors) - 1)
            return _mapped(slot, value)

        if self.kind in SINGLE:  # masks and the state that it starts in are as in the model
            own = inspect.signature(type(self.module).forward).bind(self.module, *given, **named_given).arguments
            more = {
                name: value for name, value in own.items() if name not in ("self", "query", "key", "value", "input")
            }
            given = tuple(slot(own[name]) for name in ("query", "key", "value", "input") if name in own)
            self.packed = (len(tensors), given, more)
        else:
            given, named_given = slot(given), slot(named_given)
            self.packed = (len(tensors), given, named_given)
        return tensors

    def call(self, tensors: list[torch.Tensor]):
        """By itself: as in its last call in the model if it had as many tensors, else on these in order."""
        count, given, named_given = self.packed
        if count != len(tensors):
            given, named_given = tuple(tensors), {}

        def filled(value):
            return tensors[value.number] if isinstance(value, Slot) else _mapped(filled, value)

        return self.outputs(self.module(*filled(given), **filled(named_given)))

    def outputs(self, output) -> list[torch.Tensor]:
        return [output[0]] if self.kind in SINGLE else list(named(output).values())


def _mapped(function, value):
    if type(value) in (tuple, list):
        return type(value)(function(part) for part in value)
    return {name: function(part) for name, part in value.items()} if type(value) is dict else value


def named(outputs) -> dict[str, torch.Tensor]:
    """As common.probing.structure has them."""
    return structure.named(outputs, lambda one: isinstance(one, torch.Tensor))


def layers(model: nn.Module) -> dict[str, Known]:
    """{path: Known} of every module that is a layer of its own: one that has none inside, or one that is known as a whole."""
    found, seen = {}, set()

    def walk(module, path):
        if id(module) in seen:  # one layer in several places
            return
        seen.add(id(module))
        known = of(module)
        whole = known.kind != "unknown" or nn.utils.parametrize.is_parametrized(module)
        if not whole and any(True for _ in module.children()):
            for name, child in module.named_children():
                walk(child, f"{path}.{name}" if path else name)
        else:
            found[path] = known

    walk(model, "")
    return found


def others(model: nn.Module, known: dict[str, Known]) -> dict[str, Part]:
    """Parameters that a module with others inside has for itself."""
    held = {id(part.whole) for one in known.values() for part in one.tensors.values()}
    return {name: Part(value) for name, value in model.named_parameters() if id(value) not in held}


def _is_torch(kind):
    return kind.__module__.startswith("torch.nn.")


def of(module: nn.Module) -> Known:
    """What it is. A class of the user's that derives from a layer is read as that layer: its numbers are what is judged. One whose
    weights are made of others (weight norm) is unknown."""
    kind, settings = "unknown", {}
    if not nn.utils.parametrize.is_parametrized(module):
        kind, settings = kinds.read(module)
    parts, names = {}, {}
    roles = kinds.roles(kind)
    for name, value in [*module.named_parameters(), *module.named_buffers()]:
        if value is not None and value.is_floating_point():
            parts[roles.get(name, name)], names[roles.get(name, name)] = Part(value), name
    if kind == "attention":
        parts, names = _split(module)
    expected = set(KINDS.get(kind, ((), ()))[1])
    if kind == "attention":
        expected |= {f"{part}_bias" for part in ("query", "key", "value", "out")}
    if kind != "unknown" and not set(parts) <= expected:
        kind, settings = "unknown", {}
    return Known(module, kind, settings, parts, names)


def _split(module):
    """({role: part}, {role: attribute}) of nn.MultiheadAttention: the three projections lie in one tensor."""
    size, parts, names = module.embed_dim, {}, {}
    for what in ("weight", "bias"):
        whole, out = getattr(module, f"in_proj_{what}"), getattr(module.out_proj, what)
        for k, role in enumerate(f"{part}_{what}" for part in ("query", "key", "value")):
            if whole is not None:
                rows = slice(k * size, (k + 1) * size)
                parts[role], names[role] = Part(whole, rows), f"in_proj_{what}[{rows.start}:{rows.stop}]"
            elif what == "weight":  # keys or values are of another width
                own = f"{role[0]}_proj_weight"
                parts[role], names[role] = Part(getattr(module, own)), own
        if out is not None:
            parts[f"out_{what}"], names[f"out_{what}"] = Part(out), f"out_proj.{what}"
    return parts, names
