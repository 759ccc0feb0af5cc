"""One side of `tetrapla diff` in a process of its own: builds the user's model and answers the judge.

    python -P -m common.probing.server FILE FUNCTION FOLDER DTYPE

FUNCTION is "reference" or "port", or "inputs", which draws the inputs and ends. Requests are lines of JSON on standard input,
{"do": method of the probe, ...arguments}; what is an array travels in files of FOLDER (common.probing.tensors), which the
reader deletes. Each is answered by one line on the standard output that the process was started with: {"ok": value} or
{"error": line, "lines": the user's part of a traceback}. What the user's code prints goes to standard error.
"""

import importlib
import importlib.util
import json
import os
import re
import sys
import traceback
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from common.probing import Arrays, Refused, tensors

INPUTS = "inputs.tensors"  # in FOLDER, where the sides find them too: some models are built by their first call
OURS = ("common", "backends")  # the names that we take in sys.modules, and that a user's modules may have too
FRAMEWORKS = {"torch": "pytorch", "keras": "tensorflow", "tensorflow": "tensorflow", "paddle": "paddle", "flax": "jax", "jaxlib": "jax"}  # fmt: skip
# Axes of a reference's inputs, by their number; a side's `layout` says in which order it wants them.
AXES = {2: "NC", 3: "NCL", 4: "NCHW", 5: "NCDHW"}
ORDINARY = {"N", "T", "C"}  # of a sequence: batch, time, channels


def _is_ours(name):
    return name.split(".")[0] in OURS


@contextmanager
def ours(hidden: dict):
    """Inside, our modules are found under their names; outside, the user's are, which `hidden` keeps meanwhile."""
    theirs = {name: sys.modules.pop(name) for name in list(sys.modules) if _is_ours(name)}
    sys.modules.update(hidden)
    sys.path.insert(0, str(Path(__file__).parents[2]))
    try:
        yield
    finally:
        sys.path.pop(0)
        hidden.update({name: sys.modules.pop(name) for name in list(sys.modules) if _is_ours(name)})
        sys.modules.update(theirs)


def load(file: Path):
    """The user's module. Its folder comes on the path, as if it had been started itself. Raises Refused if it has no such file."""
    if not file.is_file():
        raise Refused(f"{file}: no such file; name a Python file with inputs(rng), reference() and port()")
    root = str(Path(__file__).parents[2])
    sys.path[:] = [str(file.parent), *(place for place in sys.path if place != root)]
    spec = importlib.util.spec_from_file_location("__tetrapla_diff__", file)
    if spec is None:
        raise Refused(f"{file}: expected a Python file, whose name ends with .py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def function(module, name: str, file: Path):
    found = getattr(module, name, None)
    if not callable(found):
        raise Refused(f"{file}: expected a function {name}(), which is not there; add it")
    return found


def draw(module, file: Path) -> Arrays:
    """{name: array} that the user's inputs(rng) draws."""
    found = function(module, "inputs", file)(np.random.default_rng(0))
    if not isinstance(found, dict) or not found:
        raise Refused(f"{file}: inputs(rng) is to return a dict of arrays, not {type(found).__name__}")
    arrays = {str(name): np.asarray(value) for name, value in found.items()}
    for name, value in arrays.items():
        if value.dtype.kind not in "fiub":
            raise Refused(f"{file}: inputs(rng) is to return arrays of numbers; {name} has {value.dtype}")
        if not np.isfinite(value).all():
            raise Refused(f"{file}: the input {name} is not finite everywhere; inputs(rng) is to draw finite numbers")
    return arrays


def framework_of(side: dict, file: Path, name: str) -> str:
    """The folder of backends whose probe knows this model."""
    if "program" in side:
        return "paddle"
    model = side.get("model")
    # Linen's is a pair of the module and its variables, a plain function comes with a dict of arrays.
    first = model[0] if isinstance(model, tuple) and model else model
    for kind in (*type(first).__mro__, *(type(value) for value in side.get("parameters", {}).values())):
        if found := FRAMEWORKS.get(kind.__module__.split(".")[0]):
            return found
    if callable(model) and "parameters" in side:
        return "jax"
    raise Refused(
        f"{file}: {name}() returned a model of type {type(model).__module__}.{type(model).__qualname__}; expected a "
        "torch.nn.Module, a Keras model, a paddle.nn.Layer, an nnx module, a pair (linen module, variables), a function with "
        "parameters={...}, or dict(program=...)"
    )


def permuted(value: np.ndarray, layout: str, back: bool = False) -> np.ndarray:
    """An input in a side's `layout`, such as "NHWC", or `back` from it."""
    axes = "NTC" if set(layout) == ORDINARY else AXES.get(value.ndim, "")
    if sorted(layout) != sorted(axes):
        raise Refused(
            f"the layout {layout!r} does not fit an input of {value.ndim} axes; expected the letters of {axes or '?'}"
        )
    order = [axes.index(axis) for axis in layout]
    return value.transpose(np.argsort(order) if back else order)


class Side:
    """Answers requests about the user's `function` of `file`; `probe` is that of its framework."""

    def __init__(self, file: Path, name: str, folder: Path, dtype: str, hidden: dict):
        self.folder, self.count, self.hidden, self.wanted = folder, 0, hidden, dtype
        self.dtype = dtype  # until the probe says otherwise
        module = load(file)
        drawn = function(module, name, file)
        self.side = drawn()
        if not isinstance(self.side, dict):
            raise Refused(
                f"{file}: {name}() is to return dict(model=..., loss=..., optimizer=...), not {type(self.side).__name__}"
            )
        self.layout = self.side.get("layout", {})
        framework = "" if self.side.get("own") else framework_of(self.side, file, name)
        inputs = self.given(tensors.read(folder / INPUTS)) if (folder / INPUTS).exists() else {}
        called = {key: inputs[key] for key in self.names(inputs)[0]} if inputs else None
        if self.side.get("own"):
            self.probe, self.dtype = self.side["model"](dtype), dtype
            return
        with ours(hidden):
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
                f"call names {missing[0]!r}, which inputs(rng) does not return; it returns {', '.join(inputs)}"
            )
        return called, [name for name in inputs if name not in called]

    def given(self, inputs: Arrays) -> Arrays:
        """In the side's float type and layout."""
        found = {}
        for name, value in inputs.items():
            wanted = {"f": self.dtype, "i": "int64", "u": "int64"}.get(value.dtype.kind, value.dtype)
            value = value.astype(wanted)
            found[name] = np.ascontiguousarray(permuted(value, self.layout[name])) if name in self.layout else value
        return found

    def answer(self, request: dict):
        """The value that is answered; arrays are put into a file."""
        arrays = self._take(request.pop("arrays", None))
        if "inputs" in request:
            arrays = self.given(arrays)
        return getattr(self, f"do_{request.pop('do')}")(arrays, **request)

    def do_describe(self, arrays):
        return self.probe.describe().plain()

    def do_put(self, arrays):
        self.probe.put(arrays)

    def do_get(self, arrays):
        return self._give(self.probe.get())

    def do_forward(self, arrays, inputs, training):
        called, _ = self.names(arrays)
        outputs, calls = self.probe.forward([arrays[name] for name in called], training)
        self.outputs = outputs
        if "output" in self.layout:
            outputs = {name: permuted(value, self.layout["output"], back=True) for name, value in outputs.items()}
        found = {f"output/{name}": value for name, value in outputs.items()}
        for k, call in enumerate(calls):
            found |= {f"call/{k}/in/{j}": value for j, value in enumerate(call.inputs)}
            found |= {f"call/{k}/out/{j}": value for j, value in enumerate(call.outputs)}
        return {"calls": [[call.path, len(call.inputs), len(call.outputs)] for call in calls]} | self._give(found)

    def do_alone(self, arrays, path, training):
        given = [arrays[str(k)] for k in range(len(arrays))]
        return self._give({str(k): value for k, value in enumerate(self.probe.alone(path, given, training))})

    def do_source(self, arrays, path, training):
        return self.probe.source(path, training) if hasattr(self.probe, "source") else []

    def do_loss(self, arrays, inputs):
        """Of the outputs "output/..." in the file."""
        outputs = {name.removeprefix("output/"): value for name, value in arrays.items() if name.startswith("output/")}
        rest = {name: value for name, value in arrays.items() if not name.startswith("output/")}
        if "output" in self.layout:
            outputs = {name: permuted(value, self.layout["output"]) for name, value in outputs.items()}
        value, gradients = self.probe.loss(outputs, [rest[name] for name in self.names(rest)[1]])
        if "output" in self.layout:
            gradients = {name: permuted(value, self.layout["output"], back=True) for name, value in gradients.items()}
        return {"value": value} | self._give(gradients)

    def do_gradients(self, arrays, inputs):
        called, rest = self.names(arrays)
        loss, found = self.probe.gradients([arrays[name] for name in called], [arrays[name] for name in rest])
        return {"value": loss} | self._give(found)

    def do_update(self, arrays, rates):
        """Gradients "0/key", "1/key", ... of one update after the other."""
        split = [{n.split("/", 1)[1]: v for n, v in arrays.items() if n.startswith(f"{k}/")} for k in range(len(rates))]
        found = self.probe.update(split, rates)
        return self._give({f"{k}/{name}": value for k, one in enumerate(found) for name, value in one.items()})

    def do_train(self, arrays, inputs, steps):
        called, rest = self.names(arrays)
        return {"losses": self.probe.train([arrays[n] for n in called], [arrays[n] for n in rest], steps)} | self._give(
            self.probe.get()
        )

    def _take(self, name):
        if name is None:
            return {}
        path = self.folder / name
        arrays = tensors.read(path)
        path.unlink()  # it stays mapped as long as it is used
        return arrays

    def _give(self, arrays):
        self.count += 1
        name = f"{os.getpid()}-{self.count}.tensors"
        tensors.write(self.folder / name, arrays)
        return {"arrays": name}


def in_a_line(error: BaseException) -> str:
    """Keras says in a first line which layer it was in, and what it was below."""
    lines = [line.strip() for line in re.sub(r"\x1b\[\d*m", "", f"{type(error).__name__}: {error}").splitlines()]
    return " ".join([line for line in lines if line][: 2 if "Exception encountered" in lines[0] else 1])


def users_lines(error: BaseException, file: Path) -> list[str]:
    """Of a traceback what lies in the user's folder, and the error itself."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).is_relative_to(file.parent)]
    return [line.rstrip("\n") for line in [*traceback.format_list(frames), *traceback.format_exception_only(error)]]


def main() -> None:
    file, name, folder, dtype = Path(sys.argv[1]).resolve(), sys.argv[2], Path(sys.argv[3]), sys.argv[4]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the user's code prints, and what libraries write past Python

    def say(**value):
        print(json.dumps(value), file=answers, flush=True)

    hidden, side = {}, None
    with ours(hidden):
        pass  # from here on a user's module may have the name of one of ours
    try:
        if name == "inputs":
            path = folder / INPUTS
            module = load(file)
            tensors.write(path, draw(module, file))
            say(ok={"arrays": path.name, "pins": getattr(module, "pins", {}), "mode": getattr(module, "mode", "train")})
            return
        prepare(dtype)
        side = Side(file, name, folder, dtype, hidden)
        say(ok=None)
        for line in sys.stdin:
            try:
                say(ok=side.answer(json.loads(line)))
            except Refused as error:
                say(error=str(error), lines=[])
            except Exception as error:
                say(error=in_a_line(error), lines=users_lines(error, file))
    except Refused as error:
        say(error=str(error), lines=[])
    except Exception as error:
        say(error=f"{name}() raised {in_a_line(error)}", lines=users_lines(error, file))


def prepare(dtype: str) -> None:
    """Before a framework is imported: what it reads then, and its default float type as soon as it is there, so that numbers
    that a model makes for itself have it too."""
    for name, value in {"TF_CPP_MIN_LOG_LEVEL": "2", "TF_ENABLE_ONEDNN_OPTS": "0", "JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""}.items():  # fmt: skip
        os.environ.setdefault(name, value)
    os.environ["JAX_ENABLE_X64"] = str(int(dtype == "float64"))
    sys.meta_path.insert(
        0,
        After(
            {
                "torch": lambda torch: torch.set_default_dtype(getattr(torch, dtype)),
                "paddle": lambda paddle: paddle.set_default_dtype(dtype),
                "keras": lambda keras: keras.config.set_floatx(dtype),
                "flax.nnx.nn.recurrent": lambda recurrent: carries(recurrent, dtype),
                "flax.linen.recurrent": lambda recurrent: carries(recurrent, dtype),
            }
        ),
    )


def carries(recurrent, dtype: str) -> None:
    """Flax makes the state in which a cell starts in float32 unless it is told otherwise, and then refuses a float64 sequence."""
    for cell in vars(recurrent).values():
        if isinstance(cell, type) and "initialize_carry" in vars(cell):

            def wide(*args, start=cell.initialize_carry, **kwargs):
                found = start(*args, **kwargs)
                return tuple(one.astype(dtype) for one in found) if isinstance(found, tuple) else found.astype(dtype)

            cell.initialize_carry = wide


class After:
    """A finder that lets `actions` {module: function of it} happen as soon as the module has been imported."""

    def __init__(self, actions: dict):
        self.actions = actions

    def find_spec(self, name, path=None, target=None):
        if (action := self.actions.pop(name, None)) is None:
            return None
        spec = importlib.util.find_spec(name)
        if spec is not None:
            execute = spec.loader.exec_module
            spec.loader.exec_module = lambda module: (execute(module), action(module))
        return spec


if __name__ == "__main__":
    main()
