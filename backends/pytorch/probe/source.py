"""One layer as users of PyTorch would write it, for the file that shows a difference without us."""

import inspect

import torch
from torch import nn

from backends.pytorch.probe.layers import Known

LEFT_OUT = ("self", "device", "dtype", "args", "kwargs")


def source(one: Known, dtype: str, training: bool) -> list[str]:
    """Lines that leave the layer's output in `y`, see common.probing; none where few lines cannot."""
    kind, (count, given, more) = type(one.module), one.packed
    whole = all(type(value).__name__ == "Slot" for value in given)
    if one.kind == "unknown" or getattr(nn, kind.__name__, None) is not kind or not whole:
        return []
    if any(isinstance(value, torch.Tensor) or type(value).__name__ == "Slot" for value in more.values()):
        return []
    arguments = [f"torch.from_numpy(data['x{k}'])" for k in range(count)]
    arguments += [f"{name}={value!r}" for name, value in more.items()]
    single = "[0]" if one.kind in ("lstm", "gru", "attention") else ""
    state = ", ".join(f"{name!r}: torch.from_numpy({text})" for name, text in _state(one).items())
    return [
        "import torch",
        "from torch import nn",
        f"torch.set_default_dtype(torch.{dtype})",
        f"layer = nn.{kind.__name__}({', '.join(f'{n}={v!r}' for n, v in _settings(one.module).items())}).train({training})",
        *([f"layer.load_state_dict({{{state}}}, strict=False)"] if state else []),
        f"y = layer({', '.join(arguments)}){single}.detach().numpy()",
    ]


def _settings(module) -> dict:
    """Of its constructor's arguments those that are not the default; a module keeps each under its name."""
    kind = nn.RNNBase if isinstance(module, nn.RNNBase) else type(module)
    found = {}
    for name, one in inspect.signature(kind.__init__).parameters.items():
        held = {"bias": "in_proj_bias", "add_bias_kv": "bias_k"}.get(name, name) if isinstance(module, nn.MultiheadAttention) else name  # fmt: skip
        if name in LEFT_OUT or not hasattr(module, held) or (kind is nn.RNNBase and name == "mode"):
            continue
        value = getattr(module, held)
        if name in ("bias", "add_bias_kv"):
            value = value is not None and value is not False
        if value != one.default:
            found[name] = value
    return found


def _state(one) -> dict[str, str]:
    """{attribute: of `data`}"""
    found = {}
    for role, name in one.names.items():
        if name.startswith("in_proj_"):
            what = name.removeprefix("in_proj_").split("[")[0]
            name, text = f"in_proj_{what}", ", ".join(f"data['{part}_{what}']" for part in ("query", "key", "value"))
            found[name] = f"np.concatenate([{text}])"
        else:
            found[name] = f"data[{role!r}]"
    return found
