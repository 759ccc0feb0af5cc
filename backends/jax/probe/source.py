"""One layer as users of Flax would write it, for the file that shows a difference without us."""

import dataclasses
import inspect

import flax.linen as nn
import numpy as np
from flax import nnx

from backends.jax.probe.parts import Known

SIMPLE = (bool, int, float, str, type(None))


def source(one: Known, axes: dict[str, int], dtype: str, training: bool) -> list[str]:
    """Lines that leave the layer's output in `y`, see common.probing; `axes` {role: number of axes of its tensor}. None where it
    has tensors or settings that no few lines can give it."""
    library = nnx if isinstance(one.module, nnx.Module) else nn
    name, about = type(one.module).__name__, settings(one.module)
    simple = all(part.written for part in one.parts.values()) and one.kind not in ("unknown", "dropout", "lstm", "gru")
    if not simple or about is None or getattr(library, name, None) is not type(one.module):
        return []
    about |= {"use_running_average": not training} if one.kind == "batch_norm" else {}
    given = ", ".join(f"{key}={value!r}" for key, value in about.items())
    here = {full: own for own, full in one.local.items()}
    tensors = {
        here[part.names[0]]: f"jnp.asarray(data[{role!r}]{part.written(axes[role])})"
        for role, part in one.parts.items()
    }
    x = _moved("jnp.asarray(data['x0'])", *one.axes(one.ndim)[::-1])
    lines = ["import jax", *(['jax.config.update("jax_enable_x64", True)'] if dtype == "float64" else []), "import jax.numpy as jnp"]  # fmt: skip
    if library is nnx:
        lines += ["from flax import nnx", f"layer = nnx.{name}({given}, rngs=nnx.Rngs(0))"]
        lines += [f"layer.{own}.set_value({value})" for own, value in tensors.items()]
        call = f"layer({x})"
    else:
        statistics = {own: tensors.pop(own) for own in ("mean", "var") if own in tensors and one.kind == "batch_norm"}
        groups = {"params": tensors} | ({"batch_stats": statistics} if statistics else {})
        lines += ["import flax.linen as nn", f"layer = nn.{name}({given})", "variables = {"]
        lines += [f"    {group!r}: {{{', '.join(f'{own!r}: {value}' for own, value in held.items())}}}," for group, held in groups.items()]  # fmt: skip
        call = f'layer.apply(variables, {x}, mutable=["batch_stats"])[0]'
        lines += ["}"]
    return [*lines, f"y = {_moved(f'np.asarray({call})', *one.axes(one.ndim), 'np')}"]


def _moved(text, here, there, library="jnp"):
    return text if here == there else f"{library}.moveaxis({text}, {here}, {there})"


def settings(module) -> dict | None:
    """What it was made with and is not so by default; None if that has no short text."""
    if isinstance(module, nnx.Module):
        defaults = {name: one.default for name, one in inspect.signature(type(module).__init__).parameters.items()}
    else:
        defaults = {field.name: field.default for field in dataclasses.fields(module) if field.init}
    found = {}
    if isinstance(module, nnx.GroupNorm):  # it keeps both sizes, is made with one, and does not keep its channels
        found["num_features"] = module.num_groups * module.group_size
        del defaults["num_features"], defaults["group_size"]
    for name, default in defaults.items():
        value = getattr(module, name, default)
        if name in ("self", "rngs", "param_dtype", "parent", "name", "dtype", "use_running_average", "deterministic"):
            continue
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, list):
            value = tuple(value)
        if value is default or name.endswith(("_init", "_metadata")) or callable(value) or bool(value == default):
            continue
        parts = value if isinstance(value, tuple) else (value,)
        if not all(isinstance(part, (*SIMPLE, tuple)) for part in parts):
            return None
        found[name] = value
    return found
