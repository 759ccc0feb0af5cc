"""The user's file: its module, the functions that it must have, what they return, and what is shown of its errors."""

import difflib
import importlib.util
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import numpy as np

from common.probing import Arrays, Refused, startup

OURS = ("common", "backends")  # the names that we take in sys.modules, and that a user's modules may have too
ROOT = Path(__file__).parents[2]
FRAMEWORKS = {"torch": "pytorch", "keras": "tensorflow", "tensorflow": "tensorflow", "paddle": "paddle", "flax": "jax", "jaxlib": "jax"}  # fmt: skip
PACKAGES = {"torch": "torch", "keras": "tensorflow", "tensorflow": "tensorflow", "paddle": "paddlepaddle", "jax": "jax", "flax": "flax", "optax": "optax"}  # fmt: skip
RETURNED = ("model", "loss", "optimizer", "layout", "call", "parameters", "program", "startup", "feed", "fetch", "own")
MODES = ("train", "eval")


def _is_ours(name):
    return name.split(".")[0] in OURS


def hide() -> dict:
    """{name: module} of ours, out of the way: from here on a user's module may have the name of one."""
    return {name: sys.modules.pop(name) for name in list(sys.modules) if _is_ours(name)}


@contextmanager
def ours(hidden: dict) -> Iterator[None]:
    """Inside, our modules, which `hidden` keeps else, are found under their names; outside, the user's are."""
    theirs = hide()
    sys.modules.update(hidden)
    sys.path.insert(0, str(ROOT))
    try:
        yield
    finally:
        sys.path.pop(0)
        hidden.update(hide())
        sys.modules.update(theirs)


def load(file: Path) -> ModuleType:
    """The user's module. Its folder comes on the path, as if it had been started itself. Raises Refused if there is no such file, or
    it is not Python."""
    if not file.is_file():
        raise Refused(f"{file}: no such file; name a Python file with inputs(rng), reference() and port()")
    sys.path[:] = [str(file.parent), *(place for place in sys.path if place != str(ROOT))]
    startup.guard(file.parent, {"numpy", *PACKAGES})
    spec = importlib.util.spec_from_file_location("__tetrapla_diff__", file)
    if spec is None:
        raise Refused(f"{file}: expected a Python file, whose name ends with .py")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        if error.filename not in (None, str(file)):  # of a module that it imports
            raise
        line = f", line {error.lineno}" if error.lineno else ""
        raise Refused(f"{file}{line}: expected Python, found: {error.msg}") from None
    pins, mode = getattr(module, "pins", {}), getattr(module, "mode", "train")
    texts = isinstance(pins, dict) and all(isinstance(one, str) for pair in pins.items() for one in pair)
    if not texts:
        raise Refused(
            f'{file}: pins is {pins!r:.80}; expected a dict of names of layers, {{"in the reference": "in the port"}}'
        )
    if mode not in MODES:
        raise Refused(f"{file}: mode is {mode!r:.80}; expected one of {', '.join(map(repr, MODES))}")
    return module


def function(module: ModuleType, name: str, file: Path) -> Callable:
    found = getattr(module, name, None)
    if not callable(found):
        what = "is not there; add it" if found is None else f"is of type {type(found).__name__} there"
        raise Refused(f"{file}: expected a function {name}({'rng' if name == 'inputs' else ''}), which {what}")
    return found


def draw(module: ModuleType, file: Path) -> Arrays:
    """{name: array} that the user's inputs(rng) draws."""
    found = function(module, "inputs", file)(np.random.default_rng(0))
    if not isinstance(found, dict) or not found:
        raise Refused(f"{file}: inputs(rng) is to return a dict of arrays, not {type(found).__name__}")
    arrays = {}
    for name, value in found.items():
        value = arrays[str(name)] = np.asarray(value)
        if value.dtype.kind not in "fiub":
            raise Refused(f"{file}: inputs(rng) is to return arrays of numbers; {name} has {value.dtype}")
        if not np.isfinite(value).all():
            raise Refused(f"{file}: the input {name} is not finite everywhere; inputs(rng) is to draw finite numbers")
    return {
        name: value.astype({"f": "float64", "b": "bool"}.get(value.dtype.kind, "int64"))
        for name, value in arrays.items()
    }


def built(file: Path, name: str) -> dict:
    """What the user's function returns. Raises Refused where something of it cannot be meant."""
    side = function(load(file), name, file)()
    expected = "dict(model=..., loss=..., optimizer=...)"
    if not isinstance(side, dict):
        raise Refused(f"{file}: {name}() is to return {expected}, not {type(side).__name__}")
    for key in side:
        if key not in RETURNED:
            near = difflib.get_close_matches(str(key), RETURNED, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"expected some of {', '.join(RETURNED[:-1])}"
            raise Refused(f"{file}: {name}() returned {key!r}, which means nothing; {hint}")
    if "model" not in side and "program" not in side:
        raise Refused(f"{file}: {name}() returned no model; expected {expected}")
    if side.get("loss") is not None and not callable(side["loss"]) and "program" not in side:
        raise Refused(f"{file}: the loss of {name}() is of type {type(side['loss']).__name__}; expected a function of the output and what else inputs(rng) returns")  # fmt: skip
    layout = side.get("layout", {})
    if not isinstance(layout, dict) or not all(isinstance(one, str) for pair in layout.items() for one in pair):
        raise Refused(f'{file}: the layout of {name}() is {layout!r:.80}; expected a dict, such as {{"x": "NHWC"}}')
    call = side.get("call", ())
    if isinstance(call, str) or not all(isinstance(one, str) for one in call):
        raise Refused(f'{file}: the call of {name}() is {call!r:.80}; expected names of inputs, such as ("x",)')
    return side


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


def in_a_line(error: BaseException) -> str:
    """Keras says in a first line which layer it was in, and what it was below."""
    text = re.sub(r"\x1b\[\d*m", "", f"{type(error).__name__}: {error}")
    lines = [line for line in map(str.strip, text.splitlines()) if line]
    return " ".join(lines[: 2 if "Exception encountered" in lines[0] else 1])


def said(error: BaseException, file: Path, name: str, did: str = "raised") -> dict:
    """{"error": one line, "lines": the user's part of the traceback} of what went wrong in `name`()."""
    if isinstance(error, Refused):
        return {"error": f": {error}", "lines": []}
    if isinstance(error, ModuleNotFoundError) and (package := PACKAGES.get((error.name or "").split(".")[0])):
        where = f"name another interpreter with --{name}-python"
        if name == "inputs":
            where = "import it inside reference() or port()"
        line = f" needs {error.name}, which {sys.executable} cannot import; install {package} there, or {where}"
        return {"error": line, "lines": []}
    if isinstance(error, SystemExit):
        return {"error": f" ended its process by sys.exit({error.code!r}); it is to return", "lines": []}
    return {"error": f" {did} {in_a_line(error)}", "lines": users_lines(error, file)}


def users_lines(error: BaseException, file: Path) -> list[str]:
    """Of a traceback what lies in the user's folder, and the error itself."""

    def is_theirs(path: Path) -> bool:
        inside = path.is_relative_to(file.parent) and not path.is_relative_to(sys.prefix)
        return inside and not any(path.is_relative_to(ROOT / name) for name in OURS)

    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if is_theirs(Path(frame.filename))]
    return [line.rstrip("\n") for line in [*traceback.format_list(frames), *traceback.format_exception_only(error)]]
