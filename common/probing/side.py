"""One side that is asked: the probe of its framework behind requests, whose arrays lie in files."""

import importlib
from pathlib import Path

import numpy as np

from common.probing import Arrays, Refused, tensors, user

INPUTS = "inputs.tensors"  # in FOLDER, where the sides find them too: some models are built by their first call
# Axes of a reference's inputs, by their number; a side's `layout` says in which order it wants them.
AXES = {2: "NC", 3: "NCL", 4: "NCHW", 5: "NCDHW"}
ORDINARY = {"N", "T", "C"}  # of a sequence: batch, time, channels


def permuted(value: np.ndarray, layout: str, name: str, back: bool = False) -> np.ndarray:
    """The input `name` in a side's `layout`, such as "NHWC", or `back` from it."""
    axes = "NTC" if set(layout) == ORDINARY else AXES.get(value.ndim, "")
    if sorted(layout) != sorted(axes):
        raise Refused(
            f"the layout {layout!r} of {name} does not fit its {value.ndim} axes; expected the letters {axes or 'of 2 to 5 axes'}"
        )
    order = [axes.index(axis) for axis in layout]
    return value.transpose(np.argsort(order) if back else order)


class Side:
    """Answers requests about `side`, which the user's function `name` of `file` returned; `probe` is that of its framework."""

    def __init__(self, side: dict, file: Path, name: str, folder: Path, dtype: str, hidden: dict):
        self.folder = folder
        self.dtype = dtype  # until the probe says otherwise
        self.side, self.layout = side, side.get("layout", {})
        framework = "" if self.side.get("own") else user.framework_of(self.side, file, name)
        drawn = tensors.read(folder / INPUTS) if (folder / INPUTS).exists() else {}
        if drawn and (strange := [one for one in self.layout if one not in (*drawn, "output")]):
            raise Refused(
                f"{file}: the layout of {name}() names {strange[0]!r}; expected inputs ({', '.join(drawn)}) or 'output'"
            )
        inputs = self.given(drawn)
        called = {key: inputs[key] for key in self.names(inputs)[0]} if inputs else None
        if self.side.get("own"):
            self.probe, self.dtype = self.side["model"](dtype), dtype
            return
        with user.ours(hidden):
            module = importlib.import_module(f"backends.{framework}.probe")
            self.probe = module.Probe(self.side | {"inputs": called}, dtype)
        self.dtype = self.probe.dtype
        if called is not None and hasattr(self.probe, "look"):
            self.probe.look(list(called.values()))

    def names(self, inputs: Arrays) -> tuple[list[str], list[str]]:
        """(what the model is called with, what the loss takes beside the output)."""
        # A static Program is called on all that it is fed.
        called = list(self.side.get("call", self.side.get("feed", ("x",) if "x" in inputs else tuple(inputs)[:1])))
        if missing := [name for name in called if name not in inputs]:
            raise Refused(
                f"the call names {missing[0]!r}, which inputs(rng) does not return; it returns {', '.join(inputs)}"
            )
        return called, [name for name in inputs if name not in called]

    def given(self, inputs: Arrays) -> Arrays:
        """In the side's float type and layout."""
        found = {}
        for name, value in inputs.items():
            wanted = {"f": self.dtype, "i": "int64", "u": "int64"}.get(value.dtype.kind, value.dtype)
            value = value.astype(wanted)
            if name in self.layout:
                value = np.ascontiguousarray(permuted(value, self.layout[name], name))
            found[name] = value
        return found

    def answer(self, request: dict) -> dict | list | None:
        """The value that is answered; arrays are put into a file."""
        arrays = tensors.take(self.folder, request.pop("arrays", []))
        arrays = {n: v.astype(self.dtype, copy=False) if v.dtype.kind == "f" else v for n, v in arrays.items()}
        if "inputs" in request:
            arrays = self.given(arrays)
        return getattr(self, f"do_{request.pop('do')}")(arrays, **request)

    def do_describe(self, arrays: Arrays) -> dict:
        return self.probe.describe().plain()

    def do_put(self, arrays: Arrays) -> None:
        self.probe.put(arrays)

    def do_get(self, arrays: Arrays) -> dict:
        return self._give(self.probe.get())

    def do_forward(self, arrays: Arrays, inputs: bool, training: bool) -> dict:
        called, _ = self.names(arrays)
        outputs, calls = self.probe.forward([arrays[name] for name in called], training)
        if "output" in self.layout:
            outputs = {
                name: permuted(value, self.layout["output"], "output", back=True) for name, value in outputs.items()
            }
        found = {f"output/{name}": value for name, value in outputs.items()}
        for k, call in enumerate(calls):
            found |= {f"call/{k}/in/{j}": value for j, value in enumerate(call.inputs)}
            found |= {f"call/{k}/out/{j}": value for j, value in enumerate(call.outputs)}
        return {"calls": [[call.path, len(call.inputs), len(call.outputs)] for call in calls]} | self._give(found)

    def do_alone(self, arrays: Arrays, path: str, training: bool) -> dict:
        given = [arrays[str(k)] for k in range(len(arrays))]
        return self._give({str(k): value for k, value in enumerate(self.probe.alone(path, given, training))})

    def do_source(self, arrays: Arrays, path: str, training: bool) -> list[str]:
        return self.probe.source(path, training) if hasattr(self.probe, "source") else []

    def do_loss(self, arrays: Arrays, inputs: bool) -> dict:
        """Of the outputs "output/..." in the file."""
        outputs = {name.removeprefix("output/"): value for name, value in arrays.items() if name.startswith("output/")}
        rest = {name: value for name, value in arrays.items() if not name.startswith("output/")}
        if "output" in self.layout:
            outputs = {name: permuted(value, self.layout["output"], "output") for name, value in outputs.items()}
        value, gradients = self.probe.loss(outputs, [rest[name] for name in self.names(rest)[1]])
        if "output" in self.layout:
            gradients = {
                name: permuted(value, self.layout["output"], "output", back=True) for name, value in gradients.items()
            }
        return {"value": value} | self._give(gradients)

    def do_gradients(self, arrays: Arrays, inputs: bool) -> dict:
        called, rest = self.names(arrays)
        loss, found = self.probe.gradients([arrays[name] for name in called], [arrays[name] for name in rest])
        return {"value": loss} | self._give(found)

    def do_update(self, arrays: Arrays, rates: list[float]) -> dict:
        """Gradients "0/key", "1/key", ... of one update after the other."""
        split = [{n.split("/", 1)[1]: v for n, v in arrays.items() if n.startswith(f"{k}/")} for k in range(len(rates))]
        found = self.probe.update(split, rates)
        return self._give({f"{k}/{name}": value for k, one in enumerate(found) for name, value in one.items()})

    def do_train(self, arrays: Arrays, inputs: bool, steps: int) -> dict:
        called, rest = self.names(arrays)
        return {"losses": self.probe.train([arrays[n] for n in called], [arrays[n] for n in rest], steps)} | self._give(
            self.probe.get()
        )

    def _give(self, arrays):
        return {"arrays": tensors.give(self.folder, arrays)}
