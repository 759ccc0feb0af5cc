"""Flax's recurrent layers and attention, nnx and linen, in canonical terms, for `diff`."""

import flax.linen as nn
import jax
import numpy as np
from flax import nnx

from backends.jax.probe.parts import Known, Part, stacked, turned

SIGMOIDS, TANHS = (nn.sigmoid, nnx.sigmoid, jax.nn.sigmoid), (nn.tanh, nnx.tanh, jax.nn.tanh, jax.numpy.tanh)


def cell(module, tensors, prefix="") -> Known | None:
    """One step, called with its carry and an input. Of a kind, so that its tensors are."""
    lstm = isinstance(module, (nnx.LSTMCell, nnx.OptimizedLSTMCell, nn.LSTMCell, nn.OptimizedLSTMCell))
    if module.gate_fn not in SIGMOIDS or module.activation_fn not in TANHS:
        return None
    if f"{prefix}dense_i.kernel" in tensors:
        parts = {
            "weight_ih": turned(f"{prefix}dense_i.kernel"), "weight_hh": turned(f"{prefix}dense_h.kernel"),
            "bias_ih": Part((f"{prefix}dense_{'h' if lstm else 'i'}.bias",)),
        }  # fmt: skip
    else:
        forget = "f" if f"{prefix}if.kernel" in tensors else "f_"
        gates = ["i", forget, "g", "o"] if lstm else ["r", "z", "n"]

        def names(side, what):
            # nnx calls one gate of the input `if_`, as `if` is a word of Python, and that of the state `hf`.
            return [f"{prefix}{side}{gate if side == 'i' else gate[0]}.{what}" for gate in gates]

        parts = {role: stacked(names(side, "kernel")) for role, side in (("weight_ih", "i"), ("weight_hh", "h"))}
        parts["bias_ih"] = stacked(names("h" if lstm else "i", "bias"))
        if not lstm:
            parts["bias_hn"] = Part((f"{prefix}hn.bias",))  # of bias_hh the last third; Flax has no other
    if any(name not in tensors for part in parts.values() for name in part.names) or tensors[parts["bias_ih"].names[0]].ndim != 1:  # fmt: skip
        return None
    about = {"layers": 1, "both_ways": False} | ({} if lstm else {"reset_after": True})
    return Known(module, "lstm" if lstm else "gru", about | ({} if prefix else {"cell": True}), parts)


def rnn(module, tensors):
    """A cell along a sequence, whose tensors are "cell.…"."""
    if not isinstance(module.cell, CELLS) or (known := cell(module.cell, tensors, "cell.")) is None:
        return None
    known.module = module
    known.settings |= {name: True for name in ("reverse", "keep_order") if getattr(module, name)}
    known.settings.pop("keep_order", None) if not module.reverse else None
    known.axes = lambda ndim: (0, 1) if module.time_major and ndim > 2 else (0, 0)
    return known


def attention(module, tensors):
    """Kernels (E, heads, size) of query, key and value, and (heads, size, E) of what comes out."""
    if {name.split(".")[0] for name in tensors} - {"query", "key", "value", "out"} or tensors["query.kernel"].ndim != 3:
        return None
    if tensors["key.kernel"].shape[1] != module.num_heads:  # heads of keys that several queries share
        return None
    parts = {}
    for name in ("query", "key", "value", "out"):
        shape = tensors[f"{name}.kernel"].shape
        flat = (shape[0], -1) if name != "out" else (-1, shape[-1])
        parts[f"{name}_weight"] = Part(
            (f"{name}.kernel",),
            lambda value, flat=flat: value.reshape(flat).T,
            lambda value, shape=shape: [value.T.reshape(shape)],
            None,
        )
        if f"{name}.bias" in tensors:
            own = tensors[f"{name}.bias"].shape
            parts[f"{name}_bias"] = Part((f"{name}.bias",), np.ravel, lambda value, own=own: [value.reshape(own)], None)
    more = {"dropout": module.dropout_rate} if module.dropout_rate else {}
    return Known(module, "attention", {"heads": module.num_heads} | more, parts)


CELLS = (nnx.LSTMCell, nnx.OptimizedLSTMCell, nnx.GRUCell, nn.LSTMCell, nn.OptimizedLSTMCell, nn.GRUCell)
READERS = (
    dict.fromkeys(CELLS, cell)
    | {nnx.RNN: rnn, nn.RNN: rnn}
    | dict.fromkeys((nnx.MultiHeadAttention, nn.MultiHeadDotProductAttention), attention)
)
# What is looked at as one, though it may be unknown.
WHOLE = (*READERS, nnx.Bidirectional, nn.Bidirectional, nnx.RNN, nn.RNN)
